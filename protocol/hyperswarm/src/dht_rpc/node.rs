//! One node of the DHT as a machine without I/O: the [`Node`].
//!
//! Datagrams come in with the time and the socket they arrived at; datagrams, requests for the layer above and results of
//! its own requests and queries go out. `ask.rs` drives requests and queries, `serve.rs` answers other nodes, `relay.rs`
//! passes on what the layer above wants passed on, `life.rs` is what a node does by itself: joining, keeping its table
//! alive, and finding out whether it can be reached, so that it may become a part of the network instead of a guest.

mod client;
mod maintenance;
mod relay;
mod server;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

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
use maintenance::Life;

/// How a [`Node`] works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What part it takes in the network.
    pub mode: Mode,
    /// Nodes by which it finds the others. Without them it waits until it is found.
    pub bootstrap: Vec<Address>,
    /// The port that the server socket is bound to.
    pub server_port: u16,
    /// External commands that go to the layer above. All others are unknown.
    pub served: Range<u64>,
    /// How long an adaptive node must have been there before others may depend on it.
    pub persistent_after_ms: u64,
    /// What a host may be sent.
    pub answers: AnswerLimits,
}

impl Settings {
    /// Settings of an adaptive node that serves no command of a layer above.
    pub fn new(bootstrap: Vec<Address>, server_port: u16) -> Self {
        Self {
            mode: Mode::Adaptive,
            bootstrap,
            server_port,
            served: 0..0,
            persistent_after_ms: 20 * 60_000,
            answers: AnswerLimits::default(),
        }
    }
}

/// What part a node takes in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It asks and answers, but stays out of the tables of others.
    Ephemeral,
    /// It becomes persistent when it has been there for a while and can be reached from outside.
    Adaptive,
    /// It is a part of the network as soon as it knows its address: a bootstrap node or one of a test network. The
    /// operator vouches that it can be reached.
    Persistent {
        /// The public address, where the operator knows it; else other nodes tell, or those who ask it something if it
        /// is the first one.
        address: Option<Address>,
    },
}

/// How a node stands in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its public address if it is persistent; its id follows from it.
    pub address: Option<Address>,
    /// Whether only those can reach it whom it has sent something before.
    pub is_firewalled: bool,
}

/// Names a request until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(u64);

/// Names a query until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryId(u64);

/// A request to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSpec {
    /// Whom to ask.
    pub to: Address,
    /// For what.
    pub command: Command,
    /// What it is about.
    pub target: Option<Target>,
    /// What that node gave out before.
    pub token: Option<Token>,
    /// What else the command needs.
    pub value: Option<Vec<u8>>,
    /// Through which socket, if not the one for requests.
    pub socket: Option<Socket>,
    /// How many routers the datagram may pass, if not as many as usual.
    pub ttl: Option<u8>,
    /// How often and how long.
    pub patience: RetryPolicy,
}

impl RequestSpec {
    /// A request with neither target nor value.
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

/// Something to be stored at one of the nodes that a query ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Where: one of the closest nodes.
    pub to: Address,
    /// The command that stores.
    pub command: Command,
    /// What is stored.
    pub value: Option<Vec<u8>>,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// The node did not answer.
    #[error("{0} does not answer")]
    TimedOut(Address),
    /// Thousands of requests wait already.
    #[error("too many requests wait for an answer")]
    Busy,
}

/// Why a query stored nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum QueryError {
    /// No node answered the query.
    #[error("no node answers")]
    NoAnswer,
    /// None of the closest nodes acknowledged.
    #[error("none of the {0} closest nodes stored it")]
    NotStored(usize),
}

/// What a query ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryOutcome {
    /// The closest nodes that answered, the closest first.
    pub closest: Vec<Answer>,
    /// How many of them acknowledged what was to be stored.
    pub stored: usize,
}

/// What the caller is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
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
    /// Answer a request of another node with [`Node::reply`], or do not.
    Request(Incoming),
    /// The first try of a request of the layer above had no answer in time; there will be others.
    RequestLate(RequestId),
    /// A request of the layer above has an answer, or will have none.
    RequestDone {
        /// Which.
        request: RequestId,
        /// The answer.
        result: Result<Answer, RequestError>,
    },
    /// A node answered a query without an error.
    QueryProgress {
        /// Which.
        query: QueryId,
        /// What it said.
        answer: Answer,
    },
    /// The closest nodes are known: say with [`Node::commit`] what each is to store.
    QueryCommit {
        /// Which.
        query: QueryId,
        /// The closest nodes, the closest first.
        closest: Vec<Answer>,
    },
    /// A query is over.
    QueryDone {
        /// Which.
        query: QueryId,
        /// What it ended with.
        result: Result<QueryOutcome, QueryError>,
    },
    /// The first look around is over, or the first after a sleep.
    Bootstrapped {
        /// How many nodes are known now. None: there is no network, and the node goes on trying.
        nodes: usize,
    },
    /// The node became persistent or ephemeral, or learned whether it is firewalled.
    StatusChanged(NodeStatus),
}

