//! A script's engine at work, and the messages in and out.
//!
//! Start from [`Worker`]. It runs in a locked-down process of its own or, if that is switched off,
//! on a thread of this process: see [`Sandbox`]. Both run the same loop, [`serve`](super::serve::serve),
//! over other channels.

#[cfg(all(target_os = "linux", debug_assertions, feature = "test-support"))]
mod panic;
#[cfg(target_os = "linux")]
mod process;
mod thread;
mod watchdog;

use libvms_protocol::entry::Limits;

#[cfg(all(target_os = "linux", debug_assertions, feature = "test-support"))]
pub use panic::panic_in_calls_of;
#[cfg(target_os = "linux")]
use process::ProcessWorker;
use thread::ThreadWorker;

use super::error::{STACK_BYTES_MAX, WorkerError};
use super::identity::Api;
use super::isolation::EngineSettings;
#[cfg(target_os = "linux")]
use super::isolation::Sandbox;
use super::message::{FileReply, Report, Request, WorldReply};

/// A script's engine, running beside the driver.
///
/// Dropping it gives up the requests in flight. A process is killed at once; a thread ends by itself, at the latest when
/// the running call has used up its fuel.
#[derive(Debug)]
pub struct Worker {
    backend: Backend,
}

/// Where the engine runs.
#[derive(Debug)]
enum Backend {
    Thread(ThreadWorker),
    #[cfg(target_os = "linux")]
    Process(Box<ProcessWorker>),
}

impl Worker {
    /// Starts a worker for a new service with these settings; each of its requests may use as much as `limits` says.
    ///
    /// # Errors
    /// When the system starts no thread or process, no worker has such a stack, or scripts must be confined and
    /// cannot be.
    pub fn start(limits: Limits, settings: &EngineSettings) -> Result<Self, WorkerError> {
        Self::start_as(Api::LATEST, limits, settings)
    }

    /// Does the same for the script of a log with this version of the engine.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn start_as(api: Api, limits: Limits, settings: &EngineSettings) -> Result<Self, WorkerError> {
        if limits.stack > STACK_BYTES_MAX {
            return Err(WorkerError::Stack { asked: limits.stack });
        }
        settings.check()?;
        #[cfg(target_os = "linux")]
        if let (Sandbox::Process, Some(program)) = (settings.sandbox, settings.program()) {
            let worker = ProcessWorker::start(api, limits, program, settings.call_time_max)?;
            return Ok(Self { backend: Backend::Process(Box::new(worker)) });
        }
        Ok(Self { backend: Backend::Thread(ThreadWorker::start(api, limits)?) })
    }

    /// Sends a request. Several requests may be in flight; the worker processes them in order. Sends without waiting, at the
    /// latest when [`Worker::receive`] is called.
    ///
    /// # Errors
    /// When the worker has ended.
    pub fn send(&mut self, request: Request) -> Result<(), WorkerError> {
        match &mut self.backend {
            Backend::Thread(worker) => worker.send(request),
            #[cfg(target_os = "linux")]
            Backend::Process(worker) => worker.send(request),
        }
    }

    /// Waits for the worker's next report.
    ///
    /// # Errors
    /// When the worker has ended, or breaks the protocol.
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
    /// When the worker has ended.
    pub fn answer(&mut self, reply: FileReply) -> Result<(), WorkerError> {
        match &mut self.backend {
            Backend::Thread(worker) => worker.answer(reply),
            #[cfg(target_os = "linux")]
            Backend::Process(worker) => worker.answer(reply),
        }
    }

    /// Replies to a [`Report::World`].
    ///
    /// # Errors
    /// When the worker has ended.
    pub fn answer_world(&mut self, reply: WorldReply) -> Result<(), WorkerError> {
        match &mut self.backend {
            Backend::Thread(worker) => worker.answer_world(reply),
            #[cfg(target_os = "linux")]
            Backend::Process(worker) => worker.answer_world(reply),
        }
    }

    /// Returns the id of the worker's process; `None` for a thread.
    pub fn process_id(&self) -> Option<u32> {
        match &self.backend {
            Backend::Thread(_) => None,
            #[cfg(target_os = "linux")]
            Backend::Process(worker) => Some(worker.id()),
        }
    }

    /// Makes a worker process do something that only native code could: a test of its lock. The worker writes a line to the
    /// console if it succeeded. A thread ignores it.
    ///
    /// # Errors
    /// When the worker has ended.
    #[cfg(all(target_os = "linux", debug_assertions, feature = "test-support"))]
    pub fn attempt(&mut self, attempt: super::ipc::EscapeAttempt) -> Result<(), WorkerError> {
        match &mut self.backend {
            Backend::Thread(_) => Ok(()),
            Backend::Process(worker) => worker.attempt(attempt),
        }
    }
}
