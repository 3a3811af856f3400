//! From topics to connections, as npm hyperswarm 4 goes about it: the [`Swarm`].
//!
//! A topic is 32 bytes that peers meet under: the discovery key of a core. The machine says when to look a topic up or
//! announce it, whom of those who were found to connect to and when to try again, and which of two connections to the
//! same peer to keep. It does none of it: lookups, handshakes and streams are the caller's.
//!
//! [`SwarmNode`] is the whole: the swarm with the DHT and the streams below it, datagrams in and connections out.
//! `peer.rs` is what is known of one peer (its priority, its next attempt), `topic.rs` when a topic is due. Source: npm
//! hyperswarm (`index.js`, `lib/peer-info.js`, `lib/retry-timer.js`, `lib/peer-discovery.js`).

pub mod node;
mod peer;
mod topic;

use std::collections::{BTreeMap, VecDeque};

use crate::dht_rpc::Address;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::random::Random;
use libvms_hypercore::wire::Role;
use peer::{Peer, State};
use topic::Topic;

pub use node::SwarmNode;
pub use peer::Priority;

/// What peers meet under.
pub type TopicKey = [u8; 32];

/// Connections that are being made at the same time.
const CONNECTING_MAX: usize = 3;
/// Peers that are remembered for the topics that we look up. Anybody can announce any number of keys.
const PEERS_MAX: usize = 4096;
/// Relays of a peer that are remembered.
const RELAYS_MAX: usize = 3;

/// A connection of this node. The caller numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What a node is on a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// It is announced, so that others connect to it.
    pub server: bool,
    /// It looks for others, and connects to them.
    pub client: bool,
}

impl Roles {
    /// Both, which is what somebody who holds a core is.
    pub const BOTH: Self = Self { server: true, client: true };
}

/// How a [`Swarm`] works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// No new connection is made while there are so many. Incoming ones are the caller's to limit.
    pub connections_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        // hyperswarm's number: one peer of many topics needs one connection.
        Self { connections_max: 64 }
    }
}

/// What the caller is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look the topic up, announcing this node on the way if it is a server; then call [`Swarm::refreshed`]. Peers that
    /// are found on the way go to [`Swarm::found`].
    Refresh {
        /// Which.
        topic: TopicKey,
        /// As what.
        roles: Roles,
    },
    /// Take the announcement back from the nodes that hold it.
    Unannounce {
        /// Of which topic.
        topic: TopicKey,
    },
    /// Connect to a peer; then call [`Swarm::connected`], [`Swarm::failed`] or [`Swarm::postponed`].
    Connect {
        /// To whom.
        peer: PublicKey,
        /// Nodes that may reach it.
        relays: Vec<Address>,
    },
    /// Close a connection: there is a better one to the same peer, or the peer is banned.
    Close {
        /// Which.
        connection: ConnectionId,
    },
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is used.
    Kept,
    /// It is to be closed: the peer is banned, or an older connection to it is kept.
    Refused,
}

/// The topics, peers and connections of one node.
///
/// Give it one input, then [`poll`](Self::poll) until nothing is left. Times are milliseconds of a clock that never goes
/// back; call [`tick`](Self::tick) when [`next_deadline`](Self::next_deadline) has come.
#[derive(Debug)]
pub struct Swarm {
    own: PublicKey,
    settings: Settings,
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
    since: u64,
    /// Both sides have read what the other one encrypted.
    is_proved: bool,
}

impl Swarm {
    /// A machine without topics. `own` is the key of this node; `seed` must be secret and random.
    pub fn new(own: PublicKey, settings: Settings, seed: [u8; 32]) -> Self {
        Self {
            own,
            settings,
            random: Random::new(seed),
            topics: BTreeMap::new(),
            peers: BTreeMap::new(),
            connections: BTreeMap::new(),
            actions: VecDeque::new(),
        }
    }

    /// The next thing to do, if any.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`tick`](Self::tick), if time alone can change anything.
    pub fn next_deadline(&self) -> Option<u64> {
        let topics = self.topics.values().filter_map(Topic::due_at);
        // Without room no peer's turn comes: an end or a failure makes room, and looks by itself.
        let peers = self.has_room().then(|| self.peers.values().filter_map(Peer::due_at));
        topics.chain(peers.into_iter().flatten()).min()
    }

    /// Meets others under a topic, or changes what this node is on it.
    pub fn join(&mut self, now: u64, topic: TopicKey, roles: Roles) {
        let known = self.topics.entry(topic).or_insert_with(|| Topic::new(roles, now));
        if known.change(roles, now) {
            self.actions.push_back(Action::Unannounce { topic });
        }
        self.tick(now);
    }

    /// Leaves a topic. Connections that came of it stay; lost ones are not made again.
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

    /// Keeps a connection to a peer that is known by its key.
    pub fn join_peer(&mut self, now: u64, key: PublicKey) {
        if key != self.own {
            let peer = self.peers.entry(key).or_default();
            peer.is_explicit = true;
            peer.wish(now);
            self.dial(now);
        }
    }

