//! What waits to be written to one WebSocket: many messages leave with one flush, and their bytes are counted.
//!
//! Start from [`WriteQueue`]. The client writes through it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Sink;
use tokio_tungstenite::tungstenite::{Error, Message};

/// The messages that the socket has not taken yet.
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

    /// Bytes that wait, not counting a last buffer of the socket's own.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether everything is with the operating system.
    pub(super) fn is_flushed(&self) -> bool {
        self.is_flushed
    }

    /// Writes as much as the socket takes. Ready means that everything was flushed.
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
