//! The golden logs: data directories of each release, which replay for ever.
//!
//! `fixtures/logs/VERSION/` holds what this file makes of `fixtures/logs/everything.js`, with fixed keys and a fixed
//! clock; `fixtures/logs/VERSION-v1/` the same in the first format, which is not written any more and must be read. Each is of
//! one version of the engine (`api`), as `LOGS` says: all of them are made again by every run, also those of earlier versions.
//! Where the bytes differ, old logs give other results than they did, and a new version is due (`node/engine/src/identity.rs`).
//! `.ci/golden` writes the logs of the latest version; no other is ever written again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use libvms::engine::{Api, Sandbox};
use libvms_hypercore::blocks::BlockIndex;
use libvms_protocol::entry::{Entry, Format, Limits};
use libvms_protocol::value::Value;
use serde_json::json;

use super::recording::Recording;
use crate::support::verify;

/// The golden logs of this release: the end of the name, the format, the version of the engine.
const LOGS: [(&str, Format, Api); 2] = [("-v1", Format::V1, Api::V4), ("", Format::V2, Api::V4)];
const FILES: [&str; 4] = ["oplog", "data", "tree", "bitfield"];

fn logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/logs")
}

fn of_this_release(suffix: &str) -> PathBuf {
    logs().join(format!("{}{suffix}", env!("CARGO_PKG_VERSION")))
}

/// Calls every method of the script, some in the shadow of a fault of another.
fn record(format: Format, api: Api) -> Recording {
    let limits =
        Limits { fuel: 200, memory: 4 << 20, stack: 256 << 10, output: 64 << 10, load: None, call_age: None };
    let code = fs::read_to_string(logs().join("everything.js")).expect("the script");
    let mut recording = Recording::start_as(api, format, code, limits, Sandbox::Process);
    let text = "Ünïcode text, \u{1f600} and Straße";
    let calls = [
        ("count", json!([])),
        ("caller", json!([])),
        ("dates", json!([])),
        ("mathematics", json!([0.7])),
        ("mathematics", json!([-123_456.789])),
        ("mathematics", json!([1e-9])),
        ("floats", json!([])),
        ("bigints", json!([])),
        ("regexps", json!([text])),
        ("collections", json!([])),
        ("typed", json!([])),
        ("json", json!([])),
        ("exceptions", json!([])),
        ("timers", json!([])),
        ("concurrent", json!([])),
        ("save", json!(["/notes/first.txt", text])),
        ("save", json!(["/notes/second.txt", "two"])),
        ("large", json!([60_000])),
        ("half", json!([])),
        ("remove", json!(["/notes/first.txt"])),
        ("remove", json!(["/notes/first.txt"])),
        ("read", json!(["/notes/second.txt"])),
        ("read", json!(["/half"])),
        ("endless", json!([])),
        ("endlessly", json!([])),
        ("backtrack", json!([])),
        ("fill", json!([])),
        ("hoard", json!([])),
        ("drop", json!([])),
        ("recurse", json!([])),
        ("shout", json!([])),
        ("flood", json!([])),
        ("never", json!([])),
        ("nothing", json!([])),
        ("functions", json!([])),
        ("count", json!([0.5])),
        ("missing", json!([])),
        ("coded", json!([42, { "field": "age", "of": [1, null] }])),
        ("coded", json!([-32_001, "a code that is not the script's to choose"])),
        ("coded", json!(["E", null])),
    ];
    for (number, (method, args)) in calls.iter().enumerate() {
        let user = ["alice", "bob"].get(number % 3).copied();
        recording.call(user, method, arguments(args));
    }
    recording.kill("endless");
    recording.call(None, "count", vec![]);
    if format == Format::V1 {
        recording.new_epoch();
    }
    for method in ["count", "caller", "collections", "endless", "count"] {
        recording.call(Some("carol"), method, vec![]);
    }
    recording
}

fn arguments(args: &serde_json::Value) -> Vec<Value> {
    match Value::from_json(&args.to_string()) {
        Ok(Value::Array(args)) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_golden_calls_end_in_every_way_there_is() {
    let expected = [
        ("Error", 4),
        ("InternalError", 1),
        ("NotFoundError", 2),
        ("RangeError", 2),
        ("TypeError", 2),
        ("changed files", 5),
        ("fuel", 4),
        ("killed", 1),
        ("output", 2),
        ("returned", 25),
    ];
    let expected: BTreeMap<String, u64> =
        expected.into_iter().map(|(kind, count)| (kind.into(), count)).collect();
    for (suffix, format, api) in LOGS {
        assert_eq!(record(format, api).kinds(), expected, "{suffix}");
    }
}

/// `.ci/golden` asks for the files to be written; without that they are compared.
#[test]
fn the_golden_log_of_this_release_is_made_again_byte_for_byte() {
    for (suffix, format, api) in LOGS {
        let golden = of_this_release(suffix);
        if std::env::var_os("VMS_REGENERATE").is_some() && api == Api::LATEST {
            let _none_yet = fs::remove_dir_all(&golden);
            record(format, api).save(&golden);
            continue;
        }
        let again = tempfile::tempdir().expect("a temporary directory");
        record(format, api).save(again.path());
        for core in ["log", "files", "blobs"] {
            for name in FILES {
                let read =
                    |directory: &Path| fs::read(directory.join(core).join(name)).expect("a file of a core");
                let is_same = read(again.path()) == read(&golden);
                assert!(is_same, "{core}/{name} of `{suffix}` differs: see tests/determinism/golden.rs");
            }
        }
    }
}

#[test]
fn golden_logs_replay_for_ever() {
    let releases: Vec<PathBuf> = fs::read_dir(logs())
        .expect("the golden logs")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_dir())
        .collect();
    for (suffix, ..) in LOGS {
        assert!(releases.contains(&of_this_release(suffix)), "run .ci/golden: {releases:?}");
    }
    for release in releases {
        let (code, report) = verify(&release);
        if is_of_our_engine(&release) {
            assert_eq!((code, &report["verdict"]), (0, &json!("agrees")), "{}: {report}", release.display());
            assert_eq!(report["killed"], 1, "{report}");
        } else {
            // Never an accusation, however much has changed since.
            assert_eq!((code, &report["verdict"]), (3, &json!("cannot-verify")), "{report}");
            let ours = LOGS.map(|(suffix, ..)| of_this_release(suffix));
            assert!(!ours.contains(&release), "this release's log is of this release's engine");
        }
    }
}

fn is_of_our_engine(release: &Path) -> bool {
    let log = libvms::storage::Core::open_read_only(&release.join("log")).expect("a golden log");
    match Entry::decode(&log.block(BlockIndex(0)).expect("block 0")) {
        Ok(Entry::Init(init)) => Api::of(&init.engine).is_some(),
        other => panic!("{other:?}"),
    }
}
