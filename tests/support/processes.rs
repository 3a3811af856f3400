//! A test takes what it has started with it, however it ends.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Process, TestService, text};

/// How the process of a test is to end, and where it writes whom it has started.
const ENDING: &str = "VMS_TEST_ENDING";
const REPORT: &str = "VMS_TEST_REPORT";
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn no_process_outlives_the_test_that_started_it() {
    for ending in ["panic", "exit", "abort", "killed"] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let report = directory.path().join("report");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "support::processes::a_test_that_ends_in_some_way", "--ignored"]);
        command.env(ENDING, ending).env(REPORT, &report);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut test = Process::start(&mut command).expect("it starts");
        let started = until(|| std::fs::read_to_string(&report).ok().filter(|said| said.ends_with('\n')));
        if ending == "killed" {
            test.kill().expect("it runs");
        }
        let output = test.wait_with_output().expect("it ends");
        assert!(!output.status.success(), "{ending}: {}", text(&output.stdout));
        let ids: Vec<u32> = started.split_whitespace().map(|id| id.parse().expect("an id")).collect();
        assert_eq!(ids.len(), 2, "{started}");
        for id in ids {
            until(|| (!is_alive(id)).then_some(()));
        }
    }
}

#[test]
#[ignore = "a part of the test above"]
fn a_test_that_ends_in_some_way() {
    let (Ok(ending), Ok(report)) = (std::env::var(ENDING), std::env::var(REPORT)) else { return };
    let place = TestService::of_example("counter.js");
    let host = place.host();
    // A test's thread ends before what it has started may have to.
    let start = || Process::start(Command::new("sleep").arg("1000").stdin(Stdio::null()));
    let sleep = std::thread::spawn(start).join().expect("no panic").expect("sleep is there");
    assert!(is_alive(sleep.id()) && is_alive(host.id()));
    let unfinished = Path::new(&report).with_extension("new");
    std::fs::write(&unfinished, format!("{} {}\n", host.id(), sleep.id())).expect("a writable directory");
    std::fs::rename(unfinished, &report).expect("a writable directory");
    match ending.as_str() {
        "panic" => panic!("as a test does that fails"),
        #[expect(clippy::exit, reason = "what is tested")]
        "exit" => std::process::exit(1),
        "abort" => std::process::abort(),
        _ => std::thread::sleep(2 * PATIENCE),
    }
}

/// What is there sooner or later.
fn until<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "it takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process runs; one that has ended and was not waited for does not.
fn is_alive(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}
