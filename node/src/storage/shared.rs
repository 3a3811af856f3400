//! A replica that one part of the program fills while others read.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libvms_protocol::checkpoint::Checkpoint;
use libvms_protocol::identity::PublicKey;
use tokio::sync::watch;

use super::{Replica, StorageError};

/// A replica in use by several. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedReplica {
    key: PublicKey,
    replica: Arc<Mutex<Replica>>,
    length: Arc<watch::Sender<u64>>,
    parts: Arc<watch::Sender<()>>,
}

impl SharedReplica {
    /// Shares a replica.
    pub fn new(replica: Replica) -> Self {
        let length = watch::Sender::new(replica.length());
        Self {
            key: replica.key(),
            replica: Arc::new(Mutex::new(replica)),
            length: Arc::new(length),
            parts: Arc::new(watch::Sender::new(())),
        }
    }

    /// The core's key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Blocks that are here, from the first one on.
    pub fn length(&self) -> u64 {
        self.lock().length()
    }

    /// The latest signed head that is known.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.lock().checkpoint()
    }

    /// Reads a block.
    ///
    /// # Errors
    /// As [`Replica::block`].
    pub fn block(&self, block: u64) -> Result<Vec<u8>, StorageError> {
        self.lock().block(block)
    }

    /// Reads the blocks of a range, in order. The replica is free for others between two of them.
    pub fn blocks(&self, range: Range<u64>) -> impl Iterator<Item = Result<Vec<u8>, StorageError>> + '_ {
        range.map(|block| self.block(block))
    }

    /// Tells of each new length of what is here.
    pub fn lengths(&self) -> watch::Receiver<u64> {
        self.length.subscribe()
    }

    /// Tells when a part of a block has come that is long enough to come in parts.
    pub fn parts(&self) -> watch::Receiver<()> {
        self.parts.subscribe()
    }

    /// A part of a long block has come; nothing is here yet that could be read.
    pub fn part_came(&self) {
        self.parts.send_replace(());
    }

    /// Works on the replica, and tells the others if it has grown.
    pub fn change<T>(&self, change: impl FnOnce(&mut Replica) -> T) -> T {
        let mut replica = self.lock();
        let changed = change(&mut replica);
        let length = replica.length();
        drop(replica);
        self.length.send_if_modified(|known| std::mem::replace(known, length) != length);
        changed
    }

    /// The replica for one look at it. Nobody else can use it meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, Replica> {
        // A replica is whole between any two of its operations, whatever became of whoever did the last one.
        self.replica.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
