//! One attempt to connect to a peer by its key: [`Dialer`].
//!
//! The same first message of the handshake goes to every node that says it knows the peer, and to the relays that the
//! caller knows; each relays it, and the first answer that the peer itself has made wins. A forged answer changes
//! nothing. The result says where to connect the stream to ([`Dialed`]), or that a hole must be punched first. If the
//! peer was reached before, the nodes of that time are asked first, and others are searched only when one of them is
//! late.
//!
//! Pass it the node's results, then [`Dialer::poll_action`] until there is nothing. It has no timers: every request and
//! query ends by itself. Source: npm hyperdht (`lib/connect.js`).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

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
use crate::hyperdht::record::peer_target;
use crate::hyperdht::server::Reach;
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::secret_stream::noise_ik::Initiator;
use libvms_hypercore::secret_stream::{NoiseError, StreamKeys};

/// Relays asked at once. The second one costs the packets of a handshake and saves the timeout of a dead first.
const ASKED_AT_ONCE: usize = 2;
/// Relays asked in one attempt.
const ASKED_MAX: usize = 16;

/// For a node that reached the peer before: the peer is most likely still there, and if it is not, time is lost.
const KNOWN_PATIENCE: RetryPolicy = RetryPolicy::QUICK;

/// For a machine in a local network: it answers at once, or it is in another network. Two datagrams are lost together
/// now and then, and few routers lead datagrams to their own public address back in: the attempt would end with a hole
/// that cannot be punched.
const LOCAL_PATIENCE: RetryPolicy = RetryPolicy { tries: 4, timeout: Duration::from_millis(250) };

/// An action for the caller of a [`Dialer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialAction {
    /// Ask a node, and pass the answer to [`Dialer::handle_answer`] with this number.
    Request(u64, RequestSpec),
    /// Start a query, and pass the nodes' answers to [`Dialer::handle_peer_found`] and its end to
    /// [`Dialer::handle_searched`].
    Search(QuerySpec),
    /// The attempt is over. Requests and queries in progress can be cancelled.
    Done(Result<Dialed, DialError>),
}

/// The result of an attempt that the peer answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialed {
    /// The keys of the encrypted stream.
    pub keys: StreamKeys,
    /// Our id of the stream.
    pub local_stream: u32,
    /// The id that our packets carry.
    pub remote_stream: u32,
    /// How the stream begins.
    pub way: Way,
    /// The node that relayed the handshake, or was its server.
    pub through: Address,
    /// The peer's address as the relay saw it.
    pub server: Address,
    /// Our address as the peer, or the relay, saw it.
    pub client: Address,
    /// Nodes through which the peer can be reached another time.
    pub relays: Vec<Address>,
}

/// How a stream to a server begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Connect the stream from this socket to this address, and send.
    Connect(Socket, Address),
    /// Wait for the header of the server, for [`crate::hyperdht::server::FIRST_PACKET_TIMEOUT`].
    Await,
    /// Punch a hole: through one of these relays, with the node that relayed the handshake as the first choice.
    Punch {
        /// The relay of the handshake.
        relay: Address,
        /// The server's relays and its number of the handshake.
        relays: HolepunchRelays,
        /// The server's firewall, as it reports it.
        firewall: Firewall,
        /// The server's addresses, as it reports them.
        addresses: Vec<Address>,
    },
}

/// The reason why there is no connection.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DialError {
    /// The key is not a point of the curve.
    #[error(transparent)]
    Key(#[from] NoiseError),
    /// No node knows the peer.
    #[error("no node knows the peer")]
    NotFound,
    /// Nodes know the peer, and it does not answer: it is gone, or does not accept us.
    #[error("the peer does not answer through its relays")]
    NoAnswer,
    /// The peer refuses.
    #[error("{0}")]
    Refused(PeerError),
    /// The peer's answer is authentic but cannot be decoded.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The peer's answer has no stream.
    #[error("the peer's answer has no stream")]
    NoStream,
}

