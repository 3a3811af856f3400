//! A script's engine at work, and the messages in and out.
//!
//! Start from [`Worker`]. It lives in a locked-down process of its own or, where that is switched off or cannot be
//! had, on a thread of ours: see [`Sandbox`]. Both run the same loop, [`serve`](super::serve::serve),
//! over other channels.

#[cfg(all(target_os = "linux", debug_assertions))]
mod panic;
#[cfg(target_os = "linux")]
mod process;
mod thread;
mod watchdog;

use libvms_protocol::entry::Limits;

#[cfg(all(target_os = "linux", debug_assertions))]
pub use panic::panic_in_calls_of;
#[cfg(target_os = "linux")]
use process::ProcessWorker;
use thread::ThreadWorker;
pub use watchdog::limit_call_time;

use super::error::{STACK_BYTES_MAX, WorkerError};
use super::isolation::Sandbox;
use super::message::{FileReply, Report, Request};

/// A script's engine, at work beside us.
///
/// Dropping it gives up what is in flight. A process is killed at once; a thread ends by itself, at the latest when
/// the call in hand has used up its fuel.
#[derive(Debug)]
pub struct Worker {
    backend: Backend,
}

/// Where the engine lives.
#[derive(Debug)]
enum Backend {
    Thread(ThreadWorker),
    #[cfg(target_os = "linux")]
    Process(Box<ProcessWorker>),
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

    /// As [`Worker::start`], in the backend of the caller's choice.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn start_in(sandbox: Sandbox, limits: Limits) -> Result<Self, WorkerError> {
        if limits.stack > STACK_BYTES_MAX {
            return Err(WorkerError::Stack { asked: limits.stack });
        }
        let backend = match sandbox.available()? {
            #[cfg(target_os = "linux")]
            Sandbox::Process => Backend::Process(Box::new(ProcessWorker::start(limits)?)),
            _ => Backend::Thread(ThreadWorker::start(limits)?),
        };
        Ok(Self { backend })
    }

    /// Asks for something. Several requests may be under way; they are taken in order. Sends without waiting, at the
    /// latest when [`Worker::receive`] is called.
    ///
    /// # Errors
    /// Where the worker has ended.
    pub fn send(&mut self, request: Request) -> Result<(), WorkerError> {
        match &mut self.backend {
            Backend::Thread(worker) => worker.send(request),
            #[cfg(target_os = "linux")]
            Backend::Process(worker) => worker.send(request),
        }
    }

    /// Waits for what the worker says next.
    ///
    /// # Errors
    /// Where the worker has ended, or says what makes no sense.
    pub fn receive(&mut self) -> Result<Report, WorkerError> {
        match &mut self.backend {
            Backend::Thread(worker) => worker.receive(),
            #[cfg(target_os = "linux")]
            Backend::Process(worker) => worker.receive(),
        }
    }

    /// Replies to a [`Report::File`].
    ///
    /// # Errors
    /// Where the worker has ended.
    pub fn answer(&mut self, reply: FileReply) -> Result<(), WorkerError> {
        match &mut self.backend {
            Backend::Thread(worker) => worker.answer(reply),
            #[cfg(target_os = "linux")]
            Backend::Process(worker) => worker.answer(reply),
        }
    }

    /// The id of the worker's process; `None` for a thread.
    pub fn process_id(&self) -> Option<u32> {
        match &self.backend {
            Backend::Thread(_) => None,
            #[cfg(target_os = "linux")]
            Backend::Process(worker) => Some(worker.id()),
        }
    }

    /// Lets a worker process do what only native code could: a test of its lock. It says on the console when it came
    /// through. A thread does nothing of the kind.
    ///
    /// # Errors
    /// Where the worker has ended.
    #[cfg(all(target_os = "linux", debug_assertions))]
    #[doc(hidden)]
    pub fn attempt(&mut self, attempt: super::ipc::EscapeAttempt) -> Result<(), WorkerError> {
        match &mut self.backend {
            Backend::Thread(_) => Ok(()),
            Backend::Process(worker) => worker.attempt(attempt),
        }
    }
}
