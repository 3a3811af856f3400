//! What callers are told is what the log says, and what readers of the directory find.

use std::io::{Read, Write};
use std::net::TcpStream;

use libvms::Vm;
use libvms::host::Deployment;
use libvms::storage::Durability;
use libvms_hypercore::blocks::Length;
use libvms_protocol::entry::{Auth, Entry, Limits, Outcome};
use libvms_protocol::value::Value;
use serde_json::{Value as Json, json};

use crate::support::{TestService, hosting, run, text, vms};

/// Results and errors that JavaScript's own text says otherwise than the log can.
const TRICKS: &str = r"
exports.surrogate_keys = () => ({ ['\ud800']: 1, ['\ud801']: 2 })
exports.surrogate_and_its_stand_in = () => ({ ['\ud800']: 1, ['\ufffd']: 2 })
exports.surrogate_text = () => ['a\udc00b', '\ud83d\ude00']
exports.raw = () => JSON.rawJSON('9007199254740993')
exports.raw_nested = () => ({ a: [JSON.rawJSON('-9007199254740993'), JSON.rawJSON('1.50'), JSON.rawJSON('1E3')] })
exports.raw_zero = () => JSON.rawJSON('-0')
exports.raw_too_large = () => JSON.rawJSON('1e400')
exports.raw_long = () => JSON.rawJSON('123456789012345678901234567890')
exports.zero = () => -0
exports.large = () => [2 ** 53, 2 ** 60, 1e21, 5e-324, -1e-7]
exports.infinite = () => [1 / 0, NaN]
exports.proto = () => JSON.parse('{\x22__proto__\x22: {\x22a\x22: 1}, \x22b\x22: 2}')
exports.to_json = () => ({ toJSON: () => ({ z: 1, a: JSON.rawJSON('1.0') }) })
exports.to_json_of_key = () => ({ k: { toJSON: (key) => key + '\ud800' } })
exports.order = () => ({ b: 1, a: 2, 10: 3, 9: 4 })
exports.nested = () => { let deep = 1; for (let i = 0; i < 99; i++) deep = [deep]; return deep }
exports.too_deep = () => { let deep = 1; for (let i = 0; i < 101; i++) deep = [deep]; return deep }
exports.nothing = () => undefined
exports.error = () => { throw new Error('half \ud800 and \u0000') }
exports.named = () => { const error = new Error('m'); error.name = 'N\udfff'; throw error }
exports.echo = (...args) => args
exports.save = async (text) => { await System.files.writeFile('/file', text) }
";

/// The methods that need no argument.
fn methods() -> Vec<&'static str> {
    let names = TRICKS.lines().filter_map(|line| line.strip_prefix("exports.")?.split(' ').next());
    names.filter(|name| !["echo", "save"].contains(name)).collect()
}

/// One request by HTTP, answered by one JSON text, as it came.
fn post(url: &str, body: &str) -> String {
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let mut socket = TcpStream::connect(address).expect("the host listens");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    );
    write!(socket, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("UTF-8");
    answer.split("\r\n\r\n").nth(1).expect("a body").to_owned()
}

/// What the log says about a call, as an answer of JSON-RPC.
fn logged(entry: &Json) -> Json {
    let result = &entry["result"];
    match &result["err"] {
        Json::Null => json!({ "result": result["res"] }),
        error => json!({ "error": { "code": -32000, "message": error["name"], "data": error["message"] } }),
    }
}

/// The answer without its envelope. No text that a parser would forgive: the same numbers, each member once.
fn answered(answer: &str) -> (Json, String) {
    let mut value: Json = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    let object = value.as_object_mut().expect("an object");
    object.remove("id");
    object.remove("jsonrpc");
    let text = answer.split_once("\"result\":").map_or("", |(_, text)| text).trim_end_matches('}').to_owned();
    (value, text)
}

