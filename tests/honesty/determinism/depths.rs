//! Each recursion of the engine ends at the same depth, wherever it runs: in a thread and in a process, in debug and release
//! builds, whatever the environment.
//!
//! `depths.js` has the recursions. `snapshots/depths.txt` says how deep each comes with a stack of [`STACK`] bytes, and what ends
//! it: the numbers are a part of what an engine is, as `libvms::engine::identity` says. The gate compares each with that file, where
//! it runs. The long form (`.ci/depths`) executes all of them in the surroundings of the differential test and in the other
//! build, with many sizes of the stack, and each depth about the limit.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use libvms::engine::message::{Call, Load, Outcome, Report, Request};
use libvms::engine::{Sandbox, Worker};
use libvms_protocol::entry::Limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::script;
use super::surroundings::{Surroundings, other_build, surroundings};
use crate::support::{Process, engine, variable};

const STACK: u64 = 128 << 10;

/// Nothing but the stack is to end a recursion.
const LIMITS: Limits =
    Limits { fuel: 1 << 40, memory: 512 << 20, stack: STACK, output: 1 << 20, load: None, call_age: None };

/// Where the expected depths stand.
const EXPECTED: &str = "../../tests/honesty/snapshots/depths.txt";

const TASK: &str = "VMS_DEPTHS_TASK";
const EXECUTION: &str = "honesty::determinism::depths::execute_the_recursions_of_a_task";

/// What one process is asked to do; it finds this in [`TASK`].
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Task {
    in_process: bool,
    stacks: Vec<u64>,
    /// How far about the limit each depth is tried.
    width: u64,
    report: PathBuf,
}

/// An engine that has the recursions.
struct Engine(Worker);

impl Engine {
    fn start(place: Sandbox, stack: u64) -> Self {
        let mut worker = Worker::start(Limits { stack, ..LIMITS }, &engine(place)).expect("a worker");
        let code = script("depths.js");
        worker.send(Request::Load(Load { code, module: false, at: 0, seed: [1; 32] })).expect("it runs");
        match worker.receive() {
            Ok(Report::Loaded(Ok(_))) => Self(worker),
            other => panic!("{other:?}"),
        }
    }

    fn call<T: DeserializeOwned>(&mut self, method: &str, args: &serde_json::Value) -> T {
        let call =
            Call { method: method.into(), args: args.to_string(), user_id: None, at: 0, seed: [2; 32] };
        self.0.send(Request::Call(call)).expect("it runs");
        match self.0.receive() {
            Ok(Report::Done(done)) => match done.outcome {
                Outcome::Returned(Some(json)) => serde_json::from_str(&json).expect("as asked"),
                other => panic!("{method}{args} with {other:?}"),
            },
            other => panic!("{method}{args}: {other:?}"),
        }
    }

    /// How deep each recursion comes, and what ends it.
    fn depths(&mut self) -> BTreeMap<String, String> {
        let kinds: Vec<String> = self.call("kinds", &json!([]));
        kinds.into_iter().map(|kind| (kind.clone(), self.call("depth", &json!([kind])))).collect()
    }

    /// How each depth about this limit ends.
    fn around(&mut self, kind: &str, limit: u64, width: u64) -> Vec<Option<String>> {
        self.call("around", &json!([kind, limit, width]))
    }
}

/// The depth of a line such as `240 RangeError: …`, and whether it is a limit.
fn limit(line: &str) -> (u64, bool) {
    let (depth, end) = line.split_once(' ').expect("two words");
    (depth.parse().expect("a number"), end != "-")
}

fn expected() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(EXPECTED);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter_map(|line| line.split_once(" => "));
    lines.map(|(kind, depth)| (kind.to_owned(), depth.to_owned())).collect()
}

