//! The thread that owns the script: executes calls in the order of their arrival.
//!
//! A worker may die: the system killed it, or a call did. The executor then rebuilds the heap from the durable
//! log, in a new worker, and repeats the calls that were in flight, now one at a time. A call in which a worker
//! dies again, or that does not end in time, is at fault: it is logged as `killed`, which every replay skips,
//! and the heap is rebuilt without it. So no call is lost for the fault of another one. The cost of all that is
//! bounded: see [`super::quarantine`].
//!
//! A worker that panics has met a defect of this program, which must not become the outcome of a call: such a call is
//! refused, with the same quarantine, and leaves no entry.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use libvms_engine::{EngineSettings, WorkerError};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_protocol::audit::callers::SignedCalls;
use libvms_protocol::entry::{Authorization, Call, Entry, Fault, Init, Limits, Outcome};
use libvms_protocol::refusal::Reason;
use libvms_protocol::value::Value;
use tracing::{debug, error, warn};

use super::callers::quota::Paid;
use super::callers::refusal::Refused;
use super::callers::turns::Turns;
use super::clock::LogClock;
use super::committer::{ArchiveLengths, Commit, PendingCommit, Recall};
use super::error::OpenError;
use super::limit;
use super::open;
use super::queued::{QueuedCall, Replies, refuse};
use super::store::HostStore;
use super::{CallError, CallRequest, CallResponse, Shared};
use crate::diagnostics::{Diagnostics, Operator};
use crate::execution::{CALLS_IN_FLIGHT, ExecutedCall, Execution, ExecutionError, Used};
use crate::oracle::Runner;
use crate::replay::ReplayError;

/// How often the heap is rebuilt after one death of a worker, when the new worker dies as well.
const REBUILDS_MAX: u32 = 3;
/// How often the executor checks whether the committer is done, while waiting for it.
const COMMITTED_POLL: Duration = Duration::from_millis(1);

/// The source to rebuild the heap from after a worker's death.
pub(super) struct Source {
    pub(super) directory: PathBuf,
    pub(super) store: HostStore,
    pub(super) engine: EngineSettings,
    pub(super) operator: Arc<Operator>,
    pub(super) oracles: Option<Arc<Runner>>,
}

impl Source {
    fn rebuild(&self) -> Result<Execution<HostStore>, OpenError> {
        let mut rebuilt = open::rebuild(&self.directory, &self.store, &self.engine)?;
        self.connect(&mut rebuilt);
        Ok(rebuilt)
    }

    /// Lets a script that has caught up with its log say things to its operator, and ask the oracles.
    fn connect(&self, execution: &mut Execution<HostStore>) {
        execution.tell(self.operator.clone());
        execution.connect(self.oracles.clone());
    }
}

/// The executor's state: the script, its position in the log, and the calls in flight.
pub(super) struct Executor {
    source: Source,
    execution: Execution<HostStore>,
    shared: Arc<Shared>,
    limits: Limits,
    /// Whether calls may wait for oracles.
    has_oracles: bool,
    next_block: BlockIndex,
    clock: LogClock,
    /// What signed calls are judged by, up to the last executed entry; `None` where callers do not sign.
    signed: Option<SignedCalls>,
    in_flight: VecDeque<InFlightCall>,
    /// Number of calls at the front of `in_flight` that are re-run one at a time because a worker died while they were in
    /// flight.
    suspects: usize,
}

struct InFlightCall {
    call: Call,
    /// The key's part of a signed call.
    by: Option<Box<Authorization>>,
    replies: Replies,
    paid: Option<Paid>,
}

/// What the executor begins with.
pub(super) struct Beginning {
    pub(super) next_block: BlockIndex,
    pub(super) latest_at: u64,
    pub(super) signed: Option<SignedCalls>,
}

/// The consequence of a worker's death.
enum Recovery {
    /// All calls are in flight again.
    Again,
    /// The oldest call has killed the worker; this outcome will be logged.
    Killed(Box<ExecutedCall>),
    /// The oldest call has met a defect of this program, and was refused.
    Refused,
}

/// What becomes of a call whose turn it is.
enum Judged {
    Execute(Box<QueuedCall>),
    /// The log has an entry for it: those who wait get that one's answer.
    Recall(Recall),
    /// Those who wait have been told, or wait for another call now.
    Refused,
}

/// Whether to go on.
enum Next {
    Finish,
    Stop,
}

