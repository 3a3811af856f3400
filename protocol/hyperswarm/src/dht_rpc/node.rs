//! One node of the DHT, without I/O (npm dht-rpc 6): the [`Node`].
//!
//! Datagrams come in with the time and the socket at which they arrived; datagrams, requests for the layer above and
//! results of the node's own requests and queries go out. `client.rs` drives requests and queries, `server.rs` answers
//! other nodes, `relay.rs` forwards requests for the layer above. `maintenance.rs` bootstraps, keeps the table alive,
//! and finds out whether the node can be reached, so that it may become a persistent node instead of an ephemeral one.

mod client;
mod maintenance;
mod relay;
mod server;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use thiserror::Error;

pub use relay::{Forward, ForwardError};

use crate::dht_rpc::CLOSEST_MAX;
use crate::dht_rpc::address::{Address, NodeId, Target};
use crate::dht_rpc::anti_amplification::{AmplificationLimiter, AnswerLimits};
use crate::dht_rpc::incoming::{Incoming, ReplyHandle, Socket};
use crate::dht_rpc::message::{Command, Message, MessageError, Token};
use crate::dht_rpc::nat_sampler::{Observed, Sampler};
use crate::dht_rpc::query::{Answer, Query, QuerySpec};
use crate::dht_rpc::requests::{Requests, RetryPolicy};
use crate::dht_rpc::table::Table;
use crate::dht_rpc::token::Tokens;
use client::{Committing, Owner, Purpose};
use libvms_hypercore::random::Random;
use libvms_hypercore::time::Instant;
use maintenance::Life;

/// The configuration of a [`Node`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The role of the node in the network.
    pub mode: Mode,
    /// Nodes to find the others by. Without them the node waits until it is found.
    pub bootstrap: Vec<Address>,
    /// The port that the server socket is bound to.
    pub server_port: u16,
    /// External commands that are passed to the layer above. All others are answered as unknown.
    pub served: Range<u64>,
    /// How long an adaptive node must have been running before others may depend on it.
    pub persistent_after: Duration,
    /// Bounds on the answers to one host.
    pub answers: AnswerLimits,
}

impl Config {
    /// Returns the configuration of an adaptive node that serves no command of a layer above.
    pub fn new(bootstrap: Vec<Address>, server_port: u16) -> Self {
        Self {
            mode: Mode::Adaptive,
            bootstrap,
            server_port,
            served: 0..0,
            persistent_after: Duration::from_secs(20 * 60),
            answers: AnswerLimits::default(),
        }
    }
}

/// The role of a node in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The node asks and answers, but stays out of the tables of others.
    Ephemeral,
    /// The node becomes persistent when it has been running for a while and can be reached from outside.
    Adaptive,
    /// The node is persistent as soon as it knows its address: a bootstrap node or one of a test network. The operator
    /// vouches that it can be reached.
    Persistent {
        /// The public address, if the operator knows it. Else other nodes report it, or the senders of requests if this
        /// is the first node.
        address: Option<Address>,
    },
}

/// The state of a node in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its public address if it is persistent; its id follows from it.
    pub address: Option<Address>,
    /// Whether the node can be reached only from addresses that it has sent to before.
    pub is_firewalled: bool,
}

/// Identifies a request until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(u64);

/// Identifies a query until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryId(u64);

/// A request to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSpec {
    /// The node to ask.
    pub to: Address,
    /// The command.
    pub command: Command,
    /// The target of the command.
    pub target: Option<Target>,
    /// The token that the node issued before.
    pub token: Option<Token>,
    /// The further input of the command.
    pub value: Option<Vec<u8>>,
    /// The socket to send from, if not the one for requests.
    pub socket: Option<Socket>,
    /// The IP time to live, if not the default.
    pub ttl: Option<u8>,
    /// The number and timeout of tries.
    pub patience: RetryPolicy,
}

