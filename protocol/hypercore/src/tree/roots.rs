//! The roots of a growing log: enough to compute its tree hash, whatever its length.

use super::hash::{self, Node, TreeHash};
use super::index;
use crate::blocks::Length;

/// The complete subtrees of a log, from left to right; at most 64 of them.
///
/// Appending a block costs one leaf hash and, on average, one parent hash; the blocks themselves are not kept.
/// A clone is a cheap way to ask what the tree hash *would be*.
///
/// ```
/// use libvms_hypercore::blocks::Length;
/// use libvms_hypercore::tree::Roots;
/// let mut roots = Roots::default();
/// roots.append(b"first");
/// let before = roots.clone();
/// roots.append(b"second");
/// assert_eq!((roots.length(), roots.byte_length()), (Length(2), 11));
/// assert_ne!(roots.tree_hash(), before.tree_hash());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    nodes: Vec<Node>,
    length: Length,
    byte_length: u64,
}

impl Roots {
    /// Creates roots from stored or received nodes. `None` unless they are exactly the roots of `length` blocks and
    /// their sizes add up without overflow. The hashes are not checked: compare [`Roots::tree_hash`] with a signed one.
    pub fn from_nodes(length: Length, nodes: Vec<Node>) -> Option<Self> {
        if length.0 >= 1 << 62 || !index::roots(length).eq(nodes.iter().map(|node| node.index)) {
            return None;
        }
        let byte_length = nodes.iter().try_fold(0_u64, |sum, node| sum.checked_add(node.size))?;
        Some(Self { nodes, length, byte_length })
    }

    /// Returns the number of blocks in the log.
    pub fn length(&self) -> Length {
        self.length
    }

    /// Returns the number of bytes in all blocks of the log.
    pub fn byte_length(&self) -> u64 {
        self.byte_length
    }

    /// Returns the complete subtrees, from left to right.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns the hash that a host signs together with the length.
    pub fn tree_hash(&self) -> TreeHash {
        hash::roots(&self.nodes)
    }

    /// Appends a block.
    pub fn append(&mut self, block: &[u8]) {
        self.append_leaf(Node::leaf(self.length.next_block(), block));
    }

    /// Appends a block whose leaf is known already. Its index must be twice the length.
    pub(crate) fn append_leaf(&mut self, leaf: Node) {
        self.append_with(leaf, |_| {});
    }

    /// Appends a block by its leaf, and passes on each node that this completes: the leaf first, then its new
    /// ancestors.
    ///
    /// # Panics
    /// If the leaf is not that of the next block.
    pub fn append_with(&mut self, leaf: Node, mut completed: impl FnMut(&Node)) {
        assert_eq!(leaf.index, 2 * self.length.0, "a log grows at its end");
        self.length += 1;
        self.byte_length = self.byte_length.wrapping_add(leaf.size);
        let mut node = leaf;
        completed(&node);
        // Two neighbours of equal depth become their parent, as a carry does in addition.
        while let Some(left) = self.nodes.pop_if(|left| index::sibling(left.index) == Some(node.index)) {
            node = Node {
                index: index::parent(node.index).expect("a log shorter than 2^62 blocks has no larger index"),
                size: left.size.wrapping_add(node.size),
                hash: hash::parent(&left, &node),
            };
            completed(&node);
        }
        self.nodes.push(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_roots_must_be_the_roots_of_their_length() {
        let mut roots = Roots::default();
        for block in 0..11_u8 {
            roots.append(&[block]);
            assert_eq!(Roots::from_nodes(roots.length(), roots.nodes().to_vec()), Some(roots.clone()));
            assert_eq!(Roots::from_nodes(roots.length() + 1, roots.nodes().to_vec()), None);
        }
        let mut huge = roots.nodes().to_vec();
        huge[0].size = u64::MAX;
        assert_eq!(Roots::from_nodes(Length(11), huge), None);
        assert_eq!(Roots::from_nodes(Length(u64::MAX), vec![]), None);
    }
}
