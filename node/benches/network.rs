//! Replication and live auditing, measured in one run: `cargo bench --bench network`. Prints one JSON object.
//!
//! A core of 20,000 blocks of 200 bytes and one of 200 blocks of 1 MiB go over TCP from Rust to Rust, from stock
//! JavaScript to stock JavaScript, and from one to the other; figures are blocks per second, each from connecting to
//! the last block. Then a host takes 500 calls per second, and a watcher of its log says when it has executed each:
//! milliseconds from acknowledgement to verdict. Last, the audit of a log of `VMS_BENCH_CALLS` calls (1,000,000 unless it
//! says otherwise, and a tenth of it beside) by a process that has nothing yet, with the peak of its memory. With fewer
//! than 10,000 calls everything else is a twentieth, too: enough to see that it works.
//!
//! The packages of npm are those of the tests, which install them.

#[path = "network/cores.rs"]
mod cores;
#[path = "network/javascript.rs"]
mod javascript;
#[path = "network/runs.rs"]
mod runs;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};
use libvms::audit::{Verdict, verify_remote};
use libvms::host::{Deployment, HostOptions, Vm};
use libvms::net::{Network, NetworkOptions, SharedCore};
use libvms::replay::AuditOptions;
use libvms::storage::Core;
use libvms::watch::{Event, Watcher};
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::PublicKey;
use libvms_protocol::entry::{Auth, Limits};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cores::{directory, written};
use crate::javascript::Js;
use crate::runs::{RUNS, Ways, compared};

const COUNTER: &str = include_str!("../../examples/counter.js");
const CALLS_PER_SECOND: u32 = 500;
const LATENCY_CALLS: u64 = 5_000;

#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
fn main() {
    libvms::engine::run_if_worker();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "audit") {
        return println!("{}", runtime.block_on(cold_audit(&arguments[at + 1], &arguments[at + 2])));
    }
    let calls = runs::calls();
    let part = if runs::is_short() { 20 } else { 1 };
    let report = runtime.block_on(async {
        json!({
            "blocksPerSecond": {
                "200B": replications(20_000 / part, 200).await,
                "1MiB": replications(200 / part, 1 << 20).await,
            },
            "acknowledgedToVerdictMs": latency(LATENCY_CALLS / part).await,
            "coldAudit": [audit_of(calls / 10).await, audit_of(calls).await],
        })
    });
    println!("{}", serde_json::to_string_pretty(&report).expect("JSON"));
}

/// All four ways.
async fn replications(count: u64, bytes: usize) -> Value {
    let mut rates = Ways::default();
    // Turn by turn, so that whatever else the machine does falls upon all of them.
    for _ in 0..RUNS {
        let rust = RustServer::start(count, bytes).await;
        let js = JsServer::start(count, bytes);
        rates[0].push(rust_fetches(rust.address, rust.key, count).await);
        rates[1].push(js_fetches(js.address, js.key, count));
        rates[2].push(js_fetches(rust.address, rust.key, count));
        rates[3].push(rust_fetches(js.address, js.key, count).await);
        rust.network.shutdown().await;
    }
    compared(rates, f64::round)
}

struct RustServer {
    network: Network,
    address: SocketAddr,
    key: PublicKey,
    _core: Core,
    _directory: TempDir,
}

impl RustServer {
    async fn start(count: u64, bytes: usize) -> Self {
        let directory = directory();
        let core = written(directory.path(), count, bytes);
        let network = Network::new(NetworkOptions::default());
        network.add_core(SharedCore::Writer(core.follow()), None);
        let address = network.listen(local()).await.expect("a free port");
        Self { network, address, key: core.key(), _core: core, _directory: directory }
    }
}

async fn rust_fetches(address: SocketAddr, key: PublicKey, count: u64) -> f64 {
    let directory = directory();
    let network = Network::new(NetworkOptions::default());
    let replica = network.copy(&directory.path().join("copy"), key).expect("a new copy");
    let mut lengths = replica.lengths();
    let start = Instant::now();
    network.connect(address);
    lengths.wait_for(|length| *length == Length(count)).await.expect("the copy is held");
    let rate = count as f64 / start.elapsed().as_secs_f64();
    network.shutdown().await;
    rate
}

struct JsServer {
    _process: Js,
    address: SocketAddr,
    key: PublicKey,
    _directory: TempDir,
}

impl JsServer {
    fn start(count: u64, bytes: usize) -> Self {
        let directory = directory();
        let place = directory.path().display().to_string();
        let mut process =
            Js::start("network.js", &["serve".into(), place, count.to_string(), bytes.to_string()]);
        let said = process.line();
        let key = said["key"].as_str().expect("a key").parse().expect("a key");
        Self {
            _process: process,
            address: ([127, 0, 0, 1], Js::port(&said)).into(),
            key,
            _directory: directory,
        }
    }
}

fn js_fetches(address: SocketAddr, key: PublicKey, count: u64) -> f64 {
    let directory = directory();
    let place = directory.path().display().to_string();
    let arguments = ["fetch".into(), place, address.port().to_string(), key.to_string(), count.to_string()];
    let mut process = Js::start("network.js", &arguments);
    count as f64 / process.line()["ms"].as_f64().expect("a time") * 1000.0
}

