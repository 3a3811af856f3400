//! Manifests (npm hypercore 11): cores named by the hash of a manifest, which lists the signers. Reading only.
//!
//! ```text
//! manifest   1, flags, 0, quorum, count { 0, namespace, public key }, then the fields that the flags announce
//! signature  count { signer, signature, patch }, count { nodes of patches }
//! ```
//!
//! A plain JavaScript drive has such cores, and its header does not name the blobs core: [`Manifest::for_blobs`] does.

use thiserror::Error;

use crate::bee::Header;
use crate::blocks::Length;
use crate::encoding::Writer;
use crate::hash::{blake2b, namespace};
use crate::identity::{PublicKey, Signature};
use crate::tree::TreeHash;

/// The manifest of a core, version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Number of signers that must sign.
    pub quorum: u64,
    /// The keys that may sign. The same key may appear more than once.
    pub signers: Vec<Signer>,
    /// Whether a signature may cover a shorter length; we do not verify such signatures.
    pub allow_patch: bool,
}

/// A signer of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Distinguishes cores with the same signers.
    pub namespace: [u8; 32],
    /// The key that signs.
    pub public_key: PublicKey,
}

/// The manifest, or the header of a drive, cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ManifestError {
    /// The bytes are not in the format.
    #[error("not a manifest: {0}")]
    Malformed(&'static str),
    /// The format has the feature, and we do not support it.
    #[error("a manifest with {0} is not supported")]
    Unsupported(&'static str),
    /// The header names no blobs core, and there is no manifest to derive its key from.
    #[error("the drive does not say which core holds its contents")]
    NoBlobs,
}

const VERSION: u64 = 1;
const FLAG_PATCH: u64 = 1;
/// Prologue, links and user data: all of them change the meaning of the key.
const FLAGS_UNSUPPORTED: u64 = !FLAG_PATCH;
/// Index of MANIFEST among the constants of hypercore.
const MANIFEST: u8 = 3;

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// If the bytes are not a manifest, or have a version or fields that plain drives do not have.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, ManifestError> {
        let bytes = &mut bytes;
        let number = |bytes: &mut &[u8]| take_number(bytes).map_err(ManifestError::Malformed);
        if number(bytes)? != VERSION {
            return Err(ManifestError::Unsupported("a version other than 1"));
        }
        let flags = number(bytes)?;
        if flags & FLAGS_UNSUPPORTED != 0 {
            return Err(ManifestError::Unsupported("a prologue, links or user data"));
        }
        if number(bytes)? != 0 {
            return Err(ManifestError::Unsupported("a hash other than BLAKE2b"));
        }
        let quorum = number(bytes)?;
        // The count allocates nothing: each signer takes bytes that must be there.
        let signers = (0..number(bytes)?).map(|_| Signer::take(bytes)).collect::<Result<_, _>>()?;
        match bytes {
            [] => Ok(Self { quorum, signers, allow_patch: flags & FLAG_PATCH != 0 }),
            _ => Err(ManifestError::Malformed("bytes after the end")),
        }
    }

    /// Returns the bytes of the manifest.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        for number in [VERSION, u64::from(self.allow_patch), 0, self.quorum, self.signers.len() as u64] {
            writer.uint(number);
        }
        for signer in &self.signers {
            writer.uint(0).raw(&signer.namespace).raw(&signer.public_key.0);
        }
        writer.finish()
    }

    /// Returns the key of the core: a hash, which signs nothing itself.
    pub fn key(&self) -> PublicKey {
        key_of(&self.encode())
    }

    /// Returns the manifest of the blobs core of a drive, if this one is that of its files core.
    pub fn for_blobs(&self) -> Self {
        let (blobs, key) = (namespace("hyperdrive", 0), self.key());
        let mut manifest = self.clone();
        for signer in &mut manifest.signers {
            signer.namespace = blake2b(&[&blobs, &key.0, &signer.namespace]);
        }
        manifest
    }

    /// Returns whether a signature, in the form for cores with a manifest, holds the signatures of enough signers of
    /// this head. Signatures over a shorter length do not count.
    pub fn verifies(&self, length: Length, fork: u64, tree_hash: &TreeHash, signature: &[u8]) -> bool {
        let signed = signable(&self.key(), length, fork, tree_hash);
        self.quorum > 0
            && self.count_signers(&signed, signature).is_some_and(|signers| signers >= self.quorum)
    }

    /// Counts the signers. `None` unless the first proofs, as many as the quorum, are all valid.
    fn count_signers(&self, signed: &[u8], mut signature: &[u8]) -> Option<u64> {
        let bytes = &mut signature;
        let proofs = take_number(bytes).ok()?;
        let mut seen = vec![false; self.signers.len()];
        for _ in 0..proofs.min(self.quorum) {
            let index = usize::try_from(take_number(bytes).ok()?).ok()?;
            let signature = Signature(take(bytes)?);
            let patch = take_number(bytes).ok()?;
            let is_repeated = std::mem::replace(seen.get_mut(index)?, true);
            if patch != 0 || is_repeated || !self.signers[index].public_key.verifies(signed, &signature) {
                return None;
            }
        }
        Some(seen.iter().filter(|seen| **seen).count() as u64)
    }
}

