//! The call log: one block, one entry, strict DAG-CBOR.
//!
//! Block 0 is an [`Init`], which pins the script, the engine and the limits; then come [`Call`]s with their
//! outcomes, and now and then an [`Epoch`], which throws the heap away, or an [`Upgrade`]. [`Entry::encode`] and
//! [`Entry::decode`] are each other's inverse: every entry has one encoding, and any other is refused, so that
//! signed bytes can not be said in two ways.
//!
//! A reader tells three things apart ([`EntryError`]): bytes that break the format, which only a dishonest or broken
//! host writes; an entry over a limit, likewise; and an entry of a later version, which proves nothing.

mod bytes;
pub mod call;
pub mod deploy;
pub mod limits;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use call::{Call, CallEntry, CallResult, Fault, FilesHead, OracleAnswer, Outcome, OutcomeError, Thrown};
pub use deploy::{Auth, Engine, Epoch, Init, Upgrade};
pub use limits::Limits;

use crate::identity::PublicKey;
use crate::limits::BLOCK_BYTES_MAX;
use crate::tree::hash;

/// The version of the format that this crate writes and reads.
pub const FORMAT_VERSION: u64 = 1;

/// One block of a call log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Entry {
    /// What is hosted, and how it runs. Block 0, and no other.
    Init(Init),
    /// A call and how it ended.
    Call(CallEntry),
    /// The heap is thrown away and the script loaded again; what the archive holds stays.
    Epoch(Epoch),
    /// Another script takes over.
    Upgrade(Upgrade),
}

/// Why a block is no entry that can be judged.
#[derive(Debug, Error)]
pub enum EntryError {
    /// Not the one encoding of an entry: no honest host writes this.
    #[error("malformed entry: {why}")]
    Malformed {
        /// What is wrong, for people.
        why: String,
    },
    /// Larger than a limit allows: no honest host writes this.
    #[error("malformed entry: {what} has {bytes} bytes, more than {max}")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// Written by a later version of the format, it seems: nothing can be said about it.
    #[error("this version does not know {what} `{found}`")]
    Unknown {
        /// Which part: `entry type`, `format version` or `fault`.
        what: &'static str,
        /// What stands there.
        found: String,
    },
}

/// What every entry has, read before anything else.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    v: Option<u64>,
}

impl Entry {
    /// The bytes of the block.
    ///
    /// # Errors
    /// [`EntryError::TooLarge`] when a part is over its limit.
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        self.check()?;
        let bytes = encode(self);
        within("the entry", bytes.len(), BLOCK_BYTES_MAX)?;
        Ok(bytes)
    }

    /// Reads a block.
    ///
    /// # Errors
    /// See [`EntryError`] for what its kinds say about the host.
    pub fn decode(block: &[u8]) -> Result<Self, EntryError> {
        within("the entry", block.len(), BLOCK_BYTES_MAX)?;
        let Kind { kind, v } = decode(block)?;
        if let Some(version) = v.filter(|version| *version > FORMAT_VERSION) {
            return Err(unknown("format version", version));
        }
        if !["init", "call", "epoch", "upgrade"].contains(&kind.as_ref()) {
            return Err(unknown("entry type", kind.chars().take(100).collect::<String>()));
        }
        let entry: Self = decode(block)?;
        entry.check()?;
        // The decoder refuses most of what is not canonical; this leaves no room for the rest.
        if entry.encode()? != block {
            return Err(malformed("not in the canonical encoding"));
        }
        Ok(entry)
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

/// Seeds `Math.random` for block `block` of a log: neither host nor caller chooses it freely.
///
/// `blake2b("libvms/seed/1" || log key || u64le(block) || u64le(at))`
pub fn seed(log: &PublicKey, block: u64, at: u64) -> [u8; 32] {
    hash::blake2b(&[b"libvms/seed/1", &log.0, &block.to_le_bytes(), &at.to_le_bytes()])
}

fn encode<T: Serialize>(entry: &T) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(entry).expect("entries hold nothing that DAG-CBOR can not express")
}

