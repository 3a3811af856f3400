//! What strangers write does nothing to a terminal but show.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;

use futures::SinkExt;
use futures::future::BoxFuture;
use libvms::rpc::{HandshakeRequest, RpcAnswer, RpcCall, RpcError, RpcOptions, RpcServer, Service};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{Process, TestService, program, run, text, vms};

/// Clears the screen in two ways, turns the direction of reading, hides, and forges a line.
const NASTY: &str = "a\u{1b}[2J\u{9b}2J\u{202e}\u{200b}\u{7f}\u{0}\r\n\u{2028}error: b'";

/// How it is shown.
const SHOWN: &str = r"a\u{1b}[2J\u{9b}2J\u{202e}\u{200b}\u{7f}\u{0}\r\n\u{2028}error: b'";

/// The text without what no argument of a program can hold.
fn title() -> String {
    NASTY.replace('\0', "")
}

/// Asserts that what `vms` has printed holds `shown`, and nothing that a terminal acts on.
fn is_tame(output: &Output, shown: &str) {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    for printed in [stdout, stderr] {
        let acts = |character: char| character.is_control() && character != '\n';
        let hides = |character| "\u{202e}\u{200b}\u{2028}".contains(character);
        assert!(!printed.contains(|character| acts(character) || hides(character)), "{printed:?}");
        assert!(!printed.lines().any(|line| line.starts_with("error: b")), "a line is forged: {printed:?}");
    }
    assert!(stdout.contains(shown) || stderr.contains(shown), "{shown}: {stdout:?} {stderr:?}");
}

/// A service that answers everything with the text.
struct Stranger {
    /// What it says of where its log is.
    log: String,
}

impl Service for Stranger {
    fn handshake(&self, _: HandshakeRequest) -> Map<String, Value> {
        let members = json!({ "methods": [NASTY, "throw"], "callLogUrl": self.log, "addresses": [NASTY] });
        members.as_object().expect("an object").clone()
    }

    fn call(&self, call: RpcCall) -> BoxFuture<'static, RpcAnswer> {
        Box::pin(async move {
            if call.method == "throw" {
                return Err(RpcError::from_script(NASTY.into(), NASTY.into())).into();
            }
            // Line ends between tokens are JSON, too.
            let result = serde_json::to_string_pretty(&[NASTY]).expect("JSON");
            Ok(Some(RawValue::from_string(result).expect("JSON"))).into()
        })
    }
}

async fn stranger() -> (RpcServer, String) {
    let server = RpcServer::bind(([127, 0, 0, 1], 0).into(), RpcOptions::default()).await.expect("a port");
    server.mount("/", Arc::new(Stranger { log: NASTY.into() }));
    let url = format!("ws://{}/", server.local_addr());
    (server, url)
}

#[test]
fn errors_of_a_service_are_one_line() {
    run(async {
        let (_server, url) = stranger().await;
        let output = vms(["call", &url, "throw"]);
        assert_eq!(output.status.code(), Some(1));
        is_tame(&output, &format!("error: {SHOWN}: {SHOWN}\n"));
        let output = vms(["call", &url, "throw", "--json"]);
        is_tame(&output, r"\u202e");
        let event: Value = serde_json::from_slice(&output.stderr).expect("an object");
        assert_eq!((&event["name"], &event["message"]), (&json!(NASTY), &json!(format!("{NASTY}: {NASTY}"))));
    });
}

#[test]
fn results_of_a_service_are_one_line_of_json() {
    run(async {
        let (_server, url) = stranger().await;
        for arguments in [&["call", &url, "f"][..], &["call", &url, "f", "--json"]] {
            let output = vms(arguments);
            is_tame(&output, r"\u009b2J\u202e\u200b\u007f\u0000\r\n\u2028");
            assert_eq!(text(&output.stdout).lines().count(), 1);
            assert_eq!(serde_json::from_slice::<Value>(&output.stdout).expect("JSON"), json!([NASTY]));
        }
    });
}

#[test]
fn what_a_service_says_of_itself_is_shown() {
    run(async {
        let (_server, url) = stranger().await;
        let here = "unused";
        for arguments in [
            &["verify", &url][..],
            &["verify", &url, "--json"],
            &["log", &url],
            &["log", &url, "--json"],
            &["files", "ls", &url],
            &["files", "export", &url, here],
        ] {
            let output = vms(arguments);
            assert!(matches!(output.status.code(), Some(2 | 3)), "{arguments:?}");
            is_tame(&output, "as its log");
        }
        // These go on asking.
        for command in ["watch", "replicate"] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let mut asking = program();
            asking.args([command, &url, "--peer-listen", "127.0.0.1:0"]).current_dir(directory.path());
            asking.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut process = Process::start(&mut asking).expect("vms starts");
            let mut said =
                BufReader::new(process.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
            let said = said.find(|line| line.contains("as its log")).expect("it says why it waits");
            let output = Output { status: ExitStatus::default(), stdout: said.into_bytes(), stderr: vec![] };
            is_tame(&output, "as its log");
        }
    });
}

