//! Hyperbee: a sorted map in an append-only core, blocks in and blocks out.
//!
//! Each put or delete is one block. It holds the key and value of the operation and the nodes of the B-tree that the
//! operation changed, so that every length of the core is a version of the whole map. The blocks are byte for byte
//! those of npm hyperbee 2 for the same operations; `fixtures/hyperbee` has the proof.
//!
//! Start from [`Reader`] for a version that is there, and from [`Writer`] for the next block. Both read blocks
//! through [`Blocks`]. Blocks may come from a stranger: whatever they hold, reading ends in a value or a [`BeeError`].

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

pub use batch::Batch;
pub use block::{Header, Level, NodeBlock};
pub use cache::Cache;
pub use reader::{Change, Difference, Item, Reader};
pub use writer::Writer;

/// Where the blocks of a core come from.
pub trait Blocks {
    /// Why a block cannot be had.
    type Error;

    /// The block at `index`.
    ///
    /// # Errors
    /// Where it is not there, or not now.
    fn block(&self, index: u64) -> Result<Cow<'_, [u8]>, Self::Error>;
}

/// A block that was asked for is not in the slice.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("there is no block {0}")]
pub struct NoBlock(pub u64);

impl Blocks for [Vec<u8>] {
    type Error = NoBlock;

    fn block(&self, index: u64) -> Result<Cow<'_, [u8]>, NoBlock> {
        let found = usize::try_from(index).ok().and_then(|index| self.get(index));
        found.map(|block| Cow::Borrowed(block.as_slice())).ok_or(NoBlock(index))
    }
}

impl Blocks for Vec<Vec<u8>> {
    type Error = NoBlock;

    fn block(&self, index: u64) -> Result<Cow<'_, [u8]>, NoBlock> {
        self.as_slice().block(index)
    }
}

impl<B: Blocks + ?Sized> Blocks for &B {
    type Error = B::Error;

    fn block(&self, index: u64) -> Result<Cow<'_, [u8]>, B::Error> {
        (**self).block(index)
    }
}

/// Why a map cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BeeError<E = Infallible> {
    /// A block cannot be had.
    #[error(transparent)]
    Blocks(E),
    /// A block is not in the format.
    #[error("block {block} is no Hyperbee block: {why}")]
    Malformed {
        /// Which block.
        block: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A block refers to a node that it cannot refer to.
    #[error("block {block} refers to node {offset} of block {child}, which cannot be")]
    WrongReference {
        /// The block that refers.
        block: u64,
        /// The block that it names.
        child: u64,
        /// The node in that block.
        offset: u64,
    },
    /// The tree is deeper than any tree that a writer makes.
    #[error("the tree at version {version} is too deep")]
    TooDeep {
        /// Which version.
        version: u64,
    },
}
