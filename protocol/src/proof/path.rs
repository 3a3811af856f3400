//! Merkle multi-proofs (after RFC 6962, section 2.1): which nodes of the tree over a log show that some blocks stand
//! in it, and, where asked, what its beginning of another length is.
//!
//! A [`Cover`] walks down from the roots. A node is *given*, as part of the proof, if no wanted block is below it and
//! the cut does not part its blocks; a wanted leaf is *computed* from its block; every other node is *split* into its
//! two children. So exactly the nodes stand in a proof that nothing else in it gives, from left to right, which is
//! the order of their numbers.

use std::ops::Range;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::tree::{Node, Roots, TreeHash, hash, index};
use thiserror::Error;

/// One more than the greatest length of a log: numbers of nodes must fit into 64 bits.
pub(super) const LENGTH_END: Length = Length(1 << 62);

/// The parts of a log's tree that a proof needs.
///
/// ```
/// use libvms_hypercore::blocks::{BlockIndex, Length};
/// use libvms_hypercore::tree::{Node, Roots};
/// use libvms_protocol::proof::path::Cover;
///
/// let (mut roots, mut nodes) = (Roots::default(), vec![]);
/// for block in 0..5_u8 {
///     let leaf = Node::leaf(roots.length().next_block(), &[block]);
///     roots.append_with(leaf, |node| nodes.push(*node));
/// }
/// let cover = Cover::new(Length(5), [BlockIndex(2)], None).expect("block 2 is in the log");
/// // The sibling of leaf 4, that of their parent, and the other root.
/// assert_eq!(cover.indices(), [1, 6, 8]);
/// let path = cover.nodes(|index| nodes.iter().find(|node| node.index == index).copied()).expect("all are kept");
/// let leaf = nodes.iter().find(|node| node.index == 4).copied().expect("the leaf");
/// assert_eq!(cover.check(&[leaf], &path).expect("the path").whole, roots.tree_hash());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    length: Length,
    /// The blocks that are in the proof, ascending, each once.
    wanted: Vec<BlockIndex>,
    /// The other length of which the tree hash follows; the log's own if there is none.
    cut: Length,
}

/// The tree hashes that follow from a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// That of the whole log.
    pub whole: TreeHash,
    /// That of the log's beginning, as long as the cut says; of the whole log if there is no cut.
    pub cut: TreeHash,
}

/// The reason why nodes are not those that a proof needs.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PathError {
    /// A node is missing, or another one stands in its place.
    #[error("node {node} of the tree is missing")]
    Missing {
        /// The node that is needed next.
        node: u64,
    },
    /// A node that is not needed.
    #[error("node {node} of the tree is not needed, or does not stand where it should")]
    Unneeded {
        /// The node.
        node: u64,
    },
    /// The sizes are beyond 64 bits.
    #[error("the sizes of the nodes exceed 64 bits")]
    TooLarge,
}

/// What a walk over the tree does at its ends.
trait Visitor {
    /// A node as far as the walk needs it.
    type Node;
    /// Takes a node that is given.
    fn given(&mut self, index: u64) -> Result<Self::Node, PathError>;
    /// Takes a wanted leaf.
    fn leaf(&mut self, index: u64) -> Result<Self::Node, PathError>;
    /// Joins two siblings.
    fn parent(&mut self, left: Self::Node, right: Self::Node, index: u64) -> Result<Self::Node, PathError>;
    /// Takes a root of the log at the cut.
    fn root_at_cut(&mut self, node: &Self::Node);
}

impl Cover {
    /// Creates the cover of a log of `length` blocks for `wanted` blocks, in any order, and for the tree hash of its
    /// first `cut` blocks. `None` if the log does not have them, or if it is longer than 2^62 blocks.
    pub fn new(
        length: Length,
        wanted: impl IntoIterator<Item = BlockIndex>,
        cut: Option<Length>,
    ) -> Option<Self> {
        let mut wanted: Vec<BlockIndex> = wanted.into_iter().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let cut = cut.unwrap_or(length);
        let is_inside = wanted.last().is_none_or(|last| length.has(*last)) && cut <= length;
        (is_inside && length < LENGTH_END).then_some(Self { length, wanted, cut })
    }

    /// Returns the numbers of the nodes that are given, ascending: at most 62 for each root, each wanted block and the
    /// cut.
    pub fn indices(&self) -> Vec<u64> {
        let mut list = List(vec![]);
        match self.walk(&mut list) {
            Ok(_) => list.0,
            Err(_) => vec![],
        }
    }

    /// Returns the nodes that are given, ascending, from a store of nodes. `None` if one of them is not there.
    pub fn nodes(&self, node: impl FnMut(u64) -> Option<Node>) -> Option<Vec<Node>> {
        self.indices().into_iter().map(node).collect()
    }

