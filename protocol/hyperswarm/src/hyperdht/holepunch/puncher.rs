//! One attempt to punch a hole between two firewalls: [`Puncher`], on either side.
//!
//! ```text
//! client                                           server
//! opens a socket, samples its router               opens a socket, samples its router; its handshake answer leaves there
//! round 0: where I see you                    ->   a byte to the client, if what it sees is right: often enough
//!                                             <-   my firewall, my addresses, a token for your host
//! round 1: my firewall and addresses, punching,
//!          your token, a token for your host  ->   starts to send probes
//!                                             <-   punching
//! sends probes                                     sends every probe back
//! the first probe that arrives: connects there     follows: its stream takes the first packet from anywhere
//! ```
//!
//! Every statement of the other side is a claim that a relay may have forged. Probes have one byte, go to a bounded
//! number of addresses, and mostly to hosts that returned a token. Source: npm hyperdht (`lib/connect.js`,
//! `lib/server.js`, `lib/holepuncher.js`).

mod client;
mod server;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use thiserror::Error;

use crate::dht_rpc::address::{Address, Target};
use crate::dht_rpc::incoming::Socket;
use crate::dht_rpc::message::Command;
use crate::dht_rpc::node::RequestSpec;
use crate::dht_rpc::query::Answer;
use crate::dht_rpc::requests::RetryPolicy;
use crate::hyperdht::command::{Firewall, PeerError};
use crate::hyperdht::handshake_payload::RelayRoute;
use crate::hyperdht::holepunch::nat::{NatSamples, SAMPLES};
use crate::hyperdht::holepunch::payload::{HolepunchPayload, NONCE_BYTES, PunchSecrets};
use crate::hyperdht::holepunch::probe_plan::{LOW_TTL, Probe, ProbePlan, ProbeTarget};
use libvms_hypercore::random::Random;
use libvms_hypercore::secret_stream::Role;
use libvms_hypercore::time::Instant;

/// Socket numbers reserved for one attempt.
pub const SOCKET_NUMBERS: u32 = 512;
/// Further sockets that are tried if a NAT cannot be classified.
const REOPENED_MAX: u32 = 3;
/// The first number of the many sockets.
const MANY_SOCKETS: u32 = 16;
/// Addresses of the other side that are probed.
const AIMS_MAX: usize = 8;
/// The time that a server gets to classify its NAT.
const PAUSE: Duration = Duration::from_secs(1);
/// Bound on an attempt: 1,750 probes take 35 s.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(45);
/// Probes that a server sends back; each is an echo of one byte.
const ECHOES_MAX: u32 = 64;

/// An action for the caller of a [`Puncher`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PunchAction {
    /// Open a socket with this number. Single bytes that arrive there go to [`Puncher::handle_probe`].
    Open(u32),
    /// Close the socket.
    Close(u32),
    /// Ask a node, and pass the answer to [`Puncher::handle_answer`] with this number.
    Request(u64, RequestSpec),
    /// Send one zero byte.
    Probe {
        /// The socket to send from.
        socket: u32,
        /// The destination.
        to: Address,
        /// The IP time to live, if not the default.
        ttl: Option<u8>,
    },
    /// Send the server's answer to the last message, from this socket.
    Answer {
        /// The socket to send from.
        socket: u32,
        /// The sealed payload.
        payload: Vec<u8>,
    },
    /// The attempt is over. All sockets have been closed except the one to connect the stream from.
    Done(Result<Punched, PunchError>),
}

/// A punched hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Punched {
    /// The socket.
    pub socket: u32,
    /// The other side's address, as that socket sees it.
    pub remote: Address,
}

/// The reason why there is no hole.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PunchError {
    /// The other side gave up.
    #[error("{0}")]
    Refused(PeerError),
    /// The other side does not answer.
    #[error("the peer does not answer holepunch messages")]
    NoAnswer,
    /// No probes can get through both firewalls, as far as these are known.
    #[error("no probe can get through our {here:?} and the peer's {there:?} firewall")]
    Hopeless {
        /// Our firewall.
        here: Firewall,
        /// The peer's firewall.
        there: Firewall,
    },
    /// The attempt would take thousands of probes, and another attempt is sending as many.
    #[error("another attempt is sending thousands of probes: try again later")]
    Busy,
    /// No probe arrived in time.
    #[error("no probe of the peer arrived in time")]
    TimedOut,
}

