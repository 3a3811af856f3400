//! What people are told: what is wrong, once, with its reason; and nothing is left of what failed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Host, Process, TestService, example, program, run, text, vms};

const KEY: &str = "8a936455602e02758c8c7c30ccb60a02345166c3a57a4512e11d59f652d67b99";

/// Runs `vms` with a standard input.
fn vms_with(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = program();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::start(&mut command).expect("vms starts");
    // It may end before it has read everything.
    let _refused = process.stdin.take().expect("a pipe").write_all(input);
    process.wait_with_output().expect("it ends")
}

/// Asserts that a command fails with this code, says this, and says nothing twice.
fn says(arguments: &[&str], code: i32, what: &str) {
    let output = vms(arguments);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let said = format!("{stdout}{stderr}");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(what), "{arguments:?}: {what}: {said}");
    assert!(said.matches("os error").count() <= 1, "{arguments:?}: {said}");
    let first = said.lines().next().unwrap_or_default();
    let mut parts: Vec<&str> = first.split(": ").collect();
    parts.sort_unstable();
    let count = parts.len();
    parts.dedup();
    assert_eq!(parts.len(), count, "{arguments:?} says something twice: {said}");
}

#[test]
fn long_arguments_come_from_files_and_from_standard_input() {
    let place =
        TestService::new("exports.f = (...args) => args.map((arg) => [typeof arg, arg.length ?? arg])");
    let file = |name: &str, content: &[u8]| {
        let path = place.data().with_file_name(name);
        fs::write(&path, content).expect("writable");
        format!("@{}", path.display())
    };
    let host = place.host();
    let url = host.url();
    let long = "x".repeat(500_000);
    let (json, plain, quoted) = (
        file("a.json", b"{\"length\": 7}\n"),
        file("a.txt", b"hello\n"),
        file("long", format!("\"{long}\"").as_bytes()),
    );
    let output = vms(["call", url, "f", &json, &plain, &quoted, "@@x", "@", "\"-\"", "\"@x\""]);
    assert_eq!(
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON"),
        json!([
            ["object", 7],
            ["string", 6],
            ["string", 500_000],
            ["string", 2],
            ["string", 1],
            ["string", 1],
            ["string", 2]
        ])
    );
    for (input, expected) in
        [("41", json!(["number", 41])), ("a b", json!(["string", 3])), ("", json!(["string", 0]))]
    {
        let output = vms_with(&["call", url, "f", "-"], input.as_bytes());
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).expect("JSON"), json!([expected]));
    }
    let output = vms_with(&["call", url, "f", "1", "-", "2"], long.as_bytes());
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(result, json!([["number", 1], ["string", 500_000], ["number", 2]]));
    let too_long = file("too-long", &vec![b'x'; (1 << 20) + 1]);
    let binary = file("binary", b"\xff\xfe");
    let here = format!("@{}", place.data().display());
    let calls = place.log().len();
    for (argument, code, why) in [
        (too_long.as_str(), 2, "more than 1048576 bytes"),
        (&binary, 2, "is not UTF-8 text"),
        (&here, 2, "Is a directory"),
        ("@none", 2, "cannot read none: No such file or directory"),
        ("@/dev/zero", 2, "more than 1048576 bytes"),
    ] {
        says(&["call", url, "f", argument], code, why);
    }
    says(&["call", url, "f", "-", "-"], 2, "`-` stands twice");
    says(&["call", url, "f", "@none"], 2, "hint: `@none` is the content of a file; write `@@none`");
    let endless = vms_with(&["call", url, "f", "-"], &vec![b'x'; 3 << 20]);
    assert!(text(&endless.stderr).contains("standard input has more than"), "{endless:?}");
    assert_eq!(place.log().len(), calls, "nothing of it was called");
}

