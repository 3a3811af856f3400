//! A script can hurt nobody: hundreds of attacks on the machine, each one call at the default limits.
//!
//! The attacks stand in `probes/*.js`. A line that begins with `//` names one; what follows, up to the next such line, is
//! the body of its function. Each is run on a thread and in a process, in heaps of their own, and must end by its limits, by an
//! error or by itself, never by the clock; alike in both, and as `snapshots/` says, in debug builds and in release builds.
//!
//! `VMS_PROBES=FILE` writes a table of fuel and time there; `VMS_PROBE=WORDS` runs only the probes with these in their names.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use libvms::vm::message::{Call, FileAnswer, FileReply, FileRequest, Load, Outcome, Report, Request, Thrown};
use libvms::vm::{Sandbox, Worker};
use libvms_protocol::entry::Limits;

use crate::harness::VMS;

/// 2026-03-01 00:00 UTC.
const AT: u64 = 1_772_323_200_000;
/// A probe ends within a second on a quiet machine. Ours may be busy.
const TIME_MAX: Duration = Duration::from_secs(6);
/// Characters of an outcome in a line.
const OUTCOME_LENGTH_MAX: usize = 100;

/// An attack.
struct Probe {
    name: String,
    code: String,
}

/// How it ended.
struct Run {
    outcome: String,
    fuel: u64,
    time: Duration,
}

#[test]
fn every_attack_ends_alike_by_its_limits_on_a_thread_and_in_a_process() {
    libvms::vm::run_workers_with(Path::new(VMS));
    let wanted = std::env::var("VMS_PROBE").unwrap_or_default();
    let probes: Vec<Probe> = all().into_iter().filter(|probe| probe.name.contains(&wanted)).collect();
    let runs = in_parallel(&probes, attempt);
    let mut outcomes = String::new();
    for (probe, [thread, process]) in probes.iter().zip(&runs) {
        assert_eq!(thread.outcome, process.outcome, "{}", probe.name);
        assert_eq!(thread.fuel, process.fuel, "{}", probe.name);
        let longest = thread.time.max(process.time);
        assert!(longest < TIME_MAX, "{}: {longest:?}", probe.name);
        writeln!(outcomes, "{}: {}", probe.name, thread.outcome).expect("memory");
    }
    if wanted.is_empty() {
        insta::assert_snapshot!(outcomes);
    }
}

/// In a process, which can be killed, and then on a thread, which can not.
fn attempt(probe: &Probe) -> [Run; 2] {
    let process = run(probe, Sandbox::Process);
    let thread = if process.is_killed() { Run::killed() } else { run(probe, Sandbox::Off) };
    let runs = [thread, process];
    if let Some(path) = std::env::var_os("VMS_PROBES") {
        let mut file = std::fs::File::options().append(true).create(true).open(path).expect("a writable place");
        file.write_all(row(probe, &runs).as_bytes()).expect("a writable place");
    }
    runs
}

impl Run {
    fn killed() -> Self {
        Self { outcome: "killed".into(), fuel: 0, time: TIME_MAX }
    }

    fn is_killed(&self) -> bool {
        self.outcome == "killed"
    }
}

/// All probes, file by file.
fn all() -> Vec<Probe> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/probes");
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
        match (line.strip_prefix("// "), probes.last_mut()) {
            (Some(name), _) => {
                probes.push(Probe { name: format!("{area}: {name}"), code: String::new() });
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

/// Runs a probe in a heap of its own; gives it up when its time is over.
fn run(probe: &Probe, place: Sandbox) -> Run {
    let (outgoing, incoming) = channel();
    let code = format!("exports.probe = function () {{\n{}\n}}", probe.code);
    let mut worker = Worker::start_in(place, Limits::default()).expect("a worker");
    let process = worker.process_id();
    let driver = std::thread::spawn(move || outgoing.send(drive(&mut worker, code)));
    match incoming.recv_timeout(TIME_MAX) {
        Ok(run) => run,
        Err(_) => {
            // The clock of these tests; a host's own would have come earlier.
            if let Some(id) = process {
                let id = id.to_string();
                std::process::Command::new("kill").args(["-s", "KILL", &id]).status().expect("kill is there");
            }
            drop(driver);
            Run::killed()
        }
    }
}

fn drive(worker: &mut Worker, code: String) -> Run {
    worker.send(Request::Load(Load { code, at: AT, seed: [1; 32] })).expect("it runs");
    match worker.receive() {
        Ok(Report::Loaded(Ok(_))) => {}
        other => return Run { outcome: format!("{other:?}"), fuel: 0, time: Duration::ZERO },
    }
    let call =
        Call { method: "probe".into(), args: "[]".into(), user_id: None, at: AT, seed: [2; 32] };
    let start = Instant::now();
    worker.send(Request::Call(call)).expect("it runs");
    loop {
        match worker.receive() {
            Ok(Report::Done(done)) => {
                return Run { outcome: line(&done.outcome), fuel: done.fuel, time: start.elapsed() };
            }
            Ok(Report::File(request)) => worker.answer(answer(&request)).expect("it runs"),
            Ok(Report::Console(_)) => {}
            Ok(Report::Loaded(loaded)) => panic!("{loaded:?}"),
            Err(error) => {
                return Run { outcome: error.to_string(), fuel: 0, time: start.elapsed() };
            }
        }
    }
}

/// An archive that takes everything and has nothing.
fn answer(request: &FileRequest) -> FileReply {
    match request {
        FileRequest::List { .. } => Ok(FileAnswer::Names(vec![])),
        request if request.is_write() => Ok(FileAnswer::Ok),
        _ => Err(Thrown { name: "NotFoundError".into(), message: "nothing there".into() }),
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
    line[..end].replace('\n', " ")
}

/// Fuel and times, for people.
fn row(probe: &Probe, [thread, process]: &[Run; 2]) -> String {
    let (thread_time, process_time) = (thread.time.as_millis(), process.time.as_millis());
    format!(
        "{thread_time:>6} ms {process_time:>6} ms {:>6} {:>6} {}: {} / {}\n",
        thread.fuel, process.fuel, probe.name, thread.outcome, process.outcome
    )
}
