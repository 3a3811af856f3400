//! The holepunch attempts of this node's clients and servers: [`Punches`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::dht_rpc::address::{Address, Target};
use crate::dht_rpc::incoming::{ReplyHandle, Socket};
use crate::dht_rpc::node::Forward;
use crate::dht_rpc::query::Answer;
use crate::hyperdht::client::{Dialed, Way};
use crate::hyperdht::holepunch::payload::holepunch_secret;
use crate::hyperdht::holepunch::puncher::{PunchAction, Puncher, Rendezvous, SOCKET_NUMBERS};
use crate::hyperdht::node::{Action, HyperDht, Owner, PunchId};
use crate::hyperdht::record::peer_target;
use crate::hyperdht::router::{Arrival, Content, Path, Verdict};
use crate::hyperdht::server::{Accepted, Approach};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::time::Instant;

/// Attempts at once, of our clients and of our servers: each has a socket or more.
const PUNCHES_MAX: usize = 64;
/// Time between two attempts that send thousands of probes.
const LARGE_INTERVAL: Duration = Duration::from_secs(20);

/// All attempts of a node.
#[derive(Debug, Default)]
pub(super) struct Punches {
    all: BTreeMap<PunchId, Punch>,
    next: u32,
    /// When the last one with thousands of probes began.
    large_at: Option<Instant>,
}

#[derive(Debug)]
struct Punch {
    puncher: Puncher,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Client,
    Server {
        target: Target,
        handshake: u64,
        /// The client's message that waits for an answer.
        pending: Option<(ReplyHandle, Arrival)>,
    },
}

impl Punches {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.all.values().filter_map(|punch| punch.puncher.poll_timeout()).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for punch in self.all.values_mut() {
            punch.puncher.handle_timeout(now);
        }
    }

    pub(super) fn answered(&mut self, now: Instant, id: PunchId, number: u64, answer: Option<&Answer>) {
        self.with(now, id, |punch| punch.puncher.handle_answer(now, number, answer));
    }

    /// Calls `act` on an attempt, which may make it send thousands of probes if that is allowed now.
    fn with(&mut self, now: Instant, id: PunchId, act: impl FnOnce(&mut Punch)) {
        let is_alone = self.all.values().all(|punch| !punch.puncher.is_large());
        let is_time = self.large_at.is_none_or(|at| at + LARGE_INTERVAL <= now);
        let Some(punch) = self.all.get_mut(&id) else { return };
        let was_large = punch.puncher.is_large();
        punch.puncher.allow_large(is_alone && is_time);
        act(punch);
        if punch.puncher.is_large() && !was_large {
            self.large_at = Some(now);
        }
    }

    fn of_server(&self, target: &Target, handshake: u64) -> Option<PunchId> {
        let is_meant = |side: &Side| match side {
            Side::Server { target: server, handshake: number, .. } => {
                server == target && *number == handshake
            }
            Side::Client => false,
        };
        self.all.iter().find(|(_, punch)| is_meant(&punch.side)).map(|(id, _)| *id)
    }

    fn is_full(&self) -> bool {
        self.all.len() >= PUNCHES_MAX
    }

    fn next_id(&mut self) -> PunchId {
        self.next = self.next.wrapping_add(1);
        PunchId(self.next)
    }
}

impl PunchId {
    fn first_socket(self) -> u32 {
        self.0.wrapping_mul(SOCKET_NUMBERS)
    }
}

impl HyperDht {
    /// Begins to punch a hole to a server that has answered with [`Way::Punch`]. Returns `None` if the answer was
    /// another, or too many attempts are in progress. The attempt ends with [`Action::Punched`].
    pub fn punch(&mut self, now: Instant, dialed: &Dialed) -> Option<PunchId> {
        let Way::Punch { relay, relays, .. } = &dialed.way else { return None };
        let listed = relays.relays.iter().find(|route| route.relay == *relay);
        let route = *listed.or(relays.relays.first())?;
        if self.punches.is_full() {
            return None;
        }
        let target = peer_target(&dialed.keys.remote);
        let rendezvous = Rendezvous { target, handshake: relays.id, route, server: dialed.server };
        let (id, seed) = (self.punches.next_id(), self.random.bytes());
        let nodes = self.node.closest_known(&target);
        let secret = holepunch_secret(&dialed.keys.hash);
        let puncher = Puncher::client(now, rendezvous, secret, &nodes, seed, id.first_socket());
        self.punches.all.insert(id, Punch { puncher, side: Side::Client });
        self.drive(now);
        Some(id)
    }

    /// Takes a single byte that arrived at a socket of an attempt.
    pub fn handle_probe(&mut self, now: Instant, socket: u32, from: Address) {
        let mut punches = self.punches.all.values_mut();
        if let Some(punch) = punches.find(|punch| punch.puncher.has_socket(socket)) {
            punch.puncher.handle_probe(socket, from);
        }
        self.drive(now);
    }

