//! A client that shares no code with this repository calls a host that wants signatures, and checks all that it says.
//!
//! `independent/client.py` is the client, `independent/checks.py` what it does; both stand on `fixtures/callers/reader.py`, which was
//! written from `protocol/FORMAT.md` alone, and which judges the vectors of `fixtures/callers/` as well.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Host, Process, TestService, text};

/// Returns Python with the packages that the client needs. `None`, and says so, where it is not here; fails in CI.
fn python() -> Option<Command> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    // The first one may be somebody's own, without the system's packages.
    let all = std::env::split_paths(&paths).map(|directory| directory.join("python3"));
    if let Some(program) = all.into_iter().find(|program| is_complete(program)) {
        let mut command = Command::new(program);
        // Nothing is left beside the sources.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        return Some(command);
    }
    let why = "Python 3.11 with `cryptography` and `cbor2` is not here: run `.ci/setup --tests`";
    assert!(std::env::var_os("CI").is_none(), "{why}");
    // Nobody may be reading; the test is skipped all the same.
    let _unheard = std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
    None
}

/// The condition is that of `.ci/setup`.
fn is_complete(program: &Path) -> bool {
    let condition = "import cbor2, cryptography, sys; sys.exit(sys.version_info < (3, 11))";
    let mut command = Command::new(program);
    Process::output(command.args(["-c", condition])).is_ok_and(|output| output.status.success())
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn service() -> TestService {
    let script = file("tests/service/independent/service.js");
    TestService::new(&std::fs::read_to_string(script).expect("a script"))
}

/// Runs a part of the checks against a host, and returns what was counted.
fn check(python: &mut Command, part: &str, host: &Host, more: &[&Path]) -> Value {
    python.arg(file("tests/service/independent/checks.py")).args([part, host.url()]).args(more);
    let output = Process::output(python).expect("Python starts");
    assert!(output.status.success(), "{part}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn check_alone(part: &str, expected: impl FnOnce(&Value)) {
    check_with(part, &[], expected);
}

fn check_with(part: &str, options: &[&str], expected: impl FnOnce(&Value)) {
    let Some(mut python) = python() else { return };
    let place = service();
    let host = place.host_with(&[&["--auth", "signed"], options].concat());
    expected(&check(&mut python, part, &host, &[]));
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn an_independent_client_gets_all_of_json_through_unchanged() {
    let expected = json!({ "odd": 47, "byChance": 400, "refused": 22 });
    check_alone("arguments", |counted| assert_eq!(*counted, expected));
}

#[test]
fn an_independent_client_is_refused_by_each_rule_with_its_signed_reason() {
    let expected = json!({ "signatures": 16, "forms": 15, "heads": 6, "times": 9, "numbers": 9 });
    check_alone("rules", |counted| assert_eq!(*counted, expected));
}

#[test]
fn an_independent_client_has_a_call_executed_once_before_and_after_a_restart() {
    let (Some(mut before), Some(mut after)) = (python(), python()) else { return };
    let place = service();
    let state = place.script().with_file_name("state.json");
    let host = place.host_with(&["--auth", "signed"]);
    let counted = check(&mut before, "once", &host, &[&state]);
    assert_eq!(counted, json!({ "once": 2, "answers": 13 }));
    assert!(host.terminate().success());
    let host = place.host();
    assert_eq!(check(&mut after, "again", &host, &[&state]), json!({ "again": 2, "answers": 5 }));
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn an_independent_client_is_told_that_too_many_calls_wait() {
    check_alone("busy", |counted| {
        let (busy, executed) = (counted["busy"].as_u64(), counted["executed"].as_u64());
        assert_eq!(busy.zip(executed).map(|(busy, executed)| busy + executed), Some(1_200));
        assert!(busy > Some(0));
    });
}

#[test]
fn an_independent_reader_judges_every_vector_as_it_is_meant() {
    let Some(mut python) = python() else { return };
    let output = Process::output(python.arg(file("fixtures/callers/check.py"))).expect("Python starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let counted: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = json!({ "calls": 41, "signatures": 68, "arguments": 59, "receipts": 94, "refusals": 25, "rules": 57 });
    assert_eq!(counted, expected);
}

#[test]
fn an_independent_client_is_told_that_it_calls_too_often() {
    check_with("rate", &["--calls-per-minute", "5"], |counted| {
        // What is there at the beginning, and what comes back meanwhile.
        assert!((1..50).contains(&counted["executed"].as_u64().expect("a number")), "{counted}");
    });
}
