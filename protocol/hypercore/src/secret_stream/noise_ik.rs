//! The handshake of two peers of the DHT: Noise IK over Ed25519 keys, with a payload in each of its two messages.
//!
//! Start from [`Initiator::begin`] and [`Responder::receive`]. Both lead to [`StreamKeys`], from which the encrypted
//! stream starts without any further handshake. Source: npm hyperdht (`noise-wrap`).
//!
//! ```text
//! protocol  "Noise_IK_Ed25519_ChaChaPoly_BLAKE2b", zero-padded to 64 bytes     prologue  namespace("hyperswarm/dht")[0]
//! message 1 ephemeral key 32 | encrypted static key 32 + 16 | encrypted payload + 16
//! message 2 ephemeral key 32 | encrypted payload + 16
//! ```
//!
//! **The handshake hash is public.** Any observer of both messages can compute it: data keyed with it (the holepunch
//! payload, the ids at the head of the stream, unordered messages) is protected from strangers, but not from the relays
//! of the handshake. Only `transmit` and `receive` of [`StreamKeys`] are secret.

use super::keys::{Role, StreamKeys};
use super::noise::{KEY_BYTES, MAC_BYTES, NoiseError, Symmetric, agree, split_key};
use crate::hash::namespace;
use crate::identity::{PublicKey, SecretKey};

const PROTOCOL: &[u8] = b"Noise_IK_Ed25519_ChaChaPoly_BLAKE2b";

/// Bytes that the first message adds to its payload.
pub const FIRST_OVERHEAD_BYTES: usize = KEY_BYTES + KEY_BYTES + MAC_BYTES + MAC_BYTES;
/// Bytes that the second message adds to its payload.
pub const SECOND_OVERHEAD_BYTES: usize = KEY_BYTES + MAC_BYTES;

/// The side that connects, after its message. Any number of answers can be tried with [`Initiator::finish`].
#[derive(Clone)]
pub struct Initiator {
    symmetric: Symmetric,
    local: SecretKey,
    ephemeral: SecretKey,
    remote: PublicKey,
}

impl Initiator {
    /// Begins a handshake with the owner of `remote`. Returns the state and the first message, which carries `payload`.
    ///
    /// `ephemeral_seed` must be 32 fresh random bytes.
    ///
    /// # Errors
    /// If `remote` is not a key.
    pub fn begin(
        local: &SecretKey,
        remote: PublicKey,
        ephemeral_seed: &[u8; 32],
        payload: &[u8],
    ) -> Result<(Self, Vec<u8>), NoiseError> {
        let ephemeral = SecretKey::from_seed(ephemeral_seed);
        let mut symmetric = begin(&remote);
        let mut message = ephemeral.public_key().0.to_vec();
        symmetric.mix_hash(&message);
        symmetric.mix_key(&agree(&ephemeral, &remote)?);
        message.extend(symmetric.encrypt(&local.public_key().0));
        symmetric.mix_key(&agree(local, &remote)?);
        message.extend(symmetric.encrypt(payload));
        Ok((Self { symmetric, local: local.clone(), ephemeral, remote }, message))
    }

    /// Takes an answer. Returns its payload and the keys of the stream. A forged answer leaves no trace, so that the
    /// true one can still come.
    ///
    /// # Errors
    /// If the answer is not from the owner of the key, or not to this message.
    pub fn finish(&self, message: &[u8]) -> Result<(Vec<u8>, StreamKeys), NoiseError> {
        let mut symmetric = self.symmetric.clone();
        let (remote_ephemeral, rest) = split_key(message, SECOND_OVERHEAD_BYTES)?;
        symmetric.mix_hash(&remote_ephemeral.0);
        symmetric.mix_key(&agree(&self.ephemeral, &remote_ephemeral)?);
        symmetric.mix_key(&agree(&self.local, &remote_ephemeral)?);
        let payload = symmetric.decrypt(rest)?;
        Ok((payload, symmetric.split(Role::Initiator, self.remote)))
    }
}

/// The side that accepts, after the first message.
#[derive(Clone)]
pub struct Responder {
    symmetric: Symmetric,
    remote_ephemeral: PublicKey,
    remote: PublicKey,
}

impl Responder {
    /// Takes a first message. Returns the state and its payload. The sender is proved, the *time* is not: anyone can
    /// replay an old message.
    ///
    /// # Errors
    /// If the message is not for the owner of `local`, or not authentic.
    pub fn receive(local: &SecretKey, message: &[u8]) -> Result<(Self, Vec<u8>), NoiseError> {
        let mut symmetric = begin(&local.public_key());
        let (remote_ephemeral, rest) = split_key(message, FIRST_OVERHEAD_BYTES)?;
        symmetric.mix_hash(&remote_ephemeral.0);
        symmetric.mix_key(&agree(local, &remote_ephemeral)?);
        let (sealed_key, sealed_payload) = rest.split_at(KEY_BYTES + MAC_BYTES);
        let remote = symmetric.decrypt_key(sealed_key)?;
        symmetric.mix_key(&agree(local, &remote)?);
        let payload = symmetric.decrypt(sealed_payload)?;
        Ok((Self { symmetric, remote_ephemeral, remote }, payload))
    }

    /// Returns the sender of the first message.
    pub fn remote(&self) -> PublicKey {
        self.remote
    }

    /// Returns the answer, which carries `payload`, and the keys of the stream.
    ///
    /// `ephemeral_seed` must be 32 fresh random bytes.
    ///
    /// # Errors
    /// Never after [`Responder::receive`] accepted the keys; it is the same check.
    pub fn answer(
        mut self,
        ephemeral_seed: &[u8; 32],
        payload: &[u8],
    ) -> Result<(Vec<u8>, StreamKeys), NoiseError> {
        let ephemeral = SecretKey::from_seed(ephemeral_seed);
        let mut message = ephemeral.public_key().0.to_vec();
        self.symmetric.mix_hash(&message);
        self.symmetric.mix_key(&agree(&ephemeral, &self.remote_ephemeral)?);
        self.symmetric.mix_key(&agree(&ephemeral, &self.remote)?);
        message.extend(self.symmetric.encrypt(payload));
        Ok((message, self.symmetric.split(Role::Responder, self.remote)))
    }
}

impl std::fmt::Debug for Initiator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Initiator").field("remote", &self.remote).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Responder").field("remote", &self.remote).finish_non_exhaustive()
    }
}

/// Creates the state before the first message: both sides know the prologue and the responder's key.
fn begin(responder: &PublicKey) -> Symmetric {
    let mut symmetric = Symmetric::new(PROTOCOL, &namespace("hyperswarm/dht", 0));
    symmetric.mix_hash(&responder.0);
    symmetric
}
