//! Programs as oracles: what good ones answer, what bad ones do, and that nothing of them is left.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Host, TestService, run};

const SCRIPT: &str = "
    exports.ask = async (name, ...args) => {
        try { return await System.oracle(name, ...args) } catch (error) { return [error.name, error.code, error.message] }
    }
    exports.many = (name, count) => Promise.all(Array.from({ length: count }, (_, at) => exports.ask(name, at)))
    exports.race = async (name) => { System.oracle(name); return 'gone on' }";

/// A service with programs, each a script of the shell.
struct Programs {
    place: TestService,
    options: Vec<String>,
}

impl Programs {
    fn new(programs: &[(&str, &str)]) -> Self {
        let place = TestService::new(SCRIPT);
        let option = |(name, code): &(&str, &str)| {
            let path = place.script().with_file_name(format!("{name}.sh"));
            std::fs::write(&path, format!("#!/bin/sh\n{code}\n")).expect("writable");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("ours");
            ["--oracle".to_owned(), format!("{name}={}", path.display())]
        };
        let options = programs.iter().flat_map(option).collect();
        Self { place, options }
    }

    fn host(&self, more: &[&str]) -> Host {
        let options = self.options.iter().map(String::as_str).chain(more.iter().copied());
        self.place.host_with(&options.collect::<Vec<_>>())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.script().with_file_name(name)
    }
}

/// Whether a process runs with these words in its command line.
fn is_running(words: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
    let mut lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).replace('\0', " ").trim() == words)
}

