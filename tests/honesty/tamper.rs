//! The cheat kit: a host that deviates, in each way there is, and what an audit says about it.
//!
//! Each cheat takes the log or the archive of an honest host, changes it, and signs it again with the host's own
//! key, as only the host itself can.

use std::path::Path;

use libvms::storage::{Core, Durability};
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::entry::{CallEntry, Entry, FilesChange, FilesLengths, Outcome, Thrown};
use libvms_protocol::value::Value;
use serde_json::{Value as Json, json};

use crate::support::{TestService, run, verify};

/// A service that shows every kind of outcome, and eight calls of it.
pub(crate) fn honest() -> TestService {
    let place = TestService::new(
        "let n = 0
        exports.inc = (by = 1) => n += by
        exports.fail = () => { throw new Error('no ' + n) }
        exports.save = async (text) => { await System.files.writeFile('/f', text + n); return n }
        exports.spin = () => { for (;;) {} }",
    );
    let calls = [
        ("inc", json!([])),
        ("inc", json!([5])),
        ("fail", json!([])),
        ("save", json!(["a"])),
        ("spin", json!([])),
        ("inc", json!([])),
        ("save", json!(["b"])),
        ("inc", json!([7])),
    ];
    run(async {
        let host = place.host();
        let client = host.client().await;
        for (method, args) in calls {
            let _may_fail = client.try_call(method, args).await;
        }
        assert!(host.terminate().success());
    });
    place.assert_agrees();
    place
}

/// Writes a core anew with other blocks, signed by its own key.
pub(crate) fn rewrite(core: &Path, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let old = Core::open(core, Durability::Relaxed).expect("an honest core");
    let key = old.secret_key().expect("the host's own core");
    let mut blocks: Vec<Vec<u8>> =
        old.blocks(old.length().blocks()).map(|block| block.expect("readable")).collect();
    drop(old);
    change(&mut blocks);
    std::fs::remove_dir_all(core).expect("ours");
    let mut new = Core::create(core, key, Durability::Relaxed).expect("an empty place");
    new.append(&blocks).expect("a working disk");
}

