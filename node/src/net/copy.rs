//! A whole copy of a core, as long as it is now: what one look at it needs.

use std::path::Path;
use std::time::Duration;

use libvms_protocol::identity::PublicKey;
use thiserror::Error;
use tokio::time::timeout;

use super::{Held, Network};
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
    /// The copy can not be kept.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Network {
    /// Begins to copy a core into a directory of its own, and serves what is there.
    ///
    /// # Errors
    /// Where the directory can not be used.
    pub fn copy(&self, directory: &Path, key: PublicKey) -> Result<SharedReplica, StorageError> {
        let replica = SharedReplica::new(Replica::open(directory, key)?);
        self.hold(Held::Copy(replica.clone()), None);
        Ok(replica)
    }
}

/// Waits until a copy has all blocks that its signed head counts, and at least `length`; gives how many these are.
/// `progress` is told how many of how many are here.
///
/// # Errors
/// [`CopyError::Unreachable`] where nothing new has come for 15 seconds.
pub async fn complete(
    copy: &SharedReplica,
    length: u64,
    progress: impl FnMut(u64, u64),
) -> Result<u64, CopyError> {
    let wanted = || copy.checkpoint().map_or(1, |head| head.length()).max(length).max(1);
    wait(copy, wanted, progress).await
}

/// Waits until a copy has its first block, which says what it is a copy of.
///
/// # Errors
/// As [`complete`].
pub async fn begin(copy: &SharedReplica) -> Result<(), CopyError> {
    wait(copy, || 1, |_, _| {}).await.map(drop)
}

async fn wait(
    copy: &SharedReplica,
    wanted: impl Fn() -> u64,
    mut progress: impl FnMut(u64, u64),
) -> Result<u64, CopyError> {
    let mut lengths = copy.lengths();
    loop {
        let (known, wanted) = (copy.length(), wanted());
        progress(known, wanted);
        if known >= wanted {
            return Ok(wanted);
        }
        // Each new block earns more patience: a long core takes its time.
        if timeout(PATIENCE, lengths.changed()).await.is_err() {
            return Err(CopyError::Unreachable { key: copy.key(), known, wanted });
        }
    }
}
