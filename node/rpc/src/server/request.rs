//! Parsing a caller's text: JSON-RPC 2.0 requests, no deeper than their envelope.
//!
//! Start from [`parse`]. Arguments and ids are kept as their original text; bounds are checked before anything is copied.

use std::fmt;

use libvms_protocol::entry::Authorization;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::RpcOptions;
use super::caller::{self, CallerError};
use crate::error::RpcError;

/// The requests in one text.
#[derive(Debug)]
pub(super) enum Incoming {
    One(Request),
    Batch(Vec<Request>),
    /// Not JSON, or without any request: answered once, with the id `null`.
    Refused(RpcError),
}

#[derive(Debug)]
pub(super) enum Request {
    /// `id` is `None` for a notification: it gets no answer.
    Call { id: Option<Box<RawValue>>, call: Box<Call> },
    /// Answered with an error; with the id `null` when the caller's own cannot be read.
    Refused { id: Option<Box<RawValue>>, error: RpcError },
    /// An invalid notification. JSON-RPC requires no answer to it either.
    Ignored,
}

/// A call as its caller sent it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) args: Args,
    /// The key and signature of a caller that signs.
    pub(super) authorization: Option<Box<Authorization>>,
    pub(super) wants_receipt: bool,
}

/// The arguments of a call.
#[derive(Debug)]
pub(super) enum Args {
    /// By position: the text of an array.
    Places(Box<RawValue>),
    /// By name: the text of an object.
    Names(Box<RawValue>),
}

/// Parses one message of a caller.
pub(super) fn parse(text: &str, options: &RpcOptions) -> Incoming {
    if is_array(text) { parse_batch(text, options) } else { parse_one(text, options) }
}

fn is_array(text: &str) -> bool {
    text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('[')
}

fn parse_one(text: &str, options: &RpcOptions) -> Incoming {
    match serde_json::from_str::<Envelope>(text) {
        Ok(envelope) => Incoming::One(envelope.into_request(options)),
        // The parser may have met an error of the shape before an error of the syntax.
        Err(_) if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
            Incoming::Refused(invalid_request(None))
        }
        Err(_) => Incoming::Refused(parse_error()),
    }
}

fn parse_batch(text: &str, options: &RpcOptions) -> Incoming {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = BatchReader { requests_max: options.batch_requests_max }.deserialize(&mut json);
    let batch = match read.and_then(|batch| json.end().map(|()| batch)) {
        Ok(batch) => batch,
        Err(_) => return Incoming::Refused(parse_error()),
    };
    if batch.is_longer {
        let why = format!("a batch has at most {} requests", options.batch_requests_max);
        return Incoming::Refused(invalid_request(Some(why)));
    }
    if batch.requests.is_empty() {
        return Incoming::Refused(invalid_request(Some("the batch is empty".into())));
    }
    Incoming::Batch(batch.requests.into_iter().map(|raw| parse_element(raw, options)).collect())
}

fn parse_element(raw: &RawValue, options: &RpcOptions) -> Request {
    let refused = || Request::Refused { id: None, error: invalid_request(None) };
    // serde would also accept an array as an envelope, with the members in order.
    if !raw.get().starts_with('{') {
        return refused();
    }
    serde_json::from_str::<Envelope>(raw.get())
        .map_or_else(|_| refused(), |envelope| envelope.into_request(options))
}

/// The members of a request, unparsed. A member that is `null` differs from one that is absent.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    caller: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    receipt: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Envelope<'_> {
    fn into_request(self, options: &RpcOptions) -> Request {
        if !self.id.is_none_or(is_id) {
            return Request::Refused { id: None, error: invalid_request(Some("id".into())) };
        }
        let id = self.id.map(ToOwned::to_owned);
        let (Some(method), true) = (self.method.and_then(text_of), self.is_version_2()) else {
            return Request::Refused { id, error: invalid_request(None) };
        };
        match (self.read_call(method, options), id) {
            (Ok(call), id) => Request::Call { id, call: Box::new(call) },
            (Err(error), Some(id)) => Request::Refused { id: Some(id), error },
            (Err(_), None) => Request::Ignored,
        }
    }

    fn read_call(&self, method: String, options: &RpcOptions) -> Result<Call, RpcError> {
        let args = read_args(self.params, options)?;
        let invalid = |error: CallerError| invalid_request(Some(format!("caller: {error}")));
        let authorization = self.caller.map(caller::read).transpose().map_err(invalid)?.map(Box::new);
        let wants_receipt = match self.receipt.map(RawValue::get) {
            None | Some("false" | "null") => false,
            Some("true") => true,
            Some(_) => return Err(invalid_request(Some("receipt".into()))),
        };
        Ok(Call { method, args, authorization, wants_receipt })
    }

    fn is_version_2(&self) -> bool {
        self.jsonrpc
            .is_some_and(|raw| raw.get() == r#""2.0""# || text_of(raw).is_some_and(|text| text == "2.0"))
    }
}

/// Returns whether a value may be an id: a string, a number or `null`.
fn is_id(raw: &RawValue) -> bool {
    matches!(raw.get().as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9' | b'n'))
}

fn text_of(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn read_args(params: Option<&RawValue>, options: &RpcOptions) -> Result<Args, RpcError> {
    // rpc-websockets 3, which nodevms-client 2 uses, sends `null` for no arguments.
    let Some(params) = params.filter(|params| params.get() != "null") else {
        return Ok(Args::Places(no_args()));
    };
    match params.get().as_bytes().first() {
        Some(b'[') if params.get().len() <= options.arguments_bytes_max => {
            Ok(Args::Places(params.to_owned()))
        }
        Some(b'{') if params.get().len() <= options.arguments_bytes_max => Ok(Args::Names(params.to_owned())),
        Some(b'[' | b'{') => Err(RpcError::invalid_params(format!(
            "the arguments are longer than the limit `arguments`: {} of {} bytes of JSON text, which no option moves",
            params.get().len(),
            options.arguments_bytes_max
        ))),
        _ => Err(invalid_request(Some("params".into()))),
    }
}

pub(super) fn no_args() -> Box<RawValue> {
    RawValue::from_string("[]".into()).expect("an empty array is JSON")
}

fn parse_error() -> RpcError {
    RpcError::new(-32700, "Parse error".into(), None)
}

fn invalid_request(why: Option<String>) -> RpcError {
    RpcError::new(-32600, "Invalid Request".into(), why)
}

struct Batch<'a> {
    requests: Vec<&'a RawValue>,
    is_longer: bool,
}

/// A visitor that reads an array to its end, so that its syntax is checked, but keeps no more elements than a batch may
/// have.
struct BatchReader {
    requests_max: usize,
}

impl<'de> DeserializeSeed<'de> for BatchReader {
    type Value = Batch<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for BatchReader {
    type Value = Batch<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a batch of requests")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut requests = vec![];
        while requests.len() < self.requests_max {
            match elements.next_element()? {
                Some(request) => requests.push(request),
                None => return Ok(Batch { requests, is_longer: false }),
            }
        }
        let mut is_longer = false;
        while elements.next_element::<IgnoredAny>()?.is_some() {
            is_longer = true;
        }
        Ok(Batch { requests, is_longer })
    }
}