/// A node of the DHT.
///
/// Give it one input, then [`poll`](Self::poll) until nothing is left, and call
/// [`handle_timeout`](Self::handle_timeout) when [`next_timeout`](Self::next_timeout) has come. Times are
/// milliseconds of a clock that never goes back; if that clock goes on while the machine sleeps, the node notices.
#[derive(Debug)]
pub struct Node {
    settings: Settings,
    random: Random,
    tokens: Tokens,
    allowance: AmplificationLimiter,
    actions: VecDeque<Action>,

    table: Table,
    requests: Requests<Purpose>,
    queries: BTreeMap<QueryId, (Owner, Query)>,
    committing: BTreeMap<QueryId, Committing>,
    next_number: u64,

    /// Where we are, once we are persistent.
    own: Option<Address>,
    is_firewalled: bool,
    /// How others see the socket that asks.
    sampler: Sampler,
    anonymous_samples: usize,
    /// When anybody answered last.
    heard_at: u64,

    /// Nodes that asked us something and are asked in turn whether they are where they say.
    verifying: BTreeSet<Address>,
    /// Nodes that are asked whether they are alive, and who would take their place.
    challenged: BTreeMap<Address, Address>,
    /// Nodes in the table that somebody said are gone.
    suspected: BTreeSet<Address>,
    /// Answers that are to be sent later.
    delayed: BTreeMap<(u64, u64), ReplyHandle>,
    life: Life,
}

impl Node {
    /// A node that knows nobody. `seed` must be secret and new each time: tokens and numbers of requests follow from it.
    pub fn new(settings: Settings, seed: [u8; 32], now: u64) -> Self {
        let mut random = Random::new(seed);
        let (own, check_at) = match settings.mode {
            Mode::Persistent { address } => (address, now),
            Mode::Ephemeral | Mode::Adaptive => (None, now + settings.persistent_after_ms),
        };
        let table = match own {
            Some(address) => Target::from(NodeId::of(&address)),
            None => Target(random.bytes()),
        };
        Self {
            tokens: Tokens::new(random.bytes()),
            allowance: AmplificationLimiter::new(settings.answers),
            actions: VecDeque::new(),
            table: Table::new(table),
            requests: Requests::new(),
            queries: BTreeMap::new(),
            committing: BTreeMap::new(),
            next_number: 0,
            own,
            is_firewalled: !matches!(settings.mode, Mode::Persistent { .. }),
            sampler: Sampler::default(),
            anonymous_samples: 0,
            heard_at: 0,
            verifying: BTreeSet::new(),
            challenged: BTreeMap::new(),
            suspected: BTreeSet::new(),
            delayed: BTreeMap::new(),
            life: Life::new(now, check_at),
            settings,
            random,
        }
    }

    /// Takes a datagram that came in.
    ///
    /// # Errors
    /// Where it is no message of the DHT, or a broken one. It had no effect, and nothing is to be done but to hand it
    /// to whoever else uses the socket.
    pub fn receive(
        &mut self,
        now: u64,
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

    /// What to do next. Call it until there is nothing.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn next_timeout(&self) -> u64 {
        let delayed = self.delayed.keys().next().map(|(at, _)| *at);
        let patience = self.queries.values().filter_map(|(_, query)| query.patience_ends());
        let others = delayed.into_iter().chain(self.requests.next_deadline()).chain(patience);
        others.fold(self.life.next_tick(), u64::min)
    }

    /// Does what time asks for.
    pub fn handle_timeout(&mut self, now: u64) {
        self.send_delayed(now);
        self.live(now);
        self.drive(now);
    }

    /// How the node stands in the network.
    pub fn standing(&self) -> NodeStatus {
        NodeStatus { address: self.own, is_firewalled: self.is_firewalled }
    }

    /// The id of the node, if it is persistent.
    pub fn id(&self) -> Option<NodeId> {
        self.own.as_ref().map(NodeId::of)
    }

    /// The id of the node as the sender of a request knows it, if others may depend on the node.
    ///
    /// The first node of a network may have nobody to tell it its address. It is then where the sender says that it has
    /// sent to: it checks that id itself, and a wrong one leads only the one astray who named it.
    pub fn id_for(&self, handle: &ReplyHandle) -> Option<NodeId> {
        let is_first =
            self.settings.mode == (Mode::Persistent { address: None }) && self.settings.bootstrap.is_empty();
        let is_here = is_first && handle.to.port() == self.settings.server_port;
        self.id().or_else(|| is_here.then(|| NodeId::of(&handle.to)))
    }

    /// What others say that the address of the asking socket is.
    pub fn observed(&self) -> Observed {
        self.sampler.observed()
    }

    /// How many nodes are in the table.
    pub fn table_len(&self) -> usize {
        self.table.len()
    }

    /// The nodes in the table that are closest to `target`, the closest first, at most [`CLOSEST_MAX`].
    pub fn closest_known(&self, target: &Target) -> Vec<Address> {
        self.table.closest(target, CLOSEST_MAX)
    }

    /// The socket that requests leave through.
    fn asking_socket(&self) -> Socket {
        if self.is_firewalled { Socket::Client } else { Socket::Server }
    }

    /// The id that goes along with what leaves through `socket`. The address of no other is the one it stands for.
    fn id_through(&self, socket: Socket) -> Option<NodeId> {
        self.id().filter(|_| socket == Socket::Server)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}
