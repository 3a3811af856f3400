//! [`TreeCheck`]: whether the tree of a core is the tree over its blocks.

use libvms_hypercore::tree::{Node, Roots};

use super::{Core, StorageError};

/// A comparison of the tree of a core with its blocks. Reading blocks does not check the whole tree, and a damaged node
/// would make every proof wrong that peers are given.
#[derive(Debug, Default)]
pub struct TreeCheck {
    roots: Roots,
}

impl TreeCheck {
    /// Adds the next block of a core, from the first one on.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] when a node over the blocks so far differs; [`StorageError::Io`].
    pub fn push(&mut self, core: &Core, block: &[u8]) -> Result<(), StorageError> {
        let mut completed = vec![];
        self.roots
            .append_with(Node::leaf(self.roots.length().next_block(), block), |node| completed.push(*node));
        for node in completed {
            if core.node(node.index)? != Some(node) {
                return Err(core.damaged("its tree is not the tree over its blocks"));
            }
        }
        Ok(())
    }
}
