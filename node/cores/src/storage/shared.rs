//! [`SharedReplica`]: a replica that one part of the program fills while others read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libvms_hypercore::blocks::{BlockIndex, Length, each};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;
use tokio::sync::watch;

use super::{Replica, StorageError};

/// Bytes that must be free before a copy resumes after a failure: more than it writes in one second mostly.
const ROOM_BYTES: usize = 256 << 10;

/// Writes a little, and removes it again: a disk that is still full should fail before peers send more.
fn try_room(directory: &Path) -> io::Result<()> {
    let path = directory.join("room.new");
    let mut file = File::create(&path)?;
    let written = file.write_all(&vec![1; ROOM_BYTES]).and_then(|()| file.sync_all());
    drop(file);
    let removed = fs::remove_file(&path);
    written.and(removed)
}

/// A replica with several users. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedReplica {
    key: PublicKey,
    replica: Arc<Mutex<Replica>>,
    length: Arc<watch::Sender<Length>>,
    parts: Arc<watch::Sender<()>>,
    losses: Arc<watch::Sender<()>>,
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
            losses: Arc::new(watch::Sender::new(())),
        }
    }

    /// Returns the core's key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Returns the number of stored blocks, from the first one on.
    pub fn length(&self) -> Length {
        self.lock().length()
    }

    /// Returns the latest signed head that is known.
    pub fn signed_head(&self) -> Option<SignedHead> {
        self.lock().signed_head()
    }

    /// Reads a block. A stored block that cannot be read is lost from now on, until it is added again.
    ///
    /// # Errors
    /// As [`Replica::block`].
    pub fn block(&self, block: BlockIndex) -> Result<Vec<u8>, StorageError> {
        let mut replica = self.lock();
        let read = replica.block(block);
        if matches!(read, Err(StorageError::Damaged { .. } | StorageError::Io { .. })) {
            replica.lose(block);
            drop(replica);
            self.losses.send_replace(());
        }
        read
    }

    /// Returns whether no stored block is known to be lost.
    pub fn is_whole(&self) -> bool {
        self.lock().lost().is_empty()
    }

    /// Returns a receiver that is notified when a block was found to be lost.
    pub fn losses(&self) -> watch::Receiver<()> {
        self.losses.subscribe()
    }

    /// Reopens the replica from disk: after a failed write the state on disk is unknown.
    ///
    /// # Errors
    /// As [`Replica::open`]; the replica then stays as it was.
    pub fn reopen(&self) -> Result<(), StorageError> {
        let path = self.lock().path().to_owned();
        try_room(&path).map_err(StorageError::io(&path))?;
        let opened = Replica::open(&path, self.key)?;
        self.change(|replica| *replica = opened);
        Ok(())
    }

    /// Reads the blocks of a range, in order. Other users can lock the replica between two blocks.
    pub fn blocks(
        &self,
        range: Range<BlockIndex>,
    ) -> impl Iterator<Item = Result<Vec<u8>, StorageError>> + '_ {
        each(range).map(|block| self.block(block))
    }

    /// Returns a receiver of each new number of stored blocks.
    pub fn lengths(&self) -> watch::Receiver<Length> {
        self.length.subscribe()
    }

    /// Returns a receiver that is notified of each part of a block that is long enough to arrive in parts.
    pub fn parts(&self) -> watch::Receiver<()> {
        self.parts.subscribe()
    }

    /// Records that a part of a long block has arrived; none of it can be read yet.
    pub fn chunk_arrived(&self) {
        self.parts.send_replace(());
    }

    /// Changes the replica, and notifies the other users if it has grown.
    pub fn change<T>(&self, change: impl FnOnce(&mut Replica) -> T) -> T {
        let mut replica = self.lock();
        let changed = change(&mut replica);
        let length = replica.length();
        drop(replica);
        self.length.send_if_modified(|known| std::mem::replace(known, length) != length);
        changed
    }

    /// Locks the replica for one look at it.
    pub fn lock(&self) -> MutexGuard<'_, Replica> {
        // A replica is consistent between any two of its operations, even if the thread of the last one panicked.
        self.replica.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
