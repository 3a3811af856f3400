//! Cores that are copied between peers that find each other by key: [`replications`] in a [`Dht`].

use std::time::Instant;

use libvms::net::{Network, NetworkEvent, NetworkOptions, SharedCore, SwarmOptions};
use libvms::storage::Core;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::PublicKey;
use serde_json::Value;
use tempfile::TempDir;

use crate::cores::{directory, written};
use crate::javascript::Js;
use crate::runs::{Ways, compared};

/// Enough for every record to be at more nodes than one.
const NODES: usize = 5;

/// Blocks per second, all four ways.
pub(crate) async fn replications(dht: &Dht, count: u64, bytes: usize, runs: usize) -> Value {
    let mut rates = Ways::default();
    // Turn by turn, so that whatever else the machine does falls upon all of them. One server at a time: both have the
    // same key, and would be found together.
    for _ in 0..runs {
        let rust = RustServer::start(dht, count, bytes).await;
        rates[0].push(rust_fetches(dht, rust.key, count).await);
        rates[2].push(js_fetches(dht, rust.key, count));
        rust.network.shutdown().await;
        let js = JsServer::start(dht, count, bytes);
        rates[1].push(js_fetches(dht, js.key, count));
        rates[3].push(rust_fetches(dht, js.key, count).await);
    }
    compared(rates, f64::round)
}

/// Stock nodes that know who is where.
pub(crate) struct Dht {
    _process: Js,
    port: u16,
}

impl Dht {
    pub(crate) fn start() -> Self {
        let mut process = Js::start("swarm.js", &["dht".into(), NODES.to_string()]);
        let port = Js::port(&process.line());
        Self { _process: process, port }
    }

    /// Makes a network part of it.
    async fn join(&self, network: &Network) {
        let bootstrap = format!("127.0.0.1:{}", self.port).parse().expect("an address");
        let mut options = SwarmOptions::new(vec![bootstrap]).expect("random numbers");
        options.bind = std::net::Ipv4Addr::LOCALHOST.into();
        network.join_swarm(options).await.expect("a free port");
    }
}

struct RustServer {
    network: Network,
    key: PublicKey,
    _core: Core,
    _directory: TempDir,
}

impl RustServer {
    async fn start(dht: &Dht, count: u64, bytes: usize) -> Self {
        let directory = directory();
        let core = written(directory.path(), count, bytes);
        let network = Network::new(NetworkOptions::default());
        let mut events = network.events();
        network.add_core(SharedCore::Writer(core.follow()), None);
        dht.join(&network).await;
        loop {
            match events.recv().await.expect("few events") {
                NetworkEvent::Announced { nodes, .. } if nodes > 0 => break,
                _ => {}
            }
        }
        Self { network, key: core.key(), _core: core, _directory: directory }
    }
}

async fn rust_fetches(dht: &Dht, key: PublicKey, count: u64) -> f64 {
    let directory = directory();
    let network = Network::new(NetworkOptions::default());
    let mut events = network.events();
    let replica = network.copy(&directory.path().join("copy"), key).expect("a new copy");
    let mut lengths = replica.lengths();
    dht.join(&network).await;
    while !matches!(events.recv().await.expect("few events"), NetworkEvent::Connected(_)) {}
    let start = Instant::now();
    lengths.wait_for(|length| *length == Length(count)).await.expect("the copy is held");
    let rate = count as f64 / start.elapsed().as_secs_f64();
    network.shutdown().await;
    rate
}

struct JsServer {
    _process: Js,
    key: PublicKey,
    _directory: TempDir,
}

impl JsServer {
    fn start(dht: &Dht, count: u64, bytes: usize) -> Self {
        let directory = directory();
        let place = directory.path().display().to_string();
        let arguments = ["serve".into(), place, dht.port.to_string(), count.to_string(), bytes.to_string()];
        let mut process = Js::start("swarm.js", &arguments);
        let key = process.line()["key"].as_str().expect("a key").parse().expect("a key");
        Self { _process: process, key, _directory: directory }
    }
}

fn js_fetches(dht: &Dht, key: PublicKey, count: u64) -> f64 {
    let directory = directory();
    let place = directory.path().display().to_string();
    let arguments = ["fetch".into(), place, dht.port.to_string(), key.to_string(), count.to_string()];
    let mut process = Js::start("swarm.js", &arguments);
    count as f64 / process.line()["ms"].as_f64().expect("a time") * 1000.0
}
