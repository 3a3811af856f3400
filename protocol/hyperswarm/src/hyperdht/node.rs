//! A whole node of hyperdht, without I/O: [`HyperDht`].
//!
//! It combines the [`Node`] of the table with the parts of this layer: [`Storage`] and [`Router`] serve others, a
//! [`Listener`] with its [`Announcer`] is one server of ours, a [`Dialer`] one attempt to connect. This file connects
//! the parts and holds no rules: every request and query of a part has an owner, which gets the result.

mod dispatch;
mod punch;
mod serving;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::dht_rpc::address::{Address, Target};
use crate::dht_rpc::incoming::Socket;
use crate::dht_rpc::message::{Command, MessageError};
use crate::dht_rpc::nat_sampler::Observed;
use crate::dht_rpc::node::{
    Config, Node, NodeStatus, QueryError, QueryId, QueryOutcome, RequestId, RequestSpec,
};
use crate::dht_rpc::query::QuerySpec;
use crate::hyperdht::announcer::Announcer;
use crate::hyperdht::client::{DialError, Dialed, Dialer};
use crate::hyperdht::holepunch::puncher::{PunchError, Punched};
use crate::hyperdht::known_relays::KnownRelays;
use crate::hyperdht::record::{LookupReply, peer_target};
use crate::hyperdht::record_store::Storage;
use crate::hyperdht::router::Router;
use crate::hyperdht::server::{Accepted, Listener, Reach};
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::random::Random;
use libvms_hypercore::time::Instant;
use punch::Punches;

/// Commands that this layer serves or refuses by itself.
const SERVED: std::ops::Range<u64> = 0..11;

/// Identifies an attempt to connect until it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DialId(u64);

/// Identifies an attempt to punch a hole until it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PunchId(u32);

/// The peers that a server accepts. Its own key is never accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AcceptPolicy {
    /// All peers.
    #[default]
    Everybody,
    /// All peers but these.
    AllBut(BTreeSet<PublicKey>),
    /// Only these peers.
    Only(BTreeSet<PublicKey>),
}

impl AcceptPolicy {
    fn includes(&self, key: &PublicKey) -> bool {
        match self {
            Self::Everybody => true,
            Self::AllBut(banned) => !banned.contains(key),
            Self::Only(known) => known.contains(key),
        }
    }
}

/// An action or a piece of news for the caller.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a datagram.
    Send {
        /// The socket to send from.
        socket: Socket,
        /// The destination.
        to: Address,
        /// The datagram.
        bytes: Vec<u8>,
        /// The IP time to live, if not the default.
        ttl: Option<u8>,
    },
    /// A client shook hands with a server of ours, through this socket. Do not report the connection before the client
    /// has proved itself: see [`crate::hyperdht::server::Approach`].
    Accepted {
        /// The server's key.
        server: PublicKey,
        /// The socket at which the handshake arrived, and from which its stream sends.
        socket: Socket,
        /// The pending connection.
        accepted: Accepted,
    },
    /// Open a socket with this number, as [`Socket::Puncher`]. Single bytes that arrive there go to
    /// [`HyperDht::handle_probe`].
    OpenSocket(u32),
    /// Close a socket.
    CloseSocket(u32),
    /// An attempt to punch a hole is over. The socket of a hole stays open, and belongs to the caller.
    Punched {
        /// The attempt.
        punch: PunchId,
        /// The hole.
        result: Result<Punched, PunchError>,
    },
    /// An attempt to connect is over.
    Dialed {
        /// The attempt.
        dial: DialId,
        /// Its result.
        result: Result<Dialed, DialError>,
    },
    /// The relays of a server of ours have changed: announce topics with them.
    Announced {
        /// The server's key.
        server: PublicKey,
        /// Its relays.
        relays: Vec<Address>,
    },
    /// A server has stopped, and no node stores anything about it.
    Stopped {
        /// The server's key.
        server: PublicKey,
    },
    /// A node knows peers of a topic. Its records are not verified.
    Found {
        /// The lookup.
        query: QueryId,
        /// The node.
        from: Address,
        /// Its answer.
        reply: LookupReply,
    },
    /// A lookup, an announcement or a withdrawal is over.
    QueryDone {
        /// The query.
        query: QueryId,
        /// Its result.
        result: Result<QueryOutcome, QueryError>,
    },
    /// The first bootstrap is over, or the first after a sleep.
    Bootstrapped {
        /// Number of nodes in the table.
        nodes: usize,
    },
    /// The node became persistent or ephemeral, or learned whether it is firewalled.
    StatusChanged(NodeStatus),
}

