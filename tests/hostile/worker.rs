//! A fuzzer of worker processes: generated and broken scripts, broken arguments, and frames that nobody of ours sends.
//!
//! Whatever a worker is given or says, its driver goes on: it does not panic, waits no longer than its patience, and
//! another service of the same process answers as before, which is asked after every round. A service under attack is
//! audited when its round is over. `.ci/fuzz-worker [SECONDS] [SEED]` is the long form; a failure prints seed and round.

use std::io::Write;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libvms::audit::{Auditor, Verdict};
use libvms::engine::message::{Call, FileReply, Load, Report, Request, Thrown, WorldError, WorldReply};
use libvms::engine::{Sandbox, Worker, WorkerError};
use libvms::host::{CallError, Deployment, Vm};
use libvms::storage::Durability;
use libvms_hypercore::random::Dice;
use libvms_protocol::entry::{Auth, Limits};
use libvms_protocol::value::Value;
use serde::Serialize;

use crate::honesty::determinism::generator::{LIMITS, program};
use crate::support::{Process, auditing, engine, example, hosting, run, variable};

/// The driver's patience under [`LIMITS`] is a little over ten seconds; the rest is for a busy machine.
const ROUND_TIME_MAX: Duration = Duration::from_secs(120);
/// How often an auditor is asked that cannot tell.
const AUDITS_MAX: u32 = 3;
/// Requests for one worker.
const CALLS_PER_ROUND: usize = 20;
/// Characters of a broken script.
const SOURCE_CHARS_MAX: usize = 64 * 1024;

/// The first frames in both directions, as both sides have them (`node/engine/src/ipc.rs`).
#[derive(Serialize)]
enum Frame<'a> {
    Start(Limits),
    Request(&'a Request),
    #[cfg(debug_assertions)]
    Report(&'a Report),
    Reply(FileReply),
}

#[test]
fn whatever_workers_get_and_say_their_driver_goes_on() {
    let (seconds, seed) = (variable("VMS_FUZZ_SECONDS", 10), variable("VMS_SEED", 1));
    let witness = Witness::start();
    let (end, watch) = (Instant::now() + Duration::from_secs(seconds), Watch::start(seed));
    let (mut rounds, mut deaths) = (variable("VMS_ROUND", 0).., 0);
    while Instant::now() < end {
        let round = rounds.next().expect("no end");
        watch.begin(round);
        let mut dice = Dice::for_purpose(seed, round);
        match round % 5 {
            0 => attack_service(&mut dice, round),
            1 => say_to_driver(&mut dice),
            2 => say_to_worker(&mut dice),
            _ => {
                if let Err(error) = attack_worker(&mut dice, round) {
                    assert!(!error.is_defect(), "seed {seed}, round {round}: {error}");
                    deaths += 1;
                    tell(&format!("seed {seed}, round {round}: {error}"));
                }
            }
        }
        witness.asked();
    }
    tell(&format!(
        "seed {seed}: {} rounds, in {deaths} of which a script has ended its worker",
        rounds.start
    ));
}

/// A script, sound or broken, in a worker, with calls whose arguments may be broken, too. A script that ends its worker
/// has found a fault of the engine, or a built-in that runs for ever: worth telling, and the end of nothing else.
fn attack_worker(dice: &mut Dice, round: u64) -> Result<(), WorkerError> {
    let mut worker = Worker::start(LIMITS, &engine(Sandbox::Process)).expect("a worker");
    let program = program(round, dice.draw());
    let code = if dice.one_in(3) { program.code } else { broken(dice, &program.code) };
    worker
        .send(Request::Load(Load { code, module: false, at: dice.draw() >> 20, seed: [1; 32] }))
        .expect("it runs");
    let calls = program.calls.into_iter().take(CALLS_PER_ROUND).collect::<Vec<_>>();
    for (method, args) in &calls {
        let args = serde_json::to_string(args).expect("JSON");
        let args = if dice.one_in(2) { args } else { broken(dice, &args) };
        let method = if dice.one_in(20) { broken(dice, method) } else { method.clone() };
        let call = Call { method, args, user_id: None, at: dice.draw() >> 20, seed: [2; 32] };
        // That it has ended is told by the next report.
        let _may_have_ended = worker.send(Request::Call(call));
    }
    let mut ends = 0;
    while ends <= calls.len() {
        match worker.receive()? {
            Report::Loaded(_) | Report::Done(_) => ends += 1,
            Report::File(_) => worker.answer(some_reply(dice))?,
            Report::World(_) => worker.answer_world(some_world_reply(dice))?,
            Report::Console(_) => {}
        }
    }
    Ok(())
}

fn some_world_reply(dice: &mut Dice) -> WorldReply {
    match dice.below(4) {
        0 => Ok(None),
        1 => Ok(Some("[1, \"x\"]".into())),
        2 => Ok(Some(broken(dice, "{\"a\": [null, 2]}"))),
        _ => Err(WorldError { name: "OracleError".into(), message: "m".into(), code: None }),
    }
}

fn some_reply(dice: &mut Dice) -> FileReply {
    use libvms::engine::message::FileAnswer;
    match dice.below(4) {
        0 => Ok(FileAnswer::Ok),
        1 => Ok(FileAnswer::Content(vec![0xff; dice.index(100_000)])),
        2 => Ok(FileAnswer::Names { names: vec!["name".into(); dice.index(1_000)], passed: dice.draw() }),
        _ => Err(Thrown::new("NotFoundError", "\u{0}")),
    }
}

/// A script in a service, with all that belongs to it; what comes of it must stand before an auditor.
fn attack_service(dice: &mut Dice, round: u64) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let program = program(round, dice.draw());
    let code = if dice.one_in(2) { program.code } else { broken(dice, &program.code) };
    let deployment = Deployment {
        code,
        title: "fuzzed".into(),
        auth: Auth::Debug,
        limits: LIMITS,
        form: libvms::host::Form::default(),
        oracles: vec![],
        effects: vec![],
    };
    // Most of the broken ones do not load.
    let Ok(vm) = Vm::deploy(place.path(), deployment, hosting(Durability::Relaxed)) else { return };
    run(async {
        let calls: Vec<_> = program
            .calls
            .into_iter()
            .take(CALLS_PER_ROUND)
            .map(|(method, mut args)| {
                if let Ok(arg) = Value::from_json(&broken(dice, "[1, {\"a\": \"text\"}, null]")) {
                    args.push(arg);
                }
                vm.call(Some("caller".into()), &method, args)
            })
            .collect();
        for answer in futures::future::join_all(calls).await {
            assert_ne!(answer, Err(CallError::Defect), "round {round}: a worker has panicked");
        }
        vm.close().await;
    });
    // On a busy machine an auditor's clock may end what the host's did not; then it cannot tell, and is asked again.
    let audit = |_| {
        Auditor::for_directory(place.path())
            .with_options(auditing())
            .run(&mut |_, _| {})
            .expect("it can be audited")
            .verdict
    };
    let verdict = (0..AUDITS_MAX).map(audit).find(|verdict| !matches!(verdict, Verdict::CannotVerify { .. }));
    assert_eq!(verdict, Some(Verdict::Agrees));
}

