//! The overhead of metered built-ins on ordinary programs, and what an empty service costs: `cargo bench --bench vm`. Prints one
//! JSON object: for each program the ratio of its time with the metering to its time without, the median of several pairs of
//! engines, and the geometric mean; for a service of one line the time of starting its engine and the memory of that, under
//! the latest version of the engine over those under the version before.

use std::time::Duration;

use libvms_engine::{Api, LoadingCost};
use serde_json::{Map, Value, json};

/// Engines of each kind for each program.
const PAIRS: usize = 24;
/// How often each engine runs the program.
const ROUNDS: usize = 12;

/// Returns both, or small numbers where `VMS_BENCH_CALLS` requests a short run.
fn pairs_and_rounds() -> (usize, usize) {
    let calls = std::env::var("VMS_BENCH_CALLS").ok().and_then(|text| text.parse::<u64>().ok());
    if calls.is_some_and(|calls| calls < 10_000) { (1, 2) } else { (PAIRS, ROUNDS) }
}

const PROGRAMS: [(&str, &str); 10] = [
    ("counter", "let n = 0; exports.run = () => { for (let i = 0; i < 300000; i++) n += i & 3; return n }"),
    (
        "guest list",
        "const guests = new Map()
        exports.run = () => {
            for (let i = 0; i < 5000; i++) guests.set('guest ' + i, { name: 'Name ' + i, seats: i % 4 })
            let seats = 0
            for (const [key, guest] of guests) if (guests.has(key)) seats += guest.seats
            return seats
        }",
    ),
    (
        "words",
        "const text = 'the quick brown fox jumps over the lazy dog, and then some. '.repeat(100)
        exports.run = () => {
            const counts = {}
            for (const word of text.split(' ')) { const key = word.toLowerCase().trim(); counts[key] = (counts[key] ?? 0) + 1 }
            return Object.entries(counts).sort(([, a], [, b]) => b - a).slice(0, 5).map(([word]) => word).join()
        }",
    ),
    (
        "queue",
        "exports.run = () => {
            const queue = [0]; let seen = 0
            while (queue.length > 0 && seen < 5000) { const at = queue.shift(); seen++; queue.push(at + 1); if (queue.length < 50) queue.push(at + 2) }
            return seen
        }",
    ),
    (
        "records",
        "const records = Array.from({ length: 1000 }, (_, i) => ({ id: i, tags: ['a' + i % 7, 'b'], at: i * 3 }))
        exports.run = () => JSON.parse(JSON.stringify(records)).filter(r => r.tags.includes('a3')).map(r => ({ ...r, at: r.at + 1 })).length",
    ),
    (
        "addresses",
        "exports.run = () => {
            let good = 0
            for (let i = 0; i < 2000; i++) { const match = /^([a-z]+)\\.(\\d+)@example\\.(org|com)$/.exec(`user.${i}@example.org`); if (match && match[2] % 2) good++ }
            return good
        }",
    ),
    (
        "templates",
        "exports.run = () => {
            let out = ''
            for (let i = 0; i < 2000; i++) out += '<li>{name}: {value}</li>'.replace('{name}', 'n' + i).replace(/\\{value\\}/g, i)
            return out.length
        }",
    ),
    (
        "hash",
        "const data = new Uint8Array(20000).map((_, i) => i * 31)
        exports.run = () => {
            let h = 0x811c9dc5
            for (let i = 0; i < data.length; i++) h = Math.imul(h ^ data[i], 0x01000193)
            return [...data.slice(0, 100)].reduce((a, b) => a + b, h >>> 0)
        }",
    ),
    (
        "ledger",
        "class Account { constructor (id) { this.id = id; this.entries = [] } add (sum) { this.entries.push(sum); return this } get balance () { return this.entries.reduce((a, b) => a + b, 0) } }
        exports.run = () => {
            const accounts = Array.from({ length: 100 }, (_, i) => new Account(i))
            for (let i = 0; i < 3000; i++) accounts[i % 100].add(i % 17 - 8)
            return [...accounts].sort((a, b) => a.balance - b.balance || a.id - b.id).slice(0, 3).map(a => a.id)
        }",
    ),
    (
        "sets",
        "exports.run = () => {
            const all = new Set(), list = []
            for (let i = 0; i < 3000; i++) { const key = (i * 7919) % 1009; if (!all.has(key)) { all.add(key); list.push(key) } }
            return [...all].concat(list).indexOf(5) + list.slice().reverse().indexOf(7)
        }",
    ),
];

fn empty_service() -> Value {
    let (pairs, rounds) = pairs_and_rounds();
    let costs = libvms_engine::loading_costs("exports.f = () => 1", [Api::V4, Api::LATEST], pairs, rounds);
    let middle = |of: fn(&LoadingCost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    json!({
        "microseconds": middle(|[_, latest]| latest.0.as_secs_f64() * 1e6),
        "timeRatio": middle(|[before, latest]| latest.0.as_secs_f64() / before.0.as_secs_f64()),
        "bytes": middle(|[_, latest]| latest.1 as f64),
        "memoryRatio": middle(|[before, latest]| latest.1 as f64 / before.1 as f64),
    })
}

#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
fn main() {
    let mut report = Map::new();
    let mut logarithms = 0.0;
    for (name, code) in PROGRAMS {
        let (pairs, rounds) = pairs_and_rounds();
        let times = libvms_engine::metering_overhead(code, pairs, rounds);
        let middle = |of: fn(&[Duration; 2]) -> f64| {
            let mut values: Vec<f64> = times.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let ratio = middle(|[metered, plain]| metered.as_secs_f64() / plain.as_secs_f64());
        logarithms += ratio.ln();
        let entry =
            json!({ "plainMicroseconds": middle(|[_, plain]| plain.as_secs_f64() * 1e6), "ratio": ratio });
        report.insert(name.into(), entry);
    }
    let mean = (logarithms / PROGRAMS.len() as f64).exp();
    report.insert("meanRatio".into(), json!(mean));
    report.insert("emptyService".into(), empty_service());
    println!("{}", serde_json::to_string_pretty(&Value::Object(report)).expect("JSON"));
}
