//! The accepting side of handshakes: [`Listener`], one for each key pair that peers may connect to.
//!
//! A handshake costs several multiplications on the curve, and anybody can send one, from any address, or replay an old
//! one. So these checks precede any computation: the same message gets the same answer, a message that was answered a
//! while ago gets none, and new ones are counted for each client, for each relay and for all together.
//!
//! The sender of a first message has proved its key, but neither that it is present now nor that its address is right.
//! Only a packet with our random stream id proves that: the id was inside the encrypted answer. Until then the
//! connection must not be reported, and only the header of the stream may be sent ([`Approach`]).
//!
//! Source: npm hyperdht (`lib/server.js`), which reports the connection at once.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use thiserror::Error;

use crate::dht_rpc::address::{Address, Target};
use crate::dht_rpc::incoming::Socket;
use crate::dht_rpc::rate_limit::{Rate, RateLimiter};
use crate::hyperdht::command::{Firewall, PeerError};
use crate::hyperdht::handshake_payload::{
    HandshakePayload, HolepunchRelays, PayloadError, RelayRoute, UdxStream,
};
use crate::hyperdht::record::{RELAYS_MAX, peer_target};
use crate::hyperdht::router::{Arrival, Content, Path};
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::random::Random;
use libvms_hypercore::secret_stream::noise_ik::Responder;
use libvms_hypercore::secret_stream::{NoiseError, StreamKeys};
use libvms_hypercore::time::Instant;

/// The time that a client has until its first packet. The reference waits as long.
pub const FIRST_PACKET_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer is kept for repetitions. A client asks through two relays at once and repeats itself for 4 s.
const ANSWER_KEPT: Duration = FIRST_PACKET_TIMEOUT.saturating_mul(2);

/// Most answers kept at once.
const ANSWERS_MAX: usize = 1_024;

/// Answered messages that are remembered, so that replays of them are worthless. Replays of forgotten ones are caught
/// by the proof: a replayer cannot read the answer.
const SPENT_MAX: usize = 8_192;

/// Handshakes of all clients together: about a tenth of one core.
const ALL: Rate = Rate { burst: 512, per_second: 256 };
/// Handshakes that one host sends, whether it is a client or a relay.
const PER_SENDER: Rate = Rate { burst: 256, per_second: 64 };
/// Handshakes of one client's host, as far as a relay can be believed.
const PER_CLIENT: Rate = Rate { burst: 64, per_second: 16 };
/// Streams that are begun towards one host that has proved nothing: 553 bytes each if it never answers.
const PER_DIALED: Rate = Rate { burst: 16, per_second: 2 };

/// The ways to reach this node, as far as it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The socket that sends requests and streams: the server socket, if there is no firewall.
    pub socket: Socket,
    /// The public address, if there is no firewall.
    pub public: Option<Address>,
    /// Addresses in local networks, with the port of the server socket; empty to keep them private.
    pub local: Vec<Address>,
    /// Nodes that relay messages, and how each sees this node.
    pub relays: Vec<RelayRoute>,
}

impl Default for Reach {
    /// Returns the reach of a node behind a firewall, without relays.
    fn default() -> Self {
        Self { socket: Socket::Client, public: None, local: vec![], relays: vec![] }
    }
}

impl Reach {
    /// Returns the firewall in front of this node.
    pub fn firewall(&self) -> Firewall {
        if self.public.is_some() { Firewall::Open } else { Firewall::Unknown }
    }

    /// Returns all addresses, the public one first.
    pub fn addresses(&self) -> Vec<Address> {
        self.public.iter().chain(&self.local).copied().collect()
    }

    /// Returns the nodes by which others find this one: itself, if it can be reached, and its relays.
    pub fn relay_addresses(&self) -> Vec<Address> {
        let relays = self.relays.iter().map(|route| route.relay);
        self.public.into_iter().chain(relays).take(RELAYS_MAX).collect()
    }
}

/// A pending connection: it opens if the client proves itself before the deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The listener's number of the handshake. Numbers are reused.
    pub handshake: u64,
    /// The keys of the encrypted stream.
    pub keys: StreamKeys,
    /// Our id of the stream, carried by the client's packets. A secret until the client uses it.
    pub local_stream: u32,
    /// The id that our packets carry.
    pub remote_stream: u32,
    /// How the stream begins.
    pub approach: Approach,
    /// The client's address: a relay's claim, unless the handshake came directly.
    pub client: Address,
    /// When to give up.
    pub deadline: Instant,
}

