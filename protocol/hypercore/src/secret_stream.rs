//! The encrypted stream between two peers (npm @hyperswarm/secret-stream).
//!
//! Its bytes are cut into frames ([`frame`]). Both sides know the hash of its handshake ([`HandshakeHash`]).

pub mod frame;
mod keys;

pub use frame::FrameDecoder;
pub use keys::{HandshakeHash, Role, stream_id};