impl RequestSpec {
    /// Creates a request with neither target nor value.
    pub fn new(to: Address, command: Command) -> Self {
        Self {
            to,
            command,
            target: None,
            token: None,
            value: None,
            socket: None,
            ttl: None,
            patience: RetryPolicy::PERSISTENT,
        }
    }
}

/// A value to store at one of the nodes that a query ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The node: one of the closest.
    pub to: Address,
    /// The command that stores.
    pub command: Command,
    /// The value to store.
    pub value: Option<Vec<u8>>,
}

/// The reason why a request has no answer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// The node did not answer any try.
    #[error("node {0} does not answer")]
    TimedOut(Address),
    /// Thousands of requests already wait for an answer.
    #[error("too many requests wait for an answer")]
    Busy,
}

/// The reason why a query stored nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum QueryError {
    /// No node answered the query.
    #[error("no node answers the query")]
    NoAnswer,
    /// None of the closest nodes acknowledged the store request.
    #[error("none of the {0} closest nodes acknowledged the store request")]
    NotStored(usize),
}

/// The result of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryOutcome {
    /// The closest nodes that answered, the closest first.
    pub closest: Vec<Answer>,
    /// Number of nodes that acknowledged the store request.
    pub stored: usize,
}

/// An action for the caller.
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
    /// Answer a request of another node with [`Node::reply`], or do not.
    Request(Incoming),
    /// The first try of a request of the layer above had no answer in time; there will be others.
    RequestLate(RequestId),
    /// A request of the layer above has an answer, or will have none.
    RequestDone {
        /// The request.
        request: RequestId,
        /// The answer.
        result: Result<Answer, RequestError>,
    },
    /// A node answered a query without an error.
    QueryProgress {
        /// The query.
        query: QueryId,
        /// The answer.
        answer: Answer,
    },
    /// The closest nodes are known: pass to [`Node::commit`] what each must store.
    QueryCommit {
        /// The query.
        query: QueryId,
        /// The closest nodes, the closest first.
        closest: Vec<Answer>,
    },
    /// A query is over.
    QueryDone {
        /// The query.
        query: QueryId,
        /// Its result.
        result: Result<QueryOutcome, QueryError>,
    },
    /// The first bootstrap is over, or the first after a sleep.
    Bootstrapped {
        /// Number of nodes in the table. 0: no node was found, and the node goes on trying.
        nodes: usize,
    },
    /// The node became persistent or ephemeral, or learned whether it is firewalled.
    StatusChanged(NodeStatus),
}

/// A node of the DHT.
///
/// A [machine](libvms_hypercore#machines) with actions. If its clock goes on while the computer sleeps, the node
/// notices.
#[derive(Debug)]
pub struct Node {
    config: Config,
    random: Random,
    tokens: Tokens,
    allowance: AmplificationLimiter,
    actions: VecDeque<Action>,

    table: Table,
    requests: Requests<Purpose>,
    queries: BTreeMap<QueryId, (Owner, Query)>,
    committing: BTreeMap<QueryId, Committing>,
    next_number: u64,

    /// Our address, once we are persistent.
    own: Option<Address>,
    is_firewalled: bool,
    /// Our address as others see the socket for requests.
    sampler: Sampler,
    anonymous_samples: usize,
    /// When any node last answered.
    heard_at: Instant,

    /// Nodes whose claimed id is being verified by a ping.
    verifying: BTreeSet<Address>,
    /// Nodes that are asked whether they are alive, and the newcomers that would replace them.
    challenged: BTreeMap<Address, Address>,
    /// Nodes in the table that another node reported as gone.
    suspected: BTreeSet<Address>,
    /// Answers to send later.
    delayed: BTreeMap<(Instant, u64), ReplyHandle>,
    life: Life,
}