    /// Computes the tree hashes from the leaves of the wanted blocks, in their order, and from the given nodes. The
    /// nodes are as good as the signed head with whose hash the caller compares the result.
    ///
    /// # Errors
    /// [`PathError`] unless these are exactly the leaves and nodes that are needed, in order.
    pub fn check(&self, leaves: &[Node], nodes: &[Node]) -> Result<Hashes, PathError> {
        let mut sum = Sum { leaves: leaves.iter(), nodes: nodes.iter(), at_cut: vec![] };
        let roots = self.walk(&mut sum)?;
        if let Some(extra) = sum.nodes.next().or(sum.leaves.next()) {
            return Err(PathError::Unneeded { node: extra.index });
        }
        let tree_hash = |length, nodes| {
            Roots::from_nodes(length, nodes).map(|roots| roots.tree_hash()).ok_or(PathError::TooLarge)
        };
        Ok(Hashes { whole: tree_hash(self.length, roots)?, cut: tree_hash(self.cut, sum.at_cut)? })
    }

    /// Visits the tree from left to right, and returns its roots.
    fn walk<V: Visitor>(&self, visitor: &mut V) -> Result<Vec<V::Node>, PathError> {
        index::roots(self.length).map(|root| self.descend(root, true, visitor)).collect()
    }

    /// Visits a node. It `is_edge` if the cut parts the blocks of its parent, or if it is a root: then it is a root at
    /// the cut, too, if it stands before it.
    fn descend<V: Visitor>(&self, node: u64, is_edge: bool, visitor: &mut V) -> Result<V::Node, PathError> {
        let missing = PathError::Missing { node };
        let blocks = index::blocks(node).ok_or(missing)?;
        let cut = self.cut.next_block();
        let is_cut = blocks.start < cut && cut < blocks.end;
        let visited = if !is_cut && !self.wants(&blocks) {
            visitor.given(node)?
        } else if let Some(left) = index::left_child(node) {
            let right = index::sibling(left).ok_or(missing)?;
            let left = self.descend(left, is_cut, visitor)?;
            let right = self.descend(right, is_cut, visitor)?;
            visitor.parent(left, right, node)?
        } else {
            visitor.leaf(node)?
        };
        if is_edge && blocks.end <= cut {
            visitor.root_at_cut(&visited);
        }
        Ok(visited)
    }

    fn wants(&self, blocks: &Range<BlockIndex>) -> bool {
        let first = self.wanted.partition_point(|block| *block < blocks.start);
        self.wanted.get(first).is_some_and(|block| *block < blocks.end)
    }
}

/// Lists the given nodes.
struct List(Vec<u64>);

impl Visitor for List {
    type Node = ();

    fn given(&mut self, index: u64) -> Result<(), PathError> {
        self.0.push(index);
        Ok(())
    }

    fn leaf(&mut self, _: u64) -> Result<(), PathError> {
        Ok(())
    }

    fn parent(&mut self, (): (), (): (), _: u64) -> Result<(), PathError> {
        Ok(())
    }

    fn root_at_cut(&mut self, (): &()) {}
}

/// Takes leaves and given nodes as they come, and computes the others.
struct Sum<'a> {
    leaves: std::slice::Iter<'a, Node>,
    nodes: std::slice::Iter<'a, Node>,
    at_cut: Vec<Node>,
}

impl Visitor for Sum<'_> {
    type Node = Node;

    fn given(&mut self, index: u64) -> Result<Node, PathError> {
        next(&mut self.nodes, index)
    }

    fn leaf(&mut self, index: u64) -> Result<Node, PathError> {
        next(&mut self.leaves, index)
    }

    fn parent(&mut self, left: Node, right: Node, index: u64) -> Result<Node, PathError> {
        let size = left.size.checked_add(right.size).ok_or(PathError::TooLarge)?;
        Ok(Node { index, size, hash: hash::parent(&left, &right) })
    }

    fn root_at_cut(&mut self, node: &Node) {
        self.at_cut.push(*node);
    }
}

