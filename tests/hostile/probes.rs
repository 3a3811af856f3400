//! A script can hurt nobody: hundreds of attacks on the machine, each one call at the default limits.
//!
//! The attacks stand in `probes/*.js`. A line that begins with `//` names one; what follows, up to the next such line, is
//! the body of its function. Each must end by its limits, by an error or by itself, never by the clock; alike on a thread and
//! in a process, and as `snapshots/` says, in debug builds and in release builds.
//!
//! A line `// stays: REASON` after a name marks a probe that was still computing after three seconds of processor time on a busy
//! machine, and so is not run here. Some never end but by a clock, as `node/engine/src/metering.rs` tells; others end by their fuel
//! some seconds later. The reason is where the time goes, as far as it is known.
//!
//! The gate runs a part of the probes, each in one place. `.ci/probes` runs all of them in both places and both builds: with
//! `VMS_PROBES=FILE` in its environment the test appends the time and fuel of each to that file. `VMS_PROBE=WORDS` runs those with
//! these words in their names, marked or not, and `VMS_PROBE=stays` the marked ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use libvms::engine::message::{
    Call, FileAnswer, FileReply, FileRequest, Load, Outcome, Report, Request, Thrown,
};
use libvms::engine::{Sandbox, Worker, WorkerError};
use libvms_protocol::entry::Limits;

use crate::support::{engine, signal};

/// 2026-03-01 00:00 UTC.
const AT: u64 = 1_772_323_200_000;
/// Processor time of a process. A probe is to end within a second on a quiet machine; ours may be busy.
const TIME_MAX: Duration = Duration::from_secs(12);
/// The gate runs one probe of so many.
const GATE_PART: usize = 5;
/// The outcome of a probe that its limits did not end.
const KILLED: &str = "killed";
/// Characters of an outcome in a line.
const OUTCOME_LENGTH_MAX: usize = 100;

/// An attack.
struct Probe {
    name: String,
    code: String,
    /// Why it takes too long, if it does.
    stays: Option<String>,
}

/// How it ended.
struct Run {
    outcome: String,
    fuel: u64,
    time: Duration,
}

#[test]
fn every_attack_ends_by_its_limits_and_as_ever() {
    let expected = read("../../tests/hostile/snapshots/probes.txt");
    let expected: BTreeMap<&str, &str> =
        expected.lines().filter_map(|line| line.split_once(" => ")).collect();
    let chosen = chosen();
    let runs = in_parallel(&chosen, |(probe, places)| attempt(probe, places));
    let mut wrong = String::new();
    for ((probe, _), runs) in chosen.iter().zip(&runs) {
        for run in runs {
            let is_alike = (&run.outcome, run.fuel) == (&runs[0].outcome, runs[0].fuel);
            if !is_alike || expected.get(probe.name.as_str()) != Some(&run.outcome.as_str()) {
                writeln!(wrong, "{} => {} (fuel {})", probe.name, run.outcome, run.fuel).expect("memory");
            }
        }
    }
    assert!(wrong.is_empty(), "not as in snapshots/probes.txt:\n{wrong}");
}

#[test]
fn every_outcome_that_is_expected_has_its_probe() {
    let expected = read("../../tests/hostile/snapshots/probes.txt");
    let expected = expected.lines().filter_map(|line| line.split_once(" => ")).map(|(name, _)| name);
    let probes = all();
    let names = probes.iter().filter(|probe| probe.stays.is_none()).map(|probe| probe.name.as_str());
    assert_eq!(expected.collect::<Vec<_>>(), names.collect::<Vec<_>>());
}

/// The probes to run, and where.
fn chosen() -> Vec<(Probe, Vec<Sandbox>)> {
    // A process first: it can be killed.
    let both = || vec![Sandbox::Process, Sandbox::Off];
    if let Ok(words) = std::env::var("VMS_PROBE") {
        let is_meant = |probe: &Probe| match words.as_str() {
            "stays" => probe.stays.is_some(),
            words => probe.name.contains(words),
        };
        let named = all().into_iter().filter(is_meant);
        return named.map(|probe| (probe, both())).collect();
    }
    let ending = all().into_iter().filter(|probe| probe.stays.is_none());
    if std::env::var_os("VMS_PROBES").is_some() {
        return ending.map(|probe| (probe, both())).collect();
    }
    let places = both();
    let part = ending.enumerate().filter(|(index, _)| index % GATE_PART == 0);
    part.map(|(index, probe)| (probe, vec![places[index / GATE_PART % places.len()]])).collect()
}

/// Runs a probe in each place, in turn, as long as its limits end it.
fn attempt(probe: &Probe, places: &[Sandbox]) -> Vec<Run> {
    let mut runs: Vec<Run> = vec![];
    for place in places {
        if runs.last().is_none_or(|last| last.outcome != KILLED) {
            runs.push(run(probe, *place));
        }
    }
    if let Some(path) = std::env::var_os("VMS_PROBES") {
        let file = File::options().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(row(probe, &runs[0]).as_bytes())).expect("a writable place");
    }
    runs
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All probes, file by file.
fn all() -> Vec<Probe> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hostile/probes");
    let entries = std::fs::read_dir(folder).expect("a folder of probes");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| of_file(path)).collect()
}