impl Executor {
    pub(super) fn new(
        source: Source,
        mut execution: Execution<HostStore>,
        shared: Arc<Shared>,
        init: &Init,
        Beginning { next_block, latest_at, signed }: Beginning,
    ) -> Self {
        source.connect(&mut execution);
        Self {
            source,
            execution,
            shared,
            limits: init.limits,
            has_oracles: !init.oracles.is_empty(),
            next_block,
            clock: LogClock::new(latest_at),
            signed,
            in_flight: VecDeque::new(),
            suspects: 0,
        }
    }

    /// Runs until no more calls can arrive, or the VM is closing: then only the running call is finished.
    pub(super) fn run(mut self, turns: &Turns, commits: &SyncSender<Commit>) {
        while let Next::Finish = self.fill(turns, commits) {
            let Some(commit) = self.finish() else { return };
            if let Some(commit) = commit
                && commits.send(Commit::Append(commit)).is_err()
            {
                return; // The committer has reported why.
            }
            if self.shared.is_closing() {
                return;
            }
        }
    }

    /// Sends queued calls to the worker in advance, and waits for a call when none is in flight.
    fn fill(&mut self, turns: &Turns, commits: &SyncSender<Commit>) -> Next {
        while self.suspects == 0 && self.in_flight.len() < self.in_flight_max() {
            let call = match turns.take() {
                Some(call) => call,
                None if self.in_flight.is_empty() => match turns.wait() {
                    Some(call) => call,
                    None => return Next::Stop,
                },
                None => break,
            };
            if self.shared.is_closing() {
                return Next::Stop;
            }
            let goes_on = match self.judge(call) {
                Judged::Refused => true,
                Judged::Execute(call) => self.send(*call),
                Judged::Recall(recall) => commits.send(Commit::Recall(recall)).is_ok(),
            };
            if !goes_on {
                return Next::Stop;
            }
        }
        if self.in_flight.is_empty() { Next::Stop } else { Next::Finish }
    }

    /// Decides about a call whose turn it is, now that its block and its time are known.
    fn judge(&mut self, call: Box<QueuedCall>) -> Judged {
        if let Err(refused) = self.shared.check_quarantine(&call.request.method) {
            call.refuse(&refused);
            return Judged::Refused;
        }
        let (Some(signed), Some(by)) = (&self.signed, call.request.caller.authorization()) else {
            return Judged::Execute(call);
        };
        if let Some(block) = signed.find(by) {
            return Judged::Recall(Recall { block, call });
        }
        let at = self.clock.next();
        let checked = signed.check(self.next_block, at, by);
        let Some(call) = self.join_in_flight(call) else { return Judged::Refused };
        match checked {
            Ok(()) => Judged::Execute(call),
            Err(violation) => {
                let refused = Refused::from_violation(
                    &violation,
                    Length(self.shared.log_length.load(Ordering::Acquire)),
                );
                call.refuse(&CallError::Refused(Refused { now: Some(at), ..refused }));
                Judged::Refused
            }
        }
    }

    /// Joins a call to the one in flight that it repeats. Returns it if there is none, and none that forbids it.
    fn join_in_flight(&mut self, call: Box<QueuedCall>) -> Option<Box<QueuedCall>> {
        let Some(by) = call.request.caller.authorization() else { return Some(call) };
        let of_key =
            |running: &&mut InFlightCall| running.by.as_ref().is_some_and(|other| other.key == by.key);
        let mut greater = false;
        for running in self.in_flight.iter_mut().filter(|running| of_key(running)) {
            let Some(other) = &running.by else { continue };
            if by.numbers().any(|number| other.numbers().any(|theirs| theirs == number)) {
                if call.request.is_other_with_same_nonce(running.call.nonce, running.call.sig) {
                    call.refuse(&CallError::Refused(Refused::new(Reason::RepeatedNonce)));
                } else {
                    running.replies.extend(call.replies);
                }
                return None;
            }
            greater |= other.nonce >= by.nonce;
        }
        if greater {
            call.refuse(&CallError::Refused(Refused::new(Reason::RepeatedNonce)));
            return None;
        }
        Some(call)
    }

    /// Returns how many calls may be in flight: one while there is a debt of quiet time, so that the call at fault for a
    /// death is known; and one where calls may wait for oracles, so that those behind are not executed at the time at which
    /// the wait began.
    fn in_flight_max(&self) -> usize {
        if !self.has_oracles && self.shared.quarantine().is_clear(Instant::now()) {
            CALLS_IN_FLIGHT
        } else {
            1
        }
    }