/// Returns the key of the core with this manifest, whatever it holds: a hash of its bytes.
pub fn key_of(manifest: &[u8]) -> PublicKey {
    PublicKey(blake2b(&[&namespace("hypercore", MANIFEST), manifest]))
}

impl Signer {
    fn take(bytes: &mut &[u8]) -> Result<Self, ManifestError> {
        let kind = take_number(bytes).map_err(ManifestError::Malformed)?;
        if kind != 0 {
            return Err(ManifestError::Unsupported("a signature other than Ed25519"));
        }
        let cut = ManifestError::Malformed("a signer that is cut off");
        let namespace = take(bytes).ok_or(cut)?;
        Ok(Self { namespace, public_key: PublicKey(take(bytes).ok_or(cut)?) })
    }
}

/// Returns the key of a drive's blobs core: the one in the header of its files core, or else the one derived from the
/// manifest of that core.
///
/// # Errors
/// If the header's key is too short, or there is neither key nor manifest.
pub fn blobs_key(header: &Header, manifest: Option<&Manifest>) -> Result<PublicKey, ManifestError> {
    match (&header.content_feed, manifest) {
        // JavaScript takes the first 32 bytes and ignores the rest.
        (Some(feed), _) => match feed.first_chunk() {
            Some(key) => Ok(PublicKey(*key)),
            None => Err(ManifestError::Malformed("a key of the blobs core of less than 32 bytes")),
        },
        (None, Some(manifest)) => Ok(manifest.for_blobs().key()),
        (None, None) => Err(ManifestError::NoBlobs),
    }
}

/// Returns the 112 bytes that a signer of a core with a manifest signs (npm hypercore, `lib/caps.js`,
/// `treeSignable`).
pub fn signable(key: &PublicKey, length: Length, fork: u64, tree_hash: &TreeHash) -> [u8; 112] {
    let mut bytes = [0; 112];
    bytes[..32].copy_from_slice(&namespace("hypercore", 0));
    bytes[32..64].copy_from_slice(&key.0);
    bytes[64..96].copy_from_slice(&tree_hash.0);
    bytes[96..104].copy_from_slice(&length.0.to_le_bytes());
    bytes[104..].copy_from_slice(&fork.to_le_bytes());
    bytes
}

