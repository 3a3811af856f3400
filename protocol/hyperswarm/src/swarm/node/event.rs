//! The output of a [`SwarmNode`](super::SwarmNode): datagrams and [`Event`]s.

use std::net::SocketAddr;

use thiserror::Error;

use crate::dht_rpc::Socket;
use crate::dht_rpc::node::NodeStatus;
use crate::hyperdht::client::DialError;
use crate::hyperdht::command::PeerError;
use crate::hyperdht::holepunch::puncher::PunchError;
use crate::swarm::{ConnectionId, TopicKey};
use crate::udx::CloseReason;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::secret_stream::StreamKeys;

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The socket to send from.
    pub socket: Socket,
    /// The destination.
    pub to: SocketAddr,
    /// The IP time to live, if not the default.
    pub ttl: Option<u8>,
}

/// An event for the caller.
///
/// The caller *must* act on the first four, as each says: [`Event::Begun`], [`Event::Closed`], [`Event::OpenSocket`] and
/// [`Event::CloseSocket`]. It *may* know the others. The [contract](libvms_hypercore#machines) of machines would make the
/// four actions, in a queue of their own. Here all come out of one, because their order counts: bytes are read before
/// their connection is destroyed.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection begins: write the header of the encrypted stream. Nothing else can be written for now.
    Begun {
        /// The connection.
        connection: ConnectionId,
        /// The keys of the encrypted stream.
        keys: StreamKeys,
    },
    /// The connection is over; bytes that have arrived can still be read. Then call
    /// [`SwarmNode::destroy`](super::SwarmNode::destroy).
    Closed {
        /// The connection.
        connection: ConnectionId,
        /// The reason.
        why: Closed,
    },
    /// Open a socket with this number, as [`Socket::Puncher`].
    OpenSocket(u32),
    /// Close the socket.
    CloseSocket(u32),
    /// The remote has proved itself: the connection is open.
    Opened {
        /// The connection.
        connection: ConnectionId,
        /// The address of the remote.
        remote: SocketAddr,
    },
    /// There are bytes to read.
    Readable(ConnectionId),
    /// There is room again after a write that was not taken whole.
    Writable(ConnectionId),
    /// The remote writes no more.
    RemoteEnded(ConnectionId),
    /// A peer that was found, or asked for, could not be connected to for now.
    DialFailed {
        /// The peer.
        peer: PublicKey,
        /// The reason.
        why: DialFailure,
    },
    /// A topic was looked up, and this node announced under it if it is a server.
    Refreshed {
        /// The topic.
        topic: TopicKey,
        /// Number of the closest nodes that store the announcement; `None` if there was nothing to announce or no node
        /// to ask.
        announced: Option<usize>,
    },
    /// The first bootstrap is over, or the first after a sleep. Without other nodes there is no network, and the node
    /// goes on trying.
    Bootstrapped {
        /// Number of nodes in the table.
        nodes: usize,
    },
    /// The node became persistent or ephemeral, or learned whether it is firewalled.
    StatusChanged(NodeStatus),
    /// The node has shut down after [`SwarmNode::shut_down`](super::SwarmNode::shut_down): as far as it can tell, no
    /// other node stores anything about it any more.
    ShutDown,
}

/// The reason why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The stream is closed.
    Stream(CloseReason),
    /// The remote has not proved itself in time.
    Unproved,
    /// Another connection to the same peer is kept, or the peer is banned.
    Refused,
}

/// The reason why a peer could not be connected to.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DialFailure {
    /// The peer was not found, or does not answer.
    #[error(transparent)]
    Handshake(#[from] DialError),
    /// Both sides are behind firewalls, and no hole could be punched.
    #[error(transparent)]
    Punch(#[from] PunchError),
    /// Both sides are behind firewalls, and too many holes are being punched already.
    #[error("too many holes are being punched already: try again later")]
    Busy,
    /// The peer answered the handshake, and then sent no packet in time.
    #[error("the peer answered the handshake, and then sent no packet in time")]
    Silent,
}

impl DialFailure {
    /// Returns whether the failure is temporary, because this node or the peer is busy.
    pub fn is_for_now(&self) -> bool {
        match self {
            Self::Busy | Self::Punch(PunchError::Busy) => true,
            Self::Handshake(DialError::Refused(error)) | Self::Punch(PunchError::Refused(error)) => {
                *error == PeerError::TRY_LATER
            }
            Self::Handshake(_) | Self::Punch(_) | Self::Silent => false,
        }
    }
}
