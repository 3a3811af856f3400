//! One attempt to connect to a peer by its key: [`Dialer`].
//!
//! The same first message of the handshake goes to every node that says it knows the peer, and to the relays that the
//! caller knows of; each passes it on, and the first answer that the peer itself has made wins. An answer that somebody
//! else made up changes nothing. What comes out is where to connect the stream to ([`Dialed`]), or that a hole has
//! to be punched first. Where the peer was reached before, the nodes of that time are asked first, and the others are only
//! looked for when one of them is late.
//!
//! Give it what the node reports, then [`Dialer::poll`] until there is nothing. It has no timers: every request and query
//! ends by itself. Source: npm hyperdht (`lib/connect.js`).

use std::collections::{BTreeSet, VecDeque};

use thiserror::Error;

use crate::dht_rpc::address::{Address, Target};
use crate::dht_rpc::incoming::Socket;
use crate::dht_rpc::message::Command;
use crate::dht_rpc::node::RequestSpec;
use crate::dht_rpc::query::{Answer, QuerySpec};
use crate::dht_rpc::requests::RetryPolicy;
use crate::hyperdht::command::{Firewall, PeerError};
use crate::hyperdht::envelope::{HandshakeEnvelope, Mode};
use crate::hyperdht::handshake_payload::{HandshakePayload, HolepunchRelays, PayloadError, UdxStream};
use crate::hyperdht::noise::{Initiator, NoiseError, StreamKeys};
use crate::hyperdht::record::peer_target;
use crate::hyperdht::server::Reach;
use libvms_hypercore::identity::{PublicKey, SecretKey};

/// Relays that are asked at once. The second one costs a handshake's packets and saves the timeout of a dead first.
const ASKED_AT_ONCE: usize = 2;
/// Relays that are asked in one attempt.
const ASKED_MAX: usize = 16;

/// For a node through which the peer was reached before: it is most likely there, and if it is not, time is lost.
const KNOWN_PATIENCE: RetryPolicy = RetryPolicy::QUICK;

/// A machine in a local network answers at once, or it is in another one. Two datagrams are lost together now and then, and
/// few routers lead back in what they let out: the attempt would end with a hole that nobody can punch.
const LOCAL_PATIENCE: RetryPolicy = RetryPolicy { tries: 4, timeout_ms: 250 };

/// What a [`Dialer`] wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialAction {
    /// Ask a node, and give the answer to [`Dialer::answered`] with this number.
    Request(u64, RequestSpec),
    /// Start a query, and give what nodes say to [`Dialer::found`] and its end to [`Dialer::searched`].
    Search(QuerySpec),
    /// The attempt is over. What is still under way can be cancelled.
    Done(Result<Dialed, DialError>),
}

/// The peer answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialed {
    /// The keys of the encrypted stream.
    pub keys: StreamKeys,
    /// Our number of the stream.
    pub local_stream: u32,
    /// The number that our packets carry.
    pub remote_stream: u32,
    /// How the stream begins.
    pub way: Way,
    /// The node that passed on the handshake, or was its server.
    pub through: Address,
    /// Where the peer was seen.
    pub server: Address,
    /// Where the peer, or the relay, saw us.
    pub client: Address,
    /// Nodes through which the peer can be reached another time.
    pub relays: Vec<Address>,
}

