//! Peer discovery and connection management as in npm hyperswarm 4: the [`Swarm`].
//!
//! A topic is 32 bytes under which peers find each other: the discovery key of a core. The machine decides when to look
//! a topic up or announce it, which of the peers found to connect to and when to try again, and which of two
//! connections to the same peer to keep. The caller performs the lookups, handshakes and streams.
//!
//! [`SwarmNode`] combines the swarm with the DHT and the streams below it: datagrams in, connections out. `peer.rs`
//! holds the state of one peer (its priority, its next attempt), `topic.rs` when a topic is due. Source: npm hyperswarm
//! (`index.js`, `lib/peer-info.js`, `lib/retry-timer.js`, `lib/peer-discovery.js`).

pub mod node;
mod peer;
mod topic;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::dht_rpc::Address;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::random::Random;
use libvms_hypercore::time::Instant;
use libvms_hypercore::wire::Role;
use peer::{Peer, State};
use topic::Topic;

pub use node::SwarmNode;
pub use peer::Priority;

/// The key under which peers find each other.
pub type TopicKey = [u8; 32];

/// Attempts to connect at the same time.
const CONNECTING_MAX: usize = 3;
/// Peers that are remembered for the topics that we look up. Anybody can announce any number of keys.
const PEERS_MAX: usize = 4096;
/// Relays of a peer that are remembered.
const RELAYS_MAX: usize = 3;

/// A connection of this node. The caller numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// The roles of a node in a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// The node is announced, so that others connect to it.
    pub server: bool,
    /// The node looks for others, and connects to them.
    pub client: bool,
}

impl Roles {
    /// Both roles, as a holder of a core has them.
    pub const BOTH: Self = Self { server: true, client: true };
}

/// The configuration of a [`Swarm`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of connections from which no new one is made. The caller limits incoming ones.
    pub connections_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        // hyperswarm's number: one peer of many topics needs one connection.
        Self { connections_max: 64 }
    }
}

/// An action for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look the topic up, and announce this node in the same query if it is a server; then call
    /// [`Swarm::handle_refreshed`]. Pass peers that are found meanwhile to [`Swarm::handle_peer_found`].
    Refresh {
        /// The topic.
        topic: TopicKey,
        /// The roles of this node.
        roles: Roles,
    },
    /// Withdraw the announcement from the nodes that store it.
    Unannounce {
        /// The topic.
        topic: TopicKey,
    },
    /// Connect to a peer; then call [`Swarm::handle_connected`], [`Swarm::handle_dial_failed`] or
    /// [`Swarm::handle_dial_postponed`].
    Connect {
        /// The peer.
        peer: PublicKey,
        /// Nodes that may reach it.
        relays: Vec<Address>,
    },
    /// Close a connection: there is a better one to the same peer, or the peer is banned.
    Close {
        /// The connection.
        connection: ConnectionId,
    },
}

/// The decision about a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The connection is used.
    Kept,
    /// Close the connection: the peer is banned, or an older connection to it is kept.
    Refused,
}

/// The topics, peers and connections of one node.
///
/// A [machine](libvms_hypercore#machines) with actions.
#[derive(Debug)]
pub struct Swarm {
    own: PublicKey,
    config: Config,
    random: Random,
    topics: BTreeMap<TopicKey, Topic>,
    peers: BTreeMap<PublicKey, Peer>,
    connections: BTreeMap<PublicKey, Connection>,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    role: Role,
    since: Instant,
    /// Whether both sides have read a message that the other one encrypted.
    is_proved: bool,
}

impl Swarm {
    /// Creates a machine without topics. `own` is the key of this node; `seed` must be secret and random.
    pub fn new(own: PublicKey, config: Config, seed: [u8; 32]) -> Self {
        Self {
            own,
            config,
            random: Random::new(seed),
            topics: BTreeMap::new(),
            peers: BTreeMap::new(),
            connections: BTreeMap::new(),
            actions: VecDeque::new(),
        }
    }

