//! The handshake over TCP: Noise XX over Ed25519 keys, in which two sides that know nothing of each other prove the keys
//! that they have. None of its three messages has a payload.
//!
//! Start from [`Initiator::begin`] and [`Responder::new`]. Both lead to [`StreamKeys`], from which the encrypted stream
//! starts. Source: npm @hyperswarm/secret-stream (`lib/handshake.js`).
//!
//! ```text
//! protocol  "Noise_XX_Ed25519_ChaChaPoly_BLAKE2b", zero-padded to 64 bytes     prologue  empty
//! message 1 ephemeral key 32                                                       by the initiator
//! message 2 ephemeral key 32 | encrypted static key 32 + 16 | empty payload 16     by the responder
//! message 3 encrypted static key 32 + 16 | empty payload 16                        by the initiator
//! ```
//!
//! A handshake does not change the state that it was given: a message that is refused leaves no trace. The handshake
//! hash is public, as that of [`noise_ik`](super::noise_ik) is: anybody who sees the three messages can compute it.

use super::keys::{Role, StreamKeys};
use super::noise::{KEY_BYTES, MAC_BYTES, NoiseError, Symmetric, agree, split_key};
use crate::identity::{PublicKey, SecretKey};

const PROTOCOL: &[u8] = b"Noise_XX_Ed25519_ChaChaPoly_BLAKE2b";
const SEALED_KEY_BYTES: usize = KEY_BYTES + MAC_BYTES;

/// Bytes of the first message.
pub const FIRST_BYTES: usize = KEY_BYTES;
/// Bytes of the second message.
pub const SECOND_BYTES: usize = KEY_BYTES + SEALED_KEY_BYTES + MAC_BYTES;
/// Bytes of the third message.
pub const THIRD_BYTES: usize = SEALED_KEY_BYTES + MAC_BYTES;

/// The side that connects, after its first message.
pub struct Initiator {
    symmetric: Symmetric,
    local: SecretKey,
    ephemeral: SecretKey,
}

impl Initiator {
    /// Begins a handshake, in which this side proves the key `local`. Returns the state and the first message.
    ///
    /// `ephemeral_seed` must be 32 fresh random bytes.
    pub fn begin(local: SecretKey, ephemeral_seed: &[u8; 32]) -> (Self, Vec<u8>) {
        let ephemeral = SecretKey::from_seed(ephemeral_seed);
        let symmetric = begin(&ephemeral.public_key());
        let message = ephemeral.public_key().0.to_vec();
        (Self { symmetric, local, ephemeral }, message)
    }

    /// Takes the second message. Returns the third, and the keys of the stream.
    ///
    /// # Errors
    /// If the second message does not answer the first one of this side.
    pub fn finish(&self, message: &[u8]) -> Result<(Vec<u8>, StreamKeys), NoiseError> {
        check_length(message, SECOND_BYTES)?;
        let mut symmetric = self.symmetric.clone();
        let (remote_ephemeral, rest) = split_key(message, SECOND_BYTES)?;
        symmetric.mix_hash(&remote_ephemeral.0);
        symmetric.mix_key(&agree(&self.ephemeral, &remote_ephemeral)?);
        let (sealed_key, sealed_payload) = rest.split_at(SEALED_KEY_BYTES);
        let remote = symmetric.decrypt_key(sealed_key)?;
        symmetric.mix_key(&agree(&self.ephemeral, &remote)?);
        symmetric.decrypt(sealed_payload)?;

        let mut answer = symmetric.encrypt(&self.local.public_key().0);
        symmetric.mix_key(&agree(&self.local, &remote_ephemeral)?);
        answer.extend(symmetric.encrypt(&[]));
        Ok((answer, symmetric.split(Role::Initiator, remote)))
    }
}

/// The side that accepts, before the first message.
pub struct Responder {
    local: SecretKey,
    ephemeral: SecretKey,
}

impl Responder {
    /// Prepares a handshake, in which this side proves the key `local`.
    ///
    /// `ephemeral_seed` must be 32 fresh random bytes.
    pub fn new(local: SecretKey, ephemeral_seed: &[u8; 32]) -> Self {
        Self { local, ephemeral: SecretKey::from_seed(ephemeral_seed) }
    }

