//! Group commit: the thread between the executor and the disk, which makes calls durable.
//!
//! All waiting calls become one append to the log and one round of fdatasync. Then the archive is written, and only then
//! the callers are answered: a caller with an answer finds the call's writes, in the directory and on the network. The
//! archive is synced to disk later, since the log can restore it: so the archive is never ahead of the log on disk, and
//! no call waits for it. A failed append ends the VM: calls without an answer have not happened
//! for their callers, and a restart finds out which of them are on disk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use libvms_cores::storage::{Core, StorageError};
use tracing::error;

use super::store::HostStore;
use super::{CallError, CallResponse, Reply, Shared};

/// The most entries in one append, so that the first caller does not wait for the ten-thousandth.
const ENTRIES_PER_APPEND: usize = 4096;
/// The bytes at which an append takes no further entry.
const BYTES_PER_APPEND: usize = 16 << 20;
/// Executed calls that may wait for the disk before the executor waits too.
const WAITING_CALLS_MAX: usize = 4096;

/// An executed call on its way to the disk.
#[derive(Debug)]
pub(super) struct PendingCommit {
    /// The entry's bytes.
    pub(super) entry: Vec<u8>,
    /// Lengths of the archive's cores after the call.
    pub(super) archive: ArchiveLengths,
    /// The caller's reply channel, and its answer.
    pub(super) reply: Reply,
    pub(super) answer: Result<CallResponse, CallError>,
}

/// The lengths up to which the archive may be published.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ArchiveLengths {
    pub(super) files: u64,
    pub(super) blobs: u64,
}

/// Starts the thread. The thread ends when the sender is dropped and everything sent is on disk.
pub(super) fn start(
    log: Core,
    store: HostStore,
    shared: Arc<Shared>,
) -> std::io::Result<(SyncSender<PendingCommit>, thread::JoinHandle<()>)> {
    let (sender, receiver) = sync_channel(WAITING_CALLS_MAX);
    let committer = Committer { log, store, shared };
    let thread = thread::Builder::new().name("committer".into()).spawn(move || committer.run(&receiver))?;
    Ok((sender, thread))
}

struct Committer {
    log: Core,
    store: HostStore,
    shared: Arc<Shared>,
}

impl Committer {
    fn run(mut self, commits: &Receiver<PendingCommit>) {
        while let Some(group) = next_group(commits) {
            // Another process seems to write this log: sign nothing more.
            if self.shared.failure.borrow().is_some() {
                return;
            }
            if let Err(error) = self.commit(group) {
                self.fail(&error);
                // Dropping the pending commits tells their callers; the executor sees the closed channel.
                return;
            }
        }
        if let Err(error) = self.store.bring_to_disk(true) {
            self.fail(&error);
        }
    }

    fn commit(&mut self, group: Vec<PendingCommit>) -> Result<(), StorageError> {
        let entries: Vec<&[u8]> = group.iter().map(|commit| commit.entry.as_slice()).collect();
        self.log.append(&entries)?;
        self.shared.log_length.store(self.log.length(), std::sync::atomic::Ordering::Release);
        let archive = group.last().map(|commit| commit.archive).unwrap_or_default();
        self.publish(archive)?;
        // Before the callers are answered: then they find the call's writes in the archive.
        self.shared.acknowledge(archive);
        for commit in group {
            commit.reply.send(commit.answer);
        }
        self.store.bring_to_disk(false)
    }

    fn fail(&self, error: &StorageError) {
        error!(%error, "the disk failed; this service stops");
        self.shared.fail(error.to_string(), false);
    }

    /// Publishes the archive. Contents go before names: a reader that sees a name must be able to read its content. Only
    /// lengths after whole calls: an auditor takes a signed length from the midst of a call for an unlogged write (see
    /// `audit/pending_heads.rs`).
    fn publish(&self, archive: ArchiveLengths) -> Result<(), StorageError> {
        self.store.blobs.publish(archive.blobs)?;
        self.store.files.publish(archive.files)
    }
}

/// Waits for a call, then takes all that have arrived meanwhile. Returns `None` when there will be no more.
fn next_group(commits: &Receiver<PendingCommit>) -> Option<Vec<PendingCommit>> {
    let first = commits.recv().ok()?;
    let mut bytes = first.entry.len();
    let mut group = vec![first];
    while group.len() < ENTRIES_PER_APPEND && bytes < BYTES_PER_APPEND {
        let Ok(commit) = commits.try_recv() else { break };
        bytes += commit.entry.len();
        group.push(commit);
    }
    Some(group)
}
