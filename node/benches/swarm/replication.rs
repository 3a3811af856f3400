//! Cores that are found through a DHT on this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use libvms::net::{Bootstrap, Held, Network, NetworkOptions, SwarmMode, SwarmOptions};
use libvms::storage::{Core, Durability};
use libvms_protocol::identity::{PublicKey, SecretKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::javascript::Js;
use super::{Extent, compare};

const NODES: usize = 3;

pub(super) async fn measure(extent: Extent) -> Value {
    let dht = Dht::start().await;
    let report = json!({
        "200B": dht.replications(20_000 / extent.part, 200, extent.runs).await,
        "1MiB": dht.replications(200 / extent.part, 1 << 20, extent.runs).await,
    });
    dht.shutdown().await;
    report
}

/// Nodes that know who is where.
struct Dht {
    networks: Vec<Network>,
    nodes: Vec<SocketAddr>,
}

impl Dht {
    async fn start() -> Self {
        let mut dht = Self { networks: vec![], nodes: vec![] };
        for _ in 0..NODES {
            let network = Network::new(NetworkOptions::default());
            let mode = SwarmMode::Persistent { public: Some(Ipv4Addr::LOCALHOST) };
            let address = network.join_swarm(SwarmOptions { mode, ..dht.options() }).await;
            dht.nodes.push(address.expect("a free port"));
            dht.networks.push(network);
        }
        dht
    }

    async fn shutdown(self) {
        for network in self.networks {
            network.shutdown().await;
        }
    }

    fn options(&self) -> SwarmOptions {
        let known = self.nodes.iter().map(|node| node.to_string().parse::<Bootstrap>().expect("an address"));
        let options = SwarmOptions::new(known.collect()).expect("random numbers");
        SwarmOptions { bind: Ipv4Addr::LOCALHOST.into(), ..options }
    }

    async fn replications(&self, count: usize, bytes: usize, runs: usize) -> Value {
        let mut rates = [const { vec![] }; 4];
        // Turn by turn, so that whatever else the machine does falls upon all of them.
        for _ in 0..runs {
            // One server after the other: while both are there, they have something to tell each other.
            let rust = RustServer::start(self, count, bytes).await;
            rates[0].push(self.rust_fetches(rust.key, count).await);
            rates[2].push(self.js_fetches(rust.key, count));
            rust.network.shutdown().await;
            let js = JsServer::start(self, count, bytes);
            rates[1].push(self.js_fetches(js.key, count));
            rates[3].push(self.rust_fetches(js.key, count).await);
        }
        compare(rates)
    }

    async fn rust_fetches(&self, key: PublicKey, count: usize) -> f64 {
        let directory = directory();
        let network = Network::new(NetworkOptions::default());
        let replica = network.copy(&directory.path().join("copy"), key).expect("a new copy");
        let mut lengths = replica.lengths();
        network.join_swarm(self.options()).await.expect("a free port");
        while network.swarm().is_none_or(|swarm| swarm.peers.is_empty()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let start = Instant::now();
        lengths.wait_for(|length| *length == count as u64).await.expect("the copy is held");
        let rate = count as f64 / start.elapsed().as_secs_f64();
        network.shutdown().await;
        rate
    }

    fn js_fetches(&self, key: PublicKey, count: usize) -> f64 {
        let directory = directory();
        let mut process =
            Js::start("fetch", &self.arguments(&directory, &[key.to_string(), count.to_string()]));
        count as f64 / process.line()["ms"].as_f64().expect("a time") * 1000.0
    }

    fn arguments(&self, directory: &TempDir, rest: &[String]) -> Vec<String> {
        let path = directory.path().to_str().expect("UTF-8").to_owned();
        [&[path, self.nodes[0].port().to_string()], rest].concat()
    }
}

struct RustServer {
    network: Network,
    key: PublicKey,
    _core: Core,
    _directory: TempDir,
}

impl RustServer {
    async fn start(dht: &Dht, count: usize, bytes: usize) -> Self {
        let directory = directory();
        let key = SecretKey::from_seed(&[9; 32]);
        let mut core =
            Core::create(&directory.path().join("core"), key, Durability::Relaxed).expect("a new core");
        let many = (1_000_000 / bytes).max(1);
        for first in (0..count).step_by(many) {
            let blocks: Vec<Vec<u8>> =
                (first..count.min(first + many)).map(|block| vec![block as u8; bytes]).collect();
            core.append(&blocks).expect("room on the disk");
        }
        let network = Network::new(NetworkOptions::default());
        network.hold(Held::Own(core.follow()), None);
        network.join_swarm(dht.options()).await.expect("a free port");
        while network.swarm().is_none_or(|swarm| swarm.topics.iter().all(|topic| topic.nodes < NODES)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { network, key: core.key(), _core: core, _directory: directory }
    }
}

struct JsServer {
    _process: Js,
    key: PublicKey,
    _directory: TempDir,
}

impl JsServer {
    fn start(dht: &Dht, count: usize, bytes: usize) -> Self {
        let directory = directory();
        let mut process =
            Js::start("serve", &dht.arguments(&directory, &[count.to_string(), bytes.to_string()]));
        let key = process.line()["key"].as_str().expect("a key").parse().expect("a key");
        Self { _process: process, key, _directory: directory }
    }
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}
