//! What the handshakes have in common: Noise's symmetric state, and the secret that two Ed25519 keys share.
//!
//! Source: the Noise Protocol Framework (revision 34), npm noise-handshake and noise-curve-ed. The protocols are
//! `Noise_*_Ed25519_ChaChaPoly_BLAKE2b`: Noise's Curve25519 is exchanged for the points of Ed25519.
//!
//! The handshakes are written out here, and not taken from crate `snow`, for two reasons: an initiator of the DHT must
//! try several answers on one state, because a relay can forge one, and `snow` changes its state in place; and ephemeral
//! keys must come from the caller, because this crate draws no random numbers. Curve, cipher and hash are libraries.

use blake2::Blake2b512;
use blake2::digest::Digest;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::IsIdentity;
use hkdf::SimpleHkdf;
use sha2::Sha512;
use thiserror::Error;

use super::keys::{HandshakeHash, Role, StreamKeys};
use crate::identity::{PublicKey, SecretKey};

pub(super) const KEY_BYTES: usize = 32;
pub(super) const MAC_BYTES: usize = 16;

/// The message does not belong to this handshake.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NoiseError {
    /// The message ends inside a field.
    #[error("a handshake message has {bytes} bytes, the minimum is {minimum}")]
    Truncated {
        /// Bytes of the message.
        bytes: usize,
        /// Bytes of the shortest message.
        minimum: usize,
    },
    /// A message whose length is fixed has another one.
    #[error("a handshake message has {bytes} bytes instead of {expected}")]
    WrongLength {
        /// Bytes of the message.
        bytes: usize,
        /// Bytes that it must have.
        expected: usize,
    },
    /// The key is not a point of the curve's large group: with it, the secret would be known to everybody.
    #[error("{0:?} is a weak key: no secret can be agreed on with it")]
    WeakKey(PublicKey),
    /// The message was made with other keys, or changed on the way.
    #[error("the handshake message is not authentic")]
    NotAuthentic,
}

/// Noise's symmetric state: the chaining key, the running hash, and the key of the next messages.
#[derive(Clone)]
pub(super) struct Symmetric {
    chaining_key: [u8; 64],
    hash: [u8; 64],
    key: [u8; 32],
    nonce: u64,
}

impl Symmetric {
    /// Creates the state before the first message of `protocol`, whose name has at most 64 bytes.
    pub(super) fn new(protocol: &[u8], prologue: &[u8]) -> Self {
        let mut name = [0; 64];
        name[..protocol.len()].copy_from_slice(protocol);
        let mut symmetric = Self { chaining_key: name, hash: name, key: [0; 32], nonce: 0 };
        symmetric.mix_hash(prologue);
        symmetric
    }

    pub(super) fn mix_hash(&mut self, data: &[u8]) {
        let mut hasher = Blake2b512::new();
        hasher.update(self.hash);
        hasher.update(data);
        self.hash = hasher.finalize().into();
    }

    pub(super) fn mix_key(&mut self, secret: &[u8; 32]) {
        let (chaining_key, key) = self.derive(secret);
        self.chaining_key = chaining_key;
        self.key = first_half(&key);
        self.nonce = 0;
    }

    /// Computes Noise's HKDF with two outputs.
    fn derive(&self, secret: &[u8]) -> ([u8; 64], [u8; 64]) {
        let mut outputs = [0; 128];
        SimpleHkdf::<Blake2b512>::new(Some(&self.chaining_key), secret)
            .expand(&[], &mut outputs)
            .expect("two blocks are fewer than the 255 that HKDF can give");
        let (first, second) = outputs.split_at(64);
        (first.try_into().expect("64 bytes"), second.try_into().expect("64 bytes"))
    }

    pub(super) fn encrypt(&mut self, plain: &[u8]) -> Vec<u8> {
        let nonce = self.take_nonce();
        let sealed = self.cipher().encrypt(&nonce, Payload { msg: plain, aad: &self.hash });
        let sealed = sealed.expect("a payload is far below the cipher's limit");
        self.mix_hash(&sealed);
        sealed
    }

    pub(super) fn decrypt(&mut self, sealed: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let nonce = self.take_nonce();
        let plain = self.cipher().decrypt(&nonce, Payload { msg: sealed, aad: &self.hash });
        let plain = plain.map_err(|_| NoiseError::NotAuthentic)?;
        self.mix_hash(sealed);
        Ok(plain)
    }

    /// Decrypts the static key of the other side, which takes 48 bytes.
    pub(super) fn decrypt_key(&mut self, sealed: &[u8]) -> Result<PublicKey, NoiseError> {
        let key = self.decrypt(sealed)?;
        Ok(PublicKey(key.try_into().map_err(|_| NoiseError::NotAuthentic)?))
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(Key::from_slice(&self.key))
    }

    fn take_nonce(&mut self) -> Nonce {
        let mut nonce = Nonce::default();
        nonce[4..].copy_from_slice(&self.nonce.to_le_bytes());
        self.nonce += 1;
        nonce
    }

    /// Ends the handshake (Noise's `Split`). The first key is for the data that the initiator sends.
    pub(super) fn split(&self, role: Role, remote: PublicKey) -> StreamKeys {
        let (first, second) = self.derive(&[]);
        let (first, second) = (first_half(&first), first_half(&second));
        let (transmit, receive) = match role {
            Role::Initiator => (first, second),
            Role::Responder => (second, first),
        };
        StreamKeys { role, transmit, receive, hash: HandshakeHash(self.hash), remote }
    }
}

fn first_half(bytes: &[u8; 64]) -> [u8; 32] {
    *bytes.first_chunk().expect("64 bytes have 32 first ones")
}

/// Splits the key off the front of a message. Returns it with the rest.
pub(super) fn split_key(message: &[u8], minimum: usize) -> Result<(PublicKey, &[u8]), NoiseError> {
    let truncated = NoiseError::Truncated { bytes: message.len(), minimum };
    if message.len() < minimum {
        return Err(truncated);
    }
    let (key, rest) = message.split_first_chunk().ok_or(truncated)?;
    Ok((PublicKey(*key), rest))
}

/// Computes the secret that the owners of two Ed25519 keys share: the private scalar of one times the point of the
/// other, not converted to Curve25519.
///
/// libsodium, which the reference uses, refuses the same keys: other encodings of a point, and points outside the large
/// group. Those would leave the secret to chance or make it known.
pub(super) fn agree(local: &SecretKey, remote: &PublicKey) -> Result<[u8; 32], NoiseError> {
    let weak = NoiseError::WeakKey(*remote);
    let compressed = CompressedEdwardsY(remote.0);
    let point = compressed.decompress().ok_or(weak)?;
    if point.compress() != compressed || point.is_identity() || !point.is_torsion_free() {
        return Err(weak);
    }
    let expanded: [u8; 64] = Sha512::digest(local.seed()).into();
    Ok(point.mul_clamped(first_half(&expanded)).compress().0)
}
