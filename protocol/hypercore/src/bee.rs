//! Hyperbee: a sorted map in an append-only core. It reads blocks and makes blocks; it does no I/O.
//!
//! Each put or delete is one block. The block holds the key and value of the operation and the nodes of the B-tree
//! that the operation changed, so that every length of the core is a version of the whole map. The blocks are byte for
//! byte those of npm hyperbee 2 for the same operations; `fixtures/hyperbee` has the proof.
//!
//! Start from [`Reader`] for an existing version, and from [`Writer`] for the next block. Both read blocks through
//! [`Blocks`]. Blocks may come from a stranger: whatever they hold, reading ends in a value or a [`BeeError`].

pub mod batch;
pub mod block;
pub mod cache;
mod protobuf;
pub mod reader;
mod tree;
pub mod writer;

use std::borrow::Cow;
use std::convert::Infallible;

use thiserror::Error;

use crate::blocks::{BlockIndex, Length};

pub use batch::Batch;
pub use block::{Header, Level, NodeBlock};
pub use cache::Cache;
pub use reader::{Change, Difference, Item, Reader};
pub use writer::Writer;

/// The source of a core's blocks.
pub trait Blocks {
    /// The reason why a block cannot be read.
    type Error;

    /// Returns the block at `index`.
    ///
    /// # Errors
    /// If the block is not there, or not available now.
    fn block(&self, index: BlockIndex) -> Result<Cow<'_, [u8]>, Self::Error>;
}

/// The slice is too short to hold the block asked for.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("there is no block {0}")]
pub struct NoBlock(pub BlockIndex);

impl Blocks for [Vec<u8>] {
    type Error = NoBlock;

    fn block(&self, index: BlockIndex) -> Result<Cow<'_, [u8]>, NoBlock> {
        let found = usize::try_from(index.0).ok().and_then(|index| self.get(index));
        found.map(|block| Cow::Borrowed(block.as_slice())).ok_or(NoBlock(index))
    }
}

impl Blocks for Vec<Vec<u8>> {
    type Error = NoBlock;

    fn block(&self, index: BlockIndex) -> Result<Cow<'_, [u8]>, NoBlock> {
        self.as_slice().block(index)
    }
}

impl<B: Blocks + ?Sized> Blocks for &B {
    type Error = B::Error;

    fn block(&self, index: BlockIndex) -> Result<Cow<'_, [u8]>, B::Error> {
        (**self).block(index)
    }
}

/// The reason why a map cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BeeError<E = Infallible> {
    /// The source could not return a block.
    #[error(transparent)]
    Blocks(E),
    /// A block is not in the format.
    #[error("block {block} is not a Hyperbee block: {why}")]
    Malformed {
        /// The block.
        block: BlockIndex,
        /// The fault.
        why: &'static str,
    },
    /// A block refers to a node that does not exist, or to a later block.
    #[error("block {block} refers to node {offset} of block {child}, which does not exist or comes later")]
    WrongReference {
        /// The referring block.
        block: BlockIndex,
        /// The block that it refers to.
        child: BlockIndex,
        /// The node in that block.
        offset: u64,
    },
    /// The tree is deeper than any that a writer makes.
    #[error("the tree at version {version} is deeper than any that a writer makes")]
    TooDeep {
        /// The version of the map.
        version: Length,
    },
}