/// Changes the log of an honest host, and gives what an audit says.
fn cheat_log(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Json {
    let place = honest();
    rewrite(&place.data().join("log"), change);
    audit(&place)
}

fn audit(place: &TestService) -> Json {
    let (code, report) = verify(&place.data());
    assert_eq!((code, &report["verdict"]), (1, &json!("diverges")), "{report}");
    report
}

/// Changes one call's entry.
fn alter(block: usize, change: impl FnOnce(&mut CallEntry)) -> Json {
    cheat_log(|blocks| {
        let Ok(Entry::Call(mut entry)) = Entry::decode(&blocks[block]) else { panic!("a call") };
        change(&mut entry);
        blocks[block] = Entry::Call(entry).encode().expect("within the limits");
    })
}

fn alter_outcome(block: usize, change: impl FnOnce(&mut Outcome)) -> Json {
    alter(block, |entry| {
        let mut outcome = entry.result.outcome().expect("an honest entry");
        change(&mut outcome);
        entry.result = outcome.into();
    })
}

fn assert_found(report: &Json, block: u64, class: &str, field: &str) {
    assert_eq!(
        (&report["block"], &report["class"], &report["field"]),
        (&json!(block), &json!(class), &json!(field)),
        "{report}"
    );
}

fn set_value(to: Value) -> impl FnOnce(&mut Outcome) {
    |outcome| *outcome = Outcome::Returned { value: Some(to), files: None }
}

fn files_of(outcome: &mut Outcome) -> &mut FilesChange {
    match outcome {
        Outcome::Returned { files: Some(files), .. } => files,
        other => panic!("{other:?} changed no files"),
    }
}

fn from_of(files: &mut FilesChange) -> &mut FilesLengths {
    files.from.as_mut().expect("new logs say where a call began")
}

#[test]
fn an_altered_result_is_found() {
    assert_found(&alter_outcome(2, set_value(Value::Integer(7))), 2, "wrong-result", "result.res");
    assert_found(
        &alter_outcome(8, |outcome| *outcome = Outcome::Returned { value: None, files: None }),
        8,
        "wrong-result",
        "result.res",
    );
}

#[test]
fn an_altered_error_is_found() {
    let thrown = |name: &str, message: &str| Thrown::new(name, message);
    let report = alter_outcome(3, |outcome| *outcome = Outcome::Threw(thrown("Error", "no 7")));
    assert_found(&report, 3, "wrong-error", "result.err.message");
    let report = alter_outcome(3, |outcome| *outcome = Outcome::Threw(thrown("Other", "no 6")));
    assert_found(&report, 3, "wrong-error", "result.err.name");
    assert_found(&alter_outcome(3, set_value(Value::Null)), 3, "wrong-result", "result.res");
    let report = alter_outcome(1, |outcome| *outcome = Outcome::Threw(thrown("Error", "down")));
    assert_found(&report, 1, "wrong-error", "result.err");
}

#[test]
fn a_false_fault_is_found() {
    use libvms_protocol::entry::Fault;
    let report = alter_outcome(1, |outcome| *outcome = Outcome::Fault(Fault::Fuel));
    assert_found(&report, 1, "false-fault", "result.fault");
    let report = alter_outcome(5, |outcome| *outcome = Outcome::Fault(Fault::Output));
    assert_found(&report, 5, "false-fault", "result.fault");
    assert_found(&alter_outcome(5, set_value(Value::Integer(1))), 5, "wrong-result", "result.res");
}

#[test]
fn a_dropped_call_is_found() {
    let report = cheat_log(|blocks| drop(blocks.remove(2)));
    assert_found(&report, 2, "wrong-error", "result.err.message");
}

#[test]
fn an_inserted_call_is_found() {
    let report = cheat_log(|blocks| blocks.insert(2, blocks[1].clone()));
    assert_found(&report, 2, "wrong-result", "result.res");
}

#[test]
fn reordered_calls_are_found() {
    let report = cheat_log(|blocks| blocks.swap(1, 2));
    // Both may have the same time; if not, going back in time is what comes to light first.
    assert_eq!(report["block"], json!(1), "{report}");
    assert_found(&report, 1, "wrong-result", "result.res");
}

#[test]
fn time_that_goes_back_is_found() {
    let report = alter(6, |entry| entry.call.at = 5);
    assert_found(&report, 6, "time-went-back", "at");
}

#[test]
fn wrong_hashes_of_files_are_found() {
    type Change = fn(&mut FilesChange);
    let cases: [(&str, Change); 6] = [
        ("result.files.version", |files| files.head.version += 1),
        ("result.files.hash", |files| files.head.hash = TreeHash([0; 32])),
        ("result.files.blobs", |files| files.head.blobs += 1),
        ("result.files.blobsHash", |files| files.head.blobs_hash = TreeHash([0; 32])),
        ("result.files.from.version", |files| from_of(files).version += 1),
        ("result.files.from.blobs", |files| from_of(files).blobs += 1),
    ];
    for (field, change) in cases {
        assert_found(&alter_outcome(4, |outcome| change(files_of(outcome))), 4, "wrong-files", field);
    }
    let report = alter_outcome(4, set_value(Value::Integer(6)));
    assert_found(&report, 4, "wrong-files", "result.files.version");
}

#[test]
fn a_malformed_entry_is_found() {
    assert_found(&cheat_log(|blocks| blocks[3].push(0)), 3, "malformed-entry", "entry");
    assert_found(&cheat_log(|blocks| blocks[3] = b"garbage".to_vec()), 3, "malformed-entry", "entry");
    assert_found(&cheat_log(|blocks| blocks[3] = vec![]), 3, "malformed-entry", "entry");
    assert_found(&cheat_log(|blocks| blocks[3] = blocks[0].clone()), 3, "wrong-order", "entry");
    assert_found(&cheat_log(|blocks| drop(blocks.remove(0))), 0, "wrong-order", "entry");
}

#[test]
fn a_replaced_script_is_found() {
    let report = cheat_log(|blocks| {
        let Ok(Entry::Init(mut init)) = Entry::decode(&blocks[0]) else { panic!("init") };
        init.code = init.code.replace("n += by", "n += by * 2");
        blocks[0] = Entry::Init(init).encode().expect("within the limits");
    });
    assert_found(&report, 1, "wrong-result", "result.res");
}

#[test]
fn a_script_that_does_not_load_is_found() {
    let report = cheat_log(|blocks| {
        let Ok(Entry::Init(mut init)) = Entry::decode(&blocks[0]) else { panic!("init") };
        init.code = "exports.inc = ".into();
        blocks[0] = Entry::Init(init).encode().expect("within the limits");
    });
    assert_found(&report, 0, "unloadable-script", "code");
}

/// As it would be for an operator who put an old log beside a newer archive: the next entry may explain it.
fn assert_ahead(place: &TestService) {
    let (code, report) = verify(&place.data());
    assert_eq!((code, &report["verdict"]), (3, &json!("cannot-verify")), "{report}");
    let why = report["why"].as_str().expect("a reason");
    assert!(why.starts_with("cannot tell: the archive is ahead of the log"), "{why}");
}

#[test]
fn a_truncated_log_is_not_agreed_with_because_of_its_archive() {
    let place = honest();
    rewrite(&place.data().join("log"), |blocks| blocks.truncate(6));
    assert_ahead(&place);
}

#[test]
fn an_altered_file_is_found() {
    let place = honest();
    rewrite(&place.data().join("blobs"), |blocks| blocks[1] = b"b8".to_vec());
    assert_found(&audit(&place), 7, "archive-differs", "blobs");
    let place = honest();
    rewrite(&place.data().join("files"), |blocks| {
        let last = blocks.len() - 1;
        blocks.swap(last, last - 1);
    });
    assert_found(&audit(&place), 4, "archive-differs", "files");
}

#[test]
fn an_unlogged_file_is_not_agreed_with() {
    let place = honest();
    rewrite(&place.data().join("files"), |blocks| blocks.push(blocks[1].clone()));
    assert_ahead(&place);
    let place = honest();
    rewrite(&place.data().join("blobs"), |blocks| blocks.push(b"more".to_vec()));
    assert_ahead(&place);
}

#[test]
fn a_host_does_not_go_on_with_a_log_that_is_wrong() {
    let place = honest();
    rewrite(&place.data().join("log"), |blocks| blocks.truncate(5));
    let mut command = crate::support::program();
    let command = command.arg("host").arg(place.script()).arg("--dir").arg(place.data());
    let Err(stderr) = crate::support::Host::try_start(command) else { panic!("it started") };
    assert!(stderr.contains("vms verify"), "{stderr}");
}

#[test]
fn what_an_auditor_does_not_know_accuses_nobody() {
    let later = |change: fn(&mut libvms_protocol::entry::Init)| {
        let place = honest();
        rewrite(&place.data().join("log"), |blocks| {
            let Ok(Entry::Init(mut init)) = Entry::decode(&blocks[0]) else { panic!("init") };
            change(&mut init);
            blocks[0] = Entry::Init(init).encode().expect("within the limits");
        });
        verify(&place.data())
    };
    let api = libvms::engine::identity().api;
    let later_api = format!("api {} instead of {api}", api + 1);
    for ((code, report), why) in [
        (later(|init| init.engine.name = "other".into()), "name `other` instead of `quickjs-ng`"),
        (later(|init| init.engine.version += "-later"), "-later` instead of `"),
        (later(|init| init.engine.build.clear()), "build `` instead of `counted-depth disable-assertions"),
        (later(|init| init.engine.api += 1), later_api.as_str()),
        (later(|init| init.limits.memory = 1 << 40), "the log asks for memory"),
    ] {
        assert_eq!(
            (code, &report["verdict"], &report["block"]),
            (3, &json!("cannot-verify"), &json!(0)),
            "{report}"
        );
        assert!(report["why"].as_str().is_some_and(|text| text.contains(why)), "{why}: {report}");
    }
    let place = honest();
    // {"type": "later"}
    rewrite(&place.data().join("log"), |blocks| blocks[4] = b"\xa1\x64type\x65later".to_vec());
    let (code, report) = verify(&place.data());
    assert_eq!(
        (code, &report["verdict"], &report["block"]),
        (3, &json!("cannot-verify"), &json!(4)),
        "{report}"
    );
}

#[test]
fn a_log_of_another_engine_accuses_nobody_whatever_else_is_wrong_in_it() {
    let place = honest();
    rewrite(&place.data().join("log"), |blocks| {
        let Ok(Entry::Init(mut init)) = Entry::decode(&blocks[0]) else { panic!("init") };
        init.engine.api += 1;
        // What the other engine may know and this one does not.
        init.code = format!("import later; {}", init.code);
        blocks[0] = Entry::Init(init).encode().expect("within the limits");
        drop(blocks.remove(2));
    });
    let (code, report) = verify(&place.data());
    assert_eq!((code, &report["verdict"]), (3, &json!("cannot-verify")), "{report}");
    // Nor does its own host go on with it.
    let mut command = crate::support::program();
    let command = command.arg("host").arg("--dir").arg(place.data());
    let Err(stderr) = crate::support::Host::try_start(command) else { panic!("it started") };
    assert!(stderr.contains("another engine"), "{stderr}");
}

#[test]
fn a_log_that_was_damaged_after_signing_accuses_nobody() {
    let place = honest();
    let data = place.data().join("log/data");
    let mut bytes = std::fs::read(&data).expect("the log's data");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&data, bytes).expect("writable");
    let (code, report) = verify(&place.data());
    assert_eq!((code, &report["verdict"]), (3, &json!("cannot-verify")), "{report}");
}
