//! The README does what it says: its commands run, and print what it shows.
//!
//! Addresses, keys and times differ from run to run; they are compared as `[port]`, `[key]` and `[time]`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libvms_protocol::entry::{Entry, Outcome};
use libvms_protocol::value::Value;
use serde_json::json;

use crate::honesty::tamper::rewrite;
use crate::support::{Host, Process, TestService, VMS, run, text, vms};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("the README")
}

/// The fenced blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let readme = readme();
    let mut blocks = vec![];
    let mut rest = readme.as_str();
    while let Some((_, after)) = rest.split_once(&format!("```{language}\n")) {
        let (block, after) = after.split_once("\n```").expect("each block ends");
        blocks.push(block.to_owned());
        rest = after;
    }
    blocks
}

/// Commands with what they print.
fn session(block: &str) -> Vec<(String, String)> {
    let commands = block.split("$ ").skip(1).map(|part| part.split_once('\n').unwrap_or((part, "")));
    commands.map(|(command, output)| (command.trim().to_owned(), output.trim_end().to_owned())).collect()
}

/// What differs from run to run, put away.
fn settled(output: &str, data: &Path) -> String {
    let output = output.replace(&data.display().to_string(), "counter.vms");
    let is_key = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let settle = |word: &str| {
        let bare = word.trim_start_matches("hyper://").trim_end_matches(',');
        let is_time = word.len() == 24 && word.ends_with('Z');
        match word {
            _ if is_key(bare) => word.replace(bare, "[key]"),
            _ if is_time => "[time]".to_owned(),
            _ if word.starts_with("ws://127.0.0.1:") => "ws://127.0.0.1:5555/".to_owned(),
            _ if word.starts_with("tcp://127.0.0.1:") => "tcp://127.0.0.1:[port]".to_owned(),
            _ => word.to_owned(),
        }
    };
    let line = |line: &str| line.split(' ').map(settle).collect::<Vec<_>>().join(" ");
    output.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The one command of the README that has this in it, and what it prints.
fn command_with(part: &str) -> (String, String) {
    let commands = blocks("console").iter().flat_map(|block| session(block)).collect::<Vec<_>>();
    let mut found = commands.into_iter().filter(|(command, _)| command.contains(part));
    found.next().unwrap_or_else(|| panic!("no command has {part}"))
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("bash");
    let program = Path::new(VMS).parent().expect("a directory").display().to_string();
    let path = format!("{program}:{}", std::env::var("PATH").unwrap_or_default());
    shell
        .args(["-c", command])
        .current_dir(root())
        .env("PATH", path)
        .env("VMS_NO_SWARM", "1")
        .stdin(Stdio::null());
    shell
}

/// A host that the README has started.
struct Started {
    process: Process,
    url: String,
    output: String,
}

impl Started {
    /// Runs the README's command on a free port and with a data directory of our own.
    fn by(command: &str, lines: usize, data: &Path) -> Self {
        let command = command.replace("counter.vms", &data.display().to_string());
        let mut shell = shell(&format!("{} --port 0", command.replace("&& ", "&& exec ")));
        let mut process = Process::start(shell.stdout(Stdio::piped())).expect("bash is there");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let output: Vec<String> = stdout.take(lines).map(|line| line.expect("UTF-8")).collect();
        let url = output[0].rsplit(' ').next().expect("an address").to_owned();
        Self { process, url, output: output.join("\n") }
    }
}

#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    let place = TestService::new("");
    let data = place.data();
    let (start, shown) = command_with(" host ");
    let mut host = Started::by(&start, shown.lines().count(), &data);
    assert_eq!(settled(&host.output, &data), shown);
    let calls = blocks("console").iter().map(|block| session(block)).find(|calls| calls.len() > 4);
    for (command, shown) in calls.expect("calls of the host") {
        let http = host.url.replace("ws://", "http://");
        let command =
            command.replace("ws://127.0.0.1:5555/", &host.url).replace("http://127.0.0.1:5555/", &http);
        let said = said_by(&command.replace("counter.vms", &data.display().to_string()));
        assert_eq!(settled(&said, &data), shown, "{command}");
    }
    // What Ctrl-C sends. Cargo runs the host in its own place: it gets the signal itself.
    assert!(host.process.end_by("INT").success());
    the_host_cheats(&data);
}

