//! The client's side: it leads, in rounds.

use std::net::Ipv4Addr;

use crate::dht_rpc::address::Address;
use crate::dht_rpc::incoming::Socket;
use crate::dht_rpc::message::Command;
use crate::dht_rpc::node::RequestSpec;
use crate::dht_rpc::query::Answer;
use crate::dht_rpc::requests::RetryPolicy;
use crate::hyperdht::command::Firewall;
use crate::hyperdht::envelope::{HolepunchEnvelope, Mode};
use crate::hyperdht::holepunch::nat::NatSamples;
use crate::hyperdht::holepunch::payload::{HolepunchPayload, ROUND_MAX};
use crate::hyperdht::holepunch::puncher::{
    Asked, PAUSE, Phase, PunchError, Puncher, REOPENED_MAX, Rendezvous,
};
use libvms_hypercore::time::Instant;

impl Puncher {
    /// Takes the server's answer.
    pub(crate) fn take_round(&mut self, now: Instant, answer: Option<&Answer>) {
        let envelope = answer.and_then(|answer| HolepunchEnvelope::decode(answer.value.as_ref()?).ok());
        let envelope = envelope.filter(|envelope| envelope.mode == Mode::Reply);
        let payload = envelope.as_ref().and_then(|envelope| self.secrets.open(&envelope.payload).ok());
        let (Some(envelope), Some(payload)) = (envelope, payload) else {
            self.finish(Err(PunchError::NoAnswer));
            return;
        };
        if let Some(error) = payload.error {
            self.finish(Err(PunchError::Refused(error)));
            return;
        }
        let seen = envelope.peer.or(self.rendezvous.map(|rendezvous| rendezvous.server));
        self.learn(&payload, seen.unwrap_or(Address::new(Ipv4Addr::UNSPECIFIED, 0)));
        match self.phase {
            Phase::Agreeing => {
                self.start_barrage(now, now);
                if let Some(failure) = self.failure() {
                    self.finish(Err(failure));
                }
            }
            _ if self.round < 2 && self.is_remote_unknown() => self.phase = Phase::Pausing(now + PAUSE),
            _ => {
                self.phase = Phase::Sampling;
                self.agree_if_sampled();
            }
        }
    }

    pub(crate) fn agree_if_sampled(&mut self) {
        if self.phase != Phase::Sampling || self.is_sampling() {
            return;
        }
        let (here, there) = (self.nat.firewall(), self.remote.firewall);
        let is_stable = here != Firewall::Unknown && (here, there) != (Firewall::Random, Firewall::Random);
        let is_large = here == Firewall::Random || there == Firewall::Random;
        if is_stable && !self.is_remote_unknown() && is_large && !self.is_large_allowed {
            // Before the other side begins: it would send thousands of probes for nothing, and have no time for others.
            self.give_up(PunchError::Busy);
        } else if is_stable && !self.is_remote_unknown() {
            self.phase = Phase::Agreeing;
            self.send_round(true);
        } else if self.reopened < REOPENED_MAX && !is_stable {
            // Another socket may get another line, or a better one.
            self.reopened += 1;
            self.nat = NatSamples::default();
            self.open_and_sample();
            self.agree_if_sampled();
        } else {
            self.give_up(self.hopeless());
        }
    }

    /// Sends the reason to the other side, and ends the attempt.
    fn give_up(&mut self, why: PunchError) {
        let payload = HolepunchPayload { error: Some(why.told()), ..HolepunchPayload::default() };
        self.send(payload, RetryPolicy::ONCE);
        self.finish(Err(why));
    }

    /// Sends the client's state.
    pub(crate) fn send_round(&mut self, is_punching: bool) {
        let Some(rendezvous) = self.rendezvous else { return };
        let payload = HolepunchPayload {
            firewall: self.nat.firewall(),
            round: self.round.min(ROUND_MAX),
            is_punching,
            addresses: self.nat.addresses(),
            remote_address: (!is_punching).then_some(rendezvous.server),
            token: is_punching.then(|| self.secrets.token(&rendezvous.server)),
            remote_token: self.remote.token.filter(|_| is_punching),
            ..HolepunchPayload::default()
        };
        self.round += 1;
        self.send(payload, RetryPolicy::PERSISTENT);
    }

    pub(crate) fn send(&mut self, payload: HolepunchPayload, patience: RetryPolicy) {
        let Some(Rendezvous { target, handshake, route, .. }) = self.rendezvous else { return };
        let payload = self.seal(&payload);
        let peer = Some(route.peer);
        let value = HolepunchEnvelope { mode: Mode::FromClient, id: handshake, payload, peer }.encode();
        let spec = RequestSpec {
            target: Some(target),
            value: Some(value),
            socket: Some(Socket::Puncher(self.socket())),
            patience,
            ..RequestSpec::new(route.relay, Command::PEER_HOLEPUNCH)
        };
        self.ask(Asked::Round, spec);
    }
}
