//! Logs of every format: new ones have the latest, older ones are read and continued as what they are.

use std::path::Path;

use libvms_protocol::entry::{CallEntry, Entry, Format, Init, Limits, Outcome};
use serde_json::{Value, json};

use crate::honesty::tamper::rewrite;
use crate::honesty::violations::copy;
use crate::support::{Host, TestService, program, run, verify, vms};

const CODE: &str = "exports.coded = () => { throw Object.assign(new Error('m'), { code: 42, data: 1 }) }
    exports.save = async (text) => { await System.files.writeFile('/a', text) }";

/// The golden log of this release in the first format.
fn first_format() -> std::path::PathBuf {
    let name = concat!("../../fixtures/logs/", env!("CARGO_PKG_VERSION"), "-v1");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn log(directory: &Path) -> Vec<Value> {
    let shown = vms(["log".as_ref(), directory.as_os_str(), "--json".as_ref()]);
    let text = String::from_utf8(shown.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

#[test]
fn a_new_log_pins_loading_fuel_and_says_where_calls_began() {
    let place = TestService::new(CODE);
    run(async {
        let host = place.host_with(&["--fuel", "77"]);
        let client = host.client().await;
        for text in ["a", "b"] {
            client.call("save", [text]).await;
        }
        assert!(host.terminate().success());
    });
    let entries = place.log();
    assert_eq!(entries[0]["v"], 2);
    assert_eq!(entries[0]["limits"]["load"], 770);
    assert_eq!(entries[1]["result"]["files"]["from"], json!({ "version": 1, "blobs": 0 }));
    assert_eq!(entries[2]["result"]["files"]["from"], json!({ "version": 2, "blobs": 1 }));
    place.assert_agrees();
}

#[test]
fn a_log_of_the_first_format_is_continued_as_one() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("old");
    copy(&first_format(), &data);
    let before = log(&data).len();
    run(async {
        let host = Host::start(program().arg("host").arg("--dir").arg(&data));
        let client = host.client().await;
        let (name, message) = client.error("coded", json!([42, 1])).await;
        assert_eq!((name.as_str(), message.as_str()), ("Error", "coded"));
        client.call("save", json!(["/notes/third.txt", "three"])).await;
        assert!(host.terminate().success());
    });
    let entries = log(&data);
    assert_eq!((&entries[0]["v"], entries[0]["limits"].get("load")), (&json!(1), None));
    assert_eq!(entries[before]["result"], json!({ "err": { "name": "Error", "message": "coded" } }));
    assert!(entries[before + 1]["result"]["files"]["version"].is_u64());
    assert_eq!(entries[before + 1]["result"]["files"].get("from"), None);
    let (code, report) = verify(&data);
    assert_eq!((code, &report["verdict"]), (0, &json!("agrees")), "{report}");
}

/// What an audit says of a log whose blocks were changed by its host.
fn verdict_of(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Value {
    let place = TestService::new(CODE);
    run(async {
        let host = place.host();
        host.client().await.call("save", ["a"]).await;
        assert!(host.terminate().success());
    });
    rewrite(&place.data().join("log"), change);
    place.verify().1
}

fn changed_init(block: &[u8], change: impl FnOnce(&mut Init)) -> Vec<u8> {
    let Ok(Entry::Init(mut init)) = Entry::decode(block) else { panic!("init") };
    change(&mut init);
    Entry::Init(init).encode().expect("within the limits")
}

#[test]
fn fields_of_another_format_are_malformed() {
    let report = verdict_of(|blocks| {
        blocks[0] = changed_init(&blocks[0], |init| {
            (init.v, init.limits) = (Format::V1, Limits { load: None, ..init.limits });
        });
    });
    assert_eq!((&report["class"], &report["block"]), (&json!("malformed-entry"), &json!(1)), "{report}");
    let report = verdict_of(|blocks| {
        let Ok(Entry::Call(entry)) = Entry::decode(&blocks[1]) else { panic!("a call") };
        let outcome: Outcome = entry.result.outcome().expect("an honest entry").in_format(Format::V1);
        blocks[1] = Entry::Call(CallEntry::new(entry.call, outcome)).encode().expect("within the limits");
    });
    assert_eq!((&report["class"], &report["block"]), (&json!("malformed-entry"), &json!(1)), "{report}");
}

#[test]
fn a_log_of_a_later_format_is_not_judged() {
    let report = verdict_of(|blocks| {
        let at = blocks[0].windows(3).position(|bytes| bytes == b"\x61v\x02").expect("the format");
        blocks[0][at + 2] = 3;
    });
    assert_eq!(report["verdict"], json!("cannot-verify"), "{report}");
}

#[test]
fn an_auditor_grants_fuel_for_loading_up_to_a_bound() {
    let report = verdict_of(|blocks| {
        blocks[0] = changed_init(&blocks[0], |init| init.limits.load = Some(u64::MAX));
    });
    assert_eq!(report["verdict"], json!("cannot-verify"), "{report}");
    assert!(report["why"].as_str().is_some_and(|why| why.contains("fuel for loading")), "{report}");
}