impl PunchError {
    /// Returns the error to send to the other side.
    fn told(self) -> PeerError {
        match self {
            Self::Busy => PeerError::TRY_LATER,
            _ => PeerError::ABORTED,
        }
    }
}

/// The handshake that an attempt belongs to, and the client's route to the server.
#[derive(Clone, Copy, Debug)]
pub struct Rendezvous {
    /// The server's target.
    pub target: Target,
    /// The server's number of the handshake.
    pub handshake: u64,
    /// The relay, and the server's address as it sees it.
    pub route: RelayRoute,
    /// The server's socket, as a relay saw it.
    pub server: Address,
}

/// The state of an attempt: a [machine](libvms_hypercore#machines) with actions.
#[derive(Debug)]
pub struct Puncher {
    role: Role,
    /// Only a client has one.
    rendezvous: Option<Rendezvous>,
    secrets: PunchSecrets,
    random: Random,
    nodes: Vec<Address>,
    first_socket: u32,
    reopened: u32,
    open: BTreeSet<u32>,
    nat: NatSamples,
    asked: BTreeMap<u64, Asked>,
    next_number: u64,
    phase: Phase,
    round: u64,
    remote: Remote,
    /// A message to answer once our NAT is classified.
    unanswered: Option<(HolepunchPayload, Address, bool)>,
    barrage: Option<ProbePlan>,
    echoes: u32,
    /// Whether thousands of probes may be sent now.
    is_large_allowed: bool,
    /// Whether thousands of probes were needed while they were not allowed.
    is_busy: bool,
    deadline: Instant,
    actions: VecDeque<PunchAction>,
}

/// The claims of the other side. Only the verified hosts are certain.
#[derive(Debug, Default)]
struct Remote {
    firewall: Firewall,
    addresses: Vec<Address>,
    token: Option<[u8; 32]>,
    verified: BTreeSet<Ipv4Addr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Sample(u32),
    Round,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The client waits for the answer to round 0.
    Introducing,
    /// The client asks again in a moment.
    Pausing(Instant),
    /// The client waits for its samples.
    Sampling,
    /// The client waits for the answer to round 1.
    Agreeing,
    /// The server answers messages.
    Serving,
    /// Both sides send probes.
    Punching,
    Over,
}

impl Puncher {
    /// Creates the client's side, after a handshake. `nodes` are nodes of the network that will report how they see us;
    /// `seed` must be 32 fresh random bytes; the numbers of its sockets begin at `first_socket`.
    pub fn client(
        now: Instant,
        rendezvous: Rendezvous,
        secret: [u8; 32],
        nodes: &[Address],
        seed: [u8; 32],
        first_socket: u32,
    ) -> Self {
        let mut puncher =
            Self::new(now, Role::Initiator, Some(rendezvous), secret, nodes, seed, first_socket);
        // Opens our own firewall for the byte that the server sends as soon as it knows our address.
        puncher.actions.push_back(PunchAction::Probe {
            socket: first_socket,
            to: rendezvous.server,
            ttl: Some(LOW_TTL),
        });
        puncher.send_round(false);
        puncher
    }

    /// Creates the server's side, from the handshake on. Send the answer to the handshake from its socket.
    pub fn server(
        now: Instant,
        secret: [u8; 32],
        nodes: &[Address],
        seed: [u8; 32],
        first_socket: u32,
    ) -> Self {
        let mut puncher = Self::new(now, Role::Responder, None, secret, nodes, seed, first_socket);
        puncher.phase = Phase::Serving;
        puncher
    }