/// Waits until a process with these words is gone: a process that was killed is there for a moment.
fn assert_gone(words: &str) {
    let begin = Instant::now();
    while is_running(words) {
        assert!(begin.elapsed() < Duration::from_secs(10), "{words} is left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_program_gets_the_arguments_and_its_output_is_the_answer() {
    let programs = Programs::new(&[
        ("echo", "cat"),
        ("deaf", "echo '{\"a\": [1.50, \"x\"]}'"),
        ("talks", "yes complains | head -c 300000 >&2; echo 1"),
    ]);
    run(async {
        let host = programs.host(&[]);
        let client = host.client().await;
        let args = json!([1, "two", { "three": [null, 0.5] }]);
        assert_eq!(client.call("ask", json!(["echo", 1, "two", { "three": [null, 0.5] }])).await, args);
        // It need not read its question, however long.
        let long = "x".repeat(900_000);
        assert_eq!(client.call("ask", json!(["deaf", long])).await, json!({ "a": [1.5, "x"] }));
        assert_eq!(client.call("ask", json!(["talks"])).await, json!(1));
        let many: Vec<Value> = (0..20).map(|at| json!([at])).collect();
        assert_eq!(client.call("many", json!(["echo", 20])).await, json!(many));
        assert!(host.terminate().success());
    });
    let log = programs.place.log();
    assert_eq!(log[0]["oracles"], json!(["deaf", "echo", "talks"]), "{}", log[0]);
    assert_eq!(log[1]["oracles"][0]["res"], json!([1, "two", { "three": [null, 0.5] }]), "{}", log[1]);
    assert_eq!(log[1]["oracles"][0]["ask"].as_str().map(str::len), Some(32));
    programs.place.assert_agrees();
}

#[test]
fn a_program_that_misbehaves_is_an_error_and_is_gone() {
    let programs = Programs::new(&[
        ("hangs", "exec sleep 7301"),
        ("floods", "exec yes 7302"),
        ("floods-on", "trap '' PIPE; yes 7303; sleep 7304"),
        ("dies", "exit 3"),
        ("is-killed", "kill -9 $$"),
        ("garbage", "echo '{1'"),
        ("bytes", "printf '\"\\377\"'"),
        ("nothing", "true"),
        ("large", "printf '\"'; head -c 1100000 /dev/zero | tr '\\0' x; printf '\"'"),
        ("deep", "printf '[%.0s' $(seq 200); printf ']%.0s' $(seq 200)"),
    ]);
    run(async {
        let host = programs.host(&["--oracle", "missing=/nowhere/at/all", "--oracle-time", "2"]);
        let client = host.client().await;
        for (name, code, message) in [
            ("hangs", "timeout", "no answer within 2 s"),
            ("floods", "too-large", "the program writes too much"),
            ("floods-on", "too-large", "the program writes too much"),
            ("dies", "failed", "the program ended with exit status: 3"),
            ("is-killed", "failed", "the program ended with signal: 9 (SIGKILL)"),
            ("garbage", "failed", "the program's output is not JSON data"),
            ("bytes", "failed", "the program's output is not UTF-8"),
            ("nothing", "failed", "the program's output is not JSON data"),
            ("large", "too-large", "the answer has 1100005 bytes; an answer has at most 1048576"),
            ("deep", "failed", "the program's output is not JSON data"),
            ("missing", "failed", "the program does not run"),
            ("other", "unknown", "this service has no oracle `other`"),
        ] {
            let found = client.call("ask", json!([name])).await;
            assert_eq!((&found[0], &found[1]), (&json!("OracleError"), &json!(code)), "{name}: {found}");
            assert!(found[2].as_str().is_some_and(|found| found.starts_with(message)), "{name}: {found}");
        }
        for words in ["sleep 7301", "yes 7302", "yes 7303", "sleep 7304"] {
            assert_gone(words);
        }
        // What nobody waits for is given up when the call ends, and not at its time limit.
        assert_eq!(client.call("race", json!(["hangs"])).await, json!("gone on"));
        assert_gone("sleep 7301");
        assert!(host.terminate().success());
    });
    let log = programs.place.log();
    let last = log.last().expect("an entry");
    assert_eq!(last["oracles"][0]["err"]["code"], json!("cancelled"), "{last}");
    programs.place.assert_agrees();
}

#[test]
fn a_program_that_forks_leaves_nothing_behind() {
    let programs = Programs::new(&[
        ("forks", "sleep 7305 & echo 1"),
        ("hides", "setsid sleep 3 & sleep 0.2; echo 2"),
        ("bombs", "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 7306 & done; exec sleep 7307"),
    ]);
    run(async {
        let host = programs.host(&["--oracle-time", "2"]);
        let client = host.client().await;
        assert_eq!(client.call("ask", json!(["forks"])).await, json!(1));
        // Out of its group, with our pipe: the answer is there, and nobody waits for the rest.
        assert_eq!(client.call("ask", json!(["hides"])).await, json!(2));
        assert_eq!(client.call("ask", json!(["bombs"])).await[1], json!("timeout"));
        for words in ["sleep 7305", "sleep 7306", "sleep 7307"] {
            assert_gone(words);
        }
        assert!(host.terminate().success());
    });
    programs.place.assert_agrees();
}

#[test]
fn a_call_waits_for_its_answers_no_longer_than_its_limit() {
    let programs = Programs::new(&[("hangs", "exec sleep 7308"), ("echo", "cat")]);
    run(async {
        let host = programs.host(&["--oracle-call-time", "1", "--oracles-at-once", "2"]);
        let client = host.client().await;
        let found = client.call("many", json!(["hangs", 10])).await;
        let codes: Vec<&Value> = found.as_array().expect("ten").iter().map(|error| &error[1]).collect();
        assert_eq!(codes, [&json!("timeout"); 10]);
        assert_gone("sleep 7308");
        assert_eq!(client.call("ask", json!(["echo"])).await, json!([]));
        // One more than a call may ask.
        let found = client.call("many", json!(["echo", 65])).await;
        assert_eq!((&found[63], &found[64][1]), (&json!([63]), &json!("too-large")));
        assert!(host.terminate().success());
    });
    programs.place.assert_agrees();
}

/// The question was asked, the call never was: whoever is asked must know it by the id that the script passes on.
#[test]
fn a_host_that_is_killed_while_it_waits_has_not_executed_the_call() {
    let code = "cat >> \"$(dirname \"$0\")/asked\"; [ -e \"$(dirname \"$0\")/go\" ] || sleep 7309; echo 1";
    let programs = Programs::new(&[("blocks", code)]);
    let asked = || std::fs::read_to_string(programs.file("asked")).unwrap_or_default();
    run(async {
        let host = programs.host(&[]);
        let client = host.client().await;
        let call = client.try_call("ask", json!(["blocks", "first"]));
        let waits = async {
            while asked().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            host.kill();
        };
        let (answer, ()) = tokio::join!(call, waits);
        assert!(answer.is_err(), "{answer:?}");
        std::fs::write(programs.file("go"), "").expect("writable");
        let host = programs.host(&[]);
        assert_eq!(host.client().await.call("ask", json!(["blocks", "second"])).await, json!(1));
        assert!(host.terminate().success());
    });
    assert_eq!(asked(), "[\"first\"][\"second\"]");
    assert_eq!(programs.place.log().len(), 2);
    programs.place.assert_agrees();
    // No group outlives its program's host for ever, but this one had no host to end it.
    let processes = std::fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
    for process in processes {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).replace('\0', " ").trim() == "sleep 7309" {
            let id = process.file_name().to_string_lossy().parse().expect("a process");
            crate::support::signal(id, "KILL");
        }
    }
}

#[test]
fn a_service_keeps_the_names_of_its_oracles() {
    let programs = Programs::new(&[("echo", "cat")]);
    assert!(programs.host(&[]).terminate().success());
    for (options, said, hint) in [
        (vec![], "asks the oracle `echo`, and this host has none", "give --oracle echo=PROGRAM"),
        (
            vec!["--oracle", "echo=cat", "--oracle", "random"],
            "--oracle random does not apply",
            "leave it out",
        ),
        (vec!["--oracle", "echo=cat", "--oracle-private"], "--oracle-private does not apply", "fetch=URL"),
        (vec!["--oracle", "echo=cat", "--oracle", "echo=cat"], "--oracle echo was given twice", ""),
    ] {
        let mut command = crate::support::program();
        command
            .arg("host")
            .arg(programs.place.script())
            .arg("--dir")
            .arg(programs.place.data())
            .args(&options);
        let Err(stderr) = Host::try_start(&mut command) else { panic!("{options:?}: it started") };
        assert!(stderr.contains(said) && stderr.contains(hint), "{options:?}: {stderr}");
    }
    let host = programs.place.host_with(&["--oracle", "echo=cat"]);
    assert!(host.terminate().success());
}
