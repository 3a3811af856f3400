//! Runs scripts with and without the metering of built-ins: its overhead, and whether scripts can observe it.

use std::thread;
use std::time::{Duration, Instant};

use libvms_protocol::entry::Limits;

use super::host_functions::Driver;
use super::identity::Api;
use super::message::{Call, Console, FileReply, FileRequest, Load, Outcome, WorldReply, WorldRequest};
use super::script::{Builtins, Script};

struct Nobody;

impl Driver for Nobody {
    fn file(&self, _: FileRequest) -> Option<FileReply> {
        None
    }

    fn world(&self, _: WorldRequest) -> Option<WorldReply> {
        None
    }

    fn console(&self, _: Console) {}
}

/// Returns the best times of the script's `run`, in an engine with metered built-ins and in an unmodified one, for each of
/// `pairs` of such engines. The two of a pair call it in turn, `rounds` times each.
///
/// The place of an engine's heap makes as much difference as the metering, hence many pairs.
///
/// # Panics
/// If a call does anything but return.
#[must_use]
pub fn metering_overhead(code: &str, pairs: usize, rounds: usize) -> Vec<[Duration; 2]> {
    let code = code.to_owned();
    let measure = move || (0..pairs).map(|pair| best_of_pair(&code, pair, rounds)).collect();
    let builder = thread::Builder::new().stack_size(16 << 20);
    builder.spawn(measure).expect("a thread").join().expect("calls return")
}

fn best_of_pair(code: &str, pair: usize, rounds: usize) -> [Duration; 2] {
    let make = |builtins| {
        let limits = Limits { fuel: 1 << 40, ..Limits::default() };
        let script = Script::with(Api::LATEST, limits, Box::new(Nobody), builtins).expect("an engine");
        script
            .load(&Load { code: code.to_owned(), module: false, at: 0, seed: [0; 32] })
            .expect("a good script");
        time(&script);
        script
    };
    // The order alternates, because the second engine finds warm caches and more of the memory used.
    let [one, other] = if pair.is_multiple_of(2) {
        [Builtins::Metered, Builtins::Plain]
    } else {
        [Builtins::Plain, Builtins::Metered]
    };
    let engines = [(one, make(one)), (other, make(other))];
    let mut best = [Duration::MAX; 2];
    for round in 0..rounds {
        for turn in 0..engines.len() {
            let (builtins, engine) = &engines[(round + turn) % engines.len()];
            let best = &mut best[usize::from(*builtins == Builtins::Plain)];
            *best = time(engine).min(*best);
        }
    }
    best
}

fn time(script: &Script) -> Duration {
    let call = call_of("run");
    let start = Instant::now();
    let done = script.call(&call);
    assert!(matches!(done.outcome, Outcome::Returned(_)), "{done:?}");
    start.elapsed()
}

/// What a new engine costs when it has loaded a script, under each of two versions: time, and bytes of its heap.
pub type LoadingCost = [(Duration, u64); 2];

/// Returns what a new engine with this script costs under both versions, for each of `pairs` of such engines: the best time of
/// `rounds`, and the memory that each has in the end.
///
/// # Panics
/// If the script does not load.
#[must_use]
pub fn loading_costs(code: &str, versions: [Api; 2], pairs: usize, rounds: usize) -> Vec<LoadingCost> {
    let code = code.to_owned();
    let cost = move |round: usize| {
        let mut costs = [(Duration::MAX, 0); 2];
        for turn in 0..rounds * 2 {
            let which = (round + turn) % 2;
            let start = Instant::now();
            let script =
                Script::with(versions[which], Limits::default(), Box::new(Nobody), Builtins::Metered)
                    .expect("an engine");
            script
                .load(&Load { code: code.clone(), module: false, at: 0, seed: [0; 32] })
                .expect("a good script");
            costs[which] = (start.elapsed().min(costs[which].0), script.memory.used());
        }
        costs
    };
    let measure = move || (0..pairs).map(cost).collect();
    let builder = thread::Builder::new().stack_size(16 << 20);
    builder.spawn(measure).expect("a thread").join().expect("scripts load")
}

/// Evaluates the scripts one after the other in one new heap, metered and plain, and returns how they end: the first that does
/// not load, or else the result of the exported function `answer` once all their jobs are done. Each script has its own fuel.
///
/// Call it on a thread whose stack has 16 MiB or more.
///
/// # Panics
/// If the engine cannot be created.
#[must_use]
pub fn metering_outcomes(scripts: &[&str], fuel: u64) -> [Outcome; 2] {
    [Builtins::Metered, Builtins::Plain].map(|builtins| {
        let limits = Limits { fuel, ..Limits::default() };
        let script = Script::with(Api::LATEST, limits, Box::new(Nobody), builtins).expect("an engine");
        for code in scripts {
            if let Err(failure) =
                script.load(&Load { code: (*code).to_owned(), module: false, at: 0, seed: [0; 32] })
            {
                return failure.outcome;
            }
        }
        script.call(&call_of("answer")).outcome
    })
}

fn call_of(method: &str) -> Call {
    Call { method: method.into(), args: "[]".into(), user_id: None, at: 0, seed: [0; 32] }
}
