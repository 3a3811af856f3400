//! A host's directory that is damaged behind its back: what was acknowledged is brought back or asked for, never passed
//! over; and nobody is accused for it.

use std::fs::File;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::honesty::tamper::rewrite;
use crate::honesty::violations::copy;
use crate::support::{Host, TestService, program, run, text, verify, vms};

const SCRIPT: &str = "let n = 0
exports.note = (text) => { n++ }
exports.inc = (by = 1) => n += by
exports.save = async (text) => { await System.files.writeFile('/f', text + n); return n }";

/// Calls after which the host was killed: the last ones give nothing that a replay could tell apart from others.
fn killed(calls: u64) -> TestService {
    killed_after(calls, |call| call % 3)
}

/// Calls of the kind that `kind` gives for each: 0 counts, 1 writes a file, 2 only changes the heap.
fn killed_after(calls: u64, kind: fn(u64) -> u64) -> TestService {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let client = host.client().await;
        for call in 0..calls {
            match kind(call) {
                0 => client.call("inc", json!([call])).await,
                1 => client.call("save", json!([format!("{call}")])).await,
                _ => client.call("note", json!([format!("note {call}")])).await,
            };
        }
        host.kill();
    });
    place
}

fn copied(place: &TestService) -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("a directory");
    copy(&place.data(), to.path());
    to
}

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(file).expect("readable");
    change(&mut bytes);
    std::fs::write(file, bytes).expect("writable");
}

/// Starts the host of a directory: how many entries its log has, or what it says instead.
fn start(data: &Path) -> Result<u64, String> {
    let host = Host::try_start(program().arg("host").arg("--dir").arg(data))?;
    let length = host.announced[0]["callLogLength"].as_u64().expect("a length");
    assert!(host.terminate().success());
    Ok(length)
}

/// The log's bytes, which a recovery must bring back as they were.
fn data_of(directory: &Path) -> Vec<u8> {
    std::fs::read(directory.join("log/data")).expect("readable")
}

#[test]
fn an_acknowledged_call_that_the_oplog_lost_is_taken_back_in() {
    let place = killed(30);
    let before = data_of(&place.data());
    let oplog = std::fs::metadata(place.data().join("log/oplog")).expect("a file").len();
    for cut in [1, 2, 40, 200, 1000, oplog - 8192] {
        let damaged = copied(&place);
        let file = File::options().write(true).open(damaged.path().join("log/oplog")).expect("a file");
        file.set_len(oplog - cut).expect("cut");
        let (code, report) = verify(damaged.path());
        assert!(code == 3 || report["bytesBeyond"].as_u64() > Some(0), "{cut} bytes cut: {report}");
        assert_eq!(start(damaged.path()), Ok(31), "{cut} bytes cut");
        assert!(data_of(damaged.path()) == before, "{cut} bytes cut");
        let (code, report) = verify(damaged.path());
        assert_eq!((code, &report["length"]), (0, &json!(31)), "{cut} bytes cut: {report}");
    }
}

#[test]
fn a_bit_that_flipped_in_the_oplog_loses_no_call() {
    let place = killed(12);
    let oplog = std::fs::metadata(place.data().join("log/oplog")).expect("a file").len() as usize;
    for at in (8192..oplog).step_by((oplog - 8192) / 12) {
        let damaged = copied(&place);
        change(&damaged.path().join("log/oplog"), |bytes| bytes[at] ^= 0x10);
        assert_eq!(start(damaged.path()), Ok(13), "flipped at {at}");
        assert!(data_of(damaged.path()) == data_of(&place.data()), "flipped at {at}");
    }
}

