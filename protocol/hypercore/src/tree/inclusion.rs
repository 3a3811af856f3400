//! Inclusion proofs (RFC 6962, section 2.1.1): the proof that a block is at a given index of a signed log.

use thiserror::Error;

use super::hash::{self, Node};
use super::index;
use super::roots::Roots;
use crate::blocks::{BlockIndex, Length};

/// The path from one block to the roots of a log: the siblings on the way up, then the roots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// Number of the block.
    pub block: BlockIndex,
    /// The nodes beside the path, from the leaf upwards.
    pub siblings: Vec<Node>,
    /// The roots of the log that holds the block.
    pub roots: Roots,
}

/// The reason why a proof does not show that the block is in the log.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InclusionError {
    /// The log of the proof ends before the block.
    #[error("block {block} is not in a log of {length} blocks")]
    OutOfRange {
        /// The block asked for.
        block: BlockIndex,
        /// The length that the roots belong to.
        length: Length,
    },
    /// A node on the path is missing, or is not the sibling that the path needs.
    #[error("the proof of block {block} lacks the sibling of node {node}")]
    WrongPath {
        /// The block asked for.
        block: BlockIndex,
        /// The node whose sibling should have come next.
        node: u64,
    },
    /// The path leads to another root than that of the log.
    #[error("block {block} hashes to {computed}, not to the root {expected}")]
    WrongRoot {
        /// The block asked for.
        block: BlockIndex,
        /// The hash at the end of the path.
        computed: hash::Hash,
        /// The root of the log.
        expected: hash::Hash,
    },
}

impl Inclusion {
    /// Checks that `data` is block number `self.block` of the log with these roots.
    ///
    /// The roots are only as good as the signed head that their tree hash is compared with.
    ///
    /// # Errors
    /// The fault of the path; see [`InclusionError`].
    pub fn verify(&self, data: &[u8]) -> Result<(), InclusionError> {
        let block = self.block;
        let length = self.roots.length();
        if !length.has(block) {
            return Err(InclusionError::OutOfRange { block, length });
        }
        let mut node = Node::leaf(block, data);
        let mut siblings = self.siblings.iter();
        let root = loop {
            if let Some(root) = self.roots.nodes().iter().find(|root| root.index == node.index) {
                break root;
            }
            let wrong_path = InclusionError::WrongPath { block, node: node.index };
            let (Some(sibling), Some(parent)) = (siblings.next(), index::parent(node.index)) else {
                return Err(wrong_path);
            };
            if index::sibling(node.index) != Some(sibling.index) {
                return Err(wrong_path);
            }
            let (left, right) = if index::is_left(node.index) { (&node, sibling) } else { (sibling, &node) };
            let size = left.size.checked_add(right.size).ok_or(wrong_path)?;
            node = Node { index: parent, size, hash: hash::parent(left, right) };
        };
        if (node.hash, node.size) != (root.hash, root.size) {
            return Err(InclusionError::WrongRoot { block, computed: node.hash, expected: root.hash });
        }
        if siblings.next().is_some() {
            return Err(InclusionError::WrongPath { block, node: node.index });
        }
        Ok(())
    }
}

/// Makes the proof of `block` in a log whose leaves are in memory: `leaves[i]` is that of block `i`.
///
/// For logs on disk the storage makes the same proof from its stored nodes.
pub fn prove(leaves: &[Node], block: BlockIndex) -> Option<Inclusion> {
    let mut roots = Roots::default();
    let mut path = Vec::new();
    let mut current = index::leaf(block)?;
    leaves.get(usize::try_from(block.0).ok()?)?;
    for leaf in leaves {
        roots.append_leaf(*leaf);
    }
    while !roots.nodes().iter().any(|root| root.index == current) {
        let sibling = index::sibling(current)?;
        path.push(subtree(leaves, sibling)?);
        current = index::parent(current)?;
    }
    Some(Inclusion { block, siblings: path, roots })
}

/// Returns the node over the blocks below `index`.
fn subtree(leaves: &[Node], node: u64) -> Option<Node> {
    let depth = index::depth(node);
    let span = 1_usize.checked_shl(depth)?;
    let first = usize::try_from((node + 1 - (1_u64 << depth)) / 2).ok()?;
    let mut roots = Roots::default();
    let mut top = None;
    // Roots number from zero; only hashes and sizes matter below, and the index is known.
    for (offset, leaf) in leaves.get(first..first.checked_add(span)?)?.iter().enumerate() {
        roots.append_leaf(Node { index: 2 * offset as u64, ..*leaf });
        top = roots.nodes().first().copied();
    }
    top.map(|top| Node { index: node, ..top })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(length: u64) -> (Vec<Vec<u8>>, Vec<Node>) {
        let blocks: Vec<Vec<u8>> = (0..length).map(|block| vec![block as u8; block as usize % 5]).collect();
        let leaves =
            blocks.iter().enumerate().map(|(i, block)| Node::leaf(BlockIndex(i as u64), block)).collect();
        (blocks, leaves)
    }

    #[test]
    fn every_block_of_every_length_has_a_proof_that_holds() {
        for length in 1..40 {
            let (blocks, leaves) = log(length);
            for block in 0..length {
                let proof = prove(&leaves, BlockIndex(block)).expect("in range");
                assert_eq!(proof.verify(&blocks[block as usize]), Ok(()), "block {block} of {length}");
            }
            assert_eq!(prove(&leaves, BlockIndex(length)), None);
        }
    }

    #[test]
    fn a_changed_proof_or_block_is_refused() {
        let (blocks, leaves) = log(13);
        let proof = prove(&leaves, BlockIndex(5)).expect("in range");
        assert!(matches!(proof.verify(b"other"), Err(InclusionError::WrongRoot { .. })));
        for sibling in 0..proof.siblings.len() {
            let mut changed = proof.clone();
            changed.siblings[sibling].hash.0[0] ^= 1;
            assert!(matches!(changed.verify(&blocks[5]), Err(InclusionError::WrongRoot { .. })));
            let mut changed = proof.clone();
            changed.siblings[sibling].size = u64::MAX;
            assert!(changed.verify(&blocks[5]).is_err());
            let mut changed = proof.clone();
            changed.siblings.remove(sibling);
            assert!(matches!(changed.verify(&blocks[5]), Err(InclusionError::WrongPath { .. })));
        }
        let mut changed = proof.clone();
        changed.siblings.push(proof.siblings[0]);
        assert!(matches!(changed.verify(&blocks[5]), Err(InclusionError::WrongPath { .. })));
        let mut changed = proof;
        changed.block = BlockIndex(13);
        assert_eq!(
            changed.verify(&blocks[5]),
            Err(InclusionError::OutOfRange { block: BlockIndex(13), length: Length(13) })
        );
    }
}
