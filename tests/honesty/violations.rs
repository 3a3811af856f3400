//! Hosts that begin to cheat while they are watched, each in one of the ways there are. The watcher must say at once
//! which it is, keep a report, and go on with its other hosts.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libvms::storage::{Core, Durability};
use libvms_hypercore::blocks::Length;
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::entry::{
    Call, CallEntry, Caller, Entry, Fault, FilesChange, FilesHead, FilesLengths, Outcome, Thrown,
};
use libvms_protocol::value::Value;
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use crate::honesty::cheater::{self, Shown};
use crate::honesty::tamper::{honest, rewrite};
use crate::honesty::watch::{Served, Watching, directory};
use crate::support::{TestService, assert_proof_holds, run, vms};

/// Far more than it takes: the machine may have other things to do.
const DEADLINE: Duration = Duration::from_secs(30);

/// Later than any clock says: each entry of these tests has this time.
const AT: u64 = 1 << 42;

/// Entries that a cheating host adds to the log of [`honest`], and what a watcher must say about them.
struct Cheat {
    class: &'static str,
    field: &'static str,
    /// The first bad one, counted from the first that is added.
    bad: u64,
    entries: Vec<Vec<u8>>,
}

impl Cheat {
    fn new(class: &'static str, field: &'static str, bad: u64, entries: &[Vec<u8>]) -> Self {
        Self { class, field, bad, entries: entries.to_vec() }
    }
}

fn call_at(at: u64, method: &str, args: Vec<Value>, outcome: Outcome) -> Vec<u8> {
    let call = Call::new(Caller::Anonymous, method, args, at);
    Entry::Call(CallEntry::new(call, outcome)).encode().expect("within the limits")
}

fn call(method: &str, outcome: Outcome) -> Vec<u8> {
    call_at(AT, method, vec![], outcome)
}

/// A call of `inc`, which adds to the 14 that the honest calls have left.
fn inc(by: i64, result: i64) -> Vec<u8> {
    call_at(AT, "inc", vec![Value::Integer(by)], returned(result))
}

fn returned(value: i64) -> Outcome {
    Outcome::Returned { value: Some(Value::Integer(value)), files: None }
}

fn threw(name: &str, message: &str) -> Outcome {
    Outcome::Threw(Thrown::new(name, message))
}

fn save(files: Option<FilesChange>) -> Vec<u8> {
    let outcome = Outcome::Returned { value: Some(Value::Integer(14)), files };
    call_at(AT, "save", vec![Value::Text("c".into())], outcome)
}

fn cheats() -> Vec<Cheat> {
    let wrong = TreeHash([0; 32]);
    let head = FilesHead { version: Length(4), hash: wrong, blobs: Length(3), blobs_hash: wrong };
    let wrong_hash = FilesChange { head, from: Some(FilesLengths { version: Length(3), blobs: Length(2) }) };
    vec![
        Cheat::new("wrong-result", "result.res", 1, &[inc(1, 15), inc(1, 99)]),
        Cheat::new(
            "wrong-error",
            "result.err.message",
            1,
            &[inc(1, 15), call("fail", threw("Error", "no 99"))],
        ),
        Cheat::new("wrong-error", "result.err.name", 0, &[call("fail", threw("Fatal", "no 14"))]),
        Cheat::new("wrong-error", "result.err", 0, &[call("inc", threw("Error", "down"))]),
        // It ran 15, 20, 21 and says nothing of the second.
        Cheat::new("wrong-result", "result.res", 1, &[inc(1, 15), inc(1, 21)]),
        // The second was never called; the third knows nothing of it.
        Cheat::new("wrong-result", "result.res", 2, &[inc(1, 15), inc(1, 16), inc(5, 20)]),
        // They ran the other way round.
        Cheat::new("wrong-result", "result.res", 0, &[inc(5, 20), inc(1, 15)]),
        Cheat::new("wrong-files", "result.files.hash", 0, &[save(Some(wrong_hash))]),
        // Its files were written, and the entry says nothing of them.
        Cheat::new("wrong-files", "result.files.version", 0, &[save(None)]),
        Cheat::new("false-fault", "result.fault", 1, &[inc(1, 15), call("inc", Outcome::Fault(Fault::Fuel))]),
        Cheat::new("time-went-back", "at", 1, &[inc(1, 15), call_at(5, "inc", vec![], returned(16))]),
        Cheat::new("malformed-entry", "entry", 1, &[inc(1, 15), b"garbage".to_vec()]),
        Cheat::new("wrong-order", "entry", 0, &[call("init", returned(0))]),
    ]
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a temporary directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("readable");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("readable").is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("writable");
        }
    }
}

