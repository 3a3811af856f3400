//! The call log: one block per entry, in strict DAG-CBOR.
//!
//! Block 0 is an [`Init`], which pins the script, the engine and the limits; then follow [`Call`]s with their
//! outcomes, and now and then an [`Epoch`], which discards the heap, or an [`Upgrade`]. [`Entry::encode`] and
//! [`Entry::decode`] are inverse: every entry has one encoding, and any other is refused, so that signed bytes have
//! one meaning and one form.
//!
//! [`EntryError`] tells three cases apart: bytes that break the format, which only a dishonest or broken host writes;
//! an entry over a limit, likewise; and an entry of a later version, which proves nothing.

mod bounded;
pub mod call;
pub mod caller;
pub mod deploy;
pub mod files;
pub mod format;
pub mod limits;
pub mod oracle;
mod tagged;
#[cfg(test)]
mod tests;
mod time;

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use call::{Call, CallEntry, CallResult, Fault, Outcome, OutcomeError, Thrown};
pub use caller::{Authorization, Caller, Intention, Seen};
pub use deploy::{Auth, Engine, Epoch, Init, Upgrade};
pub use files::{FilesChange, FilesHead, FilesLengths};
pub use format::Format;
pub use limits::Limits;
pub use oracle::{Effect, OracleAnswer, OracleCode, OracleError, Question};

use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::limits::BLOCK_BYTES_MAX;
use libvms_hypercore::tree::Hash;

use crate::value;
use tagged::Tagged;

/// One block of a call log.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "nearly all entries are calls")]
pub enum Entry {
    /// Block 0, and no other: the service and how it runs.
    Init(Init),
    /// A call and its outcome.
    Call(CallEntry),
    /// The heap is discarded and the script loaded again; the archive stays.
    Epoch(Epoch),
    /// Another script replaces the current one.
    Upgrade(Upgrade),
}

/// Why a block is not an entry that can be judged.
#[derive(Debug, Error)]
pub enum EntryError {
    /// The block is not the canonical encoding of an entry: no honest host writes this.
    #[error("malformed entry: {why}")]
    Malformed {
        /// The decoder's message, for people.
        why: String,
    },
    /// A part is larger than its limit: no honest host writes this.
    #[error("malformed entry: {what} has {bytes} bytes, the limit is {max}")]
    TooLarge {
        /// The part.
        what: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The entry seems to be written by a later version of the format: it cannot be judged.
    #[error("unknown {what} `{found}`: the log may be written by a later version")]
    Unknown {
        /// The part: `entry type`, `format version` or `fault`.
        what: &'static str,
        /// The value found there.
        found: String,
    },
}

/// The fields that every entry has, read before all others.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    v: Option<u64>,
}

