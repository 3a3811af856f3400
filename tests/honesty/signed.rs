//! Hosts that break the rules for signed calls, each in one of the ways there are: `vms verify` and `vms watch` name the
//! rule and the block, and leave a file that convicts the host for anybody.

use std::path::{Path, PathBuf};

use libvms::storage::{Core, Durability};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::entry::{Authorization, Call, CallEntry, Caller, Entry, Intention, Outcome, Seen};
use libvms_protocol::value::Value;
use serde_json::{Value as Json, json};

use crate::honesty::tamper::rewrite;
use crate::honesty::violations::copy;
use crate::honesty::watch::{Served, Watching, directory};
use crate::support::{TestService, assert_proof_holds, check_proof, run, text, verify_into, vms};

/// Milliseconds that a call may be old.
const CALL_AGE: u64 = 60_000;

/// Blocks in the log of [`service`].
pub(crate) const LENGTH: u64 = 3;

/// What a host makes of the blocks of its log.
type Change = fn(&mut Vec<Vec<u8>>);

/// What a host adds to an honest log, and what must be said about it.
struct Cheat {
    name: &'static str,
    class: &'static str,
    field: &'static str,
    entries: Vec<Vec<u8>>,
}

/// Returns a service whose callers sign, with two calls by nobody: its log has [`LENGTH`] blocks.
pub(crate) fn service() -> TestService {
    let place = TestService::new("let n = 0\nexports.inc = (by = 1) => n += by");
    run(async {
        let host = place.host_with(&["--auth", "signed"]);
        let client = host.client().await;
        client.call("inc", json!([])).await;
        client.call("inc", json!([])).await;
        assert!(host.terminate().success());
    });
    place.assert_agrees();
    place
}

pub(crate) fn open_log(data: &Path) -> Core {
    Core::open(&data.join("log"), Durability::Relaxed).expect("a core")
}

/// Returns a time after the last call of a log, in milliseconds since 1970.
pub(crate) fn time_after(log: &Core) -> u64 {
    let last = log.block(BlockIndex(log.length() - Length(1))).expect("readable");
    let Ok(Entry::Call(entry)) = Entry::decode(&last) else { panic!("a call") };
    entry.call.at + 1_000
}

/// A caller who signs calls of `inc`.
pub(crate) struct Signer {
    key: SecretKey,
    log: PublicKey,
}

impl Signer {
    pub(crate) fn new(seed: u8, log: PublicKey) -> Self {
        Self { key: SecretKey::from_seed(&[seed; 32]), log }
    }

    pub(crate) fn sign(&self, nonce: u64, seen: Option<Seen>, instead: Option<&[u64]>) -> Authorization {
        let args = args(1);
        Intention { method: "inc", args: &args, nonce, seen: seen.as_ref(), instead }
            .sign(&self.key, &self.log)
    }

    /// A call without a head or numbers that it replaces.
    pub(crate) fn plain(&self, nonce: u64) -> Authorization {
        self.sign(nonce, None, None)
    }
}

pub(crate) fn args(by: i64) -> Vec<Value> {
    vec![Value::Integer(by)]
}

/// An entry that says that `inc` was called at `at`.
pub(crate) fn entry(at: u64, caller: Caller, by: i64, result: i64) -> Vec<u8> {
    encode(Call::new(caller, "inc", args(by), at), result)
}

fn encode(call: Call, result: i64) -> Vec<u8> {
    let outcome = Outcome::Returned { value: Some(Value::Integer(result)), files: None };
    Entry::Call(CallEntry::new(call, outcome)).encode().expect("within the limits")
}

pub(crate) fn key(by: Authorization) -> Caller {
    Caller::Key(Box::new(by))
}

