//! What all proof files are made of: the words at their beginning, signed heads, entries, bytes.

use std::fmt;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::{PublicKey, Signature};
use libvms_hypercore::signed_head::{HeadError, SignedHead, UnverifiedHead};
use libvms_hypercore::tree::{Node, TreeHash};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ProofError;
use super::path::{Cover, Hashes, PathError};

/// Bytes of one entry in a proof: as many as a block may have that peers exchange, since one that is too large for a
/// log is a violation.
const ENTRY_BYTES_MAX: usize = libvms_hypercore::wire::message::BLOCK_BYTES_MAX;

/// Nodes of one path: more than the covers of a log of 2^62 blocks need for three blocks, a cut and the roots.
const NODES_MAX: usize = 512;

/// A signed head of a log, as proofs hold it. It is a claim until [`Head::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The log's key.
    pub log: PublicKey,
    /// Blocks in the log.
    pub length: Length,
    /// Hash of the log's roots.
    pub hash: TreeHash,
    /// The key's signature.
    pub sig: Signature,
    /// How often the log was truncated; left out where it is 0, as in every log of an honest host.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fork: u64,
}

/// A block of a log, with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberedEntry {
    /// Number of the block.
    pub block: BlockIndex,
    /// The block.
    pub entry: Bytes,
}

/// A byte string in DAG-CBOR.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Head {
    /// Checks the signature.
    ///
    /// # Errors
    /// [`HeadError`] if the log's key did not sign exactly these fields.
    pub fn verify(&self) -> Result<SignedHead, HeadError> {
        let Self { log, length, hash, sig, fork } = *self;
        UnverifiedHead { key: log, length, fork, tree_hash: hash, signature: sig }.verify()
    }
}

impl From<&SignedHead> for Head {
    fn from(head: &SignedHead) -> Self {
        Self {
            log: head.key(),
            length: head.length(),
            hash: head.tree_hash(),
            sig: head.signature(),
            fork: head.fork(),
        }
    }
}

impl NumberedEntry {
    /// Creates entries in the order of their blocks, each block once.
    pub(super) fn in_order(entries: impl IntoIterator<Item = (BlockIndex, Vec<u8>)>) -> Vec<Self> {
        let mut entries: Vec<Self> =
            entries.into_iter().map(|(block, entry)| Self::new(block, entry)).collect();
        entries.sort_by_key(|entry| entry.block);
        entries.dedup_by_key(|entry| entry.block);
        entries
    }

    /// Creates the entry at `block`.
    pub fn new(block: BlockIndex, entry: Vec<u8>) -> Self {
        Self { block, entry: Bytes(entry) }
    }
}

/// Computes the tree hashes that follow from entries, in ascending order, and the nodes beside them.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn hashes(
    length: Length,
    entries: &[(BlockIndex, &Bytes)],
    cut: Option<Length>,
    path: &[Node],
) -> Result<Hashes, String> {
    let blocks = entries.iter().map(|(block, _)| *block);
    let cover = Cover::new(length, blocks, cut)
        .ok_or_else(|| format!("there is no such block or beginning in a log of {length} blocks"))?;
    let leaves: Vec<Node> = entries.iter().map(|(block, entry)| Node::leaf(*block, &entry.0)).collect();
    cover.check(&leaves, path).map_err(|error: PathError| error.to_string())
}

/// Checks the bounds of entries: their number, that their blocks ascend, and their sizes.
pub(super) fn check_entries(entries: &[NumberedEntry], entries_max: usize) -> Result<(), ProofError> {
    within("entries", entries.len(), entries_max)?;
    if !entries.is_sorted_by(|one, next| one.block < next.block) {
        return Err(ProofError::malformed("the entries' blocks do not ascend"));
    }
    entries.iter().try_for_each(|entry| check_entry(&entry.entry))
}

/// Checks the size of an entry.
pub(super) fn check_entry(entry: &Bytes) -> Result<(), ProofError> {
    within("bytes of an entry", entry.0.len(), ENTRY_BYTES_MAX)
}

/// Checks the number of nodes of a path.
pub(super) fn check_path(path: &[Node]) -> Result<(), ProofError> {
    within("nodes of a path", path.len(), NODES_MAX)
}

/// Counts the items of CBOR in `bytes`, keys and all that is nested among them, as far as `most`. Of bytes that are no CBOR it
/// counts some: the decoder refuses them.
pub(super) fn items(bytes: &[u8], most: usize) -> usize {
    let (mut at, mut items) = (0_usize, 0);
    while items < most
        && let Some(head) = bytes.get(at)
    {
        items += 1;
        let (major, short) = (head >> 5, head & 0x1f);
        let extra = if let 24..=27 = short { 1_usize << (short - 24) } else { 0 };
        let argument = bytes.get(at + 1..).and_then(|rest| rest.get(..extra)).unwrap_or_default();
        let number = argument.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let number = if extra == 0 { u64::from(short) } else { number };
        // The content of byte strings and texts.
        let content = if matches!(major, 2 | 3) { number } else { 0 };
        let next = (at + 1 + extra) as u64;
        at = usize::try_from(next.saturating_add(content)).unwrap_or(usize::MAX);
    }
    items
}

/// Checks a number against its bound.
pub(super) fn within(what: &'static str, found: usize, max: usize) -> Result<(), ProofError> {
    if found <= max { Ok(()) } else { Err(ProofError::TooLarge { what, found, max }) }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} bytes)", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByteString;
        impl Visitor<'_> for ByteString {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.into()))
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(ByteString)
    }
}

/// Defines a field that always holds one text or number, so that a proof encodes its own name.
macro_rules! constant {
    ($(#[$attribute:meta])* $name:ident: $type:ty = $value:expr) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(super) struct $name;

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let value: $type = $value.into();
                value.serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let found = <$type>::deserialize(deserializer)?;
                if found == $value {
                    Ok(Self)
                } else {
                    Err(serde::de::Error::custom(concat!("not ", stringify!($value))))
                }
            }
        }
    };
}
pub(super) use constant;

constant!(
    /// The `type` of all proofs.
    Tag: String = "proof"
);
constant!(
    /// The `v` of the proofs here.
    Version: u64 = 1_u64
);
