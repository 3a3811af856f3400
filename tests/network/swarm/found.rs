//! Every kind of peer finds every other kind in every kind of network.

use serde_json::{Value, json};

use super::Dht;
use crate::network::replication::{hashes_on_disk, length_on_disk};
use crate::support::{TestService, program, run, text};

/// A stock client and one of ours find a host; then both find what the stock one holds, without the host.
fn find_each_other(dht: &Dht) {
    let place = TestService::of_example("files.js");
    let directory = tempfile::tempdir().expect("a temporary directory");
    run(async {
        let host = dht.host(&place);
        let (log, files) = (host.log(), host.files());
        let client = host.client().await;
        for file in 0..5 {
            client.call("write", json!([format!("/{file}"), "x".repeat(file * 20_000)])).await;
        }
        let mut watching = dht.watch(&log, &directory.path().join("watched"));
        let mut reader = dht.corestore();
        reader.read(&log);
        reader.tell("drive", json!({ "key": files }));
        reader.tell("meet", json!({ "key": log, "server": true }));
        watching.until_agrees(6);
        reader.blocks(&log, 6);
        // Live, for both.
        for call in 0..3 {
            client.call("write", json!(["/live", format!("{call}")])).await;
            reader.blocks(&log, 7 + call);
            watching.until_agrees(7 + call);
        }
        // The header, and one for each file that was written.
        let seen = reader.tell("checkout", json!({ "version": 9 }));
        assert_eq!(seen["/live"], json!("2"));
        assert_eq!(seen["/4"].as_str().map(str::len), Some(80_000));
        assert_eq!(reader.blocks(&log, 9), hashes_on_disk(&place.data().join("log")));
        let blobs = length_on_disk(&place.data().join("blobs"));
        reader.tell("whole", json!({ "version": 9, "length": blobs }));

        watching.terminate();
        let said = host.running.terminate();
        assert_eq!(said["swarm"]["topics"].as_array().map(Vec::len), Some(3), "{said}");
        audit(dht, &log);
        dht.watch(&log, &directory.path().join("again")).until_agrees(9);
    });
}

/// Audits what somebody in the network holds.
fn audit(dht: &Dht, log: &str) {
    let mut verify = program();
    verify.env_remove("VMS_NO_SWARM").args(["verify", log, "--json"]);
    verify.args(dht.bootstrap.iter().map(|address| format!("--bootstrap={address}")));
    let output = verify.output().expect("vms starts");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(report["verdict"], "agrees", "{report} {}", text(&output.stderr));
    assert_eq!(report["length"], json!(9), "{report}");
    assert_eq!(report["publishedFiles"], report["filesVersion"], "all was compared: {report}");
    assert_eq!(report["publishedBlobs"], report["filesBlobs"], "all was compared: {report}");
}

#[test]
fn peers_find_each_other_in_a_network_of_stock_nodes() {
    find_each_other(&Dht::javascript(10));
}

#[test]
fn peers_find_each_other_in_a_network_of_our_nodes() {
    find_each_other(&Dht::rust(3));
}

#[test]
fn peers_find_each_other_in_a_network_of_both_kinds_of_nodes() {
    find_each_other(&Dht::mixed(5));
}
