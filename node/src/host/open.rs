//! Opening the service of a data directory: replays its log, and checks each outcome.
//!
//! ```text
//! DIR/lock           the lock of the process that owns the directory
//! DIR/log/           the call log, a core
//! DIR/files/         the archive's db core
//! DIR/blobs/         the archive's blobs core
//! DIR/unfinished     exists while a deployment is in progress
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use libvms_cores::storage::layout::{BLOBS, FILES, LOG};
use libvms_cores::storage::{Core, DataDirectory, Durability, StorageError, Tail, TreeCheck};
use libvms_engine::EngineSettings;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_protocol::audit::callers::SignedCalls;
use libvms_protocol::entry::{Init, Limits};

use super::error::OpenError;
use super::recovery;
use super::store::HostStore;
use crate::archive::ArchiveError;
use crate::execution::{Execution, ExecutionError};
use crate::replay::{AuditOptions, Replay, ReplayError};

/// The file that marks the cores beside it as ours to remove.
pub(super) const UNFINISHED: &str = "unfinished";

/// The parts of a running VM.
pub(super) struct Ready {
    pub(super) lock: DataDirectory,
    pub(super) service: Service,
}

/// A loaded script with the log and the archive that it writes to.
pub(super) struct Service {
    pub(super) init: Init,
    pub(super) log: Core,
    pub(super) execution: Execution<HostStore>,
    pub(super) store: HostStore,
    pub(super) next_block: BlockIndex,
    pub(super) latest_at: u64,
    /// What signed calls are judged by; `None` where callers do not sign.
    pub(super) signed: Option<SignedCalls>,
}

pub(super) fn is_deployed(directory: &Path) -> Result<bool, OpenError> {
    let log = directory.join(LOG);
    if !exists(&log)? {
        return Ok(false);
    }
    // Deploying removes a log that was torn before its first entry, and cores beside the mark.
    let has_blocks = Core::has_blocks(&log).map_err(|error| damaged(directory, error))?;
    Ok(has_blocks && !exists(&directory.join(UNFINISHED))? || is_finished(&log)?)
}