/// How a stream to a server begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Connect the stream from this socket to this address, and send.
    Connect(Socket, Address),
    /// Wait for the header of the server, for [`crate::hyperdht::server::FIRST_PACKET_MS`].
    Await,
    /// Punch a hole: through one of these relays, with the node that passed on the handshake as the first choice.
    Punch {
        /// The relay of the handshake.
        relay: Address,
        /// The server's relays and its number of the handshake.
        relays: HolepunchRelays,
        /// What the server said of its firewall.
        firewall: Firewall,
        /// Where the server says it is.
        addresses: Vec<Address>,
    },
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DialError {
    /// What should be a key is none.
    #[error(transparent)]
    Key(#[from] NoiseError),
    /// No node knows the peer.
    #[error("no node knows the peer")]
    NotFound,
    /// Nodes know the peer, and it does not answer: it is gone, or does not want us.
    #[error("the peer does not answer through its relays")]
    NoAnswer,
    /// The peer refuses.
    #[error("{0}")]
    Refused(PeerError),
    /// The peer's answer is genuine and cannot be understood.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The peer's answer names no stream.
    #[error("the peer opened no stream")]
    NoStream,
}

/// The state of an attempt.
#[derive(Debug)]
pub struct Dialer {
    remote: PublicKey,
    initiator: Initiator,
    target: Target,
    /// The envelope that every relay gets, but for its own fields.
    noise: Vec<u8>,
    reach: Reach,
    local_stream: u32,
    /// The nodes through which the peer was reached before.
    before: Vec<Address>,
    /// Nodes that the caller knows besides; they are asked when the search begins.
    hints: Vec<Address>,
    waiting: VecDeque<Address>,
    /// What was asked, by number.
    asked: Vec<Asked>,
    known: BTreeSet<Address>,
    search: Search,
    is_over: bool,
    actions: VecDeque<DialAction>,
}

/// What a request was for.
#[derive(Clone, Debug)]
enum Asked {
    Relay(Address),
    /// A ping in the local network, and what is done if nothing comes back.
    Local(Address, Box<Dialed>),
    Over,
}

/// Where the search for relays stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Search {
    /// The peer was reached before: if it is again, nothing has to be searched.
    NotYet,
    /// It began at nodes that the caller knew.
    FromHints,
    /// That is over. If nobody who was found reaches the peer, there will be another.
    HintsOver,
    /// It began at the table.
    FromTable,
    /// There will be no other.
    Over,
}

impl Dialer {
    /// An attempt to connect to `remote` as the owner of `local`. Through the nodes `before` the peer was reached not long
    /// ago; `hints` are nodes that are said to know it; `random` must be 64 fresh random bytes.
    ///
    /// # Errors
    /// Where `remote` is no key.
    pub fn new(
        local: &SecretKey,
        remote: PublicKey,
        reach: Reach,
        (before, hints): (&[Address], &[Address]),
        random: &[u8; 64],
    ) -> Result<Self, DialError> {
        let (ephemeral, rest) = random.split_first_chunk().expect("64 bytes");
        let local_stream = u32::from_le_bytes(*rest.first_chunk().expect("32 bytes"));
        let payload = HandshakePayload {
            firewall: reach.firewall(),
            addresses: reach.addresses(),
            udx: Some(UdxStream { is_reusable_socket: false, id: local_stream, first_packet: 0 }),
            has_secret_stream: true,
            ..HandshakePayload::default()
        };
        let (initiator, noise) = Initiator::begin(local, remote, ephemeral, &payload.encode())?;
        let mut dialer = Self {
            remote,
            initiator,
            target: peer_target(&remote),
            noise,
            reach,
            local_stream,
            before: before.to_vec(),
            hints: hints.to_vec(),
            waiting: VecDeque::new(),
            asked: vec![],
            known: BTreeSet::new(),
            search: Search::NotYet,
            is_over: false,
            actions: VecDeque::new(),
        };
        before.iter().for_each(|relay| dialer.add_relay(*relay));
        dialer.ask_relays();
        dialer.go_on();
        Ok(dialer)
    }

    /// Who is to be reached.
    pub fn remote(&self) -> PublicKey {
        self.remote
    }

    /// Our number of the stream. It must wait for packets from now on: the server may be faster than its answer.
    pub fn local_stream(&self) -> u32 {
        self.local_stream
    }

    /// What to do next. Call it until there is nothing.
    pub fn poll(&mut self) -> Option<DialAction> {
        self.actions.pop_front()
    }

    /// A node answered the query.
    pub fn found(&mut self, answer: &Answer) {
        // Whoever has a record is a relay. What the record says is not needed, and may be made up.
        if !self.is_over && answer.error.is_none() && answer.value.is_some() {
            self.add_relay(answer.from);
            self.ask_relays();
        }
    }

    /// The query is over.
    pub fn searched(&mut self) {
        self.search = match self.search {
            Search::FromHints => Search::HintsOver,
            Search::NotYet | Search::HintsOver | Search::FromTable | Search::Over => Search::Over,
        };
        self.go_on();
    }

