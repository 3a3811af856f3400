//! How fast a host and an auditor are, in one run: `cargo bench --bench host`. Prints one JSON object.
//!
//! `VMS_BENCH_CALLS` sets how many calls each measurement makes (100,000 unless it says otherwise; 1,000,000 for the
//! figure of peak memory that the documentation gives). The figures of LibVMS 2 on Node.js 20, measured on a machine
//! of the same kind, stand beside ours.

#[path = "host/signed.rs"]
mod signed;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures::stream::{FuturesUnordered, StreamExt};
use libvms::audit::{Auditor, Verdict};
use libvms::engine::{EngineSettings, Sandbox};
use libvms::host::{Deployment, HostOptions, Vm};
use libvms::rpc::{ClientOptions, RpcClient, RpcOptions, RpcServer};
use libvms::storage::Durability;
use libvms_protocol::entry::{Auth, Limits};
use serde_json::{Value, json};

const IN_FLIGHT: usize = 1_000;
const COUNTER: &str = include_str!("../../examples/counter.js");
const PERSISTED: &str = include_str!("../../examples/persisted-counter.js");

#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
fn main() {
    // Scripts run in processes of their own, as `vms` runs them; each is this program again.
    libvms::engine::run_if_worker();
    let calls = std::env::var("VMS_BENCH_CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let report = runtime.block_on(measure(calls));
    println!("{}", serde_json::to_string_pretty(&report).expect("JSON"));
}

async fn measure(calls: u64) -> Value {
    let counter = service("counter", COUNTER, calls).await;
    let persisted = service("persisted counter", PERSISTED, calls / 4).await;
    json!({
        "calls": calls,
        "counter": counter,
        "persistedCounter": persisted,
        "signed": signed::measure(calls / 4).await,
        "processOverThread": { "16InFlight": sandbox(16, calls).await, "128InFlight": sandbox(128, calls).await },
        "peakMemoryBytes": peak_memory(),
        "libvms2": {
            "counterInProcessNotDurable": 8_600, "counterWebSocket16": 3_300, "persistedCounter": 1_700,
            "audit": 4_600, "logBytesPerCall": 237,
        },
    })
}

/// Calls per second through a worker process, of those through a thread, with so many calls in flight. Turn by turn, so
/// that whatever else the machine does falls upon both; the best of each.
async fn sandbox(in_flight: usize, calls: u64) -> f64 {
    let (mut process, mut thread) = (0, 0);
    for _ in 0..3 {
        process = process.max(in_sandbox(Sandbox::Process, in_flight, calls / 4).await);
        thread = thread.max(in_sandbox(Sandbox::Off, in_flight, calls / 4).await);
    }
    process as f64 / thread as f64
}

async fn in_sandbox(sandbox: Sandbox, in_flight: usize, calls: u64) -> u64 {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let deployment = Deployment {
        code: COUNTER.into(),
        title: "counter".into(),
        auth: Auth::Debug,
        limits: Limits::default(),
        form: libvms::host::Form::default(),
        oracles: vec![],
        effects: vec![],
    };
    // The disk is the same for both, and not what is compared.
    let options = HostOptions {
        durability: Durability::Relaxed,
        engine: EngineSettings { sandbox, ..EngineSettings::default() },
        ..HostOptions::default()
    };
    let vm = Vm::deploy(directory.path(), deployment, options).expect("a good script");
    let rate = in_process(&vm, calls, in_flight).await;
    vm.close().await;
    rate
}

/// Calls per second of one script, each way of calling it.
async fn service(what: &str, code: &str, calls: u64) -> Value {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let deployment = Deployment {
        code: code.into(),
        title: what.into(),
        auth: Auth::Debug,
        limits: Limits::default(),
        form: libvms::host::Form::default(),
        oracles: vec![],
        effects: vec![],
    };
    let vm =
        Arc::new(Vm::deploy(directory.path(), deployment, HostOptions::default()).expect("a good script"));
    let in_process = in_process(&vm, calls, IN_FLIGHT).await;
    let server =
        RpcServer::bind(([127, 0, 0, 1], 0).into(), RpcOptions::default()).await.expect("a free port");
    server.mount("/", vm.clone());
    let url = format!("ws://{}/", server.local_addr());
    let one = web_socket(&url, 1, calls / 50).await;
    let sixteen = web_socket(&url, 16, calls / 5).await;
    server.shutdown().await;
    let length = vm.log_length();
    vm.close().await;
    drop(vm);
    json!({
        "inProcess1000InFlight": in_process,
        "webSocket1": one,
        "webSocket16": sixteen,
        "audit": audit(directory.path()),
        "logBytesPerCall": bytes_below(&directory.path().join("log")) / length.0,
    })
}

async fn in_process(vm: &Vm, calls: u64, in_flight: usize) -> u64 {
    let start = Instant::now();
    let mut waiting = FuturesUnordered::new();
    for _ in 0..calls {
        if waiting.len() == in_flight {
            answered(waiting.next().await);
        }
        waiting.push(vm.call(None, "increment", vec![]));
    }
    while let Some(answer) = waiting.next().await {
        answered(Some(answer));
    }
    rate(calls, start)
}

fn answered<T, E: std::fmt::Display>(answer: Option<Result<T, E>>) {
    if let Some(Err(error)) = answer {
        panic!("a call failed: {error}");
    }
}

/// `connections` clients, each with one call at a time.
async fn web_socket(url: &str, connections: u64, calls: u64) -> u64 {
    let mut clients = vec![];
    for _ in 0..connections {
        clients.push(RpcClient::connect(url, ClientOptions::default()).await.expect("the server listens"));
    }
    let start = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for client in clients {
        running.spawn(async move {
            for _ in 0..calls / connections {
                answered(Some(client.call("increment", &[(); 0]).await));
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("no panic");
    }
    rate(calls / connections * connections, start)
}

fn audit(directory: &Path) -> u64 {
    let start = Instant::now();
    let report = Auditor::for_directory(directory).run(&mut |_done, _all| {}).expect("a good log");
    assert_eq!(report.verdict, Verdict::Agrees);
    rate(report.counts.calls, start)
}

fn rate(calls: u64, start: Instant) -> u64 {
    (calls as f64 / start.elapsed().as_secs_f64()) as u64
}

fn bytes_below(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.and_then(|entry| entry.metadata()).expect("readable").len()).sum()
}

/// The most memory that this process has had, in bytes, as Linux counts it; `null` elsewhere.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
