//! The encryption of a stream whose handshake took place elsewhere: [`Keyed`].
//!
//! ```text
//! first frame     id of the stream 32 | header of the cipher 24
//! each other      message, 17 bytes longer than the plain one: XChaCha20-Poly1305 as libsodium's secretstream has it
//! ```
//!
//! Source: npm `@hyperswarm/secret-stream`.

use std::collections::VecDeque;

use crypto_secretstream::{Header, Key, PullStream, PushStream, Tag};
use libvms_protocol::dht::noise::StreamKeys;
use libvms_protocol::wire::HandshakeHash;
use rand_core::OsRng;

use super::SecretError;

const STREAM_ID_BYTES: usize = 32;

/// Both directions of one stream.
pub(super) struct Keyed {
    keys: StreamKeys,
    push: PushStream,
    /// There once the other side's header has come.
    pull: Option<PullStream>,
    /// Encrypted, on the way out.
    outgoing: VecDeque<Vec<u8>>,
}

impl Keyed {
    pub(super) fn new(keys: &StreamKeys) -> Self {
        let (header, push) = PushStream::init(OsRng, &Key::from(keys.transmit));
        let first = [&keys.local_stream_id()[..], header.as_ref()].concat();
        Self { keys: keys.clone(), push, pull: None, outgoing: VecDeque::from([first]) }
    }

    pub(super) fn hash(&self) -> HandshakeHash {
        self.keys.hash.clone()
    }

    /// Takes the other side's first frame, whose id of the stream was checked. Whether it is one.
    pub(super) fn take_header(&mut self, frame: &[u8]) -> bool {
        let header = frame.get(STREAM_ID_BYTES..).and_then(|header| Header::try_from(header).ok());
        self.pull = header.map(|header| PullStream::init(header, &Key::from(self.keys.receive)));
        self.pull.is_some()
    }

    pub(super) fn encrypt(&mut self, mut message: Vec<u8>) {
        let sealed = self.push.push(&mut message, &[], Tag::Message);
        sealed.expect("a frame is far below the cipher's limit of 256 GiB");
        self.outgoing.push_back(message);
    }

    pub(super) fn next_sendable(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    pub(super) fn decrypt(&mut self, mut frame: Vec<u8>) -> Result<Vec<u8>, SecretError> {
        let pull = self.pull.as_mut().ok_or(SecretError::NotAuthentic)?;
        pull.pull(&mut frame, &[]).map_err(|_| SecretError::NotAuthentic)?;
        Ok(frame)
    }
}
