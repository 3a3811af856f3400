//! The task behind a client: writes requests in the order of their calls, and passes each answer to its call.
//!
//! Start from [`Link::run`]. The server is not trusted: whatever it sends, every call ends.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::future::poll_fn;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Interval;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::write_queue::WriteQueue;
use super::{ClientError, ClientOptions, WRITE_BUFFER_BYTES};
use crate::RpcError;
use crate::lingering_close::linger;
use crate::write_timeout::WriteTimeout;

pub(super) type Socket = WebSocketStream<WriteTimeout<TcpStream>>;

type Answer = oneshot::Sender<Result<Option<Box<RawValue>>, ClientError>>;

/// Pings in a row that a server may leave unanswered.
const SILENCES_MAX: u32 = 2;

/// A request of the client to its link.
#[derive(Debug)]
pub(super) enum Command {
    Call { id: u64, text: String, answer: Answer },
    Close,
}

/// Why the link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LinkEnd {
    Closed,
    Lost { why: String },
    Garbage { why: String },
}

type Step<T> = ControlFlow<LinkEnd, T>;

/// The socket and the calls that wait for their answers.
#[derive(Debug)]
pub(super) struct Link {
    socket: Socket,
    commands: mpsc::Receiver<Command>,
    waiting: HashMap<u64, Answer>,
    write_queue: WriteQueue,
    pings: Interval,
    was_heard: bool,
    missed_pongs: u32,
    close_timeout: Duration,
    end: Arc<OnceLock<LinkEnd>>,
}

impl Link {
    pub(super) fn new(
        socket: Socket,
        commands: mpsc::Receiver<Command>,
        end: Arc<OnceLock<LinkEnd>>,
        options: &ClientOptions,
    ) -> Self {
        let period = options.ping_interval;
        Self {
            socket,
            commands,
            waiting: HashMap::new(),
            write_queue: WriteQueue::default(),
            pings: tokio::time::interval_at(tokio::time::Instant::now() + period, period),
            was_heard: true,
            missed_pongs: 0,
            close_timeout: options.close_timeout,
            end,
        }
    }

    pub(super) async fn run(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        // Set the reason before the calls notice: they read it.
        let end = self.end.get_or_init(|| end).clone();
        self.waiting.clear();
        if end == LinkEnd::Closed {
            let _either_way = tokio::time::timeout(self.close_timeout, self.socket.close(None)).await;
            linger(self.socket.get_mut(), self.close_timeout).await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        match self.advance(cx) {
            ControlFlow::Break(end) => Poll::Ready(end),
            ControlFlow::Continue(()) => Poll::Pending,
        }
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Step<()> {
        self.watch_the_clock(cx)?;
        loop {
            let is_full = self.take_commands(cx)?;
            self.write(cx)?;
            // Read answers even while nothing can be written: a server reads again once its answers are read.
            self.read(cx)?;
            if !(is_full && self.has_room()) {
                return ControlFlow::Continue(());
            }
        }
    }

    /// Returns whether the queue takes another request. While it is full, requests wait with their callers.
    fn has_room(&self) -> bool {
        self.write_queue.bytes() < WRITE_BUFFER_BYTES
    }

    /// Takes commands until none is left or the queue is full; returns whether the queue is full.
    fn take_commands(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        while self.has_room() {
            match self.commands.poll_recv(cx) {
                Poll::Ready(Some(Command::Call { id, text, answer })) => {
                    self.waiting.insert(id, answer);
                    self.write_queue.push(Message::text(text));
                }
                Poll::Ready(Some(Command::Close) | None) => return ControlFlow::Break(LinkEnd::Closed),
                // Poll again only after the next wake: the task may also have used up its cooperative budget.
                Poll::Pending => return ControlFlow::Continue(false),
            }
        }
        ControlFlow::Continue(true)
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Step<()> {
        match self.write_queue.poll_flush(&mut self.socket, cx) {
            Poll::Ready(Err(error)) => lost(error.to_string()),
            Poll::Ready(Ok(())) | Poll::Pending => ControlFlow::Continue(()),
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Step<()> {
        while let Poll::Ready(message) = Pin::new(&mut self.socket).poll_next(cx) {
            self.was_heard = true;
            self.receive(message)?;
        }
        ControlFlow::Continue(())
    }

    fn receive(&mut self, message: Option<Result<Message, Error>>) -> Step<()> {
        match message {
            Some(Ok(Message::Text(text))) => self.answer(text.as_str()),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => ControlFlow::Continue(()),
            Some(Ok(Message::Binary(_))) => garbage("a binary message".into()),
            Some(Ok(Message::Close(Some(frame)))) => lost(format!("the server closed it ({frame})")),
            Some(Ok(Message::Close(None))) | None => lost("the server closed it".into()),
            Some(Err(error @ (Error::Capacity(_) | Error::Utf8(_)))) => garbage(error.to_string()),
            Some(Err(error)) => lost(error.to_string()),
        }
    }

    fn answer(&mut self, text: &str) -> Step<()> {
        let answer: Response = match serde_json::from_str(text) {
            Ok(answer) => answer,
            Err(error) => return garbage(error.to_string()),
        };
        // A request or a notification of the server: a client need not answer it.
        if answer.method.is_some() {
            return ControlFlow::Continue(());
        }
        let Some(id) = answer.id.and_then(|id| id.get().parse().ok()) else {
            return garbage(match answer.error {
                Some(error) => format!("{} (it could not read a request)", error.message),
                None => "an answer without the id of a request".into(),
            });
        };
        // The call's future may have been dropped.
        if let Some(waiting) = self.waiting.remove(&id) {
            let _nobody_waits = waiting.send(answer.into_outcome());
        }
        ControlFlow::Continue(())
    }

    fn watch_the_clock(&mut self, cx: &mut Context<'_>) -> Step<()> {
        while self.pings.poll_tick(cx).is_ready() {
            self.waiting.retain(|_, waiting| !waiting.is_closed());
            let was_heard = std::mem::take(&mut self.was_heard);
            self.missed_pongs = if was_heard { 0 } else { self.missed_pongs + 1 };
            if self.missed_pongs > SILENCES_MAX {
                return lost("the server is silent".into());
            }
            if !was_heard && self.write_queue.is_flushed() {
                self.write_queue.push(Message::Ping(Bytes::new()));
            }
        }
        ControlFlow::Continue(())
    }
}

fn lost<T>(why: String) -> Step<T> {
    ControlFlow::Break(LinkEnd::Lost { why })
}

fn garbage<T>(why: String) -> Step<T> {
    ControlFlow::Break(LinkEnd::Garbage { why })
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<ResponseError>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ResponseError {
    code: i64,
    message: String,
    #[serde(default)]
    data: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "some")]
    details: Option<serde_json::Value>,
    #[serde(default)]
    stack: Option<serde_json::Value>,
}

/// Reads `null` as a value: only a missing member is `None`.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Response<'_> {
    fn into_outcome(self) -> Result<Option<Box<RawValue>>, ClientError> {
        match self.error {
            Some(error) => Err(ClientError::Rpc(error.into_rpc_error())),
            None => Ok(self.result.map(ToOwned::to_owned)),
        }
    }
}

impl ResponseError {
    /// Converts the error. Data of LibVMS is text; other data of another server is kept as its JSON text.
    fn into_rpc_error(self) -> RpcError {
        let data =
            self.data.map(|data| serde_json::from_str(data.get()).unwrap_or_else(|_| data.get().into()));
        let stack = self.stack.and_then(|stack| stack.as_str().map(str::to_owned));
        RpcError { details: self.details, stack, ..RpcError::new(self.code, self.message, data) }
    }
}
