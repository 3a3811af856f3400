//! Scripts in processes of their own: the same outcomes as on a thread, and a lock that holds.

#[cfg(debug_assertions)]
use std::process::Command;
use std::time::{Duration, Instant};

use libvms::engine::message::{
    Call, FileAnswer, FileReply, FileRequest, Load, LoadFailure, Loaded, Outcome, Report, Request, Thrown,
};
use libvms::engine::{ExitReason, Sandbox, Worker, WorkerError};
use libvms_hypercore::blocks::Length;
use libvms_protocol::entry::{Auth, Limits};
use serde_json::json;

use crate::support::{Client, Host, TestService, children, engine, program, run, signal};
#[cfg(debug_assertions)]
use crate::support::{Process, auditing, hosting};

/// 2026-03-01 00:00 UTC.
const AT: u64 = 1_772_323_200_000;

/// A worker in a process, which is the program under test.
fn worker(limits: Limits) -> Worker {
    start(Sandbox::Process, limits)
}

fn start(sandbox: Sandbox, limits: Limits) -> Worker {
    let worker = Worker::start(limits, &engine(sandbox)).expect("a worker");
    assert_eq!(worker.process_id().is_some(), sandbox == Sandbox::Process);
    worker
}

fn load(worker: &mut Worker, code: &str) -> Result<Loaded, LoadFailure> {
    worker
        .send(Request::Load(Load { code: code.into(), module: false, at: AT, seed: [1; 32] }))
        .expect("it runs");
    match worker.receive().expect("it runs") {
        Report::Loaded(loaded) => loaded,
        other => panic!("{other:?}"),
    }
}

fn call(method: &str, args: &str) -> Request {
    let (method, args) = (method.into(), args.into());
    Request::Call(Call { method, args, user_id: Some("alice".into()), at: AT, seed: [2; 32] })
}

/// An archive that holds one file of three odd bytes and takes everything.
fn answer(request: &FileRequest) -> FileReply {
    match request {
        FileRequest::Read { path } if path == "/odd" => Ok(FileAnswer::Content(vec![0xff, 0x00, 0x41])),
        FileRequest::List { .. } => Ok(FileAnswer::Names { names: vec!["a".into(), "ü".into()], passed: 0 }),
        request if request.is_write() => Ok(FileAnswer::Ok),
        _ => Err(Thrown::new("NotFoundError", "nothing there")),
    }
}

/// All that a worker says about a script and calls of its methods, all of them sent ahead.
fn transcript(sandbox: Sandbox, limits: Limits, code: &str, calls: &[(&str, &str)]) -> Vec<Report> {
    let mut worker = start(sandbox, limits);
    worker
        .send(Request::Load(Load { code: code.into(), module: false, at: AT, seed: [1; 32] }))
        .expect("it runs");
    for (method, args) in calls {
        worker.send(call(method, args)).expect("it runs");
    }
    let mut reports = vec![];
    let mut ends = 0;
    while ends <= calls.len() {
        let report = worker.receive().expect("it runs");
        match &report {
            Report::Loaded(_) | Report::Done(_) => ends += 1,
            Report::File(request) => worker.answer(answer(request)).expect("it runs"),
            Report::World(_) => worker.answer_world(Ok(None)).expect("it runs"),
            Report::Console(_) => {}
        }
        reports.push(report);
    }
    reports
}

const EVERYTHING: &str = r"
    let count = 0, kept = []
    exports.count = () => ++count
    exports.echo = (...args) => args
    exports.caller = () => [System.caller.id, Date.now(), Math.random(), new Date().toString()]
    exports.throws = () => { throw new RangeError('no ' + count) }
    exports.rejects = async () => { throw 'text' }
    exports.odd = () => '\ud800 \u{1f600} \0'
    exports.forever = () => { for (;;) {} }
    exports.recurse = function f (n) { return f((n | 0) + 1) + 1 }
    exports.depth = () => { let n = 0; const f = () => { n++; f() }; try { f() } catch {} return n }
    exports.compare = () => { let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return JSON.stringify(a) }
    exports.fill = () => { for (;;) kept.push(new Uint8Array(1 << 16)) }
    exports.small = () => { let n = 0; try { for (;;) kept.push({ n: n++ }) } catch (e) { return [e.message, n] } }
    exports.big = () => 'x'.repeat(1 << 19)
    exports.tooBig = () => 'x'.repeat(1 << 21)
    exports.console = () => { console.log('hello', { a: 1 }); console.error('x'.repeat(1e5)) }
    exports.wait = () => new Promise(resolve => setTimeout(() => resolve(Date.now()), 5000))
    exports.never = () => new Promise(() => {})
    exports.files = async () => {
        await System.files.writeFile('/b', Buffer.from([0, 255, 10]))
        await System.files.writeFile('/c', 'x'.repeat(3e5))
        return [[...await System.files.readFile('/odd', null)], await System.files.readdir('/')]
    }
    exports.missing = () => System.files.readFile('/nowhere')
    exports.writes = async () => { for (;;) await System.files.writeFile('/c', 'x'.repeat(1e6)) }
    exports.regexp = () => /(a+)+b/.test('a'.repeat(28))
    exports.sort = () => Array.from({ length: 1000 }, () => Math.random()).sort().slice(0, 3)";