/// What a command prints. A machine may be without curl, whose request is then sent from here.
fn said_by(command: &str) -> String {
    if let Some(arguments) = command.strip_prefix("curl --silent --data ")
        && Command::new("curl").arg("--version").output().is_err()
    {
        let (body, url) = arguments.rsplit_once(' ').expect("a URL at the end");
        return posted(url, body.trim_matches('\''));
    }
    let output = Process::output(&mut shell(command)).expect("bash is there");
    assert!(output.status.success(), "{command}: {}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

/// The answer to the request that curl makes.
fn posted(url: &str, body: &str) -> String {
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(authority).expect("the host listens");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it answers");
    let (head, body) = response.split_once("\r\n\r\n").expect("a response");
    assert!(head.starts_with("HTTP/1.1 200 "), "{response}");
    body.to_owned()
}

/// The README's example of a verdict: another result in block 2.
fn the_host_cheats(data: &Path) {
    rewrite(&data.join("log"), |blocks| {
        let Ok(Entry::Call(mut entry)) = Entry::decode(&blocks[2]) else { panic!("a call") };
        entry.result = Outcome::Returned { value: Some(Value::Integer(7)), files: None }.into();
        blocks[2] = Entry::Call(entry).encode().expect("within the limits");
    });
    let output = vms(["verify".as_ref(), data.as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(settled(text(&output.stdout), data), blocks("text")[0]);
}

/// All commands that stand before the first section but "Start" are those of a newcomer.
#[test]
fn the_gate_runs_the_tests_as_the_readme_says() {
    let readme = readme();
    let start = readme.split("\n## ").find(|section| section.starts_with("Start\n")).expect("a section");
    let shown: Vec<&str> = start.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let output = Process::output(&mut shell(".ci/newcomer --commands")).expect("bash is there");
    assert_eq!(text(&output.stdout).lines().collect::<Vec<_>>(), shown, "{}", text(&output.stderr));
    let is_there = |part: &str| shown.iter().any(|command| command.contains(part));
    for part in ["git clone ", "./.ci/setup && cargo run -- host ", "cargo install ", "&& cargo test"] {
        assert!(is_there(part), "{part}: {shown:?}");
    }
    let gate = std::fs::read_to_string(root().join(".ci/run")).expect("the gate");
    assert!(gate.lines().any(|line| line == ".ci/newcomer 12"), "the gate is a newcomer on Debian 12");
}

#[test]
fn every_command_of_the_readme_is_run_by_a_test() {
    let start =
        readme().split("\n## ").find(|section| section.starts_with("Start\n")).expect("it").to_owned();
    for (command, _) in blocks("console").iter().flat_map(|block| session(block)) {
        // The others are run by `the_commands_of_the_readme_print_what_it_shows`.
        let is_call = ["vms ", "curl "].iter().any(|program| command.starts_with(program));
        assert!(is_call || start.contains(&command), "{command}");
    }
}

#[test]
fn the_script_of_the_readme_runs() {
    let place = TestService::new(&blocks("js")[0]);
    run(async {
        let host = place.host();
        let client = host.client_of("bob").await;
        assert_eq!(client.call("increment", json!([])).await, json!(1));
        assert_eq!(client.call("increment", json!([4])).await, json!(5));
        assert_eq!(client.call("whoami", json!([])).await, json!("bob"));
        let block =
            blocks("console").into_iter().find(|block| block.contains("/files/")).expect("it reads files");
        for (command, shown) in session(&block) {
            assert_eq!(read(&command, &host), shown, "{command}");
        }
        assert!(host.terminate().success());
    });
    place.assert_agrees();
    let motd = vms(["files".as_ref(), "cat".as_ref(), place.data().as_os_str(), "/motd".as_ref()]);
    assert_eq!(text(&motd.stdout), "hi");
}

/// What a command prints that reads a file. A machine may have no curl: what that would ask for is asked for here.
fn read(command: &str, host: &Host) -> String {
    if let Some(path) = command.strip_prefix("curl http://127.0.0.1:5555") {
        return text(&crate::service::reading::get(host, path).body).trim_end().to_owned();
    }
    let output = shell(&command.replace("ws://127.0.0.1:5555/", host.url())).output().expect("bash is there");
    assert!(output.status.success(), "{command}: {}", text(&output.stderr));
    text(&output.stdout).trim_end().to_owned()
}