    /// Ends the punching for a client of a server of ours: its stream is connected at the socket `kept`, which belongs
    /// to the caller from now on, or elsewhere, or not at all.
    pub fn settle_accepted(&mut self, now: Instant, server: &PublicKey, handshake: u64, kept: Option<u32>) {
        if let Some(id) = self.punches.of_server(&peer_target(server), handshake) {
            self.punches.with(now, id, |punch| punch.puncher.settle(kept));
            while self.drive_punch(now, id) {}
            self.punches.all.remove(&id);
        }
        self.drive(now);
    }

    /// Returns until when a hole may still be punched for the client of a handshake, once both sides send probes.
    pub fn punches_until(&self, server: &PublicKey, handshake: u64) -> Option<Instant> {
        let id = self.punches.of_server(&peer_target(server), handshake)?;
        self.punches.all.get(&id)?.puncher.probes_until()
    }

    /// Prepares an attempt for a client behind a firewall.
    pub(super) fn expect_punch(&mut self, now: Instant, arrival: &Arrival, accepted: &Accepted) {
        if accepted.approach != Approach::Await || arrival.path == Path::Direct || self.punches.is_full() {
            return;
        }
        let (id, seed) = (self.punches.next_id(), self.random.bytes());
        let (target, handshake) = (arrival.target, accepted.handshake);
        // The number is reused: its former holder has had its time.
        if let Some(old) = self.punches.of_server(&target, handshake) {
            self.punches.with(now, old, |punch| punch.puncher.settle(None));
            while self.drive_punch(now, old) {}
            self.punches.all.remove(&old);
        }
        let nodes = self.node.closest_known(&target);
        let secret = holepunch_secret(&accepted.keys.hash);
        let puncher = Puncher::server(now, secret, &nodes, seed, id.first_socket());
        let side = Side::Server { target, handshake, pending: None };
        self.punches.all.insert(id, Punch { puncher, side });
        // The socket must be open before the handshake's answer leaves through it.
        while self.drive_punch(now, id) {}
    }

    /// Returns the socket from which the client of a handshake gets its answer.
    pub(super) fn punch_socket(&self, target: &Target, handshake: u64) -> Option<Socket> {
        let punch = self.punches.all.get(&self.punches.of_server(target, handshake)?)?;
        Some(Socket::Puncher(punch.puncher.socket()))
    }

    /// Takes a holepunch payload for one of our servers.
    pub(super) fn hear_punch(&mut self, now: Instant, handle: ReplyHandle, arrival: Arrival) {
        let Content::Holepunch { id: handshake, payload } = arrival.content.clone() else { return };
        let Some(id) = self.punches.of_server(&arrival.target, handshake) else { return };
        let relays = self.servers.get(&arrival.target).map_or(&[][..], |server| server.announcer.relays());
        let is_own_relay = match arrival.path {
            Path::Relayed(relay) => relays.iter().any(|route| route.relay == relay),
            Path::Direct => false,
        };
        let client = arrival.client;
        self.punches.with(now, id, |punch| {
            if let Side::Server { pending, .. } = &mut punch.side {
                *pending = Some((handle, arrival));
            }
            punch.puncher.hear(now, &payload, client, is_own_relay);
        });
    }

    pub(super) fn drive_punches(&mut self, now: Instant) -> bool {
        let ids: Vec<PunchId> = self.punches.all.keys().copied().collect();
        ids.into_iter().any(|id| self.drive_punch(now, id))
    }

    /// Performs one action of an attempt. Returns whether there was one.
    fn drive_punch(&mut self, now: Instant, id: PunchId) -> bool {
        let action = self.punches.all.get_mut(&id).and_then(|punch| punch.puncher.poll_action());
        let Some(action) = action else { return false };
        match action {
            PunchAction::Open(socket) => self.actions.push_back(Action::OpenSocket(socket)),
            PunchAction::Close(socket) => self.actions.push_back(Action::CloseSocket(socket)),
            PunchAction::Request(number, spec) => self.start_request(now, Owner::Punch(id), number, spec),
            PunchAction::Probe { socket, to, ttl } => {
                let (socket, bytes) = (Socket::Puncher(socket), vec![0]);
                self.actions.push_back(Action::Send { socket, to, bytes, ttl });
            }
            PunchAction::Answer { socket, payload } => self.answer_punch(now, id, socket, &payload),
            PunchAction::Done(result) => {
                let punch = self.punches.all.remove(&id);
                if let Some(Punch { side: Side::Client, .. }) = punch {
                    self.actions.push_back(Action::Punched { punch: id, result });
                }
            }
        }
        true
    }

    fn answer_punch(&mut self, now: Instant, id: PunchId, socket: u32, payload: &[u8]) {
        let side = self.punches.all.get_mut(&id).map(|punch| &mut punch.side);
        let Some(Side::Server { pending, .. }) = side else { return };
        let Some((handle, arrival)) = pending.take() else { return };
        self.send(now, handle, leaving_from(Some(Socket::Puncher(socket)), arrival.answer(payload)));
    }
}

/// Returns the same verdict, sent from another socket if it is a request.
pub(super) fn leaving_from(socket: Option<Socket>, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Request(forward) => Verdict::Request(Forward { socket, ..forward }),
        other => other,
    }
}
