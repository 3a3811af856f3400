//! A caller's WebSocket (RFC 6455), from its first message to its end.
//!
//! Start from [`Session::run`]. One task owns the socket and every pending answer: it takes answers, writes them
//! together and in the order of their calls, and reads only while the caller is within its bounds.

mod frames;
mod outgoing;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use futures::future::{BoxFuture, poll_fn};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Interval, Sleep};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::lingering_close::linger;
use crate::server::RpcOptions;
use crate::server::admission::{Charge, ConnectionPermit, QuotaExceeded};
use crate::server::cost;
use crate::server::dispatcher::{Dispatcher, PendingResponse};
use frames::{Broken, Frames, Received};
use outgoing::Outgoing;

/// Pings in a row that a caller may leave unanswered: a bad link loses a pong now and then.
const SILENCES_MAX: u32 = 2;

/// The assumed bytes of the first answers: the longest result of a LibVMS service.
const ANSWER_BYTES_EXPECTED: usize = 1 << 20;

/// A caller's WebSocket.
pub(super) struct Session<S> {
    socket: S,
    permit: ConnectionPermit,
    caller: Dispatcher,
    frames: Frames,
    /// A message that waits until there is room for the memory of its calls.
    waiting: Option<(String, BoxFuture<'static, Result<Charge, QuotaExceeded>>)>,
    answers: FuturesUnordered<Pending>,
    /// Answers that are ready while an earlier one is pending.
    early: BTreeMap<u64, Option<String>>,
    early_bytes: usize,
    /// The numbers of the next message and of the next answer to send.
    next_message: u64,
    next_answer: u64,
    in_flight: Weight,
    /// Bytes of recent answers: bounds how many more calls may be begun.
    answer_bytes_expected: usize,
    outgoing: Outgoing,
    /// Runs while the backlog exceeds its bound.
    patience: Option<Pin<Box<Sleep>>>,
    pings: Interval,
    /// Whether there was a sign of life since the last tick of `pings`.
    was_heard: bool,
    /// Pings in a row without a pong.
    missed_pongs: u32,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    is_stopping: bool,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The server closes the WebSocket, with a code and a reason.
    Close(CloseCode, &'static str),
    /// The caller has closed it.
    Closed(Option<CloseCode>),
    /// The connection's place or memory is needed: the caller gets the reason if that takes no time.
    Evicted,
    /// The connection is lost, or there is no time for a closing handshake.
    Lost,
}

type Step<T> = ControlFlow<End, T>;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Returns a session on a socket just upgraded to a WebSocket; `read` are the bytes received behind the upgrade request.
    pub(super) fn new(
        socket: S,
        permit: ConnectionPermit,
        read: &[u8],
        caller: Dispatcher,
        stopping: WaitForCancellationFutureOwned,
    ) -> Self {
        let options = &caller.options;
        let period = options.ping_interval;
        let frames = Frames::new(read, options.message_bytes_max, options.body_timeout);
        Self {
            socket,
            frames,
            waiting: None,
            answers: FuturesUnordered::new(),
            early: BTreeMap::new(),
            early_bytes: 0,
            next_message: 0,
            next_answer: 0,
            in_flight: Weight::default(),
            answer_bytes_expected: ANSWER_BYTES_EXPECTED.min(options.backlog_bytes_max / 8).max(1),
            outgoing: Outgoing::new(&permit),
            patience: None,
            pings: tokio::time::interval_at(tokio::time::Instant::now() + period, period),
            was_heard: true,
            missed_pongs: 0,
            stopping: Box::pin(stopping),
            is_stopping: false,
            ended: Box::pin(permit.ended().clone().cancelled_owned()),
            permit,
            caller,
        }
    }

    /// Serves the caller until either side ends it.
    pub(super) async fn run(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        tracing::trace!(?end, "session ends");
        let timeout = self.options().close_timeout;
        // Free the caller's memory before the closing handshake, which may take a second or two.
        self.frames.give_up();
        self.waiting = None;
        let (code, reason) = match end {
            End::Close(code, reason) => (Some(code), reason),
            End::Closed(code) => (code, ""),
            End::Evicted => {
                let reason = "the server needs room for other callers";
                self.outgoing.close(Some(CloseCode::Again), reason);
                let _as_far_as_it_goes =
                    self.outgoing.poll_flush(&mut self.socket, &mut Context::from_waker(Waker::noop()));
                return;
            }
            End::Lost => return,
        };
        self.outgoing.close(code, reason);
        let flushed = poll_fn(|cx| self.outgoing.poll_flush(&mut self.socket, cx));
        let _ignored = tokio::time::timeout(timeout, flushed).await;
        linger(&mut self.socket, timeout).await;
    }

    fn options(&self) -> &Arc<RpcOptions> {
        &self.caller.options
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.advance(cx) {
            ControlFlow::Break(end) => Poll::Ready(end),
            ControlFlow::Continue(()) => Poll::Pending,
        }
    }

    /// Makes all progress that is possible, and registers a waker for every event it waits for.
    fn advance(&mut self, cx: &mut Context<'_>) -> Step<()> {
        self.watch_the_place(cx)?;
        self.watch_the_clock(cx)?;
        self.is_stopping = self.is_stopping || self.stopping.as_mut().poll(cx).is_ready();
        loop {
            self.take_answers(cx);
            self.write(cx)?;
            self.watch_the_backlog(cx)?;
            if self.is_stopping && self.answers.is_empty() && self.outgoing.is_flushed() {
                return ControlFlow::Break(End::Close(CloseCode::Away, "the server stops"));
            }
            if !self.read(cx)? {
                return ControlFlow::Continue(());
            }
        }
    }

    /// Ends the session when others need the caller's memory or place.
    fn watch_the_place(&mut self, cx: &mut Context<'_>) -> Step<()> {
        match self.ended.as_mut().poll(cx) {
            Poll::Pending => ControlFlow::Continue(()),
            Poll::Ready(()) if self.outgoing.is_flushed() => ControlFlow::Break(End::Evicted),
            Poll::Ready(()) => ControlFlow::Break(End::Lost),
        }
    }

    /// Takes every answer that is ready, and queues those whose turn it is. All of them are counted: an answer left with
    /// the service would take memory as well.
    fn take_answers(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some((number, weight, text))) = self.answers.poll_next_unpin(cx) {
            self.in_flight.calls -= weight.calls;
            self.in_flight.bytes -= weight.bytes;
            let bytes = text.as_ref().map_or(0, String::len);
            self.expect_answers_of(bytes / weight.calls);
            self.early_bytes += bytes;
            self.early.insert(number, text);
            self.send_in_order();
            self.outgoing.account(self.early_bytes);
        }
    }

