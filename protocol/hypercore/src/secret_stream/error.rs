//! [`SecretError`]: why an encrypted stream is over.

use thiserror::Error;

use super::frame::FrameTooLong;
use super::noise::NoiseError;

/// The remote breaks the protocol, is not the peer of the handshake, or its bytes were changed. The stream is over.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SecretError {
    /// A frame is longer than the maximum, which during the handshake is the length of the next frame.
    #[error(transparent)]
    Frame(#[from] FrameTooLong),
    /// The handshake failed.
    #[error("the handshake failed: {0}")]
    Noise(#[from] NoiseError),
    /// The first frame after the handshake is not the header of this stream.
    #[error("the first frame is not the header of this handshake's stream")]
    WrongHeader,
    /// A message is not authentic, or not the next one.
    #[error("a message of the stream is not authentic, or not the next one")]
    NotAuthentic,
}