/// Returns whether a log has a block 0, with or without the mark beside it.
fn is_finished(log: &Path) -> Result<bool, OpenError> {
    match Core::open_read_only(log) {
        Ok(core) => Ok(!core.length().is_empty()),
        Err(StorageError::NoCore { .. } | StorageError::Damaged { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn open(
    directory: &Path,
    durability: Durability,
    engine: &EngineSettings,
    progress: &mut dyn FnMut(Length, Length),
) -> Result<Ready, OpenError> {
    if !is_deployed(directory)? {
        return Err(OpenError::NotDeployed { path: directory.into() });
    }
    let lock = DataDirectory::lock(directory)?;
    finish(directory)?;
    let (mut log, tail) =
        Core::open_with_tail(&directory.join(LOG), durability).map_err(|error| damaged(directory, error))?;
    let (files, blobs) = open_archive(directory, durability).map_err(|error| damaged(directory, error))?;
    let store = HostStore::new(files, blobs);
    let Replayed { execution, init, latest_at, signed, taken } =
        replay(directory, &log, tail.as_ref(), &store, engine, progress)?;
    for (name, core) in [(FILES, &store.files), (BLOBS, &store.blobs)] {
        if core.surplus() > 0 {
            return Err(OpenError::ArchiveAhead {
                path: directory.into(),
                core: name,
                surplus: core.surplus(),
            });
        }
    }
    if let Some(tail) = &tail {
        recovery::take_back(&mut log, tail, taken)?;
    }
    // A crash may have happened between a call's entry and its archive blocks: the replay has restored them.
    store.publish_all()?;
    let next_block = log.length().next_block();
    Ok(Ready { lock, service: Service { init, log, execution, store, next_block, latest_at, signed } })
}

/// Rebuilds the script's state from the durable log, in a new worker: the old one is gone. All executed calls must be
/// durable and published.
pub(super) fn rebuild(
    directory: &Path,
    store: &HostStore,
    engine: &EngineSettings,
) -> Result<Execution<HostStore>, OpenError> {
    let log = Core::open_read_only(&directory.join(LOG))?;
    store.rewind();
    Ok(replay(directory, &log, None, store, engine, &mut |_, _| {})?.execution)
}

/// Opens the two cores of the archive. The log can restore blocks that are not on disk, so no call waits for a sync.
pub(super) fn open_archive(directory: &Path, durability: Durability) -> Result<(Core, Core), StorageError> {
    let durability = match durability {
        Durability::Sync | Durability::Later => Durability::Later,
        Durability::Relaxed => Durability::Relaxed,
    };
    let open = |name| Core::open_derived(&directory.join(name), durability);
    Ok((open(FILES)?, open(BLOBS)?))
}

/// Wraps errors that mean damage: a damaged service must not go on.
fn damaged(directory: &Path, error: StorageError) -> OpenError {
    match error {
        source @ StorageError::Damaged { .. } => OpenError::Damaged { path: directory.into(), source },
        error => error.into(),
    }
}

/// The state of a service after its log.
struct Replayed {
    execution: Execution<HostStore>,
    init: Init,
    latest_at: u64,
    signed: Option<SignedCalls>,
    /// Entries of the log's tail that were replayed, too, and are not in the log yet.
    taken: u64,
}

fn replay(
    directory: &Path,
    log: &Core,
    tail: Option<&Tail>,
    store: &HostStore,
    engine: &EngineSettings,
    progress: &mut dyn FnMut(Length, Length),
) -> Result<Replayed, OpenError> {
    let failed = |stop| match stop {
        ReplayError::Execution(ExecutionError::Archive(ArchiveError::Storage(error))) => {
            damaged(directory, error)
        }
        stop => OpenError::SelfCheck { path: directory.into(), stop },
    };
    // We granted these limits when we deployed.
    let most = u64::MAX;
    let limits_max =
        Limits { fuel: most, memory: most, stack: most, output: most, load: Some(most), call_age: None };
    let mut replay =
        Replay::new(log.key(), store.clone(), AuditOptions { limits_max, engine: engine.clone() });
    let mut tree = TreeCheck::default();
    let blocks = log.blocks(log.length().blocks()).map(|block| {
        let block = block.and_then(|block| tree.push(log, &block).map(|()| block));
        block.map_err(|error| damaged(directory, error))
    });
    let mut done = Length::ZERO;
    let replayed = replay.push_all(blocks, &mut || {
        done += 1;
        progress(done, log.length());
    });
    replayed?.map_err(failed)?;
    let taken = tail.map_or(Ok(0), |tail| recovery::replay_tail(directory, tail, &mut replay))?;
    let not_deployed = || OpenError::NotDeployed { path: directory.into() };
    let init = replay.init().cloned().ok_or_else(not_deployed)?;
    for (name, ours, named) in
        [(FILES, store.files.key(), init.files), (BLOBS, store.blobs.key(), init.blobs)]
    {
        if ours != named {
            return Err(OpenError::ForeignCore { path: directory.into(), core: name });
        }
    }
    let latest_at = replay.latest_at();
    let (execution, signed) = replay.into_parts().map_err(failed)?.ok_or_else(not_deployed)?;
    Ok(Replayed { execution, init, latest_at, signed, taken })
}

/// Removes the mark of an unfinished deployment.
pub(super) fn finish(directory: &Path) -> Result<(), OpenError> {
    remove(directory.join(UNFINISHED), |path| fs::remove_file(path))
}

pub(super) fn remove(path: PathBuf, remove: fn(&Path) -> io::Result<()>) -> Result<(), OpenError> {
    match remove(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(OpenError::Directory { path, source }),
        _ => Ok(()),
    }
}

pub(super) fn exists(path: &Path) -> Result<bool, OpenError> {
    path.try_exists().map_err(|source| OpenError::Directory { path: path.into(), source })
}
