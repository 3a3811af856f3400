//! Signed tree heads (the term of RFC 6962): statements that a host cannot take back.
//!
//! An [`UnverifiedHead`] is a claim; [`UnverifiedHead::verify`] is the only way to a
//! [`SignedHead`]. The signature is Hypercore's own over a core without a manifest:
//! `TREE || tree hash || u64le(length) || u64le(fork)`.

use thiserror::Error;

use crate::blocks::Length;
use crate::hash::namespace;
use crate::identity::{PublicKey, SecretKey, Signature};
use crate::tree::TreeHash;

/// A claim about a log that was not verified yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnverifiedHead {
    /// The log's key.
    pub key: PublicKey,
    /// Blocks in the log.
    pub length: Length,
    /// How often the log was truncated. Ours never are.
    pub fork: u64,
    /// Hash of the log's roots.
    pub tree_hash: TreeHash,
    /// The key's signature over the other fields.
    pub signature: Signature,
}

/// A head of a log whose signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedHead(UnverifiedHead);

/// The reason why a claimed head is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HeadError {
    /// The signature is not that of the log's key over these fields.
    #[error("the head at length {length} is not signed by key {key}")]
    WrongSignature {
        /// The log's key.
        key: PublicKey,
        /// The length that the head claims.
        length: Length,
    },
}

impl UnverifiedHead {
    /// Checks the signature. The fork is not judged: a head of another fork is signed evidence of a truncation.
    ///
    /// # Errors
    /// [`HeadError::WrongSignature`] if the log's key did not sign exactly these fields.
    pub fn verify(self) -> Result<SignedHead, HeadError> {
        let signed = signable(self.length, self.fork, &self.tree_hash);
        if self.key.verifies(&signed, &self.signature) {
            Ok(SignedHead(self))
        } else {
            Err(HeadError::WrongSignature { key: self.key, length: self.length })
        }
    }
}

impl SignedHead {
    /// Signs a head. The holder of the key decides what the log says; sign each length once.
    pub fn sign(key: &SecretKey, length: Length, tree_hash: TreeHash) -> Self {
        let signature = key.sign(&signable(length, 0, &tree_hash));
        Self(UnverifiedHead { key: key.public_key(), length, fork: 0, tree_hash, signature })
    }

    /// Returns the log's key.
    pub fn key(&self) -> PublicKey {
        self.0.key
    }

    /// Returns the number of blocks in the log.
    pub fn length(&self) -> Length {
        self.0.length
    }

    /// Returns how often the log was truncated.
    pub fn fork(&self) -> u64 {
        self.0.fork
    }

    /// Returns the hash of the log's roots.
    pub fn tree_hash(&self) -> TreeHash {
        self.0.tree_hash
    }

    /// Returns the signature, for passing the head on.
    pub fn signature(&self) -> Signature {
        self.0.signature
    }
}

/// Returns the 80 bytes that a core without a manifest signs (npm hypercore, `lib/caps.js`, `treeSignableCompat`).
pub fn signable(length: Length, fork: u64, tree_hash: &TreeHash) -> [u8; 80] {
    let mut bytes = [0; 80];
    bytes[..32].copy_from_slice(&namespace("hypercore", 0));
    bytes[32..64].copy_from_slice(&tree_hash.0);
    bytes[64..72].copy_from_slice(&length.0.to_le_bytes());
    bytes[72..].copy_from_slice(&fork.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signed_head_verifies() {
        let key = SecretKey::from_seed(&[3; 32]);
        let signed_head = SignedHead::sign(&key, Length(5), TreeHash([9; 32]));
        let claim = signed_head.0;
        assert_eq!(claim.verify(), Ok(signed_head));
        let changed = [
            UnverifiedHead { length: Length(6), ..claim },
            UnverifiedHead { fork: 1, ..claim },
            UnverifiedHead { tree_hash: TreeHash([8; 32]), ..claim },
            UnverifiedHead { key: SecretKey::from_seed(&[4; 32]).public_key(), ..claim },
        ];
        for claim in changed {
            assert!(claim.verify().is_err(), "{claim:?}");
        }
    }
}
