//! The encrypted stream between two peers (npm @hyperswarm/secret-stream).
//!
//! Its bytes are cut into frames ([`frame`]). Both sides know the hash of its handshake ([`HandshakeHash`]).

pub mod cipher;
pub mod frame;
mod keys;
mod noise;
pub mod noise_ik;

pub use frame::FrameDecoder;
pub use keys::{HandshakeHash, Role, StreamKeys, stream_id};
pub use noise::NoiseError;
