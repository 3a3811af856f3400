//! A script's engine on a thread of the driver's own process.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use libvms_protocol::entry::Limits;
use tracing::error;

use crate::error::{ExitReason, WorkerError};
use crate::host_functions::Driver;
use crate::identity::Api;
use crate::message::{Console, FileReply, FileRequest, Report, Request, WorldReply, WorldRequest};
use crate::script::Script;
use crate::serve::{serve, stack_bytes};

/// The driver's side of the channels. The thread ends by itself when this is dropped, at the latest when the running
/// call has used up its fuel.
#[derive(Debug)]
pub(super) struct ThreadWorker {
    requests: Sender<Request>,
    replies: Sender<FileReply>,
    world_replies: Sender<WorldReply>,
    reports: Receiver<Report>,
    /// The thread, until its end was seen.
    thread: Option<JoinHandle<()>>,
    /// The reason of the end.
    ending: ExitReason,
}

impl ThreadWorker {
    pub(super) fn start(api: Api, limits: Limits) -> Result<Self, WorkerError> {
        let (requests, incoming) = channel();
        let (replies, file_replies) = channel();
        let (world_replies, from_world) = channel();
        let (outgoing, reports) = channel();
        let port = Channels { reports: outgoing.clone(), replies: file_replies, world_replies: from_world };
        let run = move || match Script::new(api, limits, Box::new(port)) {
            Ok(engine) => serve(&engine, incoming, |report| outgoing.send(report).is_ok()),
            Err(error) => error!(%error, "the engine does not start"),
        };
        let builder = thread::Builder::new().name("script".into()).stack_size(stack_bytes(&limits));
        let thread = Some(builder.spawn(run)?);
        Ok(Self { requests, replies, world_replies, reports, thread, ending: ExitReason::Unknown })
    }

    pub(super) fn send(&mut self, request: Request) -> Result<(), WorkerError> {
        self.requests.send(request).map_err(|_| self.ended())
    }

    pub(super) fn receive(&mut self) -> Result<Report, WorkerError> {
        self.reports.recv().map_err(|_| self.ended())
    }

    pub(super) fn answer(&mut self, reply: FileReply) -> Result<(), WorkerError> {
        self.replies.send(reply).map_err(|_| self.ended())
    }

    pub(super) fn answer_world(&mut self, reply: WorldReply) -> Result<(), WorkerError> {
        self.world_replies.send(reply).map_err(|_| self.ended())
    }

    /// Waits for the thread, which has dropped its channels: it ends, or has ended. A panic was printed to stderr.
    fn ended(&mut self) -> WorkerError {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.ending = ExitReason::Panicked;
        }
        WorkerError::Ended(self.ending)
    }
}

/// The worker's side of the channels.
struct Channels {
    reports: Sender<Report>,
    replies: Receiver<FileReply>,
    world_replies: Receiver<WorldReply>,
}

impl Driver for Channels {
    fn file(&self, request: FileRequest) -> Option<FileReply> {
        self.reports.send(Report::File(request)).ok()?;
        self.replies.recv().ok()
    }

    fn world(&self, request: WorldRequest) -> Option<WorldReply> {
        self.reports.send(Report::World(request)).ok()?;
        self.world_replies.recv().ok()
    }

    fn console(&self, line: Console) {
        // A missing receiver is no reason to fail.
        let _closed = self.reports.send(Report::Console(line));
    }
}
