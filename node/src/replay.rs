//! Replay of a log: executes it again, entry by entry, and judges it.
//!
//! [`Replay`] takes the blocks of a log in order. It stops at the first block that an honest host would not
//! have written, or that it cannot verify ([`ReplayError`]). A host replays its own log when it starts, and goes
//! on from there; an auditor replays the log of another host.

mod ahead;

use std::collections::VecDeque;

use libvms_engine::{Api, EngineSettings, WorkerError};
use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::PublicKey;
use libvms_protocol::audit::callers::SignedCalls;
use libvms_protocol::audit::{self, Finding, Order, Violation};
use libvms_protocol::entry::{
    Auth, CallEntry, Effect, Entry, EntryError, Epoch, Fault, FilesChange, Init, Limits, Outcome,
};
use thiserror::Error;

use ahead::{Ahead, EntryReader, ReadBlock};

use crate::archive::{Archive, ArchiveStore};
use crate::execution::{CALLS_IN_FLIGHT, Execution, ExecutionError, LoadError, Script};

/// The replay of a log.
#[derive(Debug)]
pub struct Replay<S> {
    log: PublicKey,
    settings: AuditOptions,
    order: Order,
    next_block: BlockIndex,
    script: Option<Init>,
    state: State<S>,
    awaited: VecDeque<Awaited>,
    counts: Counts,
}

/// A call that is executed again, and what the log says of its end.
#[derive(Debug)]
struct Awaited {
    block: BlockIndex,
    outcome: Outcome,
    effects: Vec<Effect>,
}

/// What a replay leaves: the script in the state after the log, and what signed calls are judged by, where callers sign.
pub type ReplayParts<S> = (Execution<S>, Option<SignedCalls>);

/// The options of an audit.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// The highest limits that a log may set.
    pub limits_max: Limits,
    /// Where the log's script runs.
    pub engine: EngineSettings,
}

/// The numbers of calls in a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls, `init` among them.
    pub calls: u64,
    /// Calls that the host's clock stopped, which no replay can verify. They have no effect.
    pub killed: u64,
}

/// Why a replay stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The host deviated.
    #[error("block {}: {}", .0.block, .0.violation)]
    Diverged(Finding),
    /// The log cannot be verified beyond this block.
    #[error("block {block}: {why}")]
    Unverifiable {
        /// The first block that cannot be verified.
        block: BlockIndex,
        /// The reason.
        why: String,
    },
    /// A call, or loading the script, did not end here in time. Another machine may be faster, or the host has logged
    /// a call that never ends: the clock cannot tell which.
    #[error("block {block}: {error}")]
    TimedOut {
        /// The block of the call.
        block: BlockIndex,
        /// How the execution was ended.
        error: WorkerError,
    },
    /// The replay itself failed.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

#[derive(Debug)]
enum State<S> {
    /// Before block 0: the archive has its store, but its keys are not known yet.
    Start(S),
    Running(Box<Execution<S>>),
    /// After the replay has stopped.
    Over,
}

impl Default for AuditOptions {
    /// Returns options whose limits are far above a log's defaults and far below the machine's resources.
    fn default() -> Self {
        let limits_max = Limits {
            fuel: 60_000,
            memory: 1 << 30,
            stack: 64 << 20,
            output: 256 << 20,
            load: None,
            call_age: None,
        };
        Self { limits_max: limits_max.with_load(), engine: EngineSettings::default() }
    }
}