    fn send(&mut self, call: QueuedCall) -> bool {
        let at = self.clock.next();
        self.clock.advance(at);
        self.shared.latest_at.store(at, Ordering::Release);
        let QueuedCall { request: CallRequest { caller, method, args, origin, .. }, replies, argument_bytes } =
            call;
        let by = caller.authorization().cloned().map(Box::new);
        let key = by.as_ref().map(|by| by.key);
        let paid = self.shared.quotas.paid(origin.address, key, argument_bytes);
        let call = Call::new(caller, method, args, at);
        let sent = self.execution.send(self.next_block, &call);
        self.next_block += 1;
        self.in_flight.push_back(InFlightCall { call, by, replies, paid });
        sent.map_err(|error| self.fail(&error, error.is_bug())).is_ok()
    }

    /// Waits for the end of the oldest call. Returns nothing to commit when the call was refused, and `None` when the
    /// service has failed.
    fn finish(&mut self) -> Option<Option<PendingCommit>> {
        let finished = loop {
            let begun = Instant::now();
            match self.execution.finish() {
                Ok(finished) => break finished,
                Err(ExecutionError::Worker(ended)) => match self.recover(&ended, begun)? {
                    Recovery::Again => {}
                    Recovery::Killed(killed) => break *killed,
                    Recovery::Refused => return Some(None),
                },
                Err(error) => return self.failed(&error, error.is_bug()),
            }
        };
        debug!(block = finished.block.0, fuel = finished.fuel, "call executed");
        let running = self.in_flight.pop_front()?;
        if self.suspects > 0 {
            self.suspects -= 1;
            self.send_suspect()?;
        }
        self.commit(running, &finished).map(Some)
    }

    fn commit(&mut self, running: InFlightCall, finished: &ExecutedCall) -> Option<PendingCommit> {
        let archive = ArchiveLengths {
            files: self.source.store.files.length(),
            blobs: self.source.store.blobs.length(),
        };
        let answer = self.answer(finished);
        let at = running.call.at;
        let entry = Entry::Call(finished.entry(running.call));
        let entry = entry.encode().map_err(|error| self.fail(&error, true)).ok()?;
        if let Some(paid) = running.paid {
            self.shared.quotas.settle(Instant::now(), paid, entry.len() as u64);
        }
        if let Some(signed) = &mut self.signed {
            if let Some(by) = &running.by {
                signed.record(finished.block, at, by);
            }
            signed.append(&entry);
        }
        Some(PendingCommit { block: finished.block, entry, archive, replies: running.replies, answer })
    }

    /// Resumes with a new worker, without the oldest call if that call killed the old worker. Returns `None` when the
    /// service has failed. `begun` is the time at which waiting for the oldest call began.
    fn recover(&mut self, ended: &WorkerError, begun: Instant) -> Option<Recovery> {
        let block = self.next_block.saturating_sub(self.in_flight.len() as u64);
        warn!(%ended, %block, "a worker died; the heap is built again");
        let is_at_fault = self.is_at_fault(ended);
        self.wait_for_commits(block.length_before())?;
        self.execution = self.rebuild()?;
        self.shared.quarantine().add_cost(Instant::now(), begun.elapsed());
        self.suspects = self.in_flight.len();
        if !is_at_fault {
            self.send_suspect()?;
            return Some(Recovery::Again);
        }
        self.isolate()?;
        if ended.is_defect() {
            return self.refuse(block);
        }
        let time = match ended {
            WorkerError::Overdue { waited } => Some(*waited),
            _ => None,
        };
        let (outcome, used) = (Outcome::Fault(Fault::Killed), Used { time, ..Used::default() });
        let (oracles, effects) = (vec![], vec![]);
        let killed = ExecutedCall { block, outcome, oracles, effects, fuel: 0, used, stack: None };
        Some(Recovery::Killed(Box::new(killed)))
    }

    /// Refuses the oldest call. The calls behind it move up: no block of the log stays empty.
    fn refuse(&mut self, block: BlockIndex) -> Option<Recovery> {
        let refused = self.in_flight.pop_front()?;
        let method = &refused.call.method_name;
        error!(%block, ?method, "a call has met a defect of this program: it is refused, and not logged");
        self.next_block = self.next_block.saturating_sub(1);
        self.suspects = self.in_flight.len();
        refuse(refused.replies, &CallError::Defect);
        self.send_suspect()?;
        Some(Recovery::Refused)
    }