    /// The first try of a request has no answer yet.
    pub fn late(&mut self, number: u64) {
        // Whoever answers now, the others are still worth looking for: the peer may be elsewhere by now.
        if !self.is_over && matches!(self.asked.get(number as usize), Some(Asked::Relay(_))) {
            self.begin_search();
        }
    }

    /// A request has an answer, or will have none.
    pub fn answered(&mut self, number: u64, answer: Option<&Answer>) {
        let Some(asked) = self.asked.get_mut(number as usize) else { return };
        let asked = std::mem::replace(asked, Asked::Over);
        if self.is_over {
            return;
        }
        match (asked, answer) {
            (Asked::Relay(relay), Some(answer)) => self.take_answer(relay, answer),
            (Asked::Local(address, dialed), Some(_)) => {
                // The server's address in the local network is that of its server socket; so must ours be.
                let way = Way::Connect(Socket::Server, address);
                self.finish(Ok(Dialed { way, ..*dialed }));
            }
            (Asked::Local(_, dialed), None) => self.finish(Ok(*dialed)),
            (Asked::Relay(_) | Asked::Over, _) => {}
        }
        self.ask_relays();
        self.go_on();
    }

    /// Takes what a relay answered, if the peer has made it.
    fn take_answer(&mut self, relay: Address, answer: &Answer) {
        let Some(value) = &answer.value else { return };
        let Ok(envelope) = HandshakeEnvelope::decode(value) else { return };
        if envelope.mode != Mode::Reply {
            return;
        }
        if let Ok((payload, keys)) = self.initiator.finish(&envelope.noise) {
            let reached = Reached { relay, server: envelope.peer, client: answer.to };
            match self.read_payload(&payload, keys, &reached) {
                Ok((dialed, Some(local))) => self.try_local(local, dialed),
                Ok((dialed, None)) => self.finish(Ok(dialed)),
                Err(error) => self.finish(Err(error)),
            }
        }
    }

    /// What the peer's answer means, and the address in our own network to try first.
    fn read_payload(
        &self,
        payload: &[u8],
        keys: StreamKeys,
        reached: &Reached,
    ) -> Result<(Dialed, Option<Address>), DialError> {
        let payload = HandshakePayload::decode(payload)?;
        if let Some(error) = payload.error {
            return Err(DialError::Refused(error));
        }
        let stream = payload.udx.ok_or(DialError::NoStream)?;
        let way = choose_way(&self.reach, &payload, reached);
        let local = match way {
            Way::Punch { .. } => local_address(&self.reach, &payload, reached),
            Way::Connect(..) | Way::Await => None,
        };
        let dialed = Dialed {
            keys,
            local_stream: self.local_stream,
            remote_stream: stream.id,
            way,
            through: reached.relay,
            server: reached.server.unwrap_or(reached.relay),
            client: reached.client,
            relays: payload.relay_addresses,
        };
        Ok((dialed, local))
    }

    fn try_local(&mut self, address: Address, dialed: Dialed) {
        // Nothing else is asked from now on: the peer has answered.
        self.waiting.clear();
        self.search = Search::Over;
        let socket = Some(Socket::Client);
        let spec =
            RequestSpec { socket, patience: LOCAL_PATIENCE, ..RequestSpec::new(address, Command::PING) };
        self.ask(Asked::Local(address, Box::new(dialed)), spec);
    }

    /// Searches for relays, unless that has begun, beginning at those that are known.
    fn begin_search(&mut self) {
        if self.search != Search::NotYet {
            return;
        }
        let hints = std::mem::take(&mut self.hints);
        self.search = if hints.is_empty() { Search::FromTable } else { Search::FromHints };
        self.start_search(hints.clone());
        hints.into_iter().for_each(|hint| self.add_relay(hint));
        self.ask_relays();
    }

    fn start_search(&mut self, nodes: Vec<Address>) {
        let spec = QuerySpec { nodes, ..QuerySpec::new(self.target, Command::FIND_PEER) };
        self.actions.push_back(DialAction::Search(spec));
    }

