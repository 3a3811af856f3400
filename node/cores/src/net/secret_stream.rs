//! The encrypted stream between two peers: [`SecretStream`], compatible with npm `@hyperswarm/secret-stream`.
//!
//! Over TCP the stream begins with a Noise XX handshake (`noise_xx.rs`). Peers that met through the DHT completed a Noise IK
//! handshake there, and their stream begins with its keys (`noise_ik.rs`).

mod noise_ik;
mod noise_xx;

use libvms_hypercore::secret_stream::StreamKeys;
use libvms_hypercore::secret_stream::frame::{FrameTooLong, PLAINTEXT_BYTES_MAX};
use libvms_hypercore::wire::{HandshakeHash, Role};
use thiserror::Error;

use noise_ik::Keyed;
use noise_xx::Shaken;

/// One side of an encrypted stream. Received bytes go in with [`SecretStream::receive`]; messages come out of
/// [`SecretStream::poll_message`], and bytes to write out of [`SecretStream::transmit`].
#[derive(Debug)]
pub struct SecretStream(Kind);

#[derive(Debug)]
enum Kind {
    Shaken(Box<Shaken>),
    Keyed(Box<Keyed>),
}

/// The remote breaks the protocol, or its keys do not match. The stream is over.
#[derive(Debug, Error)]
pub enum SecretError {
    /// A frame is too long.
    #[error(transparent)]
    Frame(#[from] FrameTooLong),
    /// A handshake frame is longer than any can be.
    #[error("the handshake has more than {} bytes", noise_xx::HANDSHAKE_BYTES_MAX)]
    LongHandshake,
    /// A handshake frame has the wrong length.
    #[error("a handshake frame has {length} bytes instead of {expected}")]
    HandshakeFrame {
        /// Bytes of the frame.
        length: usize,
        /// Bytes that it must have.
        expected: usize,
    },
    /// The header of the encryption has the id of another stream.
    #[error("the encryption header has the id of another stream")]
    OtherStream,
    /// The handshake failed, or a message is not authentic.
    #[error("decryption failed: {0}")]
    Cipher(#[from] std::io::Error),
    /// A message of a stream whose handshake took place in the DHT is not authentic.
    #[error(transparent)]
    Keyed(#[from] libvms_hypercore::secret_stream::cipher::SecretError),
    /// The system returned no random numbers.
    #[error("the system returned no random numbers: {0}")]
    Random(getrandom::Error),
    /// The handshake cannot be started.
    #[error("cannot start the handshake: {0}")]
    Start(#[from] hypercore_handshake::Error),
}

impl SecretStream {
    /// Returns a stream for a connection that we opened (`Role::Initiator`) or accepted.
    ///
    /// # Errors
    /// When the system returns no random numbers.
    pub fn new(role: Role) -> Result<Self, SecretError> {
        Ok(Self(Kind::Shaken(Box::new(Shaken::new(role)?))))
    }

    /// Returns a stream with the keys of a completed handshake. It is established once the remote's header has arrived.
    ///
    /// # Errors
    /// When the system returns no random numbers.
    pub fn of_keys(keys: StreamKeys) -> Result<Self, SecretError> {
        Ok(Self(Kind::Keyed(Box::new(Keyed::new(keys)?))))
    }

    /// Returns the role of this side.
    pub fn role(&self) -> Role {
        match &self.0 {
            Kind::Shaken(shaken) => shaken.role(),
            Kind::Keyed(keyed) => keyed.role(),
        }
    }

    /// Returns whether the handshake is complete.
    pub fn is_established(&self) -> bool {
        match &self.0 {
            Kind::Shaken(shaken) => shaken.is_established(),
            Kind::Keyed(keyed) => keyed.is_established(),
        }
    }

    /// Returns the hash of the handshake, once it is complete.
    /// Only the two sides know the hash of a handshake in the stream.
    pub fn handshake_hash(&self) -> Option<HandshakeHash> {
        match &self.0 {
            Kind::Shaken(shaken) => shaken.handshake_hash(),
            Kind::Keyed(keyed) => Some(keyed.handshake_hash()),
        }
    }

    /// Takes bytes from the socket, in pieces of any size.
    ///
    /// # Errors
    /// When the bytes do not belong to this stream.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SecretError> {
        match &mut self.0 {
            Kind::Shaken(shaken) => shaken.receive(bytes),
            Kind::Keyed(keyed) => keyed.receive(bytes),
        }
    }

    /// Returns the next message; an empty one is a keep-alive.
    ///
    /// # Errors
    /// When the message is not authentic.
    pub fn poll_message(&mut self) -> Result<Option<Vec<u8>>, SecretError> {
        match &mut self.0 {
            Kind::Shaken(shaken) => shaken.poll_message(),
            Kind::Keyed(keyed) => keyed.poll_message(),
        }
    }

    /// Returns the bytes of memory used for incomplete messages.
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Kind::Shaken(shaken) => shaken.memory_bytes(),
            Kind::Keyed(keyed) => keyed.memory_bytes(),
        }
    }

    /// Sends a message, after the handshake if that is not complete.
    ///
    /// # Panics
    /// If it has more than [`PLAINTEXT_BYTES_MAX`] bytes.
    pub fn send(&mut self, message: Vec<u8>) {
        assert!(message.len() <= PLAINTEXT_BYTES_MAX, "the sender bounds its messages");
        match &mut self.0 {
            Kind::Shaken(shaken) => shaken.send(message),
            Kind::Keyed(keyed) => keyed.send(message),
        }
    }

    /// Appends the bytes to write to the socket to `bytes`; nothing if there are none.
    ///
    /// # Errors
    /// When the stream is over.
    pub fn transmit(&mut self, bytes: &mut Vec<u8>) -> Result<(), SecretError> {
        match &mut self.0 {
            Kind::Shaken(shaken) => shaken.transmit(bytes),
            Kind::Keyed(keyed) => {
                keyed.transmit(bytes);
                Ok(())
            }
        }
    }
}
