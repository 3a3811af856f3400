//! Runs test262, the conformance tests of ECMAScript, with and without metered built-ins:
//! `.ci/test262 DIRECTORY [PART OF A PATH...]`.
//!
//! The metering must be invisible: a test that passes in the unmodified engine passes in ours. Each test of `test/built-ins`
//! and `test/language` runs in a heap of its own, both ways, sloppy and strict as it requires, after the harness files that it
//! names. Modules are left out, and so are tests of features that scripts do not have here (`case::ABSENT`).
//!
//! Prints each run that ends differently, including by its error's text, then the counts as JSON. Exits with 1 if a test that
//! passes in the unmodified engine does not pass with the metering, be it for lack of fuel.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is what this program is for")]

#[path = "test262/case.rs"]
mod case;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::case::{Case, Ending};

/// For each script of a run: some 40 seconds of a loop.
const FUEL: u64 = 1 << 17;
/// Files between two lines of progress.
const PROGRESS_FILES: usize = 5_000;
/// A run of this duration is named.
const LONG: Duration = Duration::from_secs(20);

/// The counts of runs.
#[derive(Default)]
struct Counts {
    files: usize,
    skipped: usize,
    runs: usize,
    both_passed: usize,
    both_failed: usize,
    /// Both failed, with different errors.
    different_errors: usize,
    only_metered_passed: usize,
    only_plain_passed: usize,
    /// The metered run ran out of fuel, and the plain one passed.
    out_of_fuel: usize,
}

type Harness = BTreeMap<String, String>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(directory) = arguments.next().map(PathBuf::from) else {
        println!("test262 wants the directory of a checkout: .ci/test262 DIRECTORY");
        return ExitCode::SUCCESS;
    };
    let parts: Vec<String> = arguments.collect();
    let start = Instant::now();
    let harness = harness(&directory.join("harness"));
    let mut files = vec![];
    for folder in ["test/built-ins", "test/language"] {
        collect(&directory.join(folder), &mut files);
    }
    files.retain(|path| {
        let path = path.to_string_lossy();
        parts.is_empty() || parts.iter().any(|part| path.contains(part.as_str()))
    });
    files.sort();
    let counts = run_all(&files, &harness, &directory);
    let report = json!({
        "files": counts.files, "skipped": counts.skipped, "runs": counts.runs,
        "bothPassed": counts.both_passed, "bothFailed": counts.both_failed, "differentErrors": counts.different_errors,
        "onlyMeteredPassed": counts.only_metered_passed, "onlyPlainPassed": counts.only_plain_passed,
        "outOfFuel": counts.out_of_fuel, "seconds": start.elapsed().as_secs(),
    });
    println!("{}", serde_json::to_string_pretty(&report).expect("JSON"));
    let is_good = counts.runs > 0 && counts.only_plain_passed == 0 && counts.out_of_fuel == 0;
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns the files of the harness, by name.
fn harness(directory: &Path) -> Harness {
    let mut files = vec![];
    collect(directory, &mut files);
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(directory).expect("found below it").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).expect("a readable file of the harness"))
    };
    files.iter().map(read).collect()
}

/// Collects every test below a directory. Fixtures are parts of other tests.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let entries =
        std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "js")
            && !path.to_string_lossy().ends_with("_FIXTURE.js")
        {
            files.push(path);
        }
    }
}

fn run_all(files: &[PathBuf], harness: &Harness, directory: &Path) -> Counts {
    let counts = Mutex::new(Counts::default());
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = files.get(index) else { break };
            if index > 0 && index.is_multiple_of(PROGRESS_FILES) {
                eprintln!("{index} of {} files", files.len());
            }
            let case = Case::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.strip_prefix(directory).expect("found below it").display().to_string();
            run(&case, &name, harness, &counts);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let builder = thread::Builder::new().stack_size(64 << 20);
            builder.spawn_scoped(scope, work).expect("a thread");
        }
    });
    counts.into_inner().expect("no thread has panicked")
}

/// Runs a test in each mode, both ways, and counts the results.
fn run(case: &Case, name: &str, harness: &Harness, counts: &Mutex<Counts>) {
    counts.lock().expect("no thread has panicked").files += 1;
    if !case.is_meant() {
        counts.lock().expect("no thread has panicked").skipped += 1;
        return;
    }
    let mut scripts = vec![include_str!("test262.js")];
    for file in case.harness() {
        scripts.push(harness.get(file).unwrap_or_else(|| panic!("{name}: no {file} in the harness")));
    }
    for code in case.codes() {
        let start = Instant::now();
        let scripts = [&scripts[..], &[code.as_str()]].concat();
        let outcomes = libvms_engine::metering_outcomes(&scripts, FUEL);
        if start.elapsed() > LONG {
            eprintln!("{name}: {} s", start.elapsed().as_secs());
        }
        let [metered, plain] = outcomes.map(|outcome| case.judge(&outcome));
        let mode = if code.starts_with("\"use strict\";\n") { "strict" } else { "sloppy" };
        counts.lock().expect("no thread has panicked").count(&metered, &plain);
        if metered != plain {
            println!("{name} ({mode})\n  metered: {metered:?}\n  plain:   {plain:?}");
        }
    }
}

impl Counts {
    fn count(&mut self, metered: &Ending, plain: &Ending) {
        self.runs += 1;
        let place = match (metered, plain) {
            (Ending::Passed, Ending::Passed) => &mut self.both_passed,
            (Ending::Passed, _) => &mut self.only_metered_passed,
            (Ending::OutOfFuel, Ending::Passed) => &mut self.out_of_fuel,
            (_, Ending::Passed) => &mut self.only_plain_passed,
            (a, b) if a == b => &mut self.both_failed,
            _ => &mut self.different_errors,
        };
        *place += 1;
    }
}
