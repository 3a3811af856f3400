//! The command line as people and programs meet it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Host, Process, TestService, VMS, example, program, run, signal, text, vms};

/// Arguments of a command, its exit code, and what stdout and stderr must hold.
fn ends(arguments: &[&str], code: i32, stdout: &str, stderr: &str) {
    let output = vms(arguments);
    let found = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {found:?}");
    assert!(found.0.contains(stdout) && found.1.contains(stderr), "{arguments:?}: {found:?}");
}

#[test]
fn help_says_what_each_command_does() {
    let mut helps = String::new();
    for command in [
        "",
        "host",
        "call",
        "repl",
        "verify",
        "watch",
        "replicate",
        "bootstrap",
        "log",
        "files",
        "files ls",
        "files cat",
        "files export",
        "proof",
        "proof show",
        "proof check",
        "proof make",
        "proof make call",
        "proof make fork",
        "keygen",
        "completions",
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let output = vms(&arguments);
        assert!(output.status.success(), "{command}");
        helps += &format!("$ vms {}\n{}\n", arguments.join(" "), text(&output.stdout));
    }
    insta::assert_snapshot!(helps);
}

#[test]
fn exit_codes_tell_apart_what_happened() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let none = directory.path().join("none").display().to_string();
    ends(&["verify"], 2, "", "<DIR|URL|KEY>");
    ends(&["verify", "ws://127.0.0.1:1/"], 3, "cannot verify", "");
    ends(&["verify", &none], 3, "cannot verify: there is no directory", "");
    ends(&["log", &none], 2, "", &none);
    ends(&["files", "ls", &none], 2, "", &none);
    ends(&["host", &none], 2, "", &none);
    ends(&["host", "--dir", &none], 2, "", "holds no service");
    ends(&["call", "ws://127.0.0.1:1/", "x"], 3, "", "127.0.0.1:1");
    ends(&["call", "gopher://x/", "x"], 2, "", "gopher");
    ends(&["keygen", "/dev/null"], 2, "", "/dev/null");
    ends(&["--version"], 0, env!("CARGO_PKG_VERSION"), "");
}

#[test]
fn calls_print_json_and_fail_with_one() {
    let place =
        TestService::new("exports.f = (...args) => args; exports.g = () => { throw new RangeError('far') }");
    let host = place.host();
    let url = host.url();
    ends(
        &["call", url, "f", "1", "\"a\"", "plain", "{\"b\":[null]}", "-2"],
        0,
        "[1,\"a\",\"plain\",{\"b\":[null]},-2]\n",
        "",
    );
    ends(&["call", url, "g"], 1, "", "error: RangeError: far\n");
    ends(&["call", url, "nothing"], 1, "", "Method not found");
    let output = vms(["call", url, "g", "--json"]);
    let error: Value = serde_json::from_slice(&output.stderr).expect("an object");
    assert_eq!((&error["event"], &error["name"]), (&json!("error"), &json!("RangeError")));
}

#[test]
fn a_broken_script_leaves_nothing_behind_and_says_where_it_breaks() {
    let place = TestService::new("let a = 1\nthrow new TypeError('here')");
    let stderr = refused(&place);
    assert!(stderr.contains("TypeError: here") && stderr.contains("script.js:2:"), "{stderr}");
    for (script, why) in [
        ("exports.init = () => { throw new Error('no') }", "init failed: Error: no"),
        ("exports.init = () => { for (;;) {} }", "more steps"),
    ] {
        fs::write(place.script(), script).expect("writable");
        assert!(refused(&place).contains(why), "{script}");
    }
    assert!(!place.data().exists(), "a failed deployment leaves nothing");
    fs::write(place.script(), "exports.f = () => 1").expect("writable");
    assert_eq!(place.host().announced[0]["methods"], json!(["f"]));
}

/// What a host says that does not start.
fn refused(place: &TestService) -> String {
    let mut command = program();
    match Host::try_start(command.arg("host").arg(place.script()).arg("--dir").arg(place.data())) {
        Ok(_) => panic!("the host has started"),
        Err(stderr) => stderr,
    }
}