/// How a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approach {
    /// Send the header of the stream to this address, and nothing else until a packet came back: it may be a victim's.
    Dial(Address),
    /// Wait for the first packet with our stream id, from any address, and answer there.
    Await,
}

/// The answer to a first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The second message, which goes back along the route of the first one.
    pub answer: Vec<u8>,
    /// The listener's number of the handshake, unless it refused.
    pub handshake: Option<u64>,
    /// The pending connection, the first time.
    pub accepted: Option<Accepted>,
}

/// The reason why a first message is not answered.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Ignored {
    /// The message is for another key, or not a handshake.
    #[error("the handshake message is not for this server")]
    Foreign,
    /// The message was answered long ago.
    #[error("the handshake message is a replay")]
    Replayed,
    /// There are too many messages.
    #[error("too many handshake messages from {0}")]
    Flood(Address),
    /// The message is broken.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// The payload of the message is broken.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The server's policy does not accept this peer.
    #[error("peer {0} is not accepted")]
    Unwelcome(PublicKey),
}

/// Answers handshakes for one key pair.
pub struct Listener {
    key: SecretKey,
    target: Target,
    random: Random,
    answers: BTreeMap<MessageHash, Answered>,
    /// The keys of `answers`, the oldest first.
    order: VecDeque<MessageHash>,
    spent: VecDeque<MessageHash>,
    is_spent: std::collections::BTreeSet<MessageHash>,
    numbers: BTreeMap<u64, MessageHash>,
    limits: Limits,
}

type MessageHash = [u8; 32];

struct Answered {
    at: Instant,
    answer: Vec<u8>,
    number: Option<u64>,
}

struct Limits {
    all: RateLimiter,
    senders: RateLimiter,
    clients: RateLimiter,
    dialed: RateLimiter,
}

impl Listener {
    /// Creates a server with this key pair. `seed` must be 32 fresh random bytes.
    pub fn new(key: SecretKey, seed: [u8; 32]) -> Self {
        let limits = Limits {
            all: RateLimiter::new(ALL),
            senders: RateLimiter::new(PER_SENDER),
            clients: RateLimiter::new(PER_CLIENT),
            dialed: RateLimiter::new(PER_DIALED),
        };
        Self {
            target: peer_target(&key.public_key()),
            key,
            random: Random::new(seed),
            answers: BTreeMap::new(),
            order: VecDeque::new(),
            spent: VecDeque::new(),
            is_spent: std::collections::BTreeSet::new(),
            numbers: BTreeMap::new(),
            limits,
        }
    }

    /// Returns the target that clients look for.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Returns the key pair.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Takes a first message that arrived. `welcomes` decides whether a peer may connect; it is called once per
    /// message, after the peer has proved its key. Refused peers do not learn that there is a server.
    ///
    /// # Errors
    /// If no answer is to be sent.
    pub fn hear(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        reach: &Reach,
        welcomes: &mut dyn FnMut(&PublicKey) -> bool,
    ) -> Result<Heard, Ignored> {
        let Content::Handshake(noise) = &arrival.content else { return Err(Ignored::Foreign) };
        self.forget(now);
        let message = blake2b(&[noise]);
        if let Some(answered) = self.answers.get(&message) {
            let Answered { answer, number, .. } = answered;
            return Ok(Heard { answer: answer.clone(), handshake: *number, accepted: None });
        }
        if self.is_spent.contains(&message) {
            return Err(Ignored::Replayed);
        }
        if self.answers.len() >= ANSWERS_MAX || !self.limits.allow(now, arrival) {
            return Err(Ignored::Flood(arrival.client));
        }
        let (responder, payload) = Responder::receive(&self.key, noise)?;
        if !welcomes(&responder.remote()) {
            return Err(Ignored::Unwelcome(responder.remote()));
        }
        self.answer(now, message, responder, &payload, arrival, reach)
    }

