//! `FORMAT.md` shows one worked example of every record: each must be what this crate writes and reads.

use data_encoding::HEXLOWER;
use libvms_hypercore::bee::{Cache, Header, Level, NodeBlock, Writer};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::drive::{self, DriveLength, Options, Path};
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::{PublicKey, SecretKey, Signature};
use libvms_hypercore::signed_head::{SignedHead, signable};
use libvms_hypercore::tree::{Roots, TreeHash};
use libvms_protocol::entry::oracle::effect_id;
use libvms_protocol::entry::{
    Auth, Call, CallEntry, Caller, Effect, Engine, Entry, Epoch, Fault, FilesChange, FilesHead, FilesLengths,
    Format, Init, Intention, Limits, OracleAnswer, OracleCode, OracleError, Outcome, Question, Seen, Thrown,
    Upgrade, call_id,
};
use libvms_protocol::value::Value;
use serde_json::Value as Json;

const FORMAT: &str = include_str!("../FORMAT.md");

/// Reads a golden file.
fn read(name: &str) -> Json {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).expect("a fixture")).expect("JSON")
}

fn hex(value: &Json) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().expect("text").as_bytes()).expect("hexadecimal digits")
}

/// Returns the hexadecimal digits of the code block after the heading `heading`, without comments.
pub(crate) fn example(heading: &str) -> Vec<u8> {
    let (_, after) =
        FORMAT.split_once(&format!("### {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let (_, block) = after.split_once("```hex\n").expect("a worked example");
    let (block, _) = block.split_once("```").expect("an end of the example");
    let digits = block.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    HEXLOWER.decode(digits.collect::<String>().as_bytes()).expect("hexadecimal digits")
}

fn files() -> FilesHead {
    FilesHead {
        version: Length(2),
        hash: TreeHash([0xaa; 32]),
        blobs: Length(1),
        blobs_hash: TreeHash([0xbb; 32]),
    }
}

fn engine() -> Engine {
    let build = "disable-assertions libm-0.2.16".into();
    Engine { name: "quickjs-ng".into(), version: "0.16.2".into(), build, api: 1 }
}

fn call(outcome: Outcome) -> Entry {
    let args = vec![Value::Integer(1), Value::Float(0.5)];
    let call = Call::new(Caller::Claimed("bob".into()), "add", args, 1_700_000_000_000);
    Entry::Call(CallEntry::new(call, outcome))
}

/// The key of the worked examples of signed calls, and the log that they are calls to: that of the signed head.
fn signed_call() -> Entry {
    let (caller, log) = (SecretKey::from_seed(&[0x71; 32]), SecretKey::from_seed(&[0x44; 32]).public_key());
    let args = vec![Value::Integer(1), Value::Float(0.5)];
    let seen = Seen { length: Length(2), hash: TreeHash([0xcc; 32]) };
    let (nonce, instead) = (1_700_000_000_000_007, Some(&[1_699_999_999_000_000][..]));
    let intention = Intention { method: "add", args: &args, nonce, seen: Some(&seen), instead };
    let caller = Caller::Key(Box::new(intention.sign(&caller, &log)));
    let outcome = Outcome::Returned { value: Some(Value::Text("ok".into())), files: None };
    Entry::Call(CallEntry::new(Call::new(caller, "add", args, 1_700_000_000_001), outcome))
}

fn init(v: Format, limits: Limits) -> Entry {
    Entry::Init(Init {
        v,
        code: "exports.f = () => 1".into(),
        module: false,
        title: "one".into(),
        files: PublicKey([0x11; 32]),
        blobs: PublicKey([0x22; 32]),
        auth: Auth::Debug,
        at: 1_700_000_000_000,
        engine: engine(),
        limits,
        oracles: vec![],
        effects: vec![],
    })
}

fn signed_init(limits: Limits) -> Entry {
    match init(Format::V2, Limits { call_age: Some(60_000), ..limits }) {
        Entry::Init(init) => Entry::Init(Init { auth: Auth::Signed, ..init }),
        other => other,
    }
}

fn module_init(limits: Limits) -> Entry {
    match init(Format::V2, limits) {
        Entry::Init(init) => {
            let code = "export const f = () => 1".into();
            Entry::Init(Init { code, module: true, ..init })
        }
        other => other,
    }
}

fn open_init(limits: Limits) -> Entry {
    match init(Format::V2, limits) {
        Entry::Init(init) => {
            Entry::Init(Init { oracles: vec!["fetch".into()], effects: vec!["mail".into()], ..init })
        }
        other => other,
    }
}

fn with(outcome: Outcome, oracles: Vec<OracleAnswer>, effects: Vec<Effect>) -> Entry {
    match call(outcome) {
        Entry::Call(entry) => Entry::Call(CallEntry { oracles, effects, ..entry }),
        other => other,
    }
}

/// A question that was answered, one that was not, and one to which nobody waited for an answer.
fn answers() -> Vec<OracleAnswer> {
    let url = || Value::Text("https://a.example/".into());
    let page = Value::from_json(r#"{"body":"1.25","headers":{},"status":200}"#).expect("JSON");
    let failed = |code, message| Err(OracleError::new(code, message));
    let answers = [
        (vec![url()], Ok(page)),
        (vec![url(), Value::Null], failed(OracleCode::Timeout, "no answer in 10 s")),
        (vec![], failed(OracleCode::Cancelled, "the call ended before")),
    ];
    let answer = |(args, answer)| OracleAnswer { ask: Question { name: "fetch".into(), args }.ask(), answer };
    answers.map(answer).into()
}

fn effects() -> Vec<Effect> {
    vec![Effect { name: "mail".into(), args: vec![Value::Text("bob".into())] }]
}

fn returned(from: Option<FilesLengths>) -> Entry {
    let files = Some(FilesChange { head: files(), from });
    call(Outcome::Returned { value: Some(Value::Text("ok".into())), files })
}

/// Returns every example of an entry, with the formats of the logs in which it may be.
fn entries() -> Vec<(&'static str, &'static [Format], Entry)> {
    const V1: &[Format] = &[Format::V1];
    const V2: &[Format] = &[Format::V2];
    const BOTH: &[Format] = &[Format::V1, Format::V2];
    let old_limits = Limits {
        fuel: 1_000,
        memory: 128 << 20,
        stack: 1 << 20,
        output: 16 << 20,
        load: None,
        call_age: None,
    };
    let limits = Limits { load: Some(10_000), ..old_limits };
    let upgrade =
        Upgrade { code: "exports.f = () => 2".into(), engine: engine(), limits, sig: Signature([0x33; 64]) };
    let details = Value::from_json(r#"{"field":"age"}"#).expect("JSON");
    let coded = Thrown { code: Some(42), details: Some(details), ..Thrown::new("Error", "m") };
    vec![
        ("init", V2, init(Format::V2, limits)),
        ("init of a log whose callers sign", V2, signed_init(limits)),
        ("init of an ES module", V2, module_init(limits)),
        ("init of v 1", V1, init(Format::V1, old_limits)),
        ("call that returned", V2, returned(Some(FilesLengths { version: Length(1), blobs: Length(0) }))),
        ("call that returned, in v 1", V1, returned(None)),
        ("call that threw", BOTH, call(Outcome::Threw(Thrown::new("Error", "m")))),
        ("call that threw an error with code and data", V2, call(Outcome::Threw(coded))),
        ("call that was stopped", BOTH, call(Outcome::Fault(Fault::Fuel))),
        ("signed call", V2, signed_call()),
        ("init of a service with oracles and effects", V2, open_init(limits)),
        (
            "call that asked oracles",
            V2,
            with(Outcome::Returned { value: None, files: None }, answers(), vec![]),
        ),
        (
            "call that had an effect",
            V2,
            with(Outcome::Returned { value: None, files: None }, vec![], effects()),
        ),
        ("epoch", V1, Entry::Epoch(Epoch { files: files() })),
        ("upgrade", V2, Entry::Upgrade(upgrade)),
    ]
}

#[test]
fn every_entry_in_the_document_matches_the_code() {
    for (heading, formats, entry) in entries() {
        let bytes = entry.encode().expect("within the limits");
        assert_eq!(HEXLOWER.encode(&example(heading)), HEXLOWER.encode(&bytes), "{heading}");
        assert_eq!(Entry::decode(&bytes).expect("canonical"), entry, "{heading}");
        for format in [Format::V1, Format::V2] {
            let may_stand = Entry::decode_in(&bytes, format).is_ok();
            assert_eq!(may_stand, formats.contains(&format), "{heading} in a log of v {format}");
        }
    }
}

/// The questions of the example, the id of its call, and the id of its effect, where they are block 1 of the log of the signed
/// head.
#[test]
fn the_hashes_of_questions_calls_and_effects_match_the_document() {
    let log = SecretKey::from_seed(&[0x44; 32]).public_key();
    let said = |heading: &str| HEXLOWER.encode(&example(heading));
    let question = Question { name: "fetch".into(), args: vec![Value::Text("https://a.example/".into())] };
    let encoded = serde_ipld_dagcbor::to_vec(&question).expect("a question");
    assert_eq!(said("question"), HEXLOWER.encode(&encoded));
    assert_eq!(HEXLOWER.encode(&question.ask().0), HEXLOWER.encode(&blake2b(&[&encoded])[..16]));
    assert_eq!(answers()[0].ask, question.ask());
    let entry = with(Outcome::Returned { value: None, files: None }, vec![], effects());
    assert_eq!(said("effect id"), effect_id(&log, BlockIndex(1), &entry.encode().expect("small"), 0));
    let (Entry::Call(named), Entry::Call(signed)) = (entry, signed_call()) else { panic!("calls") };
    assert_eq!(said("id of a call that nobody signed"), call_id(&log, BlockIndex(1), &named.call));
    assert_eq!(said("id of a signed call"), call_id(&log, BlockIndex(1), &signed.call));
    assert_eq!(call_id(&log, BlockIndex(9), &signed.call), call_id(&log, BlockIndex(1), &signed.call));
    // The call that it replaces has the same id.
    let before =
        Call { nonce: signed.call.instead.as_ref().map(|old| old[0]), instead: None, ..signed.call.clone() };
    assert_eq!(call_id(&log, BlockIndex(1), &before), call_id(&log, BlockIndex(1), &signed.call));
    assert_ne!(call_id(&log, BlockIndex(2), &named.call), call_id(&log, BlockIndex(1), &named.call));
    assert_ne!(
        call_id(&log, BlockIndex(1), &Call { at: 1, ..named.call.clone() }),
        call_id(&log, BlockIndex(1), &named.call)
    );
}

#[test]
fn the_signed_head_in_the_document_matches_the_code() {
    let mut roots = Roots::default();
    roots.append(b"first");
    roots.append(b"second");
    let key = SecretKey::from_seed(&[0x44; 32]);
    let signed_head = SignedHead::sign(&key, roots.length(), roots.tree_hash());
    let signed = signable(signed_head.length(), signed_head.fork(), &signed_head.tree_hash());
    let bytes = [signed.as_slice(), &signed_head.signature().0].concat();
    assert_eq!(HEXLOWER.encode(&example("signed head")), HEXLOWER.encode(&bytes));
}

#[test]
fn the_hyperbee_block_in_the_document_matches_the_code() {
    let bytes = example("Hyperbee block");
    assert_eq!(bytes, hex(&read("hyperbee/put-10-sequential.json")["blocks"][10]));
    let root = Level { keys: vec![BlockIndex(5)], children: vec![(BlockIndex(9), 1), (BlockIndex(10), 1)] };
    let leaf = Level {
        keys: vec![BlockIndex(6), BlockIndex(7), BlockIndex(8), BlockIndex(9), BlockIndex(10)],
        children: vec![],
    };
    let block = NodeBlock { levels: vec![root, leaf], key: b"key-0009".into(), value: Some(b"val-9".into()) };
    assert_eq!(NodeBlock::decode(&bytes), Ok(block));
    let (cache, header, mut core) = (Cache::default(), Header::plain(), vec![]);
    for put in 0..10 {
        let (key, value) = (format!("key-{put:04}"), format!("val-{put}"));
        let appended =
            Writer::new(&cache, &header).put(&core, Length(core.len() as u64), key.as_bytes(), value.into());
        core.extend(appended.expect("our own blocks"));
    }
    assert_eq!(core.last(), Some(&bytes));
}

#[test]
fn the_archive_in_the_document_matches_the_code() {
    let vector = read("hyperdrive/basic.json");
    let (cache, header) =
        (Cache::default(), Header::for_drive(&hex(&vector["blobs"]["publicKey"]).try_into().expect("a key")));
    let path = Path::new("/hello.txt").expect("a path");
    let written = drive::Writer::new(&cache, &header).put::<Vec<Vec<u8>>>(
        &vec![],
        DriveLength::default(),
        &path,
        b"hello world",
        Options::default(),
    );
    let documented = vec![example("header of a files core"), example("entry of a file")];
    assert_eq!(written.expect("an empty drive").files, documented);
    assert_eq!(documented, [hex(&vector["dbBlocks"][0]), hex(&vector["dbBlocks"][1])]);
    assert_eq!(Header::decode(&documented[0]), Ok(header));
}
