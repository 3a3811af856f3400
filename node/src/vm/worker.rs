//! A script's engine at work, and the messages in and out.
//!
//! Start from [`Worker`]. It lives in a locked-down process of its own or, where that is switched off or cannot be
//! had, on a thread of ours: see [`Sandbox`]. Both run the same loop, [`serve`], over other channels.

mod patience;
#[cfg(target_os = "linux")]
mod process;
mod thread;

use std::time::Duration;

use libvms_protocol::entry::Limits;
use thiserror::Error;

pub use patience::limit_call_time;
#[cfg(target_os = "linux")]
use process::ProcessWorker;
use thread::ThreadWorker;
#[cfg(target_os = "linux")]
pub(super) use thread::stack_bytes;

use super::engine::Engine;
use super::message::{FileReply, Report, Request};
use super::sandbox::Sandbox;

/// The largest stack that an engine can be given, in bytes.
pub const STACK_BYTES_MAX: u64 = 192 << 20;

/// A script's engine, at work beside us.
///
/// Dropping it gives up what is in flight. A process is killed at once; a thread ends by itself, at the latest when
/// the call in hand has used up its fuel.
#[derive(Debug)]
pub struct Worker {
    place: Place,
}

/// Where the engine lives.
#[derive(Debug)]
enum Place {
    Thread(ThreadWorker),
    #[cfg(target_os = "linux")]
    Process(Box<ProcessWorker>),
}

/// A worker cannot go on. Never the script's fault, unless it broke out of its engine.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The system gives no thread or no process.
    #[error("cannot start a worker: {0}")]
    Start(#[from] std::io::Error),
    /// [`Sandbox::Process`] was chosen, as it is by default, and cannot be had. Nothing ran.
    #[error("no script runs here, because it would not be confined: {0}")]
    Unconfined(&'static str),
    /// The limits ask for a stack that no worker has.
    #[error("the script's limits ask for a stack of {asked} bytes; a worker has at most {STACK_BYTES_MAX}")]
    Stack {
        /// Bytes.
        asked: u64,
    },
    /// The worker has ended before its work was done.
    #[error("the worker has ended{0}")]
    Ended(Ending),
    /// The request in hand did not end in time, and the process was killed. See [`limit_call_time`].
    #[error("the worker was killed, because a request did not end within {} s", waited.as_secs_f64().round())]
    Overdue {
        /// How long its driver has waited.
        waited: Duration,
    },
    /// The worker process sent what no worker of ours sends, and was killed.
    #[error("the worker sent {0}")]
    Nonsense(&'static str),
}

/// What is known of a worker's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing: it was a thread.
    Unknown,
    /// Its process ended by itself with this code.
    Exited(i32),
    /// It panicked, which is a defect of this program and never the end of a call. What it said is in our log.
    Panicked,
    /// A signal killed its process: 9 is somebody's `kill -9`, 31 the lock-down, 6 and 11 a fault of the engine.
    Killed(i32),
}

impl WorkerError {
    /// Whether only a fault of this program explains it, and neither the script, the machine nor somebody's `kill -9` does.
    pub fn is_bug(&self) -> bool {
        match self {
            Self::Nonsense(_) => true,
            Self::Ended(ending) => *ending != Ending::Killed(libc::SIGKILL),
            Self::Start(_) | Self::Unconfined(_) | Self::Stack { .. } | Self::Overdue { .. } => false,
        }
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => Ok(()),
            Self::Exited(code) => write!(formatter, ": its process exited with code {code}"),
            Self::Panicked => formatter.write_str(": it panicked, which is a defect of this program"),
            Self::Killed(signal) => write!(formatter, ": its process was killed by signal {signal}"),
        }
    }
}

impl WorkerError {
    /// Whether a defect of this program has ended the worker. What it was working on has then no outcome at all.
    pub fn is_defect(&self) -> bool {
        matches!(self, Self::Ended(Ending::Panicked))
    }
}

impl Worker {
    /// Starts a worker where [`Sandbox::current`] says, whose requests may each use as much as `limits` says.
    ///
    /// # Errors
    /// Where the system gives no thread or process, no worker has such a stack, or scripts are to be confined and
    /// cannot be.
    pub fn start(limits: Limits) -> Result<Self, WorkerError> {
        Self::start_in(Sandbox::current(), limits)
    }

    /// As [`Worker::start`], in a place of the caller's choice.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn start_in(sandbox: Sandbox, limits: Limits) -> Result<Self, WorkerError> {
        if limits.stack > STACK_BYTES_MAX {
            return Err(WorkerError::Stack { asked: limits.stack });
        }
        let place = match sandbox.available()? {
            #[cfg(target_os = "linux")]
            Sandbox::Process => Place::Process(Box::new(ProcessWorker::start(limits)?)),
            _ => Place::Thread(ThreadWorker::start(limits)?),
        };
        Ok(Self { place })
    }

    /// Asks for something. Several requests may be under way; they are taken in order. Sends without waiting, at the
    /// latest when [`Worker::receive`] is called.
    ///
    /// # Errors
    /// Where the worker has ended.
    pub fn send(&mut self, request: Request) -> Result<(), WorkerError> {
        match &mut self.place {
            Place::Thread(worker) => worker.send(request),
            #[cfg(target_os = "linux")]
            Place::Process(worker) => worker.send(request),
        }
    }

    /// Waits for what the worker says next.
    ///
    /// # Errors
    /// Where the worker has ended, or says what makes no sense.
    pub fn receive(&mut self) -> Result<Report, WorkerError> {
        match &mut self.place {
            Place::Thread(worker) => worker.receive(),
            #[cfg(target_os = "linux")]
            Place::Process(worker) => worker.receive(),
        }
    }

    /// Replies to a [`Report::File`].
    ///
    /// # Errors
    /// Where the worker has ended.
    pub fn answer(&mut self, reply: FileReply) -> Result<(), WorkerError> {
        match &mut self.place {
            Place::Thread(worker) => worker.answer(reply),
            #[cfg(target_os = "linux")]
            Place::Process(worker) => worker.answer(reply),
        }
    }

    /// The id of the worker's process; `None` for a thread.
    pub fn process_id(&self) -> Option<u32> {
        match &self.place {
            Place::Thread(_) => None,
            #[cfg(target_os = "linux")]
            Place::Process(worker) => Some(worker.id()),
        }
    }

    /// Lets a worker process do what only native code could: a test of its lock. It says on the console when it came
    /// through. A thread does nothing of the kind.
    ///
    /// # Errors
    /// Where the worker has ended.
    #[cfg(all(target_os = "linux", debug_assertions))]
    #[doc(hidden)]
    pub fn attempt(&mut self, attempt: super::sandbox::Attempt) -> Result<(), WorkerError> {
        match &mut self.place {
            Place::Thread(_) => Ok(()),
            Place::Process(worker) => worker.attempt(attempt),
        }
    }
}

/// Takes requests until there are no more, or nobody wants to know.
pub(super) fn serve(
    engine: &Engine,
    requests: impl IntoIterator<Item = Request>,
    mut report: impl FnMut(Report) -> bool,
) {
    for request in requests {
        let result = match request {
            Request::Load(load) => Report::Loaded(engine.load(&load)),
            Request::Call(call) => Report::Done(engine.call(&call)),
        };
        if !report(result) {
            return;
        }
    }
}