/// The first entry of each is good, and makes 3 of the 2 that the honest calls have left; the second is not.
fn cheats(log: PublicKey, at: u64) -> Vec<Cheat> {
    let (bob, eve) = (Signer::new(1, log), Signer::new(2, log));
    let now = 1_000 * at;
    let good = entry(at, key(bob.plain(now)), 1, 3);
    let cheat = |name, class, field, bad| Cheat { name, class, field, entries: vec![good.clone(), bad] };
    let bad = |by: Authorization| entry(at, key(by), 1, 4);
    let forged = Authorization { key: bob.key.public_key(), ..eve.plain(now + 1) };
    let of_another_log = Signer::new(1, PublicKey([7; 32])).plain(now + 1);
    let unsigned = Call { nonce: Some(now), ..Call::new(Caller::Anonymous, "inc", args(1), at) };
    let seen = |length| Some(Seen { length, hash: TreeHash([5; 32]) });
    let instead = |numbers: &[u64]| bad(bob.sign(now + 1, None, Some(numbers)));
    let (sig, nonce, replaced, head) = ("call.sig", "call.nonce", "call.instead", "call.seen");
    vec![
        cheat("forged", "bad-signature", sig, bad(forged)),
        cheat("altered", "bad-signature", sig, entry(at, key(bob.plain(now + 1)), 5, 8)),
        cheat("of another log", "bad-signature", sig, bad(of_another_log)),
        cheat("of a claimed name", "bad-signature", sig, entry(at, Caller::Claimed("bob".into()), 1, 4)),
        cheat("with a nonce of nobody", "malformed-entry", "entry", encode(unsigned, 4)),
        cheat("repeated", "repeated-nonce", nonce, bad(bob.plain(now))),
        cheat("overtaken", "repeated-nonce", nonce, bad(bob.plain(now - 1))),
        cheat("executed twice", "repeated-call", replaced, instead(&[now])),
        cheat("replacing nothing", "repeated-call", replaced, instead(&[])),
        cheat("replacing itself", "repeated-call", replaced, instead(&[now + 1])),
        cheat("replacing out of order", "repeated-call", replaced, instead(&[now - 1, now - 2])),
        cheat(
            "replacing an old one",
            "stale-instead",
            replaced,
            instead(&[now - 1_000 * (2 * CALL_AGE + 1)]),
        ),
        cheat("delayed", "stale-call", nonce, entry(at + CALL_AGE + 1, key(bob.plain(now + 1)), 1, 4)),
        cheat("early", "stale-call", nonce, bad(bob.plain(now + 1_000))),
        cheat("after another history", "unknown-head", head, bad(bob.sign(now + 1, seen(Length(2)), None))),
        cheat(
            "after the future",
            "unknown-head",
            head,
            bad(bob.sign(now + 1, seen(Length(LENGTH + 2)), None)),
        ),
    ]
}

/// Returns a copy of a data directory.
pub(crate) fn copy_of(data: &Path) -> (tempfile::TempDir, PathBuf) {
    let copied = tempfile::tempdir().expect("a temporary directory");
    let path = copied.path().join("data");
    copy(data, &path);
    (copied, path)
}

fn assert_named(found: &Json, Cheat { name, class, field, .. }: &Cheat) {
    assert_eq!(
        (&found["verdict"], &found["block"], &found["class"], &found["field"]),
        (&json!("diverges"), &json!(LENGTH + 1), &json!(class), &json!(field)),
        "{name}: {found}"
    );
}

/// Asserts that the proof of a finding convicts this log's key, and no other.
fn assert_convicts(found: &Json, log: &PublicKey, name: &str) {
    let path = found["proof"].as_str().unwrap_or_else(|| panic!("{name}: {found}"));
    let verdict = assert_proof_holds(Path::new(path), &log.to_string(), "violation");
    let claim = verdict["claim"].as_str().expect("words");
    assert!(claim.contains(found["class"].as_str().expect("a class")), "{name}: {claim}");
    let (code, verdict) = check_proof(Path::new(path), &PublicKey([9; 32]).to_string());
    let why = verdict["why"].as_str().expect("a reason");
    assert!(code == 1 && why.starts_with("log: it is about "), "{name}: {verdict}");
}

#[test]
fn each_broken_rule_is_found_by_an_audit_that_leaves_its_proof() {
    let place = service();
    let key = open_log(&place.data()).key();
    let at = time_after(&open_log(&place.data()));
    for cheat in cheats(key, at) {
        let (kept, data) = copy_of(&place.data());
        open_log(&data).append(&cheat.entries).expect("a disk");
        let (code, report) = verify_into(&data, kept.path());
        assert_eq!(code, 1, "{}: {report}", cheat.name);
        assert_named(&report, &cheat);
        assert_convicts(&report, &key, cheat.name);
        // A second audit finds the same, and the proof that is there.
        let (_, again) = verify_into(&data, kept.path());
        assert_eq!(again["proof"], report["proof"], "{}", cheat.name);
    }
}

