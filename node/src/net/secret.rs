//! The encrypted stream between two peers: Noise XX, then a secret stream, in frames of 3-byte lengths.
//!
//! It is what npm `@hyperswarm/secret-stream` speaks over a socket. Handshake and encryption are the crate
//! `hypercore_handshake`'s, of which only the part without I/O is used: its own stream panics when a socket fails.

use std::fmt;

use hypercore_handshake::state_machine::hc_specific::generate_keypair;
use hypercore_handshake::{Cipher, CipherEvent, HandshakePattern};
use libvms_protocol::wire::frame::{FrameDecoder, FrameTooLong, PLAINTEXT_BYTES_MAX, encode_frame};
use libvms_protocol::wire::{HandshakeHash, Role};
use thiserror::Error;

/// No frame of a handshake is longer; a stranger may not make us keep more.
const HANDSHAKE_BYTES_MAX: usize = 1024;

/// One side of an encrypted stream. Bytes of the socket go in with [`SecretStream::receive`]; messages come out, and
/// what is to be written.
pub struct SecretStream {
    role: Role,
    cipher: Cipher,
    frames: FrameDecoder,
    is_established: bool,
    waiting: Vec<Vec<u8>>,
}

/// The remote does not speak the protocol, or not with us. The stream is over.
#[derive(Debug, Error)]
pub enum SecretError {
    /// A frame is longer than it may be.
    #[error(transparent)]
    Frame(#[from] FrameTooLong),
    /// What should be a handshake is longer than any.
    #[error("what should be a handshake has more than {HANDSHAKE_BYTES_MAX} bytes")]
    LongHandshake,
    /// The handshake failed, or a message is not authentic.
    #[error("the encryption failed: {0}")]
    Cipher(#[from] std::io::Error),
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
        let pattern = HandshakePattern::XX;
        let cipher = match role {
            Role::Initiator => Cipher::new_dht_init_with_pattern(None, pattern, None, &[])?,
            Role::Responder => {
                Cipher::resp_from_private_with_pattern(None, &generate_keypair()?, pattern, &[])?
            }
        };
        Ok(Self { role, cipher, frames: FrameDecoder::default(), is_established: false, waiting: vec![] })
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the handshake is over.
    pub fn is_established(&self) -> bool {
        self.is_established
    }

    /// The hash that only the two sides of this stream know, once the handshake is over.
    pub fn handshake_hash(&self) -> Option<HandshakeHash> {
        self.cipher.handshake_hash().and_then(|hash| hash.try_into().ok()).map(HandshakeHash)
    }

    /// Takes bytes of the socket, in any pieces.
    ///
    /// # Errors
    /// Where they are not of this stream.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SecretError> {
        self.frames.push(bytes);
        while !self.is_established {
            let Some(frame) = self.frames.take_frame()? else { break };
            let frame = frame.to_vec();
            self.cipher.receive_next(frame);
            self.pump()?;
            if self.cipher.ready() {
                self.establish();
            }
        }
        if !self.is_established && self.frames.buffered_bytes() > HANDSHAKE_BYTES_MAX {
            return Err(SecretError::LongHandshake);
        }
        Ok(())
    }

    /// The next message; an empty one is a sign of life.
    ///
    /// # Errors
    /// Where it is not authentic.
    pub fn poll_message(&mut self) -> Result<Option<Vec<u8>>, SecretError> {
        loop {
            match self.cipher.next_decrypted_message()? {
                Some(CipherEvent::Message(message)) => return Ok(Some(message)),
                // Payloads are empty in this protocol, and nobody would check what is in them.
                Some(CipherEvent::HandshakePayload(_)) => {}
                Some(CipherEvent::ErrStuff(error)) => return Err(error.into()),
                None if self.is_established => match self.frames.take_frame()? {
                    Some(frame) => {
                        let frame = frame.to_vec();
                        self.cipher.receive_next(frame);
                    }
                    None => return Ok(None),
                },
                None => return Ok(None),
            }
        }
    }

    /// Bytes of memory that wait here for the rest of a message.
    pub fn memory_bytes(&self) -> usize {
        self.frames.memory_bytes()
    }

    /// Sends a message, after the handshake if that is not over.
    ///
    /// # Panics
    /// If it has more than [`PLAINTEXT_BYTES_MAX`] bytes.
    pub fn send(&mut self, message: Vec<u8>) {
        assert!(message.len() <= PLAINTEXT_BYTES_MAX, "the sender bounds its messages");
        // The cipher would take what comes too early for a payload of the handshake, which is not encrypted for all.
        if self.is_established { self.cipher.queue_msg(message) } else { self.waiting.push(message) }
    }

    /// Adds what is to be written to the socket next to `bytes`. Nothing is added when there is nothing.
    ///
    /// # Errors
    /// Where the stream is over.
    pub fn transmit(&mut self, bytes: &mut Vec<u8>) -> Result<(), SecretError> {
        while let Some(message) = self.cipher.get_next_sendable_message()? {
            bytes.extend_from_slice(&encode_frame(&message)?);
        }
        Ok(())
    }

    /// Lets the cipher work, without taking anything out.
    fn pump(&mut self) -> Result<(), SecretError> {
        if let Some(event) = self.cipher.next_decrypted_message()? {
            debug_assert!(
                matches!(event, CipherEvent::HandshakePayload(_)),
                "no message before the handshake is over"
            );
        }
        Ok(())
    }

    /// The handshake is over: long frames are welcome, and what waited can go.
    fn establish(&mut self) {
        self.is_established = true;
        for message in std::mem::take(&mut self.waiting) {
            self.cipher.queue_msg(message);
        }
    }
}

impl fmt::Debug for SecretStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("SecretStream");
        debug.field("role", &self.role).field("is_established", &self.is_established).finish_non_exhaustive()
    }
}