#[test]
fn a_changed_script_is_another_service() {
    let place = TestService::new("exports.f = () => 1");
    assert!(place.host().terminate().success());
    fs::write(place.script(), "exports.f = () => 2").expect("writable");
    assert!(refused(&place).contains("not the script that was deployed"));
    place.assert_agrees();
}

#[test]
fn a_directory_alone_goes_on_with_its_service() {
    let place = TestService::of_example("counter.js");
    run(async {
        let host = place.host();
        host.client().await.call("increment", json!([])).await;
        assert!(host.terminate().success());
        let host = Host::start(program().arg("host").arg("--dir").arg(place.data()));
        assert_eq!(host.client().await.call("increment", json!([])).await, json!(2));
    });
}

#[test]
fn the_log_is_shown_for_people_and_for_programs() {
    let place =
        TestService::new("exports.f = (x) => x; exports.g = () => { throw new Error('no\\u001b[31m') }");
    run(async {
        let host = place.host();
        let client = host.client_of("bob\u{1b}").await;
        client.call("f", json!([[1.5, "a\nb"]])).await;
        client.error("g", json!([])).await;
        assert!(host.terminate().success());
    });
    let output = vms(["log".as_ref(), place.data().as_os_str()]);
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines.len(), 3, "one line each, whatever a caller sent: {lines:?}");
    assert!(lines[1].ends_with("bob\\u{1b} f([1.5,\"a\\nb\"]) -> [1.5,\"a\\nb\"]"), "{}", lines[1]);
    assert!(lines[2].ends_with("threw Error: no\\u{1b}[31m"), "{}", lines[2]);
    let last =
        vms(["log".as_ref(), place.data().as_os_str(), "--last".as_ref(), "1".as_ref(), "--json".as_ref()]);
    let entry: Value = serde_json::from_slice(&last.stdout).expect("one object");
    assert_eq!((&entry["block"], &entry["userId"]), (&json!(2), &json!("bob\u{1b}")));
}

#[test]
fn files_are_listed_printed_and_exported_at_any_version() {
    let place = TestService::of_example("files.js");
    run(async {
        let host = place.host();
        let client = host.client().await;
        client.call("write", json!(["/notes/a.txt", "first"])).await;
        client.call("write", json!(["/notes/a.txt", "second"])).await;
        client.call("write", json!(["/top", "x"])).await;
        assert!(host.terminate().success());
    });
    let data = place.data().display().to_string();
    ends(&["files", "ls", &data], 0, "              /notes/\n           1  /top\n", "");
    ends(
        &["files", "ls", &data, "/notes", "--json"],
        0,
        "{\"path\":\"/notes/a.txt\",\"size\":6,\"version\":3}\n",
        "",
    );
    ends(&["files", "cat", &data, "/notes/a.txt"], 0, "second", "");
    ends(&["files", "cat", &data, "/notes/a.txt", "--at", "2"], 0, "first", "");
    ends(&["files", "cat", &data, "/none"], 2, "", "no file /none");
    ends(&["files", "cat", &data, "/top", "--at", "99"], 2, "", "no version 99");
    let to = place.data().join("../export");
    let to = to.display().to_string();
    ends(&["files", "export", &data, &to], 0, "2 files, 7 bytes", "");
    assert_eq!(fs::read_to_string(Path::new(&to).join("notes/a.txt")).expect("exported"), "second");
    ends(&["files", "export", &data, &to], 2, "", "not empty");
}

