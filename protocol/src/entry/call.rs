//! A call and its outcome.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use super::caller::{Authorization, Caller, Seen};
use super::files::FilesChange;
use super::oracle::{self, Effect, OracleAnswer, check_answers, check_effects};
use super::time::check_time;
use super::{EntryError, Format, malformed, unknown, within};
use crate::limits;
use crate::value::{self, Value};
use libvms_hypercore::identity::{PublicKey, Signature};
use libvms_hypercore::limits::INTEGER_MAX;

/// A call with its outcome, as one block holds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallEntry {
    /// The call.
    pub call: Call,
    /// What the script asked oracles during the call, in the order of its questions. Not in format 1.
    #[serde(default, deserialize_with = "oracle::answers", skip_serializing_if = "Vec::is_empty")]
    pub oracles: Vec<OracleAnswer>,
    /// What the call told the world, in the order of its telling. Only of calls that returned; not in format 1.
    #[serde(default, deserialize_with = "oracle::effects", skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// The outcome, as the block holds it.
    pub result: CallResult,
}

/// The request of a caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call {
    /// The caller; `None` for an anonymous one.
    #[serde(deserialize_with = "present")]
    pub user_id: Option<String>,
    /// The exported function.
    pub method_name: String,
    /// The arguments of the function.
    #[serde(deserialize_with = "arguments")]
    pub args: Vec<Value>,
    /// When the host executed the call, in milliseconds since 1970; never before the previous entry.
    pub at: u64,
    /// Increases with each call of the same signed caller, so that a host cannot repeat a call: microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<u64>,
    /// A head of the log that the signed caller has verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Nonces of the signed caller's calls that this one replaces, ascending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Vec<u64>>,
    /// The caller's signature (see [`Intention::signable`](super::caller::Intention::signable)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sig: Option<Signature>,
}

/// The `result` of an entry as it is encoded; [`CallResult::outcome`] interprets it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallResult {
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    res: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    err: Option<Thrown>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<FilesChange>,
}

/// The outcome of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The call returned a value (`None` for `undefined`), and may have changed the archive.
    Returned {
        /// The value.
        value: Option<Value>,
        /// The archive after the call; `None` if the call did not change it.
        files: Option<FilesChange>,
    },
    /// The call threw. Its writes are discarded.
    Threw(Thrown),
    /// The call was stopped. Its writes are discarded.
    Fault(Fault),
}

/// An error that a script threw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thrown {
    /// The error's `name`.
    pub name: String,
    /// The error's `message`.
    pub message: String,
    /// The error's own `code`, if it is one that a script may choose: see [`is_own_code`]. Not in format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// The error's own `data`, if JSON can express it. Not in format 1.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// The code of a script's error that has no code of its own.
pub const SCRIPT_ERROR_CODE: i64 = -32_000;

/// Returns whether a script may choose this code for its errors: an integer that every JSON reader takes exactly, and
/// outside the range that JSON-RPC 2.0 reserves (section 5.1).
pub fn is_own_code(code: i64) -> bool {
    code.unsigned_abs() < INTEGER_MAX.unsigned_abs() && !(-32_768..=SCRIPT_ERROR_CODE).contains(&code)
}

/// The reason why a call was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call took more steps than its limit. Every replay stops at the same place.
    Fuel,
    /// The call wrote or returned more bytes than its limit. Every replay stops at the same place.
    Output,
    /// The host's clock stopped the call. No replay can tell, so the call has no effect at all, not even on the heap.
    Killed,
}

/// Why a `result` cannot be interpreted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OutcomeError {
    /// The fields contradict each other: no honest host writes this.
    #[error("a result holds {0}")]
    Contradictory(&'static str),
    /// The fault is not known to this version.
    #[error("unknown fault `{0}`")]
    UnknownFault(String),
}

impl CallEntry {
    /// Creates an entry in the latest format, of a call that asked and told nobody anything.
    pub fn new(call: Call, outcome: Outcome) -> Self {
        Self { call, oracles: vec![], effects: vec![], result: outcome.into() }
    }

    pub(super) fn check_format(&self, format: Format) -> Result<(), EntryError> {
        match format {
            Format::V1 if self.call.has_signed_fields() => Err(malformed("a signed call in a log of v 1")),
            Format::V1 if !(self.oracles.is_empty() && self.effects.is_empty()) => {
                Err(malformed("oracles or effects in a log of v 1"))
            }
            Format::V1 | Format::V2 => self.result.check_format(format),
        }
    }

