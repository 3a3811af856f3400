//! What the JavaScript package writes and judges, against what this crate does: bytes that are signed, golden files, verdicts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use libvms_hypercore::identity::PublicKey;
use libvms_protocol::entry::Intention;
use libvms_protocol::proof::Proof;
use libvms_protocol::value::Value;
use serde::Deserialize;

use super::package::{folder, node};
use crate::honesty::framing;
use crate::support::{Process, text, variable};

/// Lists of arguments that are drawn, beside one for every 1,024 characters of Unicode.
const LISTS: u64 = 10_000;

/// Proof files that are drawn, beside those that say something of an honest host.
const PROOFS: u64 = 12_000;

const NONCE: u64 = 1_700_000_000_000_007;

/// What a script of the tests prints, given this input.
fn printed(script: &str, arguments: &[String], input: &str) -> String {
    let mut node = node();
    node.arg(format!("tests/{script}")).args(arguments);
    node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut node = Process::start(&mut node).expect("node starts");
    let mut stdin = node.stdin.take().expect("a pipe");
    let input = input.to_owned();
    // It may print before it has read all.
    let writing = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = node.wait_with_output().expect("it ends");
    writing.join().expect("no panic");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

#[test]
fn arguments_are_signed_as_a_host_reads_them() {
    #[derive(Deserialize)]
    struct Signed {
        params: String,
        signed: String,
    }
    let log = PublicKey([0xab; 32]);
    let lines = printed("arguments.js", &[LISTS.to_string(), log.to_string(), NONCE.to_string()], "");
    let mut lists = 0;
    for line in lines.lines() {
        let Signed { params, signed } = serde_json::from_str(line).expect("a JSON line");
        let Ok(Value::Array(args)) = Value::from_json(&params) else { panic!("no arguments: {params}") };
        let call = Intention { method: "f", args: &args, nonce: NONCE, seen: None, instead: None };
        assert_eq!(HEXLOWER.encode(&call.signable(&log)), signed, "{params}");
        lists += 1;
    }
    assert_eq!(lists, LISTS + (0x11_0000 - 0x800) / 0x400, "all of Unicode among them");
}

#[test]
fn golden_files_are_read_as_their_makers_meant_them() {
    let paths = ["fixtures/callers", "protocol/FORMAT.md"].map(|path| folder(path).display().to_string());
    let said = printed("vectors.js", &paths, "");
    let cases: u64 = said.trim().trim_end_matches(" cases").parse().expect("a number");
    assert!(cases > 300, "{said}");
}

fn verdict(file: &[u8]) -> &'static str {
    match Proof::decode(file) {
        Ok(proof) => proof.check().name(),
        Err(_) => "unreadable",
    }
}

#[test]
fn proofs_are_judged_alike() {
    let seed = variable("VMS_SEED", 1);
    let mut honest = String::new();
    for file in framing::accusing_files() {
        writeln!(honest, "{}", HEXLOWER.encode(&file)).expect("a text");
    }
    let lines = printed("proofs.js", &[PROOFS.to_string(), seed.to_string()], &honest);
    let mut counts = BTreeMap::new();
    for line in lines.lines() {
        let (theirs, file) = line.split_once(' ').expect("two words");
        let file = HEXLOWER_PERMISSIVE.decode(file.as_bytes()).expect("digits");
        let ours = verdict(&file);
        let why = Proof::decode(&file).map(|proof| proof.check());
        assert_eq!(theirs, ours, "{why:?} (seed {seed}): {line}");
        *counts.entry(ours).or_insert(0) += 1;
    }
    let of = |verdict| counts.get(verdict).copied().unwrap_or(0);
    assert!(counts.values().sum::<u64>() > PROOFS, "{counts:?}");
    // Each verdict is that of many.
    for verdict in ["holds", "fails", "cannot-tell", "unreadable"] {
        assert!(of(verdict) > 500, "{counts:?}");
    }
}
