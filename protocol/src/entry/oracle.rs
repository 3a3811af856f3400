//! What a call asks of the world outside and what it tells it: the answers of oracles, and effects.
//!
//! An answer stands in the log, so that a replay asks nobody. The question itself does not: its hash does, by which a replay
//! sees that it asks the same. Effects stand there whole: they are delivered once the entry is durable, and whoever has the
//! log knows which there were without executing it.

use std::fmt;

use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::tree::Hash;
use libvms_hypercore::tree::hash::leaf;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::bounded::Bounds;
use super::{EntryError, encode, malformed, unknown, within};
use crate::limits;
use crate::value::Value;

/// What a script asks an oracle.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Question {
    /// The oracle's name.
    pub name: String,
    /// The script's arguments.
    pub args: Vec<Value>,
}

/// The hash of a [`Question`], by which a replay knows it: the first 16 bytes of `H(dag-cbor({name, args}))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask(pub [u8; 16]);

/// A question of a call, and how it was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "LoggedAnswer", into = "LoggedAnswer")]
pub struct OracleAnswer {
    /// The question's hash.
    pub ask: Ask,
    /// The answer, or why there is none.
    pub answer: Result<Value, OracleError>,
}

/// Why an oracle gave no answer. The script sees all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OracleError {
    /// The error's `name`: `OracleError`, unless the oracle has others.
    pub name: String,
    /// The error's `message`.
    pub message: String,
    /// The error's `code`.
    pub code: OracleCode,
}

/// The kind of an [`OracleError`] that stands in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum OracleCode {
    /// There was no answer in time, by the host's clock.
    Timeout,
    /// The answer was larger than its bound, or than what was left of the bound of all answers of the call.
    TooLarge,
    /// The host does not ask this.
    Refused,
    /// The oracle failed.
    Failed,
    /// The call ended before the answer was due. No script ever sees it.
    Cancelled,
    /// A code of a later version.
    Other(String),
}

/// Something that a call told the world: delivered once the call is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// The effect's name.
    pub name: String,
    /// The script's arguments.
    #[serde(deserialize_with = "arguments")]
    pub args: Vec<Value>,
}

/// An [`OracleAnswer`] as it is encoded.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoggedAnswer {
    ask: Ask,
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    res: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    err: Option<OracleError>,
}

impl Question {
    /// Returns the question's hash.
    pub fn ask(&self) -> Ask {
        let hash = blake2b(&[&encode(self)]);
        Ask(*hash.first_chunk().expect("a hash has 32 bytes"))
    }

    /// Returns the bytes of the question in DAG-CBOR: at most [`limits::QUESTION_BYTES_MAX`] are asked.
    pub fn bytes(&self) -> usize {
        encode(self).len()
    }
}

impl OracleAnswer {
    /// Returns whether the call ended before the answer was due.
    pub fn is_cancelled(&self) -> bool {
        matches!(&self.answer, Err(error) if error.code == OracleCode::Cancelled)
    }

    fn check(&self) -> Result<usize, EntryError> {
        match &self.answer {
            Ok(value) => {
                let bytes = answer_bytes(value);
                within("an oracle's answer", bytes, limits::ANSWER_BYTES_MAX)?;
                Ok(bytes)
            }
            Err(OracleError { name, message, code }) => {
                within("oracles.err.name", name.len(), limits::ORACLE_ERROR_NAME_BYTES_MAX)?;
                within("oracles.err.message", message.len(), limits::ORACLE_ERROR_MESSAGE_BYTES_MAX)?;
                match code {
                    OracleCode::Other(code) if code == "unknown" => {
                        Err(malformed("an oracle was asked that is unknown"))
                    }
                    OracleCode::Other(code) => Err(unknown("code of an oracle's error", code)),
                    _ => Ok(0),
                }
            }
        }
    }
}

/// Returns the bytes of an answer as the bounds count them: in DAG-CBOR.
pub fn answer_bytes(value: &Value) -> usize {
    encode(value).len()
}

impl OracleError {
    /// Returns an error of the usual name. The message is cut at its bound.
    pub fn new(code: OracleCode, message: &str) -> Self {
        let cut = message.floor_char_boundary(limits::ORACLE_ERROR_MESSAGE_BYTES_MAX);
        Self { name: "OracleError".into(), message: message[..cut].into(), code }
    }
}

impl OracleCode {
    /// Returns the word in the log, which is also what the script sees.
    pub fn name(&self) -> &str {
        match self {
            Self::Timeout => "timeout",
            Self::TooLarge => "too-large",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Other(name) => name,
        }
    }
}

impl From<String> for OracleCode {
    fn from(name: String) -> Self {
        let known = [Self::Timeout, Self::TooLarge, Self::Refused, Self::Failed, Self::Cancelled];
        let code = known.into_iter().find(|code| code.name() == name);
        code.unwrap_or_else(|| Self::Other(name.chars().take(100).collect()))
    }
}

impl From<OracleCode> for String {
    fn from(code: OracleCode) -> Self {
        code.name().into()
    }
}