#[test]
fn the_host_never_logs_what_callers_say() {
    let place = TestService::new(
        "exports.f = (secret) => secret + '-result'; exports.g = () => { throw new Error('error-text') }",
    );
    let mut command = program();
    command
        .arg("host")
        .arg(place.script())
        .arg("--dir")
        .arg(place.data())
        .args(["--port", "0", "--json", "-vvv"]);
    let mut process =
        Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped())).expect("vms starts");
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(process.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("it announces itself");
    let announced: Value = serde_json::from_str(&line).expect("an object");
    let url = announced["url"].as_str().expect("a URL");
    let called = vms(["call", url, "f", "argument-text", "--user", "user-text"]);
    assert_eq!(text(&called.stdout), "\"argument-text-result\"\n");
    vms(["call", url, "g"]);
    signal(process.id(), "TERM");
    let output = process.wait_with_output().expect("it ends");
    let log = text(&output.stderr);
    assert!(log.contains("call executed"), "the log is on: {log}");
    // What a script throws is its own word, and its operator's business.
    assert!(log.contains("error-text"), "{log}");
    for word in ["argument-text", "result\"", "user-text"] {
        assert!(!log.contains(word), "{word}: {log}");
    }
}

#[test]
fn a_full_disk_stops_the_host_and_loses_nothing() {
    let place = TestService::new("let n = 0; exports.f = (text) => ++n");
    // Files of this process may grow to 256 KiB; beyond that, writing fails as on a full disk.
    let limited = format!("trap '' XFSZ; ulimit -f 512; exec {VMS} \"$@\"");
    let acknowledged = run(async {
        let mut command = Command::new("bash");
        command.args(["-c", &limited, "vms", "host"]).arg(place.script()).arg("--dir").arg(place.data());
        let host = Host::start(&mut command);
        let client = host.client().await;
        let mut acknowledged = 0;
        while let Ok(count) = client.try_call("f", json!(["x".repeat(4000)])).await {
            acknowledged = count.as_u64().expect("a count");
        }
        let (code, stderr) = host.wait_with_stderr();
        assert_eq!(code, Some(2), "it stops on purpose, and it is no bug: {stderr}");
        assert!(stderr.contains(&place.data().join("log").display().to_string()), "{stderr}");
        acknowledged
    });
    assert!(acknowledged > 10, "{acknowledged}");
    place.assert_agrees();
    let counts: Vec<Value> = place.log().iter().skip(1).map(|entry| entry["result"]["res"].clone()).collect();
    assert!(
        counts.len() as u64 >= acknowledged && counts.iter().zip(1..).all(|(count, n)| *count == json!(n))
    );
    run(async {
        let host = place.host();
        assert_eq!(host.client().await.call("f", json!([])).await, json!(counts.len() + 1));
        assert!(host.terminate().success());
    });
}

#[test]
fn a_directory_that_cannot_be_written_is_named_and_can_still_be_audited() {
    let place = TestService::of_example("counter.js");
    assert!(place.host().terminate().success());
    // Root may write anywhere: a file in the way of the lock stops it as well.
    let lock = place.data().join("lock");
    fs::remove_file(&lock).expect("ours");
    fs::create_dir(&lock).expect("writable");
    assert!(refused(&place).contains(&lock.display().to_string()));
    place.assert_agrees();
}

#[test]
fn a_damaged_log_is_nobodys_deviation() {
    let place = TestService::of_example("counter.js");
    run(async {
        let host = place.host();
        host.client().await.call("increment", json!([])).await;
        assert!(host.terminate().success());
    });
    let data = place.data().join("log/data");
    let mut bytes = fs::read(&data).expect("a core");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&data, bytes).expect("writable");
    let (code, report) = place.verify();
    assert_eq!((code, &report["verdict"]), (3, &json!("cannot-verify")), "{report}");
    assert!(refused(&place).contains("log"));
}

