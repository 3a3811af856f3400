//! JavaScript between a host and its watchers: what it holds is enough for them, and live calls come through it.

use std::path::Path;

use serde_json::{Value, json};

use super::{JsPeer, Replicating, address, hashes_on_disk, key, length_on_disk};
use crate::honesty::watch::Watching;
use crate::support::{Host, TestService, run, text, vms};

/// Waits until a store has copied a host's log and archive from those it is connected to.
fn copy(peer: &mut JsPeer, log: &str, data: &Path) {
    let length = |core: &str| length_on_disk(&data.join(core));
    assert_eq!(peer.blocks(log, length("log")), hashes_on_disk(&data.join("log")));
    peer.tell("whole", json!({ "version": length("files"), "length": length("blobs") }));
}

fn keys(host: &Host) -> (String, String) {
    (key(host, "callLogUrl"), key(host, "filesArchiveUrl"))
}

#[test]
fn what_javascript_holds_is_enough_to_watch_and_to_audit_a_host_that_is_gone() {
    let place = TestService::of_example("files.js");
    let watched = tempfile::tempdir().expect("a temporary directory");
    run(async {
        let host = place.host();
        let client = host.client().await;
        for file in 0..20 {
            client.call("write", json!([format!("/{file}"), "x".repeat(file * 5000)])).await;
        }
        client.call("remove", json!(["/3"])).await;
        let (log, archive) = keys(&host);
        let mut peer = JsPeer::corestore();
        peer.read(&log);
        peer.tell("drive", json!({ "key": archive }));
        peer.connect(address(&host));
        copy(&mut peer, &log, &place.data());
        assert!(host.terminate().success());

        let served = peer.listen();
        let mut watching = Watching::start(&log, Some(served), &watched.path().join("watched"));
        watching.until_agrees(22);
        let output = vms(["verify", "--json", &log, &format!("--peer={served}")]);
        let report: Value = serde_json::from_slice(&output.stdout).expect("a JSON line");
        assert_eq!(output.status.code(), Some(0), "{report} {}", text(&output.stderr));
        assert_eq!(report["length"], json!(22), "{report}");
        assert_eq!(report["publishedFiles"], report["filesVersion"], "all was compared: {report}");
        assert_eq!(report["publishedBlobs"], report["filesBlobs"], "all was compared: {report}");
    });
}

#[test]
fn calls_reach_a_watcher_live_through_a_replicator_and_javascript() {
    let place = TestService::of_example("files.js");
    let directory = tempfile::tempdir().expect("a temporary directory");
    run(async {
        let host = place.host();
        let client = host.client().await;
        client.call("write", json!(["/early", "x".repeat(200_000)])).await;
        let (log, archive) = keys(&host);
        let replicating = Replicating::start(&log, &[address(&host)], &directory.path().join("copies"));
        let mut peer = JsPeer::corestore();
        peer.read(&log);
        peer.tell("drive", json!({ "key": archive }));
        peer.tell("follow", json!({ "key": log }));
        peer.connect(replicating.address);
        copy(&mut peer, &log, &place.data());
        let watched = directory.path().join("watched");
        let mut watching = Watching::start(&log, Some(peer.listen()), &watched);
        watching.until_agrees(2);
        for call in 0..10 {
            client.call("write", json!(["/live", format!("{call}")])).await;
            watching.until_agrees(3 + call);
        }
        // One after the other goes, and those behind have what is needed.
        copy(&mut peer, &log, &place.data());
        assert!(host.terminate().success());
        drop(replicating);
        let again = directory.path().join("again");
        Watching::start(&log, Some(peer.listen()), &again).until_agrees(12);
    });
}