impl Node {
    /// Creates a node with an empty table. `seed` must be secret and new each time: it determines tokens and request
    /// numbers.
    pub fn new(config: Config, seed: [u8; 32], now: Instant) -> Self {
        let mut random = Random::new(seed);
        let (own, check_at) = match config.mode {
            Mode::Persistent { address } => (address, now),
            Mode::Ephemeral | Mode::Adaptive => (None, now + config.persistent_after),
        };
        let table = match own {
            Some(address) => Target::from(NodeId::of(&address)),
            None => Target(random.bytes()),
        };
        Self {
            tokens: Tokens::new(random.bytes()),
            allowance: AmplificationLimiter::new(config.answers),
            actions: VecDeque::new(),
            table: Table::new(table),
            requests: Requests::new(),
            queries: BTreeMap::new(),
            committing: BTreeMap::new(),
            next_number: 0,
            own,
            is_firewalled: !matches!(config.mode, Mode::Persistent { .. }),
            sampler: Sampler::default(),
            anonymous_samples: 0,
            heard_at: Instant::START,
            verifying: BTreeSet::new(),
            challenged: BTreeMap::new(),
            suspected: BTreeSet::new(),
            delayed: BTreeMap::new(),
            life: Life::new(now, check_at),
            config,
            random,
        }
    }

    /// Takes a datagram that arrived.
    ///
    /// # Errors
    /// If it is not a message of the DHT, or a broken one. Then it had no effect; pass it to the other user of the
    /// socket.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        socket: Socket,
        from: Address,
        bytes: &[u8],
    ) -> Result<(), MessageError> {
        let message = Message::decode(bytes)?;
        // Nothing can be sent to port 0.
        if from.port() != 0 {
            match message {
                Message::Request(request) => self.serve(now, socket, from, request, bytes.len()),
                Message::Response(response) => self.take_response(now, socket, from, response),
            }
            self.drive(now);
        }
        Ok(())
    }

    /// Returns the next action. Call it until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let delayed = self.delayed.keys().next().map(|(at, _)| *at);
        let patience = self.queries.values().filter_map(|(_, query)| query.patience_ends());
        let others = delayed.into_iter().chain(self.requests.next_deadline()).chain(patience);
        others.chain([self.life.next_tick()]).min()
    }

    /// Acts on deadlines that have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.send_delayed(now);
        self.live(now);
        self.drive(now);
    }

    /// Returns the state of the node in the network.
    pub fn standing(&self) -> NodeStatus {
        NodeStatus { address: self.own, is_firewalled: self.is_firewalled }
    }

    /// Returns the id of the node, if it is persistent.
    pub fn id(&self) -> Option<NodeId> {
        self.own.as_ref().map(NodeId::of)
    }

    /// Returns the id of the node as the sender of a request knows it, if others may depend on the node.
    ///
    /// The first node of a network may have no other node to report its address. Its address is then the one that the
    /// sender has sent to: the sender checks that id itself, and a wrong one misleads only the sender that named it.
    pub fn id_for(&self, handle: &ReplyHandle) -> Option<NodeId> {
        let is_first =
            self.config.mode == (Mode::Persistent { address: None }) && self.config.bootstrap.is_empty();
        let is_here = is_first && handle.to.port() == self.config.server_port;
        self.id().or_else(|| is_here.then(|| NodeId::of(&handle.to)))
    }

    /// Returns the address of the socket for requests, as other nodes report it.
    pub fn observed(&self) -> Observed {
        self.sampler.observed()
    }

    /// Returns the number of nodes in the table.
    pub fn table_len(&self) -> usize {
        self.table.len()
    }

    /// Returns the nodes in the table that are closest to `target`, the closest first, at most [`CLOSEST_MAX`].
    pub fn closest_known(&self, target: &Target) -> Vec<Address> {
        self.table.closest(target, CLOSEST_MAX)
    }

    /// Returns the socket that sends requests.
    fn asking_socket(&self) -> Socket {
        if self.is_firewalled { Socket::Client } else { Socket::Server }
    }

    /// Returns the id to add to a datagram sent from `socket`: only one socket has the address of the id.
    fn id_through(&self, socket: Socket) -> Option<NodeId> {
        self.id().filter(|_| socket == Socket::Server)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}