    pub(super) fn check(&self) -> Result<(), EntryError> {
        self.call.check()?;
        self.result.check()?;
        check_answers(&self.oracles)?;
        check_effects(&self.effects)?;
        let CallResult { err, fault, .. } = &self.result;
        if fault.as_deref() == Some(Fault::Killed.name()) && !self.oracles.is_empty() {
            return Err(malformed("oracles of a call that was killed"));
        }
        if (err.is_some() || fault.is_some()) && !self.effects.is_empty() {
            return Err(malformed("effects of a call that failed"));
        }
        Ok(())
    }
}

impl Thrown {
    /// Creates an error with neither code nor details of its own.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into(), code: None, details: None }
    }
}

impl Outcome {
    /// Returns this outcome as a log of `format` holds it: without the fields that the format does not have.
    #[must_use]
    pub fn in_format(self, format: Format) -> Self {
        match (format, self) {
            (Format::V1, Self::Returned { value, files }) => {
                Self::Returned { value, files: files.map(|files| FilesChange { from: None, ..files }) }
            }
            (Format::V1, Self::Threw(thrown)) => Self::Threw(Thrown::new(thrown.name, thrown.message)),
            (Format::V1 | Format::V2, outcome) => outcome,
        }
    }
}

impl Call {
    /// Creates a call at the time `at`, in milliseconds since 1970.
    pub fn new(caller: Caller, method: impl Into<String>, args: Vec<Value>, at: u64) -> Self {
        let (user_id, method_name) = (caller.id(), method.into());
        let plain =
            Self { user_id, method_name, args, at, nonce: None, seen: None, instead: None, sig: None };
        match caller {
            Caller::Anonymous | Caller::Claimed(_) => plain,
            Caller::Key(authorization) => {
                let Authorization { key: _, nonce, seen, instead, sig } = *authorization;
                Self { nonce: Some(nonce), seen, instead, sig: Some(sig), ..plain }
            }
        }
    }

    /// Returns the key and signature that the call carries; `None` unless it has a key's id, a nonce and a signature.
    /// Neither the signature nor the form of `instead` is checked.
    pub fn authorization(&self) -> Option<Authorization> {
        let key = self.user_id.as_deref().and_then(key_of_id)?;
        let (seen, instead) = (self.seen, self.instead.clone());
        Some(Authorization { key, nonce: self.nonce?, seen, instead, sig: self.sig? })
    }

    /// Returns whether the call carries any of the fields that only signed calls have.
    pub fn has_signed_fields(&self) -> bool {
        self.nonce.is_some() || self.seen.is_some() || self.instead.is_some() || self.sig.is_some()
    }

    /// Returns whether the call carries the signature of the caller that it names. Only the log shows whether its numbers
    /// are new.
    pub fn is_signed(&self, log: &PublicKey) -> bool {
        self.authorization().is_some_and(|by| by.verifies(log, &self.method_name, &self.args))
    }

    fn check_caller(&self) -> Result<(), EntryError> {
        within("call.userId", self.user_id.as_ref().map_or(0, String::len), limits::USER_ID_BYTES_MAX)?;
        let numbers = self.instead.iter().flatten().chain(&self.nonce).copied();
        let lengths = self.seen.map(|seen| seen.length.0);
        match numbers.chain(lengths).find(|number| *number > limits::NONCE_MAX) {
            Some(number) => Err(malformed(format_args!("{number} is larger than any nonce or length"))),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), EntryError> {
        within("call.methodName", self.method_name.len(), limits::METHOD_NAME_BYTES_MAX)?;
        within("the JSON text of call.args", arguments_bytes_min(&self.args), limits::ARGUMENTS_BYTES_MAX)?;
        self.check_caller()?;
        check_time(self.at)
    }
}

/// Returns a number of bytes that no JSON text of these arguments falls below. The log does not tell which text they were, so they
/// count as short as it can have been.
pub fn arguments_bytes_min(args: &[Value]) -> usize {
    value::array_bytes_min(args)
}

/// Reads a caller's id: a key has one spelling, so that no host can repeat a call under another one.
fn key_of_id(id: &str) -> Option<PublicKey> {
    let key = id.parse::<PublicKey>().ok()?;
    (key.to_string() == id).then_some(key)
}

impl CallResult {
    /// Returns the archive after the call, if the call changed it.
    pub fn files(&self) -> Option<&FilesChange> {
        self.files.as_ref()
    }