fn decode<'a, T: Deserialize<'a>>(block: &'a [u8]) -> Result<T, EntryError> {
    serde_ipld_dagcbor::from_slice(block).map_err(malformed)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SecretKey;
    use crate::limits as bounds;
    use crate::tree::TreeHash;
    use crate::value::Value;

    fn engine() -> Engine {
        let (name, version, build) = ("quickjs-ng".into(), "0.16.2".into(), "disable-assertions".into());
        Engine { name, version, build, api: 1 }
    }

    fn init() -> Init {
        Init {
            v: FORMAT_VERSION,
            code: "exports.f = () => 1".into(),
            title: "test".into(),
            files: PublicKey([1; 32]),
            blobs: PublicKey([2; 32]),
            auth: Auth::Debug,
            at: 1_700_000_000_000,
            engine: engine(),
            limits: Limits::default(),
        }
    }

    fn call() -> Call {
        let args = vec![Value::Integer(-1), Value::Float(0.5), Value::Null, Value::Text("é".into())];
        Call { user_id: Some("bob".into()), method_name: "f".into(), args, at: 5, nonce: None, sig: None }
    }

    fn outcomes() -> Vec<Outcome> {
        let files =
            FilesHead { version: 2, hash: TreeHash([3; 32]), blobs: 1, blobs_hash: TreeHash([4; 32]) };
        let thrown = Thrown { name: "Error".into(), message: "m".into() };
        vec![
            Outcome::Returned { value: None, files: None },
            Outcome::Returned { value: Some(Value::Null), files: Some(files) },
            Outcome::Returned { value: Some(Value::Array(vec![])), files: None },
            Outcome::Threw(thrown),
            Outcome::Fault(Fault::Fuel),
            Outcome::Fault(Fault::Output),
            Outcome::Fault(Fault::Killed),
        ]
    }

    fn entries() -> Vec<Entry> {
        let files =
            FilesHead { version: 1, hash: TreeHash([5; 32]), blobs: 0, blobs_hash: TreeHash([6; 32]) };
        let Init { code, engine, limits, .. } = init();
        let mut entries = vec![
            Entry::Init(init()),
            Entry::Epoch(Epoch { files }),
            Entry::Upgrade(Upgrade { code, engine, limits, sig: crate::identity::Signature([7; 64]) }),
        ];
        entries.extend(outcomes().into_iter().map(|outcome| Entry::Call(CallEntry::new(call(), outcome))));
        let mut with_oracle = CallEntry::new(call(), Outcome::Fault(Fault::Fuel));
        with_oracle.oracles = Some(vec![OracleAnswer::Res(Value::Bool(true))]);
        with_oracle.call.user_id = None;
        with_oracle.call.sign(&SecretKey::from_seed(&[8; 32]), &PublicKey([9; 32]), 1);
        entries.push(Entry::Call(with_oracle));
        entries
    }

    #[test]
    fn every_entry_is_read_as_it_was_written() {
        for entry in entries() {
            let bytes = entry.encode().expect("within the limits");
            assert_eq!(Entry::decode(&bytes).expect("canonical"), entry);
        }
        for outcome in outcomes() {
            assert_eq!(CallResult::from(outcome.clone()).outcome(), Ok(outcome));
        }
    }

    #[test]
    fn a_changed_byte_gives_an_error_or_another_entry() {
        for entry in entries() {
            let bytes = entry.encode().expect("within the limits");
            for position in 0..bytes.len() {
                for flip in [1, 0x20, 0x80, 0xff] {
                    let mut changed = bytes.clone();
                    changed[position] ^= flip;
                    if let Ok(other) = Entry::decode(&changed) {
                        assert_ne!(other, entry, "two encodings of one entry");
                    }
                }
                assert!(Entry::decode(&bytes[..position]).is_err(), "cut at {position}");
            }
            assert!(Entry::decode(&[bytes.as_slice(), &[0]].concat()).is_err(), "trailing byte");
        }
    }

    /// A call entry around `result`, written by hand.
    fn with_result(result: &[u8]) -> Vec<u8> {
        let mut bytes = b"\xa3\x64call\xa4\x62at\x05\x64args\x80\x66userId\xf6\x6amethodName\x61f".to_vec();
        bytes.extend(b"\x64type\x64call\x66result");
        bytes.extend(result);
        bytes
    }

    #[test]
    fn only_the_canonical_encoding_is_read() {
        assert!(matches!(Entry::decode(&with_result(b"\xa1\x63res\x01")), Ok(Entry::Call(_))));
        let refused: [(&str, &[u8]); 10] = [
            ("integer as float", b"\xa1\x63res\xfb\x3f\xf0\0\0\0\0\0\0"),
            ("32-bit float", b"\xa1\x63res\xfa\x3f\0\0\0"),
            ("NaN", b"\xa1\x63res\xfb\x7f\xf8\0\0\0\0\0\0"),
            ("long form of 1", b"\xa1\x63res\x18\x01"),
            ("integer beyond 2^53", b"\xa1\x63res\x1b\0\x20\0\0\0\0\0\x01"),
            ("bytes", b"\xa1\x63res\x41\x01"),
            ("undefined", b"\xa1\x63res\xf7"),
            ("open-ended array", b"\xa1\x63res\x9f\xff"),
            ("null for a missing member", b"\xa1\x63err\xf6"),
            ("unknown member", b"\xa1\x63abc\x01"),
        ];
        for (what, result) in refused {
            assert!(
                matches!(Entry::decode(&with_result(result)), Err(EntryError::Malformed { .. })),
                "{what}"
            );
        }
    }

    #[test]
    fn contradictory_results_are_malformed() {
        let contradictory: [&[u8]; 3] = [
            b"\xa2\x63err\xa2\x64name\x61E\x67message\x61m\x63res\x01",
            b"\xa2\x63res\x01\x65fault\x64fuel",
            b"\xa2\x63err\xa2\x64name\x61E\x67message\x61m\x65fault\x64fuel",
        ];
        for result in contradictory {
            assert!(
                matches!(Entry::decode(&with_result(result)), Err(EntryError::Malformed { .. })),
                "{result:x?}"
            );
        }
    }

    #[test]
    fn what_a_later_version_wrote_is_told_apart() {
        let later: [Vec<u8>; 3] = [
            with_result(b"\xa1\x65fault\x65later"),
            b"\xa1\x64type\x66wormse".to_vec(),
            b"\xa2\x61v\x02\x64type\x64init".to_vec(),
        ];
        for block in later {
            assert!(matches!(Entry::decode(&block), Err(EntryError::Unknown { .. })), "{block:x?}");
        }
    }

    #[test]
    fn limits_hold_on_both_sides() {
        let title = |bytes: usize| Entry::Init(Init { title: "t".repeat(bytes), ..init() });
        assert!(title(bounds::TITLE_BYTES_MAX).encode().is_ok());
        assert!(matches!(title(bounds::TITLE_BYTES_MAX + 1).encode(), Err(EntryError::TooLarge { .. })));
        assert!(matches!(
            Entry::decode(&encode(&title(bounds::TITLE_BYTES_MAX + 1))),
            Err(EntryError::TooLarge { .. })
        ));
        assert!(Entry::Init(Init { at: bounds::TIME_MAX + 1, ..init() }).encode().is_err());
        let built = |bytes: usize| {
            Entry::Init(Init { engine: Engine { build: "b".repeat(bytes), ..engine() }, ..init() })
        };
        assert!(built(bounds::ENGINE_TEXT_BYTES_MAX).encode().is_ok());
        assert!(built(bounds::ENGINE_TEXT_BYTES_MAX + 1).encode().is_err());
        assert!(Entry::decode(&vec![0x81; BLOCK_BYTES_MAX + 1]).is_err());
        assert!(Entry::decode(&vec![0x81; 100_000]).is_err());
    }

    #[test]
    fn an_engine_without_build_is_read_and_is_another_one() {
        let plain = Engine { build: String::new(), ..engine() };
        let bytes =
            Entry::Init(Init { engine: plain.clone(), ..init() }).encode().expect("within the limits");
        assert!(!bytes.windows(5).any(|word| word == b"build"));
        assert!(matches!(Entry::decode(&bytes), Ok(Entry::Init(init)) if init.engine == plain));
        assert_eq!(plain.differences(&plain), None);
        let differences = plain.differences(&engine()).expect("another one");
        assert_eq!(differences, "build `` instead of `disable-assertions`");
        let later = Engine { name: "\u{1b}[2J".into(), version: "1".into(), api: 2, ..engine() };
        let differences = later.differences(&engine()).expect("another one");
        assert_eq!(
            differences,
            "name `\\u{1b}[2J` instead of `quickjs-ng`, version `1` instead of `0.16.2`, api 2 instead of 1"
        );
    }

    #[test]
    fn an_empty_build_that_is_written_out_is_malformed() {
        let init = Entry::Init(Init { engine: Engine { build: "x".into(), ..engine() }, ..init() });
        let mut bytes = init.encode().expect("within the limits");
        let at = bytes.windows(7).position(|word| word == b"\x65build\x61").expect("the build");
        bytes[at + 6] = 0x60;
        bytes.remove(at + 7);
        assert!(matches!(Entry::decode(&bytes), Err(EntryError::Malformed { .. })));
    }

    #[test]
    fn a_signed_call_holds_for_its_log_and_content_only() {
        let (key, log) = (SecretKey::from_seed(&[1; 32]), PublicKey([2; 32]));
        let mut signed = call();
        signed.sign(&key, &log, 7);
        assert!(signed.is_signed(&log));
        assert!(!signed.is_signed(&PublicKey([3; 32])));
        assert!(!Call { args: vec![], ..signed.clone() }.is_signed(&log));
        assert!(!Call { nonce: Some(8), ..signed.clone() }.is_signed(&log));
        assert!(!Call { user_id: Some("bob".into()), ..signed.clone() }.is_signed(&log));
        assert!(!Call { sig: None, ..signed }.is_signed(&log));
    }

    #[test]
    fn the_seed_depends_on_log_block_and_time() {
        let log = PublicKey([1; 32]);
        let seeds = [seed(&log, 1, 1), seed(&log, 2, 1), seed(&log, 1, 2), seed(&PublicKey([2; 32]), 1, 1)];
        for (i, a) in seeds.iter().enumerate() {
            assert!(seeds.iter().skip(i + 1).all(|b| a != b));
        }
    }
}
