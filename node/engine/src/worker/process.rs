//! A script's engine in a process of its own: the driver's side.
//!
//! Messages from the process are hostile: native code that breaks out of the engine can write anything into the socket.
//! Frames are bounded, an undecodable message ends the worker, and the end of a worker is an error of its driver
//! and nothing more. The driver never blocks on a write alone: requests wait in memory while the process is busy
//! sending, or both would wait for each other. And it does not wait for ever: see [`Watchdog`].

use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::Once;
use std::time::{Duration, Instant};

use libvms_protocol::entry::Limits;
use tracing::{debug, error, warn};

use super::watchdog::Watchdog;
use crate::error::{ExitReason, WorkerError};
use crate::identity::Api;
use crate::ipc::{EXIT_PANICKED, FrameError, Frames, FromWorker, ToWorker, encode, frame_bytes_max};
use crate::message::{FileReply, Report, Request, WorldReply};
use crate::spawner::{self, Spawned};
use crate::system;

/// Requests that are sent together: a write costs as much as a short call, but the worker should not run dry.
const BATCH_REQUESTS: usize = 32;
/// Bytes that are sent together.
const BATCH_BYTES: usize = 32 * 1024;
/// Limit of the bytes of a worker's first frame.
const READY_BYTES_MAX: usize = 1024;
/// Limit of the bytes of a dead worker's stderr that go into our log.
const LAST_WORDS_BYTES_MAX: u64 = 2048;

/// A worker process. Dropping it kills it.
#[derive(Debug)]
pub(super) struct ProcessWorker {
    process: Child,
    socket: UnixStream,
    incoming: Frames,
    outgoing: Vec<u8>,
    /// Requests in `outgoing` that were queued after the last write.
    unsent: usize,
    watchdog: Watchdog,
}