    /// Returns whether the oldest call killed the worker: it timed out, or it ran alone and another worker had died
    /// recently. A single death may be coincidence.
    fn is_at_fault(&self, ended: &WorkerError) -> bool {
        let is_known = self.suspects > 0 || !self.shared.quarantine().is_clear(Instant::now());
        matches!(ended, WorkerError::Overdue { .. }) || is_known
    }

    /// Quarantines the method of the oldest call, and refuses the other calls of this method that were in flight.
    fn isolate(&mut self) -> Option<()> {
        let killed = self.in_flight.pop_front()?;
        let method = &killed.call.method_name;
        self.shared.quarantine().isolate(method);
        warn!(?method, "this method is quarantined: a call of it had to be killed");
        let mut others = VecDeque::new();
        for running in self.in_flight.drain(..) {
            match self.shared.check_quarantine(&running.call.method_name) {
                Ok(()) => others.push_back(running),
                Err(refused) => {
                    // The calls behind it move up: no block of the log stays empty.
                    self.next_block = self.next_block.saturating_sub(1);
                    refuse(running.replies, &refused);
                }
            }
        }
        self.in_flight = others;
        self.in_flight.push_front(killed);
        self.suspects = self.in_flight.len();
        Some(())
    }

    /// Rebuilds the heap; returns `None` when that failed. The calls of the log have been executed before, so a worker that
    /// dies of them is coincidence, but only up to [`REBUILDS_MAX`] times.
    fn rebuild(&self) -> Option<Execution<HostStore>> {
        for _ in 1..REBUILDS_MAX {
            match self.source.rebuild() {
                Ok(execution) => return Some(execution),
                Err(OpenError::SelfCheck { stop: stop @ ReplayError::TimedOut { .. }, .. }) => {
                    warn!(%stop, "a worker died while the heap was built");
                }
                Err(OpenError::SelfCheck {
                    stop: ReplayError::Execution(ExecutionError::Worker(ended)),
                    ..
                }) => {
                    warn!(%ended, "a worker died while the heap was built");
                }
                Err(error) => return self.failed(&error, error.is_bug()),
            }
        }
        let rebuilt = self.source.rebuild();
        rebuilt.map_err(|error| self.fail(&error, error.is_bug())).ok()
    }

    /// Waits until the log has `length` durable entries and the archive all their writes.
    fn wait_for_commits(&self, length: Length) -> Option<()> {
        while self.shared.log_length.load(Ordering::Acquire) < length.0 || !self.source.store.is_published() {
            if self.shared.failure.borrow().is_some() {
                return None; // The committer has reported why.
            }
            thread::sleep(COMMITTED_POLL);
        }
        Some(())
    }

    /// Sends only the first suspect, if there is one.
    fn send_suspect(&mut self) -> Option<()> {
        let block = self.next_block.saturating_sub(self.in_flight.len() as u64);
        let Some(suspect) = self.in_flight.front().filter(|_| self.suspects > 0) else { return Some(()) };
        match self.execution.send(block, &suspect.call) {
            Ok(()) => Some(()),
            Err(error) => self.failed(&error, error.is_bug()),
        }
    }

    /// Returns the caller's answer, to be sent once the call is durable: the outcome of the entry, because a caller that
    /// checks its answer against the log must find the same value there. Two things are added: details of a fault, for which
    /// the log has only a name, and the stack of an error, when the operator shows stacks.
    fn answer(&self, finished: &ExecutedCall) -> Result<CallResponse, CallError> {
        match &finished.outcome {
            Outcome::Returned { value, .. } => {
                Ok(CallResponse { block: finished.block, json: value.as_ref().map(Value::to_json) })
            }
            Outcome::Threw(thrown) => {
                let Diagnostics { file, show_stacks } = self.source.operator.diagnostics();
                let stack = finished.stack.as_ref().filter(|_| *show_stacks).map(|stack| stack.named(file));
                Err(CallError::Threw { thrown: thrown.clone(), stack })
            }
            Outcome::Fault(fault) => {
                let why = limit::why(*fault, finished, &self.limits);
                Err(CallError::Stopped { fault: *fault, why })
            }
        }
    }

    fn failed<T>(&self, error: &dyn std::error::Error, is_bug: bool) -> Option<T> {
        self.fail(error, is_bug);
        None
    }

    fn fail(&self, error: &dyn std::error::Error, is_bug: bool) {
        error!(%error, "execution failed; this service stops");
        self.shared.fail(error.to_string(), is_bug);
    }
}

impl Shared {
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}
