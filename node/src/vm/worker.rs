//! The thread that a script runs on, and the messages in and out.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use libvms_protocol::entry::Limits;
use thiserror::Error;
use tracing::error;

use super::bridge::Port;
use super::engine::Engine;
use super::message::{Console, FileReply, FileRequest, Report, Request};

/// The largest stack that an engine can be given, in bytes.
pub const STACK_BYTES_MAX: u64 = 192 << 20;
/// The thread's stack: what the engine may use, and room for our own code below and above it. Taken from the
/// machine only as far as it is used.
const THREAD_STACK_BYTES: usize = 256 << 20;

/// A script's engine, at work on a thread of its own.
///
/// Dropping it gives up what is in flight; the thread ends by itself, at the latest when the call in hand has used
/// up its fuel.
#[derive(Debug)]
pub struct Worker {
    requests: Sender<Request>,
    replies: Sender<FileReply>,
    reports: Receiver<Report>,
}

/// A worker can not go on. Never the script's fault.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The system gives no thread.
    #[error("cannot start a worker: {0}")]
    Start(#[from] std::io::Error),
    /// The limits ask for a stack that no worker has.
    #[error("the script's limits ask for a stack of {asked} bytes; a worker has at most {STACK_BYTES_MAX}")]
    Stack {
        /// Bytes.
        asked: u64,
    },
    /// The worker has ended before its work was done.
    #[error("the worker has ended")]
    Ended,
}

impl Worker {
    /// Starts a worker whose requests may each use as much as `limits` says.
    ///
    /// # Errors
    /// Where the system gives no thread, or no worker has such a stack.
    pub fn start(limits: Limits) -> Result<Self, WorkerError> {
        if limits.stack > STACK_BYTES_MAX {
            return Err(WorkerError::Stack { asked: limits.stack });
        }
        let (requests, incoming) = channel();
        let (replies, file_replies) = channel();
        let (outgoing, reports) = channel();
        let port = Channels { reports: outgoing.clone(), replies: file_replies };
        let run = move || match Engine::new(limits, Box::new(port)) {
            Ok(engine) => serve(&engine, &incoming, &outgoing),
            Err(error) => error!(%error, "the engine does not start"),
        };
        thread::Builder::new().name("script".into()).stack_size(THREAD_STACK_BYTES).spawn(run)?;
        Ok(Self { requests, replies, reports })
    }

    /// Asks for something. Several requests may be under way; they are taken in order.
    ///
    /// # Errors
    /// Where the worker has ended.
    pub fn send(&self, request: Request) -> Result<(), WorkerError> {
        self.requests.send(request).map_err(|_| WorkerError::Ended)
    }

    /// Waits for what the worker says next.
    ///
    /// # Errors
    /// Where the worker has ended.
    pub fn receive(&self) -> Result<Report, WorkerError> {
        self.reports.recv().map_err(|_| WorkerError::Ended)
    }

    /// Replies to a [`Report::File`].
    ///
    /// # Errors
    /// Where the worker has ended.
    pub fn answer(&self, reply: FileReply) -> Result<(), WorkerError> {
        self.replies.send(reply).map_err(|_| WorkerError::Ended)
    }
}

/// Takes requests until nobody can send any more.
fn serve(engine: &Engine, requests: &Receiver<Request>, reports: &Sender<Report>) {
    for request in requests {
        let report = match request {
            Request::Load(load) => Report::Loaded(engine.load(&load)),
            Request::Call(call) => Report::Done(engine.call(&call)),
        };
        if reports.send(report).is_err() {
            return;
        }
    }
}

/// The worker's side of the channels.
struct Channels {
    reports: Sender<Report>,
    replies: Receiver<FileReply>,
}

impl Port for Channels {
    fn file(&self, request: FileRequest) -> Option<FileReply> {
        self.reports.send(Report::File(request)).ok()?;
        self.replies.recv().ok()
    }

    fn console(&self, line: Console) {
        // Nobody to hear it is no reason to fail.
        let _unheard = self.reports.send(Report::Console(line));
    }
}
