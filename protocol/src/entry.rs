//! The call log: one block per entry, in strict DAG-CBOR.
//!
//! Block 0 is an [`Init`], which pins the script, the engine and the limits; then follow [`Call`]s with their
//! outcomes, and now and then an [`Epoch`], which discards the heap, or an [`Upgrade`]. [`Entry::encode`] and
//! [`Entry::decode`] are inverse: every entry has one encoding, and any other is refused, so that signed bytes have
//! one meaning and one form.
//!
//! [`EntryError`] tells three cases apart: bytes that break the format, which only a dishonest or broken host writes;
//! an entry over a limit, likewise; and an entry of a later version, which proves nothing.

pub mod call;
pub mod caller;
pub mod deploy;
pub mod files;
pub mod format;
pub mod limits;
mod time;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use call::{Call, CallEntry, CallResult, Fault, OracleAnswer, Outcome, OutcomeError, Thrown};
pub use caller::{Authorization, Caller, Intention, Seen};
pub use deploy::{Auth, Engine, Epoch, Init, Upgrade};
pub use files::{FilesChange, FilesHead, FilesLengths};
pub use format::Format;
pub use limits::Limits;

use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::limits::BLOCK_BYTES_MAX;

/// One block of a call log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
        if !["init", "call", "epoch", "upgrade"].contains(&kind.as_ref()) {
            return Err(unknown("entry type", kind.chars().take(100).collect::<String>()));
        }
        let entry: Self = decode(block)?;
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
            Self::Call(entry) if format == Format::V1 && entry.call.has_signed_fields() => {
                Err(malformed("a signed call in a log of v 1"))
            }
            Self::Call(entry) => entry.result.check_format(format),
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

/// Returns the seed of `Math.random` for block `block` of a log: neither host nor caller chooses it freely.
///
/// `blake2b("libvms/seed/1" || log key || u64le(block) || u64le(at))`
pub fn seed(log: &PublicKey, block: u64, at: u64) -> [u8; 32] {
    blake2b(&[b"libvms/seed/1", &log.0, &block.to_le_bytes(), &at.to_le_bytes()])
}