/// What a process says that is a worker no more.
fn say_to_driver(dice: &mut Dice) {
    #[cfg(debug_assertions)]
    {
        use libvms::engine::EscapeAttempt;
        let mut worker = Worker::start(LIMITS, &engine(Sandbox::Process)).expect("a worker");
        let call = Call { method: "f".into(), args: "[]".into(), user_id: None, at: 1, seed: [0; 32] };
        let reports = [
            Report::Console(libvms::engine::message::Console {
                level: "log".into(),
                text: "x".repeat(dice.index(300)),
            }),
            Report::Done(libvms::engine::message::Done {
                outcome: libvms::engine::message::Outcome::Returned(Some("[1]".into())),
                fuel: dice.draw(),
                output: dice.draw(),
                result: dice.draw(),
                stack: None,
            }),
            Report::File(libvms::engine::message::FileRequest::List {
                path: "/".into(),
                recursive: true,
                offset: 0,
                limit: None,
                reverse: false,
            }),
        ];
        let frames: Vec<u8> = (0..dice.below(5))
            .flat_map(|_| frame(&Frame::Report(&reports[dice.index(reports.len())])))
            .collect();
        let _may_have_ended = worker.attempt(EscapeAttempt::Say(broken_bytes(dice, frames)));
        let _may_have_ended = worker.send(Request::Call(call));
        // Its end bounds how long anybody waits for the rest of a frame.
        let _may_have_ended = worker.attempt(EscapeAttempt::Panic);
        while worker.receive().is_ok() {}
    }
    #[cfg(not(debug_assertions))]
    let _only_in_debug_builds = dice;
}

