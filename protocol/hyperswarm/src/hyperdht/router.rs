//! Relaying of messages between two peers through this node: [`Router`].
//!
//! ```text
//! receiver            mode                action
//! server for target   FROM_CLIENT         arrival; the answer is a response REPLY to the client
//! server for target   FROM_RELAY          arrival; the answer is a request FROM_SERVER to the relay
//! server for target   FROM_SECOND_RELAY   arrival; the answer is a request FROM_SERVER to the named relay
//! others              FROM_CLIENT         request FROM_RELAY to the named relay, or along the route
//! others              FROM_CLIENT         without either: closer nodes
//! others              FROM_RELAY          request FROM_SECOND_RELAY along the route
//! anybody             FROM_SERVER         response REPLY to the named client
//! ```
//!
//! All hops carry the client's number of the request, are sent once, and leave from the socket at which the message
//! arrived. FROM_SERVER may come from any address: a firewalled server sends it from a fresh socket, whose address the
//! client must learn. Anything else gets no answer. Source: npm hyperdht (`lib/router.js`).
//!
//! Any node can be made to send to an address of the sender's choice. To make it a poor weapon, a relayed message is
//! hardly larger than the received one and is counted per host on both sides; and [`Node`] refuses to send to itself,
//! to port 0, or from a public network into a private one.
//!
//! [`Node`]: crate::dht_rpc::Node

use crate::dht_rpc::address::{Address, Target};
use crate::dht_rpc::incoming::{Incoming, Reply};
use crate::dht_rpc::message::Command;
use crate::dht_rpc::node::Forward;
use crate::dht_rpc::rate_limit::{Rate, RateLimiter};
use crate::hyperdht::envelope::{HandshakeEnvelope, HolepunchEnvelope, Mode};
use crate::hyperdht::holepunch::payload::NONCE_BYTES;
use libvms_hypercore::secret_stream::noise_ik::{FIRST_OVERHEAD_BYTES, SECOND_OVERHEAD_BYTES};
use libvms_hypercore::time::Instant;

/// Most bytes of a handshake message or a holepunch payload: with all headers it fits into one packet on every network.
const CARRIED_BYTES_MAX: usize = 1_000;

/// Bytes of the nonce, the authentication code and four numbers.
const HOLEPUNCH_BYTES_MIN: usize = NONCE_BYTES + 16 + 4;

/// The rate at which messages of one host are relayed: a house full of peers that connect at once is well below.
const FROM_HOST: Rate = Rate { burst: 200, per_second: 50 };

/// The rate at which messages are relayed to one host. A busy server behind this relay gets 100 connections per second;
/// a victim that never asked gets 20 kB/s, and the attacker had to send as much.
const TO_HOST: Rate = Rate { burst: 400, per_second: 100 };

/// A request on its way, as the node received it.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// The sender.
    pub from: Address,
    /// PEER_HANDSHAKE or PEER_HOLEPUNCH.
    pub command: Command,
    /// The peer that the client wants to reach.
    pub target: Option<&'a Target>,
    /// The envelope.
    pub value: Option<&'a [u8]>,
}

impl<'a> From<&'a Incoming> for Passing<'a> {
    fn from(incoming: &'a Incoming) -> Self {
        Self {
            from: incoming.handle.from(),
            command: incoming.command,
            target: incoming.target.as_ref(),
            value: incoming.value.as_deref(),
        }
    }
}

/// This node's knowledge about the target of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// The target is a server of this node.
    Here,
    /// The peer announced itself from this address.
    At(Address),
    /// The target is unknown.
    Unknown,
}

/// The action for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The message is for a server of this node.
    Arrived(Arrival),
    /// Send a request to another node, under the same number.
    Request(Forward),
    /// Send a response to the client, which asked another node.
    Response {
        /// The client.
        to: Address,
        /// The answer.
        value: Vec<u8>,
    },
    /// Answer with this.
    Reply(Reply),
    /// Do nothing.
    Drop,
}

/// A message of a client that has reached its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The target, which identifies the server.
    pub target: Target,
    /// The message.
    pub content: Content,
    /// The client. If the message came directly, the source of the datagram; else a relay's claim.
    pub client: Address,
    /// The route of the message, and of the answer.
    pub path: Path,
}

/// The content of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The first message of a handshake.
    Handshake(Vec<u8>),
    /// A sealed payload for the handshake with this number.
    Holepunch {
        /// The server's number of the handshake.
        id: u64,
        /// The sealed payload.
        payload: Vec<u8>,
    },
}

/// The route of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// From the client itself.
    Direct,
    /// Through this relay, which takes the answer.
    Relayed(Address),
}

impl Arrival {
    /// Returns the verdict that sends an answer back: a reply, or a request to the relay.
    pub fn answer(&self, answer: &[u8]) -> Verdict {
        let (mode, peer) = match self.path {
            Path::Direct => (Mode::Reply, None),
            Path::Relayed(_) => (Mode::FromServer, Some(self.client)),
        };
        let (command, value) = match self.content {
            Content::Handshake(_) => {
                let envelope = HandshakeEnvelope { mode, noise: answer.to_vec(), peer, relay: None };
                (Command::PEER_HANDSHAKE, envelope.encode())
            }
            Content::Holepunch { .. } => {
                let envelope = HolepunchEnvelope { mode, id: 0, payload: answer.to_vec(), peer };
                (Command::PEER_HOLEPUNCH, envelope.encode())
            }
        };
        match self.path {
            Path::Direct => Verdict::Reply(Reply { value: Some(value), ..Reply::default() }),
            Path::Relayed(relay) => request(relay, command, self.target, value),
        }
    }
}

