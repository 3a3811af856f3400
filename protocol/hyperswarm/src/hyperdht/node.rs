//! A whole node of hyperdht as one machine: [`HyperDht`].
//!
//! Below it is the [`Node`], which knows other nodes; around that stand the parts of this layer: [`Storage`] and [`Router`]
//! serve others, a [`Listener`] with its [`Announcer`] is one server of ours, a [`Dialer`] one attempt to connect. This
//! file joins them and holds no rules: every request and query of a part has an owner, and what comes back goes to it.

mod dispatch;
mod punch;
mod serving;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::dht_rpc::address::{Address, Target};
use crate::dht_rpc::incoming::Socket;
use crate::dht_rpc::message::{Command, MessageError};
use crate::dht_rpc::nat_sampler::Observed;
use crate::dht_rpc::node::{
    Node, NodeStatus, QueryError, QueryId, QueryOutcome, RequestId, RequestSpec, Settings,
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
use punch::Punches;

/// Commands that this layer serves or refuses by itself.
const SERVED: std::ops::Range<u64> = 0..11;

/// Names an attempt to connect until it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DialId(u64);

/// Names an attempt to punch a hole until it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PunchId(u32);

/// Whom a server lets in. Its own key never.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AcceptPolicy {
    /// Whoever comes.
    #[default]
    Everybody,
    /// All but these.
    AllBut(BTreeSet<PublicKey>),
    /// Only these.
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

/// What the caller is to do or to know.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Send a datagram.
    Send {
        /// Through which socket.
        socket: Socket,
        /// To whom.
        to: Address,
        /// What.
        bytes: Vec<u8>,
        /// How many routers it may pass, if not as many as usual.
        ttl: Option<u8>,
    },
    /// A client shook hands with a server of ours, through this socket. It is to be shown to nobody before it has proved
    /// itself: see [`crate::hyperdht::server::Approach`].
    Accepted {
        /// The server's key.
        server: PublicKey,
        /// The socket that the handshake came in on, and its stream leaves from.
        socket: Socket,
        /// The connection to be.
        accepted: Accepted,
    },
    /// Open a socket of that number, which is [`Socket::Puncher`] of it. Single bytes that arrive there go to
    /// [`HyperDht::probed`].
    OpenSocket(u32),
    /// Close it.
    CloseSocket(u32),
    /// An attempt to punch a hole is over. The socket of a hole stays open, and belongs to the caller.
    Punched {
        /// Which.
        punch: PunchId,
        /// The hole.
        result: Result<Punched, PunchError>,
    },
    /// An attempt to connect is over.
    Dialed {
        /// Which.
        dial: DialId,
        /// How.
        result: Result<Dialed, DialError>,
    },
    /// The nodes that reach a server of ours are these now: topics should be announced with them.
    Announced {
        /// The server's key.
        server: PublicKey,
        /// Its relays.
        relays: Vec<Address>,
    },
    /// A server has stopped, and no node keeps anything about it.
    Stopped {
        /// The server's key.
        server: PublicKey,
    },
    /// A node knows peers of a topic. None of it is proved.
    Found {
        /// Which lookup.
        query: QueryId,
        /// Who said so.
        from: Address,
        /// What it said.
        reply: LookupReply,
    },
    /// A lookup, an announcement or a withdrawal is over.
    QueryDone {
        /// Which.
        query: QueryId,
        /// How.
        result: Result<QueryOutcome, QueryError>,
    },
    /// The first look around is over, or the first after a sleep, and so many nodes are known.
    Bootstrapped {
        /// How many.
        nodes: usize,
    },
    /// The node became persistent or ephemeral, or learned whether it is firewalled.
    StatusChanged(NodeStatus),
}

/// A node of hyperdht. Give it one input, then [`poll`](Self::poll) until nothing is left, and call
/// [`handle_timeout`](Self::handle_timeout) when [`next_timeout`](Self::next_timeout) has come.
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
    /// What has to be added to the steady clock in order to get milliseconds since 1970.
    unix_offset_ms: u64,
    events: VecDeque<Event>,
}

/// A server of ours.
#[derive(Debug)]
struct Server {
    listener: Listener,
    announcer: Announcer,
    welcome: AcceptPolicy,
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Dial(DialId),
    Server(Target),
    Punch(PunchId),
}

/// Whose query it is.
#[derive(Clone, Debug)]
enum Asker {
    Dial(DialId),
    Server(Target),
    Lookup,
    Announce { topic: Target, relays: Vec<Address>, key: SecretKey },
    Unannounce { topic: Target, key: SecretKey },
}

impl HyperDht {
    /// A node that knows nobody. `seed` must be secret and new each time. `unix_ms` is the time since 1970 at `now`.
    pub fn new(settings: Settings, seed: [u8; 32], now: u64, unix_ms: u64) -> Self {
        let mut random = Random::new(seed);
        let settings = Settings { served: SERVED, ..settings };
        Self {
            server_port: settings.server_port,
            node: Node::new(settings, random.bytes(), now),
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
            unix_offset_ms: unix_ms.saturating_sub(now),
            events: VecDeque::new(),
        }
    }

    /// The node below.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Looks around for the first time. Ends with [`Event::Bootstrapped`].
    pub fn bootstrap(&mut self, now: u64) {
        self.node.bootstrap(now);
        self.drive(now);
    }