/// A copy of a host's data directory, which is gone with the first half.
fn copy_of(place: &TestService) -> (tempfile::TempDir, PathBuf) {
    let copied = tempfile::tempdir().expect("a temporary directory");
    copy(&place.data(), copied.path());
    let path = copied.path().to_owned();
    (copied, path)
}

/// Cuts off what a core has from `length` on, and gives it.
pub(crate) fn cut(core: &Path, length: usize) -> Vec<Vec<u8>> {
    let mut rest = vec![];
    rewrite(core, |blocks| rest = blocks.split_off(length));
    rest
}

fn is_of<'a>(served: &Served) -> impl Fn(&Json) -> bool + use<'a> {
    let key = served.log.key().to_string();
    move |event| event["log"] == key.as_str()
}

/// Whether an event is about what peers have shown, and not about what was executed.
fn is_evidence(event: &Json) -> bool {
    (event["event"] == "finding" || event["event"] == "suspicion") && event["block"].is_null()
}

/// An event without the time at which it was told.
fn timeless(mut event: Json) -> Json {
    event["at"].take();
    event
}

fn report(event: &Json) -> Json {
    let text = std::fs::read(event["report"].as_str().expect("a file")).expect("a report");
    serde_json::from_slice(&text).expect("JSON")
}

/// Nothing may be held against a host until the watcher agrees with `length` entries.
fn until_agrees(watching: &mut Watching, served: &Served, length: u64) {
    let is_ours = is_of(served);
    watching.until(|event| {
        let is_accused = event["event"] == "ended" || event["event"] == "finding";
        assert!(!(is_ours(event) && is_accused), "accused: {event}");
        is_ours(event) && event["event"] == "agrees" && event["length"].as_u64() >= Some(length)
    });
}

#[expect(clippy::print_stdout, reason = "how long it took is of interest, and judged loosely")]
#[test]
fn each_violation_is_named_while_it_happens_and_the_other_hosts_are_watched_further() {
    let (place, fair) = (honest(), honest());
    let mut slowest = Duration::ZERO;
    run(async {
        let mut fair = Served::of(&fair.data()).await;
        for (round, Cheat { class, field, bad, entries }) in (1..).zip(cheats()) {
            let (_kept, watched) = directory();
            let (_kept_too, data) = copy_of(&place);
            let mut served = Served::of(&data).await;
            let addresses = [served.address, fair.address];
            let mut watching = Watching::start_all(&[&served.key(), &fair.key()], &addresses, &watched);
            until_agrees(&mut watching, &served, 9);
            let start = Instant::now();
            served.log.append(&entries).expect("a disk");
            let ended = watching.until(|event| {
                is_of(&served)(event) && (event["event"] == "ended" || event["event"] == "finding")
            });
            slowest = slowest.max(start.elapsed());
            assert!(start.elapsed() < DEADLINE, "{class} took {:?}", start.elapsed());
            assert_eq!(
                (&ended["verdict"], &ended["block"], &ended["class"], &ended["field"]),
                (&json!("diverges"), &json!(9 + bad), &json!(class), &json!(field)),
                "{ended}"
            );
            let (report, length) = (report(&ended), 9 + entries.len());
            assert_eq!(
                (&report["finding"]["class"], &report["head"]["length"]),
                (&json!(class), &json!(length))
            );
            // Of what only executing shows there is no kind of proof yet.
            match ended["proof"].as_str() {
                Some(proof) => {
                    assert_proof_holds(Path::new(proof), &served.log.key().to_string(), "violation");
                }
                None => {
                    assert_eq!((&ended["proof"], &report["proof"]), (&Json::Null, &Json::Null), "{ended}")
                }
            }
            let has_kind = ["malformed-entry", "wrong-order", "time-went-back"].contains(&class);
            assert_eq!(ended["proof"].is_string(), has_kind, "{ended}");
            fair.log.append(&[inc(1, 14 + round)]).expect("a disk");
            until_agrees(&mut watching, &fair, 9 + round as u64);
            served.network.shutdown().await;
        }
        fair.network.shutdown().await;
    });
    println!("the slowest of {} findings took {slowest:?}", cheats().len());
}