#[test]
fn the_repl_shows_names_results_and_errors() {
    let home = tempfile::tempdir().expect("a temporary directory");
    run(async {
        let (_server, url) = stranger().await;
        let mut command = program();
        command.args(["repl", &url]).env("XDG_STATE_HOME", home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start(&mut command).expect("vms starts");
        let lines = format!("throw()\nf()\n{NASTY}\n");
        process.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("it reads");
        let output = process.wait_with_output().expect("it ends");
        is_tame(&output, &format!("methods: {SHOWN}, throw\n"));
        is_tame(&output, &format!("error: {SHOWN}: {SHOWN}\n"));
        is_tame(&output, r"\u202e\u200b");
    });
}

#[test]
fn why_a_server_hangs_up_is_shown() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut socket = tokio_tungstenite::accept_async(stream).await.expect("a WebSocket");
                let frame = CloseFrame { code: CloseCode::Away, reason: NASTY.into() };
                let _may_be_gone = socket.send(Message::Close(Some(frame))).await;
            }
        });
        let url = format!("ws://{address}/");
        is_tame(&vms(["call", &url, "f"]), &format!("lost: the server closed it ({SHOWN}"));
        is_tame(&vms(["log", &url]), SHOWN);
        server.abort();
    });
}

#[test]
fn logs_and_files_show_what_callers_wrote() {
    let script = "exports.f = (x) => { throw Object.assign(new Error(x), { name: x }) }\n\
                  exports.write = (name) => System.files.writeFile(name, 'x')\n\
                  exports.echo = (x) => x";
    let place = TestService::new(script);
    run(async {
        let host = place.host_with(&["--title", &title()]);
        let client = host.client_of(NASTY).await;
        client.error("f", json!([NASTY])).await;
        client.call("echo", json!([{ NASTY: NASTY }])).await;
        client.call("write", json!([NASTY])).await;
        client.call("write", json!([format!("/in/{NASTY}/{NASTY}")])).await;
        assert!(host.terminate().success());
    });
    let data = place.data().display().to_string();
    let output = vms(["log", &data, "--full"]);
    assert_eq!(text(&output.stdout).lines().count(), 5);
    is_tame(&output, &format!("init \"{}\" on", SHOWN.replace(r"\u{0}", "")));
    is_tame(&output, &format!("{SHOWN} f("));
    is_tame(&output, &format!("threw {SHOWN}: {SHOWN}\n"));
    is_tame(&output, r#"echo({"a\u001b[2J\u009b2J\u202e\u200b\u007f\u0000\r\n\u2028error: b'":"a\u001b"#);
    let output = vms(["log", &data, "--json"]);
    is_tame(&output, r"\u202e");
    let lines: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    assert_eq!((&lines[0]["title"], &lines[2]["args"]), (&json!(title()), &json!([{ NASTY: NASTY }])));
    let output = vms(["files", "ls", &data, "--recursive"]);
    assert_eq!(text(&output.stdout).lines().count(), 2);
    is_tame(&output, &format!("/in/{SHOWN}/{SHOWN}\n"));
    is_tame(&vms(["files", "ls", &data]), &format!("/{SHOWN}\n"));
    is_tame(&vms(["files", "ls", &data, "/in"]), &format!("/in/{SHOWN}/\n"));
    let output = vms(["files", "ls", &data, &format!("/in/{}", title())]);
    assert_eq!(output.status.code(), Some(2));
    is_tame(&output, &format!("there is no folder /in/{} at", SHOWN.replace(r"\u{0}", "")));
    let output = vms(["files", "ls", &data, "--json"]);
    is_tame(&output, r"\u202e");
    let line = text(&output.stdout).lines().next().expect("a line");
    assert_eq!(serde_json::from_str::<Value>(line).expect("an object")["path"], format!("/{NASTY}"));
}

#[test]
fn a_host_shows_names_and_errors_of_its_script() {
    let place = TestService::new(&format!("exports.init = () => {{ throw new Error({}) }}", json!(NASTY)));
    let (script, data) = (place.script().display().to_string(), place.data().display().to_string());
    let output = vms(["host", &script, "--dir", &data, "--title", &title(), "--port", "0"]);
    assert_eq!(output.status.code(), Some(2));
    is_tame(&output, &format!("Error: {SHOWN}"));
    let output = vms(["host", &script, "--dir", &data, "--port", "0", "--json"]);
    is_tame(&output, r"\u202e");
    let event: Value = serde_json::from_slice(&output.stderr).expect("an object");
    assert!(event["message"].as_str().expect("a text").contains(NASTY), "{event}");
}
