//! A request of another node that the layer above is to answer: [`Incoming`], and the [`Reply`] to it.

use crate::dht_rpc::address::{Address, NodeId, Target};
use crate::dht_rpc::message::{Command, ErrorCode};

/// Through which of a node's sockets a datagram goes.
///
/// A node that a firewall may shield asks through the client socket, so that whatever arrives at the server socket
/// arrived without having been asked for: that is how it learns that there is no firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Socket {
    /// The one with the port that the node is known under, if it is known at all.
    Server,
    /// The one that asks.
    Client,
    /// One that the layer above opened, to punch a hole; it gives the number.
    Puncher(u32),
}

/// A request that the layer above is to answer with [`Node::reply`](crate::dht_rpc::Node::reply), or not at all.
#[derive(Debug, PartialEq, Eq)]
pub struct Incoming {
    /// What the answer needs. Drop it to stay silent.
    pub handle: ReplyHandle,
    /// What is asked for: always an external command.
    pub command: Command,
    /// What it is about.
    pub target: Option<Target>,
    /// What else the command needs.
    pub value: Option<Vec<u8>>,
    /// The id of the sender, if it gave the one that belongs to its address.
    pub id: Option<NodeId>,
    /// The token that came along; it was compared, so this sender receives at its host. None: nobody knows.
    pub token: Option<crate::dht_rpc::Token>,
}

/// Where an answer goes. Made by a node for each request; good for one answer.
#[derive(Debug, PartialEq, Eq)]
pub struct ReplyHandle {
    pub(crate) socket: Socket,
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) tid: u16,
    pub(crate) target: Option<Target>,
    /// Bytes of the request: how much an answer to an address nobody has verified may have depends on it.
    pub(crate) bytes: usize,
    pub(crate) is_verified: bool,
}

impl ReplyHandle {
    /// Who asked.
    pub fn from(&self) -> Address {
        self.from
    }

    /// Our own address as the asker sees it. A claim.
    pub fn to(&self) -> Address {
        self.to
    }

    /// The number that the asker gave the request: relays pass it on.
    pub fn tid(&self) -> u16 {
        self.tid
    }

    /// The socket that the request came in on, and its answer leaves from.
    pub fn socket(&self) -> Socket {
        self.socket
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Why the request fails.
    pub error: Option<ErrorCode>,
    /// What was asked for.
    pub value: Option<Vec<u8>>,
    /// Whether a token goes along, for storing something afterwards.
    pub with_token: bool,
    /// Whether the nodes closest to the target go along, if the request has one.
    pub with_closer: bool,
}

impl Reply {
    /// The usual answer to a query: token, closer nodes, and what is known.
    pub fn found(value: Option<Vec<u8>>) -> Self {
        Self { error: None, value, with_token: true, with_closer: true }
    }

    /// What was to be stored is stored.
    pub fn acknowledged() -> Self {
        Self::default()
    }

    /// The request fails.
    pub fn failed(error: ErrorCode) -> Self {
        Self { error: Some(error), with_closer: true, ..Self::default() }
    }

    /// This node does not serve the command.
    pub fn unknown_command() -> Self {
        Self::failed(ErrorCode::UNKNOWN_COMMAND)
    }
}