#[test]
fn an_entry_that_a_watcher_does_not_know_accuses_nobody() {
    let place = honest();
    // {"type": "later"}, and a call of a later version of the format.
    let later_call = b"\xa2\x61v\x03\x64type\x64call".to_vec();
    run(async {
        for entry in [b"\xa1\x64type\x65later".to_vec(), later_call] {
            let (_kept, watched) = directory();
            let (_kept_too, data) = copy_of(&place);
            let mut served = Served::of(&data).await;
            let mut watching = Watching::start(&served.key(), Some(served.address), &watched);
            watching.until_agrees(9);
            served.log.append(&[inc(1, 15), entry, inc(1, 99)]).expect("a disk");
            let ended = watching.until_ended();
            assert_eq!(
                (&ended["verdict"], &ended["block"]),
                (&json!("cannot-verify"), &json!(10)),
                "{ended}"
            );
            served.network.shutdown().await;
        }
    });
}

#[test]
fn an_archive_that_differs_from_the_logged_hashes_is_found_when_it_is_published() {
    let place = honest();
    let log = cut(&place.data().join("log"), 7);
    let (files, mut blobs) = (cut(&place.data().join("files"), 2), cut(&place.data().join("blobs"), 1));
    blobs[0] = b"b8".to_vec();
    let (_kept, watched) = directory();
    run(async {
        let mut served = Served::of(&place.data()).await;
        let mut watching = Watching::start(&served.key(), Some(served.address), &watched);
        watching.until_agrees(7);
        served.log.append(&log).expect("a disk");
        watching.until_agrees(9);
        served.archive[0].append(&files).expect("a disk");
        served.archive[1].append(&blobs).expect("a disk");
        let ended = watching.until_ended();
        assert_eq!(
            (&ended["verdict"], &ended["block"], &ended["class"], &ended["field"]),
            (&json!("diverges"), &json!(7), &json!("archive-differs"), &json!("blobs")),
            "{ended}"
        );
        let key = served.archive[1].key().to_string();
        assert_eq!(report(&ended)["archiveHead"]["core"], json!(key), "the head that signs it is kept");
        served.network.shutdown().await;
    });
}

/// A service whose calls each write two files, and the rest of its cores after the first call.
fn two_files_per_call() -> (TestService, [Vec<Vec<u8>>; 3]) {
    let place = TestService::new(
        "exports.both = async (text) => {
            await System.files.writeFile('/a', text)
            await System.files.writeFile('/b', text)
        }",
    );
    run(async {
        let host = place.host();
        let client = host.client().await;
        client.call("both", json!(["x"])).await;
        client.call("both", json!(["y"])).await;
        assert!(host.terminate().success());
    });
    let rest = |name: &str, length| cut(&place.data().join(name), length);
    let rest = [rest("log", 2), rest("files", 3), rest("blobs", 2)];
    (place, rest)
}

