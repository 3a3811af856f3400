//! The result of a handshake: [`StreamKeys`], with the roles of the two sides and the ids of the stream.
//!
//! ```text
//! stream id  = H(key = handshake hash, namespace("hyperswarm/secret-stream")[0 | 1])
//! ```
//!
//! `H` is BLAKE2b-256. The ids include the role of the sender, so that a peer cannot send back the one that it received.

use crate::hash::{keyed_blake2b, namespace};
use crate::identity::PublicKey;

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

/// The result of a handshake on either side: everything that an encrypted stream needs.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKeys {
    /// The role of this side.
    pub role: Role,
    /// Encrypts the bytes that this side sends (a key of libsodium's secretstream).
    pub transmit: [u8; 32],
    /// Decrypts the bytes that this side receives.
    pub receive: [u8; 32],
    /// The handshake's hash. It is not secret.
    pub hash: HandshakeHash,
    /// The key of the other side, which holds its private half.
    pub remote: PublicKey,
}

impl StreamKeys {
    /// Returns the first 32 bytes of the stream that this side sends.
    pub fn local_stream_id(&self) -> [u8; 32] {
        stream_id(self.role, &self.hash)
    }

    /// Returns the first 32 bytes of the stream that the other side sends; a stream with other bytes is not its.
    pub fn remote_stream_id(&self) -> [u8; 32] {
        stream_id(self.role.other(), &self.hash)
    }
}

impl std::fmt::Debug for StreamKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StreamKeys")
            .field("role", &self.role)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// Returns the first part of the header that `sender` sends after the handshake.
pub fn stream_id(sender: Role, hash: &HandshakeHash) -> [u8; 32] {
    keyed_blake2b(&hash.0, &[&namespace("hyperswarm/secret-stream", sender.index())])
}
