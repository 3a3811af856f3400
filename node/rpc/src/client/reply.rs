//! A server's answers: JSON-RPC 2.0 responses, with what LibVMS adds to them.
//!
//! Start from [`read`]. What an answer holds beyond its outcome is kept as text, for those who asked for it.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::{REFUSED_CODE, RpcError};

/// Bytes of a refusal that is kept for a caller who does not sign.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// What a server sent.
#[derive(Debug)]
pub(super) enum Incoming {
    /// The answer to the request `id`.
    Reply { id: u64, reply: Reply },
    /// A request or a notification of the server: a client need not answer it.
    News,
}

/// The answer to one request.
#[derive(Debug)]
pub(super) struct Reply {
    /// The result, or the error.
    pub(super) outcome: Result<Option<Box<RawValue>>, RpcError>,
    /// Why the host has not executed the call, if it says so: an object, not read yet.
    pub(super) refusal: Option<Box<RawValue>>,
    /// The member `receipt`, not read yet.
    pub(super) receipt: Option<Box<RawValue>>,
}

/// Reads a message.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn read(text: &str) -> Result<Incoming, String> {
    let response: Response = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if response.method.is_some() {
        return Ok(Incoming::News);
    }
    match response.id.and_then(|id| id.get().parse().ok()) {
        Some(id) => Ok(Incoming::Reply { id, reply: response.into_reply() }),
        None => Err(match response.error {
            Some(error) => format!("{} (it could not read a request)", error.message),
            None => "an answer without the id of a request".into(),
        }),
    }
}

impl Reply {
    /// Returns the outcome for a caller who does not sign.
    pub(super) fn into_outcome(self) -> Result<Option<Box<RawValue>>, RpcError> {
        let refusal = self.refusal.filter(|refusal| refusal.get().len() <= REFUSAL_BYTES_MAX);
        let refusal = refusal.and_then(|refusal| serde_json::from_str(refusal.get()).ok());
        self.outcome.map_err(|error| RpcError { refusal, ..error })
    }
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
    receipt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ResponseError {
    code: i64,
    message: String,
    #[serde(default)]
    data: Option<Box<RawValue>>,
    #[serde(default)]
    refusal: Option<Box<RawValue>>,
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
    fn into_reply(self) -> Reply {
        let receipt = self.receipt.map(ToOwned::to_owned);
        match self.error {
            Some(error) => {
                let (error, refusal) = error.split();
                Reply { outcome: Err(error), refusal, receipt }
            }
            None => Reply { outcome: Ok(self.result.map(ToOwned::to_owned)), refusal: None, receipt },
        }
    }
}

impl ResponseError {
    /// Returns the error and the refusal in it.
    fn split(self) -> (RpcError, Option<Box<RawValue>>) {
        let is_object = |raw: &RawValue| raw.get().starts_with('{');
        let (refusal, data) = match self.data {
            Some(data) if self.code == REFUSED_CODE && is_object(&data) => (Some(data), None),
            data => (self.refusal.filter(|refusal| is_object(refusal)), data),
        };
        // Data of LibVMS is text; other data of another server is kept as its JSON text.
        let data = data.map(|data| serde_json::from_str(data.get()).unwrap_or_else(|_| data.get().into()));
        let stack = self.stack.and_then(|stack| stack.as_str().map(str::to_owned));
        (RpcError { details: self.details, stack, ..RpcError::new(self.code, self.message, data) }, refusal)
    }
}
