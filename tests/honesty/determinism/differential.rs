//! The same calls in other surroundings: time zones, languages, processors, heaps, processes and builds.
//!
//! Each [`Surroundings`] is a process of its own that executes the calls of a seed and writes a digest for each script;
//! all of them run at once, so that each also disturbs the others. `.ci/differential [CALLS] [SEED]` is the long form,
//! with a release build among them. A difference is told with its seed and the first entry that differs.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use libvms::engine::Sandbox;
use libvms_hypercore::tree::Roots;
use libvms_protocol::entry::{Entry, Format};
use serde::{Deserialize, Serialize};

use super::generator::{CALLS_PER_PROGRAM, LIMITS, program};
use super::recording::Recording;
use super::surroundings::{Surroundings, other_build, surroundings};
use crate::support::{Process, variable};

/// What one process is asked to do; it finds this in [`TASK`].
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Task {
    seed: u64,
    scripts: std::ops::Range<u64>,
    in_process: bool,
    /// Every entry, instead of a digest for each script.
    in_full: bool,
    report: PathBuf,
}

const TASK: &str = "VMS_DIFFERENTIAL_TASK";

/// What runs in another process for a task.
const EXECUTION: &str = "honesty::determinism::differential::execute_the_calls_of_a_seed";

impl Surroundings {
    /// The task of executing the scripts of a seed here, whose report goes into `directory`.
    fn task(&self, seed: u64, scripts: std::ops::Range<u64>, directory: &Path) -> Task {
        let (in_process, report) = (self.sandbox == Sandbox::Process, directory.join(self.name));
        Task { seed, scripts, in_process, in_full: false, report }
    }
}

/// Executes the same scripts in all these surroundings.
fn compare(surroundings: &[Surroundings], seed: u64, calls: u64) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scripts = 0..calls.div_ceil(CALLS_PER_PROGRAM as u64);
    let tasks: Vec<Task> =
        surroundings.iter().map(|place| place.task(seed, scripts.clone(), directory.path())).collect();
    let reports = reports(surroundings, &tasks);
    for (place, report) in surroundings.iter().zip(&reports).skip(1) {
        let Some(script) = first_difference(&reports[0], report) else { continue };
        let again: Vec<Task> = tasks
            .iter()
            .map(|task| Task { scripts: script..script + 1, in_full: true, ..task.clone() })
            .collect();
        let details = self::reports(surroundings, &again);
        let (first, other) = (surroundings[0].name, place.name);
        let position = surroundings.iter().position(|one| one.name == other).expect("one of them");
        let differing = details[0].lines().zip(details[position].lines()).find(|(one, two)| one != two);
        panic!("seed {seed}, script {script}: {first} and {other} differ\n{differing:#?}");
    }
    assert_eq!(reports[0].lines().count() as u64, scripts.end, "some scripts were not executed");
}

fn reports(surroundings: &[Surroundings], tasks: &[Task]) -> Vec<String> {
    let children: Vec<Process> =
        surroundings.iter().zip(tasks).map(|(place, task)| place.start(EXECUTION, TASK, task)).collect();
    surroundings.iter().zip(children).for_each(|(place, child)| place.wait_for(child));
    tasks.iter().map(|task| fs::read_to_string(&task.report).expect("a report")).collect()
}

/// The first line in which two reports differ.
fn first_difference(one: &str, other: &str) -> Option<u64> {
    let position = one.lines().zip(other.lines()).position(|(one, other)| one != other);
    let lengths = (one.lines().count(), other.lines().count());
    let position = position.or_else(|| (lengths.0 != lengths.1).then(|| lengths.0.min(lengths.1)));
    position.map(|line| line as u64)
}

#[test]
fn calls_give_the_same_entries_in_all_surroundings() {
    let (calls, seed) = (variable("VMS_CALLS", 20_000), variable("VMS_SEED", 1));
    let mut all = surroundings();
    all.extend(other_build());
    compare(&all, seed, calls);
}

/// What runs in another process: see [`EXECUTION`].
#[test]
#[ignore = "a part of the test above"]
fn execute_the_calls_of_a_seed() {
    let Ok(task) = std::env::var(TASK) else { return };
    let task: Task = serde_json::from_str(&task).expect("a task");
    let sandbox = if task.in_process { Sandbox::Process } else { Sandbox::Off };
    let mut report = String::new();
    for script in task.scripts.clone() {
        let (recording, fuel) = record(task.seed, script, sandbox);
        if task.in_full {
            write_in_full(&mut report, &recording, &fuel);
        } else {
            let _infallible = writeln!(report, "{}", digest(&recording, &fuel));
        }
    }
    fs::write(task.report, report).expect("a writable directory");
}

/// Executes one script's calls; gives the fuel that each took.
fn record(seed: u64, script: u64, sandbox: Sandbox) -> (Recording, Vec<u64>) {
    let program = program(seed, script);
    // Epochs are in logs of the first format only, so far.
    let has_epoch = script.is_multiple_of(16);
    let format = if has_epoch { Format::V1 } else { Format::LATEST };
    let mut recording = Recording::start(format, program.code, LIMITS, sandbox);
    let mut fuel = vec![];
    for (number, (method, args)) in program.calls.into_iter().enumerate() {
        if has_epoch && number == CALLS_PER_PROGRAM / 2 {
            recording.new_epoch();
        }
        fuel.push(recording.call(Some("caller"), &method, args));
    }
    (recording, fuel)
}

/// Binds all entries and the fuel of each call.
fn digest(recording: &Recording, fuel: &[u64]) -> String {
    let mut roots = Roots::default();
    recording.entries().iter().for_each(|entry| roots.append(entry));
    fuel.iter().for_each(|fuel| roots.append(&fuel.to_le_bytes()));
    HEXLOWER.encode(&roots.tree_hash().0)
}

fn write_in_full(report: &mut String, recording: &Recording, fuel: &[u64]) {
    for (block, entry) in recording.entries().iter().enumerate() {
        let entry = Entry::decode(entry).expect("our own");
        let _infallible = writeln!(report, "block {block}: {entry:?}");
    }
    for (call, fuel) in fuel.iter().enumerate() {
        let _infallible = writeln!(report, "fuel of call {call}: {fuel}");
    }
}

#[test]
fn a_difference_is_found_and_placed() {
    let digests = |seed| {
        (0..3)
            .map(|script| {
                let (recording, fuel) = record(seed, script, Sandbox::Off);
                digest(&recording, &fuel) + "\n"
            })
            .collect::<String>()
    };
    let (one, other) = (digests(1), digests(2));
    assert_eq!(first_difference(&one, &one), None);
    assert_eq!(first_difference(&one, &other), Some(0));
    let mixed = format!("{}{}", &one[..65], &other[65..]);
    assert_eq!(first_difference(&one, &mixed), Some(1));
    assert_eq!(first_difference(&one, &one[..130]), Some(2));
}

#[test]
fn generated_calls_end_in_every_way_there_is() {
    let mut kinds = std::collections::BTreeMap::new();
    for script in 0..40 {
        for (kind, count) in record(7, script, Sandbox::Off).0.kinds() {
            *kinds.entry(kind).or_insert(0) += count;
        }
    }
    for kind in [
        "returned",
        "changed files",
        "fuel",
        "output",
        "InternalError",
        "RangeError",
        "NotFoundError",
        "Error",
    ] {
        assert!(kinds.get(kind).is_some_and(|count| *count >= 3), "{kind}: {kinds:?}");
    }
    // Else the expressions are not worth much.
    assert!(kinds["returned"] > 1_000, "{kinds:?}");
}
