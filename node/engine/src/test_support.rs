//! Scripts run with the metering of built-ins and without: what the metering costs, and whether it shows.

use std::thread;
use std::time::{Duration, Instant};

use libvms_protocol::entry::Limits;

use super::host_functions::FileService;
use super::message::{Call, Console, FileReply, FileRequest, Load, Outcome};
use super::script::{Builtins, Script};

struct Nobody;

impl FileService for Nobody {
    fn file(&self, _: FileRequest) -> Option<FileReply> {
        None
    }

    fn console(&self, _: Console) {}
}

/// The best times of the script's `run`, in an engine whose built-ins are metered and in one as it is delivered, for each of
/// `pairs` of such engines. Those of a pair call it by turns, `rounds` times each.
///
/// Where an engine's heap happens to lie makes as much of a difference as what is measured, hence many pairs.
///
/// # Panics
/// If a call does anything but return.
#[doc(hidden)]
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
        let script = Script::with(limits, Box::new(Nobody), builtins).expect("an engine");
        script.load(&Load { code: code.to_owned(), at: 0, seed: [0; 32] }).expect("a good script");
        time(&script);
        script
    };
    // Whoever comes second finds more of the memory used and the caches warm: so they change.
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

/// How the scripts end, evaluated one after the other in one new heap, metered and plain: the first that does not load, or else
/// what the function `answer` that one of them exports returns when all their jobs are done. Fuel is counted for each by itself.
///
/// To be called on a thread whose stack has 16 MiB or more.
///
/// # Panics
/// If the engine cannot be made.
#[doc(hidden)]
#[must_use]
pub fn metering_outcomes(scripts: &[&str], fuel: u64) -> [Outcome; 2] {
    [Builtins::Metered, Builtins::Plain].map(|builtins| {
        let limits = Limits { fuel, ..Limits::default() };
        let script = Script::with(limits, Box::new(Nobody), builtins).expect("an engine");
        for code in scripts {
            if let Err(failure) = script.load(&Load { code: (*code).to_owned(), at: 0, seed: [0; 32] }) {
                return failure.outcome;
            }
        }
        script.call(&call_of("answer")).outcome
    })
}

fn call_of(method: &str) -> Call {
    Call { method: method.into(), args: "[]".into(), user_id: None, at: 0, seed: [0; 32] }
}