/// A host and a watcher in this process, with a real connection between them.
async fn latency(calls: u64) -> Value {
    let (hosted, watched) = (directory(), directory());
    let vm = Arc::new(deploy(hosted.path()));
    let (network, address) = serve(&vm).await;
    let watching = Arc::new(Network::new(NetworkOptions::default()));
    let (mut watcher, mut events) =
        Watcher::new(watched.path(), watching.clone(), AuditOptions::default()).expect("a new directory");
    watcher.follow(vm.log_key()).expect("a new copy");
    watching.connect(address);
    let agreed = |event: Option<(PublicKey, Event)>| match event.expect("the watcher goes on").1 {
        Event::Agrees { length } => Some(length),
        Event::Found { .. } => None,
        other => panic!("{other:?}"),
    };
    while agreed(events.recv().await).is_none() {}
    let first = vm.log_length();
    let acknowledged = tokio::spawn(acknowledged(vm.clone(), calls));
    let mut verdicts = vec![];
    while verdicts.len() < calls as usize {
        if let Some(length) = agreed(events.recv().await) {
            verdicts.resize((length - first) as usize, Instant::now());
        }
    }
    let acknowledged = acknowledged.await.expect("no panic");
    let mut waits: Vec<f64> = acknowledged
        .iter()
        .zip(&verdicts)
        .map(|(acknowledged, verdict)| {
            verdict.saturating_duration_since(*acknowledged).as_secs_f64() * 1000.0
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    watcher.shutdown().await;
    network.shutdown().await;
    vm.close().await;
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize];
    json!({ "callsPerSecond": CALLS_PER_SECOND, "p50": at(0.5), "p99": at(0.99), "max": at(1.0) })
}

/// When each call was acknowledged, in the order of the log.
async fn acknowledged(vm: Arc<Vm>, calls: u64) -> Vec<Instant> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / CALLS_PER_SECOND);
    let mut waiting = FuturesUnordered::new();
    let mut acknowledged = vec![];
    for _ in 0..calls {
        ticks.tick().await;
        let vm = vm.clone();
        waiting.push(tokio::spawn(async move {
            vm.call(None, "increment", vec![]).await.expect("a call");
            Instant::now()
        }));
    }
    while let Some(at) = waiting.next().await {
        acknowledged.push(at.expect("no panic"));
    }
    acknowledged.sort();
    acknowledged
}

/// The audit of a log of so many calls in a process of its own.
async fn audit_of(calls: u64) -> Value {
    let hosted = directory();
    let vm = Arc::new(deploy(hosted.path()));
    let mut waiting = FuturesUnordered::new();
    for _ in 0..calls {
        if waiting.len() == 1000 {
            let answered: Option<Result<_, _>> = waiting.next().await;
            answered.expect("some wait").expect("a call");
        }
        waiting.push(vm.call(None, "increment", vec![]));
    }
    while waiting.next().await.is_some() {}
    drop(waiting);
    let (network, address) = serve(&vm).await;
    let mut audit = Command::new(std::env::current_exe().expect("this program has a path"));
    audit.args(["audit", &address.to_string(), &vm.log_key().to_string()]);
    let audited = tokio::task::spawn_blocking(move || audit.output().expect("a process"));
    let audited = audited.await.expect("no panic");
    network.shutdown().await;
    vm.close().await;
    serde_json::from_slice(&audited.stdout)
        .unwrap_or_else(|_| panic!("the audit failed: {}", String::from_utf8_lossy(&audited.stderr)))
}

async fn cold_audit(address: &str, log: &str) -> Value {
    let copies = directory();
    let network = Network::new(NetworkOptions::default());
    network.connect(address.parse().expect("an address"));
    let start = Instant::now();
    let log = log.parse().expect("a key");
    let report =
        verify_remote(&network, copies.path(), log, Length(1), AuditOptions::default(), |_, _| {}).await;
    let report = report.expect("a log that can be had");
    assert_eq!(report.verdict, Verdict::Agrees);
    let seconds = start.elapsed().as_secs_f64();
    network.shutdown().await;
    json!({
        "calls": report.counts.calls, "callsPerSecond": (report.counts.calls as f64 / seconds).round(),
        "peakMemoryBytes": peak_memory(),
    })
}

fn deploy(directory: &Path) -> Vm {
    let deployment = Deployment {
        code: COUNTER.into(),
        title: "counter".into(),
        auth: Auth::Debug,
        limits: Limits::default(),
        form: libvms::host::Form::default(),
        oracles: vec![],
        effects: vec![],
    };
    Vm::deploy(directory, deployment, HostOptions::default()).expect("a good script")
}

async fn serve(vm: &Vm) -> (Network, SocketAddr) {
    let network = Network::new(NetworkOptions::default());
    vm.cores().into_iter().for_each(|core| network.add_core(SharedCore::Writer(core), None));
    let address = network.listen(local()).await.expect("a free port");
    (network, address)
}

fn local() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// The most memory that this process has had, in bytes, as Linux counts it; `null` elsewhere.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
