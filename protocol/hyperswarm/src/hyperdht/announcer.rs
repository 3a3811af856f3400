//! Announcing a server: [`Announcer`] for its key, [`announce_at`] and [`unannounce_at`] for topics.
//!
//! The announcer asks the nodes closest to the hash of the server's key to store a route to it, and keeps that route
//! open: a server behind a firewall can be reached only by nodes that it sends a datagram every few seconds. These
//! nodes are the relays that the server names in handshakes and in records of topics.
//!
//! ```text
//! FIND_PEER query -> ANNOUNCE at the 3 closest -> PING them every 3 s -> after 5 min, or when one is lost: again
//!                                                                     -> UNANNOUNCE at those no longer used
//! stop: FIND_PEER at each relay, for a token -> UNANNOUNCE
//! ```
//!
//! Source: npm hyperdht (`lib/announcer.js`).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::dht_rpc::address::{Address, Target};
use crate::dht_rpc::message::{Command, Token};
use crate::dht_rpc::node::{Commit, RequestSpec};
use crate::dht_rpc::query::{Answer, QuerySpec};
use crate::dht_rpc::requests::RetryPolicy;
use crate::hyperdht::announce::{Announcement, Destination, Purpose};
use crate::hyperdht::handshake_payload::RelayRoute;
use crate::hyperdht::record::{PeerRecord, RELAYS_MAX, peer_target};
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::time::Instant;

/// How often relays are pinged: firewalls forget a UDP mapping after 30 s or later.
const PING_INTERVAL: Duration = Duration::from_secs(3);
/// How long each of a ping's two tries waits: both are over before the next ping.
const PING_TIMEOUT: Duration = Duration::from_millis(1_499);
/// Rounds of pings before the server is announced again: 5 minutes, of the 13 that records live.
const ROUNDS_MAX: u32 = 100;
/// How long to wait if no node could be found.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// An action for the caller of an [`Announcer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnounceAction {
    /// Ask a node, and pass the answer to [`Announcer::handle_answer`] with this number.
    Request(u64, RequestSpec),
    /// Start a query, and pass its result to [`Announcer::handle_searched`].
    Search(QuerySpec),
    /// The relays have changed: see [`Announcer::relays`].
    RelaysChanged,
    /// The announcer has stopped: as far as it can tell, no node stores anything about the server any more.
    Stopped,
}

/// Keeps one server announced: a [machine](libvms_hypercore#machines) with actions, whose inputs are the node's
/// results.
#[derive(Debug)]
pub struct Announcer {
    key: SecretKey,
    target: Target,
    state: State,
    relays: Vec<RelayRoute>,
    /// The relays of the announcement in progress: they replace the others when all have answered.
    acknowledged: Vec<RelayRoute>,
    /// Nodes to begin the next query with.
    closest: Vec<Address>,
    asked: BTreeMap<u64, Asked>,
    next_number: u64,
    actions: VecDeque<AnnounceAction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A query is in progress.
    Searching,
    /// The closest nodes have been asked to store the route.
    Announcing,
    /// Relays are pinged.
    Resting {
        next_at: Instant,
        rounds: u32,
        answered: usize,
    },
    /// Relays are asked to forget the route.
    Stopping,
    Stopped,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Announce(RelayRoute),
    Ping,
    /// For a token, in order to unannounce.
    Find(Address),
    Unannounce,
}

impl Announcer {
    /// Creates an announcer for the server with this key pair, and begins to announce it.
    pub fn new(key: SecretKey) -> Self {
        let mut announcer = Self {
            target: peer_target(&key.public_key()),
            key,
            state: State::Searching,
            relays: vec![],
            acknowledged: vec![],
            closest: vec![],
            asked: BTreeMap::new(),
            next_number: 0,
            actions: VecDeque::new(),
        };
        announcer.search();
        announcer
    }

    /// Returns the nodes that reach the server, and the server's address as each sees it. At most three.
    pub fn relays(&self) -> &[RelayRoute] {
        &self.relays
    }

