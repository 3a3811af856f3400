//! What a [`SwarmNode`](super::SwarmNode) gives out: datagrams and [`Event`]s.

use std::net::SocketAddr;

use thiserror::Error;

use crate::dht_rpc::Socket;
use crate::dht_rpc::node::NodeStatus;
use crate::hyperdht::client::DialError;
use crate::hyperdht::command::PeerError;
use crate::hyperdht::holepunch::puncher::PunchError;
use crate::hyperdht::noise::StreamKeys;
use crate::swarm::{ConnectionId, TopicKey};
use crate::udx::CloseReason;
use libvms_hypercore::identity::PublicKey;

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Through which socket.
    pub socket: Socket,
    /// To whom.
    pub to: SocketAddr,
    /// How many routers it may pass, if not as many as usual.
    pub ttl: Option<u8>,
}

/// What the caller is to know.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection begins: write the header of the encrypted stream, which is all that can be written for now.
    Begun {
        /// Which.
        connection: ConnectionId,
        /// The keys of the encrypted stream.
        keys: StreamKeys,
    },
    /// The remote has proved itself: the connection is there.
    Opened {
        /// Which.
        connection: ConnectionId,
        /// Where the remote is.
        remote: SocketAddr,
    },
    /// There is something to read.
    Readable(ConnectionId),
    /// There is room again after a write that was not taken whole.
    Writable(ConnectionId),
    /// The remote writes no more.
    RemoteEnded(ConnectionId),
    /// The connection is over; what has come can still be read. Then call [`SwarmNode::destroy`](super::SwarmNode::destroy).
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Why.
        why: Closed,
    },
    /// A peer that was found, or asked for, could not be connected to for now.
    DialFailed {
        /// Who.
        peer: PublicKey,
        /// Why.
        why: DialFailure,
    },
    /// A topic was looked up, and this node announced under it if it is a server.
    Refreshed {
        /// Which.
        topic: TopicKey,
        /// How many of the closest nodes keep the announcement; `None` if there was nothing to announce or nobody to ask.
        announced: Option<usize>,
    },
    /// The first look around is over, or the first after a sleep, and so many nodes are known. With none there is no
    /// network, and the node goes on trying.
    Bootstrapped {
        /// How many.
        nodes: usize,
    },
    /// The node became persistent or ephemeral, or learned whether it is firewalled.
    StatusChanged(NodeStatus),
    /// Open a socket of that number, which is [`Socket::Puncher`] of it.
    OpenSocket(u32),
    /// Close it.
    CloseSocket(u32),
    /// After [`SwarmNode::shut_down`](super::SwarmNode::shut_down): nobody keeps anything about this node any more, as far as it can be told.
    ShutDown,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its stream ended.
    Stream(CloseReason),
    /// The remote has not proved itself in time.
    Unproved,
    /// Another connection to the same peer is kept, or the peer is banned.
    Refused,
}

/// Why a peer could not be connected to.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DialFailure {
    /// It was not found, or does not answer.
    #[error(transparent)]
    Handshake(#[from] DialError),
    /// Both sides are behind firewalls, and no hole could be punched.
    #[error(transparent)]
    Punch(#[from] PunchError),
    /// The same, and too many holes are being punched already.
    #[error("too many holes are being punched already")]
    Busy,
    /// It answered, and then nothing came from it.
    #[error("the peer answered, and then nothing came from it")]
    Silent,
}

impl DialFailure {
    /// Whether one of the two has only too much to do at the moment.
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
