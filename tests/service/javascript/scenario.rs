//! Running a scenario, and doing what it asks for.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use serde_json::{Value, json};

use super::package::node;
use crate::support::{Process, check_proof};

/// Where a scenario runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Node,
    Browser,
}

/// Runs a scenario, which knows `context`. `act` does what it asks for, and returns what it is told.
pub(super) fn run(place: Place, name: &str, context: &Value, mut act: impl FnMut(&str, &[Value]) -> Value) {
    let mut node = node();
    let place = if place == Place::Node { "node" } else { "browser" };
    node.args(["tests/run.js", place, name]);
    node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut node = Process::start(&mut node).expect("node starts");
    let mut stdin = node.stdin.take().expect("a pipe");
    let mut stderr = node.stderr.take().expect("a pipe");
    let said = std::thread::spawn(move || {
        let mut said = String::new();
        let _may_be_cut = stderr.read_to_string(&mut said);
        said
    });
    let mut is_done = false;
    let _may_be_gone = writeln!(stdin, "{context}");
    for line in BufReader::new(node.stdout.take().expect("a pipe")).lines() {
        let asked: Value = serde_json::from_str(&line.expect("text")).expect("a JSON line");
        let args = asked["args"].as_array().expect("a list");
        match asked["what"].as_str().expect("a word") {
            "done" => is_done = true,
            "proof" => drop(writeln!(stdin, "{}", judge(args))),
            what => drop(writeln!(stdin, "{}", act(what, args))),
        }
    }
    let status = node.wait().expect("it ends");
    let said = said.join().expect("no panic");
    assert!(is_done && status.success(), "{name}: {said}");
}

/// Judges a proof of a scenario as anybody can.
fn judge(args: &[Value]) -> Value {
    let bytes: Vec<u8> = serde_json::from_value(args[0].clone()).expect("bytes");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("it.proof");
    std::fs::write(&file, bytes).expect("writable");
    let (_, verdict) = check_proof(&file, args[1].as_str().expect("a key"));
    json!(verdict["verdict"])
}