    /// Returns the next action. Call it until there is none.
    pub fn poll_action(&mut self) -> Option<AnnounceAction> {
        self.actions.pop_front()
    }

    /// Returns when to call [`Announcer::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Resting { next_at, .. } => Some(next_at),
            State::Searching | State::Announcing | State::Stopping | State::Stopped => None,
        }
    }

    /// Acts on deadlines that have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let State::Resting { next_at, rounds, answered } = self.state else { return };
        if now < next_at {
            return;
        }
        let is_one_lost = rounds > 0 && answered < self.relays.len();
        if self.relays.is_empty() || is_one_lost || rounds >= ROUNDS_MAX {
            self.search();
        } else {
            self.ping(now, rounds + 1);
        }
    }

    /// Announces again at once, because this machine's network has changed.
    pub fn refresh(&mut self) {
        if let State::Resting { .. } = self.state {
            self.search();
        }
    }

    /// Asks the relays to forget the server. [`AnnounceAction::Stopped`] comes when that is done.
    pub fn stop(&mut self) {
        if matches!(self.state, State::Stopping | State::Stopped) {
            return;
        }
        self.state = State::Stopping;
        self.asked.retain(|_, asked| matches!(asked, Asked::Announce(_)));
        let relays =
            std::mem::take(&mut self.relays).into_iter().chain(std::mem::take(&mut self.acknowledged));
        for relay in relays.map(|route| route.relay).collect::<std::collections::BTreeSet<_>>() {
            self.find(relay);
        }
        self.stop_when_all_is_done();
    }

    /// Takes the result of the query: `closest` are the nodes that answered, the closest first.
    pub fn handle_searched(&mut self, now: Instant, closest: &[Answer]) {
        if self.state != State::Searching {
            return;
        }
        self.closest = closest.iter().map(|answer| answer.from).collect();
        self.state = State::Announcing;
        let chosen = closest.iter().filter(|answer| can_store(answer)).take(RELAYS_MAX);
        for answer in chosen {
            let Some(value) = signed(Purpose::Announce, &self.target, &[], answer, &self.key) else {
                continue;
            };
            let route = RelayRoute { relay: answer.from, peer: answer.to };
            let spec = self.spec(answer.from, Command::ANNOUNCE, answer.token, Some(value));
            self.ask(Asked::Announce(route), spec);
        }
        self.rest_when_all_is_announced(now);
    }

    /// Takes the answer to a request, or `None` if there will be none.
    pub fn handle_answer(&mut self, now: Instant, number: u64, answer: Option<&Answer>) {
        let Some(asked) = self.asked.remove(&number) else { return };
        let answer = answer.filter(|answer| answer.error.is_none());
        match (asked, answer) {
            (Asked::Announce(route), Some(_)) if self.is_stopping() => self.find(route.relay),
            (Asked::Announce(route), Some(_)) => self.acknowledged.push(route),
            (Asked::Ping, Some(_)) => {
                if let State::Resting { answered, .. } = &mut self.state {
                    *answered += 1;
                }
            }
            (Asked::Find(relay), Some(answer)) => {
                if let Some(value) = signed(Purpose::Unannounce, &self.target, &[], answer, &self.key) {
                    let spec = self.spec(relay, Command::UNANNOUNCE, answer.token, Some(value));
                    self.ask(Asked::Unannounce, spec);
                }
            }
            (Asked::Unannounce, _) | (_, None) => {}
        }
        self.rest_when_all_is_announced(now);
        self.stop_when_all_is_done();
    }

    fn search(&mut self) {
        self.state = State::Searching;
        let nodes = self.closest.clone();
        let spec = QuerySpec { nodes, ..QuerySpec::new(self.target, Command::FIND_PEER) };
        self.actions.push_back(AnnounceAction::Search(spec));
    }

    fn ping(&mut self, now: Instant, rounds: u32) {
        self.state = State::Resting { next_at: now + PING_INTERVAL, rounds, answered: 0 };
        for route in self.relays.clone() {
            let patience = RetryPolicy { tries: 2, timeout: PING_TIMEOUT };
            let spec = RequestSpec { patience, ..RequestSpec::new(route.relay, Command::PING) };
            self.ask(Asked::Ping, spec);
        }
    }

    fn rest_when_all_is_announced(&mut self, now: Instant) {
        let is_announcing = self.asked.values().any(|asked| matches!(asked, Asked::Announce(_)));
        if self.state != State::Announcing || is_announcing {
            return;
        }
        let fresh = std::mem::take(&mut self.acknowledged);
        let before = std::mem::replace(&mut self.relays, fresh);
        let is_left = |route: &&RelayRoute| self.relays.iter().all(|kept| kept.relay != route.relay);
        let left: Vec<Address> = before.iter().filter(is_left).map(|route| route.relay).collect();
        left.into_iter().for_each(|relay| self.find(relay));
        let wait = if self.relays.is_empty() { RETRY_DELAY } else { PING_INTERVAL };
        self.state = State::Resting { next_at: now + wait, rounds: 0, answered: 0 };
        self.actions.push_back(AnnounceAction::RelaysChanged);
    }

    fn stop_when_all_is_done(&mut self) {
        if self.is_stopping() && self.asked.is_empty() {
            self.state = State::Stopped;
            self.actions.push_back(AnnounceAction::Stopped);
        }
    }

    fn is_stopping(&self) -> bool {
        self.state == State::Stopping
    }

    fn find(&mut self, relay: Address) {
        let spec = self.spec(relay, Command::FIND_PEER, None, None);
        self.ask(Asked::Find(relay), spec);
    }

    fn spec(
        &self,
        to: Address,
        command: Command,
        token: Option<Token>,
        value: Option<Vec<u8>>,
    ) -> RequestSpec {
        RequestSpec { target: Some(self.target), token, value, ..RequestSpec::new(to, command) }
    }

    fn ask(&mut self, asked: Asked, spec: RequestSpec) {
        self.asked.insert(self.next_number, asked);
        self.actions.push_back(AnnounceAction::Request(self.next_number, spec));
        self.next_number += 1;
    }
}

