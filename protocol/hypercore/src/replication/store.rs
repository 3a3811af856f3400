//! The view of a stored core that the machines read.

use crate::blocks::{BlockIndex, Length};
use crate::identity::Signature;
use crate::tree::{Node, Roots, index};

/// A read-only view of a stored core: its signed head, its stored blocks and tree nodes.
///
/// The caller supplies it with each input. Every answer must be that of one moment, and blocks and nodes must be those
/// under the head: they are trusted as verified.
pub trait Store {
    /// Returns the number of blocks in the signed log, whether stored here or not.
    fn length(&self) -> Length;

    /// Returns the key's signature of the head at [`Store::length`]; `None` while the length is 0.
    fn signature(&self) -> Option<Signature>;

    /// Returns `n` such that blocks `0..n` are all stored, and block `n` is not.
    fn contiguous_length(&self) -> Length;

    /// Returns whether the block is stored.
    fn has(&self, block: BlockIndex) -> bool;

    /// Returns the bytes of a stored block.
    fn block(&self, block: BlockIndex) -> Option<Vec<u8>>;

    /// Returns a stored node of the tree, by its number in the flat order. The roots of the stored length are always stored.
    fn node(&self, node: u64) -> Option<Node>;
}

/// Returns the roots of the first `length` blocks, if they are all stored.
pub(crate) fn roots_at(store: &impl Store, length: Length) -> Option<Roots> {
    if length > store.length() {
        return None;
    }
    let nodes = index::roots(length).map(|root| store.node(root)).collect::<Option<Vec<_>>>()?;
    Roots::from_nodes(length, nodes)
}
