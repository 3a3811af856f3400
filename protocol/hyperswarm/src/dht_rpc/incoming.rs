//! A request of another node to the layer above: [`Incoming`], and its [`Reply`].

use crate::dht_rpc::address::{Address, NodeId, Target};
use crate::dht_rpc::message::{Command, ErrorCode};

/// The sockets of a node.
///
/// A node that may be behind a firewall sends requests through the client socket, so that every datagram at the server
/// socket is unsolicited: that is how the node learns that there is no firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Socket {
    /// The socket whose port other nodes know, if they know the node at all.
    Server,
    /// The socket for requests.
    Client,
    /// A socket that the layer above opened to punch a hole, with its number there.
    Puncher(u32),
}

/// A request for the layer above: answer it with [`Node::reply`](crate::dht_rpc::Node::reply), or not at all.
#[derive(Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Needed for the answer. Drop it to stay silent.
    pub handle: ReplyHandle,
    /// The command: always an external one.
    pub command: Command,
    /// The target of the command.
    pub target: Option<Target>,
    /// The further input of the command.
    pub value: Option<Vec<u8>>,
    /// The id of the sender, if it gave the one of its address.
    pub id: Option<NodeId>,
    /// The token in the request. It was verified, so the sender receives at its host. `None`: the sender is unverified.
    pub token: Option<crate::dht_rpc::Token>,
}

/// The destination of an answer. The node makes one for each request; it is valid for one answer.
#[derive(Debug, PartialEq, Eq)]
pub struct ReplyHandle {
    pub(crate) socket: Socket,
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) tid: u16,
    pub(crate) target: Option<Target>,
    /// Bytes of the request: they bound the answer to an unverified address.
    pub(crate) bytes: usize,
    pub(crate) is_verified: bool,
}

impl ReplyHandle {
    /// Returns the sender of the request.
    pub fn from(&self) -> Address {
        self.from
    }

    /// Returns our own address as the sender sees it. A claim.
    pub fn to(&self) -> Address {
        self.to
    }

    /// Returns the number that the sender gave the request: relays pass it on.
    pub fn tid(&self) -> u16 {
        self.tid
    }

    /// Returns the socket at which the request arrived, and which sends its answer.
    pub fn socket(&self) -> Socket {
        self.socket
    }
}

/// An answer to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The reason why the request fails.
    pub error: Option<ErrorCode>,
    /// The result of the command.
    pub value: Option<Vec<u8>>,
    /// Whether to add a token, with which the sender can store something afterwards.
    pub with_token: bool,
    /// Whether to add the nodes closest to the target, if the request has one.
    pub with_closer: bool,
}

impl Reply {
    /// Returns the usual answer to a query: token, closer nodes, and the stored value.
    pub fn found(value: Option<Vec<u8>>) -> Self {
        Self { error: None, value, with_token: true, with_closer: true }
    }

    /// Returns the answer to a store command that succeeded.
    pub fn acknowledged() -> Self {
        Self::default()
    }

    /// Returns the answer to a request that fails.
    pub fn failed(error: ErrorCode) -> Self {
        Self { error: Some(error), with_closer: true, ..Self::default() }
    }

    /// Returns the answer to a command that this node does not serve.
    pub fn unknown_command() -> Self {
        Self::failed(ErrorCode::UNKNOWN_COMMAND)
    }
}