/// Returns the ANNOUNCE requests to the closest nodes of a LOOKUP, so that peers that look up the topic find this peer
/// through its `relays`.
pub fn announce_at(topic: &Target, relays: &[Address], closest: &[Answer], key: &SecretKey) -> Vec<Commit> {
    commits(Purpose::Announce, topic, relays, closest, key)
}

/// Returns the UNANNOUNCE requests to the closest nodes of a LOOKUP, so that this peer is no longer found under the
/// topic.
pub fn unannounce_at(topic: &Target, closest: &[Answer], key: &SecretKey) -> Vec<Commit> {
    commits(Purpose::Unannounce, topic, &[], closest, key)
}

fn commits(
    purpose: Purpose,
    topic: &Target,
    relays: &[Address],
    closest: &[Answer],
    key: &SecretKey,
) -> Vec<Commit> {
    let commit = |answer: &Answer| {
        let value = signed(purpose, topic, relays, answer, key)?;
        Some(Commit { to: answer.from, command: purpose.command(), value: Some(value) })
    };
    closest.iter().filter(|answer| can_store(answer)).filter_map(commit).collect()
}

/// Returns whether the node can store a record: one without an id is in no table, and one without a token does not
/// store.
fn can_store(answer: &Answer) -> bool {
    answer.error.is_none() && answer.id.is_some() && answer.token.is_some()
}

fn signed(
    purpose: Purpose,
    target: &Target,
    relays: &[Address],
    answer: &Answer,
    key: &SecretKey,
) -> Option<Vec<u8>> {
    let destination = Destination { target, node: answer.id.as_ref()?, token: answer.token.as_ref()? };
    let relays = relays.iter().copied().take(RELAYS_MAX).collect();
    let peer = PeerRecord { public_key: key.public_key(), relays };
    Some(Announcement::sign(purpose, destination, peer, key).encode())
}