    /// Updates the expected length: long answers raise it at once, short ones lower it gradually.
    fn expect_answers_of(&mut self, bytes: usize) {
        self.answer_bytes_expected = bytes.max(self.answer_bytes_expected / 4 * 3).max(1);
    }

    fn send_in_order(&mut self) {
        while let Some(text) = self.early.remove(&self.next_answer) {
            self.next_answer += 1;
            if let Some(text) = text {
                self.early_bytes -= text.len();
                self.outgoing.text(text);
            }
        }
        if self.in_flight.calls == 0 {
            self.permit.heard(false);
        }
    }

    /// Ends the session when its backlog stays full: a burst may fill any backlog, but only a slow reader's stays full.
    fn watch_the_backlog(&mut self, cx: &mut Context<'_>) -> Step<()> {
        if self.outgoing.bytes() + self.early_bytes < self.options().backlog_bytes_max {
            self.patience = None;
            return ControlFlow::Continue(());
        }
        let timeout = self.options().write_timeout;
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        match patience.as_mut().poll(cx) {
            // A close frame would wait behind the backlog.
            Poll::Ready(()) => ControlFlow::Break(End::Lost),
            Poll::Pending => ControlFlow::Continue(()),
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Step<()> {
        let flushed = self.outgoing.poll_flush(&mut self.socket, cx);
        self.outgoing.account(self.early_bytes);
        match flushed {
            Poll::Ready(Err(_)) => ControlFlow::Break(End::Lost),
            Poll::Ready(Ok(())) | Poll::Pending => ControlFlow::Continue(()),
        }
    }

    /// Reads until there is something to write or nothing more to read; returns whether anything was read.
    fn read(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        let mut has_read = false;
        while self.may_read() {
            if self.waiting.is_some() {
                if !self.poll_waiting(cx)? {
                    return ControlFlow::Continue(has_read);
                }
                continue;
            }
            let Poll::Ready(received) = self.frames.poll_next(&mut self.socket, &self.permit, cx) else {
                return ControlFlow::Continue(has_read);
            };
            has_read = true;
            self.was_heard = true;
            self.receive(received)?;
        }
        self.frames.pause();
        ControlFlow::Continue(has_read)
    }

    /// Returns whether to read from the caller. While the caller does not read answers, or has much in flight, reading is
    /// paused: the socket fills up and the caller waits.
    fn may_read(&self) -> bool {
        let options = self.options();
        let is_within = self.in_flight.calls == 0
            || self.in_flight.calls < options.calls_in_flight_max
                && self.in_flight.bytes < options.bytes_in_flight_max
                && (self.in_flight.calls + 1) * self.answer_bytes_expected + self.early_bytes
                    <= options.backlog_bytes_max
                && !self.permit.is_tight();
        is_within && !self.is_stopping && self.outgoing.is_flushed()
    }

    fn receive(&mut self, received: Result<Received, Broken>) -> Step<()> {
        match received {
            Ok(Received::Text(text, charge)) => self.admit(text, charge),
            Ok(Received::Binary) => return close(CloseCode::Unsupported, "requests are text"),
            Ok(Received::Ping(payload)) => self.outgoing.pong(&payload),
            Ok(Received::Pong) => (),
            Ok(Received::Close(code)) => return ControlFlow::Break(End::Closed(code)),
            Err(Broken::TooLong) => return close(CloseCode::Size, "the message is too long"),
            Err(Broken::NotText) => return close(CloseCode::Invalid, "the text is not UTF-8"),
            Err(Broken::Protocol) => return close(CloseCode::Protocol, "this is not WebSocket"),
            Err(Broken::TooSlow) => return close(CloseCode::Policy, "the message took too long"),
            Err(Broken::QuotaExceeded) => return crowded(),
            Err(Broken::Lost) => return ControlFlow::Break(End::Lost),
        }
        ControlFlow::Continue(())
    }

    /// Begins the calls of a message once there is room for their memory.
    fn admit(&mut self, text: String, charge: Charge) {
        self.permit.heard(true);
        let bytes = cost::of_calls(&text);
        // Free the text's charge first: the text is not needed beside the calls parsed from it.
        drop(charge);
        match self.permit.try_reserve(bytes) {
            Some(charge) => self.begin(&text, charge),
            None => self.waiting = Some((text, Box::pin(self.permit.reserve(bytes)))),
        }
    }

    /// Polls the room for the waiting message; returns whether its calls have begun.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        let Some((_, reserving)) = &mut self.waiting else { return ControlFlow::Continue(true) };
        let Poll::Ready(reserved) = reserving.as_mut().poll(cx) else { return ControlFlow::Continue(false) };
        match (reserved, self.waiting.take()) {
            (Ok(charge), Some((text, _))) => self.begin(&text, charge),
            _ => return crowded(),
        }
        ControlFlow::Continue(true)
    }

    fn begin(&mut self, text: &str, charge: Charge) {
        let answer = self.caller.receive(text, charge);
        let weight = Weight { calls: answer.calls(), bytes: text.len() };
        self.in_flight.calls += weight.calls;
        self.in_flight.bytes += weight.bytes;
        self.answers.push(Pending { number: self.next_message, weight, answer });
        self.next_message += 1;
    }

    fn watch_the_clock(&mut self, cx: &mut Context<'_>) -> Step<()> {
        while self.pings.poll_tick(cx).is_ready() {
            let was_heard = std::mem::take(&mut self.was_heard);
            // While reading is paused we cannot see pongs, so do not count them as missed.
            self.missed_pongs = if was_heard || !self.may_read() { 0 } else { self.missed_pongs + 1 };
            if self.missed_pongs > SILENCES_MAX {
                return ControlFlow::Break(End::Lost);
            }
            if !was_heard && self.outgoing.is_flushed() {
                self.outgoing.ping();
            }
        }
        ControlFlow::Continue(())
    }
}

fn close<T>(code: CloseCode, reason: &'static str) -> Step<T> {
    ControlFlow::Break(End::Close(code, reason))
}

fn crowded<T>() -> Step<T> {
    close(CloseCode::Again, "the server has no room for this message; try again in a moment")
}

/// A pending answer's part of a connection's bounds.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    calls: usize,
    bytes: usize,
}

struct Pending {
    number: u64,
    weight: Weight,
    answer: PendingResponse,
}

impl Future for Pending {
    type Output = (u64, Weight, Option<String>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let text = ready!(Pin::new(&mut self.answer).poll(cx));
        Poll::Ready((self.number, self.weight, text))
    }
}