/// Takes the next node, which must have this number.
fn next(nodes: &mut std::slice::Iter<'_, Node>, index: u64) -> Result<Node, PathError> {
    match nodes.next() {
        Some(node) if node.index == index => Ok(*node),
        Some(node) if node.index < index => Err(PathError::Unneeded { node: node.index }),
        _ => Err(PathError::Missing { node: index }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libvms_hypercore::blocks::each;
    use libvms_hypercore::tree::inclusion;

    /// Returns the leaves of a log, and all its nodes by their number.
    fn log(length: Length) -> (Vec<Node>, Vec<Option<Node>>) {
        let mut nodes = vec![None; 2 * length.0 as usize + 1];
        let mut roots = Roots::default();
        for block in each(length.blocks()) {
            let leaf = Node::leaf(block, &vec![block.0 as u8; block.0 as usize % 5]);
            roots.append_with(leaf, |node| nodes[node.index as usize] = Some(*node));
        }
        let leaves = nodes.iter().step_by(2).flatten().copied().collect();
        (leaves, nodes)
    }

    fn roots_at(leaves: &[Node], length: Length) -> TreeHash {
        let mut roots = Roots::default();
        leaves.iter().take(length.0 as usize).for_each(|leaf| roots.append_with(*leaf, |_| {}));
        roots.tree_hash()
    }

    fn lengths() -> impl Iterator<Item = Length> {
        (1..=40).chain([63, 64, 65, 127, 128, 129, 255, 256, 257]).map(Length)
    }

    #[test]
    fn the_cover_of_one_block_is_its_inclusion_proof() {
        for length in lengths() {
            let (leaves, nodes) = log(length);
            for block in each(length.blocks()) {
                let cover = Cover::new(length, [block], None).expect("inside");
                let given = cover.nodes(|index| nodes[index as usize]).expect("all are kept");
                let proof = inclusion::prove(&leaves, block).expect("inside");
                let mut expected = proof.siblings.clone();
                let leaf = &leaves[block.0 as usize];
                let others = proof
                    .roots
                    .nodes()
                    .iter()
                    .filter(|root| !index::blocks(root.index).expect("small").contains(&block));
                expected.extend(others);
                expected.sort_by_key(|node| node.index);
                assert_eq!(given, expected, "block {block} of {length}");
                let hashes = cover.check(&[*leaf], &given).expect("holds");
                assert_eq!(hashes.whole, proof.roots.tree_hash());
                assert_eq!(hashes.cut, hashes.whole);
            }
        }
    }

    #[test]
    fn a_cut_gives_the_tree_at_another_length() {
        for length in lengths() {
            let (leaves, nodes) = log(length);
            for cut in (0..=length.0).map(Length) {
                for wanted in [
                    vec![],
                    vec![length.last().expect("not empty")],
                    vec![BlockIndex(length.0 / 3), BlockIndex::FIRST],
                ] {
                    let cover = Cover::new(length, wanted.clone(), Some(cut)).expect("inside");
                    let given = cover.nodes(|index| nodes[index as usize]).expect("all are kept");
                    let mut wanted = wanted;
                    wanted.sort_unstable();
                    wanted.dedup();
                    let wanted: Vec<Node> = wanted.iter().map(|block| leaves[block.0 as usize]).collect();
                    let hashes = cover.check(&wanted, &given).expect("holds");
                    assert_eq!(hashes.whole, roots_at(&leaves, length), "{length} cut at {cut}");
                    assert_eq!(hashes.cut, roots_at(&leaves, cut), "{length} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn a_cut_alone_is_what_replication_sends() {
        for length in lengths() {
            for cut in (0..=length.0).map(Length) {
                let sent: Vec<u64> = index::roots(cut).chain(index::growth(cut, length)).collect();
                assert_eq!(Cover::new(length, [], Some(cut)).expect("inside").indices(), sent);
            }
        }
    }

    #[test]
    fn a_changed_missing_or_added_node_is_noticed() {
        let (leaves, nodes) = log(Length(37));
        let cover = Cover::new(Length(37), [BlockIndex(0), BlockIndex(20)], Some(Length(7))).expect("inside");
        let given = cover.nodes(|index| nodes[index as usize]).expect("all are kept");
        let wanted = [leaves[0], leaves[20]];
        let good = cover.check(&wanted, &given).expect("holds");
        for at in 0..given.len() {
            let mut missing = given.clone();
            missing.remove(at);
            assert!(cover.check(&wanted, &missing).is_err());
            let mut twice = given.clone();
            twice.insert(at, given[at]);
            assert!(cover.check(&wanted, &twice).is_err());
            let mut huge = given.clone();
            huge[at].size = u64::MAX;
            assert_eq!(cover.check(&wanted, &huge), Err(PathError::TooLarge));
            let mut changed = given.clone();
            changed[at].hash.0[31] ^= 1;
            assert_ne!(cover.check(&wanted, &changed).expect("the same numbers").whole, good.whole);
            if at > 0 {
                let mut swapped = given.clone();
                swapped.swap(at, at - 1);
                assert!(cover.check(&wanted, &swapped).is_err());
            }
        }
        assert!(cover.check(&wanted[..1], &given).is_err());
        assert!(cover.check(&[wanted[0], wanted[1], leaves[3]], &given).is_err());
    }

    #[test]
    fn numbers_outside_the_log_have_no_cover() {
        assert_eq!(Cover::new(Length(5), [BlockIndex(5)], None), None);
        assert_eq!(Cover::new(Length(5), [], Some(Length(6))), None);
        assert_eq!(Cover::new(Length(0), [BlockIndex(0)], None), None);
        assert_eq!(Cover::new(Length(1 << 62), [], None), None);
        let largest = Cover::new(
            Length((1 << 62) - 1),
            [0, 1 << 40, (1 << 62) - 2].map(BlockIndex),
            Some(Length(1 << 61)),
        )
        .expect("the longest");
        let count = largest.indices().len();
        assert!((2 * 61..=5 * 62).contains(&count), "{count}");
        let empty = Cover::new(Length(0), [], None).expect("an empty log");
        assert_eq!(empty.check(&[], &[]).expect("nothing").whole, Roots::default().tree_hash());
    }
}
