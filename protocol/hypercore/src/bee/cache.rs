//! A cache of decoded blocks that lasts from one operation to the next.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::block::NodeBlock;
use super::{BeeError, Blocks};
use crate::blocks::{BlockIndex, Length};

/// Decoded blocks by number. When it is full, the least recently used half is dropped.
///
/// A block that was staged and then discarded must be forgotten: see [`Cache::forget_from`].
#[derive(Debug)]
pub struct Cache {
    generations: RefCell<Generations>,
    blocks_max: usize,
}

/// Two generations: the blocks used lately, and those used before.
#[derive(Debug, Default)]
struct Generations {
    young: BTreeMap<BlockIndex, Arc<NodeBlock>>,
    old: BTreeMap<BlockIndex, Arc<NodeBlock>>,
}

impl Default for Cache {
    /// Creates a cache of a few MiB: enough for the upper nodes of any tree and for the keys that a busy service
    /// touches.
    fn default() -> Self {
        Self::new(16_384)
    }
}

impl Cache {
    /// Creates a cache of at most `blocks_max` blocks.
    pub fn new(blocks_max: usize) -> Self {
        Self { generations: RefCell::default(), blocks_max }
    }

    /// Forgets the blocks from `length` on, which will not be written after all.
    pub fn forget_from(&self, length: Length) {
        let mut generations = self.generations.borrow_mut();
        generations.young.split_off(&length.next_block());
        generations.old.split_off(&length.next_block());
    }

    /// Returns the block at `index`, decoded.
    pub(super) fn node<B: Blocks + ?Sized>(
        &self,
        blocks: &B,
        index: BlockIndex,
    ) -> Result<Arc<NodeBlock>, BeeError<B::Error>> {
        if let Some(found) = self.generations.borrow().young.get(&index) {
            return Ok(found.clone());
        }
        let old = self.generations.borrow_mut().old.remove(&index);
        let node = match old {
            Some(found) => found,
            None => {
                let bytes = blocks.block(index).map_err(BeeError::Blocks)?;
                let node = NodeBlock::decode(&bytes);
                Arc::new(node.map_err(|why| BeeError::Malformed { block: index, why })?)
            }
        };
        self.keep(index, node.clone());
        Ok(node)
    }

    /// Stores a block that was just made.
    pub(super) fn keep(&self, index: BlockIndex, node: Arc<NodeBlock>) {
        let mut generations = self.generations.borrow_mut();
        if generations.young.len() >= self.blocks_max / 2 {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(index, node);
    }
}
