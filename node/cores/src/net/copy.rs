//! A whole copy of a core, as long as it is now: what one look at it needs.

use std::path::Path;
use std::time::Duration;

use libvms_hypercore::identity::PublicKey;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{CoreEvent, Network, SharedCore};
use crate::storage::{Replica, SharedReplica, StorageError};

/// How long peers may give nothing before a copy is given up.
const PATIENCE: Duration = Duration::from_secs(15);

/// There is no whole copy.
#[derive(Debug, Error)]
pub enum CopyError {
    /// Nobody who could be reached has all of it.
    #[error("no peer gives all blocks of {key}: {known} of {wanted} came")]
    Unreachable {
        /// Which core.
        key: PublicKey,
        /// Blocks that are here.
        known: u64,
        /// Blocks that were waited for.
        wanted: u64,
    },
    /// The copy cannot be kept.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Network {
    /// Begins to copy a core into a directory of its own, and serves what is there.
    ///
    /// # Errors
    /// Where the directory cannot be used.
    pub fn copy(&self, directory: &Path, key: PublicKey) -> Result<SharedReplica, StorageError> {
        self.copy_and_tell(directory, key, None)
    }

    /// As [`Network::copy`]; `events` hears what becomes of the copy.
    ///
    /// # Errors
    /// Where the directory cannot be used.
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

/// Waits until a copy has all blocks that its signed head counts, and at least `length`; gives how many these are.
/// `progress` is told how many of how many are here.
///
/// # Errors
/// [`CopyError::Unreachable`] where nothing has come for 15 seconds.
pub async fn complete(
    copy: &SharedReplica,
    length: u64,
    progress: impl FnMut(u64, u64),
) -> Result<u64, CopyError> {
    let wanted = || copy.signed_head().map_or(1, |head| head.length()).max(length).max(1);
    wait(copy, PATIENCE, wanted, progress).await
}

/// Waits until a copy has its first block, which says what it is a copy of.
///
/// # Errors
/// As [`complete`].
pub async fn begin(copy: &SharedReplica) -> Result<(), CopyError> {
    wait(copy, PATIENCE, || 1, |_, _| {}).await.map(drop)
}

async fn wait(
    copy: &SharedReplica,
    patience: Duration,
    wanted: impl Fn() -> u64,
    mut progress: impl FnMut(u64, u64),
) -> Result<u64, CopyError> {
    let (mut lengths, mut parts) = (copy.lengths(), copy.parts());
    loop {
        let (known, wanted) = (copy.length(), wanted());
        progress(known, wanted);
        if known >= wanted {
            return Ok(wanted);
        }
        // Each new block earns more patience, and each part of a long one: a long core takes its time, as does a slow path.
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
    async fn a_block_that_comes_in_parts_is_waited_for_until_they_end() {
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
            let ended = wait(&copy, Duration::from_millis(300), || 1, |_, _| {}).await;
            (ended, parts_left.get())
        };
        // In this order a part counts that comes late, with all else on a busy machine.
        let ((), (ended, parts_left)) = tokio::join!(biased; parts, waiting);
        assert!(matches!(ended, Err(CopyError::Unreachable { known: 0, wanted: 1, .. })), "{ended:?}");
        assert_eq!(parts_left, 0);
    }
}
