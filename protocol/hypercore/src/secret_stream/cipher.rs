//! The cipher of a stream after its handshake: libsodium's secretstream, by crate `crypto_secretstream`.
//!
//! ```text
//! header    stream id 32 | random 24                         the first frame of each side
//! message   libsodium's secretstream, tag MESSAGE            17 bytes longer than its text; empty: a keep-alive
//! ```
//!
//! The stream id shows that both sides mean the same handshake.

use crypto_secretstream::{Header, Key, PullStream, PushStream, Tag};
use rand_core::{CryptoRng, RngCore};

use super::error::SecretError;
use super::frame::FrameDecoder;
use super::keys::StreamKeys;

/// Bytes of the first frame after the handshake: an id and the cipher's nonce.
pub const HEADER_BYTES: usize = 32 + NONCE_BYTES;
/// Bytes of the cipher's nonce, which is random.
pub const NONCE_BYTES: usize = 24;

/// Both directions of a stream. That from the remote is open once its header has arrived.
pub(super) struct Cipher {
    keys: StreamKeys,
    push: PushStream,
    pull: Option<PullStream>,
}

impl Cipher {
    /// Starts the direction to the remote. Returns the header to send. `nonce` must be fresh random bytes.
    pub(super) fn start(keys: StreamKeys, nonce: [u8; NONCE_BYTES]) -> (Self, [u8; HEADER_BYTES]) {
        let (header, push) = PushStream::init(Given(nonce), &Key::from(keys.transmit));
        let mut bytes = [0; HEADER_BYTES];
        bytes[..32].copy_from_slice(&keys.local_stream_id());
        bytes[32..].copy_from_slice(header.as_ref());
        (Self { keys, push, pull: None }, bytes)
    }

    /// Returns the keys of the handshake.
    pub(super) fn keys(&self) -> &StreamKeys {
        &self.keys
    }

    /// Returns whether the remote's header has arrived: then it has proved that it can read our messages.
    pub(super) fn is_open(&self) -> bool {
        self.pull.is_some()
    }

    /// Takes the remote's header.
    pub(super) fn open(&mut self, header: &[u8]) -> Result<(), SecretError> {
        let (id, nonce) = header.split_first_chunk::<32>().ok_or(SecretError::WrongHeader)?;
        let nonce = Header::try_from(nonce).map_err(|_| SecretError::WrongHeader)?;
        if *id != self.keys.remote_stream_id() {
            return Err(SecretError::WrongHeader);
        }
        self.pull = Some(PullStream::init(nonce, &Key::from(self.keys.receive)));
        Ok(())
    }

    /// Encrypts a message in place.
    pub(super) fn encrypt(&mut self, message: &mut Vec<u8>) {
        self.push.push(message, &[], Tag::Message).expect("a message in memory can be encrypted");
    }

    /// Takes the next message out of `frames`, once the remote's header has arrived.
    pub(super) fn next_message(&mut self, frames: &mut FrameDecoder) -> Result<Option<Vec<u8>>, SecretError> {
        let Some(pull) = &mut self.pull else { return Ok(None) };
        let Some(mut message) = frames.take_owned_frame()? else { return Ok(None) };
        pull.pull(&mut message, &[]).map_err(|_| SecretError::NotAuthentic)?;
        Ok(Some(message))
    }
}

/// Random bytes from the caller, in the form that the cipher expects.
struct Given([u8; NONCE_BYTES]);

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