#[test]
fn a_log_whose_calls_are_gone_is_refused_with_what_to_do() {
    let place = killed(12);
    type Damage = fn(&Path);
    let cases: [(&str, Damage); 5] = [
        ("a byte of the last block and of its entry", |log| {
            change(&log.join("oplog"), |bytes| bytes.truncate(bytes.len() - 1));
            change(&log.join("data"), |bytes| *bytes.last_mut().expect("blocks") ^= 1);
        }),
        ("the last byte of both", |log| {
            change(&log.join("oplog"), |bytes| bytes.truncate(bytes.len() - 1));
            change(&log.join("data"), |bytes| bytes.truncate(bytes.len() - 1));
        }),
        ("the last byte of the data", |log| {
            change(&log.join("data"), |bytes| bytes.truncate(bytes.len() - 1))
        }),
        ("a byte in the midst of the data", |log| change(&log.join("data"), |bytes| bytes[700] ^= 1)),
        ("both headers", |log| change(&log.join("oplog"), |bytes| bytes[20] ^= 1)),
    ];
    for (what, damage) in cases {
        let damaged = copied(&place);
        damage(&damaged.path().join("log"));
        let refused = start(damaged.path()).expect_err(what);
        assert!(refused.contains("good copy of"), "{what}: {refused}");
        let output = vms(["host".as_ref(), "--dir".as_ref(), damaged.path().as_os_str()]);
        assert_eq!(output.status.code(), Some(2), "{what}");
        // Nothing was signed, nothing was cut: what is left is evidence.
        let (code, report) = verify(damaged.path());
        assert_eq!((code, &report["verdict"]), (3, &json!("cannot-verify")), "{what}: {report}");
    }
}

#[test]
fn half_of_a_write_that_nobody_was_told_of_is_given_up() {
    let place = killed(12);
    let torn: [(&str, &[u8]); 3] = [
        ("the beginning of an entry", b"\xa3\x64call\xa4\x62at\x1b"),
        ("zeros", &[0; 500]),
        ("a byte", b"\xa3"),
    ];
    for (what, bytes) in torn {
        let damaged = copied(&place);
        change(&damaged.path().join("log/data"), |data| data.extend(bytes));
        let (code, report) = verify(damaged.path());
        assert_eq!((code, &report["bytesBeyond"]), (0, &json!(bytes.len())), "{what}: {report}");
        assert_eq!(start(damaged.path()), Ok(13), "{what}");
        assert!(data_of(damaged.path()) == data_of(&place.data()), "{what}");
    }
    let damaged = copied(&place);
    change(&damaged.path().join("log/data"), |data| data.extend(b"\xa1\x64type\x64call and something else"));
    let refused = start(damaged.path()).expect_err("no write of ours looks so");
    assert!(refused.contains("truncate -s"), "{refused}");
}

#[test]
fn a_deployment_that_the_oplog_lost_is_taken_back_in() {
    let place = TestService::new("exports.init = () => {}; exports.f = () => 1");
    run(async { place.host().kill() });
    change(&place.data().join("log/oplog"), |bytes| bytes.truncate(bytes.len() - 1));
    assert_eq!(start(&place.data()), Ok(2));
}

#[test]
fn the_log_brings_the_archive_back_whatever_its_last_writes_have_become() {
    let place = killed(30);
    for core in ["files", "blobs"] {
        let path = place.data().join(core).join("oplog");
        let oplog = std::fs::metadata(path).expect("a file").len() as usize;
        for at in [8200, (8192 + oplog) / 2, oplog - 1] {
            let damaged = copied(&place);
            change(&damaged.path().join(core).join("oplog"), |bytes| bytes[at] ^= 1);
            assert_eq!(start(damaged.path()), Ok(31), "{core} flipped at {at}");
            let damaged = copied(&place);
            change(&damaged.path().join(core).join("data"), |bytes| bytes.truncate(bytes.len() - 1));
            assert_eq!(start(damaged.path()), Ok(31), "{core} cut");
            let (code, report) = verify(damaged.path());
            assert_eq!((code, &report["archive"]), (0, &json!("whole")), "{report}");
        }
    }
}

