//! The part of a B-tree that an operation works on, in memory.
//!
//! Nodes are loaded as they are walked. A child is reached through a slot, which says where the child is stored and,
//! once it is loaded, where it is in memory; a slot keeps its identity when it moves from one parent to another.

use super::cache::Cache;
use super::{BeeError, Blocks};
use crate::blocks::{BlockIndex, Length};
use crate::limits::BEE_DEPTH_MAX;

/// The fewest keys of a node that is not the root.
pub(super) const KEYS_MIN: usize = 4;
/// A node that reaches this many keys is split.
pub(super) const KEYS_FULL: usize = 9;
/// Keys of the left half of a split; the next one moves up.
pub(super) const MEDIAN: usize = 4;

pub(super) type NodeId = usize;
pub(super) type SlotId = usize;

#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) slots: Vec<Slot>,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    /// For each key, the block that holds it.
    pub(super) keys: Vec<BlockIndex>,
    pub(super) children: Vec<SlotId>,
    /// Whether the node must be stored with the operation.
    pub(super) is_dirty: bool,
}

/// The place of a child.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) block: BlockIndex,
    pub(super) level: u64,
    pub(super) node: Option<NodeId>,
}

impl Tree {
    pub(super) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Returns a new slot for a node that is in memory and stored nowhere yet.
    pub(super) fn slot_of(&mut self, node: NodeId) -> SlotId {
        self.slots.push(Slot { block: BlockIndex::FIRST, level: 0, node: Some(node) });
        self.slots.len() - 1
    }

    /// Loads level `level` of block `block`.
    pub(super) fn load<B: Blocks + ?Sized>(
        &mut self,
        blocks: &B,
        cache: &Cache,
        block: BlockIndex,
        level: u64,
    ) -> Result<NodeId, BeeError<B::Error>> {
        let stored = cache.node(blocks, block)?;
        let wrong = BeeError::WrongReference { block, child: block, offset: level };
        let level = usize::try_from(level).ok().and_then(|level| stored.levels.get(level)).ok_or(wrong)?;
        if let Some(key) = level.keys.iter().find(|key| **key == BlockIndex::FIRST || **key > block) {
            return Err(BeeError::WrongReference { block, child: *key, offset: 0 });
        }
        let mut children = Vec::with_capacity(level.children.len());
        for (child, offset) in &level.children {
            if *child == BlockIndex::FIRST || *child > block {
                return Err(BeeError::WrongReference { block, child: *child, offset: *offset });
            }
            self.slots.push(Slot { block: *child, level: *offset, node: None });
            children.push(self.slots.len() - 1);
        }
        Ok(self.add(Node { keys: level.keys.clone(), children, is_dirty: false }))
    }

    /// Returns the child at `position` of a node.
    pub(super) fn child<B: Blocks + ?Sized>(
        &mut self,
        blocks: &B,
        cache: &Cache,
        node: NodeId,
        position: usize,
    ) -> Result<NodeId, BeeError<B::Error>> {
        let slot = self.nodes[node].children[position];
        let Slot { block, level, node } = self.slots[slot];
        if let Some(node) = node {
            return Ok(node);
        }
        let node = self.load(blocks, cache, block, level)?;
        self.slots[slot].node = Some(node);
        Ok(node)
    }
}

/// Refuses a walk deeper than any tree that a writer makes.
pub(super) fn check_depth<E>(depth: usize, version: Length) -> Result<(), BeeError<E>> {
    if depth <= BEE_DEPTH_MAX { Ok(()) } else { Err(BeeError::TooDeep { version }) }
}
