//! The server's side: it answers each message of the client, once its own NAT is classified.

use crate::dht_rpc::address::Address;
use crate::hyperdht::command::{Firewall, PeerError};
use crate::hyperdht::holepunch::payload::{HolepunchPayload, ROUND_MAX};
use crate::hyperdht::holepunch::puncher::{PAUSE, Phase, PunchAction, PunchError, Puncher};
use libvms_hypercore::secret_stream::Role;
use libvms_hypercore::time::Instant;

impl Puncher {
    /// Takes a message of the client, which came from `client` as a relay saw it. `is_own_relay` says whether that
    /// relay is one of the server's.
    pub fn hear(&mut self, now: Instant, sealed: &[u8], client: Address, is_own_relay: bool) {
        if self.phase == Phase::Over || self.role == Role::Initiator {
            return;
        }
        let Ok(payload) = self.secrets.open(sealed) else { return };
        if payload.error.is_some() {
            self.finish(Err(PunchError::Refused(payload.error.unwrap_or(PeerError::ABORTED))));
            return;
        }
        self.unanswered = Some((payload, client, is_own_relay));
        self.answer_if_sampled(now);
    }

    pub(crate) fn answer_if_sampled(&mut self, now: Instant) {
        if self.is_sampling() {
            return;
        }
        let Some((payload, client, is_own_relay)) = self.unanswered.take() else { return };
        // Only a message through a relay of ours shows that the client receives there.
        let token = is_own_relay.then(|| self.secrets.token(&client));
        self.learn(&payload, client);
        let here = self.nat.firewall();
        let is_seen = payload.remote_address.is_some_and(|seen| self.nat.addresses().contains(&seen));
        if here == Firewall::Consistent && is_seen {
            let socket = self.socket();
            self.actions.push_back(PunchAction::Probe { socket, to: client, ttl: None });
        }
        if payload.is_punching {
            // The answer tells the client, a moment later.
            self.start_barrage(now, now + PAUSE);
        }
        let failure = self.failure().filter(|_| payload.is_punching);
        let answer = HolepunchPayload {
            error: failure.map(|failure| failure.told()),
            firewall: here,
            round: payload.round.min(ROUND_MAX),
            is_punching: payload.is_punching && failure.is_none(),
            addresses: self.nat.addresses(),
            token,
            // The client's own token, which shows that we receive at this host: without it a client of the reference
            // guesses no ports for us.
            remote_token: payload.token,
            ..HolepunchPayload::default()
        };
        let (socket, payload) = (self.socket(), self.seal(&answer));
        self.actions.push_back(PunchAction::Answer { socket, payload });
        if let Some(failure) = failure {
            self.finish(Err(failure));
        }
    }
}