#[test]
fn an_archive_ahead_of_the_log_accuses_nobody_until_the_log_has_passed_it_by() {
    let (place, [log, files, blobs]) = two_files_per_call();
    let (_kept, watched) = directory();
    run(async {
        let mut served = Served::of(&place.data()).await;
        let mut watching = Watching::start(&served.key(), Some(served.address), &watched);
        watching.until_agrees(2);
        // The first half of a call that is logged only later.
        served.archive[1].append(&blobs[..1]).expect("a disk");
        served.archive[0].append(&files[..1]).expect("a disk");
        let suspicion = watching.until(|event| event["event"] == "suspicion");
        assert_eq!(
            (&suspicion["core"], &suspicion["class"], &suspicion["signed"]),
            (&json!("files"), &json!("archive-longer"), &json!(false)),
            "{suspicion}"
        );
        served.log.append(&log).expect("a disk");
        let ended = watching.until_ended();
        assert_eq!(
            (&ended["verdict"], &ended["block"], &ended["class"], &ended["field"]),
            (&json!("diverges"), &json!(2), &json!("archive-longer"), &json!("files")),
            "{ended}"
        );
        assert_eq!(report(&ended)["archiveHead"]["length"], json!(4));
        served.network.shutdown().await;
    });
}

#[test]
fn an_archive_that_comes_before_its_log_is_waited_for() {
    let (place, [log, files, blobs]) = two_files_per_call();
    let (_kept, watched) = directory();
    run(async {
        // As at a replicator that has all of the archive and not yet the log.
        let mut served = Served::of(&place.data()).await;
        served.archive[1].append(&blobs).expect("a disk");
        served.archive[0].append(&files).expect("a disk");
        let mut watching = Watching::start(&served.key(), Some(served.address), &watched);
        watching.until(|event| {
            assert!(event["event"] != "ended" && event["event"] != "finding", "{event}");
            event["event"] == "suspicion" && event["class"] == "archive-longer"
        });
        served.log.append(&log).expect("a disk");
        until_agrees(&mut watching, &served, 3);
        served.network.shutdown().await;
    });
}

#[test]
fn an_archive_that_nobody_gives_is_told_of_and_convicts_nobody() {
    let (place, [log, files, blobs]) = two_files_per_call();
    let (_kept, watched) = directory();
    run(async {
        // As at a host that publishes what was called and not what came of it.
        let mut served = Served::of(&place.data()).await;
        served.log.append(&log).expect("a disk");
        let mut watching = Watching::start(&served.key(), Some(served.address), &watched);
        let told = watching.until(|event| {
            assert!(event["event"] != "ended" && event["event"] != "finding", "{event}");
            event["event"] == "suspicion"
        });
        assert_eq!((&told["class"], &told["signed"]), (&json!("archive-withheld"), &json!(false)), "{told}");
        served.archive[1].append(&blobs).expect("a disk");
        served.archive[0].append(&files).expect("a disk");
        let copy = watched.join(served.log.key().to_string());
        while !vms(["verify".as_ref(), copy.as_os_str()]).status.success() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        watching.terminate();
        served.network.shutdown().await;
    });
}

