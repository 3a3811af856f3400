//! The store of the host's archive: two cores on disk, and the blocks that wait to be appended to them.
//!
//! The log is the write-ahead log of the archive. A block that a call has written waits here until the call's entry
//! is durable, and is appended then ([`PublishedCore::publish`]); so the published archive is never ahead of the log.
//! The executor reads and adds blocks, the committer publishes them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libvms_cores::storage::{Core, CoreView, StorageError, TreeCheck};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::PublicKey;
use libvms_protocol::audit::ArchiveCore;

use crate::archive::{ArchiveError, ArchiveStore};

/// The two cores of a host's archive. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct HostStore {
    pub(crate) files: Arc<PublishedCore>,
    pub(crate) blobs: Arc<PublishedCore>,
}

/// A core on disk with its waiting blocks.
#[derive(Debug)]
pub(crate) struct PublishedCore {
    which: ArchiveCore,
    core: Mutex<Core>,
    waiting: Mutex<Waiting>,
}

/// The waiting blocks from `first` on, in order. Blocks that the core on disk already holds are compared and not kept.
#[derive(Debug, Default)]
struct Waiting {
    /// Length of the archive as replayed or executed so far.
    length: Length,
    /// The first block in `blocks`: the next one of the core on disk.
    first: BlockIndex,
    blocks: VecDeque<Vec<u8>>,
    /// The check of the blocks on disk, as far as they were replayed.
    tree: TreeCheck,
}

impl HostStore {
    pub(crate) fn new(files: Core, blobs: Core) -> Self {
        Self {
            files: Arc::new(PublishedCore::new(ArchiveCore::Files, files)),
            blobs: Arc::new(PublishedCore::new(ArchiveCore::Blobs, blobs)),
        }
    }

    /// Returns whether no blocks wait.
    pub(crate) fn is_published(&self) -> bool {
        [&self.blobs, &self.files].into_iter().all(|core| core.waiting().blocks.is_empty())
    }

    /// Goes back to the empty archive, to execute the log again. Only when no blocks wait: then the disk holds the whole
    /// archive.
    pub(crate) fn rewind(&self) {
        for core in [&self.blobs, &self.files] {
            let mut waiting = core.waiting();
            (waiting.length, waiting.tree) = (Length::ZERO, TreeCheck::default());
        }
    }

    /// Appends all waiting blocks. Contents go first, so that a name always has its content.
    pub(crate) fn publish_all(&self) -> Result<(), StorageError> {
        self.blobs.publish(Length(u64::MAX))?;
        self.files.publish(Length(u64::MAX))
    }

    /// Makes older blocks durable when that is due, and all blocks if `all`.
    pub(crate) fn bring_to_disk(&self, all: bool) -> Result<(), StorageError> {
        self.blobs.core().bring_to_disk(all)?;
        self.files.core().bring_to_disk(all)
    }
}

impl ArchiveStore for HostStore {
    fn block(&self, core: ArchiveCore, index: BlockIndex) -> Result<Vec<u8>, ArchiveError> {
        self.core(core).block(index)
    }

    fn append(&mut self, core: ArchiveCore, blocks: Vec<Vec<u8>>) -> Result<(), ArchiveError> {
        blocks.into_iter().try_for_each(|block| self.core(core).add(block))
    }
}

impl HostStore {
    fn core(&self, core: ArchiveCore) -> &PublishedCore {
        match core {
            ArchiveCore::Files => &self.files,
            ArchiveCore::Blobs => &self.blobs,
        }
    }
}

impl PublishedCore {
    fn new(which: ArchiveCore, core: Core) -> Self {
        let waiting = Waiting { first: core.length().next_block(), ..Waiting::default() };
        Self { which, core: Mutex::new(core), waiting: Mutex::new(waiting) }
    }

    /// Returns the number of blocks on disk beyond those that the log accounts for: 0 at an honest host.
    pub(crate) fn surplus(&self) -> u64 {
        let waiting = self.waiting();
        waiting.first.length_before().checked_sub(waiting.length).unwrap_or(0)
    }

    /// Returns a view of the core on disk.
    pub(crate) fn follow(&self) -> CoreView {
        self.core().follow()
    }

    /// Returns the core's key.
    pub(crate) fn key(&self) -> PublicKey {
        self.core().key()
    }

    /// Returns the length of the core as executed so far.
    pub(crate) fn length(&self) -> Length {
        self.waiting().length
    }

    /// Appends the waiting blocks below `length` to the core on disk.
    pub(crate) fn publish(&self, length: Length) -> Result<(), StorageError> {
        let due: Vec<Vec<u8>> = {
            let waiting = self.waiting();
            let count = length
                .checked_sub(waiting.first.length_before())
                .unwrap_or(0)
                .min(waiting.blocks.len() as u64);
            waiting.blocks.iter().take(usize::try_from(count).unwrap_or(usize::MAX)).cloned().collect()
        };
        if due.is_empty() {
            return Ok(());
        }
        self.core().append(&due)?;
        // Remove the blocks only after the append: at any time a reader finds each block in one of the two places.
        let mut waiting = self.waiting();
        waiting.blocks.drain(..due.len());
        waiting.first += due.len() as u64;
        Ok(())
    }

    fn add(&self, block: Vec<u8>) -> Result<(), ArchiveError> {
        let index = {
            let mut waiting = self.waiting();
            let index = waiting.length.next_block();
            waiting.length = index.length_with();
            if index >= waiting.first {
                waiting.blocks.push_back(block);
                return Ok(());
            }
            index
        };
        // A replay writes blocks that are already on disk: they must be equal.
        let core = self.core();
        if core.block(index)? != block {
            return Err(ArchiveError::Contradiction { core: self.which, block: index });
        }
        Ok(self.waiting().tree.push(&core, &block)?)
    }

    /// Reads a block, from disk or from the waiting blocks.
    pub(crate) fn block(&self, index: BlockIndex) -> Result<Vec<u8>, ArchiveError> {
        {
            let waiting = self.waiting();
            if let Some(offset) = index.checked_sub(waiting.first) {
                let found = usize::try_from(offset).ok().and_then(|offset| waiting.blocks.get(offset));
                return found.cloned().ok_or(ArchiveError::Missing { core: self.which, block: index });
            }
        }
        Ok(self.core().block(index)?)
    }

    // A panic while a lock was held has ended its thread and with it the VM; the data behind the lock is still consistent.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
