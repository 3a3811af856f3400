//! JavaScript writers that cut their own core off: what a watcher tells first is what their key has signed.

use serde_json::{Value, json};

use super::JsPeer;
use crate::honesty::watch::{Watching, directory};

/// A writer of nine blocks, and a watcher that has them all.
fn watched(seed: u8, test: impl FnOnce(&mut JsPeer, &str, &mut Watching)) {
    let mut peer = JsPeer::corestore();
    let key = peer.write(seed, &[40; 9]);
    let address = peer.listen();
    let (_kept, watched) = directory();
    let mut watching = Watching::start(&key, Some(address), &watched);
    // Nine blocks that are no entries: an audit says so at once, and the log is followed all the same.
    watching.until(|event| event["event"] == "ended" && event["verdict"] == "cannot-verify");
    test(&mut peer, &key, &mut watching);
}

fn first_evidence(watching: &mut Watching) -> (Value, Value) {
    let event = watching.until(|event| event["event"] == "finding" || event["event"] == "suspicion");
    let path = event["report"].as_str().unwrap_or_else(|| panic!("no report: {event}"));
    let report = serde_json::from_slice(&std::fs::read(path).expect("a report")).expect("JSON");
    (event, report)
}

#[test]
fn a_fork_of_a_javascript_writer_is_told_with_its_signed_head() {
    for more in [1, 12] {
        watched(40 + more, |peer, key, watching| {
            peer.tell("truncate", json!({ "key": key, "length": 5, "fork": 1 }));
            peer.append(key, &vec![50; usize::from(more)]);
            let (event, report) = first_evidence(watching);
            assert_eq!(
                (&event["class"], &event["core"], &event["signed"]),
                (&json!("fork"), &json!("log"), &json!(true)),
                "{event}"
            );
            assert_eq!(report["heads"][0]["head"]["fork"], json!(1));
        });
    }
}

#[test]
fn a_javascript_writer_that_goes_back_is_told_of_and_not_convicted() {
    watched(60, |peer, key, watching| {
        peer.tell("truncate", json!({ "key": key, "length": 5, "fork": 0 }));
        let (event, report) = first_evidence(watching);
        assert_eq!((&event["class"], &event["signed"]), (&json!("truncation"), &json!(false)), "{event}");
        assert_eq!(
            (&report["heads"][0]["head"]["length"], &report["verdict"]),
            (&json!(5), &json!("cannot-verify"))
        );
    });
}