#[test]
fn each_broken_rule_is_found_by_a_watcher_that_keeps_its_proof() {
    let place = service();
    let log = open_log(&place.data()).key();
    let at = time_after(&open_log(&place.data()));
    for cheat in cheats(log, at) {
        let (_kept, watched) = directory();
        let (_kept_too, data) = copy_of(&place.data());
        run(async {
            let mut served = Served::of(&data).await;
            let mut watching = Watching::start(&served.key(), Some(served.address), &watched);
            watching.until_agrees(LENGTH);
            served.log.append(&cheat.entries).expect("a disk");
            let found = watching.until_ended();
            assert_named(&found, &cheat);
            assert_convicts(&found, &log, cheat.name);
            assert_eq!(watching.stop(), Some(1), "{}", cheat.name);
            served.network.shutdown().await;
        });
        let name = format!("report-{}", LENGTH + 1);
        let proof = watched.join(log.to_string()).join(format!("{name}.proof"));
        let kept = std::fs::read(&proof).expect("kept");
        if cheat.name == "forged" {
            // A watcher that starts again finds the same in its copy, and tells of the file that is there.
            let mut watching = Watching::start(&log.to_string(), None, &watched);
            assert_eq!(watching.until_ended()["proof"], json!(proof));
            assert_eq!(watching.stop(), Some(1));
            assert_eq!(std::fs::read(&proof).expect("kept"), kept);
        }
        let read = |file: &str| -> Json {
            let text = std::fs::read(watched.join(log.to_string()).join(file)).expect("kept");
            serde_json::from_slice(&text).expect("JSON")
        };
        assert_eq!(read(&format!("{name}.json"))["proof"], json!(format!("{name}.proof")));
        assert_eq!(read("state.json")["findings"][0]["proof"], json!(format!("{name}.proof")));
    }
}

#[test]
fn good_signed_calls_are_agreed_with_and_leave_nothing() {
    let place = service();
    let mut log = open_log(&place.data());
    let (bob, at) = (Signer::new(1, log.key()), time_after(&log));
    let now = 1_000 * at;
    let seen = Some(Seen { length: Length(LENGTH), hash: log.roots().tree_hash() });
    let replaced = [now - 1_000 * 2 * CALL_AGE, now + 1];
    let entries = [
        entry(at, key(bob.plain(now)), 1, 3),
        entry(at + CALL_AGE, key(bob.sign(now + 2, seen, None)), 1, 4),
        entry(at + CALL_AGE, key(Signer::new(2, log.key()).plain(now)), 1, 5),
        entry(at + CALL_AGE, key(bob.sign(now + 1_000, None, Some(&replaced[1..]))), 1, 6),
    ];
    log.append(&entries).expect("a disk");
    drop(log);
    let proofs = tempfile::tempdir().expect("a temporary directory");
    let (_, report) = verify_into(&place.data(), proofs.path());
    assert_eq!((&report["verdict"], &report["proof"]), (&json!("agrees"), &Json::Null), "{report}");
    assert_eq!(std::fs::read_dir(proofs.path()).expect("a directory").count(), 0);
}

#[test]
fn a_proof_that_cannot_be_kept_does_not_change_the_verdict() {
    let place = service();
    let key = open_log(&place.data()).key();
    let at = time_after(&open_log(&place.data()));
    open_log(&place.data()).append(&cheats(key, at)[0].entries).expect("a disk");
    let nowhere = place.data().join("nowhere");
    let (code, report) = verify_into(&place.data(), &nowhere);
    assert_eq!(
        (code, &report["verdict"], &report["proof"]),
        (1, &json!("diverges"), &Json::Null),
        "{report}"
    );
    let why = report["proofError"].as_str().expect("a reason");
    assert!(why.contains(nowhere.to_str().expect("UTF-8")), "{why}");
    let arguments = ["verify".into(), place.data().into_os_string(), "--proof-dir".into(), nowhere.into()];
    let said = vms(arguments);
    assert!(text(&said.stdout).contains("\nthe proof cannot be kept: "), "{}", text(&said.stdout));
}