impl fmt::Display for OracleCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Effect {
    /// Returns the bytes of the effect in DAG-CBOR: those of a call have at most [`limits::EFFECTS_BYTES_MAX`] together.
    pub fn bytes(&self) -> usize {
        encode(self).len()
    }
}

/// Returns the id of an effect: that of `position` among those of the entry `entry`, which is block `block` of `log`.
///
/// No other effect of any log has it, and whoever delivers the effect again gives it again:
/// `hex(H("libvms/effect/1" || log || u64le(block) || leaf hash of the entry || u64le(position)))`.
pub fn effect_id(log: &PublicKey, block: BlockIndex, entry: &[u8], position: u64) -> String {
    let parts: [&[u8]; 5] =
        [b"libvms/effect/1", &log.0, &block.0.to_le_bytes(), &leaf(entry).0, &position.to_le_bytes()];
    Hash(blake2b(&parts)).to_string()
}

/// Checks the names that an `init` lists.
pub(super) fn check_names(what: &'static str, names: &[String]) -> Result<(), EntryError> {
    if names.len() > limits::NAMES_MAX {
        return Err(malformed(format_args!("{what} has {} names", names.len())));
    }
    if !names.is_sorted_by(|one, next| one < next) {
        return Err(malformed(format_args!("{what} is not in ascending order")));
    }
    names.iter().try_for_each(|name| check_name(what, name))
}

pub(super) fn check_answers(answers: &[OracleAnswer]) -> Result<(), EntryError> {
    if answers.len() > limits::QUESTIONS_MAX {
        return Err(malformed(format_args!("{} questions in one call", answers.len())));
    }
    let bytes = answers.iter().try_fold(0, |sum, answer| Ok::<_, EntryError>(sum + answer.check()?))?;
    within("oracles", bytes, limits::ANSWERS_BYTES_MAX)
}

pub(super) fn check_effects(effects: &[Effect]) -> Result<(), EntryError> {
    if effects.len() > limits::EFFECTS_MAX {
        return Err(malformed(format_args!("{} effects of one call", effects.len())));
    }
    effects.iter().try_for_each(|effect| check_name("effects.name", &effect.name))?;
    within("effects", effects.iter().map(Effect::bytes).sum(), limits::EFFECTS_BYTES_MAX)
}

fn check_name(what: &'static str, name: &str) -> Result<(), EntryError> {
    if name.is_empty() {
        return Err(malformed(format_args!("an empty name in {what}")));
    }
    within(what, name.len(), limits::NAME_BYTES_MAX)
}

impl From<OracleAnswer> for LoggedAnswer {
    fn from(OracleAnswer { ask, answer }: OracleAnswer) -> Self {
        match answer {
            Ok(value) => Self { ask, res: Some(value), err: None },
            Err(error) => Self { ask, res: None, err: Some(error) },
        }
    }
}

impl TryFrom<LoggedAnswer> for OracleAnswer {
    type Error = &'static str;

    fn try_from(logged: LoggedAnswer) -> Result<Self, Self::Error> {
        match logged {
            LoggedAnswer { ask, res: Some(value), err: None } => Ok(Self { ask, answer: Ok(value) }),
            LoggedAnswer { ask, res: None, err: Some(error) } => Ok(Self { ask, answer: Err(error) }),
            _ => Err("an oracle's answer is one of res and err"),
        }
    }
}

impl Serialize for Ask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Ask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl de::Visitor<'_> for Bytes {
            type Value = Ask;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("16 bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Ask, E> {
                bytes.try_into().map(Ask).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

/// Bytes that a value may have as JSON text for each of its bytes in DAG-CBOR, at most: `null,` is one byte there.
const JSON_PER_CBOR: usize = 5;

/// Reads `null` as `Some(Value::Null)`: only a missing `res` is none.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize_within(JSON_PER_CBOR * limits::ANSWER_BYTES_MAX, deserializer).map(Some)
}

/// Reads the answers to a call, and no more than a call may have.
pub(super) fn answers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<OracleAnswer>, D::Error> {
    let bytes_of = |answer: &OracleAnswer| answer.answer.as_ref().map_or(0, answer_bytes);
    Bounds { items_max: limits::QUESTIONS_MAX, bytes_max: limits::ANSWERS_BYTES_MAX, bytes_of }
        .read(deserializer)
}

/// Reads the effects of a call, and no more than a call may have.
pub(super) fn effects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Effect>, D::Error> {
    let bounds = Bounds {
        items_max: limits::EFFECTS_MAX,
        bytes_max: limits::EFFECTS_BYTES_MAX,
        bytes_of: Effect::bytes,
    };
    bounds.read(deserializer)
}

/// Reads the names that an `init` lists, and no more than it may have.
pub(super) fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Bounds { items_max: limits::NAMES_MAX, bytes_max: usize::MAX, bytes_of: String::len }.read(deserializer)
}

/// Reads the arguments of an effect.
fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    match Value::deserialize_within(JSON_PER_CBOR * limits::EFFECTS_BYTES_MAX, deserializer)? {
        Value::Array(args) => Ok(args),
        _ => Err(de::Error::custom("the arguments are no array")),
    }
}