    /// Takes the first message. Returns the state that waits for the third, and the second message.
    ///
    /// # Errors
    /// If the first message is not a key that a secret can be agreed on with.
    pub fn answer(&self, message: &[u8]) -> Result<(AnsweredResponder, Vec<u8>), NoiseError> {
        check_length(message, FIRST_BYTES)?;
        let (remote_ephemeral, _) = split_key(message, FIRST_BYTES)?;
        let mut symmetric = begin(&remote_ephemeral);
        let mut answer = self.ephemeral.public_key().0.to_vec();
        symmetric.mix_hash(&answer);
        symmetric.mix_key(&agree(&self.ephemeral, &remote_ephemeral)?);
        answer.extend(symmetric.encrypt(&self.local.public_key().0));
        symmetric.mix_key(&agree(&self.local, &remote_ephemeral)?);
        answer.extend(symmetric.encrypt(&[]));
        Ok((AnsweredResponder { symmetric, ephemeral: self.ephemeral.clone() }, answer))
    }
}

/// The side that accepts, after its answer.
pub struct AnsweredResponder {
    symmetric: Symmetric,
    ephemeral: SecretKey,
}

impl AnsweredResponder {
    /// Takes the third message. Returns the keys of the stream.
    ///
    /// # Errors
    /// If the third message is not from the sender of the first one, or does not answer the second.
    pub fn finish(&self, message: &[u8]) -> Result<StreamKeys, NoiseError> {
        check_length(message, THIRD_BYTES)?;
        let mut symmetric = self.symmetric.clone();
        let (sealed_key, sealed_payload) = message.split_at(SEALED_KEY_BYTES);
        let remote = symmetric.decrypt_key(sealed_key)?;
        symmetric.mix_key(&agree(&self.ephemeral, &remote)?);
        symmetric.decrypt(sealed_payload)?;
        Ok(symmetric.split(Role::Responder, remote))
    }
}

impl std::fmt::Debug for Initiator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Initiator").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Responder").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for AnsweredResponder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AnsweredResponder").finish_non_exhaustive()
    }
}

/// Creates the state after the first message, with its payload, which is empty and not encrypted.
fn begin(initiator_ephemeral: &PublicKey) -> Symmetric {
    let mut symmetric = Symmetric::new(PROTOCOL, &[]);
    symmetric.mix_hash(&initiator_ephemeral.0);
    symmetric.mix_hash(&[]);
    symmetric
}

fn check_length(message: &[u8], expected: usize) -> Result<(), NoiseError> {
    match message.len() == expected {
        true => Ok(()),
        false => Err(NoiseError::WrongLength { bytes: message.len(), expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes the third message of an initiator that claims the key `claimed` and has that of `local`.
    fn third(initiator: &Initiator, second: &[u8], claimed: PublicKey, local: &SecretKey) -> Vec<u8> {
        let mut symmetric = initiator.symmetric.clone();
        let (remote_ephemeral, rest) = split_key(second, SECOND_BYTES).expect("long enough");
        symmetric.mix_hash(&remote_ephemeral.0);
        symmetric.mix_key(&agree(&initiator.ephemeral, &remote_ephemeral).expect("a key"));
        let (sealed_key, sealed_payload) = rest.split_at(SEALED_KEY_BYTES);
        let remote = symmetric.decrypt_key(sealed_key).expect("authentic");
        symmetric.mix_key(&agree(&initiator.ephemeral, &remote).expect("a key"));
        symmetric.decrypt(sealed_payload).expect("authentic");
        let mut message = symmetric.encrypt(&claimed.0);
        symmetric.mix_key(&agree(local, &remote_ephemeral).expect("a key"));
        message.extend(symmetric.encrypt(&[]));
        message
    }

    #[test]
    fn a_key_is_proved_and_not_only_claimed() {
        let [local, victim] = [[2; 32], [7; 32]].map(|seed| SecretKey::from_seed(&seed));
        let (initiator, first) = Initiator::begin(local.clone(), &[3; 32]);
        let listener = Responder::new(SecretKey::from_seed(&[1; 32]), &[4; 32]);
        let (responder, second) = listener.answer(&first).expect("a key");
        let finish = |claimed, local| responder.finish(&third(&initiator, &second, claimed, local));

        let honest = finish(local.public_key(), &local).expect("authentic");
        assert_eq!(honest.remote, local.public_key());
        let forged = finish(victim.public_key(), &local);
        assert_eq!(forged.map(|_| ()), Err(NoiseError::NotAuthentic));
        let weak = PublicKey([0; 32]);
        assert_eq!(finish(weak, &local).map(|_| ()), Err(NoiseError::WeakKey(weak)));
    }
}