#[test]
fn two_histories_that_peers_show_convict_a_host_in_an_audit() {
    let (place, proofs) = (service(), tempfile::tempdir().expect("a temporary directory"));
    let at = time_after(&open_log(&place.data()));
    let histories = [1, 2].map(|by| {
        let (kept, data) = copy_of(&place.data());
        open_log(&data).append(&[entry(at, Caller::Anonymous, by, 2 + by)]).expect("a disk");
        (kept, data)
    });
    run(async {
        let [one, other] = [&histories[0].1, &histories[1].1];
        let [one, other] = [Served::of(one).await, Served::of(other).await];
        let log = one.log.key().to_string();
        let peers = [&one, &other].map(|served| format!("--peer={}", served.address));
        let mut arguments: Vec<&std::ffi::OsStr> = vec!["verify".as_ref(), log.as_ref(), "--json".as_ref()];
        arguments.extend(peers.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
        arguments.extend(["--proof-dir".as_ref(), proofs.path().as_os_str()]);
        // The second history may come too late for one audit.
        let found = (0..20).find_map(|_| {
            let output = vms(&arguments);
            let report: Json = serde_json::from_slice(&output.stdout).expect("a JSON line");
            match report["verdict"].as_str() {
                Some("agrees") => None,
                _ => Some((output.status.code(), report)),
            }
        });
        let (code, report) = found.expect("both are shown in the end");
        assert_eq!(
            (code, &report["verdict"], &report["core"], &report["class"]),
            (Some(1), &json!("diverges"), &json!("log"), &json!("equivocation")),
            "{report}"
        );
        let proof = Path::new(report["proof"].as_str().expect("a file"));
        assert!(proof.ends_with(format!("{}-log-equivocation.proof", &log[..8])), "{report}");
        assert_proof_holds(proof, &log, "equivocation");
        one.network.shutdown().await;
        other.network.shutdown().await;
    });
}

#[test]
fn a_receipt_convicts_a_host_in_whose_log_its_entry_is_no_more() {
    let place = service();
    let log = open_log(&place.data()).key().to_string();
    let (data, here) = (place.data(), place.data().join(".."));
    let [first, second, forked] = ["first", "second", "fork"].map(|name| here.join(format!("{name}.proof")));
    let make = |arguments: &[&std::ffi::OsStr]| {
        let output = vms(["proof".as_ref(), "make".as_ref()].iter().chain(arguments));
        (output.status.code(), text(&output.stdout).to_owned() + text(&output.stderr))
    };
    let call = |to: &Path| {
        let made = make(&[data.as_ref(), "call".as_ref(), "1".as_ref(), "--out".as_ref(), to.as_ref()]);
        assert_eq!(made.0, Some(0), "{}", made.1);
        assert_proof_holds(to, &log, "inclusion");
    };
    let fork = |other: &Path| {
        make(&["fork".as_ref(), first.as_ref(), other.as_ref(), "--out".as_ref(), forked.as_ref()])
    };
    call(&first);
    let (code, said) = fork(&data);
    assert!(code == Some(1) && said.contains("both show one history"), "{said}");
    // The longer histories have the nodes that compare them; a shorter one is only older, or cut off.
    let histories: [(Change, bool); 4] = [
        (|blocks| blocks[1] = blocks[2].clone(), true),
        (|blocks| drop(blocks.remove(1)), true),
        (|blocks| blocks.extend([blocks[1].clone(), blocks[1].clone()]), false),
        (|blocks| blocks.truncate(2), false),
    ];
    let honest = place.data();
    for (change, is_fork) in histories {
        let (_kept, copied) = copy_of(&honest);
        rewrite(&copied.join("log"), change);
        let (code, said) = fork(&copied);
        assert_eq!(code == Some(0), is_fork, "{said}");
        if is_fork {
            assert_proof_holds(&forked, &log, "equivocation");
            std::fs::remove_file(&forked).expect("made");
        }
        let made = make(&[copied.as_ref(), "call".as_ref(), "1".as_ref(), "--out".as_ref(), second.as_ref()]);
        assert_eq!(made.0, Some(0), "{}", made.1);
        let (code, said) = fork(&second);
        assert_eq!(code == Some(0), is_fork, "{said}");
        for made in [&second, &forked] {
            let _may_be_none = std::fs::remove_file(made);
        }
    }
}
