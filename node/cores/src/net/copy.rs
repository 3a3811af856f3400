//! A complete copy of a core at its present length, for a program that reads a core once.

use std::path::Path;
use std::time::Duration;

use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::PublicKey;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{CoreEvent, Network, SharedCore};
use crate::storage::{Replica, SharedReplica, StorageError};

/// How long no peer may deliver anything before the copy is given up.
const PATIENCE: Duration = Duration::from_secs(15);

/// The copy is not complete.
#[derive(Debug, Error)]
pub enum CopyError {
    /// No reachable peer has all blocks.
    #[error("no reachable peer has all blocks of {key}: received {known} of {wanted}")]
    Unreachable {
        /// The key of the core.
        key: PublicKey,
        /// Blocks that were received.
        known: Length,
        /// Blocks that were requested.
        wanted: Length,
    },
    /// The copy cannot be stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Network {
    /// Starts to copy a core into a directory of its own, and serves the blocks that it has.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn copy(&self, directory: &Path, key: PublicKey) -> Result<SharedReplica, StorageError> {
        self.copy_and_tell(directory, key, None)
    }

    /// Does the same as [`Network::copy`]; `events` receives what happens to the copy.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn copy_and_tell(
        &self,
        directory: &Path,
        key: PublicKey,
        events: Option<mpsc::UnboundedSender<CoreEvent>>,
    ) -> Result<SharedReplica, StorageError> {
        let replica = SharedReplica::new(Replica::open(directory, key)?);
        self.add_core(SharedCore::Replica(replica.clone()), events);
        Ok(replica)
    }
}

impl SharedReplica {
    /// Waits until the copy has all blocks that its signed head counts, and at least `length`; returns the number of
    /// blocks. `progress` is called with the number of blocks received and wanted.
    ///
    /// # Errors
    /// [`CopyError::Unreachable`] when no peer has delivered anything for 15 seconds.
    pub async fn downloaded(
        &self,
        length: Length,
        progress: impl FnMut(Length, Length),
    ) -> Result<Length, CopyError> {
        let wanted = || self.signed_head().map_or(Length(1), |head| head.length()).max(length).max(Length(1));
        wait(self, PATIENCE, wanted, progress).await
    }

    /// Waits until the copy has its first block, which says what the core is.
    ///
    /// # Errors
    /// As [`SharedReplica::downloaded`].
    pub async fn first_block(&self) -> Result<(), CopyError> {
        wait(self, PATIENCE, || Length(1), |_, _| {}).await.map(drop)
    }
}

async fn wait(
    copy: &SharedReplica,
    patience: Duration,
    wanted: impl Fn() -> Length,
    mut progress: impl FnMut(Length, Length),
) -> Result<Length, CopyError> {
    let (mut lengths, mut parts) = (copy.lengths(), copy.parts());
    loop {
        let (known, wanted) = (copy.length(), wanted());
        progress(known, wanted);
        if known >= wanted {
            return Ok(wanted);
        }
        // Each new block resets the timeout, and so does each part of a long one.
        // A long core takes time, and so does a slow path.
        let news = async {
            tokio::select! {
                _ = lengths.changed() => {}
                _ = parts.changed() => {}
            }
        };
        if timeout(patience, news).await.is_err() {
            return Err(CopyError::Unreachable { key: copy.key(), known, wanted });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn a_block_in_parts_is_waited_for_until_the_parts_end() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let replica = Replica::open(directory.path(), PublicKey([7; 32])).expect("an empty copy");
        let copy = SharedReplica::new(replica);
        let parts_left = Cell::new(8);
        let parts = async {
            while parts_left.get() > 0 {
                sleep(Duration::from_millis(100)).await;
                copy.chunk_arrived();
                parts_left.set(parts_left.get() - 1);
            }
        };
        let waiting = async {
            let ended = wait(&copy, Duration::from_millis(300), || Length(1), |_, _| {}).await;
            (ended, parts_left.get())
        };
        // `biased` order: a part counts even if it arrives late because the machine is busy.
        let ((), (ended, parts_left)) = tokio::join!(biased; parts, waiting);
        assert!(
            matches!(ended, Err(CopyError::Unreachable { known: Length(0), wanted: Length(1), .. })),
            "{ended:?}"
        );
        assert_eq!(parts_left, 0);
    }
}