#[test]
fn long_values_of_a_log_are_cut_unless_all_is_wanted() {
    let place =
        TestService::new("exports.f = (...args) => args[0]; exports.g = (x) => { throw new Error(x) }");
    let long = "é".repeat(5_000);
    run(async {
        let host = place.host();
        let client = host.client_of(&"u".repeat(1_000)).await;
        client.call("f", json!([long])).await;
        client.error("g", json!([long])).await;
        client.call("f", json!((0..25).collect::<Vec<_>>())).await;
        client.call("f", json!(["it's \"so\" \\ there"])).await;
        assert!(host.terminate().success());
    });
    let data = place.data().display().to_string();
    let shown = |arguments: &[&str]| {
        let output = vms([&["log", data.as_str()], arguments].concat());
        text(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = shown(&[]);
    assert!(lines.iter().all(|line| line.chars().count() < 1_000), "{lines:?}");
    assert!(lines[1].contains("éé… (10002 bytes)) -> \"éé"), "{}", lines[1]);
    assert!(
        lines[1].ends_with("é… (10002 bytes)") && lines[1].contains("uu… (1000 bytes) f("),
        "{}",
        lines[1]
    );
    assert!(lines[2].ends_with("é… (10000 bytes)"), "{}", lines[2]);
    assert!(lines[3].contains(", 19, … (25 arguments)) -> 0"), "{}", lines[3]);
    assert!(lines[4].ends_with(r#"f("it's \"so\" \\ there") -> "it's \"so\" \\ there""#), "{}", lines[4]);
    let full = shown(&["--full"]);
    assert!(full[1].contains(&format!("f(\"{long}\") -> \"{long}\"")) && full[3].contains("23, 24) -> 0"));
    assert!(full[2].ends_with(&format!("threw Error: {long}")));
    let json: Value = serde_json::from_str(&shown(&["--json"])[1]).expect("an object");
    assert_eq!(json["args"], json!([long]));
}

#[test]
fn the_help_calls_methods_that_the_examples_have() {
    let place = TestService::of_example("counter.js");
    let host = place.host();
    let methods = host.announced[0]["methods"].as_array().expect("a list").clone();
    let help = vms(["--help"]);
    let called = |help: &str| {
        let calls = help.lines().filter_map(|line| line.split_once("vms call ws://127.0.0.1:5555/ "));
        calls.map(|(_, call)| call.split(' ').next().expect("a method").to_owned()).collect::<Vec<_>>()
    };
    let shown = called(text(&help.stdout));
    assert!(!shown.is_empty() && shown.iter().all(|method| methods.contains(&json!(method))), "{shown:?}");
    let sources: String = fs::read_dir(example(""))
        .expect("examples")
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .collect();
    for method in called(text(&vms(["call", "--help"]).stdout)) {
        assert!(sources.contains(&format!("exports.{method} =")), "{method}");
    }
}

#[test]
fn errors_of_the_system_are_said_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (none, file, folder) = (path("none"), path("file"), path("folder"));
    fs::write(&file, "exports.f = () => 1").expect("writable");
    fs::create_dir(&folder).expect("writable");
    let busy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let busy = busy.local_addr().expect("an address").to_string();
    let port = busy.rsplit(':').next().expect("a port");
    let data = path("data");
    for (arguments, code, what) in [
        (&["host", &none][..], 2, "cannot read "),
        (&["host", &folder], 2, "Is a directory"),
        (&["host", &file, "--dir", &file], 2, "file"),
        (&["host", &file, "--dir", &format!("{file}/below")], 2, "Not a directory"),
        (&["host", &file, "--dir", &data, "--port", port], 2, "cannot listen on 127.0.0.1:"),
        (&["host", &file, "--dir", &data, "--listen", &busy], 2, "Address already in use"),
        (
            &["host", &file, "--dir", &data, "--port", "0", "--peer-listen", &busy],
            2,
            "Address already in use",
        ),
        (&["host", "--dir", &none], 2, "holds no service"),
        (&["host", "--dir", &file], 2, "file"),
        (&["log", &none], 2, "there is no directory "),
        (&["log", &file], 2, "is not a directory"),
        (&["log", &folder], 2, "there is no core at "),
        (&["files", "ls", &none], 2, "there is no directory "),
        (&["files", "cat", &file, "/x"], 2, "is not a directory"),
        (&["files", "export", &none, &data], 2, "there is no directory "),
        (&["verify", &none], 3, "cannot verify: there is no directory "),
        (&["verify", &file], 3, "is not a directory"),
        (&["verify", &folder], 3, "there is no core at "),
        (&["call", "ws://127.0.0.1:1/", "f"], 3, "cannot connect to 127.0.0.1:1: Connection refused"),
        (&["repl", "ws://127.0.0.1:1/"], 3, "Connection refused"),
        (&["verify", "ws://127.0.0.1:1/"], 3, "cannot verify: cannot connect to 127.0.0.1:1"),
        (&["keygen", &file], 2, "File exists"),
        (&["keygen", &format!("{none}/key")], 2, "No such file"),
        (&["keygen", &folder], 2, "folder"),
        (&["bootstrap", "--listen", "192.0.2.1:1"], 2, "192.0.2.1"),
    ] {
        says(arguments, code, what);
    }
    assert!(!directory.path().join("data").exists() && !directory.path().join("none").exists());
}

#[test]
fn a_failed_deployment_leaves_nothing() {
    let place = TestService::new("exports.f = () => 1");
    let (script, data) = (place.script().display().to_string(), place.data().join("a/b"));
    let data = data.display().to_string();
    let title = "x".repeat(100_000);
    let busy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = busy.local_addr().expect("an address").port().to_string();
    for (source, more, why) in [
        ("throw new Error('no')", &[][..], "Error: no"),
        ("exports.f = (", &[], "SyntaxError"),
        ("exports.init = () => { throw new TypeError('never') }", &[], "TypeError: never"),
        ("exports.init = () => { for (;;) {} }", &[], "more steps"),
        (
            "exports.init = () => System.files.writeFile('/a', 'x').then(() => { throw new Error('late') })",
            &[],
            "late",
        ),
        ("exports.f = () => 1", &["--title", &title], ""),
        ("exports.f = () => 1", &["--allow-origin", "example.com"], "begins with its scheme"),
    ] {
        fs::write(&script, source).expect("writable");
        let output = vms([&["host", &script, "--dir", &data, "--port", "0"][..], more].concat());
        assert_eq!(output.status.code(), Some(2), "{source} {more:?}");
        assert!(text(&output.stderr).contains(why), "{source}: {}", text(&output.stderr));
        assert!(!place.data().exists(), "{source} {more:?}");
    }
    let output = vms(["host", &script, "--dir", &data, "--port", &port]);
    assert!(text(&output.stderr).contains("cannot listen"), "{}", text(&output.stderr));
    assert!(!place.data().exists());
    // A directory that was there stays, with all that is in it.
    fs::create_dir_all(&data).expect("writable");
    fs::write(format!("{data}/mine"), "x").expect("writable");
    fs::write(&script, "throw 1").expect("writable");
    assert_eq!(vms(["host", &script, "--dir", &data, "--port", "0"]).status.code(), Some(2));
    let left: Vec<_> =
        fs::read_dir(&data).expect("there").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(left, ["mine"]);
}

#[test]
fn with_nobody_to_ask_that_is_said_at_once() {
    let begun = Instant::now();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let to = directory.path().join("to").display().to_string();
    let key = format!("hyper://{KEY}");
    for arguments in [
        &["verify", KEY, "--no-swarm"][..],
        &["verify", &key, "--no-swarm"],
        &["log", &key, "--no-swarm"],
        &["files", "ls", &key, "--no-swarm"],
        &["files", "cat", &key, "/x", "--no-swarm"],
        &["files", "export", &key, &to, "--no-swarm"],
    ] {
        says(arguments, 3, "no peer can be asked for ");
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let output = vms(["verify", KEY, "--no-swarm", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("an object");
    assert_eq!(report["verdict"], "cannot-verify");
    assert!(report["why"].as_str().expect("a reason").contains("--peer"), "{report}");
}

#[test]
fn a_url_that_cannot_be_read_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let dir = directory.path().join("dir").display().to_string();
    for (url, why) in [
        ("ws://127.0.0.1:99999/", "`99999` is not a port"),
        ("ws://127.0.0.1:abc/", "`abc` is not a port"),
        ("ws://127.0.0.1:/", "`` is not a port"),
        ("http://127.0.0.1:5555/?x", "must begin with ws://"),
        ("wss://127.0.0.1/", "wss:// is not spoken here"),
        ("ws://127.0.0.1:5555/a b", "must be written as an escape, as `%20`"),
        ("ws://127.0.0.1:5555/%zz", "two hexadecimal digits"),
        ("ws://bob@127.0.0.1:5555/", "names a user"),
        ("ws://[::1/", "is not the name or the address of a host"),
        ("ws://127.0.0.256/", "is not the name or the address of a host"),
        ("ws:///x", "it names no host"),
    ] {
        for arguments in [
            &["call", url, "f"][..],
            &["repl", url],
            &["log", url],
            &["files", "ls", url],
            &["watch", url, "--dir", &dir],
            &["replicate", url, "--dir", &dir],
        ] {
            says(arguments, 2, why);
        }
        says(&["verify", url], 3, why);
    }
    for key in ["hyper://", "hyper://abc", &format!("hyper://{}", &KEY[1..]), &format!("dat://{KEY}0")] {
        says(&["verify", key], 3, "expected 64 hexadecimal digits");
        says(&["log", key], 2, "expected 64 hexadecimal digits");
        says(&["watch", key, "--dir", &dir], 2, "expected 64 hexadecimal digits");
    }
    assert!(!directory.path().join("dir").exists());
}

#[test]
fn a_script_with_a_name_that_needs_escapes_is_served() {
    let place = TestService::new("");
    let scripts = ["my script.js", "b.js"].map(|name| place.script().with_file_name(name));
    scripts.iter().for_each(|script| fs::write(script, "exports.f = () => 7").expect("writable"));
    let mut command = program();
    let host = Host::start(command.arg("host").args(&scripts).arg("--dir").arg(place.data()));
    let url = host.announced[0]["url"].as_str().expect("a URL");
    assert!(url.ends_with("/my%20script"), "{url}");
    assert_eq!(text(&vms(["call", url, "f"]).stdout), "7\n");
}

#[test]
fn an_origin_that_no_page_has_is_refused_at_the_start() {
    let place = TestService::new("exports.f = () => 1");
    let (script, data) = (place.script().display().to_string(), place.data().display().to_string());
    for (origin, why) in [
        ("https://example.com/app", "leave out `/app`"),
        ("example.com", "begins with its scheme"),
        ("localhost:3000", "begins with its scheme"),
        ("https://*.example.com", "only alone"),
        ("https://a.example,https://b.example", "repeat the option"),
        ("https://example.com:0", "is not a port"),
        ("ws://example.com", "http:// or https://"),
        ("file:///tmp/page.html", "`null`"),
        ("https://bücher.example", "xn--"),
    ] {
        let output = vms(["host", &script, "--dir", &data, "--port", "0", "--allow-origin", origin]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{origin}");
        assert!(stderr.contains(why) && stderr.contains("--allow-origin"), "{origin}: {stderr}");
        assert!(!place.data().exists(), "{origin}");
    }
}

#[test]
fn the_operator_hears_of_each_refused_origin_once() {
    let place = TestService::new("exports.f = () => 1");
    let mut command = program();
    command.arg("host").arg(place.script()).arg("--dir").arg(place.data());
    command.args(["--port", "0", "--json", "--allow-origin", "HTTPS://Example.com:443/"]);
    let mut process =
        Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped())).expect("vms starts");
    let mut line = String::new();
    BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("it announces itself");
    let announced: Value = serde_json::from_str(&line).expect("an object");
    let address = announced["url"].as_str().expect("a URL").replace("ws://", "").replace('/', "");
    let status = |origin: &str| {
        let mut stream = std::net::TcpStream::connect(&address).expect("it listens");
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer.split(' ').nth(1).expect("a status").to_owned()
    };
    assert_eq!(status("https://example.com"), "200");
    for _ in 0..3 {
        for origin in
            ["https://other.example", "http://example.com", "http://localhost:3000", "null", "nonsense"]
        {
            assert_eq!(status(origin), "403", "{origin}");
        }
    }
    for number in 0..100 {
        assert_eq!(status(&format!("https://{number}.example")), "403");
    }
    process.kill().expect("it runs");
    let stderr = process.wait_with_output().expect("it ends").stderr;
    let told = |origin: &str| text(&stderr).matches(&format!("--allow-origin {origin} ")).count();
    for origin in ["https://other.example", "http://example.com", "http://localhost:3000"] {
        assert_eq!(told(origin), 1, "{origin}: {}", text(&stderr));
    }
    assert_eq!(told("nonsense"), 0);
    assert!(text(&stderr).lines().count() < 50, "{}", text(&stderr));
}