/// A node of hyperdht: a [machine](libvms_hypercore#machines) with actions.
#[derive(Debug)]
pub struct HyperDht {
    node: Node,
    storage: Storage,
    router: Router,
    random: Random,
    servers: BTreeMap<Target, Server>,
    dials: BTreeMap<DialId, Dialer>,
    next_dial: u64,
    known_relays: KnownRelays,
    punches: Punches,
    requests: BTreeMap<RequestId, (Owner, u64)>,
    queries: BTreeMap<QueryId, Asker>,
    local_addresses: Vec<Address>,
    server_port: u16,
    /// Milliseconds to add to the steady clock to get milliseconds since 1970.
    unix_offset_ms: u64,
    actions: VecDeque<Action>,
}

/// A server of ours.
#[derive(Debug)]
struct Server {
    listener: Listener,
    announcer: Announcer,
    welcome: AcceptPolicy,
}

/// The owner of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Dial(DialId),
    Server(Target),
    Punch(PunchId),
}

/// The owner of a query.
#[derive(Clone, Debug)]
enum Asker {
    Dial(DialId),
    Server(Target),
    Lookup,
    Announce { topic: Target, relays: Vec<Address>, key: SecretKey },
    Unannounce { topic: Target, key: SecretKey },
}

impl HyperDht {
    /// Creates a node with an empty table. `seed` must be secret and new each time. `unix_ms` is the time since 1970 at
    /// `now`.
    pub fn new(config: Config, seed: [u8; 32], now: Instant, unix_ms: u64) -> Self {
        let mut random = Random::new(seed);
        let config = Config { served: SERVED, ..config };
        Self {
            server_port: config.server_port,
            node: Node::new(config, random.bytes(), now),
            storage: Storage::new(random.bytes()),
            router: Router::default(),
            random,
            servers: BTreeMap::new(),
            dials: BTreeMap::new(),
            next_dial: 0,
            known_relays: KnownRelays::default(),
            punches: Punches::default(),
            requests: BTreeMap::new(),
            queries: BTreeMap::new(),
            local_addresses: vec![],
            unix_offset_ms: unix_ms.saturating_sub(now.as_millis()),
            actions: VecDeque::new(),
        }
    }

    /// Returns the node of the table.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Bootstraps the node. Ends with [`Action::Bootstrapped`].
    pub fn bootstrap(&mut self, now: Instant) {
        self.node.bootstrap(now);
        self.drive(now);
    }

    /// Sets the addresses in local networks at which the server socket listens. They are sent to peers behind the same
    /// firewall.
    pub fn set_local_addresses(&mut self, addresses: Vec<Address>) {
        self.local_addresses = addresses;
    }

