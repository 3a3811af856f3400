//! Tests of all entries: what is read, what is refused, and what each says about the host.

use super::*;
use crate::limits as bounds;
use crate::value::Value;
use libvms_hypercore::blocks::{BlockIndex, Length};
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
        oracles: vec![],
        effects: vec![],
    }
}

fn call() -> Call {
    let args = vec![Value::Integer(-1), Value::Float(0.5), Value::Null, Value::Text("é".into())];
    Call::new(Caller::Claimed("bob".into()), "f", args, 5)
}

fn outcomes() -> Vec<Outcome> {
    let head = FilesHead {
        version: Length(2),
        hash: TreeHash([3; 32]),
        blobs: Length(1),
        blobs_hash: TreeHash([4; 32]),
    };
    let files = FilesChange { head, from: Some(FilesLengths { version: Length(1), blobs: Length(0) }) };
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
    let files = FilesHead {
        version: Length(1),
        hash: TreeHash([5; 32]),
        blobs: Length(0),
        blobs_hash: TreeHash([6; 32]),
    };
    let Init { code, engine, limits, .. } = init();
    let mut entries = vec![
        Entry::Init(init()),
        Entry::Epoch(Epoch { files }),
        Entry::Upgrade(Upgrade { code, engine, limits, sig: libvms_hypercore::identity::Signature([7; 64]) }),
    ];
    entries.extend(outcomes().into_iter().map(|outcome| Entry::Call(CallEntry::new(call(), outcome))));
    let mut with_oracle = CallEntry::new(call(), Outcome::Fault(Fault::Fuel));
    let ask = Question { name: "rate".into(), args: vec![] }.ask();
    let failed = |code| Err(OracleError::new(code, "m"));
    with_oracle.oracles = vec![
        OracleAnswer { ask, answer: Ok(Value::Bool(true)) },
        OracleAnswer { ask, answer: Ok(Value::Null) },
        OracleAnswer { ask, answer: failed(OracleCode::Timeout) },
        OracleAnswer { ask, answer: failed(OracleCode::Cancelled) },
    ];
    let (method, args) = (with_oracle.call.method_name.clone(), with_oracle.call.args.clone());
    let seen = Seen { length: Length(3), hash: TreeHash([9; 32]) };
    let intention =
        Intention { method: &method, args: &args, nonce: 4, seen: Some(&seen), instead: Some(&[1, 2]) };
    let by = intention.sign(&SecretKey::from_seed(&[8; 32]), &PublicKey([9; 32]));
    with_oracle.call = Call::new(Caller::Key(Box::new(by)), method, args, 5);
    entries.push(Entry::Call(with_oracle));
    let returned = Outcome::Returned { value: None, files: None };
    let effects = ["log", "mail"].map(|name| Effect { name: name.into(), args: vec![Value::Integer(1)] });
    entries.push(Entry::Call(CallEntry { effects: effects.into(), ..CallEntry::new(call(), returned) }));
    let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    let (oracles, effects) = (names(["fetch", "rate"]), names(["log", "mail"]));
    entries.push(Entry::Init(Init { oracles, effects, ..init() }));
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
        assert!(matches!(Entry::decode(&with_result(result)), Err(EntryError::Malformed { .. })), "{what}");
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
            let limits = Limits { load: None, ..init.limits };
            Entry::Init(Init { v: Format::V1, limits, oracles: vec![], effects: vec![], ..init })
        }
        Entry::Call(entry) => {
            let outcome = entry.result.outcome().expect("our own").in_format(Format::V1);
            let Call { method_name, args, at, .. } = entry.call;
            let call = Call::new(Caller::Claimed("bob".into()), method_name, args, at);
            Entry::Call(CallEntry::new(call, outcome))
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
        for (entry, format, other) in [(&first, Format::V1, Format::V2), (&second, Format::V2, Format::V1)] {
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
    assert_eq!(differing, 2 * 9);
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
fn what_a_call_asks_and_tells_has_bounds() {
    let ask = Question { name: "q".into(), args: vec![] }.ask();
    // A text has five bytes more in DAG-CBOR.
    let text = |bytes: usize| Value::Text("t".repeat(bytes - 5));
    let returned = || CallEntry::new(call(), Outcome::Returned { value: None, files: None });
    let is_read = |entry: CallEntry| {
        let (written, entry) = (Entry::Call(entry.clone()).encode().is_ok(), Entry::Call(entry));
        assert_eq!(Entry::decode(&encode(&entry)).is_ok(), written);
        written
    };
    let asked = |answers: Vec<Result<Value, OracleError>>| {
        let oracles = answers.into_iter().map(|answer| OracleAnswer { ask, answer }).collect();
        is_read(CallEntry { oracles, ..returned() })
    };
    let most = bounds::ANSWER_BYTES_MAX;
    assert!(asked(vec![Ok(text(most)); 3]) && asked(vec![Ok(Value::Null); 64]));
    assert!(!asked(vec![Ok(text(most + 1))]) && !asked(vec![Ok(Value::Null); 65]));
    assert!(!asked(vec![Ok(text(most)), Ok(text(most)), Ok(text(most)), Ok(Value::Null)]));
    let failed = |code: &str, message: usize| {
        let (name, message, code) = ("E".into(), "m".repeat(message), code.to_owned().into());
        asked(vec![Err(OracleError { name, message, code })])
    };
    assert!(failed("failed", 1024) && !failed("failed", 1025) && !failed("unknown", 1));
    let emitted = |effects: Vec<Effect>| is_read(CallEntry { effects, ..returned() });
    let effect = |bytes: usize| Effect { name: "e".into(), args: vec![text(bytes - 14)] };
    let most = bounds::EFFECTS_BYTES_MAX;
    assert_eq!(effect(most / 2).bytes(), most / 2);
    assert!(emitted(vec![effect(most / 2); 2]) && emitted(vec![effect(100); 64]));
    assert!(!emitted(vec![effect(most / 2), effect(most / 2 + 1)]) && !emitted(vec![effect(100); 65]));
    assert!(!emitted(vec![Effect { name: String::new(), args: vec![] }]));
    let (ok, killed) = (OracleAnswer { ask, answer: Ok(Value::Null) }, Outcome::Fault(Fault::Killed));
    assert!(!is_read(CallEntry { oracles: vec![ok.clone()], ..CallEntry::new(call(), killed) }));
    for outcome in [Outcome::Fault(Fault::Fuel), Outcome::Threw(Thrown::new("E", "m"))] {
        let failed = CallEntry::new(call(), outcome);
        assert!(!is_read(CallEntry { effects: vec![effect(100)], ..failed.clone() }));
        assert!(is_read(CallEntry { oracles: vec![ok.clone()], ..failed }));
    }
    let names = |oracles: &[&str]| {
        let oracles = oracles.iter().map(|name| (*name).to_owned()).collect();
        Entry::Init(Init { oracles, ..init() }).encode().is_ok()
    };
    assert!(names(&["a", "b"]) && names(&[&"n".repeat(256)]));
    for refused in [&["b", "a"][..], &["a", "a"], &[""], &[&"n".repeat(257)], &["n"; 65]] {
        assert!(!names(refused), "{refused:?}");
    }
}

#[test]
fn an_answer_has_one_form() {
    let ask = Question { name: "q".into(), args: vec![] }.ask();
    let oracles = vec![OracleAnswer { ask, answer: Ok(Value::Integer(1)) }];
    let outcome = Outcome::Returned { value: None, files: None };
    let good = encode(&Entry::Call(CallEntry { oracles, ..CallEntry::new(call(), outcome) }));
    let replaced = |from: &[u8], to: &[u8]| {
        let at = good.windows(from.len()).position(|part| part == from).expect("it is there");
        let mut block = good.clone();
        block.splice(at..at + from.len(), to.iter().copied());
        Entry::decode(&block)
    };
    assert!(replaced(b"\x63res\x01", b"\x63res\xf6").is_ok());
    let err = b"\x63err\xa3\x64code\x65later\x64name\x61E\x67message\x61m";
    assert!(matches!(replaced(b"\x63res\x01", err), Err(EntryError::Unknown { .. })));
    let refused: [(&[u8], &[u8]); 6] = [
        (b"\xa2\x63ask\x50", b"\xa2\x63ask\x4f"),
        (b"\xa2\x63ask", b"\xa1\x63ask"),
        (b"\x63res\x01", b"\x63err\x01"),
        (b"\x63res\x01", b"\x63abc\x01"),
        (b"\x63res\x01", b"\x63err\xa2\x64name\x61E\x67message\x61m"),
        (b"\x67oracles\x81", b"\x67oracles\x80"),
    ];
    for (from, to) in refused {
        assert!(matches!(replaced(from, to), Err(EntryError::Malformed { .. })), "{to:x?}");
    }
}

/// Encodes a call entry with these arguments and this result, whatever their size.
fn with_values(args: Vec<Value>, res: Value) -> Vec<u8> {
    let call = Call { args, ..call() };
    encode(&Entry::Call(CallEntry::new(call, Outcome::Returned { value: Some(res), files: None })))
}

#[test]
fn arguments_and_results_of_a_mebibyte_of_json_are_the_largest() {
    // `[0,0,...]`
    let list = |bytes: usize| vec![Value::Integer(0); (bytes - 1) / 2];
    let text = |bytes: usize| Value::Text("x".repeat(bytes - 2));
    let (args, res) = (bounds::ARGUMENTS_BYTES_MAX, bounds::RESULT_BYTES_MAX);
    let good = [(list(args), text(res)), (vec![text(args - 2)], Value::Array(list(res)))];
    for (args, res) in good {
        let bytes = with_values(args, res);
        assert_eq!(Entry::decode(&bytes).expect("the largest").encode().expect("the largest"), bytes);
    }
    let bad = [
        (list(args + 2), Value::Null),
        (vec![text(args - 1)], Value::Null),
        (vec![], text(res + 1)),
        (vec![], Value::object([("é".repeat(res / 2), Value::Null)])),
    ];
    for (args, res) in bad {
        let bytes = with_values(args.clone(), res.clone());
        assert!(matches!(Entry::decode(&bytes), Err(EntryError::Malformed { .. })));
        let call = Call { args, ..call() };
        let entry = CallEntry::new(call, Outcome::Returned { value: Some(res), files: None });
        assert!(matches!(Entry::Call(entry).encode(), Err(EntryError::TooLarge { .. })));
    }
    let details = Thrown { details: Some(text(res + 1)), ..Thrown::new("Error", "m") };
    let bytes = encode(&Entry::Call(CallEntry::new(call(), Outcome::Threw(details))));
    assert!(matches!(Entry::decode(&bytes), Err(EntryError::Malformed { .. })));
}

#[test]
fn an_entry_has_its_type_once_and_members_of_its_own() {
    let refused: [&[u8]; 4] = [
        b"\xa1\x64type\x65epoch",
        b"\xa2\x64type\x65epoch\x64type\x65epoch",
        b"\xa2\x64call\x01\x64type\x64call",
        b"\x82\x64type\x64call",
    ];
    for block in refused {
        assert!(matches!(Entry::decode(block), Err(EntryError::Malformed { .. })), "{block:x?}");
    }
    let other = [b"\xa2\x64type\x64init\x65other".to_vec(), vec![0x80]].concat();
    let why = Entry::decode(&other).expect_err("no member").to_string();
    assert!(why.contains("other"), "{why}");
}

#[test]
fn an_engine_without_build_is_read_and_is_another_one() {
    let plain = Engine { build: String::new(), ..engine() };
    let bytes = Entry::Init(Init { engine: plain.clone(), ..init() }).encode().expect("within the limits");
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
    let seeds = [
        seed(&log, BlockIndex(1), 1),
        seed(&log, BlockIndex(2), 1),
        seed(&log, BlockIndex(1), 2),
        seed(&PublicKey([2; 32]), BlockIndex(1), 1),
    ];
    for (i, a) in seeds.iter().enumerate() {
        assert!(seeds.iter().skip(i + 1).all(|b| a != b));
    }
}
