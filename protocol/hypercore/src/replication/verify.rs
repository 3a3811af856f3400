//! Checking proofs: a peer's [`Data`] against the stored tree. Start from [`check`] and [`Verified`].
//!
//! A block is valid if its path leads to a stored node or to a subtree of a head that the core's key signed; a head is
//! valid if its roots extend ours and the signature holds. Only nodes whose hash *and* size follow from that are kept:
//! two siblings that both come from the peer may split their common size wrongly.

use thiserror::Error;

use super::store::{Store, roots_at};
use crate::blocks::{BlockIndex, Length};
use crate::identity::{PublicKey, Signature};
use crate::signed_head::{SignedHead, UnverifiedHead};
use crate::tree::{Hash, Node, Roots, TreeHash, hash, index};
use crate::wire::message::{Data, DataBlock, DataUpgrade};

/// More nodes than any proof has: a path and twice the roots of the longest log.
const NODES_MAX: usize = 256;

/// A peer's answer, checked against the core's key and tree: ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// A longer head, if one came along.
    pub upgrade: Option<Upgrade>,
    /// A block and its number, if one came along.
    pub block: Option<(BlockIndex, Vec<u8>)>,
    /// Nodes of the tree that follow from it, in no particular order; some may be stored already. Together with the
    /// stored nodes they include the new roots and the path of the block.
    pub nodes: Vec<Node>,
}

/// A longer head of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The length of the log before.
    pub start: Length,
    /// The new head, whose signature holds.
    pub head: SignedHead,
    /// Its roots.
    pub roots: Roots,
}

/// The reason why a peer's answer is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CheckError {
    /// The answer does not match the request.
    #[error("the answer does not match the request")]
    NotAsked,
    /// The proof has too few nodes, too many, or others than it needs.
    #[error("the proof has a wrong, missing or extra node at node {node}")]
    WrongNodes {
        /// The node at which the proof is wrong.
        node: u64,
    },
    /// The path of the block does not lead to the hash in the log.
    #[error("the path of block {block} does not lead to node {node} of the log")]
    WrongHash {
        /// The block.
        block: BlockIndex,
        /// The end of its path.
        node: u64,
    },
    /// The core's key did not sign this head.
    #[error("the head at length {length} is not signed by the core's key")]
    WrongSignature {
        /// The length of the head.
        length: Length,
    },
    /// The core has a manifest: its key is a hash, which cannot sign.
    #[error(
        "the core has a manifest, as ordinary Hypercores and Hyperdrives of JavaScript have: only cores without one can \
         be copied, those that hosts write and those made with `compat: true`"
    )]
    HasManifest,
    /// The stored tree is not enough to check it, for example because the log has grown meanwhile.
    #[error("the proof does not start from the stored tree")]
    Stale,
}

/// Checks an answer against the stored core.
///
/// # Errors
/// [`CheckError`]; then no part of the answer may be used.
pub fn check(key: PublicKey, store: &impl Store, data: Data) -> Result<Verified, CheckError> {
    if data.fork != 0 || data.hash.is_some() || data.seek.is_some() {
        return Err(CheckError::NotAsked);
    }
    let mut nodes = Vec::new();
    let path = data.block.as_ref().map(|block| climb(block, &mut nodes)).transpose()?;
    let mut is_joined = false;
    let upgrade = match &data.upgrade {
        Some(upgrade) => {
            let before = roots_at(store, upgrade.start).ok_or(CheckError::Stale)?;
            if before.length() != store.length() {
                return Err(CheckError::Stale);
            }
            let mut growth = Growth::new(before, path);
            growth.extend_to(upgrade)?;
            growth.extend_beyond(&upgrade.additional_nodes)?;
            let head = growth.head(key, 0, upgrade)?;
            is_joined = growth.has_joined;
            nodes.append(&mut growth.bound);
            Some(Upgrade { start: upgrade.start, head, roots: growth.roots()? })
        }
        None => None,
    };
    if let (Some(block), Some(top), false) = (&data.block, path, is_joined) {
        compare(store, block.index, &top)?;
    }
    let block = data.block.map(|block| (block.index, block.value));
    Ok(Verified { upgrade, block, nodes })
}

/// A head that the core's key signed, of any fork, and the requested shorter log inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The signed head.
    pub signed: SignedHead,
    /// The requested length: that of the head, or less if the log has grown since.
    pub length: Length,
    /// Hash of the roots at that length.
    pub tree_hash: TreeHash,
}

/// Checks a proof of a whole head, from length 0: the evidence that its key signed it.
///
/// # Errors
/// [`CheckError`] unless the core's key signed this head.
pub fn check_head(key: PublicKey, data: &Data) -> Result<Head, CheckError> {
    let upgrade =
        data.upgrade.as_ref().filter(|upgrade| upgrade.start.is_empty()).ok_or(CheckError::NotAsked)?;
    let mut growth = Growth::new(Roots::default(), None);
    growth.extend_to(upgrade)?;
    let (length, tree_hash) = (growth.length, growth.roots()?.tree_hash());
    growth.extend_beyond(&upgrade.additional_nodes)?;
    Ok(Head { signed: growth.head(key, data.fork, upgrade)?, length, tree_hash })
}