    /// Interprets the fields together.
    ///
    /// # Errors
    /// If they contradict each other, or name a fault of a later version.
    pub fn outcome(&self) -> Result<Outcome, OutcomeError> {
        self.check_fields()?;
        Ok(match (&self.err, &self.fault) {
            (Some(thrown), _) => Outcome::Threw(thrown.clone()),
            (_, Some(fault)) => Outcome::Fault(fault.parse()?),
            (None, None) => Outcome::Returned { value: self.res.clone(), files: self.files },
        })
    }

    /// Checks that the fields do not contradict each other. Copies none of them.
    fn check_fields(&self) -> Result<(), OutcomeError> {
        match (&self.res, &self.err, &self.fault, &self.files) {
            (_, None, None, _) | (None, Some(_), None, None) => Ok(()),
            (None, None, Some(fault), None) => fault.parse::<Fault>().map(drop),
            (_, _, _, Some(_)) => Err(OutcomeError::Contradictory("files of a call that failed")),
            _ => Err(OutcomeError::Contradictory("more than one of res, err and fault")),
        }
    }

    fn check_format(&self, format: Format) -> Result<(), EntryError> {
        let from = self.files.map(|files| files.from.is_some());
        let has_code =
            self.err.as_ref().is_some_and(|thrown| thrown.code.is_some() || thrown.details.is_some());
        match format {
            Format::V1 if from == Some(true) => Err(malformed("result.files.from in a log of v 1")),
            Format::V1 if has_code => Err(malformed("a code or details of an error in a log of v 1")),
            Format::V2 if from == Some(false) => Err(malformed("no result.files.from in a log of v 2")),
            Format::V1 | Format::V2 => Ok(()),
        }
    }

    fn check(&self) -> Result<(), EntryError> {
        let json_bytes = |value: &Option<Value>| value.as_ref().map_or(0, Value::json_bytes_min);
        within("the JSON text of result.res", json_bytes(&self.res), limits::RESULT_BYTES_MAX)?;
        if let Some(Thrown { name, message, code, details }) = &self.err {
            within("the JSON text of result.err.details", json_bytes(details), limits::RESULT_BYTES_MAX)?;
            within("result.err.name", name.len(), limits::ERROR_TEXT_BYTES_MAX)?;
            within("result.err.message", message.len(), limits::ERROR_TEXT_BYTES_MAX)?;
            if let Some(code) = code.filter(|code| !is_own_code(*code)) {
                return Err(malformed(format_args!(
                    "result.err.code {code} is none that a script may choose"
                )));
            }
        }
        match self.check_fields() {
            Ok(()) => Ok(()),
            Err(OutcomeError::UnknownFault(fault)) => Err(unknown("fault", fault)),
            Err(error) => Err(malformed(error)),
        }
    }
}

impl From<Outcome> for CallResult {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Returned { value, files } => Self { res: value, files, ..Self::default() },
            Outcome::Threw(thrown) => Self { err: Some(thrown), ..Self::default() },
            Outcome::Fault(fault) => Self { fault: Some(fault.name().into()), ..Self::default() },
        }
    }
}

impl Fault {
    /// Returns the word that is written to the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Output => "output",
            Self::Killed => "killed",
        }
    }
}

impl std::str::FromStr for Fault {
    type Err = OutcomeError;

    fn from_str(name: &str) -> Result<Self, OutcomeError> {
        [Self::Fuel, Self::Output, Self::Killed]
            .into_iter()
            .find(|fault| fault.name() == name)
            .ok_or_else(|| OutcomeError::UnknownFault(name.chars().take(100).collect()))
    }
}

/// Reads `null` as `Some(Value::Null)`: only a missing `res` is `undefined`.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize_within(limits::RESULT_BYTES_MAX, deserializer).map(Some)
}

/// Reads the arguments of a call, and no more than a call may have.
pub(crate) fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    match Value::deserialize_within(limits::ARGUMENTS_BYTES_MAX, deserializer)? {
        Value::Array(args) => Ok(args),
        _ => Err(D::Error::custom("the arguments are no array")),
    }
}

/// Reads text or `null`; unlike serde's own handling of options, a missing member is an error.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}
