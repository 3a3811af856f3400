//! Executing calls in the order in which they came: the thread that owns the script.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{SystemTime, UNIX_EPOCH};

use libvms_protocol::entry::{Call, CallEntry, Entry, Outcome};
use libvms_protocol::limits::TIME_MAX;
use libvms_protocol::value::Value;
use tracing::{debug, error};

use super::committer::{ArchiveLengths, Commit};
use super::store::HostStore;
use super::{Answer, CallError, Reply, Shared};
use crate::execution::{CALLS_IN_FLIGHT, Execution, Finished};

/// A call that was let in.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) user_id: Option<String>,
    pub(super) method: String,
    pub(super) args: Vec<Value>,
    pub(super) reply: Reply,
}

/// The script, its place in the log, and the calls that it is working on.
pub(super) struct Executor {
    execution: Execution<HostStore>,
    store: HostStore,
    shared: Arc<Shared>,
    next_block: u64,
    latest_at: u64,
    running: VecDeque<Running>,
}

struct Running {
    call: Call,
    reply: Reply,
}

/// Whether to go on.
enum Next {
    Finish,
    Stop,
}

impl Executor {
    pub(super) fn new(
        execution: Execution<HostStore>,
        store: HostStore,
        shared: Arc<Shared>,
        next_block: u64,
        latest_at: u64,
    ) -> Self {
        Self { execution, store, shared, next_block, latest_at, running: VecDeque::new() }
    }

    /// Runs until no more calls can come, or the VM is closing: then the call in hand is finished, and no other.
    pub(super) fn run(mut self, jobs: &Receiver<Job>, commits: &SyncSender<Commit>) {
        while let Next::Finish = self.fill(jobs) {
            let Some(commit) = self.finish() else { return };
            if commits.send(commit).is_err() {
                return; // The committer has said why.
            }
            if self.shared.is_closing() {
                return;
            }
        }
    }

    /// Sends waiting calls ahead, and waits for one if there is nothing to do.
    fn fill(&mut self, jobs: &Receiver<Job>) -> Next {
        while self.running.len() < CALLS_IN_FLIGHT {
            let job = match jobs.try_recv() {
                Ok(job) => job,
                Err(TryRecvError::Empty) if self.running.is_empty() => match jobs.recv() {
                    Ok(job) => job,
                    Err(_) => return Next::Stop,
                },
                Err(_) => break,
            };
            if self.shared.is_closing() {
                return Next::Stop;
            }
            if !self.send(job) {
                return Next::Stop;
            }
        }
        if self.running.is_empty() { Next::Stop } else { Next::Finish }
    }

    fn send(&mut self, job: Job) -> bool {
        // Time never goes back in a log, whatever the machine's clock does.
        self.latest_at = self.latest_at.max(now());
        let Job { user_id, method, args, reply } = job;
        let call = Call { user_id, method_name: method, args, at: self.latest_at, nonce: None, sig: None };
        let sent = self.execution.send(self.next_block, &call);
        self.next_block += 1;
        self.running.push_back(Running { call, reply });
        sent.map_err(|error| self.fail(&error)).is_ok()
    }

    fn finish(&mut self) -> Option<Commit> {
        let running = self.running.pop_front()?;
        let finished = self.execution.finish().map_err(|error| self.fail(&error)).ok()?;
        debug!(block = finished.block, fuel = finished.fuel, "call executed");
        let archive = ArchiveLengths { files: self.store.files.length(), blobs: self.store.blobs.length() };
        let answer = answer(&finished);
        let entry = Entry::Call(CallEntry::new(running.call, finished.outcome));
        let entry = entry.encode().map_err(|error| self.fail(&error)).ok()?;
        Some(Commit { entry, archive, reply: running.reply, answer })
    }

    fn fail(&self, error: &dyn std::error::Error) {
        error!(%error, "execution failed; this service stops");
        self.shared.fail(error.to_string());
    }
}

/// What the caller will be told, once it is durable.
fn answer(finished: &Finished) -> Result<Answer, CallError> {
    match &finished.outcome {
        Outcome::Returned { .. } => Ok(Answer { block: finished.block, json: finished.json.clone() }),
        Outcome::Threw(thrown) => Err(CallError::Threw(thrown.clone())),
        Outcome::Fault(fault) => Err(CallError::Stopped(*fault)),
    }
}

/// Milliseconds since 1970. A clock before 1970 counts as 1970.
pub(super) fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(TIME_MAX).min(TIME_MAX)
}

impl Shared {
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}