fn encode<T: Serialize>(entry: &T) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(entry).expect("entries hold nothing that DAG-CBOR cannot express")
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
    use crate::limits as bounds;
    use crate::value::Value;
    use libvms_hypercore::identity::SecretKey;
    use libvms_hypercore::tree::TreeHash;

    fn engine() -> Engine {
        let (name, version, build) = ("quickjs-ng".into(), "0.16.2".into(), "disable-assertions".into());
        Engine { name, version, build, api: 1 }
    }

    fn init() -> Init {
        Init {
            v: Format::LATEST,
            code: "exports.f = () => 1".into(),
            module: false,
            title: "test".into(),
            files: PublicKey([1; 32]),
            blobs: PublicKey([2; 32]),
            auth: Auth::Debug,
            at: 1_700_000_000_000,
            engine: engine(),
            limits: Limits::default().with_load(),
        }
    }

    fn call() -> Call {
        let args = vec![Value::Integer(-1), Value::Float(0.5), Value::Null, Value::Text("é".into())];
        Call::new(Caller::Claimed("bob".into()), "f", args, 5)
    }

    fn outcomes() -> Vec<Outcome> {
        let head = FilesHead { version: 2, hash: TreeHash([3; 32]), blobs: 1, blobs_hash: TreeHash([4; 32]) };
        let files = FilesChange { head, from: Some(FilesLengths { version: 1, blobs: 0 }) };
        let thrown = Thrown::new("Error", "m");
        let coded = |code, details| Outcome::Threw(Thrown { code, details, ..Thrown::new("Error", "m") });
        vec![
            coded(Some(42), None),
            coded(Some(-32_769), Some(Value::Null)),
            coded(None, Some(Value::Array(vec![Value::Bool(true)]))),
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
            Entry::Upgrade(Upgrade {
                code,
                engine,
                limits,
                sig: libvms_hypercore::identity::Signature([7; 64]),
            }),
        ];
        entries.extend(outcomes().into_iter().map(|outcome| Entry::Call(CallEntry::new(call(), outcome))));
        let mut with_oracle = CallEntry::new(call(), Outcome::Fault(Fault::Fuel));
        with_oracle.oracles = Some(vec![OracleAnswer::Res(Value::Bool(true))]);
        let (method, args) = (with_oracle.call.method_name.clone(), with_oracle.call.args.clone());
        let seen = Seen { length: 3, hash: TreeHash([9; 32]) };
        let intention =
            Intention { method: &method, args: &args, nonce: 4, seen: Some(&seen), instead: Some(&[1, 2]) };
        let by = intention.sign(&SecretKey::from_seed(&[8; 32]), &PublicKey([9; 32]));
        with_oracle.call = Call::new(Caller::Key(Box::new(by)), method, args, 5);
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
    fn consecutive_entries_are_told_apart() {
        let all: Vec<Vec<u8>> =
            entries().iter().map(|entry| entry.encode().expect("within the limits")).collect();
        let joined = all.concat();
        let mut rest = joined.as_slice();
        for entry in &all {
            let length = Entry::first_length(rest);
            assert_eq!(length, Some(entry.len()));
            assert!((0..entry.len()).all(|cut| Entry::first_length(&entry[..cut]).is_none()));
            rest = &rest[entry.len()..];
        }
        assert_eq!(Entry::first_length(rest), None);
        for hostile in
            [&[0xff][..], &[0x9f, 0], &[0xbc], &[0xbb; 9], &[0x5b, 255, 255, 255, 255, 255, 255, 255, 255]]
        {
            let length = Entry::first_length(hostile);
            assert!(length.is_none_or(|length| length <= hostile.len()), "{hostile:x?} {length:?}");
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

    /// Encodes a call entry around `result`, by hand.
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
    fn codes_reserved_by_json_rpc_are_malformed() {
        let thrown = |code: &[u8]| {
            let result = [b"\xa1\x63err\xa3\x64code", code, b"\x64name\x61E\x67message\x61m"].concat();
            Entry::decode(&with_result(&result))
        };
        let own: [&[u8]; 6] = [
            b"\x00",                                 // 0
            b"\x39\x7c\xfe",                         // -31999
            b"\x39\x80\x00",                         // -32769
            b"\x1b\x00\x1f\xff\xff\xff\xff\xff\xff", // 2^53 - 1
            b"\x3b\x00\x1f\xff\xff\xff\xff\xff\xfe", // -(2^53 - 1)
            b"\x20",                                 // -1
        ];
        for code in own {
            assert!(matches!(thrown(code), Ok(Entry::Call(_))), "{code:x?}");
        }
        let refused: [&[u8]; 8] = [
            b"\x39\x7c\xff",                         // -32000
            b"\x39\x7f\xff",                         // -32768
            b"\x39\x7d\x00",                         // -32001
            b"\x1b\x00\x20\x00\x00\x00\x00\x00\x00", // 2^53
            b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff", // the smallest of 64 bits
            b"\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00", // 1.5
            b"\x61\x31",                             // "1"
            b"\xf6",                                 // null
        ];
        for code in refused {
            assert!(matches!(thrown(code), Err(EntryError::Malformed { .. })), "{code:x?}");
        }
    }

    /// Returns the same entry as a log of format 1 holds it.
    fn in_format_1(entry: Entry) -> Entry {
        match entry {
            Entry::Init(init) => {
                Entry::Init(Init { v: Format::V1, limits: Limits { load: None, ..init.limits }, ..init })
            }
            Entry::Call(entry) => {
                let outcome = entry.result.outcome().expect("our own").in_format(Format::V1);
                let Call { method_name, args, at, .. } = entry.call;
                let call = Call::new(Caller::Claimed("bob".into()), method_name, args, at);
                Entry::Call(CallEntry { call, result: outcome.into(), ..entry })
            }
            Entry::Upgrade(entry) => {
                Entry::Upgrade(Upgrade { limits: Limits { load: None, ..entry.limits }, ..entry })
            }
            epoch @ Entry::Epoch(_) => epoch,
        }
    }

    #[test]
    fn each_format_takes_its_own_fields_and_no_others() {
        let mut differing = 0;
        for entry in entries().into_iter().filter(|entry| !matches!(entry, Entry::Epoch(_))) {
            let (second, first) = (entry.clone(), in_format_1(entry));
            for (entry, format, other) in
                [(&first, Format::V1, Format::V2), (&second, Format::V2, Format::V1)]
            {
                let bytes = entry.encode().expect("within the limits");
                assert_eq!(&Entry::decode_in(&bytes, format).expect("its own format"), entry);
                // An error without code and details is the same in both, and so is a call that nobody signs.
                if first != second {
                    differing += 1;
                    let decoded = Entry::decode_in(&bytes, other);
                    let is_plain = matches!(entry, Entry::Call(call) if call.result.files().is_none());
                    assert_eq!(decoded.is_ok(), is_plain && format == Format::V1, "{entry:?} as v {other}");
                    assert!(!matches!(decoded, Err(EntryError::Unknown { .. })), "{decoded:?}");
                }
            }
        }
        assert_eq!(differing, 2 * 7);
    }

    #[test]
    fn an_init_must_keep_to_the_format_that_it_names() {
        let unpinned = Limits { load: None, ..init().limits };
        let refused = [Init { v: Format::V1, ..init() }, Init { limits: unpinned, ..init() }];
        for init in refused {
            assert!(matches!(Entry::Init(init.clone()).encode(), Err(EntryError::Malformed { .. })));
            let bytes = encode(&Entry::Init(init));
            assert!(matches!(Entry::decode(&bytes), Err(EntryError::Malformed { .. })));
        }
        assert_eq!(init().limits.load_fuel(), 10 * init().limits.fuel);
        assert_eq!(unpinned.load_fuel(), unpinned.fuel);
        assert_eq!(Limits { fuel: u64::MAX, ..unpinned }.with_load().load_fuel(), u64::MAX);
        assert_eq!(Limits { load: Some(7), ..unpinned }.with_load().load_fuel(), 7);
        assert!(matches!(Entry::decode(b"\xa2\x61v\x00\x64type\x64init"), Err(EntryError::Malformed { .. })));
    }

    #[test]
    fn an_epoch_is_allowed_in_logs_of_format_1_only() {
        for entry in entries().into_iter().filter(|entry| matches!(entry, Entry::Epoch(_))) {
            assert!(entry.check_format(Format::V1).is_ok());
            assert!(matches!(entry.check_format(Format::V2), Err(EntryError::Malformed { .. })));
        }
    }

    #[test]
    fn entries_of_a_later_version_are_told_apart() {
        let later: [Vec<u8>; 5] = [
            with_result(b"\xa1\x65fault\x65later"),
            b"\xa1\x64type\x66wormse".to_vec(),
            b"\xa2\x61v\x03\x64type\x64init".to_vec(),
            b"\xa3\x61v\x03\x64type\x64init\x65later\x01".to_vec(),
            b"\xa2\x61v\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x64type\x64init".to_vec(),
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
    fn the_seed_depends_on_log_block_and_time() {
        let log = PublicKey([1; 32]);
        let seeds = [seed(&log, 1, 1), seed(&log, 2, 1), seed(&log, 1, 2), seed(&PublicKey([2; 32]), 1, 1)];
        for (i, a) in seeds.iter().enumerate() {
            assert!(seeds.iter().skip(i + 1).all(|b| a != b));
        }
    }
}
