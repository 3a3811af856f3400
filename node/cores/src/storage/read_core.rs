//! [`ReadCore`]: reading a core, either a host's own or a downloaded copy.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use libvms_hypercore::bee::Blocks;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Node;

use super::{Core, SharedReplica, StorageError};

/// Blocks in order, each as a result of its own.
pub type BlockIterator<'a> = Box<dyn Iterator<Item = Result<Vec<u8>, StorageError>> + 'a>;

/// A signed core that can be read.
pub trait ReadCore: fmt::Debug + Send {
    /// Returns the core's key.
    fn key(&self) -> PublicKey;

    /// Returns the number of readable blocks: all from the first on.
    fn length(&self) -> Length;

    /// Returns the signed head, which may count blocks that cannot be read yet.
    fn signed_head(&self) -> Option<SignedHead>;

    /// Reads a block.
    ///
    /// # Errors
    /// When the block is missing or damaged.
    fn block(&self, block: BlockIndex) -> Result<Vec<u8>, StorageError>;

    /// Reads the blocks of a range, in order.
    fn blocks(&self, range: Range<BlockIndex>) -> BlockIterator<'_>;

    /// Returns a node of the tree over the blocks, as far as it is known: without nodes no proof can be made of a block.
    /// `None` from a core that keeps no tree.
    ///
    /// # Errors
    /// When the node cannot be read.
    fn node(&self, node: u64) -> Result<Option<Node>, StorageError> {
        let _unknown = node;
        Ok(None)
    }
}

impl ReadCore for Core {
    fn key(&self) -> PublicKey {
        self.key()
    }

    fn length(&self) -> Length {
        self.length()
    }

    fn signed_head(&self) -> Option<SignedHead> {
        self.signed_head()
    }

    fn block(&self, block: BlockIndex) -> Result<Vec<u8>, StorageError> {
        self.block(block)
    }

    fn blocks(&self, range: Range<BlockIndex>) -> BlockIterator<'_> {
        Box::new(self.blocks(range))
    }

    fn node(&self, node: u64) -> Result<Option<Node>, StorageError> {
        self.node(node)
    }
}

impl ReadCore for SharedReplica {
    fn key(&self) -> PublicKey {
        self.key()
    }

    fn length(&self) -> Length {
        self.length()
    }

    fn signed_head(&self) -> Option<SignedHead> {
        self.signed_head()
    }

    fn block(&self, block: BlockIndex) -> Result<Vec<u8>, StorageError> {
        self.block(block)
    }

    fn blocks(&self, range: Range<BlockIndex>) -> BlockIterator<'_> {
        Box::new(self.blocks(range))
    }

    fn node(&self, node: u64) -> Result<Option<Node>, StorageError> {
        self.lock().node(node)
    }
}

impl Blocks for dyn ReadCore {
    type Error = StorageError;

    fn block(&self, index: BlockIndex) -> Result<Cow<'_, [u8]>, StorageError> {
        ReadCore::block(self, index).map(Cow::Owned)
    }
}
