//! Every program of `examples/` does what its header says. The services there are tested in `behaviour.rs`.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use libvms_protocol::entry::{Entry, Outcome};
use libvms_protocol::value::Value;
use serde_json::json;

use crate::honesty::tamper::rewrite;
use crate::service::interop::packages;
use crate::support::{Process, TestService, example, run, text, verify, vms};

/// A Rust program of `examples/`. Cargo runs it in its own place: it gets signals itself.
fn program(name: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--example", name, "--"]).env("VMS_NO_SWARM", "1");
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    cargo
}

/// The exit code of a program, and what it prints.
fn printed(program: &mut Command) -> (Option<i32>, String) {
    let output = Process::output(program).expect("it starts");
    assert!(!output.stdout.is_empty(), "{}", text(&output.stderr));
    (output.status.code(), text(&output.stdout).to_owned())
}

/// A program that runs until it is stopped.
struct Running {
    process: Process,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(program: &mut Command) -> Self {
        let mut process =
            Process::start(program.stdin(Stdio::null()).stdout(Stdio::piped())).expect("it starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines }
    }

    /// What it prints up to a line that begins like this.
    fn until(&mut self, begin: &str) -> Vec<String> {
        let mut said = vec![];
        while said.last().is_none_or(|line: &String| !line.starts_with(begin)) {
            said.push(
                self.lines.next().unwrap_or_else(|| panic!("it has ended after {said:?}")).expect("text"),
            );
        }
        said
    }

    /// What Ctrl-C sends; the exit code.
    fn interrupt(mut self) -> Option<i32> {
        self.process.end_by("INT").code()
    }
}

#[test]
fn a_rust_program_can_embed_host_and_auditor() {
    let said = printed(&mut program("embed"));
    assert_eq!(said, (Some(0), "block 1: 1\nblock 2: 3\nblock 3: 6\nverified 3 calls\n".into()));
}

#[test]
fn a_rust_program_can_audit_a_log_in_a_storage_of_its_own() {
    let said = printed(&mut program("own_storage"));
    assert_eq!(said, (Some(0), "2 rows: agrees\n3 rows: agrees\n4 rows: agrees\n".into()));
}

#[test]
fn a_rust_program_can_call_a_service() {
    let place = TestService::of_example("counter.js");
    let host = place.host();
    let said = printed(program("call").arg(host.url()));
    let expected =
        "methods: [\"increment\",\"get\"]\nresults: 1, 42\nrefused: count in whole numbers (TypeError)\n";
    assert_eq!(said, (Some(0), expected.into()));
    assert!(host.terminate().success());
    place.assert_agrees();
    assert_eq!(place.log()[1]["userId"], "alice");
}

#[test]
fn a_rust_program_can_sign_a_call() {
    let (place, home) = (TestService::of_example("counter.js"), tempfile::tempdir().expect("a directory"));
    let [key, receipt] = ["alice.key", "increment.proof"].map(|name| home.path().join(name));
    assert!(vms(["keygen".as_ref(), key.as_os_str()]).status.success());
    let host = place.host_with(&["--auth", "signed"]);
    let mut calling = program("signed_call");
    calling.arg(host.url()).args([&key, &receipt]).env("XDG_STATE_HOME", home.path());
    let expected = format!("block 1: 1\n{}: the claim holds\n", receipt.display());
    assert_eq!(printed(&mut calling), (Some(0), expected));
    assert!(home.path().join("vms/known_logs").exists());
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn a_rust_program_can_verify_a_log() {
    let place = TestService::of_example("persisted-counter.js");
    run(async {
        let host = place.host();
        host.client().await.call("increment", json!([])).await;
        assert!(host.terminate().success());
    });
    let begin = "block 0: deploys \"script\"\nblock 1: calls init\nblock 2: calls increment\n";
    let said = printed(program("verify_log").arg(place.data()));
    assert_eq!(said, (Some(0), format!("{begin}agrees\nthe archive was compared as a whole\n")));
    rewrite(&place.data().join("log"), |blocks| {
        let Ok(Entry::Call(mut entry)) = Entry::decode(&blocks[2]) else { panic!("a call") };
        let Ok(Outcome::Returned { files, .. }) = entry.result.outcome() else { panic!("it returned") };
        entry.result = Outcome::Returned { value: Some(Value::Integer(7)), files }.into();
        blocks[2] = Entry::Call(entry).encode().expect("within the limits");
    });
    let (code, said) = printed(program("verify_log").arg(place.data()));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("diverges at block 2: wrong-result"), "{said}");
}

#[test]
fn a_rust_program_can_watch_a_host() {
    let place = TestService::of_example("counter.js");
    let directory = tempfile::tempdir().expect("a directory");
    run(async {
        let host = place.host();
        let mut watching = Running::start(program("watch_host").arg(host.url()).arg(directory.path()));
        watching.until("follows \"script\"");
        host.client().await.call("increment", json!([])).await;
        watching.until("2 entries agree");
        assert_eq!(watching.interrupt(), Some(0));
        assert!(host.terminate().success());
    });
}

#[test]
fn a_rust_program_can_keep_copies() {
    let place = TestService::of_example("persisted-counter.js");
    let directory = tempfile::tempdir().expect("a directory");
    run(async {
        let host = place.host();
        host.client().await.call("increment", json!([])).await;
        let log = host.announced[0]["callLogUrl"].as_str().expect("a key").to_owned();
        let peer = host.peer_address().to_string();
        let mut copying = Running::start(program("replicate").args([&log, &peer]).arg(directory.path()));
        let said = copying.until("serving on tcp://");
        let expected = ["log: 3 blocks", "files: 3 blocks", "blobs: 2 blocks", "/count (1 bytes)"];
        assert_eq!(said[..4], expected);
        assert_eq!(copying.interrupt(), Some(0));
        let (code, report) = verify(&directory.path().join(log.trim_start_matches("hyper://")));
        assert_eq!((code, &report["archive"]), (0, &json!("whole")), "{report}");
        assert!(host.terminate().success());
    });
}

#[test]
fn a_javascript_program_can_read_the_files() {
    let place = TestService::of_example("persisted-counter.js");
    run(async {
        let host = place.host();
        host.client().await.call("increment", json!([])).await;
        let archive = host.announced[0]["filesArchiveUrl"].as_str().expect("a key");
        let mut node = packages::node();
        let said =
            printed(node.arg(example("read-drive.js")).args([archive, &host.peer_address().to_string()]));
        assert_eq!(said, (Some(0), "version 3\n/count: 1\n  at version 2: 0\n  at version 3: 1\n".into()));
        assert!(host.terminate().success());
    });
}

/// So that none is forgotten here or in `Cargo.toml`.
#[test]
fn every_program_of_the_examples_is_run_by_a_test() {
    let tests = include_str!("examples.rs");
    let manifest = include_str!("../../node/Cargo.toml");
    let entries = std::fs::read_dir(example("")).expect("a directory");
    for name in entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()) {
        let Some(program) = name.strip_suffix(".rs") else { continue };
        assert!(tests.contains(&format!("program(\"{program}\")")), "{name}");
        assert!(manifest.contains(&format!("path = \"../examples/{name}\"")), "{name}");
    }
}