    /// Says at which addresses of local networks the server socket listens. Peers behind the same firewall are told.
    pub fn set_local_addresses(&mut self, addresses: Vec<Address>) {
        self.local_addresses = addresses;
    }

    /// Takes a datagram that came in.
    ///
    /// # Errors
    /// Where it is none of the DHT: whoever else uses the socket may have it.
    pub fn receive(
        &mut self,
        now: u64,
        socket: Socket,
        from: Address,
        bytes: &[u8],
    ) -> Result<(), MessageError> {
        self.node.receive(now, socket, from, bytes)?;
        self.drive(now);
        Ok(())
    }

    /// What to do next. Call it until there is nothing.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn next_timeout(&self) -> u64 {
        let servers = self.servers.values().filter_map(|server| server.announcer.next_timeout());
        servers.chain(self.punches.next_timeout()).fold(self.node.next_timeout(), u64::min)
    }

    /// Does what time asks for.
    pub fn handle_timeout(&mut self, now: u64) {
        self.node.handle_timeout(now);
        for server in self.servers.values_mut() {
            server.announcer.handle_timeout(now);
        }
        self.punches.handle_timeout(now);
        self.drive(now);
    }

    /// Opens a server with this key pair, and makes it known. Does nothing if there is one.
    pub fn listen(&mut self, now: u64, key: &SecretKey, welcome: AcceptPolicy) {
        let target = peer_target(&key.public_key());
        let seed = self.random.bytes();
        self.servers.entry(target).or_insert_with(|| Server {
            listener: Listener::new(key.clone(), seed),
            announcer: Announcer::new(key.clone()),
            welcome,
        });
        self.drive(now);
    }

    /// Changes whom a server lets in from now on.
    pub fn set_accept_policy(&mut self, server: &PublicKey, welcome: AcceptPolicy) {
        if let Some(server) = self.servers.get_mut(&peer_target(server)) {
            server.welcome = welcome;
        }
    }

    /// Stops a server. [`Event::Stopped`] tells when the network has been told.
    pub fn stop(&mut self, now: u64, server: &PublicKey) {
        if let Some(server) = self.servers.get_mut(&peer_target(server)) {
            server.announcer.stop();
        }
        self.drive(now);
    }

    /// Begins to connect to the owner of `remote` as the owner of `local`. `relays` are nodes that may know it; those through
    /// which it was reached before are remembered here. Gives our number of the stream, too, which must wait for packets
    /// from now on.
    ///
    /// # Errors
    /// Where `remote` is no key.
    pub fn dial(
        &mut self,
        now: u64,
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

    /// Gives an attempt up. No [`Event::Dialed`] will come.
    pub fn cancel_dial(&mut self, dial: DialId) {
        self.dials.remove(&dial);
        self.cancel(dial);
    }

    /// Looks for peers of a topic.
    pub fn lookup(&mut self, now: u64, topic: Target) -> QueryId {
        self.start_query(now, Asker::Lookup, QuerySpec::new(topic, Command::LOOKUP))
    }

    /// Looks for peers of a topic, and announces that the owner of `key` is one, reached through `relays`.
    pub fn announce(&mut self, now: u64, topic: Target, relays: Vec<Address>, key: &SecretKey) -> QueryId {
        let asker = Asker::Announce { topic, relays, key: key.clone() };
        self.start_query(now, asker, QuerySpec { commits: true, ..QuerySpec::new(topic, Command::LOOKUP) })
    }

    /// Withdraws an announcement.
    pub fn unannounce(&mut self, now: u64, topic: Target, key: &SecretKey) -> QueryId {
        let asker = Asker::Unannounce { topic, key: key.clone() };
        self.start_query(now, asker, QuerySpec { commits: true, ..QuerySpec::new(topic, Command::LOOKUP) })
    }

    /// Gives a lookup, an announcement or a withdrawal up. No [`Event::QueryDone`] will come.
    pub fn cancel_query(&mut self, query: QueryId) {
        if self.queries.remove(&query).is_some() {
            self.node.cancel_query(query);
        }
    }

    /// The relays of a server, for records of topics.
    pub fn relay_addresses(&self, server: &PublicKey) -> Vec<Address> {
        let server = self.servers.get(&peer_target(server));
        server.map_or(vec![], |server| self.reach(server.announcer.relays()).relay_addresses())
    }

    /// How this node can be reached, and through whom.
    fn reach(&self, relays: &[crate::hyperdht::handshake_payload::RelayRoute]) -> Reach {
        let NodeStatus { address, is_firewalled } = self.node.standing();
        let socket = if is_firewalled { Socket::Client } else { Socket::Server };
        // A guest that others reach is known by what they see, if no firewall has given it another port.
        let seen = match self.node.observed() {
            Observed::Address(seen) if seen.port() == self.server_port => Some(seen),
            _ => None,
        };
        let public = address.or(seen).filter(|_| !is_firewalled);
        Reach { socket, public, local: self.local_addresses.clone(), relays: relays.to_vec() }
    }

    fn start_query(&mut self, now: u64, asker: Asker, spec: QuerySpec) -> QueryId {
        let query = self.node.start_query(now, spec);
        self.queries.insert(query, asker);
        self.drive(now);
        query
    }

    fn start_request(&mut self, now: u64, owner: Owner, number: u64, spec: RequestSpec) {
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
