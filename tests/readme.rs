//! The README does what it says: its commands run, and print what it shows.
//!
//! Addresses, keys and times differ from run to run; they are compared as `[port]`, `[key]` and `[time]`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use libvms_protocol::entry::{Entry, Outcome};
use libvms_protocol::value::Value;
use serde_json::json;

use crate::harness::{Host, Place, VMS, run, text, vms};
use crate::tamper::rewrite;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
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
    process: Child,
    url: String,
    output: String,
}

impl Started {
    /// Runs the README's command on a free port and with a data directory of our own.
    fn by(command: &str, lines: usize, data: &Path) -> Self {
        let command = command.replace("counter.vms", &data.display().to_string());
        let mut shell = shell(&format!("{} --port 0", command.replace("&& ", "&& exec ")));
        let mut process = shell.stdout(Stdio::piped()).spawn().expect("bash is there");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let output: Vec<String> = stdout.take(lines).map(|line| line.expect("UTF-8")).collect();
        let url = output[0].rsplit(' ').next().expect("an address").to_owned();
        Self { process, url, output: output.join("\n") }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Cargo runs the host as a child in its own place: it gets the signal itself.
        let _may_have_ended =
            Command::new("kill").args(["-s", "INT", &self.process.id().to_string()]).status();
        let _ended = self.process.wait();
    }
}

#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    let place = Place::new("");
    let data = place.data();
    let blocks = blocks("console");
    let [(start, shown)] = &session(&blocks[0])[..] else { panic!("one command starts it all") };
    let host = Started::by(start, shown.lines().count(), &data);
    assert_eq!(settled(&host.output, &data), *shown);
    let calls = session(&blocks[2]);
    assert!(calls.len() > 4);
    for (command, shown) in calls {
        let http = host.url.replace("ws://", "http://");
        let command =
            command.replace("ws://127.0.0.1:5555/", &host.url).replace("http://127.0.0.1:5555/", &http);
        let output = shell(&command.replace("counter.vms", &data.display().to_string()))
            .output()
            .expect("bash is there");
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
        assert_eq!(settled(text(&output.stdout), &data), shown, "{command}");
    }
    drop(host);
    the_host_cheats(&data);
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

#[test]
fn the_gate_runs_the_tests_as_the_readme_says() {
    let [(command, _)] = &session(&blocks("console")[1])[..] else { panic!("one command runs the tests") };
    let gate = std::fs::read_to_string(root().join(".ci/run")).expect("the gate");
    assert!(gate.lines().any(|line| line == command), "{command}");
}

#[test]
fn the_script_of_the_readme_runs() {
    let place = Place::new(&blocks("js")[0]);
    run(async {
        let host = place.host();
        let client = host.client_of("bob").await;
        assert_eq!(client.call("increment", json!([])).await, json!(1));
        assert_eq!(client.call("increment", json!([4])).await, json!(5));
        assert_eq!(client.call("whoami", json!([])).await, json!("bob"));
        for (command, shown) in session(&blocks("console")[3]) {
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
        return text(&crate::reading::get(host, path).body).trim_end().to_owned();
    }
    let output = shell(&command.replace("ws://127.0.0.1:5555/", host.url())).output().expect("bash is there");
    assert!(output.status.success(), "{command}: {}", text(&output.stderr));
    text(&output.stdout).trim_end().to_owned()
}

#[test]
fn a_rust_program_can_embed_host_and_auditor() {
    let output = shell("cargo run --quiet --example embed").output().expect("bash is there");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "block 1: 1\nblock 2: 3\nblock 3: 6\nverified 3 calls\n");
}