    /// No longer keeps a connection to a peer; one that there is stays.
    pub fn leave_peer(&mut self, key: &PublicKey) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.is_explicit = false;
        }
        self.forget_useless();
    }

    /// A lookup of a topic has found a peer, and nodes that may reach it.
    pub fn found(&mut self, now: u64, topic: &TopicKey, key: PublicKey, relays: &[Address]) {
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

    /// A lookup, and the announcement that goes with it, is over.
    pub fn refreshed(&mut self, now: u64, topic: &TopicKey) {
        let chance = self.chance();
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.refreshed(now, chance);
        }
    }

    /// No node answered a lookup, or none took the announcement: it is tried again soon.
    pub fn refresh_failed(&mut self, now: u64, topic: &TopicKey) {
        let chance = self.chance();
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.refresh_failed(now, chance);
        }
    }

    /// The network has changed: everything is looked up anew.
    pub fn network_changed(&mut self, now: u64) {
        self.topics.values_mut().for_each(|topic| topic.hurry(now));
        self.tick(now);
    }

    /// A connection is open. Says whether to use it; may ask to close an older one to the same peer.
    pub fn connected(&mut self, now: u64, id: ConnectionId, key: PublicKey, role: Role) -> Admission {
        let peer = self.peers.entry(key).or_default();
        if peer.is_banned || key == self.own {
            // An attempt that was under way when it was banned is over as well, and leaves its place to another.
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

    /// Both sides of a connection have read something that the other one encrypted.
    pub fn proved(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.values_mut().find(|connection| connection.id == id) {
            connection.is_proved = true;
        }
    }

    /// A connection that was asked for could not be made.
    pub fn failed(&mut self, now: u64, key: &PublicKey) {
        let chance = self.chance();
        if let Some(peer) = self.peers.get_mut(key)
            && peer.state == State::Connecting
        {
            peer.lost(now, 0, chance);
        }
        self.forget_useless();
        self.dial(now);
    }

    /// A connection that was asked for cannot be made at the moment: the peer, or this node, has too much to do. It is tried
    /// again soon.
    pub fn postponed(&mut self, now: u64, key: &PublicKey) {
        let chance = self.chance();
        if let Some(peer) = self.peers.get_mut(key)
            && peer.state == State::Connecting
        {
            peer.postpone(now, chance);
        }
        self.forget_useless();
        self.dial(now);
    }

    /// A connection that was kept is closed, by whomever.
    pub fn closed(&mut self, now: u64, id: ConnectionId) {
        let found = self.connections.iter().find(|(_, connection)| connection.id == id);
        // One that another has replaced is no loss.
        let Some((&key, connection)) = found else { return };
        let lasted = now.saturating_sub(connection.since);
        self.connections.remove(&key);
        let chance = self.chance();
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.lost(now, lasted, chance);
        }
        self.forget_useless();
        self.dial(now);
    }

    /// A peer misbehaved: its connection is closed, and there will be no other.
    pub fn ban(&mut self, key: PublicKey) {
        self.peers.entry(key).or_default().is_banned = true;
        if let Some(connection) = self.connections.get(&key) {
            self.actions.push_back(Action::Close { connection: connection.id });
        }
    }

    /// Whether handshakes of this peer are to be left unanswered.
    pub fn is_banned(&self, key: &PublicKey) -> bool {
        *key == self.own || self.peers.get(key).is_some_and(|peer| peer.is_banned)
    }

    /// The peers that were banned.
    pub fn banned_peers(&self) -> impl Iterator<Item = &PublicKey> {
        self.peers.iter().filter(|(_, peer)| peer.is_banned).map(|(key, _)| key)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: u64) {
        for (key, topic) in &mut self.topics {
            if topic.begin_if_due(now) {
                self.actions.push_back(Action::Refresh { topic: *key, roles: topic.roles() });
            }
        }
        self.dial(now);
    }

    /// The topics that were joined.
    pub fn topics(&self) -> impl Iterator<Item = (&TopicKey, Roles)> {
        self.topics.iter().map(|(key, topic)| (key, topic.roles()))
    }

    /// The peers that are connected.
    pub fn connected_peers(&self) -> impl Iterator<Item = (&PublicKey, ConnectionId)> {
        self.connections.iter().map(|(key, connection)| (key, connection.id))
    }

    /// Starts as many connections as there is room for: the most promising peers first, by chance among equals.
    fn dial(&mut self, now: u64) {
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
        connecting < CONNECTING_MAX && self.connections.len() + connecting < self.settings.connections_max
    }

    /// Which of two connections to one peer stays, so that both sides choose the same one.
    fn is_newer_kept(&self, existing: &Connection, newer: Role, peer: &PublicKey) -> bool {
        // A peer that connects anew although the old connection has worked has lost it, and we have not noticed yet.
        if existing.is_proved || existing.role == newer {
            return true;
        }
        let initiator = |role: Role| if role == Role::Initiator { &self.own.0 } else { &peer.0 };
        initiator(newer) > initiator(existing.role)
    }

    /// Forgets peers that nobody wants a connection to, so that memory follows what was joined.
    fn forget_useless(&mut self) {
        let connections = &self.connections;
        self.peers.retain(|key, peer| peer.is_wanted() || peer.is_banned || connections.contains_key(key));
    }

    fn chance(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.random.bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}