#[test]
fn every_answer_is_what_the_log_holds() {
    let place = TestService::new(TRICKS);
    let mut answers = vec![];
    run(async {
        let host = place.host();
        for method in methods() {
            answers.push(post(
                host.url(),
                &json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [] }).to_string(),
            ));
        }
        let arguments = r#"[-0, 9007199254740993, 1e3, {"a": 1, "a": 2}, {"__proto__": 1}]"#;
        answers.push(post(
            host.url(),
            &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"echo","params":{arguments}}}"#),
        ));
        let client = host.client().await;
        for method in methods() {
            // Over a WebSocket the same: compared below by the second half of the log.
            let answer = client.try_call(method, json!([])).await;
            answers.push(match answer {
                Ok(value) => json!({ "jsonrpc": "2.0", "id": 1, "result": value }).to_string(),
                Err(libvms::rpc::ClientError::Rpc(error)) => json!({ "error": {
                    "code": error.code, "message": error.message, "data": error.data,
                } })
                .to_string(),
                Err(other) => panic!("{method}: {other}"),
            });
        }
        assert!(host.terminate().success());
    });
    let log = place.log();
    assert_eq!(log.len(), answers.len() + 1);
    for (answer, entry) in answers.iter().zip(&log[1..]) {
        // One number can be written as an integer and as a float.
        let value = |json: &Json| Value::from_json(&json.to_string()).expect("JSON data");
        assert_eq!(value(&answered(answer).0), value(&logged(entry)), "{answer}");
    }
    let result = |method: &str| {
        let at = methods().iter().position(|known| *known == method).expect("a method");
        answered(&answers[at]).1
    };
    assert_eq!(result("surrogate_keys"), "{\"\u{fffd}\":2");
    assert_eq!(result("raw"), "9007199254740992");
    assert_eq!(result("raw_zero"), "0");
    assert_eq!(result("large"), "[9007199254740992,1152921504606847000,1e+21,5e-324,-1e-7]");
    assert_eq!(result("order"), "{\"10\":3,\"9\":4,\"a\":2,\"b\":1");
    place.assert_agrees();
}

#[test]
fn the_rust_api_answers_what_the_log_holds() {
    let directory = tempfile::tempdir().expect("a directory");
    let deployment = Deployment {
        code: TRICKS.into(),
        title: "tricks".into(),
        auth: Auth::Debug,
        limits: Limits::default(),
        form: libvms::host::Form::default(),
        oracles: vec![],
        effects: vec![],
    };
    let vm = Vm::deploy(&directory.path().join("data"), deployment, hosting(Durability::Relaxed))
        .expect("deployed");
    run(async {
        for method in methods() {
            let Ok(answer) = vm.call(None, method, vec![]).await else { continue };
            let [log, ..] = vm.cores();
            let block = log.block(answer.block).expect("durable");
            let Ok(Entry::Call(entry)) = Entry::decode(&block) else { panic!("a call") };
            let Ok(Outcome::Returned { value, .. }) = entry.result.outcome() else {
                panic!("{method} returned")
            };
            assert_eq!(answer.json, value.map(|value| value.to_json()), "{method}");
        }
        vm.close().await;
    });
}

#[test]
fn what_was_acknowledged_is_in_the_archive_that_readers_open() {
    let place = TestService::new(TRICKS);
    run(async {
        let host = place.host();
        let client = host.client().await;
        for round in 0..40 {
            client.call("save", json!([format!("content {round}")])).await;
            let output = vms(["files".as_ref(), "cat".as_ref(), place.data().as_os_str(), "/file".as_ref()]);
            assert_eq!(text(&output.stdout), format!("content {round}"), "{}", text(&output.stderr));
        }
        assert!(host.terminate().success());
    });
}

#[test]
fn what_was_acknowledged_is_in_the_archive_that_peers_are_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let deployment = Deployment {
        code: TRICKS.into(),
        title: "tricks".into(),
        auth: Auth::Debug,
        limits: Limits::default(),
        form: libvms::host::Form::default(),
        oracles: vec![],
        effects: vec![],
    };
    let vm =
        Vm::deploy(&directory.path().join("data"), deployment, hosting(Durability::Sync)).expect("deployed");
    run(async {
        let [log, files, blobs] = vm.cores();
        for round in 0..300_u64 {
            let argument = Value::Text(format!("content {round}"));
            let answer = vm.call(None, "save", vec![argument]).await.expect("returned");
            let mut views = [&log, &files, &blobs].map(Clone::clone);
            views.iter_mut().for_each(libvms::storage::CoreView::refresh);
            assert_eq!(
                views.map(|core| core.length()),
                [answer.block.length_with(), Length(round + 2), Length(round + 1)]
            );
        }
        vm.close().await;
    });
}

#[test]
fn a_killed_host_has_in_its_archive_what_it_acknowledged() {
    let place = TestService::new(TRICKS);
    for round in 0..5 {
        run(async {
            let host = place.host();
            host.client().await.call("save", json!([format!("content {round}")])).await;
            host.kill();
        });
        let output = vms(["files".as_ref(), "cat".as_ref(), place.data().as_os_str(), "/file".as_ref()]);
        assert_eq!(text(&output.stdout), format!("content {round}"), "{}", text(&output.stderr));
    }
    place.assert_agrees();
}
