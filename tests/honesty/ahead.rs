//! Archives with what no call wrote, archives that nobody gives, and logs that become shorter: what an audit and a watcher
//! say of them, and when they convict the host.

use std::time::{Duration, Instant};

use libvms::storage::{Core, Durability};
use libvms_hypercore::blocks::Length;
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::entry::{Call, CallEntry, Caller, Entry, FilesChange, FilesHead, FilesLengths, Outcome};
use libvms_protocol::value::Value;
use serde_json::{Value as Json, json};

use crate::honesty::tamper::{honest, rewrite};
use crate::honesty::watch::{Served, Watching, directory};
use crate::support::{program, run, text, vms};

/// Calls of `honest` end with these cores; the counter stands at 14.
const LENGTHS: [u64; 3] = [9, 3, 2];

fn entry(method: &str, args: Vec<Value>, outcome: Outcome) -> Vec<u8> {
    let call = Call::new(Caller::Anonymous, method, args, 1 << 42);
    Entry::Call(CallEntry::new(call, outcome)).encode().expect("within the limits")
}

/// A call that writes nothing.
fn inc(result: i64) -> Vec<u8> {
    let outcome = Outcome::Returned { value: Some(Value::Integer(result)), files: None };
    entry("inc", vec![Value::Integer(1)], outcome)
}

fn all_blocks(core: &Core) -> Vec<Vec<u8>> {
    core.blocks(core.length().blocks()).map(|block| block.expect("readable")).collect()
}

fn audit(key: &str, served: &Served) -> (i32, Json, String) {
    let peer = format!("--peer={}", served.address);
    let arguments = ["verify", key, &peer];
    let said = vms(arguments);
    let output = vms(arguments.iter().chain(&["--json"]));
    let report = serde_json::from_slice(&output.stdout).expect("a JSON line");
    assert_eq!(said.status.code(), output.status.code());
    (output.status.code().expect("an exit code"), report, text(&said.stdout).to_owned())
}

fn report(event: &Json) -> Json {
    let text = std::fs::read(event["report"].as_str().unwrap_or_else(|| panic!("no report: {event}")));
    serde_json::from_slice(&text.expect("a report")).expect("JSON")
}

#[test]
fn an_archive_ahead_of_the_log_is_neither_agreement_nor_deviation() {
    for core in 0..2 {
        let place = honest();
        run(async {
            let mut served = Served::of(&place.data()).await;
            served.archive[core].append(&["what no call wrote"]).expect("a disk");
            let (code, report, said) = audit(&served.key(), &served);
            assert_eq!((code, &report["verdict"]), (3, &json!("cannot-verify")), "{report}");
            assert!(said.contains("cannot tell: the archive is ahead of the log"), "{said}");
            let (code, report) = crate::support::verify(&place.data());
            assert_eq!((code, &report["verdict"]), (3, &json!("cannot-verify")), "{report}");
            served.network.shutdown().await;
        });
    }
}

#[test]
fn a_watcher_goes_on_saying_that_an_archive_is_ahead_while_calls_write_nothing() {
    let place = honest();
    let (_kept, watched) = directory();
    run(async {
        let mut served = Served::of(&place.data()).await;
        let mut watching = Watching::start(&served.key(), Some(served.address), &watched);
        watching.until_agrees(LENGTHS[0]);
        served.archive[0].append(&["what no call wrote"]).expect("a disk");
        for result in 0..2 {
            let event = watching.until(|event| {
                assert!(
                    event["event"] != "ended" && event["event"] != "finding",
                    "nothing excludes it yet: {event}"
                );
                event["event"] == "suspicion"
            });
            assert_eq!(
                (&event["core"], &event["class"], &event["signed"]),
                (&json!("files"), &json!("archive-longer"), &json!(false)),
                "{event}"
            );
            let why = event["why"].as_str().expect("a reason");
            assert!(why.starts_with("cannot tell: the archive is ahead of the log"), "{why}");
            let report = report(&event);
            assert_eq!(
                (&report["archiveHead"]["length"], &report["head"]["length"]),
                (&json!(4), &json!(9 + result))
            );
            let state =
                std::fs::read_to_string(watched.join(served.log.key().to_string()).join("state.json"));
            assert!(state.is_ok_and(|state| state.contains("cannot-verify")));
            served.log.append(&[inc(15 + result)]).expect("a disk");
        }
        // A restart forgets nothing of it.
        drop(watching);
        let mut watching = Watching::start(&served.key(), Some(served.address), &watched);
        watching.until(|event| event["event"] == "suspicion" && event["class"] == "archive-longer");
        served.network.shutdown().await;
    });
}

/// The host goes on as if it had not written the file, and its next entry names that length, or a longer one.
fn convicted(unlogged: &[&str], class: &str) {
    let place = honest();
    let (_kept, watched) = directory();
    // What `save("c")` writes, as its own host finds out.
    let going_on = honest_continuation(&place);
    run(async {
        let mut served = Served::of(&place.data()).await;
        let mut watching = Watching::start(&served.key(), Some(served.address), &watched);
        watching.until_agrees(LENGTHS[0]);
        served.archive[0].append(unlogged).expect("a disk");
        watching.until(|event| event["event"] == "suspicion" && event["class"] == "archive-longer");
        served.log.append(&going_on).expect("a disk");
        let ended = watching.until_ended();
        assert_eq!((&ended["verdict"], &ended["class"]), (&json!("diverges"), &json!(class)), "{ended}");
        let report = report(&ended);
        assert_eq!(report["archiveHead"]["length"], json!(LENGTHS[1] + unlogged.len() as u64));
        assert!(report["head"]["length"].as_u64() > Some(9), "{report}");
        let blocks: Vec<u64> = report["entries"]
            .as_array()
            .expect("entries")
            .iter()
            .filter_map(|entry| entry["block"].as_u64())
            .collect();
        assert!(blocks.len() == 3 && blocks[0] == 0 && (7..blocks[2]).contains(&blocks[1]), "{blocks:?}");
        assert_eq!(json!(blocks[2]), ended["block"]);
        let (code, report, _) = audit(&served.key(), &served);
        assert_eq!((code, &report["class"]), (1, &json!(class)), "{report}");
        served.network.shutdown().await;
    });
}