    fn new(
        now: Instant,
        role: Role,
        rendezvous: Option<Rendezvous>,
        secret: [u8; 32],
        nodes: &[Address],
        seed: [u8; 32],
        first_socket: u32,
    ) -> Self {
        let mut random = Random::new(seed);
        let mut puncher = Self {
            role,
            rendezvous,
            secrets: PunchSecrets::new(secret, random.bytes()),
            random,
            nodes: nodes.iter().copied().take(SAMPLES).collect(),
            first_socket,
            reopened: 0,
            open: BTreeSet::new(),
            nat: NatSamples::default(),
            asked: BTreeMap::new(),
            next_number: 0,
            phase: Phase::Introducing,
            round: 0,
            remote: Remote::default(),
            unanswered: None,
            barrage: None,
            echoes: 0,
            is_large_allowed: false,
            is_busy: false,
            deadline: now + ATTEMPT_TIME_MAX,
            actions: VecDeque::new(),
        };
        puncher.open_and_sample();
        puncher
    }

    /// Sets whether it may send thousands of probes from now on: a process does that for one attempt at a time.
    pub fn allow_large(&mut self, is_allowed: bool) {
        self.is_large_allowed = is_allowed;
    }

    /// Returns the number of the socket that sends messages.
    pub fn socket(&self) -> u32 {
        self.first_socket + self.reopened
    }

    /// Returns whether this socket belongs to the attempt.
    pub fn has_socket(&self, socket: u32) -> bool {
        self.open.contains(&socket)
    }

    /// Returns the next action. Call it until there is none.
    pub fn poll_action(&mut self) -> Option<PunchAction> {
        self.actions.pop_front()
    }

