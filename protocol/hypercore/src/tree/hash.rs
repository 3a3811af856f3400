//! Hashes of the tree: of a block, of a pair of nodes, of all roots.
//!
//! Source: npm hypercore-crypto (`data`, `parent`, `tree`). Each kind of hash has its own first byte, so that a block
//! cannot be passed off as a parent, nor a parent as a root list.

use std::fmt;

use blake2::digest::Digest;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::blocks::BlockIndex;
use crate::hash::Blake2b256;

const LEAF: u8 = 0;
const PARENT: u8 = 1;
const ROOTS: u8 = 2;

/// The BLAKE2b-256 hash of a block or of a pair of nodes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

/// The hash of all roots of a log: together with the length it pins every block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash(pub [u8; 32]);

/// A node of the tree: its number, the bytes of all blocks below it, its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Number in the flat order (see [`super::index`]).
    pub index: u64,
    /// Bytes of all blocks below.
    pub size: u64,
    /// Hash of the block or of the two children.
    pub hash: Hash,
}

impl Node {
    /// Creates the leaf over a block.
    pub fn leaf(block: BlockIndex, data: &[u8]) -> Self {
        Self { index: 2 * block.0, size: data.len() as u64, hash: leaf(data) }
    }
}

/// Returns the hash of a block: `H(00 || u64le(bytes) || block)`.
pub fn leaf(data: &[u8]) -> Hash {
    let mut hasher = Blake2b256::new();
    hasher.update([LEAF]);
    hasher.update((data.len() as u64).to_le_bytes());
    hasher.update(data);
    Hash(hasher.finalize().into())
}

/// Returns the hash of two siblings: `H(01 || u64le(bytes below) || left || right)`.
pub fn parent(left: &Node, right: &Node) -> Hash {
    let mut hasher = Blake2b256::new();
    hasher.update([PARENT]);
    hasher.update(left.size.wrapping_add(right.size).to_le_bytes());
    hasher.update(left.hash.0);
    hasher.update(right.hash.0);
    Hash(hasher.finalize().into())
}

/// Returns the hash of the roots from left to right: `H(02 || for each: hash || u64le(index) || u64le(size))`.
pub fn roots<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> TreeHash {
    let mut hasher = Blake2b256::new();
    hasher.update([ROOTS]);
    for node in nodes {
        hasher.update(node.hash.0);
        hasher.update(node.index.to_le_bytes());
        hasher.update(node.size.to_le_bytes());
    }
    TreeHash(hasher.finalize().into())
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({}..)", HEXLOWER.encode(&self.0[..4]))
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHash({}..)", HEXLOWER.encode(&self.0[..4]))
    }
}