/// Takes a number in the form of npm compact-encoding: below `fd` one byte, else the width and that many bytes.
pub(crate) fn take_number(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    const CUT: &str = "a number that is cut off";
    let [first] = take(bytes).ok_or(CUT)?;
    let number = match first {
        0xfd => take(bytes).map(u16::from_le_bytes).map(u64::from),
        0xfe => take(bytes).map(u32::from_le_bytes).map(u64::from),
        0xff => take(bytes).map(u64::from_le_bytes),
        small => Some(small.into()),
    };
    number.ok_or(CUT)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SecretKey;

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for number in [0, 0xfc, 0xfd, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
            let mut writer = Writer::default();
            writer.uint(number);
            let bytes = writer.finish();
            assert_eq!(take_number(&mut bytes.as_slice()), Ok(number));
            assert!(take_number(&mut &bytes[..bytes.len() - 1]).is_err());
        }
    }

    /// The signer that a proof names, the one that signs it, and its patch.
    type Proof = (u8, u8, u8);

    /// Creates a manifest of three signers, two of which must sign, and a function that checks signatures of a head of
    /// length 1.
    fn two_of_three() -> (Manifest, impl Fn(&[Proof]) -> bool) {
        let secrets = [1, 2, 3].map(|seed| SecretKey::from_seed(&[seed; 32]));
        let signer = |secret: &SecretKey| Signer { namespace: [9; 32], public_key: secret.public_key() };
        let signers = secrets.iter().map(signer).collect();
        let manifest = Manifest { quorum: 2, signers, allow_patch: false };
        let claimed = manifest.clone();
        let is_accepted = move |proofs: &[Proof]| {
            let hash = TreeHash([5; 32]);
            let signed = signable(&claimed.key(), Length(1), 0, &hash);
            let mut signature = vec![proofs.len() as u8];
            for (index, secret, patch) in proofs {
                signature.push(*index);
                signature.extend_from_slice(&secrets[usize::from(*secret)].sign(&signed).0);
                signature.push(*patch);
            }
            signature.push(0);
            claimed.verifies(Length(1), 0, &hash, &signature)
        };
        (manifest, is_accepted)
    }

    #[test]
    fn as_many_signers_as_the_quorum_must_sign() {
        let (manifest, is_accepted) = two_of_three();
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
        assert!(is_accepted(&[(0, 0, 0), (2, 2, 0)]));
        assert!(!is_accepted(&[(0, 0, 0)]));
        assert!(!is_accepted(&[(0, 0, 0), (0, 0, 0)]));
        assert!(!is_accepted(&[(0, 0, 0), (1, 2, 0)]));
        assert!(!is_accepted(&[(0, 0, 0), (3, 2, 0)]));
        assert!(!is_accepted(&[(0, 0, 0), (1, 1, 1)]));
        assert!(!is_accepted(&[]));
    }

    #[test]
    fn a_manifest_without_a_quorum_accepts_nothing() {
        let manifest = Manifest { quorum: 0, ..two_of_three().0 };
        assert!(!manifest.verifies(Length(1), 0, &TreeHash([5; 32]), &[0, 0]));
    }

    #[test]
    fn bytes_that_are_not_a_manifest_are_refused() {
        let good = two_of_three().0.encode();
        for end in 0..good.len() {
            assert!(Manifest::decode(&good[..end]).is_err(), "{end}");
        }
        assert!(Manifest::decode(&[good.as_slice(), &[0]].concat()).is_err());
        for (position, byte) in [(0, 0), (0, 2), (1, 2), (2, 1), (5, 1)] {
            let mut wrong = good.clone();
            wrong[position] = byte;
            assert!(matches!(Manifest::decode(&wrong), Err(ManifestError::Unsupported(_))), "{position}");
        }
        // A count of signers that cannot be allocated.
        let endless = [&[1, 0, 0, 1, 0xff][..], &[0xff; 8]].concat();
        assert!(Manifest::decode(&endless).is_err());
    }

    #[test]
    fn the_header_says_where_the_contents_are() {
        let header = |bytes: usize| Header { has_metadata: true, content_feed: Some(vec![7; bytes]) };
        assert_eq!(blobs_key(&header(32), None), Ok(PublicKey([7; 32])));
        assert_eq!(blobs_key(&header(40), None), Ok(PublicKey([7; 32])));
        assert!(blobs_key(&header(31), None).is_err());
        assert_eq!(blobs_key(&Header::plain(), None), Err(ManifestError::NoBlobs));
        let manifest = two_of_three().0;
        assert_eq!(blobs_key(&Header::plain(), Some(&manifest)), Ok(manifest.for_blobs().key()));
    }
}
