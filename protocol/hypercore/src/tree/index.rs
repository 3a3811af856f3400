//! Numbers of nodes in the flat tree: leaves are even, a subtree of depth `d` has `d` trailing one bits.
//!
//! They are neither block numbers nor lengths, and stay `u64`: here numbers are halved, doubled and shifted.
//! The scheme is Mafintosh's `flat-tree`, described in the PPSP protocol (RFC 7574, section 5.2).

use std::ops::Range;

use crate::blocks::{BlockIndex, Length};

/// Returns the leaf over a block, or `None` where its number would exceed 64 bits.
pub fn leaf(block: BlockIndex) -> Option<u64> {
    block.0.checked_mul(2)
}

/// Returns how many levels the node is above the leaves.
pub fn depth(node: u64) -> u32 {
    node.trailing_ones()
}

/// Returns the parent of a node, or `None` where its number would exceed 64 bits.
pub fn parent(node: u64) -> Option<u64> {
    let depth = depth(node);
    if depth >= 62 {
        return None;
    }
    let span = 1_u64 << depth;
    if is_left(node) { node.checked_add(span) } else { Some(node - span) }
}

/// Returns the node with the same parent, or `None` if its number would exceed 64 bits.
pub fn sibling(node: u64) -> Option<u64> {
    let depth = depth(node);
    if depth >= 62 {
        return None;
    }
    let distance = 2_u64 << depth;
    if is_left(node) { node.checked_add(distance) } else { Some(node - distance) }
}

/// Returns the left one of the two nodes below a node, or `None` for a leaf.
pub fn left_child(node: u64) -> Option<u64> {
    let depth = depth(node);
    // The subtraction clears the lowest one bit of the level below.
    (depth > 0).then(|| node - (1 << (depth - 1)))
}

/// Returns whether the node is the left one of its pair.
pub fn is_left(node: u64) -> bool {
    let depth = depth(node);
    depth >= 63 || (node >> (depth + 1)) & 1 == 0
}

/// Returns the roots of a log of `length` blocks, from left to right: one complete subtree per one bit of the length.
///
/// ```
/// use libvms_hypercore::blocks::Length;
/// use libvms_hypercore::tree::index;
/// assert_eq!(index::roots(Length(5)).collect::<Vec<_>>(), [3, 8]);
/// ```
pub fn roots(length: Length) -> impl Iterator<Item = u64> {
    let mut blocks_before = 0_u64;
    (0..u64::BITS - 1).rev().filter(move |depth| length.0 >> depth & 1 == 1).map(move |depth| {
        // A subtree over 2^d blocks that starts at block b has number 2b + 2^d - 1.
        let root = 2 * blocks_before + (1_u64 << depth) - 1;
        blocks_before += 1 << depth;
        root
    })
}

/// Returns the blocks below a node, or `None` where their numbers would exceed 62 bits.
///
/// ```
/// use libvms_hypercore::blocks::BlockIndex;
/// use libvms_hypercore::tree::index;
/// assert_eq!(index::blocks(8), Some(BlockIndex(4).alone()));
/// assert_eq!(index::blocks(5), Some(BlockIndex(2)..BlockIndex(4)));
/// ```
pub fn blocks(node: u64) -> Option<Range<BlockIndex>> {
    let depth = depth(node);
    if depth >= 62 || node >= 1 << 63 {
        return None;
    }
    let first = (node >> (depth + 1)) << depth;
    Some(BlockIndex(first)..BlockIndex(first + (1 << depth)))
}

/// Returns the complete subtrees over the blocks `from..to`, from left to right, each as large as its place allows:
/// those that extend a log of `from` blocks to one of `to` blocks. At most 128 of them; none if `to` exceeds 62 bits.
///
/// ```
/// use libvms_hypercore::blocks::Length;
/// use libvms_hypercore::tree::index;
/// assert_eq!(index::growth(Length(1), Length(5)).collect::<Vec<_>>(), [2, 5, 8]);
/// assert!(index::growth(Length::ZERO, Length(13)).eq(index::roots(Length(13))));
/// ```
pub fn growth(from: Length, to: Length) -> impl Iterator<Item = u64> {
    let (mut start, to) = (from.0, to.0);
    std::iter::from_fn(move || {
        if start >= to || to >= 1 << 62 {
            return None;
        }
        // The largest power of two that both divides the place and fits into the rest.
        let fitting = (to - start).ilog2();
        let depth = if start == 0 { fitting } else { fitting.min(start.trailing_zeros()) };
        let node = 2 * start + (1 << depth) - 1;
        start += 1 << depth;
        Some(node)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_their_parent() {
        assert_eq!((parent(0), parent(2), parent(1), parent(5)), (Some(1), Some(1), Some(3), Some(3)));
        assert_eq!((sibling(0), sibling(2), sibling(1), sibling(13)), (Some(2), Some(0), Some(5), Some(9)));
        for node in 0..10_000 {
            let other = sibling(node).expect("small");
            assert_eq!(sibling(other), Some(node));
            assert_eq!(parent(other), parent(node));
            assert_eq!(depth(parent(node).expect("small")), depth(node) + 1);
            let left = if is_left(node) { node } else { other };
            assert_eq!(left_child(parent(node).expect("small")), Some(left));
        }
    }

    #[test]
    fn roots_are_the_one_bits_of_the_length() {
        assert_eq!(roots(Length(0)).count(), 0);
        assert_eq!(roots(Length(1)).collect::<Vec<_>>(), [0]);
        assert_eq!(roots(Length(7)).collect::<Vec<_>>(), [3, 9, 12]);
        assert_eq!(roots(Length(8)).collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn growth_covers_exactly_the_new_blocks() {
        for from in 0..40 {
            for to in from..70 {
                let mut next = from;
                for node in growth(Length(from), Length(to)) {
                    let below = blocks(node).expect("small");
                    assert_eq!(below.start, BlockIndex(next));
                    next = below.end.0;
                }
                assert_eq!(next, to);
            }
        }
    }

    #[test]
    fn the_longest_log_has_all_its_blocks() {
        let mut next = 0;
        for root in roots(Length((1 << 62) - 1)) {
            let below = blocks(root).expect("62 bits");
            assert_eq!(below.start, BlockIndex(next));
            next = below.end.0;
        }
        assert_eq!(next, (1 << 62) - 1);
        assert_eq!((blocks((1 << 62) - 1), blocks(1 << 63)), (None, None));
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        for node in [u64::MAX, u64::MAX - 1, u64::MAX >> 1, 1 << 63, 1 << 62, (1 << 62) - 1] {
            let _ = (parent(node), sibling(node), is_left(node), depth(node), blocks(node), left_child(node));
        }
        for (from, to) in
            [(0, u64::MAX), (1, (1 << 62) - 1), (u64::MAX, u64::MAX), ((1 << 62) - 2, (1 << 62) - 1)]
        {
            assert!(growth(Length(from), Length(to)).count() <= 128);
        }
        assert!(roots(Length(u64::MAX >> 1)).count() == 63);
    }
}
