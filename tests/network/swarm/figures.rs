//! How long it takes from joining a network to the first block of a log. Figures, not assertions: run with
//! `cargo test --test node swarm::figures -- --ignored --nocapture`, and `VMS_RUNS` for more than 20 runs each.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use libvms::net::{Network, NetworkOptions, SwarmOptions};
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::PublicKey;
use serde_json::{Value, json};

use super::{Dht, PATIENCE};
use crate::support::{TestService, run, variable};

/// One newcomer that has nothing but a key, until it has a block.
async fn first_block(bootstrap: &[SocketAddr], log: PublicKey) -> Duration {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let network = Network::new(NetworkOptions::default());
    let copy = network.copy(directory.path(), log).expect("an empty directory");
    let nodes = bootstrap.iter().map(|node| node.to_string().parse().expect("HOST:PORT")).collect();
    let started = Instant::now();
    let options = SwarmOptions::new(nodes).expect("random numbers");
    let options = SwarmOptions { bind: Ipv4Addr::LOCALHOST.into(), ..options };
    network.join_swarm(options).await.expect("a port");
    let mut lengths = copy.lengths();
    let came = tokio::time::timeout(PATIENCE, lengths.wait_for(|length| *length > Length(0))).await;
    came.expect("it is found").expect("the copy is there");
    let took = started.elapsed();
    network.shutdown().await;
    took
}

fn measure(name: &str, dht: &Dht, log: PublicKey) -> Value {
    let mut took: Vec<u128> = run(async {
        let mut took = vec![];
        for _ in 0..variable("VMS_RUNS", 20) {
            took.push(first_block(&dht.bootstrap, log).await.as_millis());
            // A host begins no more than two streams a second towards one address that has proved nothing.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        took
    });
    took.sort_unstable();
    let figures = json!({
        "network": name, "runs": took.len(), "p50Ms": took[took.len() / 2], "p90Ms": took[took.len() * 9 / 10],
        "maxMs": took[took.len() - 1],
    });
    writeln!(std::io::stdout(), "{figures}").expect("somebody reads");
    figures
}

#[test]
#[ignore = "a measurement"]
fn first_blocks_come_soon_after_joining() {
    let mut dht = Dht::javascript(12);
    let place = TestService::of_example("counter.js");
    let mut host = dht.host(&place);
    host.running.until_announced(3);
    let log = host.log().parse().expect("a key");
    measure("12 stock nodes", &dht, log);

    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    dht.bootstrap.insert(0, silent.local_addr().expect("an address"));
    measure("12 stock nodes, and the first to begin with is dead", &dht, log);

    for node in dht.nodes.clone().into_iter().skip(1).step_by(4) {
        dht.ask("silence", json!({ "port": node.port() }));
    }
    measure("the same, and 3 of the 12 have just died", &dht, log);
    drop((dht, host));

    let dht = Dht::rust(3);
    let mut host = dht.host(&TestService::of_example("counter.js"));
    host.running.until_announced(3);
    measure("3 nodes of ours", &dht, host.log().parse().expect("a key"));
}
