//! `vms proof`: what it reads, what it says, and the exit codes of its verdicts.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use libvms::storage::{Core, Durability};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Roots;
use libvms_protocol::entry::{Call, CallEntry, Caller, Entry, Outcome};
use libvms_protocol::limits;
use libvms_protocol::proof::{Inclusion, Proof};
use libvms_protocol::value::Value as Data;
use serde_json::{Value, json};

use crate::support::{Host, Process, TestService, VMS, assert_proof_holds, program, run, text};

/// The log of a counter with one call, and a place for files.
struct Place {
    service: TestService,
    files: tempfile::TempDir,
    log: String,
}

impl Place {
    fn new() -> Self {
        let service = TestService::of_example("counter.js");
        run(async {
            let host = service.host();
            host.client_of("bob\u{1b}").await.call("increment", json!([41])).await;
            assert!(host.terminate().success());
        });
        let log = Core::open_read_only(&service.data().join("log")).expect("a core").key().to_string();
        Self { service, files: tempfile::tempdir().expect("a temporary directory"), log }
    }

    fn vms(&self, arguments: &[&str]) -> Output {
        let mut command = program();
        command.current_dir(self.files.path()).args(arguments).stdin(Stdio::null());
        Process::output(&mut command).expect("vms starts")
    }

    fn data(&self) -> String {
        self.service.data().display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Makes the receipt of block 1.
    fn receipt(&self, name: &str) -> Vec<u8> {
        let made = self.vms(&["proof", "make", &self.data(), "call", "1", "--out", name]);
        assert_eq!(said(&made), (0, format!("{name}\n"), String::new()));
        fs::read(self.path(name)).expect("made")
    }

    fn check(&self, arguments: &[&str]) -> (i32, Vec<Value>) {
        let output = self.vms(&[&["proof", "check", "--json"], arguments].concat());
        let lines = text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("a JSON line"));
        (output.status.code().expect("an exit code"), lines.collect())
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let code = output.status.code().expect("an exit code");
    (code, text(&output.stdout).into(), text(&output.stderr).into())
}

/// The receipt of a block of a log that has no other, signed by some key.
fn receipt_of(entry: Vec<u8>) -> Vec<u8> {
    let mut roots = Roots::default();
    roots.append(&entry);
    let head = SignedHead::sign(&SecretKey::from_seed(&[3; 32]), Length(1), roots.tree_hash());
    Proof::Inclusion(Inclusion::make(&head, BlockIndex(0), entry, |_| None).expect("one block has no path"))
        .encode()
}

#[test]
fn each_verdict_has_its_exit_code_and_the_worst_of_several_files_counts() {
    let place = Place::new();
    let receipt = place.receipt("good.proof");
    let mut false_receipt = receipt.clone();
    let last = false_receipt.len() - 70;
    false_receipt[last] ^= 1;
    fs::write(place.path("false.proof"), false_receipt).expect("writable");
    fs::write(place.path("later.proof"), b"\xa3\x61v\x01\x64kind\x65later\x64type\x65proof")
        .expect("writable");
    fs::write(place.path("none.proof"), "text").expect("writable");
    let one = |name: &str| {
        let (code, lines) = place.check(&[name]);
        (code, lines[0]["verdict"].as_str().expect("a word").to_owned())
    };
    assert_eq!(one("good.proof"), (0, "holds".into()));
    assert_eq!(one("false.proof"), (1, "fails".into()));
    assert_eq!(one("later.proof"), (3, "cannot-tell".into()));
    for name in ["none.proof", "missing.proof", "."] {
        assert_eq!(one(name), (2, "unreadable".into()));
    }
    for (names, code) in [
        (&["good.proof", "good.proof"][..], 0),
        (&["good.proof", "later.proof"], 3),
        (&["later.proof", "false.proof", "good.proof"], 1),
        (&["none.proof", "false.proof", "later.proof"], 2),
    ] {
        let (ended, lines) = place.check(names);
        assert_eq!((ended, lines.len()), (code, names.len()), "each is judged: {names:?}");
    }
    assert_eq!(said(&place.vms(&["proof", "check"])).0, 2);
}

#[test]
fn a_claim_is_about_the_log_that_is_asked_for_or_fails() {
    let place = Place::new();
    place.receipt("good.proof");
    let other = "ab".repeat(32);
    let url = format!("hyper://{}", place.log);
    for log in [place.log.as_str(), &url, &place.data()] {
        assert_eq!(place.check(&["good.proof", "--log", log]).0, 0, "{log}");
    }
    let (code, lines) = place.check(&["good.proof", "--log", &other]);
    let why = lines[0]["why"].as_str().expect("a reason");
    assert_eq!((code, &lines[0]["log"]), (1, &json!(place.log)));
    assert!(why.starts_with("log: it is about ") && why.contains(&other), "{why}");
    for log in ["ws://127.0.0.1:1/", "nowhere"] {
        let (code, _, stderr) = said(&place.vms(&["proof", "check", "good.proof", "--log", log]));
        assert!(code == 2 && stderr.contains("hint: "), "{stderr}");
    }
}

#[test]
fn standard_input_is_a_file_and_standard_output_one_too() {
    let place = Place::new();
    let made = place.vms(&["proof", "make", &place.data(), "call", "1", "--out", "-"]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let mut command = program();
    command.args(["proof", "check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::start(&mut command).expect("vms starts");
    process.stdin.take().expect("a pipe").write_all(&made.stdout).expect("it reads");
    assert_eq!(process.wait().expect("it ends").code(), Some(0));
    assert_eq!(place.receipt("same.proof"), made.stdout);
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let place = Place::new();
    File::create(place.path("huge.proof")).expect("writable").set_len(1 << 40).expect("a sparse file");
    for endless in ["huge.proof", "/dev/zero"] {
        let (code, lines) = place.check(&[endless]);
        let why = lines[0]["why"].as_str().expect("a reason");
        assert!(code == 2 && why.contains("the limit is 33554432"), "{why}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_of_millions_of_small_values_is_checked_in_little_memory() {
    /// Kibibytes of address space. Small values take up to thirty times their bytes, and none is kept beyond what a call may have.
    const MEMORY: &str = "ulimit -v 150000 && exec \"$@\"";
    let place = tempfile::tempdir().expect("a temporary directory");
    let call = |args, value| {
        let call = Call::new(Caller::Anonymous, "f", args, 5);
        let entry = Entry::Call(CallEntry::new(call, Outcome::Returned { value: Some(value), files: None }));
        entry.encode()
    };
    let list = |count, item: &Data| vec![item.clone(); count];
    // Just within the bounds: `[[0],[0],...]`.
    let (count, small) = (limits::ARGUMENTS_BYTES_MAX / 4 - 1, Data::Array(vec![Data::Integer(0)]));
    let honest = call(list(count, &small), Data::Array(list(count, &small))).expect("within the bounds");
    // Far beyond: four millions of zeros, written where a list of two stood.
    let mut hostile = call(list(2, &Data::Integer(0)), Data::Null).expect("within the bounds");
    let at = hostile.windows(7).position(|bytes| bytes == b"dargs\x82\0").expect("the arguments") + 5;
    let zeros = [&b"\x9a\x00\x40\x00\x00"[..], &vec![0; 4 << 20]].concat();
    hostile.splice(at..at + 3, zeros);
    for (name, entry, is_entry) in [("honest", honest, true), ("hostile", hostile, false)] {
        let path = place.path().join(name);
        fs::write(&path, receipt_of(entry)).expect("writable");
        let mut command = Command::new("sh");
        command.args(["-c", MEMORY, "sh", VMS, "proof", "check"]).arg(&path);
        let (code, said, error) = said(&Process::output(&mut command).expect("sh starts"));
        assert_eq!(code, 0, "{name}: {said}{error}");
        assert_eq!(said.contains("a call of `f`"), is_entry, "{name}: {said}");
    }
}

#[test]
fn what_a_file_claims_and_holds_is_said_in_words() {
    let place = Place::new();
    place.receipt("good.proof");
    let (code, shown, _) = said(&place.vms(&["proof", "show", "good.proof"]));
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!((code, lines[0], lines[2]), (0, "good.proof", "  kind   inclusion"), "{shown}");
    assert_eq!(lines[1], format!("  log    {}", place.log));
    assert!(
        lines[3].starts_with(&format!(
            "  claim  Key {} signed a log of 2 blocks, of which block 1 is",
            place.log
        ))
    );
    assert!(lines[4].starts_with("  holds  A signed head, an entry of "), "{shown}");
    assert!(lines[5].starts_with("  entry  #1 ") && lines[5].ends_with("increment(41) -> 41"), "{shown}");
    assert!(lines[6].contains("vms proof check"), "{shown}");
    let object = place.vms(&["proof", "show", "good.proof", "--json"]);
    let object: Value = serde_json::from_slice(&object.stdout).expect("one object");
    assert_eq!((&object["block"], &object["entry"]["result"]["res"]), (&json!(1), &json!(41)), "{object}");
    assert_eq!((&object["log"], &object["kind"]), (&json!(place.log), &json!("inclusion")));
    fs::write(place.path("none.proof"), "text").expect("writable");
    let (code, shown, _) = said(&place.vms(&["proof", "show", "none.proof", "good.proof"]));
    assert!(code == 2 && shown.starts_with("none.proof: unreadable: not a proof file"), "{shown}");
    assert!(shown.contains("\ngood.proof\n"), "the others are shown: {shown}");
}

#[test]
fn what_strangers_wrote_into_a_file_stays_in_its_place() {
    let place = Place::new();
    let nasty = "x`\u{1b}[2J\n  claim  good\u{202e}";
    let call = Call::new(Caller::Claimed(nasty.into()), nasty, vec![Data::Text(nasty.into())], 5);
    let outcome = Outcome::Returned { value: Some(Data::Text(nasty.into())), files: None };
    let entry = Entry::Call(CallEntry::new(call, outcome)).encode().expect("within the limits");
    let name = "na\u{1b}sty.proof";
    for bytes in [receipt_of(entry), b"\xa3\x61v\x01\x64kind\x66\x1b[2J`b\x64type\x65proof".to_vec()] {
        fs::write(place.path(name), bytes).expect("writable");
        for command in ["show", "check"] {
            for more in [&[][..], &["--json"]] {
                let output = place.vms(&[&["proof", command, name], more].concat());
                let (_, stdout, stderr) = said(&output);
                for printed in [&stdout, &stderr] {
                    let is_tame =
                        |letter: char| letter == '\n' || !letter.is_control() && letter != '\u{202e}';
                    assert!(printed.chars().all(is_tame), "{printed:?}");
                }
                let claims = stdout.lines().filter(|line| line.starts_with("  claim")).count();
                assert_eq!(claims, usize::from(more.is_empty()), "{stdout}");
                assert!(!stdout.contains("`x`"), "{stdout}");
            }
        }
    }
}

#[test]
fn a_receipt_is_made_of_a_directory_a_service_and_a_copy_and_replaces_nothing() {
    let place = Place::new();
    let made = place.vms(&["proof", "make", &place.data(), "call", "0", "--json"]);
    let object: Value = serde_json::from_slice(&made.stdout).expect("one object");
    let name = format!("./{}-0.proof", &place.log[..8]);
    assert_eq!(object, json!({ "file": name, "kind": "inclusion", "log": place.log }));
    assert_proof_holds(&place.path(&name), &place.log, "inclusion");
    let host = Host::start(program().arg("host").arg("--dir").arg(place.data()));
    let made = place.vms(&["proof", "make", host.url(), "call", "1"]);
    assert_eq!(said(&made).0, 0, "{:?}", said(&made));
    assert_proof_holds(&place.path(&format!("{}-1.proof", &place.log[..8])), &place.log, "inclusion");
    let peer = format!("--peer={}", host.peer_address());
    let made = place.vms(&["proof", "make", &place.log, "call", "1", &peer, "--out", "peer.proof"]);
    assert_eq!(said(&made).0, 0, "{:?}", said(&made));
    assert_eq!(fs::read(place.path("peer.proof")).expect("made"), place.receipt("own.proof"));
    assert!(host.terminate().success());
    let again = said(&place.vms(&["proof", "make", &place.data(), "call", "1", "--out", "own.proof"]));
    assert!(again.0 == 2 && again.2.contains("own.proof exists already"), "{}", again.2);
    let nothing = said(&place.vms(&["proof", "make", &place.data(), "call", "2"]));
    assert!(nothing.0 == 2 && nothing.2.contains("no block 2"), "{}", nothing.2);
    let nowhere = said(&place.vms(&["proof", "make", "call", "1"]));
    assert!(nowhere.0 == 2 && nowhere.2.contains("hint: name it before the word call"), "{}", nowhere.2);
}

#[test]
fn a_damaged_log_gives_no_receipt() {
    let place = Place::new();
    let data = place.service.data().join("log/data");
    let mut bytes = fs::read(&data).expect("the log's data");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&data, bytes).expect("writable");
    let (code, _, stderr) = said(&place.vms(&["proof", "make", &place.data(), "call", "1"]));
    assert!(code == 2 && stderr.contains("block 1"), "{stderr}");
    assert_eq!(fs::read_dir(place.files.path()).expect("a directory").count(), 0);
}

#[test]
fn a_fork_is_made_only_where_two_files_contradict_each_other() {
    let place = Place::new();
    place.receipt("one.proof");
    place.receipt("two.proof");
    fs::write(place.path("strange.proof"), receipt_of(b"strange".to_vec())).expect("writable");
    fs::write(place.path("later.proof"), b"\xa3\x61v\x01\x64kind\x65later\x64type\x65proof")
        .expect("writable");
    for (other, code, why) in [
        ("two.proof", 1, "no fork: both show one history"),
        ("strange.proof", 1, "no fork: the signed heads are of different keys"),
        ("later.proof", 1, "no fork: a file holds no signed head"),
        (place.data().as_str(), 1, "no fork: both show one history"),
        ("missing.proof", 2, "error: missing.proof"),
    ] {
        let (ended, stdout, stderr) = said(&place.vms(&["proof", "make", "fork", "one.proof", other]));
        assert_eq!(ended, code, "{other}: {stdout}{stderr}");
        assert!((stdout.clone() + &stderr).starts_with(why), "{other}: {stdout}{stderr}");
    }
    let more = said(&place.vms(&["proof", "make", "somewhere", "fork", "one.proof", "two.proof"]));
    assert!(more.0 == 2 && more.2.contains("does not apply"), "{}", more.2);
    // Another history that is longer: the last block of the shorter one tells the two apart.
    let log = Core::open(&place.service.data().join("log"), Durability::Relaxed).expect("a core");
    let secret = log.secret_key().expect("the host's own");
    drop(log);
    let other = place.path("other");
    let mut forked = Core::create(&other.join("log"), secret, Durability::Relaxed).expect("a new core");
    forked.append(&["one", "two", "three"]).expect("a disk");
    drop(forked);
    let made = said(&place.vms(&["proof", "make", "fork", "one.proof", "other"]));
    assert_eq!(made, (0, format!("./{}-fork.proof\n", &place.log[..8]), String::new()));
    let path: &Path = made.1.trim_end().as_ref();
    assert_proof_holds(&place.path(path.to_str().expect("UTF-8")), &place.log, "equivocation");
}
