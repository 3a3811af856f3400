//! From a caller's text to the text of the answer, whichever way both travel.
//!
//! Start from [`Caller::receive`]. No task, channel or timer stands between a connection and its calls: an
//! [`Answer`] is polled by the connection itself.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::value::RawValue;

use super::request::{self, Incoming, Request};
use super::response::{self, Outcome};
use super::{RpcCall, RpcError, RpcOptions, Service};

/// One caller of one service.
pub(super) struct Caller {
    pub(super) service: Arc<dyn Service>,
    pub(super) user_id: Option<String>,
    pub(super) options: Arc<RpcOptions>,
}

impl Caller {
    /// Hands each call in `text` to the service, in their order, before it returns.
    pub(super) fn receive(&self, text: &str) -> Answer {
        match request::parse(text, &self.options) {
            Incoming::One(request) => match self.begin(request) {
                Begun::Call(call) => Answer::One(call),
                Begun::Answered(text) => Answer::Ready(text),
            },
            Incoming::Batch(requests) => Answer::Batch(self.begin_batch(requests)),
            Incoming::Refused(error) => Answer::Ready(Some(self.refusal(None, error))),
        }
    }

    fn begin_batch(&self, requests: Vec<Request>) -> Batch {
        let mut batch = Batch {
            calls: FuturesUnordered::new(),
            begun: 0,
            texts: String::new(),
            bytes_max: self.options.answer_bytes_max,
        };
        for request in requests {
            match self.begin(request) {
                Begun::Call(call) => batch.calls.push(call),
                Begun::Answered(Some(text)) => batch.add(&text),
                Begun::Answered(None) => (),
            }
        }
        batch.begun = batch.calls.len();
        batch
    }

    fn begin(&self, request: Request) -> Begun {
        match request {
            Request::Call { id, method, .. } if method == "handshake" => {
                Begun::Answered(id.map(|id| self.handshake(&id)))
            }
            Request::Call { id, method, args } => {
                let call = RpcCall { user_id: self.user_id.clone(), method, args };
                Begun::Call(Call {
                    id,
                    outcome: self.service.call(call),
                    bytes_max: self.options.answer_bytes_max,
                })
            }
            Request::Refused { id, error } => Begun::Answered(Some(self.refusal(id.as_deref(), error))),
            Request::Ignored => Begun::Answered(None),
        }
    }

    fn handshake(&self, id: &RawValue) -> String {
        let members =
            serde_json::value::to_raw_value(&self.service.handshake()).expect("a JSON object is JSON");
        response::text(Some(id), &Ok(Some(members)), self.options.answer_bytes_max)
    }

    fn refusal(&self, id: Option<&RawValue>, error: RpcError) -> String {
        response::text(id, &Err(error), self.options.answer_bytes_max)
    }
}

enum Begun {
    Call(Call),
    /// Nothing is left to wait for, and perhaps nothing to say.
    Answered(Option<String>),
}

/// The answer to one text of a caller, on its way. Gives `None` when the standard wants none.
///
/// Dropping it gives up the answer, not the calls.
pub(super) enum Answer {
    Ready(Option<String>),
    One(Call),
    Batch(Batch),
}

impl Answer {
    /// How many calls it counts for until it is done; never none, since even a refusal takes room.
    pub(super) fn calls(&self) -> usize {
        match self {
            Self::Ready(_) | Self::One(_) => 1,
            Self::Batch(batch) => batch.begun.max(1),
        }
    }
}

impl Future for Answer {
    type Output = Option<String>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<String>> {
        match self.get_mut() {
            Self::Ready(text) => Poll::Ready(text.take()),
            Self::One(call) => Pin::new(call).poll(cx),
            Self::Batch(batch) => Pin::new(batch).poll(cx),
        }
    }
}

/// A call that the service has begun.
pub(super) struct Call {
    /// `None` for a notification.
    id: Option<Box<RawValue>>,
    outcome: BoxFuture<'static, Outcome>,
    bytes_max: usize,
}

impl Future for Call {
    type Output = Option<String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<String>> {
        let outcome = ready!(self.outcome.as_mut().poll(cx));
        Poll::Ready(self.id.as_deref().map(|id| response::text(Some(id), &outcome, self.bytes_max)))
    }
}

/// The calls of one batch, whose answers leave together.
pub(super) struct Batch {
    calls: FuturesUnordered<Call>,
    begun: usize,
    /// The answers so far, each with a `,` or `[` before it.
    texts: String,
    bytes_max: usize,
}

impl Batch {
    fn add(&mut self, text: &str) {
        self.texts.push(if self.texts.is_empty() { '[' } else { ',' });
        self.texts.push_str(text);
        // What is left for those that still run. Errors are short, so a batch ends soon after it is full.
        let left = self.bytes_max.saturating_sub(self.texts.len());
        for call in &mut self.calls {
            call.bytes_max = left;
        }
    }
}

impl Future for Batch {
    type Output = Option<String>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<String>> {
        let batch = self.get_mut();
        while let Some(answer) = ready!(batch.calls.poll_next_unpin(cx)) {
            if let Some(text) = answer {
                batch.add(&text);
            }
        }
        if batch.texts.is_empty() {
            return Poll::Ready(None);
        }
        batch.texts.push(']');
        Poll::Ready(Some(std::mem::take(&mut batch.texts)))
    }
}