/// The first place where two tables differ, for people.
fn difference(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Option<String> {
    let kinds = one.keys().chain(other.keys());
    let mut differing = kinds.filter(|kind| one.get(*kind) != other.get(*kind));
    differing.next().map(|kind| format!("{kind}: {:?}, {:?}", one.get(kind), other.get(kind)))
}

#[test]
fn each_recursion_ends_at_the_depth_that_is_written_down() {
    let (depths, again) = std::thread::scope(|scope| {
        let one = scope.spawn(|| Engine::start(Sandbox::Off, STACK).depths());
        let other = scope.spawn(|| Engine::start(Sandbox::Process, STACK).depths());
        (one.join().expect("no panic"), other.join().expect("no panic"))
    });
    if std::env::var_os("VMS_REGENERATE").is_some() {
        let lines: String = depths.iter().map(|(kind, depth)| format!("{kind} => {depth}\n")).collect();
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(EXPECTED), lines).expect("a writable file");
    }
    assert_eq!(difference(&depths, &again), None, "a thread and a process differ");
    assert_eq!(difference(&depths, &expected()), None, "not as in snapshots/depths.txt");
}

#[test]
fn most_recursions_are_ended_by_the_stack_and_none_by_the_clock() {
    let expected = expected();
    let ended = expected.values().filter(|depth| depth.contains("RangeError: Maximum call stack")).count();
    assert!(ended > 200, "{ended} of {}", expected.len());
    // The input of the report that led here, and its kind at the default limits.
    assert!(limit(&expected["JSON.parse of arrays"]).1);
}

#[test]
fn recursions_end_alike_in_all_surroundings() {
    let width = variable("VMS_DEPTHS", 2);
    let stacks: Vec<u64> = match width {
        // The gate: one size that no other test has.
        0..=2 => vec![(96 << 10) + 13],
        _ => (0..16).map(|step| (64 << 10) + step * 4_099).chain([256 << 10, 1 << 20]).collect(),
    };
    let mut places = surroundings();
    places.extend(other_build());
    if width <= 2 {
        places.drain(2..3);
        places.truncate(3);
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let tasks: Vec<Task> = places
        .iter()
        .map(|place| {
            let (in_process, report) = (place.sandbox == Sandbox::Process, directory.path().join(place.name));
            Task { in_process, stacks: stacks.clone(), width, report }
        })
        .collect();
    let reports = reports(&places, &tasks);
    for (place, report) in places.iter().zip(&reports).skip(1) {
        let differing = reports[0].lines().zip(report.lines()).find(|(one, other)| one != other);
        assert_eq!(differing, None, "{} and {} differ", places[0].name, place.name);
        assert_eq!(reports[0].lines().count(), report.lines().count());
    }
}

fn reports(places: &[Surroundings], tasks: &[Task]) -> Vec<String> {
    let children: Vec<Process> =
        places.iter().zip(tasks).map(|(place, task)| place.start(EXECUTION, TASK, task)).collect();
    places.iter().zip(children).for_each(|(place, child)| place.wait_for(child));
    tasks.iter().map(|task| fs::read_to_string(&task.report).expect("a report")).collect()
}

/// What runs in another process: see [`EXECUTION`].
#[test]
#[ignore = "a part of the test above"]
fn execute_the_recursions_of_a_task() {
    let Ok(task) = std::env::var(TASK) else { return };
    let task: Task = serde_json::from_str(&task).expect("a task");
    let place = if task.in_process { Sandbox::Process } else { Sandbox::Off };
    let mut report = String::new();
    for stack in task.stacks {
        let mut engine = Engine::start(place, stack);
        for (kind, depth) in engine.depths() {
            writeln!(report, "{stack} {kind} => {depth}").expect("memory");
            let (limit, is_limit) = limit(&depth);
            if is_limit && engine.call::<bool>("nests", &json!([kind])) {
                let around = engine.around(&kind, limit, task.width);
                writeln!(report, "{stack} {kind} about {limit}: {around:?}").expect("memory");
            }
        }
    }
    fs::write(task.report, report).expect("a writable directory");
}
