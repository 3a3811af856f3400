//! From a caller's text to the text of the answer, over WebSocket and HTTP alike.
//!
//! Start from [`Dispatcher::receive`]. No task, channel or timer stands between a connection and its calls: the
//! connection itself polls each [`PendingResponse`].

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use libvms_protocol::entry::Caller;
use serde_json::value::RawValue;

use super::admission::Charge;
use super::named;
use super::request::{self, Args, Incoming, Request};
use super::response::{self, Room};
use super::{CallOrigin, HandshakeRequest, RpcAnswer, RpcCall, RpcOptions, Service};
use crate::error::RpcError;

/// The method that callers with the package rpc-websockets use to get the names of all methods.
const LIST_METHODS: &str = "__listMethods";

/// Dispatches the calls of one caller to one service.
pub(super) struct Dispatcher {
    pub(super) service: Arc<dyn Service>,
    /// The name in the connection's URL.
    pub(super) user: Option<String>,
    pub(super) origin: CallOrigin,
    /// Whether the connection's URL asks for a receipt with each answer.
    pub(super) wants_receipts: bool,
    pub(super) options: Arc<RpcOptions>,
}

impl Dispatcher {
    /// Passes the calls in `text` to the service, in their order, before returning. `charge` is the memory that they hold.
    pub(super) fn receive(&self, text: &str, mut charge: Charge) -> PendingResponse {
        charge.pass_on();
        PendingResponse { answer: Some(self.answer(text)), charge: Some(charge) }
    }

    fn answer(&self, text: &str) -> Dispatched {
        match request::parse(text, &self.options) {
            Incoming::One(request) => match self.begin(request, &mut self.room()) {
                Handled::Call(call) => Dispatched::One(call),
                Handled::Answered(text) => Dispatched::Ready(text),
            },
            Incoming::Batch(requests) => Dispatched::Batch(self.begin_batch(requests)),
            Incoming::Refused(error) => {
                Dispatched::Ready(Some(response::text(None, &Err(error).into(), &mut self.room())))
            }
        }
    }

    fn begin_batch(&self, requests: Vec<Request>) -> Batch {
        let mut batch =
            Batch { calls: FuturesUnordered::new(), begun: 0, parts: vec![], bytes: 0, room: self.room() };
        for (place, request) in requests.into_iter().enumerate() {
            batch.parts.push(None);
            match self.begin(request, &mut batch.room) {
                Handled::Call(call) => batch.calls.push(Part { place, call }),
                Handled::Answered(Some(text)) => batch.add(place, text),
                Handled::Answered(None) => (),
            }
        }
        batch.begun = batch.calls.len();
        batch
    }

    /// Begins a request. What is answered at once takes its room of `room`.
    fn begin(&self, request: Request, room: &mut Room) -> Handled {
        match request {
            Request::Call { id, call } if call.method == "handshake" => {
                Handled::Answered(id.map(|id| self.handshake(&id, &call.args, room)))
            }
            // The package rpc-websockets uses this name.
            Request::Call { id, call } if call.method == LIST_METHODS && !self.lists_methods_itself() => {
                Handled::Answered(id.map(|id| self.list_methods(&id, room)))
            }
            Request::Call { id, call } => match self.call(*call) {
                Ok(answer) => Handled::Call(Call { id, answer, room: *room }),
                Err(error) => {
                    Handled::Answered(id.map(|id| response::text(Some(&id), &Err(error).into(), room)))
                }
            },
            Request::Refused { id, error } => {
                Handled::Answered(Some(response::text(id.as_deref(), &Err(error).into(), room)))
            }
            Request::Ignored => Handled::Answered(None),
        }
    }

