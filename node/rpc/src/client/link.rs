//! The task behind a client: writes requests in the order of their calls, and passes each answer to its call.
//!
//! Start from [`Link::run`]. The server is not trusted: whatever it sends, every call ends.
//!
//! A link whose requests may be repeated opens another connection when one is lost, and sends again what was not answered, in
//! the same order. While nothing waits for an answer it does nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::future::{BoxFuture, poll_fn};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Interval;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::error::{ClientError, TrustError};
use super::options::ClientOptions;
use super::outage::Outage;
use super::reply::{self, Incoming, Reply};
use super::socket::{Socket, WRITE_BUFFER_BYTES};
use super::write_queue::WriteQueue;
use crate::lingering_close::linger;

pub(super) type Answer = oneshot::Sender<Result<Reply, ClientError>>;

/// Opens another connection to the same service, and checks that it is the same.
pub(super) type Reopen = Box<dyn Fn() -> BoxFuture<'static, Result<Socket, ClientError>> + Send>;

/// Pings in a row that a server may leave unanswered.
const SILENCES_MAX: u32 = 2;

/// A request of the client to its link.
#[derive(Debug)]
pub(super) enum Command {
    /// The ids ascend.
    Call {
        id: u64,
        text: String,
        answer: Answer,
    },
    Close,
}

/// Why the link ended.
#[derive(Clone, Debug)]
pub(super) enum LinkEnd {
    Closed,
    Lost { why: String },
    Garbage { why: String },
    Distrusted(TrustError),
}

impl From<LinkEnd> for ClientError {
    fn from(end: LinkEnd) -> Self {
        match end {
            LinkEnd::Closed => Self::Closed,
            LinkEnd::Lost { why } => Self::Lost { why },
            LinkEnd::Garbage { why } => Self::Garbage { why },
            LinkEnd::Distrusted(why) => Self::Trust(why),
        }
    }
}

type Step<T> = ControlFlow<LinkEnd, T>;

/// A request without an answer.
#[derive(Debug)]
struct Waiting {
    answer: Answer,
    /// The request's text, where it may be sent again.
    text: Option<Utf8Bytes>,
}

/// The socket and the calls that wait for their answers.
pub(super) struct Link {
    socket: Socket,
    /// `None` for requests that may not be repeated.
    reopen: Option<Reopen>,
    commands: mpsc::Receiver<Command>,
    waiting: BTreeMap<u64, Waiting>,
    write_queue: WriteQueue,
    pings: Interval,
    was_heard: bool,
    missed_pongs: u32,
    options: ClientOptions,
    /// Lasts until a call is answered again.
    outage: Option<Outage>,
    end: Arc<OnceLock<LinkEnd>>,
}

impl Link {
    pub(super) fn new(
        socket: Socket,
        reopen: Option<Reopen>,
        commands: mpsc::Receiver<Command>,
        end: Arc<OnceLock<LinkEnd>>,
        options: &ClientOptions,
    ) -> Self {
        Self {
            socket,
            reopen,
            commands,
            waiting: BTreeMap::new(),
            write_queue: WriteQueue::default(),
            pings: pings(options.ping_interval),
            was_heard: true,
            missed_pongs: 0,
            options: options.clone(),
            outage: None,
            end,
        }
    }

    pub(super) async fn run(mut self) {
        let (end, is_open) = loop {
            match poll_fn(|cx| self.poll(cx)).await {
                LinkEnd::Lost { why } if self.reopen.is_some() => {
                    if let Err(end) = self.resume(why).await {
                        break (end, false);
                    }
                }
                end => break (end, true),
            }
        };
        // Set the reason before the calls notice: they read it.
        let end = self.end.get_or_init(|| end).clone();
        self.waiting.clear();
        if is_open && matches!(end, LinkEnd::Closed) {
            let patience = self.options.close_timeout;
            let _either_way = tokio::time::timeout(patience, self.socket.close(None)).await;
            linger(self.socket.get_mut(), patience).await;
        }
    }