    /// Returns the next action, if any.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout), if time alone can change anything.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let topics = self.topics.values().filter_map(Topic::due_at);
        // Without room no peer's turn comes: an end or a failure makes room, and starts attempts by itself.
        let peers = self.has_room().then(|| self.peers.values().filter_map(Peer::due_at));
        topics.chain(peers.into_iter().flatten()).min()
    }

    /// Joins a topic, or changes the roles of this node in it.
    pub fn join(&mut self, now: Instant, topic: TopicKey, roles: Roles) {
        let known = self.topics.entry(topic).or_insert_with(|| Topic::new(roles, now));
        if known.change(roles, now) {
            self.actions.push_back(Action::Unannounce { topic });
        }
        self.handle_timeout(now);
    }

    /// Leaves a topic. Connections that it led to stay; lost ones are not made again.
    pub fn leave(&mut self, topic: &TopicKey) {
        let Some(left) = self.topics.remove(topic) else { return };
        if left.roles().server {
            self.actions.push_back(Action::Unannounce { topic: *topic });
        }
        for peer in self.peers.values_mut() {
            peer.topics.remove(topic);
        }
        self.forget_useless();
    }

    /// Keeps a connection to the peer with this key.
    pub fn join_peer(&mut self, now: Instant, key: PublicKey) {
        if key != self.own {
            let peer = self.peers.entry(key).or_default();
            peer.is_explicit = true;
            peer.wish(now);
            self.dial(now);
        }
    }

    /// Stops keeping a connection to a peer; an existing one stays.
    pub fn leave_peer(&mut self, key: &PublicKey) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.is_explicit = false;
        }
        self.forget_useless();
    }

    /// Takes the result of a lookup of a topic: a peer, and nodes that may reach it.
    pub fn handle_peer_found(&mut self, now: Instant, topic: &TopicKey, key: PublicKey, relays: &[Address]) {
        let is_wanted = self.topics.get(topic).is_some_and(|topic| topic.roles().client);
        let has_room = self.peers.len() < PEERS_MAX || self.peers.contains_key(&key);
        if key == self.own || !is_wanted || !has_room {
            return;
        }
        let peer = self.peers.entry(key).or_default();
        peer.topics.insert(*topic);
        peer.relays = relays.iter().copied().take(RELAYS_MAX).collect();
        peer.found_again(now);
        self.dial(now);
    }

    /// Notes that a lookup, with its announcement, is over.
    pub fn handle_refreshed(&mut self, now: Instant, topic: &TopicKey) {
        let chance = self.chance();
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.refreshed(now, chance);
        }
    }

    /// Notes that no node answered a lookup, or none took the announcement: it is tried again soon.
    pub fn handle_refresh_failed(&mut self, now: Instant, topic: &TopicKey) {
        let chance = self.chance();
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.refresh_failed(now, chance);
        }
    }

    /// Looks everything up anew, because the network has changed.
    pub fn handle_network_changed(&mut self, now: Instant) {
        self.topics.values_mut().for_each(|topic| topic.hurry(now));
        self.handle_timeout(now);
    }

    /// Takes a connection that is open. Returns whether to use it; may ask to close an older one to the same peer.
    pub fn handle_connected(
        &mut self,
        now: Instant,
        id: ConnectionId,
        key: PublicKey,
        role: Role,
    ) -> Admission {
        let peer = self.peers.entry(key).or_default();
        if peer.is_banned || key == self.own {
            // An attempt that was in progress when the peer was banned is over as well, and makes room for another.
            peer.state = State::Idle;
            return Admission::Refused;
        }
        let existing = self
            .connections
            .get(&key)
            .map(|existing| (existing.id, self.is_newer_kept(existing, role, &key)));
        match existing {
            Some((_, false)) => return Admission::Refused,
            Some((older, true)) => self.actions.push_back(Action::Close { connection: older }),
            None => {}
        }
        self.connections.insert(key, Connection { id, role, since: now, is_proved: false });
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.connected();
        }
        self.dial(now);
        Admission::Kept
    }

    /// Notes that both sides of a connection have read a message that the other one encrypted.
    pub fn handle_proved(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.values_mut().find(|connection| connection.id == id) {
            connection.is_proved = true;
        }
    }

    /// Notes that a requested connection could not be made.
    pub fn handle_dial_failed(&mut self, now: Instant, key: &PublicKey) {
        let chance = self.chance();
        if let Some(peer) = self.peers.get_mut(key)
            && peer.state == State::Connecting
        {
            peer.lost(now, Duration::ZERO, chance);
        }
        self.forget_useless();
        self.dial(now);
    }

    /// Notes that a requested connection cannot be made at the moment, because the peer or this node is busy. It is
    /// tried again soon.
    pub fn handle_dial_postponed(&mut self, now: Instant, key: &PublicKey) {
        let chance = self.chance();
        if let Some(peer) = self.peers.get_mut(key)
            && peer.state == State::Connecting
        {
            peer.postpone(now, chance);
        }
        self.forget_useless();
        self.dial(now);
    }

    /// Notes that a kept connection is closed, by either side.
    pub fn handle_closed(&mut self, now: Instant, id: ConnectionId) {
        let found = self.connections.iter().find(|(_, connection)| connection.id == id);
        // A connection that was replaced by another is no loss.
        let Some((&key, connection)) = found else { return };
        let lasted = now - connection.since;
        self.connections.remove(&key);
        let chance = self.chance();
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.lost(now, lasted, chance);
        }
        self.forget_useless();
        self.dial(now);
    }

    /// Bans a peer that misbehaved: closes its connection, and makes or accepts no other.
    pub fn ban(&mut self, key: PublicKey) {
        self.peers.entry(key).or_default().is_banned = true;
        if let Some(connection) = self.connections.get(&key) {
            self.actions.push_back(Action::Close { connection: connection.id });
        }
    }

    /// Returns whether to leave handshakes of this peer unanswered.
    pub fn is_banned(&self, key: &PublicKey) -> bool {
        *key == self.own || self.peers.get(key).is_some_and(|peer| peer.is_banned)
    }

    /// Returns the banned peers.
    pub fn banned_peers(&self) -> impl Iterator<Item = &PublicKey> {
        self.peers.iter().filter(|(_, peer)| peer.is_banned).map(|(key, _)| key)
    }

    /// Acts on deadlines that have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (key, topic) in &mut self.topics {
            if topic.begin_if_due(now) {
                self.actions.push_back(Action::Refresh { topic: *key, roles: topic.roles() });
            }
        }
        self.dial(now);
    }

    /// Returns the joined topics.
    pub fn topics(&self) -> impl Iterator<Item = (&TopicKey, Roles)> {
        self.topics.iter().map(|(key, topic)| (key, topic.roles()))
    }

    /// Returns the connected peers.
    pub fn connected_peers(&self) -> impl Iterator<Item = (&PublicKey, ConnectionId)> {
        self.connections.iter().map(|(key, connection)| (key, connection.id))
    }

    /// Starts as many attempts as there is room for: the most promising peers first, by chance among equals.
    fn dial(&mut self, now: Instant) {
        while self.has_room() {
            let is_due = |peer: &Peer| peer.due_at().is_some_and(|at| at <= now);
            let due =
                self.peers.iter().filter(|(key, peer)| is_due(peer) && !self.connections.contains_key(*key));
            let Some(best) = due.clone().map(|(_, peer)| peer.priority()).max() else { return };
            let equals: Vec<PublicKey> =
                due.filter(|(_, peer)| peer.priority() == best).map(|(key, _)| *key).collect();
            let key = equals[self.chance() as usize % equals.len()];
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.state = State::Connecting;
                self.actions.push_back(Action::Connect { peer: key, relays: peer.relays.clone() });
            }
        }
    }

    fn has_room(&self) -> bool {
        let connecting = self.peers.values().filter(|peer| peer.state == State::Connecting).count();
        connecting < CONNECTING_MAX && self.connections.len() + connecting < self.config.connections_max
    }

    /// Returns whether the newer of two connections to one peer is kept. Both sides choose the same one.
    fn is_newer_kept(&self, existing: &Connection, newer: Role, peer: &PublicKey) -> bool {
        // A peer that connects anew although the old connection has worked has lost it, and we have not noticed yet.
        if existing.is_proved || existing.role == newer {
            return true;
        }
        let initiator = |role: Role| if role == Role::Initiator { &self.own.0 } else { &peer.0 };
        initiator(newer) > initiator(existing.role)
    }

    /// Forgets peers to which no connection is wanted, so that memory is bounded by the joined topics.
    fn forget_useless(&mut self) {
        let connections = &self.connections;
        self.peers.retain(|key, peer| peer.is_wanted() || peer.is_banned || connections.contains_key(key));
    }

    fn chance(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.random.bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

/// Returns a part of `most`, in whole milliseconds below it, as `chance` has it.
fn random_part(most: Duration, chance: u32) -> Duration {
    let most_ms = (most.as_millis() as u64).max(1);
    Duration::from_millis(u64::from(chance) % most_ms)
}
