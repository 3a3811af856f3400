//! The handshake of two peers of the network: Noise IK over Ed25519 keys, with a payload in each of its two messages.
//!
//! Start from [`Initiator::begin`] and [`Responder::receive`]. Both lead to [`StreamKeys`], from which the encrypted
//! stream starts without any further handshake. Source: npm hyperdht (`noise-wrap`), noise-handshake, noise-curve-ed.
//!
//! ```text
//! protocol  "Noise_IK_Ed25519_ChaChaPoly_BLAKE2b", zero-padded to 64 bytes     prologue  namespace("hyperswarm/dht")[0]
//! message 1 ephemeral key 32 | encrypted static key 32 + 16 | encrypted payload + 16
//! message 2 ephemeral key 32 | encrypted payload + 16
//! ```
//!
//! The handshake is written out here, and not taken from crate `snow`, for two reasons: an initiator must try several
//! answers on one state, because a relay can forge one, and `snow` changes its state in place; and the ephemeral key
//! must come from the caller, because this crate draws no random numbers. Curve, cipher and hash are libraries.
//!
//! **The handshake hash is public.** Any observer of both messages can compute it: data keyed with it (the holepunch
//! payload, the ids at the head of the stream, unordered messages) is protected from strangers, but not from the relays
//! of the handshake. Only `transmit` and `receive` of [`StreamKeys`] are secret.

use blake2::Blake2b512;
use blake2::digest::Digest;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::IsIdentity;
use hkdf::SimpleHkdf;
use sha2::Sha512;
use thiserror::Error;

use crate::hyperdht::namespaces;
use libvms_hypercore::hash::keyed_blake2b;
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::secret_stream::{HandshakeHash, Role, stream_id};

const PROTOCOL: &[u8] = b"Noise_IK_Ed25519_ChaChaPoly_BLAKE2b";
const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 16;

/// Bytes that the first message adds to its payload.
pub const FIRST_OVERHEAD_BYTES: usize = KEY_BYTES + KEY_BYTES + MAC_BYTES + MAC_BYTES;
/// Bytes that the second message adds to its payload.
pub const SECOND_OVERHEAD_BYTES: usize = KEY_BYTES + MAC_BYTES;

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
    /// The key is not a point of the curve's large group: with it, the secret would be known to everybody.
    #[error("{0:?} is a weak key: no secret can be agreed on with it")]
    WeakKey(PublicKey),
    /// The message was made with other keys, or changed on the way.
    #[error("the handshake message is not authentic")]
    NotAuthentic,
}

/// The result of a handshake on either side: everything that an encrypted stream needs.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKeys {
    /// The role of this side.
    pub role: Role,
    /// Encrypts the bytes that this side sends (a key of libsodium's secretstream).
    pub transmit: [u8; 32],
    /// Decrypts the bytes that this side receives.
    pub receive: [u8; 32],
    /// The handshake's hash. It is not secret.
    pub hash: HandshakeHash,
    /// The key of the other side, which holds its private half.
    pub remote: PublicKey,
}

impl StreamKeys {
    /// Returns the first 32 bytes of the stream that this side sends.
    pub fn local_stream_id(&self) -> [u8; 32] {
        stream_id(self.role, &self.hash)
    }

    /// Returns the first 32 bytes of the stream that the other side sends; a stream with other bytes is not its.
    pub fn remote_stream_id(&self) -> [u8; 32] {
        stream_id(self.role.other(), &self.hash)
    }

    /// Returns the key of the holepunch payloads that belong to this handshake. Relays can compute it, too.
    pub fn holepunch_secret(&self) -> [u8; 32] {
        keyed_blake2b(&self.hash.0, &[&namespaces::peer_holepunch()])
    }
}

impl std::fmt::Debug for StreamKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StreamKeys")
            .field("role", &self.role)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

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
        let mut symmetric = Symmetric::new(&remote);
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
        let mut symmetric = Symmetric::new(&local.public_key());
        let (remote_ephemeral, rest) = split_key(message, FIRST_OVERHEAD_BYTES)?;
        symmetric.mix_hash(&remote_ephemeral.0);
        symmetric.mix_key(&agree(local, &remote_ephemeral)?);
        let (sealed_key, sealed_payload) = rest.split_at(KEY_BYTES + MAC_BYTES);
        let remote: [u8; KEY_BYTES] =
            symmetric.decrypt(sealed_key)?.try_into().expect("what is sealed in 48 bytes has 32");
        let remote = PublicKey(remote);
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

/// Noise's symmetric state: the chaining key, the running hash, and the key of the next messages.
#[derive(Clone)]
struct Symmetric {
    chaining_key: [u8; 64],
    hash: [u8; 64],
    key: [u8; 32],
    nonce: u64,
}

impl Symmetric {
    /// Creates the state before the first message: both sides know the prologue and the responder's key.
    fn new(responder: &PublicKey) -> Self {
        let mut name = [0; 64];
        name[..PROTOCOL.len()].copy_from_slice(PROTOCOL);
        let mut symmetric = Self { chaining_key: name, hash: name, key: [0; 32], nonce: 0 };
        symmetric.mix_hash(&namespaces::peer_handshake());
        symmetric.mix_hash(&responder.0);
        symmetric
    }

    fn mix_hash(&mut self, data: &[u8]) {
        let mut hasher = Blake2b512::new();
        hasher.update(self.hash);
        hasher.update(data);
        self.hash = hasher.finalize().into();
    }

    fn mix_key(&mut self, secret: &[u8; 32]) {
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

    fn encrypt(&mut self, plain: &[u8]) -> Vec<u8> {
        let nonce = self.take_nonce();
        let sealed = self.cipher().encrypt(&nonce, Payload { msg: plain, aad: &self.hash });
        let sealed = sealed.expect("a datagram's payload is far below the cipher's limit");
        self.mix_hash(&sealed);
        sealed
    }

    fn decrypt(&mut self, sealed: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let nonce = self.take_nonce();
        let plain = self.cipher().decrypt(&nonce, Payload { msg: sealed, aad: &self.hash });
        let plain = plain.map_err(|_| NoiseError::NotAuthentic)?;
        self.mix_hash(sealed);
        Ok(plain)
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
    fn split(&self, role: Role, remote: PublicKey) -> StreamKeys {
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
fn split_key(message: &[u8], minimum: usize) -> Result<(PublicKey, &[u8]), NoiseError> {
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
fn agree(local: &SecretKey, remote: &PublicKey) -> Result<[u8; 32], NoiseError> {
    let weak = NoiseError::WeakKey(*remote);
    let compressed = CompressedEdwardsY(remote.0);
    let point = compressed.decompress().ok_or(weak)?;
    if point.compress() != compressed || point.is_identity() || !point.is_torsion_free() {
        return Err(weak);
    }
    let expanded: [u8; 64] = Sha512::digest(local.seed()).into();
    Ok(point.mul_clamped(first_half(&expanded)).compress().0)
}