fn of_file(path: &Path) -> Vec<Probe> {
    let text = std::fs::read_to_string(path).expect("a readable file");
    let area = path.file_stem().expect("a file has a name").to_string_lossy();
    let mut probes: Vec<Probe> = vec![];
    for line in text.lines() {
        let comment = line.strip_prefix("// ");
        match (comment.map(|comment| (comment, comment.strip_prefix("stays: "))), probes.last_mut()) {
            (Some((_, Some(reason))), Some(probe)) => probe.stays = Some(reason.into()),
            (Some((name, _)), _) => {
                let name = format!("{area}: {name}");
                probes.push(Probe { name, code: String::new(), stays: None });
            }
            (None, Some(probe)) => writeln!(probe.code, "{line}").expect("memory"),
            (None, None) => panic!("{}: begins without a name", path.display()),
        }
    }
    probes
}

/// What `work` gives for each item, in their order, on as many threads as the machine runs at once.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = Mutex::new(items.iter().enumerate());
    let done = Mutex::new(vec![]);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some((index, item)) = next.lock().expect("no panic").next() else { return };
                    let result = work(item);
                    done.lock().expect("no panic").push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no panic");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Runs a probe in a heap of its own. A process that computes for too long is killed; a thread cannot be.
fn run(probe: &Probe, place: Sandbox) -> Run {
    let (outgoing, incoming) = channel();
    let code = format!("exports.probe = function () {{\n{}\n}}", probe.code);
    let mut worker = Worker::start(Limits::default(), &engine(place)).expect("a worker");
    let process = worker.process_id();
    let driver = std::thread::spawn(move || {
        let (outcome, fuel) = drive(&mut worker, code);
        let time = process.map_or(Duration::ZERO, computed);
        // Nobody is left to hear it if the time was over.
        let _closed = outgoing.send(Run { outcome, fuel, time });
    });
    let run = loop {
        match (incoming.recv_timeout(Duration::from_millis(50)), process) {
            (Ok(run), _) => break run,
            (Err(_), Some(process)) if computed(process) > TIME_MAX => {
                signal(process, "KILL");
                break Run { outcome: KILLED.into(), fuel: 0, time: TIME_MAX };
            }
            (Err(_), _) => assert!(!driver.is_finished(), "{}", probe.name),
        }
    };
    driver.join().expect("no panic");
    run
}

fn drive(worker: &mut Worker, code: String) -> (String, u64) {
    worker.send(Request::Load(Load { code, module: false, at: AT, seed: [1; 32] })).expect("it runs");
    match worker.receive() {
        Ok(Report::Loaded(Ok(_))) => {}
        other => return (format!("{other:?}"), 0),
    }
    let call = Call { method: "probe".into(), args: "[]".into(), user_id: None, at: AT, seed: [2; 32] };
    worker.send(Request::Call(call)).expect("it runs");
    loop {
        match worker.receive() {
            Ok(Report::Done(done)) => return (line(&done.outcome), done.fuel),
            Ok(Report::File(request)) => worker.answer(answer(&request)).expect("it runs"),
            Ok(Report::World(_)) => worker.answer_world(Ok(None)).expect("it runs"),
            Ok(Report::Console(_)) => {}
            Ok(Report::Loaded(loaded)) => panic!("{loaded:?}"),
            // The driver's own clock, which on a busy machine comes before ours.
            Err(WorkerError::Overdue { .. }) => return (KILLED.into(), 0),
            Err(error) => return (error.to_string(), 0),
        }
    }
}

/// Time that a process has computed.
fn computed(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |index| after_name.split_whitespace().nth(index)?.parse::<u64>().ok();
    // In user and system mode, in hundredths of a second.
    Duration::from_millis(10 * (ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0)))
}

/// An archive that takes everything and has nothing.
fn answer(request: &FileRequest) -> FileReply {
    match request {
        FileRequest::List { .. } => Ok(FileAnswer::Names { names: vec![], passed: 0 }),
        request if request.is_write() => Ok(FileAnswer::Ok),
        _ => Err(Thrown::new("NotFoundError", "nothing there")),
    }
}

fn line(outcome: &Outcome) -> String {
    let line = match outcome {
        Outcome::Returned(None) => "returned".into(),
        Outcome::Returned(Some(json)) => format!("returned {json}"),
        Outcome::Threw(thrown) => format!("threw {}: {}", thrown.name, thrown.message),
        Outcome::Fault(fault) => format!("fault {fault:?}").to_lowercase(),
    };
    let end = line.floor_char_boundary(OUTCOME_LENGTH_MAX);
    line[..end].replace('\n', " ").trim_end().into()
}

/// Time and fuel, for people and for comparing builds.
fn row(probe: &Probe, run: &Run) -> String {
    format!("{:>6} ms {:>6} {} => {}\n", run.time.as_millis(), run.fuel, probe.name, run.outcome)
}