    /// Passes a call to the service.
    fn call(&self, call: request::Call) -> Result<BoxFuture<'static, RpcAnswer>, RpcError> {
        let request::Call { method, args, authorization, wants_receipt } = call;
        let args = self.in_places(&method, args)?;
        let caller = match (authorization, &self.user) {
            (Some(authorization), _) => Caller::Key(authorization),
            (None, Some(name)) => Caller::Claimed(name.clone()),
            (None, None) => Caller::Anonymous,
        };
        let wants_receipt = wants_receipt || self.wants_receipts;
        Ok(self.service.call(RpcCall { caller, origin: self.origin, method, args, wants_receipt }))
    }

    fn handshake(&self, id: &RawValue, args: &Args, room: &mut Room) -> String {
        let (Args::Places(text) | Args::Names(text)) = args;
        // Clients of LibVMS may send anything here: what is not understood is not asked for.
        let asked = match args {
            Args::Places(_) => serde_json::from_str(text.get()).map(|(asked,): (HandshakeRequest,)| asked),
            Args::Names(_) => serde_json::from_str(text.get()),
        };
        let members = self.service.handshake(asked.unwrap_or_default());
        let members = serde_json::value::to_raw_value(&members).expect("a JSON object is JSON");
        response::text_with_receipt(id, members, room)
    }

    fn list_methods(&self, id: &RawValue, room: &mut Room) -> String {
        let methods = self.service.handshake(HandshakeRequest::default()).remove("methods");
        let methods = serde_json::value::to_raw_value(&methods.unwrap_or_default()).expect("JSON is JSON");
        response::text(Some(id), &Ok(Some(methods)).into(), room)
    }

    fn lists_methods_itself(&self) -> bool {
        let handshake = self.service.handshake(HandshakeRequest::default());
        let methods = handshake.get("methods").and_then(|methods| methods.as_array());
        methods.is_some_and(|methods| methods.iter().any(|method| method == LIST_METHODS))
    }

    /// Returns the arguments as an array, passed by position or by name.
    fn in_places(&self, method: &str, args: Args) -> Result<Box<RawValue>, RpcError> {
        match args {
            Args::Places(args) => Ok(args),
            Args::Names(args) => named::in_places(method, &args, || self.service.parameters(method)),
        }
    }

    fn room(&self) -> Room {
        Room::new(&self.options)
    }
}

enum Handled {
    Call(Call),
    /// The calls are over; `None` when there is no answer.
    Answered(Option<String>),
}

/// The pending answer to one text of a caller. Resolves to `None` when JSON-RPC requires no answer.
///
/// Dropping it discards the answer; the calls go on, and the memory that they hold counts until they are over.
pub(super) struct PendingResponse {
    answer: Option<Dispatched>,
    charge: Option<Charge>,
}

impl PendingResponse {
    /// Returns the number of calls in flight that the response counts as; at least one, because a refusal takes room, too.
    pub(super) fn calls(&self) -> usize {
        self.answer.as_ref().map_or(1, Dispatched::calls)
    }
}

impl Future for PendingResponse {
    type Output = Option<String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<String>> {
        let Some(answer) = &mut self.answer else { return Poll::Ready(None) };
        let text = ready!(Pin::new(answer).poll(cx));
        self.answer = None;
        self.charge = None;
        Poll::Ready(text)
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else { return };
        let charge = self.charge.take();
        // Without a runtime the calls end, too.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                answer.await;
                drop(charge);
            });
        }
    }
}

enum Dispatched {
    Ready(Option<String>),
    One(Call),
    Batch(Batch),
}

impl Dispatched {
    fn calls(&self) -> usize {
        match self {
            Self::Ready(_) | Self::One(_) => 1,
            Self::Batch(batch) => batch.begun.max(1),
        }
    }
}

impl Future for Dispatched {
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
struct Call {
    /// `None` for a notification.
    id: Option<Box<RawValue>>,
    answer: BoxFuture<'static, RpcAnswer>,
    room: Room,
}

impl Future for Call {
    type Output = Option<String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<String>> {
        let answer = ready!(self.answer.as_mut().poll(cx));
        let mut room = self.room;
        Poll::Ready(self.id.as_deref().map(|id| response::text(Some(id), &answer, &mut room)))
    }
}

/// The calls of one batch. Their answers are sent together, in the order of the requests.
struct Batch {
    calls: FuturesUnordered<Part>,
    begun: usize,
    /// The answers to the requests; `None` while there is none yet.
    parts: Vec<Option<String>>,
    bytes: usize,
    /// What is left for answers to come. Errors are short, so a batch ends soon after it is full.
    room: Room,
}

/// A call of a batch.
struct Part {
    place: usize,
    call: Call,
}

impl Future for Part {
    type Output = (usize, Option<Box<RawValue>>, RpcAnswer);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.call.answer.as_mut().poll(cx));
        Poll::Ready((self.place, self.call.id.take(), answer))
    }
}

impl Batch {
    fn add(&mut self, place: usize, text: String) {
        // The text with the `,` or `[` before it.
        self.bytes += 1 + text.len();
        self.parts[place] = Some(text);
    }
}

impl Future for Batch {
    type Output = Option<String>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<String>> {
        let batch = self.get_mut();
        while let Some((place, id, answer)) = ready!(batch.calls.poll_next_unpin(cx)) {
            if let Some(id) = id {
                let text = response::text(Some(&id), &answer, &mut batch.room);
                batch.add(place, text);
            }
        }
        if batch.bytes == 0 {
            return Poll::Ready(None);
        }
        let mut texts = String::with_capacity(batch.bytes + 1);
        for text in batch.parts.drain(..).flatten() {
            texts.push(if texts.is_empty() { '[' } else { ',' });
            texts.push_str(&text);
        }
        texts.push(']');
        Poll::Ready(Some(texts))
    }
}