#[test]
fn two_heads_for_one_length_are_held_against_the_host() {
    let place = honest();
    // The same length as before, one more, and fewer: with another second call each time.
    let histories: [fn(&mut Vec<Vec<u8>>); 3] =
        [|_| {}, |blocks| blocks.push(inc(1, 15)), |blocks| blocks.truncate(4)];
    run(async {
        for rewritten in histories {
            let (_kept, watched) = directory();
            let (_kept_too, data) = copy_of(&place);
            let served = Served::of(&data).await;
            let mut watching = Watching::start(&served.key(), Some(served.address), &watched);
            watching.until_agrees(9);
            let (address, network) = (served.address, served.network);
            network.shutdown().await;
            rewrite(&data.join("log"), |blocks| {
                blocks[2] = blocks[1].clone();
                rewritten(blocks);
            });
            let served = Served::at(&data, address).await;
            let evidence = watching.until(is_evidence);
            assert_eq!(
                (&evidence["core"], &evidence["class"], &evidence["signed"]),
                (&json!("log"), &json!("equivocation"), &json!(true)),
                "{evidence}"
            );
            let report = report(&evidence);
            let [ours, theirs] = [0, 1].map(|head| &report["heads"][head]);
            assert_eq!(ours["length"], theirs["length"]);
            assert_ne!(ours["treeHash"], theirs["treeHash"]);
            assert_ne!(ours["head"]["signature"], theirs["head"]["signature"]);
            // The report is found again when the watcher starts again.
            drop(watching);
            let mut watching = Watching::start(&served.key(), None, &watched);
            let recalled = watching.until(is_evidence);
            assert_eq!(timeless(recalled), timeless(evidence));
            served.network.shutdown().await;
        }
    });
}

/// Copies a log to a watcher, and then shows it what a [`cheater`] is told to show.
fn show(change: impl FnOnce(&Path) -> (Core, u64)) {
    let place = honest();
    let (_kept, watched) = directory();
    let log = Core::open(&place.data().join("log"), Durability::Relaxed).expect("a core");
    let key = log.secret_key().expect("the host's own");
    run(async {
        let (sender, shown) = watch::channel(Shown::of(&log, 0));
        let address = cheater::serve(key, shown).await;
        let mut watching = Watching::start(&log.key().url(), Some(address), &watched);
        watching.until_agrees(9);
        let (core, fork) = change(place.data().as_path());
        sender.send_replace(Shown::of(&core, fork));
        let evidence = watching.until(|event| is_evidence(event) && event["signed"] == (fork > 0));
        let class = if fork > 0 { "fork" } else { "truncation" };
        assert_eq!((&evidence["core"], &evidence["class"]), (&json!("log"), &json!(class)), "{evidence}");
        if fork > 0 {
            assert_eq!(report(&evidence)["heads"][0]["head"]["fork"], json!(fork));
        } else {
            // The log that was there before is shown again, and one entry more: what it had said of itself is forgiven.
            let mut log = log;
            log.append(&[inc(1, 15)]).expect("a disk");
            sender.send_replace(Shown::of(&log, 0));
            watching.until(|event| {
                assert!(event["event"] != "ended" && event["event"] != "finding", "{event}");
                event["event"] == "agrees" && event["length"] == 10
            });
        }
    });
}

/// A copy of a log, cut off.
fn truncated(data: &Path) -> Core {
    let copied = data.join("shorter");
    copy(&data.join("log"), &copied);
    cut(&copied, 5);
    Core::open(&copied, Durability::Relaxed).expect("a core")
}

#[test]
fn a_signed_fork_is_held_against_the_host() {
    show(|data| (truncated(data), 1));
    show(|data| (Core::open_read_only(&data.join("log")).expect("a core"), 7));
}

#[test]
fn a_log_that_becomes_shorter_is_told_of_and_convicts_nobody() {
    show(|data| (truncated(data), 0));
}

#[test]
fn a_replicator_that_is_behind_is_not_suspected_at_all() {
    let place = honest();
    let (_kept, watched) = directory();
    let (_kept_too, old) = copy_of(&place);
    cut(&old.join("log"), 5);
    run(async {
        let behind = Served::of(&old).await;
        let mut served = Served::of(&place.data()).await;
        let addresses = [served.address, behind.address];
        let mut watching = Watching::start_all(&[&served.key()], &addresses, &watched);
        watching.until_agrees(9);
        served.log.append(&[inc(1, 15)]).expect("a disk");
        watching.until_agrees(10);
        behind.network.shutdown().await;
        served.network.shutdown().await;
    });
}
