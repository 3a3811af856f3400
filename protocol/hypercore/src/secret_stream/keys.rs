//! The two sides of a stream, the hash of their handshake, and the stream's ids.
//!
//! ```text
//! stream id  = H(key = handshake hash, namespace("hyperswarm/secret-stream")[0 | 1])
//! ```
//!
//! `H` is BLAKE2b-256. The ids include the role of the sender, so that a peer cannot send back the one that it received.

use crate::hash::{keyed_blake2b, namespace};

/// The final hash of a stream's Noise handshake. Both sides have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeHash(pub [u8; 64]);

/// The side of a stream in the handshake, no matter which side opened a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The side that connected.
    Initiator,
    /// The side that was connected to.
    Responder,
}

impl Role {
    /// Returns the other side.
    pub fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }

    pub(crate) fn index(self) -> u8 {
        match self {
            Self::Initiator => 0,
            Self::Responder => 1,
        }
    }
}

/// Returns the first part of the header that `sender` sends after the handshake.
pub fn stream_id(sender: Role, hash: &HandshakeHash) -> [u8; 32] {
    keyed_blake2b(&hash.0, &[&namespace("hyperswarm/secret-stream", sender.index())])
}
