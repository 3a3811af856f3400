//! How often and how much is measured, and what is made of the figures.

use serde_json::{Value, json};

/// Runs of each figure that ends in a ratio; the middle one counts.
pub(crate) const RUNS: usize = 3;
/// Fewer calls than these ask for a short run.
const SHORT: u64 = 10_000;

/// What `VMS_BENCH_CALLS` says: how many calls the long parts are made of.
pub(crate) fn calls() -> u64 {
    std::env::var("VMS_BENCH_CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

/// Whether it is only to be seen that everything works.
pub(crate) fn is_short() -> bool {
    calls() < SHORT
}

/// The figures of each way, run by run: Rust to Rust, JavaScript to JavaScript, Rust to JavaScript, JavaScript to Rust.
pub(crate) type Ways = [Vec<f64>; 4];

/// The middle figure of each way, and what it is all about: the ratios to stock JavaScript.
pub(crate) fn compared(ways: Ways, round: impl Fn(f64) -> f64) -> Value {
    let [rust_rust, js_js, rust_js, js_rust] = ways.map(middle);
    json!({
        "rustToRust": round(rust_rust), "jsToJs": round(js_js), "rustToJs": round(rust_js),
        "jsToRust": round(js_rust), "rustToRustOverJsToJs": rust_rust / js_js,
        "rustToJsOverJsToJs": rust_js / js_js, "jsToRustOverJsToJs": js_rust / js_js,
    })
}

/// The middle one of an odd number of figures.
fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
