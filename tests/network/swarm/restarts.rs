//! Hosts that go, and come back elsewhere or never.

use std::path::Path;

use serde_json::json;

use super::{Dht, Hosting, Running};
use crate::network::replication::{JsPeer, length_on_disk, tcp};
use crate::support::{TestService, run};

async fn increment(host: &Hosting, times: usize) {
    let client = host.client().await;
    for _ in 0..times {
        client.call("increment", json!([])).await;
    }
}

/// Waits until a replicator has all of a host.
fn wait_for_copy(replicating: &mut Running, host: &Hosting, data: &Path) {
    let address = replicating.until("copying")["address"].clone();
    let mut reader = JsPeer::corestore();
    reader.connect(tcp(&address));
    for (key, core) in [(host.log(), "log"), (host.files(), "files")] {
        reader.read(&key);
        reader.blocks(&key, length_on_disk(&data.join(core)));
    }
}

#[test]
fn a_stock_client_finds_a_host_again_after_each_restart() {
    let dht = Dht::rust(3);
    let place = TestService::of_example("counter.js");
    run(async {
        let host = dht.host(&place);
        let log = host.log();
        let mut reader = dht.corestore();
        reader.read(&log);
        increment(&host, 2).await;
        reader.tell("meet", json!({ "key": log }));
        reader.blocks(&log, 3);
        // In order, and then by a crash that nobody is told of.
        host.running.terminate();
        let host = dht.host(&place);
        increment(&host, 2).await;
        reader.blocks(&log, 5);
        drop(host);
        let host = dht.host(&place);
        increment(&host, 2).await;
        reader.blocks(&log, 7);
    });
}

#[test]
fn a_watcher_finds_a_host_again_at_another_address_and_a_copy_when_it_is_gone_for_good() {
    let dht = Dht::rust(3);
    let place = TestService::of_example("counter.js");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    run(async {
        let host = dht.host(&place);
        let log = host.log();
        let mut watching = dht.watch(&log, &path("watched"));
        increment(&host, 3).await;
        watching.until_agrees(4);
        // In order, and then by a crash that nobody is told of.
        host.running.terminate();
        let host = dht.host(&place);
        increment(&host, 3).await;
        watching.until_agrees(7);
        drop(host);
        let host = dht.host(&place);
        increment(&host, 3).await;
        watching.until_agrees(10);

        let mut replicating = dht.replicate(&log, &path("copies"));
        wait_for_copy(&mut replicating, &host, &place.data());
        watching.terminate();
        drop(host);
        dht.watch(&log, &path("second")).until_agrees(10);
    });
}
