//! Hosts that go, and come back elsewhere or never.

use serde_json::json;

use super::{Dht, Hosting};
use crate::harness::{Place, run};

async fn increment(host: &Hosting, times: usize) {
    let client = host.client().await;
    for _ in 0..times {
        client.call("increment", json!([])).await;
    }
}

#[test]
fn a_watcher_finds_a_host_again_at_another_address_and_a_copy_when_it_is_gone_for_good() {
    let dht = Dht::rust(3);
    let place = Place::of_example("counter.js");
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
        replicating.until("connected");
        let mut second = dht.watch(&log, &path("second"));
        second.until_agrees(10);
        // The copy is whole when a watcher that knows nobody else has it from there.
        let mut probe = dht.corestore();
        probe.read(&log);
        probe.tell("meet", json!({ "key": log }));
        probe.blocks(&log, 10);
        replicating.until_that("complete", |_| true);
        watching.terminate();
        second.terminate();
        drop((host, probe));
        dht.watch(&log, &path("third")).until_agrees(10);
    });
}
