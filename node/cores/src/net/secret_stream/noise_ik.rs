//! A stream whose Noise IK handshake took place in the DHT.

use std::collections::VecDeque;

use libvms_hypercore::secret_stream::StreamKeys;
use libvms_hypercore::secret_stream::cipher::{RANDOM_BYTES, SecretStream};
use libvms_hypercore::wire::{HandshakeHash, Role};

use super::SecretError;

#[derive(Debug)]
pub(super) struct Keyed {
    stream: SecretStream,
    /// Encrypted bytes to write.
    sealed: Vec<u8>,
    /// Messages to send once the remote has proved that it is there.
    waiting: Vec<Vec<u8>>,
    received: VecDeque<Vec<u8>>,
    is_established: bool,
}

impl Keyed {
    pub(super) fn new(keys: StreamKeys) -> Result<Self, SecretError> {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(SecretError::Random)?;
        let (stream, sealed) = SecretStream::start(keys, random);
        Ok(Self { stream, sealed, waiting: vec![], received: VecDeque::new(), is_established: false })
    }

    pub(super) fn role(&self) -> Role {
        self.stream.keys().role
    }

    pub(super) fn is_established(&self) -> bool {
        self.is_established
    }

    pub(super) fn handshake_hash(&self) -> HandshakeHash {
        self.stream.keys().hash
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<(), SecretError> {
        self.stream.receive(bytes);
        if !self.is_established {
            // The header is read on the way to the first message.
            self.received.extend(self.stream.poll_message()?);
            self.is_established = self.stream.has_begun();
        }
        if self.is_established {
            for message in std::mem::take(&mut self.waiting) {
                self.send(message);
            }
        }
        Ok(())
    }

    pub(super) fn poll_message(&mut self) -> Result<Option<Vec<u8>>, SecretError> {
        match self.received.pop_front() {
            Some(message) => Ok(Some(message)),
            None if self.is_established => Ok(self.stream.poll_message()?),
            None => Ok(None),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.stream.memory_bytes()
    }

    pub(super) fn send(&mut self, message: Vec<u8>) {
        match self.is_established {
            true => self.stream.seal(message, &mut self.sealed),
            false => self.waiting.push(message),
        }
    }

    pub(super) fn transmit(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            std::mem::swap(bytes, &mut self.sealed);
        } else {
            bytes.append(&mut self.sealed);
        }
    }
}