    /// Takes a datagram that arrived.
    ///
    /// # Errors
    /// If it is not a message of the DHT: pass it to the other user of the socket.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        socket: Socket,
        from: Address,
        bytes: &[u8],
    ) -> Result<(), MessageError> {
        self.node.handle_datagram(now, socket, from, bytes)?;
        self.drive(now);
        Ok(())
    }

    /// Returns the next action. Call it until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let servers = self.servers.values().filter_map(|server| server.announcer.poll_timeout());
        servers.chain(self.punches.next_timeout()).chain(self.node.poll_timeout()).min()
    }

    /// Acts on deadlines that have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.node.handle_timeout(now);
        for server in self.servers.values_mut() {
            server.announcer.handle_timeout(now);
        }
        self.punches.handle_timeout(now);
        self.drive(now);
    }

    /// Opens a server with this key pair, and announces it. Does nothing if there is one.
    pub fn listen(&mut self, now: Instant, key: &SecretKey, welcome: AcceptPolicy) {
        let target = peer_target(&key.public_key());
        let seed = self.random.bytes();
        self.servers.entry(target).or_insert_with(|| Server {
            listener: Listener::new(key.clone(), seed),
            announcer: Announcer::new(key.clone()),
            welcome,
        });
        self.drive(now);
    }

    /// Changes the peers that a server accepts from now on.
    pub fn set_accept_policy(&mut self, server: &PublicKey, welcome: AcceptPolicy) {
        if let Some(server) = self.servers.get_mut(&peer_target(server)) {
            server.welcome = welcome;
        }
    }

    /// Stops a server. [`Action::Stopped`] comes when the network has forgotten it.
    pub fn stop(&mut self, now: Instant, server: &PublicKey) {
        if let Some(server) = self.servers.get_mut(&peer_target(server)) {
            server.announcer.stop();
        }
        self.drive(now);
    }

    /// Begins to connect to the owner of `remote` as the owner of `local`. `relays` are nodes that may know it; those
    /// that reached it before are remembered here. Also returns our id of the stream: accept packets with it from now
    /// on.
    ///
    /// # Errors
    /// If `remote` is not a key.
    pub fn dial(
        &mut self,
        now: Instant,
        local: &SecretKey,
        remote: PublicKey,
        relays: &[Address],
    ) -> Result<(DialId, u32), DialError> {
        let mut random = [0; 64];
        random[..32].copy_from_slice(&self.random.bytes());
        random[32..].copy_from_slice(&self.random.bytes());
        let nodes = (self.known_relays.of(now, &remote), relays);
        let dialer = Dialer::new(local, remote, self.reach(&[]), nodes, &random)?;
        let (dial, stream) = (DialId(self.next_dial), dialer.local_stream());
        self.next_dial += 1;
        self.dials.insert(dial, dialer);
        self.drive(now);
        Ok((dial, stream))
    }

    /// Cancels an attempt. No [`Action::Dialed`] will come.
    pub fn cancel_dial(&mut self, dial: DialId) {
        self.dials.remove(&dial);
        self.cancel(dial);
    }

    /// Starts a lookup of the peers of a topic.
    pub fn lookup(&mut self, now: Instant, topic: Target) -> QueryId {
        self.start_query(now, Asker::Lookup, QuerySpec::new(topic, Command::LOOKUP))
    }

    /// Starts a lookup of the peers of a topic, and announces that the owner of `key` is one, reached through `relays`.
    pub fn announce(
        &mut self,
        now: Instant,
        topic: Target,
        relays: Vec<Address>,
        key: &SecretKey,
    ) -> QueryId {
        let asker = Asker::Announce { topic, relays, key: key.clone() };
        self.start_query(now, asker, QuerySpec { commits: true, ..QuerySpec::new(topic, Command::LOOKUP) })
    }

    /// Starts to withdraw an announcement.
    pub fn unannounce(&mut self, now: Instant, topic: Target, key: &SecretKey) -> QueryId {
        let asker = Asker::Unannounce { topic, key: key.clone() };
        self.start_query(now, asker, QuerySpec { commits: true, ..QuerySpec::new(topic, Command::LOOKUP) })
    }

    /// Cancels a lookup, an announcement or a withdrawal. No [`Action::QueryDone`] will come.
    pub fn cancel_query(&mut self, query: QueryId) {
        if self.queries.remove(&query).is_some() {
            self.node.cancel_query(query);
        }
    }

    /// Returns the relays of a server, for records of topics.
    pub fn relay_addresses(&self, server: &PublicKey) -> Vec<Address> {
        let server = self.servers.get(&peer_target(server));
        server.map_or(vec![], |server| self.reach(server.announcer.relays()).relay_addresses())
    }

    /// Returns how this node can be reached, and through which relays.
    fn reach(&self, relays: &[crate::hyperdht::handshake_payload::RelayRoute]) -> Reach {
        let NodeStatus { address, is_firewalled } = self.node.standing();
        let socket = if is_firewalled { Socket::Client } else { Socket::Server };
        // An ephemeral node that others reach is known by the address that they see, if no firewall maps it to another
        // port.
        let seen = match self.node.observed() {
            Observed::Address(seen) if seen.port() == self.server_port => Some(seen),
            _ => None,
        };
        let public = address.or(seen).filter(|_| !is_firewalled);
        Reach { socket, public, local: self.local_addresses.clone(), relays: relays.to_vec() }
    }

    fn start_query(&mut self, now: Instant, asker: Asker, spec: QuerySpec) -> QueryId {
        let query = self.node.start_query(now, spec);
        self.queries.insert(query, asker);
        self.drive(now);
        query
    }

    fn start_request(&mut self, now: Instant, owner: Owner, number: u64, spec: RequestSpec) {
        let request = self.node.start_request(now, spec);
        self.requests.insert(request, (owner, number));
    }

    fn cancel(&mut self, dial: DialId) {
        let node = &mut self.node;
        self.requests.retain(|request, (owner, _)| {
            let is_over = *owner == Owner::Dial(dial);
            if is_over {
                node.cancel_request(*request);
            }
            !is_over
        });
        self.queries.retain(|query, asker| {
            let is_over = matches!(asker, Asker::Dial(id) if *id == dial);
            if is_over {
                node.cancel_query(*query);
            }
            !is_over
        });
    }
}