    fn answer(
        &mut self,
        now: Instant,
        message: MessageHash,
        responder: Responder,
        payload: &[u8],
        arrival: &Arrival,
        reach: &Reach,
    ) -> Result<Heard, Ignored> {
        let offer = match HandshakePayload::decode(payload) {
            Ok(HandshakePayload { error: Some(_), .. } | HandshakePayload { udx: None, .. }) => {
                Err(PeerError::ABORTED)
            }
            Ok(HandshakePayload { udx: Some(stream), firewall, .. }) => {
                self.approach(now, firewall, arrival).map(|approach| (stream, approach))
            }
            Err(PayloadError::Version(_)) => Err(PeerError::VERSION_MISMATCH),
            Err(error) => return Err(error.into()),
        };
        let number = offer.is_ok().then(|| self.free_number());
        let local_stream = self.random_stream();
        let reply = match number {
            Some(number) => accept(number, local_stream, reach),
            None => HandshakePayload::refusal(offer.err().unwrap_or(PeerError::ABORTED)),
        };
        let (answer, keys) = responder.answer(&self.random.bytes(), &reply.encode())?;
        self.remember(now, message, answer.clone(), number);
        let accepted = offer.ok().zip(number).map(|((stream, approach), handshake)| Accepted {
            handshake,
            keys,
            local_stream,
            remote_stream: stream.id,
            approach,
            client: arrival.client,
            deadline: now + FIRST_PACKET_TIMEOUT,
        });
        Ok(Heard { answer, handshake: number, accepted })
    }

    /// Decides how a stream begins: a client that can be reached waits for our header; all others send theirs first.
    fn approach(
        &mut self,
        now: Instant,
        firewall: Firewall,
        arrival: &Arrival,
    ) -> Result<Approach, PeerError> {
        if firewall != Firewall::Open && arrival.path != Path::Direct {
            return Ok(Approach::Await);
        }
        let client = arrival.client;
        let may_dial = client.port() != 0 && self.limits.dialed.allows(now, client.ip());
        if may_dial { Ok(Approach::Dial(client)) } else { Err(PeerError::TRY_LATER) }
    }

    fn random_stream(&mut self) -> u32 {
        u32::from_le_bytes(*self.random.bytes().first_chunk().expect("32 bytes"))
    }

    /// Returns the smallest number that no living handshake has: the reference sends small ones, too.
    fn free_number(&self) -> u64 {
        (0..).find(|number| !self.numbers.contains_key(number)).expect("there are 1,024 handshakes at most")
    }

    fn remember(&mut self, now: Instant, message: MessageHash, answer: Vec<u8>, number: Option<u64>) {
        self.answers.insert(message, Answered { at: now, answer, number });
        self.order.push_back(message);
        number.inspect(|number| _ = self.numbers.insert(*number, message));
    }

    fn forget(&mut self, now: Instant) {
        while let Some(message) = self.order.front().copied() {
            let is_old = |answered: &Answered| answered.at + ANSWER_KEPT <= now;
            if !self.answers.get(&message).is_none_or(is_old) {
                break;
            }
            self.order.pop_front();
            let number = self.answers.remove(&message).and_then(|answered| answered.number);
            number.inspect(|number| _ = self.numbers.remove(number));
            self.spend(message);
        }
    }

    fn spend(&mut self, message: MessageHash) {
        self.is_spent.insert(message);
        self.spent.push_back(message);
        if self.spent.len() > SPENT_MAX {
            self.spent.pop_front().inspect(|oldest| _ = self.is_spent.remove(oldest));
        }
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.key.public_key();
        formatter.debug_struct("Listener").field("key", &key).field("answers", &self.answers.len()).finish()
    }
}

impl Limits {
    fn allow(&mut self, now: Instant, arrival: &Arrival) -> bool {
        let sender = match arrival.path {
            Path::Direct => arrival.client,
            Path::Relayed(relay) => relay,
        };
        self.senders.allows(now, sender.ip())
            && self.clients.allows(now, arrival.client.ip())
            && self.all.allows(now, Ipv4Addr::UNSPECIFIED)
    }
}

/// Returns the payload of a server's answer to a client that it connects with.
fn accept(number: u64, local_stream: u32, reach: &Reach) -> HandshakePayload {
    let holepunch = || HolepunchRelays { id: number, relays: reach.relays.clone() };
    HandshakePayload {
        firewall: reach.firewall(),
        holepunch: reach.public.is_none().then(holepunch),
        addresses: reach.addresses(),
        udx: Some(UdxStream { is_reusable_socket: false, id: local_stream, first_packet: 0 }),
        has_secret_stream: true,
        relay_addresses: reach.relay_addresses(),
        ..HandshakePayload::default()
    }
}