#[test]
fn a_process_gives_what_a_thread_gives() {
    let calls: Vec<(&str, &str)> = [
        "count", "caller", "throws", "rejects", "odd", "forever", "recurse", "depth", "compare", "count",
        "console", "wait", "never", "files", "missing", "writes", "regexp", "sort", "big", "tooBig", "small",
        "count", "fill", "count", "nothing",
    ]
    .iter()
    .map(|method| (*method, "[]"))
    .chain([("echo", r#"[1, "two", null, {"three": [3.5, true]}]"#), ("echo", "no JSON")])
    .collect();
    let limits = Limits { memory: 8 << 20, fuel: 200, ..Limits::default() };
    let thread = transcript(Sandbox::Off, limits, EVERYTHING, &calls);
    assert!(
        thread
            .iter()
            .any(|report| matches!(report, Report::Done(done) if matches!(done.outcome, Outcome::Fault(_))))
    );
    let process = transcript(Sandbox::Process, limits, EVERYTHING, &calls);
    for (thread, process) in thread.iter().zip(&process) {
        assert_eq!(thread, process);
    }
    assert_eq!(thread.len(), process.len());
}

#[test]
fn a_process_loads_and_refuses_what_a_thread_does() {
    let small = Limits { memory: 0, ..Limits::default() };
    let deep = Limits { stack: 128 << 20, fuel: 5000, ..Limits::default() };
    for (code, limits) in [
        ("throw new RangeError('x')", Limits::default()),
        ("let a = 1\nlet a = 2", Limits::default()),
        ("for (;;) {}", Limits::default()),
        ("System.files.writeFile('/x', 'y')", Limits::default()),
        ("1", small),
        (
            "exports.depth = () => { let n = 0; const f = () => { n++; f() }; try { f() } catch {} return n }",
            deep,
        ),
    ] {
        let run = |sandbox| transcript(sandbox, limits, code, &[("depth", "[]")]);
        assert_eq!(run(Sandbox::Off), run(Sandbox::Process), "{code}");
    }
}

#[test]
fn memory_can_be_used_up_to_its_limit_and_given_back_in_a_process() {
    let code = "exports.fill = size => {
            let kept = [], n = 0
            try { for (;;) { kept[n] = size ? new Uint8Array(size) : {}; n++ } } catch {}
            kept = null
            return n > 10
        }";
    let limits = Limits { memory: 128 << 20, fuel: 100_000, ..Limits::default() };
    let calls: Vec<_> =
        ["[0]", "[100]", "[5000]", "[200000]", "[5000000]", "[0]"].map(|args| ("fill", args)).into();
    for report in &transcript(Sandbox::Process, limits, code, &calls)[1..] {
        assert!(
            matches!(report, Report::Done(done) if done.outcome == Outcome::Returned(Some("true".into()))),
            "{report:?}"
        );
    }
}

/// What a worker says to native code that tries something.
#[cfg(debug_assertions)]
fn attempt(attempt: libvms::engine::EscapeAttempt) -> Result<Report, WorkerError> {
    let mut worker = worker(Limits::default());
    load(&mut worker, "exports.f = () => 1").expect("a good script");
    worker.attempt(attempt)?;
    worker.receive()
}

#[cfg(debug_assertions)]
#[test]
fn whoever_breaks_out_of_the_engine_finds_nothing_but_his_end() {
    use libvms::engine::EscapeAttempt;
    use libvms::engine::message::Console;
    let nothing = Console { level: "error".into(), text: "no error".into() };
    assert_eq!(attempt(EscapeAttempt::Nothing).expect("it lives"), Report::Console(nothing));
    let mut victim = victim();
    let id = i32::try_from(victim.id()).expect("a process id");
    for forbidden in [
        EscapeAttempt::OpenFile,
        EscapeAttempt::CreateFile,
        EscapeAttempt::Socket,
        EscapeAttempt::Fork,
        EscapeAttempt::Execute,
        EscapeAttempt::Signal(id),
        EscapeAttempt::Signal(i32::try_from(std::process::id()).expect("a process id")),
        EscapeAttempt::Trace(id),
        EscapeAttempt::ReadMemory(id),
        EscapeAttempt::ExecutableMemory,
    ] {
        let ended = attempt(forbidden.clone());
        assert!(matches!(ended, Err(WorkerError::Ended(ExitReason::Killed(31)))), "{forbidden:?}: {ended:?}");
    }
    assert!(victim.try_wait().expect("it can be asked").is_none(), "nothing happened to it");
    victim.kill().expect("it runs");
    victim.wait().expect("it ends");
}

/// A process of the same user that waits.
#[cfg(debug_assertions)]
fn victim() -> Process {
    Process::start(Command::new("sleep").arg("1000").stdin(std::process::Stdio::null()))
        .expect("sleep is there")
}

#[cfg(debug_assertions)]
#[test]
fn a_worker_that_says_nonsense_is_ended() {
    use libvms::engine::EscapeAttempt;
    for bytes in [&[0xff; 8][..], &[1, 0, 0, 0, 0xff], &[0, 0, 0, 0]] {
        let said = attempt(EscapeAttempt::Say(bytes.into()));
        assert!(matches!(said, Err(WorkerError::ProtocolViolation(_))), "{said:?}");
    }
}

#[cfg(debug_assertions)]
#[test]
fn memory_of_a_worker_is_bounded_and_its_panic_is_its_own() {
    use libvms::engine::EscapeAttempt;
    let line = attempt(EscapeAttempt::ExhaustMemory).expect("it lives");
    assert!(matches!(&line, Report::Console(line) if line.text.contains("memory")), "{line:?}");
    let ended = attempt(EscapeAttempt::Panic);
    assert!(matches!(ended, Err(WorkerError::Ended(ExitReason::Panicked))), "{ended:?}");
}

/// A panic of a worker is a defect of ours. It is no outcome of the call, neither `killed` nor any other.
#[cfg(debug_assertions)]
#[test]
fn a_call_in_which_a_worker_panics_is_refused_and_not_logged() {
    use libvms::audit::{Auditor, Verdict};
    use libvms::host::{CallError, Deployment, Vm};
    use libvms::storage::Durability;
    let place = tempfile::tempdir().expect("a temporary directory");
    let code = "let n = 0; exports.met_a_defect = () => ++n; exports.fine = () => ++n".into();
    let deployment = Deployment {
        code,
        title: "panics".into(),
        auth: Auth::Debug,
        limits: Limits::default(),
        form: libvms::host::Form::default(),
        oracles: vec![],
        effects: vec![],
    };
    let vm = Vm::deploy(place.path(), deployment, hosting(Durability::Relaxed)).expect("a good script");
    let call = |method: &str| vm.call(None, method, vec![]);
    run(async {
        let fine = |answer: Result<libvms::host::CallResponse, CallError>| {
            answer.expect("an answer").json.expect("a number")
        };
        assert_eq!(fine(call("fine").await), "1");
        libvms::engine::panic_in_calls_of(Some("met_a_defect"));
        // Those that were sent ahead are not lost, and get the blocks that follow.
        let (before, bad, after) =
            futures::future::join3(call("fine"), call("met_a_defect"), call("fine")).await;
        libvms::engine::panic_in_calls_of(None);
        assert_eq!(bad, Err(CallError::Defect));
        assert_eq!((fine(before), fine(after)), ("2".into(), "3".into()));
        assert!(matches!(call("met_a_defect").await, Err(CallError::Quarantined { .. })));
        assert_eq!(fine(call("fine").await), "4");
        vm.close().await;
    });
    assert_eq!(vm.log_length(), Length(5), "the first entry, and one for each call that had an outcome");
    let audit = Auditor::for_directory(place.path())
        .with_options(auditing())
        .run(&mut |_, _| {})
        .expect("it can be audited");
    assert_eq!(audit.verdict, Verdict::Agrees);
}

#[test]
fn a_killed_worker_is_an_error_of_its_driver() {
    let mut worker = worker(Limits { fuel: u64::MAX, ..Limits::default() });
    load(&mut worker, "exports.forever = () => { for (;;) {} }").expect("a good script");
    worker.send(call("forever", "[]")).expect("it runs");
    let id = worker.process_id().expect("a process");
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        signal(id, "KILL");
    });
    assert!(matches!(worker.receive(), Err(WorkerError::Ended(ExitReason::Killed(9)))));
    killer.join().expect("no panic");
    assert!(worker.receive().is_err());
    assert!(worker.send(call("forever", "[]")).is_ok(), "the end is told by receive");
    assert!(worker.receive().is_err());
}