    fn add_relay(&mut self, relay: Address) {
        if self.known.len() < ASKED_MAX && relay.port() != 0 && self.known.insert(relay) {
            self.waiting.push_back(relay);
        }
    }

    fn ask_relays(&mut self) {
        while !self.is_over && self.asking() < ASKED_AT_ONCE {
            let Some(relay) = self.waiting.pop_front() else { return };
            let patience =
                if self.before.contains(&relay) { KNOWN_PATIENCE } else { RetryPolicy::PERSISTENT };
            let noise = self.noise.clone();
            let envelope = HandshakeEnvelope { mode: Mode::FromClient, noise, peer: None, relay: None };
            let (target, value) = (Some(self.target), Some(envelope.encode()));
            let spec = RequestSpec::new(relay, Command::PEER_HANDSHAKE);
            self.ask(Asked::Relay(relay), RequestSpec { target, value, patience, ..spec });
        }
    }

    fn ask(&mut self, asked: Asked, spec: RequestSpec) {
        self.actions.push_back(DialAction::Request(self.asked.len() as u64, spec));
        self.asked.push(asked);
    }

    /// How many nodes are asked that are not known to be there. Those of the time before take nobody's turn once others
    /// are searched for: all of them may be gone.
    fn asking(&self) -> usize {
        let is_searching = self.search != Search::NotYet;
        let counts = |asked: &&Asked| match asked {
            Asked::Relay(relay) => !(is_searching && self.before.contains(relay)),
            Asked::Local(..) => true,
            Asked::Over => false,
        };
        self.asked.iter().filter(counts).count()
    }

    fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || self.asked.iter().any(|asked| !matches!(asked, Asked::Over))
    }

    /// When all who were asked have failed: searches, or searches once more, or gives up.
    fn go_on(&mut self) {
        if self.is_over || self.is_waiting() {
            return;
        }
        match self.search {
            Search::NotYet => self.begin_search(),
            Search::FromHints | Search::FromTable => {}
            Search::HintsOver => {
                self.search = Search::FromTable;
                self.start_search(vec![]);
            }
            Search::Over if self.known.is_empty() => self.finish(Err(DialError::NotFound)),
            Search::Over => self.finish(Err(DialError::NoAnswer)),
        }
    }

    fn finish(&mut self, result: Result<Dialed, DialError>) {
        self.is_over = true;
        self.waiting.clear();
        self.actions.push_back(DialAction::Done(result));
    }
}

/// How an answer came.
struct Reached {
    /// The node that was asked.
    relay: Address,
    /// The server as that node saw it; none if the node is the server.
    server: Option<Address>,
    /// We, as that node saw us.
    client: Address,
}

fn choose_way(reach: &Reach, payload: &HandshakePayload, reached: &Reached) -> Way {
    let connect = |address| Way::Connect(reach.socket, address);
    let Some(server) = reached.server else { return connect(reached.relay) };
    let punchable = payload.holepunch.as_ref().filter(|holepunch| !holepunch.relays.is_empty());
    match punchable {
        Some(relays) if payload.firewall != Firewall::Open => {
            if reach.public.is_some() {
                return Way::Await;
            }
            Way::Punch {
                relay: reached.relay,
                relays: relays.clone(),
                firewall: payload.firewall,
                addresses: payload.addresses.clone(),
            }
        }
        _ => {
            let public = payload.addresses.iter().find(|address| !address.is_bogon() && address.port() != 0);
            connect(public.copied().unwrap_or(server))
        }
    }
}

/// The server's address in a network of ours, if both are behind the same public address: the one that has most in
/// common with one of our own.
fn local_address(reach: &Reach, payload: &HandshakePayload, reached: &Reached) -> Option<Address> {
    let server = reached.server?;
    if server.ip() != reached.client.ip() {
        return None;
    }
    let in_common = |address: &Address| {
        let bits = |own: &Address| (own.ip().to_bits() ^ address.ip().to_bits()).leading_zeros();
        reach.local.iter().map(bits).max().unwrap_or(0)
    };
    let candidates = payload.addresses.iter().filter(|address| address.is_bogon() && address.port() != 0);
    candidates.max_by_key(|address| in_common(address)).copied()
}