/// The state of an attempt: a [machine](libvms_hypercore#machines) with actions and without a clock.
#[derive(Debug)]
pub struct Dialer {
    remote: PublicKey,
    initiator: Initiator,
    target: Target,
    /// The envelope that every relay gets, except for its own fields.
    noise: Vec<u8>,
    reach: Reach,
    local_stream: u32,
    /// The nodes through which the peer was reached before.
    before: Vec<Address>,
    /// Further nodes that the caller knows; they are asked when the search begins.
    hints: Vec<Address>,
    waiting: VecDeque<Address>,
    /// The requests, by number.
    asked: Vec<Asked>,
    known: BTreeSet<Address>,
    search: Search,
    is_over: bool,
    actions: VecDeque<DialAction>,
}

/// The purpose of a request.
#[derive(Clone, Debug)]
enum Asked {
    Relay(Address),
    /// A ping in the local network, and the result if there is no answer.
    Local(Address, Box<Dialed>),
    Over,
}

/// The state of the search for relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Search {
    /// None yet: the peer was reached before, and if it is again, no search is needed.
    NotYet,
    /// In progress, from nodes that the caller knew.
    FromHints,
    /// The search from these nodes is over. If none of the nodes found reaches the peer, there will be another.
    HintsOver,
    /// In progress, from the table.
    FromTable,
    /// Over for good.
    Over,
}

impl Dialer {
    /// Creates an attempt to connect to `remote` as the owner of `local`. The peer was reached through the nodes
    /// `before` not long ago; `hints` are nodes that are said to know it; `random` must be 64 fresh random bytes.
    ///
    /// # Errors
    /// If `remote` is not a key.
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

    /// Returns the key of the peer.
    pub fn remote(&self) -> PublicKey {
        self.remote
    }

    /// Returns our id of the stream. Accept packets with it from now on: the server's may arrive before its answer.
    pub fn local_stream(&self) -> u32 {
        self.local_stream
    }

    /// Returns the next action. Call it until there is none.
    pub fn poll_action(&mut self) -> Option<DialAction> {
        self.actions.pop_front()
    }

    /// Takes the answer of a node to the query.
    pub fn handle_peer_found(&mut self, answer: &Answer) {
        // Any node with a record is a relay. The content of the record is not needed, and may be forged.
        if !self.is_over && answer.error.is_none() && answer.value.is_some() {
            self.add_relay(answer.from);
            self.ask_relays();
        }
    }

    /// Notes that the query is over.
    pub fn handle_searched(&mut self) {
        self.search = match self.search {
            Search::FromHints => Search::HintsOver,
            Search::NotYet | Search::HintsOver | Search::FromTable | Search::Over => Search::Over,
        };
        self.go_on();
    }

    /// Notes that the first try of a request has no answer yet.
    pub fn handle_late(&mut self, number: u64) {
        // Even if this node answers now, the others are still worth a search: the peer may have moved.
        if !self.is_over && matches!(self.asked.get(number as usize), Some(Asked::Relay(_))) {
            self.begin_search();
        }
    }

    /// Takes the answer to a request, or `None` if there will be none.
    pub fn handle_answer(&mut self, number: u64, answer: Option<&Answer>) {
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

    /// Takes a relay's answer, if the peer has made it.
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

    /// Returns the way that the peer's answer implies, and the address in our own network to try first.
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
        // No further requests from now on: the peer has answered.
        self.waiting.clear();
        self.search = Search::Over;
        let socket = Some(Socket::Client);
        let spec =
            RequestSpec { socket, patience: LOCAL_PATIENCE, ..RequestSpec::new(address, Command::PING) };
        self.ask(Asked::Local(address, Box::new(dialed)), spec);
    }

    /// Searches for relays, unless that has begun, from the known ones.
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

    /// Returns the number of asked nodes that may be dead. Nodes that reached the peer before do not count once others
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

    /// Searches, searches once more, or gives up, once all asked nodes have failed.
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

/// The route of an answer.
struct Reached {
    /// The node that was asked.
    relay: Address,
    /// The server as that node saw it; `None` if the node is the server.
    server: Option<Address>,
    /// Our address as that node saw it.
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

/// Returns the server's address in a network of ours, if both are behind the same public address: the one that shares
/// the longest prefix with one of our own.
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