/// What no driver of ours says: the worker ends, if only because nobody is there any more.
fn say_to_worker(dice: &mut Dice) {
    let (mut socket, mut process) = bare_worker();
    let load =
        Request::Load(Load { code: "exports.f = () => 1".into(), module: false, at: 1, seed: [0; 32] });
    let call = Call { method: "f".into(), args: "[]".into(), user_id: None, at: 1, seed: [0; 32] };
    let call = Request::Call(call);
    let mut frames = if dice.one_in(4) { vec![] } else { frame(&Frame::Start(LIMITS)) };
    let more: Vec<u8> = (0..dice.below(6))
        .flat_map(|_| match dice.below(3) {
            0 => frame(&Frame::Request(&load)),
            1 => frame(&Frame::Request(&call)),
            _ => frame(&Frame::Reply(some_reply(dice))),
        })
        .collect();
    frames.extend(broken_bytes(dice, more));
    let _may_have_ended = socket.write_all(&frames);
    let _may_have_ended = socket.shutdown(Shutdown::Write);
    drop(socket);
    let begun = Instant::now();
    while process.try_wait().expect("it can be asked").is_none() {
        assert!(begun.elapsed() < ROUND_TIME_MAX, "a worker without a driver goes on");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A worker process without a driver.
fn bare_worker() -> (UnixStream, Process) {
    let (socket, other) = UnixStream::pair().expect("a socket");
    let mut command = crate::support::program();
    command.args(["__worker", env!("CARGO_PKG_VERSION"), &std::process::id().to_string()]).env_clear();
    command.stdin(OwnedFd::from(other)).stdout(Stdio::null()).stderr(Stdio::null());
    (socket, Process::start(&mut command).expect("vms starts"))
}

fn frame(message: &Frame<'_>) -> Vec<u8> {
    let body = serde_ipld_dagcbor::to_vec(message).expect("a message");
    let length = u32::try_from(body.len()).expect("short");
    [&length.to_le_bytes()[..], &body].concat()
}

/// Text with a few mistakes in it.
fn broken(dice: &mut Dice, text: &str) -> String {
    const TOKENS: [&str; 16] = [
        "(",
        ")",
        "{",
        "}",
        "[",
        "`",
        "'",
        "\\",
        "${",
        "=>",
        "await ",
        "yield ",
        "/",
        "\u{0}",
        "\u{1f600}",
        "9e999",
    ];
    let mut letters: Vec<char> = text.chars().take(SOURCE_CHARS_MAX).collect();
    for _ in 0..=dice.below(4) {
        let (start, length) = (dice.index(letters.len() + 1), dice.index(40));
        let end = (start + length).min(letters.len());
        match dice.below(4) {
            0 => drop(letters.drain(start..end)),
            1 => drop(letters.splice(start..start, dice.pick(&TOKENS).chars())),
            2 => {
                let piece = letters[start..end].to_vec();
                let to = dice.index(letters.len() + 1);
                drop(letters.splice(to..to, piece));
            }
            _ => letters
                .iter_mut()
                .skip(start)
                .take(1)
                .for_each(|letter| *letter = char::from(dice.draw() as u8 & 0x7f)),
        }
    }
    letters.into_iter().collect()
}

/// Bytes with a few mistakes in them, or nothing but mistakes.
fn broken_bytes(dice: &mut Dice, mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.is_empty() || dice.one_in(4) {
        bytes = (0..dice.below(200)).map(|_| dice.byte()).collect();
    }
    for _ in 0..=dice.below(3) {
        let at = dice.index(bytes.len() + 1);
        match dice.below(4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, dice.byte()),
            2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (at % 8)),
            _ => bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xff),
        }
    }
    bytes
}

/// Another service of the same process.
struct Witness {
    vm: Vm,
    calls: AtomicU64,
    _place: tempfile::TempDir,
}

impl Witness {
    fn start() -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        let code = std::fs::read_to_string(example("hello-world.js")).expect("an example");
        let code = format!("{code}\nlet asked = 0; exports.ask = () => ++asked");
        let deployment = Deployment {
            code,
            title: "witness".into(),
            auth: Auth::Debug,
            limits: Limits::default(),
            form: libvms::host::Form::default(),
            oracles: vec![],
            effects: vec![],
        };
        let vm = Vm::deploy(place.path(), deployment, hosting(Durability::Relaxed)).expect("a good script");
        Self { vm, calls: AtomicU64::new(0), _place: place }
    }

    /// Answers as if nothing had happened.
    fn asked(&self) {
        let expected = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let answer = futures::executor::block_on(self.vm.call(None, "ask", vec![]));
        assert_eq!(answer.expect("an answer").json, Some(expected.to_string()));
    }
}

/// Tells which round has failed, and ends the program if one does not end.
struct Watch {
    seed: u64,
    round: Arc<AtomicU64>,
}

/// No round goes on.
const OVER: u64 = u64::MAX;

impl Watch {
    fn start(seed: u64) -> Self {
        let round = Arc::new(AtomicU64::new(0));
        let seen = round.clone();
        std::thread::spawn(move || {
            let (mut last, mut since) = (0, Instant::now());
            while seen.load(Ordering::Acquire) != OVER {
                let now = seen.load(Ordering::Acquire);
                if now != last {
                    (last, since) = (now, Instant::now());
                } else if since.elapsed() > ROUND_TIME_MAX {
                    tell(&format!("seed {seed}, round {now}: it does not end"));
                    std::process::abort();
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { seed, round }
    }

    fn begin(&self, round: u64) {
        self.round.store(round, Ordering::Release);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let round = self.round.swap(OVER, Ordering::AcqRel);
        if std::thread::panicking() {
            tell(&format!("seed {}, round {round}: VMS_SEED and VMS_ROUND begin there", self.seed));
        }
    }
}

#[expect(clippy::print_stderr, reason = "whoever runs the long form wants to know")]
fn tell(text: &str) {
    eprintln!("{text}");
}
