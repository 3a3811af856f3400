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
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_protocol::entry::{CallEntry, Entry, Outcome};
use libvms_protocol::refusal::Reason;
use libvms_protocol::value::Value;
use tracing::error;

use super::callers::receipt::Receipts;
use super::callers::refusal::Refused;
use super::queued::{QueuedCall, Replies};
use super::store::HostStore;
use super::{CallError, CallResponse, Shared};

/// The most entries in one append, so that the first caller does not wait for the ten-thousandth.
const ENTRIES_PER_APPEND: usize = 4096;
/// The bytes at which an append takes no further entry.
const BYTES_PER_APPEND: usize = 16 << 20;
/// Executed calls that may wait for the disk before the executor waits too.
const WAITING_CALLS_MAX: usize = 4096;

/// What the executor passes on, in the order of the log.
#[derive(Debug)]
pub(super) enum Commit {
    Append(PendingCommit),
    Recall(Recall),
}

/// A call that the log has executed already, under this or another of its numbers. Its entry is durable, or before it in the
/// order of commits.
#[derive(Debug)]
pub(super) struct Recall {
    pub(super) block: BlockIndex,
    pub(super) call: Box<QueuedCall>,
}

/// An executed call on its way to the disk.
#[derive(Debug)]
pub(super) struct PendingCommit {
    pub(super) block: BlockIndex,
    /// The entry's bytes.
    pub(super) entry: Vec<u8>,
    /// Lengths of the archive's cores after the call.
    pub(super) archive: ArchiveLengths,
    /// The callers that wait, and their answer.
    pub(super) replies: Replies,
    pub(super) answer: Result<CallResponse, CallError>,
}

/// The lengths up to which the archive may be published.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ArchiveLengths {
    pub(super) files: Length,
    pub(super) blobs: Length,
}

/// Starts the thread. The thread ends when the sender is dropped and everything sent is on disk.
pub(super) fn start(
    log: Core,
    store: HostStore,
    shared: Arc<Shared>,
) -> std::io::Result<(SyncSender<Commit>, thread::JoinHandle<()>)> {
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
    fn run(mut self, commits: &Receiver<Commit>) {
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

    fn commit(&mut self, group: Vec<Commit>) -> Result<(), StorageError> {
        let entries: Vec<&[u8]> = group.iter().filter_map(Commit::entry).collect();
        if !entries.is_empty() {
            self.log.append(&entries)?;
            self.shared.log_length.store(self.log.length().0, std::sync::atomic::Ordering::Release);
            let archive = group.iter().rev().find_map(Commit::archive).unwrap_or_default();
            self.publish(archive)?;
            // Before the callers are answered: then they find the call's writes in the archive.
            self.shared.acknowledge(archive);
        }
        self.answer(group);
        self.store.bring_to_disk(false)
    }

    /// Answers the callers of a group whose entries are durable.
    fn answer(&self, group: Vec<Commit>) {
        let node = |index| self.log.node(index).ok().flatten();
        let mut receipts = self.log.signed_head().map(|head| Receipts::new(head, node));
        let mut receipt = |block, entry: &[u8]| receipts.as_mut()?.make(block, entry);
        for commit in group {
            match commit {
                Commit::Append(PendingCommit { block, entry, replies, answer, .. }) => {
                    send(replies, answer, || receipt(block, &entry));
                }
                Commit::Recall(recall) => self.recall(recall, &mut receipt),
            }
        }
    }

    /// Answers a call with what the log says of it.
    fn recall(
        &self,
        Recall { block, call }: Recall,
        mut receipt: impl FnMut(BlockIndex, &[u8]) -> Option<Vec<u8>>,
    ) {
        let repeated =
            || CallError::Refused(Refused { block: Some(block), ..Refused::new(Reason::RepeatedNonce) });
        let failed = |error: &dyn std::error::Error| CallError::Failed { why: error.to_string() };
        let read = self.log.block(block).map_err(|error| failed(&error));
        let read = read.and_then(|bytes| Ok((Entry::decode(&bytes).map_err(|error| failed(&error))?, bytes)));
        match read {
            Ok((Entry::Call(CallEntry { call: logged, .. }), _))
                if call.request.is_other_with_same_nonce(logged.nonce, logged.sig) =>
            {
                call.refuse(&repeated());
            }
            Ok((Entry::Call(entry), bytes)) => {
                let answer = logged_answer(block, &entry);
                send(call.replies, answer, || receipt(block, &bytes));
            }
            Ok(_) => call.refuse(&repeated()),
            Err(error) => call.refuse(&error),
        }
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

impl Commit {
    fn entry(&self) -> Option<&[u8]> {
        match self {
            Self::Append(commit) => Some(&commit.entry),
            Self::Recall(_) => None,
        }
    }

    fn archive(&self) -> Option<ArchiveLengths> {
        match self {
            Self::Append(commit) => Some(commit.archive),
            Self::Recall(_) => None,
        }
    }
}

/// Answers all that wait for a call; makes the receipt only if one of them asked for it.
fn send(
    mut replies: Replies,
    answer: Result<CallResponse, CallError>,
    receipt: impl FnOnce() -> Option<Vec<u8>>,
) {
    let receipt = replies.iter().any(|reply| reply.wants_receipt).then(receipt).flatten();
    // Nearly always there is one, and the answer may be large: it is copied for further ones only.
    let Some(last) = replies.pop_back() else { return };
    for reply in replies {
        let receipt = receipt.clone().filter(|_| reply.wants_receipt);
        reply.send(answer.clone(), receipt);
    }
    let receipt = receipt.filter(|_| last.wants_receipt);
    last.send(answer, receipt);
}

/// Returns the answer to a call that the log has executed before.
fn logged_answer(block: BlockIndex, entry: &CallEntry) -> Result<CallResponse, CallError> {
    match entry.result.outcome() {
        Ok(Outcome::Returned { value, .. }) => {
            Ok(CallResponse { block, json: value.as_ref().map(Value::to_json) })
        }
        Ok(Outcome::Threw(thrown)) => Err(CallError::Threw { thrown, stack: None }),
        Ok(Outcome::Fault(fault)) => {
            let why = format!("fault `{}`, in block {block} of the log", fault.name());
            Err(CallError::Stopped { fault, why })
        }
        Err(error) => Err(CallError::Failed { why: error.to_string() }),
    }
}

/// Waits for a call, then takes all that have arrived meanwhile. Returns `None` when there will be no more.
fn next_group(commits: &Receiver<Commit>) -> Option<Vec<Commit>> {
    let first = commits.recv().ok()?;
    let length = |commit: &Commit| commit.entry().map_or(0, <[u8]>::len);
    let mut bytes = length(&first);
    let mut group = vec![first];
    while group.len() < ENTRIES_PER_APPEND && bytes < BYTES_PER_APPEND {
        let Ok(commit) = commits.try_recv() else { break };
        bytes += length(&commit);
        group.push(commit);
    }
    Some(group)
}
