//! A signed tree head: what a host cannot take back.
//!
//! An [`UnverifiedHead`] is what somebody claims; [`UnverifiedHead::verify`] is the only way to a
//! [`SignedHead`]. The signature is Hypercore's own over a core without a manifest:
//! `TREE || tree hash || u64le(length) || u64le(fork)`.

use thiserror::Error;

use crate::hash::namespace;
use crate::identity::{PublicKey, SecretKey, Signature};
use crate::tree::TreeHash;

/// A claim about a log that nobody has checked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnverifiedHead {
    /// The log's key.
    pub key: PublicKey,
    /// Blocks in the log.
    pub length: u64,
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

/// Why a claimed head is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HeadError {
    /// The signature is not that of the log's key over these fields.
    #[error("the signature of the log's head at length {length} is not from key {key}")]
    WrongSignature {
        /// The log's key.
        key: PublicKey,
        /// The length that the head claims.
        length: u64,
    },
}

impl UnverifiedHead {
    /// Checks the signature. The fork is not judged here: a head of another fork is signed evidence of a truncation.
    ///
    /// # Errors
    /// [`HeadError::WrongSignature`] when the log's key did not sign exactly this.
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
    /// Signs a head. Whoever holds the key decides what the log says; sign each length once.
    pub fn sign(key: &SecretKey, length: u64, tree_hash: TreeHash) -> Self {
        let signature = key.sign(&signable(length, 0, &tree_hash));
        Self(UnverifiedHead { key: key.public_key(), length, fork: 0, tree_hash, signature })
    }

    /// The log's key.
    pub fn key(&self) -> PublicKey {
        self.0.key
    }

    /// Blocks in the log.
    pub fn length(&self) -> u64 {
        self.0.length
    }

    /// How often the log was truncated.
    pub fn fork(&self) -> u64 {
        self.0.fork
    }

    /// Hash of the log's roots.
    pub fn tree_hash(&self) -> TreeHash {
        self.0.tree_hash
    }

    /// The signature, for passing the head on.
    pub fn signature(&self) -> Signature {
        self.0.signature
    }
}

/// The 80 bytes that a core without a manifest signs (npm hypercore, `lib/caps.js`, `treeSignableCompat`).
pub fn signable(length: u64, fork: u64, tree_hash: &TreeHash) -> [u8; 80] {
    let mut bytes = [0; 80];
    bytes[..32].copy_from_slice(&namespace("hypercore", 0));
    bytes[32..64].copy_from_slice(&tree_hash.0);
    bytes[64..72].copy_from_slice(&length.to_le_bytes());
    bytes[72..].copy_from_slice(&fork.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_verifies() {
        let key = SecretKey::from_seed(&[3; 32]);
        let signed_head = SignedHead::sign(&key, 5, TreeHash([9; 32]));
        let claim = signed_head.0;
        assert_eq!(claim.verify(), Ok(signed_head));
        let changed = [
            UnverifiedHead { length: 6, ..claim },
            UnverifiedHead { fork: 1, ..claim },
            UnverifiedHead { tree_hash: TreeHash([8; 32]), ..claim },
            UnverifiedHead { key: SecretKey::from_seed(&[4; 32]).public_key(), ..claim },
        ];
        for claim in changed {
            assert!(claim.verify().is_err(), "{claim:?}");
        }
    }
}
