//! Histories of one core, as files or a log show them, and where two of them part. Start from [`History`].
//!
//! A file holds a signed head and some nodes below it. Two heads of one length are compared by their hashes. Two of
//! different lengths are compared at a length at which both files have the nodes: the shorter one's, or that before or
//! after a block that one of the files holds. So two receipts that show two entries in one place are enough.

use std::collections::{BTreeMap, BTreeSet};

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::signed_head::{HeadError, SignedHead};
use libvms_hypercore::tree::{Node, hash, index};
use thiserror::Error;

use super::equivocation::hash_at;
use super::path::{Cover, LENGTH_END};
use super::record::{Bytes, Head};
use super::{Equivocation, Proof};

/// A signed head of a core, and nodes of its tree.
pub struct History<'a> {
    head: SignedHead,
    node: Box<dyn FnMut(u64) -> Option<Node> + 'a>,
    /// Lengths at which the nodes may tell the tree hash.
    lengths: BTreeSet<Length>,
}

/// The reason why two histories are no equivocation.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoFork {
    /// A proof holds no signed head.
    #[error("a file holds no signed head")]
    NoHead,
    /// The key did not sign a head.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The heads are of different keys.
    #[error("the signed heads are of different keys: nobody contradicts himself")]
    OtherKey,
    /// The shorter history is the beginning of the longer one.
    #[error("both show one history: that of {length} blocks is the beginning of the other, or the same")]
    Same {
        /// Length of the shorter one.
        length: Length,
    },
    /// The nodes are missing by which the histories could be compared.
    #[error("the nodes are missing by which the heads of {shorter} and of {longer} blocks could be compared")]
    Unknown {
        /// Length of the shorter one.
        shorter: Length,
        /// Length of the longer one.
        longer: Length,
    },
}

impl<'a> History<'a> {
    /// Creates the history of a whole log from its head and a store of its nodes.
    pub fn new(head: SignedHead, node: impl FnMut(u64) -> Option<Node> + 'a) -> Self {
        Self { head, node: Box::new(node), lengths: BTreeSet::new() }
    }

    /// Creates the histories that a proof shows. Whether its claim holds does not matter.
    ///
    /// # Errors
    /// [`NoFork::NoHead`] if it shows none; [`NoFork::Head`].
    pub fn all_from_proof(proof: &Proof) -> Result<Vec<Self>, NoFork> {
        let shown = match proof {
            Proof::Inclusion(proof) => {
                vec![Self::shown(&proof.checkpoint, &[(proof.block, &proof.entry)], &proof.path)]
            }
            Proof::Violation(proof) => {
                let entries: Vec<_> = proof.entries.iter().map(|entry| (entry.block, &entry.entry)).collect();
                vec![Self::shown(&proof.checkpoint, &entries, &proof.path)]
            }
            Proof::FalseRefusal(proof) => {
                let entries = proof.entries.iter().flatten().map(|entry| (entry.block, &entry.entry));
                let path = proof.path.as_deref().unwrap_or_default();
                let head = proof.checkpoint.as_ref().ok_or(NoFork::NoHead)?;
                vec![Self::shown(head, &entries.collect::<Vec<_>>(), path)]
            }
            Proof::Equivocation(proof) => {
                let paths = proof.paths.iter().flatten().map(Vec::as_slice).chain([&[][..], &[][..]]);
                let shown = proof.heads.iter().zip(paths).map(|(head, path)| Self::shown(head, &[], path));
                let with_cut = |mut shown: Self| {
                    shown.lengths.extend(proof.at);
                    shown
                };
                shown.map(|shown| shown.map(with_cut)).collect()
            }
            Proof::Unknown(_) => return Err(NoFork::NoHead),
        };
        shown.into_iter().collect()
    }

    /// Creates the history that entries and nodes under a head show.
    fn shown(head: &Head, entries: &[(BlockIndex, &Bytes)], path: &[Node]) -> Result<Self, NoFork> {
        // Numbers beyond the head are a stranger's, and may be too large for a tree.
        let inside = entries.iter().filter(|(block, _)| head.length.min(LENGTH_END).has(*block));
        let leaves = inside.map(|(block, entry)| Node::leaf(*block, &entry.0));
        let known = with_parents(path.iter().copied().chain(leaves));
        let lengths =
            entries.iter().flat_map(|(block, _)| [block.length_before(), block.length_with()]).collect();
        Ok(Self { head: head.verify()?, node: Box::new(move |index| known.get(&index).copied()), lengths })
    }

    /// Returns the signed head.
    pub fn head(&self) -> &SignedHead {
        &self.head
    }

    /// Makes the proof that the key signed two histories.
    ///
    /// # Errors
    /// [`NoFork`]: nothing is held against the key then.
    pub fn conflict(&mut self, other: &mut Self) -> Result<Equivocation, NoFork> {
        if self.head.key() != other.head.key() {
            return Err(NoFork::OtherKey);
        }
        if let Some(proof) =
            Equivocation::from_fork(&self.head).or_else(|| Equivocation::from_fork(&other.head))
        {
            return Ok(proof);
        }
        let [shorter, longer] = sorted([self.head.length(), other.head.length()]);
        let mut is_same = false;
        let at_lengths: BTreeSet<Length> =
            self.lengths.union(&other.lengths).copied().chain([shorter]).collect();
        // The longest first: two histories that are the same there are the same before.
        for at in at_lengths.into_iter().rev().filter(|at| *at <= shorter) {
            let (Some(ours), Some(theirs)) = (self.nodes_at(at), other.nodes_at(at)) else { continue };
            let hashes =
                [hash_at(at, &(&self.head).into(), &ours), hash_at(at, &(&other.head).into(), &theirs)];
            let [Ok(one), Ok(two)] = hashes else { continue };
            if one == two {
                is_same |= at == shorter;
            } else if let Some(proof) =
                Equivocation::from_heads([(self.head, ours), (other.head, theirs)], at)
            {
                return Ok(proof);
            }
        }
        if is_same { Err(NoFork::Same { length: shorter }) } else { Err(NoFork::Unknown { shorter, longer }) }
    }

    /// Returns the nodes from which the tree hash of the first `at` blocks follows; none for the head's own length.
    fn nodes_at(&mut self, at: Length) -> Option<Vec<Node>> {
        if at == self.head.length() {
            return Some(vec![]);
        }
        Cover::new(self.head.length(), [], Some(at))?.nodes(&mut self.node)
    }
}

impl std::fmt::Debug for History<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("head", &self.head).finish_non_exhaustive()
    }
}

fn sorted([one, other]: [Length; 2]) -> [Length; 2] {
    if one <= other { [one, other] } else { [other, one] }
}

/// Returns nodes and all parents that follow from them, by their number.
fn with_parents(nodes: impl IntoIterator<Item = Node>) -> BTreeMap<u64, Node> {
    let mut known = BTreeMap::new();
    let mut new: Vec<Node> = nodes.into_iter().collect();
    while let Some(node) = new.pop() {
        known.insert(node.index, node);
        let sibling = index::sibling(node.index).and_then(|sibling| known.get(&sibling));
        let (Some(sibling), Some(parent)) = (sibling, index::parent(node.index)) else { continue };
        let (left, right) = if node.index < sibling.index { (&node, sibling) } else { (sibling, &node) };
        // Sizes beyond 64 bits are in no tree.
        let Some(size) = left.size.checked_add(right.size) else { continue };
        if !known.contains_key(&parent) {
            new.push(Node { index: parent, size, hash: hash::parent(left, right) });
        }
    }
    known
}
