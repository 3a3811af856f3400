//! What the machines may read of a core that lies in a storage.

use crate::identity::Signature;
use crate::tree::{Node, Roots, index};

/// A read-only view of a stored core: its signed head, the blocks and the tree nodes that are there.
///
/// The caller supplies it with each input. Every answer must be that of one moment, and blocks and nodes must be
/// those under the head: what stands here is taken as verified.
pub trait Store {
    /// Blocks in the signed log, whether stored here or not.
    fn length(&self) -> u64;

    /// The key's signature of the head at [`Store::length`]; `None` while the length is 0.
    fn signature(&self) -> Option<Signature>;

    /// Blocks `0..n` are all stored, and block `n` is not.
    fn contiguous_length(&self) -> u64;

    /// Whether the block is stored.
    fn has(&self, block: u64) -> bool;

    /// The bytes of a stored block.
    fn block(&self, block: u64) -> Option<Vec<u8>>;

    /// A stored node of the tree. The roots of the stored length are always stored.
    fn node(&self, index: u64) -> Option<Node>;
}

/// The roots of the first `length` blocks, if they are all stored.
pub(crate) fn roots_at(store: &impl Store, length: u64) -> Option<Roots> {
    if length > store.length() {
        return None;
    }
    let nodes = index::roots(length).map(|root| store.node(root)).collect::<Option<Vec<_>>>()?;
    Roots::from_nodes(length, nodes)
}
