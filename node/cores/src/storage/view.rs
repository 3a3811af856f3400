//! [`CoreView`]: reading a core while another part of this program appends to it.

use std::sync::Arc;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::{Node, Roots};
use tokio::sync::watch;

use super::StorageError;
use super::journal::Journal;
use super::reader::Reader;

/// The head of a core: its roots, and its signed head.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) roots: Roots,
    pub(super) signed_head: Option<SignedHead>,
}

/// A core as it was at the last [`CoreView::refresh`]. It sees durable blocks only. A clone refreshes by itself.
#[derive(Debug)]
pub struct CoreView {
    journal: Arc<Journal>,
    reader: Reader,
    key: PublicKey,
    head: watch::Receiver<Head>,
    signed_head: Option<SignedHead>,
}

impl CoreView {
    pub(super) fn new(journal: Arc<Journal>, key: PublicKey, head: watch::Receiver<Head>) -> Self {
        let reader = Reader::new(Arc::clone(&journal), Roots::default());
        let mut view = Self { journal, reader, key, head, signed_head: None };
        view.refresh();
        view
    }

    /// Returns the core's key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Returns the number of blocks.
    pub fn length(&self) -> Length {
        self.reader.roots.length()
    }

    /// Returns the signed head, or `None` while the core is empty.
    pub fn signed_head(&self) -> Option<SignedHead> {
        self.signed_head
    }

    /// Returns the roots of the tree over all blocks.
    pub fn roots(&self) -> &Roots {
        &self.reader.roots
    }

    /// Waits until the core has grown since the last refresh; for ever once its owner is dropped.
    pub async fn grown(&mut self) {
        if self.head.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Makes newly appended blocks visible.
    pub fn refresh(&mut self) {
        let head = self.head.borrow_and_update();
        self.reader.roots = head.roots.clone();
        self.signed_head = head.signed_head;
    }

    /// Reads a block.
    ///
    /// # Errors
    /// As [`super::Core::block`].
    pub fn block(&self, block: BlockIndex) -> Result<Vec<u8>, StorageError> {
        self.reader.block(block)
    }

    /// Reads a node over blocks that are all in the core; `None` for any other.
    ///
    /// # Errors
    /// [`StorageError::Damaged`]; [`StorageError::Io`].
    pub fn node(&self, node: u64) -> Result<Option<Node>, StorageError> {
        self.reader.node(node)
    }
}

impl Clone for CoreView {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.journal), self.key, self.head.clone())
    }
}

#[cfg(test)]
mod tests {
    use libvms_hypercore::blocks::{BlockIndex, Length};
    use libvms_hypercore::identity::SecretKey;
    use libvms_hypercore::tree::index;

    use super::super::{Core, Durability};

    #[test]
    fn a_view_follows_appends() {
        let directory = tempfile::tempdir().expect("a directory");
        let key = SecretKey::from_seed(&[5; 32]);
        let mut core = Core::create(directory.path(), key, Durability::Sync).expect("an empty directory");
        let mut view = core.follow();
        assert_eq!((view.length(), view.signed_head()), (Length::ZERO, None));
        for count in 1..200_u64 {
            core.append(&[count.to_string()]).expect("a disk");
            assert_eq!(view.length(), Length(count - 1), "a view sees nothing new by itself");
            assert!(futures::FutureExt::now_or_never(view.grown()).is_some());
            view.refresh();
            assert_eq!(view.signed_head(), core.signed_head());
            assert_eq!(view.block(BlockIndex(count - 1)).expect("appended"), count.to_string().into_bytes());
            for index in index::roots(Length(count)) {
                assert!(
                    view.node(index)
                        .expect("a disk")
                        .is_some_and(|node| view.roots().nodes().contains(&node))
                );
            }
            assert_eq!(view.node(2 * count).expect("a disk"), None);
        }
        assert_eq!(view.clone().length(), Length(199));
    }
}
