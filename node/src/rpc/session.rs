//! A WebSocket of one caller, from its first message to its end.
//!
//! Start from [`Session::run`]. One task owns the socket and every answer on its way: it takes answers, flushes them
//! together, and reads on only while the caller keeps within its bounds.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::SinkExt;
use futures::future::poll_fn;
use futures::stream::{FuturesUnordered, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Interval, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::RpcOptions;
use super::caller::{Answer, Caller};
use super::linger::linger;
use super::outbox::Outbox;

/// Answers wait for each other up to this size, then the first of them are written.
pub(super) const WRITE_BUFFER_BYTES: usize = 64 << 10;

/// Most requests are far smaller. It is allocated per connection.
pub(super) const READ_BUFFER_BYTES: usize = 8 << 10;

/// Pings in a row that a caller may leave unanswered: a bad link loses one now and then.
const SILENCES_MAX: u32 = 2;

/// A caller's WebSocket.
pub(super) struct Session<S> {
    socket: WebSocketStream<S>,
    caller: Caller,
    answers: FuturesUnordered<Weighed>,
    in_flight: Weight,
    outbox: Outbox,
    /// Runs while more answers are ready than may wait to be written.
    patience: Option<Pin<Box<Sleep>>>,
    pings: Interval,
    /// Whether there was a sign of life since the last tick of `pings`.
    was_heard: bool,
    /// Pings in a row that came back to nothing.
    silences: u32,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    is_stopping: bool,
}

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// We close it, and say why.
    Close(CloseCode, &'static str),
    /// The caller has closed it.
    Closed,
    /// There is nobody left to tell.
    Lost,
}

type Step<T> = ControlFlow<End, T>;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// A session on a socket that has just become a WebSocket; `read` came behind the request that made it one.
    pub(super) async fn new(
        socket: S,
        read: &[u8],
        caller: Caller,
        stopping: WaitForCancellationFutureOwned,
    ) -> Self {
        let config = configuration(&caller.options);
        let socket =
            WebSocketStream::from_partially_read(socket, read.to_vec(), Role::Server, Some(config)).await;
        let period = caller.options.ping_interval;
        Self {
            socket,
            caller,
            answers: FuturesUnordered::new(),
            in_flight: Weight::default(),
            outbox: Outbox::default(),
            patience: None,
            pings: tokio::time::interval_at(tokio::time::Instant::now() + period, period),
            was_heard: true,
            silences: 0,
            stopping: Box::pin(stopping),
            is_stopping: false,
        }
    }

    /// Serves the caller until either side ends it.
    pub(super) async fn run(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        tracing::trace!(?end, "session ends");
        let timeout = self.options().close_timeout;
        match end {
            End::Close(code, reason) => {
                let _either_way = tokio::time::timeout(timeout, self.say_goodbye(code, reason)).await;
            }
            End::Closed => {
                let _either_way = tokio::time::timeout(timeout, self.socket.flush()).await;
            }
            End::Lost => return,
        }
        linger(self.socket.get_mut(), timeout).await;
    }

    fn options(&self) -> &Arc<RpcOptions> {
        &self.caller.options
    }

    async fn say_goodbye(&mut self, code: CloseCode, reason: &'static str) -> Result<(), Error> {
        poll_fn(|cx| self.outbox.poll_flush(&mut self.socket, cx)).await?;
        self.socket.close(Some(CloseFrame { code, reason: reason.into() })).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.advance(cx) {
            ControlFlow::Break(end) => Poll::Ready(end),
            ControlFlow::Continue(()) => Poll::Pending,
        }
    }

    /// Does what can be done, and leaves a waker with everything that it waits for.
    fn advance(&mut self, cx: &mut Context<'_>) -> Step<()> {
        self.watch_the_clock(cx)?;
        self.is_stopping = self.is_stopping || self.stopping.as_mut().poll(cx).is_ready();
        loop {
            let is_full = self.take_answers(cx);
            self.write(cx)?;
            if is_full && self.is_full() {
                return self.wait_for_room(cx);
            }
            if is_full {
                continue;
            }
            self.patience = None;
            if self.is_stopping && self.answers.is_empty() && self.outbox.is_flushed() {
                return ControlFlow::Break(End::Close(CloseCode::Away, "the server stops"));
            }
            if !self.read(cx)? {
                return ControlFlow::Continue(());
            }
        }
    }

    /// Takes every answer that is ready; tells whether it stopped because no more may wait to be written.
    fn take_answers(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.is_full() {
            let Poll::Ready(Some((weight, text))) = self.answers.poll_next_unpin(cx) else { return false };
            self.in_flight.calls -= weight.calls;
            self.in_flight.bytes -= weight.bytes;
            if let Some(text) = text {
                self.outbox.push(Message::text(text));
            }
        }
        true
    }

    fn is_full(&self) -> bool {
        self.outbox.bytes() >= self.options().backlog_bytes_max
    }

    /// A burst of answers may fill the backlog of anybody; only of a slow reader it stays full.
    fn wait_for_room(&mut self, cx: &mut Context<'_>) -> Step<()> {
        let timeout = self.options().write_timeout;
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        match patience.as_mut().poll(cx) {
            // A close frame would wait behind the backlog.
            Poll::Ready(()) => ControlFlow::Break(End::Lost),
            Poll::Pending => ControlFlow::Continue(()),
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Step<()> {
        match self.outbox.poll_flush(&mut self.socket, cx) {
            Poll::Ready(Err(_)) => ControlFlow::Break(End::Lost),
            Poll::Ready(Ok(())) | Poll::Pending => ControlFlow::Continue(()),
        }
    }

    /// Reads until there is something to write or nothing more to read; tells whether it has read anything.
    fn read(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        let mut has_read = false;
        while self.may_read() {
            let Poll::Ready(message) = Pin::new(&mut self.socket).poll_next(cx) else { break };
            has_read = true;
            self.was_heard = true;
            self.receive(message)?;
        }
        ControlFlow::Continue(has_read)
    }

    /// Who does not read answers, or has much in flight, is not listened to: the socket fills up and it waits.
    fn may_read(&self) -> bool {
        let within = self.in_flight.calls < self.options().calls_in_flight_max
            && self.in_flight.bytes < self.options().bytes_in_flight_max;
        within && !self.is_stopping && self.outbox.is_flushed()
    }

    fn receive(&mut self, message: Option<Result<Message, Error>>) -> Step<()> {
        match message {
            Some(Ok(Message::Text(text))) => self.begin(text.as_str()),
            Some(Ok(Message::Binary(_))) => return close(CloseCode::Unsupported, "requests are text"),
            Some(Ok(Message::Ping(_))) => self.outbox.expect_flush(),
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => (),
            Some(Ok(Message::Close(_))) => return ControlFlow::Break(End::Closed),
            Some(Err(Error::Capacity(_))) => return close(CloseCode::Size, "the message is too long"),
            Some(Err(Error::Utf8(_))) => return close(CloseCode::Invalid, "the text is not UTF-8"),
            Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) | None => {
                return ControlFlow::Break(End::Lost);
            }
            Some(Err(Error::Protocol(_))) => return close(CloseCode::Protocol, "this is not WebSocket"),
            Some(Err(_)) => return ControlFlow::Break(End::Lost),
        }
        ControlFlow::Continue(())
    }

    fn begin(&mut self, text: &str) {
        let answer = self.caller.receive(text);
        let weight = Weight { calls: answer.calls(), bytes: text.len() };
        self.in_flight.calls += weight.calls;
        self.in_flight.bytes += weight.bytes;
        self.answers.push(Weighed { weight, answer });
    }

    fn watch_the_clock(&mut self, cx: &mut Context<'_>) -> Step<()> {
        while self.pings.poll_tick(cx).is_ready() {
            let was_heard = std::mem::take(&mut self.was_heard);
            // Whom we do not listen to can give no sign of life.
            self.silences = if was_heard || !self.may_read() { 0 } else { self.silences + 1 };
            if self.silences > SILENCES_MAX {
                return ControlFlow::Break(End::Lost);
            }
            if !was_heard && self.outbox.is_flushed() {
                self.outbox.push(Message::Ping(Bytes::new()));
            }
        }
        ControlFlow::Continue(())
    }
}

fn close<T>(code: CloseCode, reason: &'static str) -> Step<T> {
    ControlFlow::Break(End::Close(code, reason))
}

fn configuration(options: &RpcOptions) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(options.message_bytes_max))
        .max_frame_size(Some(options.message_bytes_max))
}

/// What answers on their way hold of a connection's bounds.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    calls: usize,
    bytes: usize,
}

struct Weighed {
    weight: Weight,
    answer: Answer,
}

impl Future for Weighed {
    type Output = (Weight, Option<String>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let text = ready!(Pin::new(&mut self.answer).poll(cx));
        Poll::Ready((self.weight, text))
    }
}