/// Decides the routes of messages between peers.
#[derive(Debug)]
pub struct Router {
    from_host: RateLimiter,
    to_host: RateLimiter,
}

impl Default for Router {
    fn default() -> Self {
        Self { from_host: RateLimiter::new(FROM_HOST), to_host: RateLimiter::new(TO_HOST) }
    }
}

impl Router {
    /// Decides about one message.
    pub fn route(&mut self, now: Instant, passing: &Passing<'_>, whereabouts: Whereabouts) -> Verdict {
        let verdict = match passing.command {
            Command::PEER_HANDSHAKE => handshake(passing, whereabouts),
            Command::PEER_HOLEPUNCH => holepunch(passing, whereabouts),
            _ => None,
        };
        let verdict = verdict.unwrap_or(Verdict::Drop);
        match &verdict {
            Verdict::Request(Forward { to, .. }) | Verdict::Response { to, .. }
                if !self.may_forward(now, passing.from, *to) =>
            {
                Verdict::Drop
            }
            _ => verdict,
        }
    }

    fn may_forward(&mut self, now: Instant, from: Address, to: Address) -> bool {
        self.from_host.allows(now, from.ip()) && self.to_host.allows(now, to.ip())
    }
}

fn handshake(passing: &Passing<'_>, whereabouts: Whereabouts) -> Option<Verdict> {
    let target = *passing.target?;
    let HandshakeEnvelope { mode, noise, peer, relay } = HandshakeEnvelope::decode(passing.value?).ok()?;
    let bytes_min = if mode == Mode::FromServer { SECOND_OVERHEAD_BYTES } else { FIRST_OVERHEAD_BYTES };
    if !(bytes_min..=CARRIED_BYTES_MAX).contains(&noise.len()) {
        return None;
    }
    let forward = |to: Address, envelope: HandshakeEnvelope| {
        Some(request(to, Command::PEER_HANDSHAKE, target, envelope.encode()))
    };
    let arrived = |noise: Vec<u8>, client: Address, path: Path| {
        Some(Verdict::Arrived(Arrival { target, content: Content::Handshake(noise), client, path }))
    };
    match (mode, whereabouts) {
        (Mode::FromServer, _) => {
            let (to, peer) = (peer?, Some(passing.from));
            let envelope = HandshakeEnvelope { mode: Mode::Reply, noise, peer, relay: None };
            Some(Verdict::Response { to, value: envelope.encode() })
        }
        (Mode::FromClient, Whereabouts::Here) => arrived(noise, passing.from, Path::Direct),
        (Mode::FromRelay, Whereabouts::Here) => arrived(noise, peer?, Path::Relayed(passing.from)),
        (Mode::FromSecondRelay, Whereabouts::Here) => arrived(noise, peer?, Path::Relayed(relay?)),
        (Mode::FromClient, _) => match relay.or(whereabouts.address()) {
            Some(to) => {
                let peer = Some(passing.from);
                forward(to, HandshakeEnvelope { mode: Mode::FromRelay, noise, peer, relay: None })
            }
            // Not an error: the client should continue its search.
            None => Some(Verdict::Reply(Reply { with_closer: true, ..Reply::default() })),
        },
        (Mode::FromRelay, Whereabouts::At(to)) => {
            let (peer, relay) = (Some(peer?), Some(passing.from));
            forward(to, HandshakeEnvelope { mode: Mode::FromSecondRelay, noise, peer, relay })
        }
        _ => None,
    }
}

fn holepunch(passing: &Passing<'_>, whereabouts: Whereabouts) -> Option<Verdict> {
    let target = *passing.target?;
    let HolepunchEnvelope { mode, id, payload, peer } = HolepunchEnvelope::decode(passing.value?).ok()?;
    if !(HOLEPUNCH_BYTES_MIN..=CARRIED_BYTES_MAX).contains(&payload.len()) {
        return None;
    }
    let arrived = |payload: Vec<u8>, client: Address, path: Path| {
        Some(Verdict::Arrived(Arrival { target, content: Content::Holepunch { id, payload }, client, path }))
    };
    match (mode, whereabouts) {
        (Mode::FromServer, _) => {
            let (to, peer) = (peer?, Some(passing.from));
            let envelope = HolepunchEnvelope { mode: Mode::Reply, id, payload, peer };
            Some(Verdict::Response { to, value: envelope.encode() })
        }
        (Mode::FromClient, Whereabouts::Here) => arrived(payload, passing.from, Path::Direct),
        (Mode::FromRelay, Whereabouts::Here) => arrived(payload, peer?, Path::Relayed(passing.from)),
        (Mode::FromClient, _) => {
            let (to, peer) = (peer.or(whereabouts.address())?, Some(passing.from));
            let envelope = HolepunchEnvelope { mode: Mode::FromRelay, id, payload, peer };
            Some(request(to, Command::PEER_HOLEPUNCH, target, envelope.encode()))
        }
        _ => None,
    }
}

impl Whereabouts {
    fn address(self) -> Option<Address> {
        match self {
            Self::At(address) => Some(address),
            Self::Here | Self::Unknown => None,
        }
    }
}

fn request(to: Address, command: Command, target: Target, value: Vec<u8>) -> Verdict {
    Verdict::Request(Forward { to, socket: None, command, target: Some(target), value: Some(value) })
}
