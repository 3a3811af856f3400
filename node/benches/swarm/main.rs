//! Speed of Hyperswarm's streams against stock JavaScript: `cargo bench --bench swarm`. Prints one JSON object.
//!
//! First a core of 20,000 blocks of 200 bytes and one of 200 blocks of 1 MiB, from whoever is found through a DHT on this
//! machine: blocks per second, from the connection to the last block (`replication.rs`). Then single streams over paths
//! that delay and lose datagrams (`path.rs`): bytes per second, from the first to the last (`transfer.rs`). Each goes from
//! Rust to Rust, from stock JavaScript to stock JavaScript, and from one to the other, turn by turn, and the middle
//! of several runs counts.
//!
//! With fewer than 10,000 `VMS_BENCH_CALLS` everything is a twentieth and runs once: enough to see that it works. With
//! arguments only those of `replication` and `paths` are measured that are named. The packages of npm are those of the
//! tests, which install them.

mod javascript;
mod path;
mod replication;
mod transfer;

use serde_json::{Value, json};

/// Fewer calls than these ask for a short run.
const SHORT: u64 = 10_000;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// The part of blocks and bytes that is measured: one of so many.
    part: usize,
    /// Of so many runs the middle one counts.
    runs: usize,
}

#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
fn main() {
    let calls = std::env::var("VMS_BENCH_CALLS").ok().and_then(|text| text.parse().ok());
    let is_short = calls.is_some_and(|calls: u64| calls < SHORT);
    let extent = if is_short { Extent { part: 20, runs: 1 } } else { Extent { part: 1, runs: 3 } };
    let names: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut report = json!({});
    if is_wanted("replication") {
        report["blocksPerSecond"] = runtime.block_on(replication::measure(extent));
    }
    if is_wanted("paths") {
        report["bytesPerSecond"] = runtime.block_on(transfer::measure(extent));
    }
    println!("{}", serde_json::to_string_pretty(&report).expect("JSON"));
}

/// The middle one of the rates of each of the four ways, and what the issue of speed is about: the ratios.
fn compare(rates: [Vec<f64>; 4]) -> Value {
    let [rust_rust, js_js, rust_js, js_rust] = rates.map(middle);
    json!({
        "rustToRust": rust_rust.round(), "jsToJs": js_js.round(), "rustToJs": rust_js.round(),
        "jsToRust": js_rust.round(), "rustToRustOverJsToJs": rust_rust / js_js,
    })
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