#[test]
fn logs_and_files_are_shown_by_url_and_by_key() {
    let place = TestService::of_example("files.js");
    run(async {
        let host = place.host();
        let client = host.client().await;
        client.call("write", json!(["/notes/one.txt", "first"])).await;
        client.call("write", json!(["/notes/one.txt", "second"])).await;
        let announced = &host.announced[0];
        let member = |name: &str| announced[name].as_str().expect("a URL").to_owned();
        let (log, files) = (member("callLogUrl"), member("filesArchiveUrl"));
        let peer = announced["addresses"][0].as_str().expect("an address").replace("tcp://", "");
        let shown = |arguments: &[&str]| {
            let output = vms(arguments);
            assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
            text(&output.stdout).to_owned()
        };
        let own = shown(&["log", place.data().to_str().expect("UTF-8")]);
        assert_eq!(own.lines().count(), 3);
        assert_eq!(shown(&["log", host.url()]), own);
        assert_eq!(shown(&["log", &log, "--peer", &peer]), own);
        // The log leads to the archive, and the archive can be named itself.
        for target in [&log, &files] {
            let shown =
                |more: &[&str]| shown(&[&["files", more[0], target, "--peer", &peer], &more[1..]].concat());
            assert!(shown(&["ls", "/notes"]).contains("/notes/one.txt"));
            assert_eq!(shown(&["cat", "/notes/one.txt"]), "second");
            assert_eq!(shown(&["cat", "/notes/one.txt", "--at", "2"]), "first");
        }
        let exported = place.data().with_file_name("exported");
        shown(&["files", "export", host.url(), exported.to_str().expect("UTF-8")]);
        assert_eq!(fs::read(exported.join("notes/one.txt")).expect("exported"), b"second");
        // A host's archive has no log behind it.
        let output = vms(["log", &files, "--peer", &peer, "--json"]);
        assert!(text(&output.stdout).contains("error"), "{output:?}");
    });
}

#[test]
fn completions_come_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        ends(&["completions", shell], 0, "verify", "");
    }
}

#[test]
fn keys_are_made_once_and_kept_to_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("bob.key");
    let output = vms(["keygen".as_ref(), file.as_os_str()]);
    assert_eq!(text(&output.stdout).trim().len(), 64);
    assert_eq!(fs::metadata(&file).expect("made").permissions().mode() & 0o777, 0o600);
    assert_eq!(vms(["keygen".as_ref(), file.as_os_str()]).status.code(), Some(2), "never over an old key");
}

#[test]
fn the_repl_reads_calls_from_a_pipe() {
    use std::io::Write;
    let place = TestService::of_example("counter.js");
    let host = place.host();
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut command = program();
    command.args(["repl", host.url()]).env("XDG_STATE_HOME", home.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::start(&mut command).expect("vms starts");
    let lines = b"client.increment()\nincrement(41)\nclient.nothing()\nclient.get(\n\nclient.get()\n";
    process.stdin.take().expect("a pipe").write_all(lines).expect("it reads");
    let output = process.wait_with_output().expect("it ends");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let results: Vec<&str> =
        stdout.lines().map(|line| line.trim_start_matches("> ")).filter(|line| !line.is_empty()).collect();
    assert_eq!(results, ["1", "42", "42"], "{stderr}");
    assert!(stderr.contains("methods: increment, get") && stderr.contains("Method not found"), "{stderr}");
    assert!(fs::read_to_string(home.path().join("vms/history")).expect("kept").contains("increment(41)"));
}

#[test]
fn every_example_is_served() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for entry in fs::read_dir(example("")).expect("examples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "js") {
            continue;
        }
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let source = fs::read_to_string(&path).expect("text");
        // A program of Node.js, which `examples.rs` runs.
        if source.contains(&format!("//   node examples/{name}")) {
            continue;
        }
        assert!(source.contains(&format!("//   vms host examples/{name}")), "{name} says how to run it");
        let data = directory.path().join(&name).with_extension("vms");
        let host = Host::start(program().arg("host").arg(&path).arg("--dir").arg(&data));
        for line in source.lines().filter_map(|line| line.strip_prefix("//   vms call ws://127.0.0.1:5555/ "))
        {
            // The shell takes the quotes away; the address is the one that was free.
            let line = format!("{VMS} call {} {line}", host.url());
            let output = Process::output(Command::new("bash").args(["-c", &line])).expect("bash is there");
            assert!(output.status.success(), "{name}: {line}: {}", text(&output.stderr));
        }
        assert!(host.terminate().success());
        assert_eq!(crate::support::verify(&data).0, 0, "{name}");
    }
}
