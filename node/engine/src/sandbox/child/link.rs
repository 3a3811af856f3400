//! The script's end of the socket: requests in, reports out, and file replies in between.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;

use super::outgoing::Outgoing;
use crate::host_functions::Driver;
use crate::ipc::{Frames, FromWorker, ToWorker};
use crate::message::{Console, FileReply, FileRequest, Report, Request, WorldReply, WorldRequest};

/// Reads and writes the socket for the script's thread.
pub(super) struct Link {
    socket: Arc<File>,
    incoming: RefCell<Frames>,
    /// Requests that arrived while a file reply was awaited: the driver sends ahead.
    waiting: RefCell<VecDeque<Request>>,
    outgoing: Arc<Outgoing>,
}

impl Link {
    pub(super) fn new(socket: Arc<File>, incoming: Frames, outgoing: Arc<Outgoing>) -> Self {
        Self { socket, incoming: RefCell::new(incoming), waiting: RefCell::default(), outgoing }
    }

    /// Sends a message to the driver, now or with the next ones. Returns whether the driver is still there.
    pub(super) fn say(&self, message: &FromWorker) -> bool {
        self.outgoing.push(message).is_ok()
    }

    /// Sends all queued messages. The next read notices a driver that is gone.
    pub(super) fn flush(&self) {
        let _closed = self.outgoing.flush();
    }

    /// Waits for the next request; `None` if none will come.
    pub(super) fn next_request(&self) -> Option<Request> {
        if let Some(request) = self.waiting.borrow_mut().pop_front() {
            self.outgoing.hurry();
            return Some(request);
        }
        #[cfg_attr(
            not(all(debug_assertions, feature = "test-support")),
            expect(clippy::never_loop, reason = "an attempt to escape is followed by another message")
        )]
        loop {
            match self.next_message()? {
                ToWorker::Request(request) => return Some(request),
                #[cfg(all(debug_assertions, feature = "test-support"))]
                ToWorker::EscapeAttempt(attempt) => self.attempt(attempt),
                ToWorker::Start(..) | ToWorker::Reply(_) | ToWorker::World(_) => return None,
            }
        }
    }

    /// Waits for the reply to a request of the script: the one that `wanted` takes out of a message.
    fn next_reply<R>(&self, wanted: fn(ToWorker) -> Result<R, ToWorker>) -> Option<R> {
        self.flush();
        loop {
            match wanted(self.next_message()?) {
                Ok(reply) => return Some(reply),
                Err(message) => self.set_aside(message)?,
            }
        }
    }

    /// Keeps a request that the driver has sent ahead. `None` for a message that is none.
    fn set_aside(&self, message: ToWorker) -> Option<()> {
        match message {
            ToWorker::Request(request) => self.waiting.borrow_mut().push_back(request),
            #[cfg(all(debug_assertions, feature = "test-support"))]
            ToWorker::EscapeAttempt(attempt) => self.attempt(attempt),
            ToWorker::Start(..) | ToWorker::Reply(_) | ToWorker::World(_) => return None,
        }
        Some(())
    }

    /// Waits for the driver's next message. Sends all queued messages first.
    fn next_message(&self) -> Option<ToWorker> {
        let mut incoming = self.incoming.borrow_mut();
        loop {
            if let Some(message) = incoming.next().ok()? {
                self.outgoing.hurry();
                return Some(message);
            }
            self.flush();
            if incoming.fill(|buffer| (&*self.socket).read(buffer)).ok()? == 0 {
                return None;
            }
        }
    }

    #[cfg(all(debug_assertions, feature = "test-support"))]
    fn attempt(&self, attempt: crate::ipc::EscapeAttempt) {
        let line = Console { level: "error".into(), text: attempt.make() };
        self.say(&FromWorker::Report(Report::Console(line)));
        self.flush();
    }
}

/// The link as the script's host functions see it.
pub(super) struct DriverPort(pub(super) Rc<Link>);

impl Driver for DriverPort {
    fn file(&self, request: FileRequest) -> Option<FileReply> {
        self.0.say(&FromWorker::Report(Report::File(request)));
        self.0.next_reply(|message| match message {
            ToWorker::Reply(reply) => Ok(reply),
            other => Err(other),
        })
    }

    fn world(&self, request: WorldRequest) -> Option<WorldReply> {
        self.0.say(&FromWorker::Report(Report::World(request)));
        self.0.next_reply(|message| match message {
            ToWorker::World(reply) => Ok(reply),
            other => Err(other),
        })
    }

    fn console(&self, line: Console) {
        // A missing receiver is no reason to fail.
        let _closed = self.0.say(&FromWorker::Report(Report::Console(line)));
    }
}