/// Entries that a real host of the same log adds: two calls that write, one after the other.
fn honest_continuation(place: &crate::support::TestService) -> Vec<Vec<u8>> {
    let copied = tempfile::tempdir().expect("a directory");
    crate::honesty::violations::copy(&place.data(), copied.path());
    run(async {
        let host = crate::support::Host::start(program().arg("host").arg("--dir").arg(copied.path()));
        let client = host.client().await;
        client.call("save", json!(["c"])).await;
        client.call("save", json!(["d"])).await;
        assert!(host.terminate().success());
    });
    let log = Core::open_read_only(&copied.path().join("log")).expect("a core");
    all_blocks(&log).split_off(LENGTHS[0] as usize)
}

#[test]
fn an_unlogged_file_convicts_once_an_entry_names_its_length() {
    convicted(&["what no call wrote"], "archive-differs");
    convicted(&["what no call wrote", "nor this"], "archive-differs");
}

#[test]
fn an_entry_that_names_another_hash_at_a_signed_length_convicts_without_blocks() {
    let hash = TreeHash([7; 32]);
    let head = FilesHead { version: Length(4), hash, blobs: Length(3), blobs_hash: hash };
    let from = Some(FilesLengths { version: Length(3), blobs: Length(2) });
    let files = Some(FilesChange { head, from });
    let heads = Outcome::Returned { value: Some(Value::Integer(14)), files };
    // Its own lie comes to light first: what the call would have written is known to every auditor.
    let place = honest();
    rewrite(&place.data().join("log"), |blocks| {
        blocks.push(entry("save", vec![Value::Text("c".into())], heads))
    });
    let (code, report) = crate::support::verify(&place.data());
    assert_eq!((code, &report["class"]), (1, &json!("wrong-files")), "{report}");
}

#[test]
fn an_archive_that_nobody_gives_is_not_agreed_with() {
    let place = honest();
    run(async {
        let log = Core::open(&place.data().join("log"), Durability::Relaxed).expect("a core");
        let network = libvms::net::Network::new(libvms::net::NetworkOptions::default());
        network.add_core(libvms::net::SharedCore::Writer(log.follow()), None);
        let address = network.listen(crate::honesty::watch::LOCAL.into()).await.expect("a port");
        let (key, peer) = (log.key().url(), format!("--peer={address}"));
        let output = vms(["verify", &key, &peer]);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        assert!(
            text(&output.stdout).contains("agrees: 8 calls; archive not seen"),
            "{}",
            text(&output.stdout)
        );
        let output = vms(["verify", &key, &peer, "--json"]);
        let report: Json = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(
            (&report["verdict"], &report["archive"]),
            (&json!("agrees"), &json!("not-seen")),
            "{report}"
        );
        network.shutdown().await;
    });
}

#[test]
fn a_part_of_an_archive_is_not_agreed_with_as_the_whole() {
    for (core, length, said) in [
        ("files", 2, "archive seen up to version 2 of 3"),
        ("blobs", 1, "contents of the archive seen up to block 1 of 2"),
    ] {
        let place = honest();
        rewrite(&place.data().join(core), |blocks| blocks.truncate(length));
        run(async {
            let served = Served::of(&place.data()).await;
            let (code, report, text) = audit(&served.key(), &served);
            assert_eq!(
                (code, &report["verdict"], &report["archive"]),
                (3, &json!("agrees"), &json!("behind"))
            );
            assert!(text.contains(said), "{text}");
            served.network.shutdown().await;
        });
        // In the host's own directory it is what a crash leaves.
        let (code, report) = crate::support::verify(&place.data());
        assert_eq!((code, &report["archive"]), (0, &json!("behind")), "{report}");
    }
}

#[test]
fn a_log_that_comes_while_its_archive_is_waited_with_is_taken() {
    let place = honest();
    let mut log = vec![];
    rewrite(&place.data().join("log"), |blocks| log = blocks.split_off(7));
    run(async {
        let mut served = Served::of(&place.data()).await;
        let (key, peer) = (served.key(), format!("--peer={}", served.address));
        let mut verify = program();
        verify.args(["verify", &key, &peer, "--json"]).stdout(std::process::Stdio::piped());
        let start = Instant::now();
        let verify = verify.spawn().expect("vms starts");
        tokio::time::sleep(Duration::from_secs(2)).await;
        served.log.append(&log).expect("a disk");
        let output = verify.wait_with_output().expect("it ends");
        let report: Json = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(
            (output.status.code(), &report["length"]),
            (Some(0), &json!(9)),
            "{report} {:?}",
            start.elapsed()
        );
        served.network.shutdown().await;
    });
}