impl ProcessWorker {
    /// Starts a process and waits until it is locked down.
    pub(super) fn start(
        api: Api,
        limits: Limits,
        program: &Path,
        call_time_max: Option<Duration>,
    ) -> Result<Self, WorkerError> {
        let Spawned { process, socket } = spawner::spawn(program)?;
        let incoming = Frames::new(READY_BYTES_MAX);
        let watchdog = Watchdog::at_start();
        let mut worker = Self { process, socket, incoming, outgoing: vec![], unsent: 0, watchdog };
        worker.socket.set_read_timeout(Some(worker.watchdog.tick()))?;
        worker.enqueue(&ToWorker::Start(api, limits))?;
        match worker.next_message()? {
            FromWorker::Ready { missing } if missing.is_empty() => {}
            FromWorker::Ready { missing } => {
                let missing: Vec<_> = missing.into_iter().map(|guard| guard.name()).collect();
                warn_once(&missing.join(", "));
            }
            FromWorker::Report(_) => return Err(worker.refuse("a report before the greeting")),
        }
        worker.incoming.set_frame_bytes_max(frame_bytes_max(&limits));
        worker.watchdog = Watchdog::with(&limits, call_time_max);
        worker.socket.set_read_timeout(Some(worker.watchdog.tick()))?;
        Ok(worker)
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn send(&mut self, request: Request) -> Result<(), WorkerError> {
        #[cfg(all(debug_assertions, feature = "test-support"))]
        if let Request::Call(call) = &request
            && super::panic::is_panicking(&call.method)
        {
            self.attempt(crate::ipc::EscapeAttempt::Panic)?;
        }
        self.enqueue(&ToWorker::Request(request))
    }

    pub(super) fn answer(&mut self, reply: FileReply) -> Result<(), WorkerError> {
        self.enqueue(&ToWorker::Reply(reply))
    }

    pub(super) fn answer_world(&mut self, reply: WorldReply) -> Result<(), WorkerError> {
        self.enqueue(&ToWorker::World(reply))
    }

    #[cfg(all(debug_assertions, feature = "test-support"))]
    pub(super) fn attempt(&mut self, attempt: crate::ipc::EscapeAttempt) -> Result<(), WorkerError> {
        self.enqueue(&ToWorker::EscapeAttempt(attempt))
    }

    pub(super) fn receive(&mut self) -> Result<Report, WorkerError> {
        match self.next_message()? {
            FromWorker::Report(report) => {
                if matches!(report, Report::Loaded(_) | Report::Done(_)) {
                    self.watchdog.renew();
                }
                Ok(report)
            }
            FromWorker::Ready { .. } => Err(self.refuse("a second greeting")),
        }
    }

    /// Queues a message, and writes to the socket without blocking if there is a batch of them.
    fn enqueue(&mut self, message: &ToWorker) -> Result<(), WorkerError> {
        encode(message, &mut self.outgoing)
            .map_err(|_| WorkerError::Start(ErrorKind::FileTooLarge.into()))?;
        self.unsent += 1;
        if self.unsent >= BATCH_REQUESTS || self.outgoing.len() >= BATCH_BYTES {
            return self.write_now();
        }
        Ok(())
    }

    fn next_message(&mut self) -> Result<FromWorker, WorkerError> {
        loop {
            match self.incoming.next() {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => self.exchange()?,
                Err(FrameError::TooLong) => {
                    return Err(self.refuse("a message longer than its heap can hold"));
                }
                Err(FrameError::Malformed) => return Err(self.refuse("undecodable message")),
            }
        }
    }

    /// Sends everything queued and reads once, in the order in which the socket allows it.
    fn exchange(&mut self) -> Result<(), WorkerError> {
        self.write_now()?;
        while !self.outgoing.is_empty() {
            self.check_watchdog()?;
            let begun = Instant::now();
            let ready = system::wait_ready(self.socket.as_fd(), self.watchdog.tick());
            self.watchdog.wait(begun.elapsed());
            let (can_read, can_write) = ready.map_err(WorkerError::Start)?;
            if can_read {
                return self.read();
            }
            if can_write {
                self.write_now()?;
            }
        }
        self.read()
    }

    fn read(&mut self) -> Result<(), WorkerError> {
        loop {
            self.check_watchdog()?;
            let begun = Instant::now();
            let read = self.incoming.fill(|buffer| self.socket.read(buffer));
            self.watchdog.wait(begun.elapsed());
            match read {
                Ok(0) => return Err(self.ended()),
                Ok(_) => return Ok(()),
                // The tick is over, or a signal arrived.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => return Err(self.ended()),
            }
        }
    }

    fn check_watchdog(&mut self) -> Result<(), WorkerError> {
        match self.watchdog.end() {
            None => Ok(()),
            Some(waited) => {
                let _ended = self.ended();
                Err(WorkerError::Overdue { waited })
            }
        }
    }

    fn write_now(&mut self) -> Result<(), WorkerError> {
        self.unsent = 0;
        let mut sent = 0;
        while sent < self.outgoing.len() {
            match system::send_now(self.socket.as_fd(), &self.outgoing[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Messages that it sent before its end can still be read; the end itself comes after them.
                Err(_) => {
                    self.outgoing.clear();
                    return Ok(());
                }
            }
        }
        self.outgoing.drain(..sent);
        self.outgoing.shrink_to(self.outgoing.len().max(2 * BATCH_BYTES));
        Ok(())
    }

    /// Kills a worker that broke the protocol.
    fn refuse(&mut self, what: &'static str) -> WorkerError {
        let _ended = self.ended();
        WorkerError::ProtocolViolation(what)
    }

    /// Waits for the process to end and returns the reason. Killing a process that has ended changes nothing.
    fn ended(&mut self) -> WorkerError {
        let _may_have_ended = self.process.kill();
        let ending = self.process.wait().map_or(ExitReason::Unknown, ExitReason::from);
        self.log_stderr(ending);
        WorkerError::Ended(ending)
    }

    /// Logs the stderr of the process. The pipe holds no more than a pipe can.
    fn log_stderr(&mut self, ending: ExitReason) {
        let Some(pipe) = self.process.stderr.take() else { return };
        let mut words = vec![];
        let _as_far_as_it_goes = pipe.take(LAST_WORDS_BYTES_MAX).read_to_end(&mut words);
        if ending == ExitReason::Panicked {
            let words = String::from_utf8_lossy(&words);
            error!(%words, "a worker panicked: please report this defect");
        } else if !words.is_empty() {
            debug!(%ending, words = ?String::from_utf8_lossy(&words), "a worker's last words");
        }
    }
}

impl Drop for ProcessWorker {
    fn drop(&mut self) {
        let _may_have_ended = self.process.kill();
        let _may_have_ended = self.process.wait();
    }
}

impl From<ExitStatus> for ExitReason {
    fn from(status: ExitStatus) -> Self {
        match (status.signal(), status.code()) {
            (Some(signal), _) => Self::Killed(signal),
            (None, Some(EXIT_PANICKED)) => Self::Panicked,
            (None, Some(code)) => Self::Exited(code),
            (None, None) => Self::Unknown,
        }
    }
}

fn warn_once(missing: &str) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        warn!("scripts run in a process that is not fully locked: this system lacks {missing}")
    });
}