#[test]
fn a_tree_that_is_damaged_is_not_signed_on() {
    // Enough for the trees to be written.
    let place = killed_after(450, |_| 1);
    for core in ["log", "files", "blobs"] {
        let tree = place.data().join(core).join("tree");
        let length = std::fs::metadata(tree).expect("a file").len() as usize;
        assert!(length > 10_000, "it was flushed");
        // A leaf, a node above, their sizes, and one of the last: some are made anew by the host, and none is passed over.
        for at in [3, 41, 121, 40 * 7 + 20, 40 * 63 + 20].into_iter().filter(|at| *at < length) {
            let damaged = copied(&place);
            change(&damaged.path().join(core).join("tree"), |bytes| bytes[at] ^= 1);
            let refused = start(damaged.path()).expect_err("its proofs would be wrong");
            assert!(
                refused.contains("is damaged") && refused.contains("good copy of"),
                "{core} {at}: {refused}"
            );
        }
        // Nobody reads the bitfield but programs that read the files themselves.
        let damaged = copied(&place);
        change(&damaged.path().join(core).join("bitfield"), |bytes| {
            bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        });
        assert_eq!(start(damaged.path()), Ok(451));
    }
}

fn slip(what: &str, make: impl FnOnce(&Path)) -> Json {
    let place = killed(12);
    make(&place.data());
    let (code, report) = verify(&place.data());
    assert_eq!((code, &report["verdict"]), (3, &json!("cannot-verify")), "{what}: {report}");
    report
}

fn swap(data: &Path, one: &str, other: &str) {
    std::fs::rename(data.join(one), data.join("aside")).expect("renamed");
    std::fs::rename(data.join(other), data.join(one)).expect("renamed");
    std::fs::rename(data.join("aside"), data.join(other)).expect("renamed");
}

#[test]
fn a_slip_of_an_operator_accuses_nobody() {
    let why = |report: &Json| report["why"].as_str().expect("a reason").to_owned();
    assert!(why(&slip("log and files", |data| swap(data, "log", "files"))).contains("mixed up"));
    assert!(why(&slip("log and blobs", |data| swap(data, "log", "blobs"))).contains("mixed up"));
    assert!(why(&slip("files and blobs", |data| swap(data, "files", "blobs"))).contains("is not the one"));
    slip("no log", |data| std::fs::remove_dir_all(data.join("log")).expect("removed"));
    slip("archive as log", |data| {
        std::fs::remove_dir_all(data.join("log")).expect("removed");
        copy(&data.join("files"), &data.join("log"));
    });
    slip("another service's archive", |data| {
        let other = killed(3);
        std::fs::remove_dir_all(data.join("files")).expect("removed");
        copy(&other.data().join("files"), &data.join("files"));
    });
    let old = slip("an old log", |data| rewrite(&data.join("log"), |blocks| blocks.truncate(9)));
    assert!(why(&old).starts_with("cannot tell: the archive is ahead of the log"), "{old}");
    slip("an oplog cut short", |data| {
        change(&data.join("log/oplog"), |bytes| bytes.truncate(bytes.len() - 1))
    });
    slip("an empty directory", |data| std::fs::remove_dir_all(data).expect("removed"));
    let alone = TestService::new(SCRIPT);
    run(async { assert!(alone.host().terminate().success()) });
    ["files", "blobs"]
        .iter()
        .for_each(|core| std::fs::remove_dir_all(alone.data().join(core)).expect("removed"));
    let output = vms(["verify".as_ref(), alone.data().as_os_str()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains("archive not seen"), "{}", text(&output.stdout));
}

#[test]
fn what_cannot_be_used_and_what_cannot_be_reached_have_their_codes() {
    let place = TestService::new(SCRIPT);
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let nobody = format!("ws://{port}/");
    let key = "ab".repeat(32);
    let peer = format!("--peer={port}");
    let nowhere = place.data().join("nowhere");
    let nowhere = nowhere.to_str().expect("UTF-8");
    let cases: [(i32, &[&str]); 13] = [
        (3, &["call", &nobody, "f"]),
        (3, &["verify", &nobody]),
        (3, &["log", &nobody]),
        (3, &["files", "ls", &nobody]),
        (3, &["repl", &nobody]),
        (3, &["verify", &key, &peer]),
        (3, &["log", &key, &peer]),
        (2, &["call", "http//", "f"]),
        (2, &["log", nowhere]),
        (2, &["files", "ls", nowhere]),
        (2, &["host", "--dir", nowhere]),
        (2, &["host", "/dev/full/x.js"]),
        (2, &["keygen", "/dev/null/key"]),
    ];
    for (code, arguments) in cases {
        let output = vms(arguments.iter().copied());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    }
}