    /// Connects again after the connection was lost, and queues what was not answered.
    async fn resume(&mut self, mut why: String) -> Result<(), LinkEnd> {
        let mut outage = self.outage.take().unwrap_or_else(Outage::begin);
        loop {
            self.waiting.retain(|_, waiting| !waiting.answer.is_closed());
            if outage.lasts() >= self.options.retry_timeout {
                self.fail_waiting(&why);
            }
            if self.waiting.is_empty() {
                self.wait_for_request().await?;
                outage = Outage::begin();
            }
            let Some(reopen) = &self.reopen else { return Err(LinkEnd::Lost { why }) };
            let (pause, reopening) = (outage.next_pause(), reopen());
            let reopened = self.meanwhile(async move {
                tokio::time::sleep(pause).await;
                reopening.await
            });
            match reopened.await? {
                Ok(socket) => {
                    self.restart(socket);
                    self.outage = Some(outage);
                    return Ok(());
                }
                Err(ClientError::Trust(why)) => return Err(LinkEnd::Distrusted(why)),
                Err(ClientError::Garbage { why }) => return Err(LinkEnd::Garbage { why }),
                Err(error) => why = error.to_string(),
            }
        }
    }

    /// Waits until a call is made.
    async fn wait_for_request(&mut self) -> Result<(), LinkEnd> {
        self.write_queue = WriteQueue::default();
        let queued = poll_fn(|cx| match self.take_commands(cx) {
            ControlFlow::Break(end) => Poll::Ready(Err(end)),
            ControlFlow::Continue(_) if !self.waiting.is_empty() => Poll::Ready(Ok(())),
            ControlFlow::Continue(_) => Poll::Pending,
        });
        queued.await
    }

    /// Waits for a future, and takes commands meanwhile.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T> + Send) -> Result<T, LinkEnd> {
        let mut future = Box::pin(future);
        let both = poll_fn(|cx| match self.take_commands(cx) {
            ControlFlow::Break(end) => Poll::Ready(Err(end)),
            ControlFlow::Continue(_) => future.as_mut().poll(cx).map(Ok),
        });
        both.await
    }

    fn fail_waiting(&mut self, why: &str) {
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            let _nobody_waits = waiting.answer.send(Err(ClientError::Lost { why: why.into() }));
        }
    }

    /// Begins again with a new socket, and with all requests that have no answer.
    fn restart(&mut self, socket: Socket) {
        self.socket = socket;
        self.write_queue = WriteQueue::default();
        for text in self.waiting.values().filter_map(|waiting| waiting.text.clone()) {
            self.write_queue.push(Message::Text(text));
        }
        self.pings = pings(self.options.ping_interval);
        (self.was_heard, self.missed_pongs) = (true, 0);
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
                    let text = Utf8Bytes::from(text);
                    let repeated = self.reopen.is_some().then(|| text.clone());
                    self.waiting.insert(id, Waiting { answer, text: repeated });
                    self.write_queue.push(Message::Text(text));
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
            if let Some(text) = text_of(message)? {
                self.answer(text.as_str())?;
            }
        }
        ControlFlow::Continue(())
    }

    fn answer(&mut self, text: &str) -> Step<()> {
        match reply::read(text) {
            Err(why) => return garbage(why),
            Ok(Incoming::News) => {}
            Ok(Incoming::Reply { id, reply }) => {
                // The call's future may have been dropped.
                if let Some(waiting) = self.waiting.remove(&id) {
                    self.outage = None;
                    let _nobody_waits = waiting.answer.send(Ok(reply));
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn watch_the_clock(&mut self, cx: &mut Context<'_>) -> Step<()> {
        while self.pings.poll_tick(cx).is_ready() {
            self.waiting.retain(|_, waiting| !waiting.answer.is_closed());
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

fn pings(period: Duration) -> Interval {
    tokio::time::interval_at(tokio::time::Instant::now() + period, period)
}

/// Returns the text of a message of the server; `None` for one that says nothing.
pub(super) fn text_of(message: Option<Result<Message, Error>>) -> Step<Option<Utf8Bytes>> {
    match message {
        Some(Ok(Message::Text(text))) => ControlFlow::Continue(Some(text)),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => ControlFlow::Continue(None),
        Some(Ok(Message::Binary(_))) => garbage("a binary message".into()),
        Some(Ok(Message::Close(Some(frame)))) => lost(format!("the server closed it ({frame})")),
        Some(Ok(Message::Close(None))) | None => lost("the server closed it".into()),
        Some(Err(error @ (Error::Capacity(_) | Error::Utf8(_)))) => garbage(error.to_string()),
        Some(Err(error)) => lost(error.to_string()),
    }
}

fn lost<T>(why: String) -> Step<T> {
    ControlFlow::Break(LinkEnd::Lost { why })
}

fn garbage<T>(why: String) -> Step<T> {
    ControlFlow::Break(LinkEnd::Garbage { why })
}