/// Returns the node to which a block's siblings lead. Collects all nodes on the way.
fn climb(block: &DataBlock, nodes: &mut Vec<Node>) -> Result<Node, CheckError> {
    let leaf = index::leaf(block.index).ok_or(CheckError::WrongNodes { node: u64::MAX })?;
    let mut top = Node { index: leaf, size: block.value.len() as u64, hash: hash::leaf(&block.value) };
    nodes.push(top);
    for sibling in &block.nodes {
        let wrong = CheckError::WrongNodes { node: top.index };
        if nodes.len() > NODES_MAX || index::sibling(top.index) != Some(sibling.index) {
            return Err(wrong);
        }
        top = merge(&top, sibling).ok_or(wrong)?;
        nodes.extend([*sibling, top]);
    }
    Ok(top)
}

/// Compares a block with the stored log: its path must end at a stored node.
fn compare(store: &impl Store, block: BlockIndex, top: &Node) -> Result<(), CheckError> {
    let stored = store.node(top.index).ok_or(CheckError::WrongNodes { node: top.index })?;
    if stored == *top { Ok(()) } else { Err(CheckError::WrongHash { block, node: top.index }) }
}

/// Roots that grow by the subtrees of a proof.
struct Growth {
    /// The roots so far, each with whether its size is bound: computed from below, or stored.
    roots: Vec<(Node, bool)>,
    length: Length,
    /// The top of the block's path, which may replace a subtree.
    path: Option<Node>,
    has_joined: bool,
    /// The nodes that are valid if the signature holds.
    bound: Vec<Node>,
}

impl Growth {
    fn new(roots: Roots, path: Option<Node>) -> Self {
        let length = roots.length();
        let roots = roots.nodes().iter().map(|root| (*root, true)).collect();
        Self { roots, length, path, has_joined: false, bound: Vec::new() }
    }

    fn extend_to(&mut self, upgrade: &DataUpgrade) -> Result<(), CheckError> {
        let wrong = CheckError::WrongNodes { node: u64::MAX };
        let end = upgrade.start.checked_add(upgrade.length).filter(|&end| end.0 < 1 << 62).ok_or(wrong)?;
        if upgrade.length == 0 || upgrade.nodes.len() + upgrade.additional_nodes.len() > NODES_MAX {
            return Err(wrong);
        }
        let mut nodes = upgrade.nodes.iter();
        for subtree in index::growth(upgrade.start, end) {
            match self.path.filter(|path| path.index == subtree) {
                Some(path) => {
                    self.has_joined = true;
                    self.append(path, true)?;
                }
                None => {
                    let node = nodes.next().filter(|node| node.index == subtree);
                    self.append(*node.ok_or(CheckError::WrongNodes { node: subtree })?, false)?;
                }
            }
        }
        match nodes.next() {
            Some(extra) => Err(CheckError::WrongNodes { node: extra.index }),
            None => Ok(()),
        }
    }

    /// Extends the roots by additional nodes: the uploader's log may have grown meanwhile. Only the nodes say how far.
    fn extend_beyond(&mut self, additional: &[Node]) -> Result<(), CheckError> {
        let start = self.length;
        for node in additional {
            let blocks = index::blocks(node.index).filter(|blocks| blocks.start == self.length.next_block());
            if blocks.is_none() {
                return Err(CheckError::WrongNodes { node: node.index });
            }
            self.append(*node, false)?;
        }
        let expected = index::growth(start, self.length);
        if expected.eq(additional.iter().map(|node| node.index)) {
            Ok(())
        } else {
            Err(CheckError::WrongNodes { node: 2 * start.0 })
        }
    }

    /// Appends a subtree, and merges it with its neighbours as far as they have equal depth.
    fn append(&mut self, node: Node, is_bound: bool) -> Result<(), CheckError> {
        let wrong = CheckError::WrongNodes { node: node.index };
        self.length = index::blocks(node.index).ok_or(wrong)?.end.length_before();
        let (mut node, mut is_bound) = (node, is_bound);
        while let Some((left, left_is_bound)) = self
            .roots
            .pop_if(|(left, _)| index::is_left(left.index) && index::sibling(left.index) == Some(node.index))
        {
            // One known size and the parent's, which its hash pins, determine the other one.
            if is_bound || left_is_bound {
                self.bound.extend([left, node]);
            }
            node = merge(&left, &node).ok_or(wrong)?;
            is_bound = true;
        }
        self.roots.push((node, is_bound));
        Ok(())
    }

    fn roots(&self) -> Result<Roots, CheckError> {
        let nodes = self.roots.iter().map(|(node, _)| *node).collect();
        Roots::from_nodes(self.length, nodes).ok_or(CheckError::WrongNodes { node: u64::MAX })
    }

    /// Returns the signed head over the roots; its signature makes them valid, too.
    fn head(&mut self, key: PublicKey, fork: u64, upgrade: &DataUpgrade) -> Result<SignedHead, CheckError> {
        let wrong = CheckError::WrongSignature { length: self.length };
        let tree_hash = self.roots()?.tree_hash();
        let bytes = upgrade.signature.as_slice().try_into().map_err(|_| wrong)?;
        let signature = Signature(bytes);
        let claim = UnverifiedHead { key, length: self.length, fork, tree_hash, signature };
        let head = claim.verify().map_err(|_| wrong)?;
        self.bound.extend(self.roots.iter().map(|(node, _)| *node));
        Ok(head)
    }
}

/// Returns the parent of two siblings, in either order. `None` if the sizes overflow.
fn merge(node: &Node, sibling: &Node) -> Option<Node> {
    let (left, right) = if index::is_left(node.index) { (node, sibling) } else { (sibling, node) };
    let size = left.size.checked_add(right.size)?;
    let hash: Hash = hash::parent(left, right);
    Some(Node { index: index::parent(node.index)?, size, hash })
}
