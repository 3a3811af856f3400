//! JavaScript copies a host's call log, and follows it while calls go on.

use serde_json::json;

use super::{JsPeer, address, hashes_on_disk, key, length_on_disk};
use crate::support::{TestService, run};

/// Copies a log that has entries already, then sees each new one, then many at once.
fn follow(mut peer: JsPeer) {
    let place = TestService::of_example("counter.js");
    run(async {
        let host = place.host();
        let client = host.client().await;
        for _ in 0..20 {
            client.call("increment", json!([])).await;
        }
        let log = key(&host, "callLogUrl");
        peer.read(&log);
        peer.connect(address(&host));
        let mut length = length_on_disk(&place.data().join("log"));
        assert!(length > 20);
        peer.blocks(&log, length);
        for _ in 0..10 {
            client.call("increment", json!([])).await;
            length += 1;
            let live = peer.blocks(&log, length);
            assert_eq!(live.as_array().map(Vec::len), Some(length as usize));
        }
        // Nobody waits for the peer between these.
        for _ in 0..100 {
            client.call("increment", json!([])).await;
        }
        let copied = peer.blocks(&log, length + 100);
        assert!(host.terminate().success());
        assert_eq!(copied, hashes_on_disk(&place.data().join("log")));
        let state = peer.state(&log);
        assert_eq!(state["contiguous"], json!(length + 100));
        assert_eq!(state["stats"]["invalidData"], json!(0), "{state}");
    });
}

#[test]
fn a_hypercore_copies_a_log_and_follows_it_live() {
    follow(JsPeer::hypercore());
}

#[test]
fn a_corestore_copies_a_log_and_follows_it_live() {
    follow(JsPeer::corestore());
}
