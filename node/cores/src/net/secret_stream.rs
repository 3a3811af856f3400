//! The encrypted stream between two peers: [`SecretStream`], which is what npm `@hyperswarm/secret-stream` speaks.
//!
//! Over TCP it begins with a handshake (`shaken.rs`); peers that met through the DHT have shaken hands there, and their
//! stream begins with the keys of that handshake (`keyed.rs`).

mod noise_ik;
mod noise_xx;

use libvms_hypercore::wire::frame::{FrameTooLong, PLAINTEXT_BYTES_MAX};
use libvms_hypercore::wire::{HandshakeHash, Role};
use libvms_hyperswarm::hyperdht;
use libvms_hyperswarm::hyperdht::noise::StreamKeys;
use thiserror::Error;

use noise_ik::Keyed;
use noise_xx::Shaken;

/// One side of an encrypted stream. Bytes of the socket go in with [`SecretStream::receive`]; messages come out, and
/// what is to be written.
#[derive(Debug)]
pub struct SecretStream(Kind);

#[derive(Debug)]
enum Kind {
    Shaken(Box<Shaken>),
    Keyed(Box<Keyed>),
}

/// The remote does not speak the protocol, or not with us. The stream is over.
#[derive(Debug, Error)]
pub enum SecretError {
    /// A frame is longer than it may be.
    #[error(transparent)]
    Frame(#[from] FrameTooLong),
    /// What should be a handshake is longer than any.
    #[error("what should be a handshake has more than {} bytes", noise_xx::HANDSHAKE_BYTES_MAX)]
    LongHandshake,
    /// A frame of a handshake has a length of its own.
    #[error("a frame of {length} bytes, where {expected} bytes of a handshake belong")]
    HandshakeFrame {
        /// Bytes of the frame.
        length: usize,
        /// Bytes that it should have.
        expected: usize,
    },
    /// The other side begins its encryption with the name of another stream.
    #[error("the encryption is of another stream")]
    OtherStream,
    /// The handshake failed, or a message is not authentic.
    #[error("the encryption failed: {0}")]
    Cipher(#[from] std::io::Error),
    /// A message of a stream whose handshake took place elsewhere is not what it should be.
    #[error(transparent)]
    Keyed(#[from] hyperdht::secret::SecretError),
    /// There are no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// No handshake can be begun.
    #[error("no handshake can be begun: {0}")]
    Start(#[from] hypercore_handshake::Error),
}

impl SecretStream {
    /// A stream on a connection that we opened (`Role::Initiator`), or accepted.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn new(role: Role) -> Result<Self, SecretError> {
        Ok(Self(Kind::Shaken(Box::new(Shaken::new(role)?))))
    }

    /// A stream with the keys of a handshake that is over. It is established when the other side's header has come.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn of_keys(keys: StreamKeys) -> Result<Self, SecretError> {
        Ok(Self(Kind::Keyed(Box::new(Keyed::new(keys)?))))
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        match &self.0 {
            Kind::Shaken(shaken) => shaken.role(),
            Kind::Keyed(keyed) => keyed.role(),
        }
    }

    /// Whether the handshake is over.
    pub fn is_established(&self) -> bool {
        match &self.0 {
            Kind::Shaken(shaken) => shaken.is_established(),
            Kind::Keyed(keyed) => keyed.is_established(),
        }
    }

    /// The hash of the handshake, once it is over. Only the two sides know that of a handshake in the stream.
    pub fn handshake_hash(&self) -> Option<HandshakeHash> {
        match &self.0 {
            Kind::Shaken(shaken) => shaken.handshake_hash(),
            Kind::Keyed(keyed) => Some(keyed.handshake_hash()),
        }
    }

    /// Takes bytes of the socket, in any pieces.
    ///
    /// # Errors
    /// Where they are not of this stream.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SecretError> {
        match &mut self.0 {
            Kind::Shaken(shaken) => shaken.receive(bytes),
            Kind::Keyed(keyed) => keyed.receive(bytes),
        }
    }

    /// The next message; an empty one is a sign of life.
    ///
    /// # Errors
    /// Where it is not authentic.
    pub fn poll_message(&mut self) -> Result<Option<Vec<u8>>, SecretError> {
        match &mut self.0 {
            Kind::Shaken(shaken) => shaken.poll_message(),
            Kind::Keyed(keyed) => keyed.poll_message(),
        }
    }

    /// Bytes of memory that wait here for the rest of a message.
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Kind::Shaken(shaken) => shaken.memory_bytes(),
            Kind::Keyed(keyed) => keyed.memory_bytes(),
        }
    }

    /// Sends a message, after the handshake if that is not over.
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

    /// Adds what is to be written to the socket next to `bytes`. Nothing is added when there is nothing.
    ///
    /// # Errors
    /// Where the stream is over.
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