    /// Returns when to call [`Puncher::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let pause = match self.phase {
            Phase::Pausing(until) => Some(until),
            Phase::Over => return None,
            _ => None,
        };
        let barrage = self.barrage.as_ref().and_then(ProbePlan::next_at);
        pause.into_iter().chain(barrage).chain([self.deadline]).min()
    }

    /// Returns until when probes may still arrive, once both sides send them. Before that it is unknown whether they
    /// will.
    pub fn probes_until(&self) -> Option<Instant> {
        let barrage = self.barrage.as_ref().filter(|_| self.phase == Phase::Punching)?;
        Some(barrage.over_at().min(self.deadline))
    }

    /// Acts on deadlines that have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Over {
            return;
        }
        if now >= self.deadline {
            self.finish(Err(PunchError::TimedOut));
            return;
        }
        if matches!(self.phase, Phase::Pausing(until) if until <= now) {
            self.phase = Phase::Introducing;
            self.send_round(false);
        }
        let Some(barrage) = &mut self.barrage else { return };
        let probes = barrage.probes(now, &mut self.random);
        let is_spread = barrage.sockets() > 1;
        for Probe { socket, to, ttl } in probes {
            let socket = if is_spread { self.first_socket + MANY_SOCKETS + socket } else { self.socket() };
            self.open_socket(socket);
            self.actions.push_back(PunchAction::Probe { socket, to, ttl });
        }
    }

    /// Takes a single byte that arrived.
    pub fn handle_probe(&mut self, socket: u32, from: Address) {
        if self.phase == Phase::Over || from.port() == 0 || !self.open.contains(&socket) {
            return;
        }
        if self.role == Role::Initiator {
            self.finish(Ok(Punched { socket, remote: from }));
        } else if self.echoes < ECHOES_MAX {
            self.echoes += 1;
            self.actions.push_back(PunchAction::Probe { socket, to: from, ttl: None });
        }
    }

    /// Closes all sockets but `kept`: the stream is connected, or given up.
    pub fn settle(&mut self, kept: Option<u32>) {
        if self.phase != Phase::Over {
            self.close_all_but(kept);
            self.phase = Phase::Over;
        }
    }

    /// Takes the answer to a request, or `None` if there will be none.
    pub fn handle_answer(&mut self, now: Instant, number: u64, answer: Option<&Answer>) {
        let Some(asked) = self.asked.remove(&number) else { return };
        if self.phase == Phase::Over {
            return;
        }
        match asked {
            Asked::Sample(socket) if socket == self.socket() => {
                answer.inspect(|answer| self.nat.add(answer.to));
                self.sampled(now);
            }
            Asked::Sample(_) => {}
            Asked::Round => self.take_round(now, answer),
        }
    }

    /// Handles the end of the sampling: the last samples are in, or will never be.
    fn sampled(&mut self, now: Instant) {
        if !self.is_sampling() {
            self.agree_if_sampled();
            self.answer_if_sampled(now);
        }
    }

    fn is_sampling(&self) -> bool {
        let current = Asked::Sample(self.socket());
        self.nat.firewall() == Firewall::Unknown && self.asked.values().any(|asked| *asked == current)
    }

    fn is_remote_unknown(&self) -> bool {
        self.remote.firewall == Firewall::Unknown || self.remote.token.is_none()
    }

    /// Takes the other side's claims, as far as they can be believed.
    fn learn(&mut self, payload: &HolepunchPayload, seen: Address) {
        if payload.firewall != Firewall::Unknown {
            self.remote.firewall = payload.firewall;
        }
        self.remote.token = payload.token.or(self.remote.token);
        if payload.remote_token == Some(self.secrets.token(&seen)) {
            self.remote.verified.insert(seen.ip());
        }
        // The server sent us its token through its own relay, which thereby vouches for its host.
        if self.role == Role::Initiator && payload.token.is_some() {
            self.remote.verified.insert(seen.ip());
        }
        for address in [seen].iter().chain(&payload.addresses) {
            if self.remote.addresses.len() < AIMS_MAX && !self.remote.addresses.contains(address) {
                self.remote.addresses.push(*address);
            }
        }
    }

    fn start_barrage(&mut self, now: Instant, starts_at: Instant) {
        if self.barrage.is_some() {
            return;
        }
        let is_verified = |address: &Address| self.remote.verified.contains(&address.ip());
        let aim = |address: &Address| ProbeTarget { address: *address, is_verified: is_verified(address) };
        let aims: Vec<ProbeTarget> = self.remote.addresses.iter().map(aim).collect();
        let barrage = ProbePlan::choose(self.nat.firewall(), self.remote.firewall, &aims, starts_at);
        self.is_busy = barrage.as_ref().is_some_and(|barrage| barrage.is_large() && !self.is_large_allowed);
        if barrage.is_some() && !self.is_busy {
            self.barrage = barrage;
            self.phase = Phase::Punching;
            self.handle_timeout(now);
        }
    }

    /// Returns the reason why no probes are sent.
    fn failure(&self) -> Option<PunchError> {
        match self.barrage {
            Some(_) => None,
            None if self.is_busy => Some(PunchError::Busy),
            None => Some(self.hopeless()),
        }
    }

    /// Returns whether many probes are being sent, or are about to be.
    pub fn is_large(&self) -> bool {
        self.barrage.as_ref().is_some_and(ProbePlan::is_large)
    }

    fn hopeless(&self) -> PunchError {
        PunchError::Hopeless { here: self.nat.firewall(), there: self.remote.firewall }
    }

    fn seal(&mut self, payload: &HolepunchPayload) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = *self.random.bytes().first_chunk().expect("32 bytes");
        self.secrets.seal(&nonce, payload)
    }

    fn open_and_sample(&mut self) {
        let socket = self.socket();
        self.open_socket(socket);
        for node in self.nodes.clone() {
            let (through, patience) = (
                Some(Socket::Puncher(socket)),
                RetryPolicy { tries: 2, timeout: Duration::from_millis(500) },
            );
            let spec = RequestSpec { socket: through, patience, ..RequestSpec::new(node, Command::PING) };
            self.ask(Asked::Sample(socket), spec);
        }
    }

    fn ask(&mut self, asked: Asked, spec: RequestSpec) {
        self.asked.insert(self.next_number, asked);
        self.actions.push_back(PunchAction::Request(self.next_number, spec));
        self.next_number += 1;
    }

    fn open_socket(&mut self, socket: u32) {
        if self.open.insert(socket) {
            self.actions.push_back(PunchAction::Open(socket));
        }
    }

    fn close_all_but(&mut self, kept: Option<u32>) {
        for socket in std::mem::take(&mut self.open) {
            if Some(socket) != kept {
                self.actions.push_back(PunchAction::Close(socket));
            }
        }
    }

    fn finish(&mut self, result: Result<Punched, PunchError>) {
        self.close_all_but(result.ok().map(|punched| punched.socket));
        self.phase = Phase::Over;
        self.actions.push_back(PunchAction::Done(result));
    }
}
