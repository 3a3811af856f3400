//! Streams over UDX against stock JavaScript, measured in one run: `cargo bench --bench swarm`. Prints one JSON object.
//!
//! Each figure is there for Rust to Rust, stock JavaScript to stock JavaScript, and from one to the other, turn by turn;
//! the middle of three counts.
//!
//! - `blocksPerSecond`: a core of 20,000 blocks of 200 bytes and one of 200 blocks of 1 MiB, between peers that find each
//!   other through Hyperswarm in a DHT of stock nodes on this machine; from the moment the side that fetches hears that
//!   it is connected to the last block. What comes before, looking up and shaking hands, depends on timers more than on
//!   work.
//! - `lossyMegabytesPerSecond`: a raw stream over a path of 100 Mbit/s with 50 ms of delay each way that loses none, one or
//!   five of a hundred datagrams, from telling the sender to the last byte.
//! - `loopbackMegabytesPerSecond`: 200 MiB in a raw stream without anything between the two ends.
//!
//! With `VMS_BENCH_CALLS` below 10,000 it is all much less, once each: enough to see that it works.
//!
//! The packages of npm are those of the tests, which install them.

#[path = "network/cores.rs"]
mod cores;
#[path = "swarm/end.rs"]
mod end;
#[path = "network/javascript.rs"]
mod javascript;
#[path = "swarm/relay.rs"]
mod relay;
#[path = "swarm/replication.rs"]
mod replication;
#[path = "network/runs.rs"]
mod runs;
#[path = "swarm/streams.rs"]
mod streams;

use serde_json::json;

use crate::relay::Link;
use crate::replication::{Dht, replications};
use crate::runs::{RUNS, is_short};
use crate::streams::throughput;

const LOSSES_PERCENT: [u64; 3] = [0, 1, 5];
const MEBIBYTE: u64 = 1 << 20;

#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (part, runs) = if is_short() { (20, 1) } else { (1, RUNS) };
    let blocks = runtime.block_on(async {
        let dht = Dht::start();
        json!({
            "200B": replications(&dht, 20_000 / part, 200, runs).await,
            "1MiB": replications(&dht, 200 / part, 1 << 20, runs).await,
        })
    });
    // The ends of raw streams have threads of their own.
    drop(runtime);
    let lossy = LOSSES_PERCENT.map(|loss_percent| {
        let bytes = 20 * MEBIBYTE / part;
        json!({ "lossPercent": loss_percent, "of": throughput(Some(Link { loss_percent }), bytes, runs) })
    });
    let report = json!({
        "blocksPerSecond": blocks,
        "lossyMegabytesPerSecond": lossy,
        "loopbackMegabytesPerSecond": throughput(None, 200 * MEBIBYTE / part, runs),
    });
    println!("{}", serde_json::to_string_pretty(&report).expect("JSON"));
}