#[test]
fn a_worker_survives_the_thread_that_started_it_and_ends_with_its_driver() {
    let mut worker = std::thread::spawn(|| worker(Limits::default())).join().expect("no panic");
    load(&mut worker, "exports.f = () => 1").expect("it outlives the thread");
    let id = worker.process_id().expect("a process");
    for ignored in ["INT", "TERM", "HUP"] {
        signal(id, ignored);
    }
    worker.send(call("f", "[]")).expect("it runs");
    assert!(matches!(worker.receive(), Ok(Report::Done(_))));
    drop(worker);
    assert!(!is_alive(id));
}

#[test]
fn an_answer_does_not_wait_for_the_next_call() {
    let mut worker = worker(Limits { fuel: u64::MAX, ..Limits::default() });
    load(&mut worker, "exports.f = () => 1; exports.forever = () => { for (;;) {} }").expect("a good script");
    for method in ["f", "f", "f", "forever"] {
        worker.send(call(method, "[]")).expect("it runs");
    }
    for _ in 0..3 {
        assert!(matches!(worker.receive(), Ok(Report::Done(_))));
    }
}

#[test]
fn both_sides_may_have_more_to_say_than_the_socket_holds() {
    let mut worker = worker(Limits::default());
    load(&mut worker, "exports.echo = text => text").expect("a good script");
    let text = format!("\"{}\"", "x".repeat(1_000_000));
    let args = format!("[{text}]");
    for _ in 0..20 {
        worker.send(call("echo", &args)).expect("it runs");
    }
    for _ in 0..20 {
        match worker.receive().expect("it runs") {
            Report::Done(done) => assert_eq!(done.outcome, Outcome::Returned(Some(text.clone()))),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn workers_end_with_a_host_that_is_killed() {
    let place = TestService::new("exports.f = () => 1; exports.forever = () => { for (;;) {} }");
    let host = place.host_with(&["--fuel", "1000000000"]);
    let workers = workers_of(host.id());
    assert_eq!(workers.len(), 1, "{workers:?}");
    run(async {
        let client = host.client().await;
        let endless = client.try_call("forever", json!([]));
        let _no_answer = tokio::time::timeout(Duration::from_millis(200), endless).await;
    });
    assert!(is_alive(workers[0]));
    host.kill();
    let start = Instant::now();
    while is_alive(workers[0]) {
        assert!(start.elapsed() < Duration::from_secs(10), "the worker lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_host_without_sandbox_has_no_workers() {
    let place = TestService::new("exports.f = () => 1");
    let host = place.host_with(&["--sandbox", "off"]);
    assert!(workers_of(host.id()).is_empty());
    run(async { assert_eq!(host.client().await.call("f", json!([])).await, json!(1)) });
    assert!(host.terminate().success());
    place.assert_agrees();
}

/// A service that counts, and can be kept busy: for minutes, with all the fuel that an auditor grants, since each of
/// the steps that are counted takes a microsecond.
fn counting() -> TestService {
    TestService::new(
        "let n = 0
        exports.increment = () => ++n
        exports.write = text => System.files.writeFile('/f', text)
        exports.read = () => System.files.readFile('/f')
        exports.spin = () => { for (let i = 0; i < 3e7; i++); return ++n }
        exports.forever = () => { for (;;) [{}, {}, {}, {}, {}, {}, {}, {}, {}, {}] }",
    )
}

#[test]
fn nobody_notices_that_a_worker_was_killed_between_calls() {
    let place = counting();
    let host = place.host();
    run(async {
        let client = host.client().await;
        for n in 1..=100 {
            assert_eq!(client.call("increment", json!([])).await, json!(n));
        }
        client.call("write", json!(["text"])).await;
        signal(only_worker_of(&host), "KILL");
        assert_eq!(client.call("increment", json!([])).await, json!(101));
        assert_eq!(client.call("read", json!([])).await, json!("text"));
    });
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn a_call_in_which_workers_die_again_and_again_is_at_fault() {
    let place = counting();
    let host = place.host_with(&["--fuel", "60000"]);
    run(async {
        let client = host.client().await;
        assert_eq!(client.call("increment", json!([])).await, json!(1));
        let killed = killed_in_call(&host, 2);
        let (name, message) = client.error("forever", json!([])).await;
        assert_eq!(name, "Fault", "{message}");
        killed.join().expect("no panic");
        assert_eq!(client.call("increment", json!([])).await, json!(2));
    });
    assert!(host.terminate().success());
    assert_eq!(place.log().iter().filter(|entry| entry["result"]["fault"] == "killed").count(), 1);
    place.assert_agrees();
}

#[test]
fn calls_behind_one_in_which_a_worker_died_are_repeated() {
    let place = counting();
    let host = place.host_with(&["--fuel", "60000"]);
    run(async {
        let client = host.client().await;
        let killed = killed_in_call(&host, 1);
        let spin = client.call("spin", json!([]));
        let others = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            (client.call("increment", json!([])).await, client.call("increment", json!([])).await)
        };
        assert_eq!(tokio::join!(spin, others), (json!(1), (json!(2), json!(3))));
        killed.join().expect("no panic");
    });
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn a_method_that_had_to_be_killed_is_refused_while_others_go_on() {
    let place = counting();
    let host = place.host_with(&["--fuel", "60000", "--call-time", "2"]);
    run(async {
        let client = host.client().await;
        assert_eq!(client.call("increment", json!([])).await, json!(1));
        // All on their way at once: one is executed, and none of the others costs anything.
        let attack = (0..20).map(|_| client.error("forever", json!([])));
        let honest = client.call("increment", json!([]));
        let (outcomes, honest) = tokio::join!(futures::future::join_all(attack), honest);
        assert_eq!(honest, json!(2));
        let names: Vec<&str> = outcomes.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [&["Fault"][..], &["Quarantined"; 19]].concat());
        // Later ones are told when to come again, at once.
        let begun = Instant::now();
        let (name, message) = client.error("forever", json!([])).await;
        assert_eq!(name, "Quarantined");
        assert!(begun.elapsed() < Duration::from_secs(2), "it was executed");
        let seconds = message.split_whitespace().find_map(|word| word.parse::<u64>().ok());
        assert!(seconds.is_some_and(|seconds| seconds > 10), "{message}");
        for n in 3..10 {
            assert_eq!(client.call("increment", json!([])).await, json!(n));
        }
    });
    assert!(host.terminate().success());
    let killed = place.log().iter().filter(|entry| entry["methodName"] == "forever").count();
    assert_eq!(killed, 1, "refused calls are not logged");
    place.assert_agrees();
}

#[test]
fn a_stopped_worker_is_killed_in_time_and_its_call_with_it() {
    let place = counting();
    let host = place.host_with(&["--fuel", "60000", "--call-time", "2"]);
    run(async {
        let client = host.client().await;
        let worker = only_worker_of(&host);
        signal(worker, "STOP");
        assert_eq!(client.error("increment", json!([])).await.0, "Fault");
        assert_eq!(client.error("increment", json!([])).await.0, "Quarantined");
        assert!(!is_alive(worker));
        client.call("write", json!(["text"])).await;
    });
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn what_does_not_end_in_time_here_accuses_nobody() {
    use libvms_protocol::entry::Entry;
    let place = counting();
    let host = place.host_with(&["--fuel", "60000"]);
    run(async { assert_eq!(host.client().await.call("increment", json!([])).await, json!(1)) });
    assert!(host.terminate().success());
    crate::honesty::tamper::rewrite(&place.data().join("log"), |blocks| {
        let Ok(Entry::Call(mut entry)) = Entry::decode(&blocks[1]) else { panic!("a call") };
        entry.call.method_name = "forever".into();
        blocks[1] = Entry::Call(entry).encode().expect("within the limits");
    });
    let output = crate::support::vms([
        "verify".as_ref(),
        place.data().as_os_str(),
        "--json".as_ref(),
        "--call-time=1".as_ref(),
    ]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &report["verdict"]), (Some(3), &json!("cannot-verify")), "{report}");
    assert_eq!(report["block"], 1, "{report}");
}

#[test]
fn a_worker_that_dies_is_nothing_to_the_other_service_of_its_host() {
    let place = TestService::new("exports.f = () => 1; exports.spin = () => { for (;;) {} }");
    let other = place.data().with_file_name("other.js");
    std::fs::write(&other, "let n = 0; exports.increment = () => ++n").expect("a writable directory");
    let mut command = program();
    command
        .arg("host")
        .args([&place.script(), &other])
        .arg("--dir")
        .arg(place.data())
        .args(["--fuel", "1000000000"]);
    let host = Host::start(&mut command);
    let workers = workers_of(host.id());
    assert_eq!(workers.len(), 2);
    run(async {
        let url = |index: usize| host.announced[index]["url"].as_str().expect("a URL");
        let (spinning, counting) = (Client::connect(url(0), None).await, Client::connect(url(1), None).await);
        let killed = killed_in_call(&host, 2);
        let spin = spinning.error("spin", json!([]));
        let count = async {
            for n in 1..=20 {
                assert_eq!(counting.call("increment", json!([])).await, json!(n));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert_eq!(tokio::join!(spin, count).0.0, "Fault");
        killed.join().expect("no panic");
        assert_eq!(spinning.call("f", json!([])).await, json!(1));
        assert_eq!(counting.call("increment", json!([])).await, json!(21));
    });
    assert!(host.terminate().success());
}

fn only_worker_of(host: &Host) -> u32 {
    match workers_of(host.id()).as_slice() {
        [worker] => *worker,
        workers => panic!("{workers:?}"),
    }
}

/// Kills the busiest worker of a host as often as that, each time when it has computed for a while.
fn killed_in_call(host: &Host, times: u32) -> std::thread::JoinHandle<()> {
    let host = host.id();
    std::thread::spawn(move || {
        for _ in 0..times {
            let busy = loop {
                std::thread::sleep(Duration::from_millis(5));
                if let Some(busy) = workers_of(host).into_iter().find(|worker| ticks(*worker) >= 15) {
                    break busy;
                }
            };
            signal(busy, "KILL");
        }
    })
}

/// Time that a process has computed, in hundredths of a second.
fn ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().nth(11).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The workers among the children of a process.
fn workers_of(parent: u32) -> Vec<u32> {
    let children = children(parent).into_iter();
    children.filter(|(_, arguments)| arguments.contains("__worker")).map(|(id, _)| id).collect()
}

/// Whether a process runs; one that has ended and was not waited for does not.
fn is_alive(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

/// Calls per second in a process and on a thread, with 16 and 128 calls in flight:
/// `cargo test --release -- --ignored --nocapture calls_per_second`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "the report is what it is for")]
fn calls_per_second() {
    let mut report = serde_json::Map::new();
    for (name, sandbox) in [("thread", Sandbox::Off), ("process", Sandbox::Process)] {
        for in_flight in [1, 16, 128] {
            let mut rates: Vec<u64> = (0..5).map(|_| rate(sandbox, in_flight)).collect();
            rates.sort_unstable();
            report.insert(format!("{name}{in_flight}"), json!(rates[2]));
        }
    }
    println!("{}", json!(report));
}

fn rate(sandbox: Sandbox, in_flight: usize) -> u64 {
    let mut worker = start(sandbox, Limits::default());
    load(&mut worker, "let n = 0; exports.increment = () => ++n").expect("a good script");
    let calls: usize = if in_flight == 1 { 20_000 } else { 100_000 };
    let begin = Instant::now();
    for sent in 0..calls + in_flight {
        if sent >= in_flight {
            assert!(matches!(worker.receive(), Ok(Report::Done(_))));
        }
        if sent < calls {
            worker.send(call("increment", "[]")).expect("it runs");
        }
    }
    (calls as f64 / begin.elapsed().as_secs_f64()) as u64
}