impl<S: ArchiveStore> Replay<S> {
    /// Begins a replay of `log` from its first block. `store` takes the writes of the calls.
    pub fn new(log: PublicKey, store: S, settings: AuditOptions) -> Self {
        Self {
            log,
            settings,
            order: Order::default(),
            next_block: BlockIndex::FIRST,
            script: None,
            state: State::Start(store),
            awaited: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Takes the next block. Calls run asynchronously: their verdict may come with a later block, or with
    /// [`Replay::settle`].
    ///
    /// # Errors
    /// At the first block that stops the replay. Nothing can be pushed after it.
    pub fn push(&mut self, block: &[u8]) -> Result<(), ReplayError> {
        self.push_read(self.read(block.to_vec()))
    }

    /// Takes all of `blocks` in order, and waits for all calls. Signatures are checked on all cores, ahead of the replay.
    /// Calls `progress` after each block.
    ///
    /// # Errors
    /// The error of `blocks`, or (within) the first block that stops the replay, as [`Replay::push`]: whichever comes first.
    pub fn push_all<E>(
        &mut self,
        mut blocks: impl Iterator<Item = Result<Vec<u8>, E>>,
        progress: &mut dyn FnMut(),
    ) -> Result<Result<(), ReplayError>, E> {
        // Block 0 tells how the others are read.
        if self.script.is_none()
            && let Some(block) = blocks.next()
        {
            if let Err(stop) = self.push(&block?) {
                return Ok(Err(stop));
            }
            progress();
        }
        let signed = self.reader().filter(|reader| reader.auth() == Auth::Signed);
        match signed {
            Some(reader) => self.push_each(Ahead::new(blocks, reader), |_, read| read, progress),
            None => self.push_each(blocks, |replay, block| replay.read(block), progress),
        }
    }

    fn push_each<T, E>(
        &mut self,
        blocks: impl Iterator<Item = Result<T, E>>,
        read: fn(&Self, T) -> ReadBlock,
        progress: &mut dyn FnMut(),
    ) -> Result<Result<(), ReplayError>, E> {
        for block in blocks {
            let read = read(self, block?);
            if let Err(stop) = self.push_read(read) {
                return Ok(Err(stop));
            }
            progress();
        }
        Ok(self.settle())
    }

    fn reader(&self) -> Option<EntryReader> {
        self.script.as_ref().map(|init| EntryReader::new(self.log, init))
    }

    fn read(&self, bytes: Vec<u8>) -> ReadBlock {
        match self.reader() {
            Some(reader) => reader.read(bytes),
            None => ReadBlock { entry: Entry::decode(&bytes), bytes, signature: Ok(()) },
        }
    }

    fn push_read(&mut self, read: ReadBlock) -> Result<(), ReplayError> {
        let number = self.next_block;
        self.next_block += 1;
        let taken = self.take(number, read);
        if taken.is_err() {
            // Settle earlier calls first: the first deviation counts.
            self.settle()?;
            self.state = State::Over;
        }
        taken
    }

    /// Waits for all calls that were pushed.
    ///
    /// # Errors
    /// As [`Replay::push`].
    pub fn settle(&mut self) -> Result<(), ReplayError> {
        while !self.awaited.is_empty() {
            self.judge_oldest()?;
        }
        Ok(())
    }

    /// Returns the numbers of calls so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the number of the next block.
    pub fn next_block(&self) -> BlockIndex {
        self.next_block
    }

    /// Returns the latest time in the log, in milliseconds since 1970.
    pub fn latest_at(&self) -> u64 {
        self.order.latest_at()
    }

    /// Returns block 0's content, once block 0 has been pushed.
    pub fn init(&self) -> Option<&Init> {
        self.script.as_ref()
    }

    /// Returns the archive as the settled calls have left it.
    pub fn archive(&self) -> Option<&Archive<S>> {
        match &self.state {
            State::Running(execution) => Some(execution.archive()),
            _ => None,
        }
    }

    /// Returns the script in the state after the whole log, to go on from there, and what signed calls are judged by, where
    /// callers sign.
    ///
    /// # Errors
    /// As [`Replay::push`]. `None` if there was no block.
    pub fn into_parts(mut self) -> Result<Option<ReplayParts<S>>, ReplayError> {
        self.settle()?;
        match self.state {
            State::Running(execution) => Ok(Some((*execution, self.order.into_signed_calls()))),
            _ => Ok(None),
        }
    }

    fn take(&mut self, number: BlockIndex, read: ReadBlock) -> Result<(), ReplayError> {
        let ReadBlock { bytes, entry, signature } = read;
        // A user who named an archive, or any other core, by mistake must not get the report of a deviation.
        if number == BlockIndex::FIRST && !Entry::is_named(&bytes) {
            return Err(cannot_verify(
                BlockIndex::FIRST,
                "its first block is no entry: this core is no call log",
            ));
        }
        let entry = entry.map_err(|error| error_from_entry(number, error))?;
        signature.map_err(|violation| diverges(number, violation))?;
        self.order.next(&entry, &bytes).map_err(|violation| diverges(number, violation))?;
        match entry {
            Entry::Init(init) => self.deploy(init),
            Entry::Call(entry) => self.call(number, entry),
            Entry::Epoch(epoch) => self.epoch(number, &epoch),
            Entry::Upgrade(_) => {
                Err(cannot_verify(number, "this version cannot check who may upgrade a script"))
            }
        }
    }

    fn deploy(&mut self, init: Init) -> Result<(), ReplayError> {
        self.check_means(&init)?;
        let State::Start(store) = std::mem::replace(&mut self.state, State::Over) else {
            unreachable!("the order of entries admits init at block 0 only");
        };
        let archive =
            Archive::create(store, &init.title, init.files, init.blobs).map_err(ExecutionError::from)?;
        self.load(BlockIndex::FIRST, &init, archive)?;
        self.script = Some(init);
        Ok(())
    }

    /// Checks that this program can judge the log: the same engine, and sufficient limits.
    fn check_means(&self, init: &Init) -> Result<(), ReplayError> {
        // Check the engine first: with another engine, no later finding counts against the host.
        if Api::of(&init.engine).is_none() {
            let differences = init.engine.differences(&libvms_engine::identity()).unwrap_or_default();
            let why = format!("the log was made with another engine than this program has: {differences}");
            return Err(cannot_verify(BlockIndex::FIRST, why));
        }
        match exceeding(&init.limits, &self.settings.limits_max) {
            Some((what, asked, granted)) => Err(cannot_verify(
                BlockIndex::FIRST,
                format!("the log asks for {what} {asked}, more than the {granted} that this auditor grants"),
            )),
            None => Ok(()),
        }
    }

    fn load(&mut self, block: BlockIndex, init: &Init, archive: Archive<S>) -> Result<(), ReplayError> {
        let limits = init.limits;
        let api = Api::of(&init.engine).expect("the means were checked");
        let at = self.order.latest_at();
        let Init { v: format, code, module, oracles, effects, .. } = init;
        let (format, module) = (*format, *module);
        let script = Script { format, api, code, module, limits, oracles, effects, at };
        match Execution::load(self.log, block, script, archive, &self.settings.engine) {
            Ok(execution) => {
                self.order.script_has_init(execution.has_init());
                self.state = State::Running(Box::new(execution));
                Ok(())
            }
            Err(LoadError::Execution(error)) => Err(error_from_execution(block, error)),
            Err(error @ LoadError::Script(_)) => {
                Err(diverges(block, Violation::Unloadable { why: error.to_string() }))
            }
        }
    }

    fn call(&mut self, number: BlockIndex, entry: CallEntry) -> Result<(), ReplayError> {
        let outcome = entry.result.outcome().map_err(|error| malformed(number, error))?;
        self.counts.calls += 1;
        if outcome == Outcome::Fault(Fault::Killed) {
            self.counts.killed += 1;
            return Ok(());
        }
        self.execute(number, &entry)?;
        self.awaited.push_back(Awaited { block: number, outcome, effects: entry.effects });
        if self.awaited.len() >= CALLS_IN_FLIGHT {
            self.judge_oldest()?;
        }
        Ok(())
    }

    fn execute(&mut self, number: BlockIndex, entry: &CallEntry) -> Result<(), ReplayError> {
        match &mut self.state {
            State::Running(execution) => Ok(execution.send_again(number, entry)?),
            _ => Err(cannot_verify(number, "an earlier block stopped this replay")),
        }
    }

    fn judge_oldest(&mut self) -> Result<(), ReplayError> {
        let (State::Running(execution), Some(Awaited { block, outcome: logged, effects })) =
            (&mut self.state, self.awaited.pop_front())
        else {
            return Ok(());
        };
        let finished = match execution.finish() {
            Ok(finished) => finished,
            Err(error) => {
                // The outcomes of the calls behind it are meaningless now.
                self.awaited.clear();
                self.state = State::Over;
                return Err(error_from_execution(block, error));
            }
        };
        let same = audit::compare(&logged, &finished.outcome);
        same.and_then(|()| audit::compare_effects(&effects, &finished.effects)).map_err(|violation| {
            self.awaited.clear();
            self.state = State::Over;
            diverges(block, violation)
        })
    }

    fn epoch(&mut self, number: BlockIndex, epoch: &Epoch) -> Result<(), ReplayError> {
        self.settle()?;
        let (Some(init), State::Running(execution)) =
            (self.script.clone(), std::mem::replace(&mut self.state, State::Over))
        else {
            return Err(cannot_verify(number, "an earlier block stopped this replay"));
        };
        let archive = execution.into_archive();
        let head = archive.head();
        if head != epoch.files {
            let [logged, replayed] = [epoch.files, head].map(|head| FilesChange { head, from: None });
            let mismatch = audit::compare_files(Some(&logged), Some(&replayed));
            return Err(diverges(number, Violation::WrongFiles(mismatch)));
        }
        self.load(number, &init, archive)
    }
}

/// Returns the first limit that exceeds the granted one: its name, the value asked for, the value granted.
fn exceeding(asked: &Limits, granted: &Limits) -> Option<(&'static str, u64, u64)> {
    let limits = [
        ("fuel", asked.fuel, granted.fuel),
        ("memory", asked.memory, granted.memory),
        ("stack", asked.stack, granted.stack),
        ("output", asked.output, granted.output),
        ("fuel for loading", asked.load_fuel(), granted.load_fuel()),
    ];
    limits.into_iter().find(|(_, asked, granted)| asked > granted)
}

fn error_from_execution(block: BlockIndex, error: ExecutionError) -> ReplayError {
    match error {
        ExecutionError::Worker(error @ WorkerError::Overdue { .. }) => ReplayError::TimedOut { block, error },
        ExecutionError::Deviation(violation) => diverges(block, violation),
        error => ReplayError::Execution(error),
    }
}

fn error_from_entry(block: BlockIndex, error: EntryError) -> ReplayError {
    match error {
        EntryError::Unknown { .. } => cannot_verify(block, error),
        EntryError::Malformed { .. } | EntryError::TooLarge { .. } => malformed(block, error),
    }
}

fn malformed(block: BlockIndex, why: impl ToString) -> ReplayError {
    diverges(block, Violation::MalformedEntry { why: why.to_string() })
}

fn diverges(block: BlockIndex, violation: Violation) -> ReplayError {
    ReplayError::Diverged(Finding { block, violation })
}

fn cannot_verify(block: BlockIndex, why: impl ToString) -> ReplayError {
    ReplayError::Unverifiable { block, why: why.to_string() }
}
