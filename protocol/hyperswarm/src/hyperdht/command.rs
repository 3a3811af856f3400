//! The commands of hyperdht, and the error numbers of its nodes and peers. Source: npm hyperdht (`constants`).

use std::fmt;

use crate::dht_rpc::message::{Command, ErrorCode};

impl Command {
    /// Shake hands with the owner of a key, through this node or with it. Every node serves it.
    pub const PEER_HANDSHAKE: Self = Self::External(0);
    /// Agree with a peer on how to get through both firewalls. Every node serves it.
    pub const PEER_HOLEPUNCH: Self = Self::External(1);
    /// Return the record of the peer whose key hashes to the target.
    pub const FIND_PEER: Self = Self::External(2);
    /// Return records of peers that announced the target.
    pub const LOOKUP: Self = Self::External(3);
    /// Store the record of a peer under the target.
    pub const ANNOUNCE: Self = Self::External(4);
    /// Remove the record of a peer under the target.
    pub const UNANNOUNCE: Self = Self::External(5);
    /// Store a value under the hash of its owner's key; the owner has signed it.
    pub const MUTABLE_PUT: Self = Self::External(6);
    /// Return the value under the hash of a key.
    pub const MUTABLE_GET: Self = Self::External(7);
    /// Store a value under its own hash.
    pub const IMMUTABLE_PUT: Self = Self::External(8);
    /// Return the value with this hash.
    pub const IMMUTABLE_GET: Self = Self::External(9);
    /// Extensions. Nodes that do not have the extension are silent.
    pub const PLUGIN: Self = Self::External(10);
}

/// The reason why a peer does not go on with a handshake or with punching. Never holds zero, which means no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerError(u64);

impl PeerError {
    /// The peer gives up.
    pub const ABORTED: Self = Self(1);
    /// The peer speaks another version of the payload.
    pub const VERSION_MISMATCH: Self = Self(2);
    /// The peer is busy with punching another hole.
    pub const TRY_LATER: Self = Self(3);

    /// Returns the error of a number on the wire; `None` for zero.
    pub(crate) fn from_wire(number: u64) -> Option<Self> {
        (number != 0).then_some(Self(number))
    }

    pub(crate) fn to_wire(error: Option<Self>) -> u64 {
        error.map_or(0, |error| error.0)
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ABORTED => f.write_str("the peer gave up"),
            Self::VERSION_MISMATCH => f.write_str("the peer speaks another version"),
            Self::TRY_LATER => f.write_str("the peer is busy, try later"),
            Self(number) => write!(f, "the peer says error {number}"),
        }
    }
}

impl ErrorCode {
    /// A stored item has the same sequence number and another value.
    pub const SEQUENCE_REUSED: Self = Self(16);
    /// A stored item has a higher sequence number.
    pub const SEQUENCE_TOO_LOW: Self = Self(17);
}

/// The behaviour of a node's firewall or NAT (RFC 4787) towards its datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Firewall {
    /// Not known yet.
    #[default]
    Unknown,
    /// No firewall: the node can be reached by all who know its address.
    Open,
    /// Endpoint-independent mapping: all remotes see the same address, and only those that the node has sent to can
    /// answer.
    Consistent,
    /// Address- and port-dependent mapping: each remote sees another port.
    Random,
}

impl Firewall {
    /// Converts a number on the wire. Unknown numbers say nothing about the firewall.
    pub(crate) fn from_wire(number: u64) -> Self {
        match number {
            1 => Self::Open,
            2 => Self::Consistent,
            3 => Self::Random,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn to_wire(self) -> u64 {
        match self {
            Self::Unknown => 0,
            Self::Open => 1,
            Self::Consistent => 2,
            Self::Random => 3,
        }
    }
}
