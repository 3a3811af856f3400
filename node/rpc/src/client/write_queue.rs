//! The write queue of one WebSocket: many messages leave with one flush, and their bytes are counted.
//!
//! Start from [`WriteQueue`]. The client writes through this queue.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Sink;
use tokio_tungstenite::tungstenite::{Error, Message};

/// The messages that are not written to the socket yet.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    messages: VecDeque<Message>,
    bytes: usize,
    is_flushed: bool,
}

impl WriteQueue {
    pub(super) fn push(&mut self, message: Message) {
        self.bytes += message.len();
        self.messages.push_back(message);
        self.is_flushed = false;
    }

    /// Returns the bytes queued, without the socket's own last buffer.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns whether the operating system has taken everything.
    pub(super) fn is_flushed(&self) -> bool {
        self.is_flushed
    }

    /// Writes as much as the socket takes. Ready once everything is flushed.
    pub(super) fn poll_flush<S>(&mut self, socket: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), Error>>
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        if self.is_flushed {
            return Poll::Ready(Ok(()));
        }
        while !self.messages.is_empty() {
            ready!(Pin::new(&mut *socket).poll_ready(cx))?;
            if let Some(message) = self.messages.pop_front() {
                self.bytes -= message.len();
                Pin::new(&mut *socket).start_send(message)?;
            }
        }
        ready!(Pin::new(socket).poll_flush(cx))?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }
}