impl Entry {
    /// Returns the bytes of the block.
    ///
    /// # Errors
    /// [`EntryError::TooLarge`] if a part is over its limit.
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        self.check()?;
        let bytes = encode(self);
        within("the entry", bytes.len(), BLOCK_BYTES_MAX)?;
        Ok(bytes)
    }

    /// Reads a block of a log of any version. An `init` names its version itself; for all other entries, see
    /// [`Entry::decode_in`].
    ///
    /// # Errors
    /// [`EntryError`]; each variant says what it means about the host.
    pub fn decode(block: &[u8]) -> Result<Self, EntryError> {
        within("the entry", block.len(), BLOCK_BYTES_MAX)?;
        let Kind { kind, v } = decode(block)?;
        if let Some(version) = v.filter(|version| *version > Format::LATEST.version()) {
            return Err(unknown("format version", version));
        }
        let entry = match kind.as_ref() {
            "init" => Self::Init(decode_tagged(block)?),
            "call" => Self::Call(decode_tagged(block)?),
            "epoch" => Self::Epoch(decode_tagged(block)?),
            "upgrade" => Self::Upgrade(decode_tagged(block)?),
            _ => return Err(unknown("entry type", kind.chars().take(100).collect::<String>())),
        };
        entry.check()?;
        // The decoder refuses most non-canonical encodings; comparing the bytes refuses the rest.
        if entry.encode()? != block {
            return Err(malformed("not in the canonical encoding"));
        }
        Ok(entry)
    }

    /// Reads a block of a log whose block 0 names `format`.
    ///
    /// # Errors
    /// As [`Entry::decode`]. An entry with a field that its format does not have, or without one that it requires, is
    /// malformed.
    pub fn decode_in(block: &[u8], format: Format) -> Result<Self, EntryError> {
        let entry = Self::decode(block)?;
        entry.check_format(format)?;
        Ok(entry)
    }

    /// Checks that the entry may be in a log whose block 0 names `format`.
    ///
    /// # Errors
    /// [`EntryError::Malformed`] if it may not: no honest host writes it there.
    pub fn check_format(&self, format: Format) -> Result<(), EntryError> {
        match self {
            Self::Init(entry) if entry.v == format => Ok(()),
            Self::Init(entry) => {
                Err(malformed(format_args!("an init of v {} in a log of v {format}", entry.v)))
            }
            Self::Call(entry) => entry.check_format(format),
            Self::Epoch(_) if format == Format::V1 => Ok(()),
            Self::Epoch(_) => Err(malformed("an epoch in a log whose init has no `epoch`")),
            Self::Upgrade(entry) => entry.limits.check_format(format),
        }
    }

    /// Returns whether a block claims to be an entry of some kind, known or not, well-formed or not. A core whose first
    /// block does not is not a call log.
    pub fn is_named(block: &[u8]) -> bool {
        block.len() <= BLOCK_BYTES_MAX && decode::<Kind<'_>>(block).is_ok()
    }

    /// Returns the length in bytes of the first CBOR item in `bytes`, without decoding it: this separates entries that
    /// are stored one after another. `None` if the item does not end within `bytes`. A byte that cannot begin an item
    /// counts as an item of its own, which [`Entry::decode`] refuses.
    pub fn first_length(bytes: &[u8]) -> Option<usize> {
        let (mut at, mut items_left) = (0_usize, 1_u64);
        while items_left > 0 {
            let head = *bytes.get(at)?;
            let (major, short) = (head >> 5, head & 0x1f);
            let extra = match short {
                0..=23 => 0,
                24..=27 => 1_usize << (short - 24),
                _ => return Some(at + 1),
            };
            let argument = bytes.get(at + 1..)?.get(..extra)?;
            let number = argument.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            let number = if extra == 0 { u64::from(short) } else { number };
            at += 1 + extra;
            items_left -= 1;
            let (skipped, inside) = match major {
                2 | 3 => (number, 0),
                4 => (0, number),
                5 => (0, number.saturating_mul(2)),
                6 => (0, 1),
                _ => (0, 0),
            };
            at = at.checked_add(usize::try_from(skipped).ok()?)?;
            items_left = items_left.saturating_add(inside);
        }
        (at <= bytes.len()).then_some(at)
    }

    fn check(&self) -> Result<(), EntryError> {
        match self {
            Self::Init(entry) => entry.check(),
            Self::Call(entry) => entry.check(),
            Self::Epoch(_) => Ok(()),
            Self::Upgrade(entry) => entry.check(),
        }
    }
}

/// Returns the id of a call that is, or would be, block `block` of a log: the script sees it as `System.call.id`, to pass on to
/// whom it asks or tells something.
///
/// A call that its caller sends or signs again keeps it, and no other call has it: `hex(H("libvms/call-id/1" || dag-cbor({log,
/// userId, nonce, methodName, args})))`, with the smallest of `nonce` and `instead`. Without a nonce, `block` and `at` stand in
/// its place: never the block alone, which another call may get after a crash.
pub fn call_id(log: &PublicKey, block: BlockIndex, call: &Call) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Named<'a> {
        log: &'a PublicKey,
        user_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        nonce: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        block: Option<BlockIndex>,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<u64>,
        method_name: &'a str,
        args: &'a [value::Value],
    }
    let nonce = call.nonce.map(|nonce| call.instead.iter().flatten().copied().fold(nonce, u64::min));
    let (block, at) = match nonce {
        Some(_) => (None, None),
        None => (Some(block), Some(call.at)),
    };
    let (user_id, method_name, args) = (call.user_id.as_deref(), call.method_name.as_str(), &call.args[..]);
    let named = encode(&Named { log, user_id, nonce, block, at, method_name, args });
    Hash(blake2b(&[b"libvms/call-id/1", &named])).to_string()
}

/// Returns the seed of `Math.random` for block `block` of a log: neither host nor caller chooses it freely.
///
/// `blake2b("libvms/seed/1" || log key || u64le(block) || u64le(at))`
pub fn seed(log: &PublicKey, block: BlockIndex, at: u64) -> [u8; 32] {
    blake2b(&[b"libvms/seed/1", &log.0, &block.0.to_le_bytes(), &at.to_le_bytes()])
}

fn encode<T: Serialize>(entry: &T) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(entry).expect("entries hold nothing that DAG-CBOR cannot express")
}

fn decode<'a, T: Deserialize<'a>>(block: &'a [u8]) -> Result<T, EntryError> {
    serde_ipld_dagcbor::from_slice(block).map_err(malformed)
}

/// Reads an entry of a kind that is known.
fn decode_tagged<T: DeserializeOwned>(block: &[u8]) -> Result<T, EntryError> {
    decode(block).map(|Tagged(entry)| entry)
}

fn malformed(why: impl ToString) -> EntryError {
    EntryError::Malformed { why: why.to_string() }
}

fn unknown(what: &'static str, found: impl ToString) -> EntryError {
    EntryError::Unknown { what, found: found.to_string() }
}

fn within(what: &'static str, bytes: usize, max: usize) -> Result<(), EntryError> {
    if bytes <= max { Ok(()) } else { Err(EntryError::TooLarge { what, bytes, max }) }
}
