//! The secret stream (npm @hyperswarm/secret-stream) after a handshake: [`SecretStream`].
//!
//! ```text
//! frame     u24 length | body                                see `secret_stream::frame`
//! header    stream id 32 | random 24                         the first frame of each side
//! message   libsodium's secretstream, tag MESSAGE            17 bytes longer than its text; empty: a keep-alive
//! ```
//!
//! The stream id shows that both sides mean the same handshake; the cipher is libsodium's, by crate
//! `crypto_secretstream`. There is no further handshake.

use crypto_secretstream::{Header, Key, PullStream, PushStream, Tag};
use rand_core::{CryptoRng, RngCore};
use thiserror::Error;

use super::frame::{
    FRAME_BYTES_MAX, FrameDecoder, FrameTooLong, PLAINTEXT_BYTES_MAX, encode_frame, put_frame,
};
use super::keys::StreamKeys;

/// Bytes of the first frame: an id and the cipher's nonce.
pub const HEADER_BYTES: usize = 32 + RANDOM_BYTES;
/// Bytes of the cipher's nonce, which is random.
pub const RANDOM_BYTES: usize = 24;

/// The remote is not the peer of the handshake, or its bytes were changed. The stream is over.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SecretError {
    /// A frame is longer than the maximum.
    #[error(transparent)]
    Frame(#[from] FrameTooLong),
    /// The first frame is not the header of this stream.
    #[error("the first frame is not the header of this handshake's stream")]
    WrongHeader,
    /// A message is not authentic, or not the next one.
    #[error("a message of the stream is not authentic, or not the next one")]
    NotAuthentic,
}

/// One side of an encrypted stream.
pub struct SecretStream {
    keys: StreamKeys,
    push: PushStream,
    pull: Option<PullStream>,
    frames: FrameDecoder,
}

impl SecretStream {
    /// Creates a stream with the keys of a handshake, and returns it with its first bytes: the header, which is all
    /// that may be sent to a remote that has proved nothing. `random` must be fresh.
    pub fn start(keys: StreamKeys, random: [u8; RANDOM_BYTES]) -> (Self, Vec<u8>) {
        let (header, push) = PushStream::init(Given(random), &Key::from(keys.transmit));
        let first = [&keys.local_stream_id()[..], header.as_ref()].concat();
        let bytes = encode_frame(&first).expect("a header is short");
        // Until the header is there, nothing longer may be kept of a stranger.
        let frames = FrameDecoder::new(HEADER_BYTES);
        (Self { keys, push, pull: None, frames }, bytes)
    }

    /// Appends the bytes that carry a message to `bytes`. An empty one is a keep-alive.
    ///
    /// # Panics
    /// If it has more than [`PLAINTEXT_BYTES_MAX`] bytes.
    pub fn seal(&mut self, mut message: Vec<u8>, bytes: &mut Vec<u8>) {
        assert!(message.len() <= PLAINTEXT_BYTES_MAX, "the sender bounds its messages");
        self.push.push(&mut message, &[], Tag::Message).expect("a message in memory can be sealed");
        put_frame(&message, bytes).expect("the message has been measured");
    }

    /// Takes bytes of the remote, in any pieces.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.frames.push(bytes);
    }

    /// Returns the next message of the remote.
    ///
    /// # Errors
    /// If the stream is over.
    pub fn poll_message(&mut self) -> Result<Option<Vec<u8>>, SecretError> {
        if self.pull.is_none() {
            let Some(frame) = self.frames.take_frame()? else { return Ok(None) };
            let pull = read_header(&self.keys, frame)?;
            self.pull = Some(pull);
            self.frames.set_maximum(FRAME_BYTES_MAX);
        }
        let Some(pull) = &mut self.pull else { return Ok(None) };
        let Some(mut message) = self.frames.take_owned_frame()? else { return Ok(None) };
        pull.pull(&mut message, &[]).map_err(|_| SecretError::NotAuthentic)?;
        Ok(Some(message))
    }

    /// Returns whether the remote's header has arrived: then it has proved that it can read our messages.
    pub fn has_begun(&self) -> bool {
        self.pull.is_some()
    }

    /// Returns the number of bytes of memory that wait for the rest of a message.
    pub fn memory_bytes(&self) -> usize {
        self.frames.memory_bytes()
    }

    /// Returns the keys of the handshake.
    pub fn keys(&self) -> &StreamKeys {
        &self.keys
    }
}

impl std::fmt::Debug for SecretStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SecretStream").field("keys", &self.keys).finish_non_exhaustive()
    }
}

fn read_header(keys: &StreamKeys, frame: &[u8]) -> Result<PullStream, SecretError> {
    let (id, random) = frame.split_first_chunk::<32>().ok_or(SecretError::WrongHeader)?;
    let header = Header::try_from(random).map_err(|_| SecretError::WrongHeader)?;
    if *id != keys.remote_stream_id() {
        return Err(SecretError::WrongHeader);
    }
    Ok(PullStream::init(header, &Key::from(keys.receive)))
}

/// Random bytes from the caller, in the form that the cipher expects.
struct Given([u8; RANDOM_BYTES]);

impl RngCore for Given {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(*self.0.first_chunk().expect("24 bytes"))
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(*self.0.first_chunk().expect("24 bytes"))
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        // The cipher asks once, for exactly this many bytes.
        bytes.copy_from_slice(&self.0[..bytes.len()]);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Given {}
