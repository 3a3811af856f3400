//! Messages between two peers that pass through this node: [`Router`].
//!
//! ```text
//! receiver            mode                what happens
//! server for target   FROM_CLIENT         arrival; the answer is a response REPLY to the client
//! server for target   FROM_RELAY          arrival; the answer is a request FROM_SERVER to the relay
//! server for target   FROM_SECOND_RELAY   arrival; the answer is a request FROM_SERVER to the relay that is named
//! others              FROM_CLIENT         request FROM_RELAY to the relay that is named, or along the route
//! others              FROM_CLIENT         without either: closer nodes
//! others              FROM_RELAY          request FROM_SECOND_RELAY along the route
//! anybody             FROM_SERVER         response REPLY to the client that is named
//! ```
//!
//! All hops carry the client's number of the request, are sent once, and leave from the socket that the message came in
//! on. FROM_SERVER comes from wherever the server likes: a firewalled one sends it from a fresh socket, whose address
//! the client is to learn. Anything else is met with silence. Source: npm hyperdht (`lib/router.js`).
//!
//! Any node can be made to send something to an address of the sender's choice. So that it is a poor weapon, what is
//! passed on is hardly larger than what came in and is counted per host on both sides; and [`Node`] refuses to send to
//! itself, to port 0, or from a public network into a private one.
//!
//! [`Node`]: crate::dht_rpc::Node

use crate::dht_rpc::address::{Address, Target};
use crate::dht_rpc::incoming::{Incoming, Reply};
use crate::dht_rpc::message::Command;
use crate::dht_rpc::node::Forward;
use crate::dht_rpc::rate_limit::{Rate, RateLimiter};
use crate::hyperdht::envelope::{HandshakeEnvelope, HolepunchEnvelope, Mode};
use crate::hyperdht::holepunch::payload::NONCE_BYTES;
use crate::hyperdht::noise::{FIRST_OVERHEAD_BYTES, SECOND_OVERHEAD_BYTES};

/// A message of the handshake or a holepunch payload has at most so many bytes: with everything around it, it fits
/// into one packet on every network.
const CARRIED_BYTES_MAX: usize = 1_000;

/// The nonce, the authentication code and four numbers.
const HOLEPUNCH_BYTES_MIN: usize = NONCE_BYTES + 16 + 4;

/// How often messages of one host are passed on: a house full of peers that connect at once is well below.
const FROM_HOST: Rate = Rate { burst: 200, per_second: 50 };

/// How often messages are passed on to one host. A busy server behind this relay gets 100 connections per second; a
/// victim that never asked gets 20 kB/s, of which the attacker had to send as much.
const TO_HOST: Rate = Rate { burst: 400, per_second: 100 };

/// A request that travels, as the node received it.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Who sent it.
    pub from: Address,
    /// PEER_HANDSHAKE or PEER_HOLEPUNCH.
    pub command: Command,
    /// Whom the client wants to reach.
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

/// What this node knows about the target of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// A server of this node.
    Here,
    /// The peer announced itself from there.
    At(Address),
    /// Nothing.
    Unknown,
}

/// What to do with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is for a server of this node.
    Arrived(Arrival),
    /// Ask another node, under the same number.
    Request(Forward),
    /// Answer the client that asked another node.
    Response {
        /// The client.
        to: Address,
        /// The answer.
        value: Vec<u8>,
    },
    /// Answer with this.
    Reply(Reply),
    /// Nothing.
    Drop,
}

/// A message of a client that has reached its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which server it is for.
    pub target: Target,
    /// The message.
    pub content: Content,
    /// The client. Only if it came directly, this is where the datagram came from; else it is a relay's word.
    pub client: Address,
    /// How it came, and how the answer goes back.
    pub path: Path,
}

/// What an envelope carried.
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

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// From the client itself.
    Direct,
    /// Through the relay, which takes the answer.
    Relayed(Address),
}

impl Arrival {
    /// What takes an answer back: a reply, or a request to the relay.
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

/// Decides where messages between peers go.
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
    pub fn route(&mut self, now: u64, passing: &Passing<'_>, whereabouts: Whereabouts) -> Verdict {
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

    fn may_forward(&mut self, now: u64, from: Address, to: Address) -> bool {
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
            // Not an error: the client is to go on looking.
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
