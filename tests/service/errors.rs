//! What becomes of a script's errors: for callers, in the log, and for the operator.

use std::fs;
use std::path::Path;

use libvms::rpc::{ClientError, RpcError};
use serde_json::{Value, json};

use crate::support::{Client, Host, TestService, program, run, text, vms};

const CODED: &str = "exports.coded = (code, data) => { throw Object.assign(new RangeError('m'), { code, data }) }
    exports.plain = () => { throw new Error('m') }
    exports.deep = (levels) => { let data = 1; while (levels--) data = [data]; throw Object.assign(new Error('m'), { data }) }";

/// The error of a call that must fail.
async fn error(client: &Client, method: &str, args: Value) -> RpcError {
    match client.try_call(method, args).await {
        Err(ClientError::Rpc(error)) => error,
        other => panic!("{method}: {other:?}"),
    }
}

#[test]
fn an_errors_code_and_data_reach_caller_and_log() {
    let place = TestService::new(CODED);
    let details = json!({ "field": "age", "of": [1, null, 0.5] });
    let cases = [
        (json!([42, details]), 42, Some(details.clone()), json!({ "code": 42, "details": details })),
        (json!([-32_000, 1]), -32_000, Some(json!(1)), json!({ "details": 1 })),
        (json!([-32_601]), -32_000, None, json!({})),
        (json!(["E_AGE", null]), -32_000, Some(json!(null)), json!({ "details": null })),
        (json!([-32_769]), -32_769, None, json!({ "code": -32_769 })),
        (json!([1.5, "text"]), -32_000, Some(json!("text")), json!({ "details": "text" })),
    ];
    run(async {
        let host = place.host();
        let client = host.client().await;
        for (args, code, details, _) in &cases {
            let RpcError { code: told_code, message, data, details: told, .. } =
                error(&client, "coded", args.clone()).await;
            assert_eq!(
                (told_code, message.as_str(), data.as_deref()),
                (*code, "RangeError", Some("m")),
                "{args}"
            );
            assert_eq!(&told, details, "{args}");
        }
        assert!(error(&client, "deep", json!([100])).await.details.is_some());
        // The log has no place for more levels; the error itself is what matters.
        assert_eq!(
            error(&client, "deep", json!([101])).await,
            RpcError::from_script("Error".into(), "m".into())
        );
        assert_eq!(
            error(&client, "plain", json!([])).await,
            RpcError::from_script("Error".into(), "m".into())
        );
        assert!(host.terminate().success());
    });
    for (entry, (args, _, _, logged)) in place.log().iter().skip(1).zip(&cases) {
        let mut err = json!({ "name": "RangeError", "message": "m" });
        let members = logged.as_object().expect("an object").clone();
        err.as_object_mut().expect("an object").extend(members);
        assert_eq!(entry["result"], json!({ "err": err }), "{args}");
    }
    place.assert_agrees();
}

/// Ends a host in order, and gives what it has said on stderr.
fn said_by(host: Host) -> String {
    host.signal("TERM");
    let (code, stderr) = host.wait_with_stderr();
    assert_eq!(code, Some(0), "{stderr}");
    stderr
}

const THROWING: &str = "const inner = (n) => {
  if (n > 1) throw new RangeError('far')
  return n
}
exports.outer = (n) => inner(n)
exports.mapped = () => [1, 2].map(n => inner(n))
exports.later = async () => { await null; return inner(2) }
exports.text = () => { throw 'no place' }
exports.files = async () => System.files.readFile('/nothing')
exports.forged = () => { const error = new Error('a\\nWARN script: b'); error.stack = 'at x (script.js:1:1)\\u001b[2J\\nWARN c'; throw error }";

#[test]
fn the_operator_is_told_where_a_call_threw_and_callers_are_not() {
    let place = TestService::new(THROWING);
    let script = place.script().display().to_string();
    let stderr = run(async {
        let host = place.host();
        let client = host.client().await;
        for method in ["outer", "mapped", "later", "text", "files", "forged"] {
            let answered = error(&client, method, json!([2])).await;
            assert_eq!(answered.stack, None, "{method}");
            let told = [Some(answered.message), answered.data].into_iter().flatten().collect::<String>();
            assert!(!told.contains(&script), "{method}: {told}");
        }
        said_by(host)
    });
    for line in [
        format!("RangeError: far (at {script}:2:"),
        format!("  at inner ({script}:2:"),
        format!("  at <anonymous> ({script}:5:"),
        "  at map (native)".into(),
        format!("  at <anonymous> ({script}:6:"),
        "Error: no place ".into(),
        format!("NotFoundError: /nothing is not there (at {script}:9:"),
        format!("  at <anonymous> ({script}:9:"),
    ] {
        assert!(stderr.contains(&line), "{line}\n{stderr}");
    }
    for word in ["invoke", "eval_script", "apply (native)", "\u{1b}", "\nWARN"] {
        assert!(!stderr.contains(word), "{word}\n{stderr}");
    }
    place.assert_agrees();
}

#[test]
fn callers_are_told_the_stack_where_the_host_shows_it() {
    let place = TestService::new(THROWING);
    let script = place.script().display().to_string();
    run(async {
        let host = place.host_with(&["--show-stacks"]);
        let answered = error(&host.client().await, "outer", json!([2])).await;
        let stack = answered.stack.expect("a stack");
        assert!(
            stack.contains(&format!("at <anonymous> ({script}:5:")) && !stack.contains("invoke"),
            "{stack}"
        );
        let shown = vms(["call", host.url(), "outer", "2"]);
        assert!(
            text(&shown.stderr).contains(&format!("error: RangeError: far\n  at inner ({script}:2:")),
            "{shown:?}"
        );
        assert_eq!(error(&host.client().await, "text", json!([])).await.stack, None);
    });
    let logged = place.log();
    assert_eq!(logged[1]["result"], json!({ "err": { "name": "RangeError", "message": "far" } }));
}

#[test]
fn what_a_script_sees_of_its_stack_names_no_file_of_the_host() {
    let place = TestService::new("exports.f = () => new Error('x').stack");
    let stack = run(async { place.host().client().await.call("f", json!([])).await });
    let stack = stack.as_str().expect("a text").to_owned();
    assert!(
        stack.contains("script.js:1:") && !stack.contains(&place.script().display().to_string()),
        "{stack}"
    );
}

const TALKING: &str = "console.error('loading')
exports.init = () => console.warn('beginning')
exports.f = () => { console.log('said'); console.error('failed', { a: 1 }); console.error('two\\nlines \\u001b[2J') }";

#[test]
fn a_script_is_heard_once_and_as_loud_as_it_speaks() {
    let place = TestService::new(TALKING);
    let call = |options: &[&str]| {
        run(async {
            let host = place.host_with(options);
            host.client().await.call("f", json!([])).await;
            said_by(host)
        })
    };
    let first = call(&[]);
    for said in [
        "ERROR script: loading",
        "WARN script: beginning",
        "ERROR script: failed {\"a\":1} block=2 method=\"f\"",
    ] {
        assert_eq!(first.matches(said).count(), 1, "{said}\n{first}");
    }
    assert!(!first.contains("said") && !first.contains('\u{1b}'), "{first}");
    assert!(
        first.contains("ERROR script: two block") && first.contains("ERROR script: lines \\u{1b}[2J block"),
        "{first}"
    );
    // Started again: what was said then is not said again.
    let again = call(&["-v"]);
    assert!(!again.contains("loading") && !again.contains("beginning"), "{again}");
    assert_eq!(
        (again.matches("failed").count(), again.matches("INFO script: said").count()),
        (1, 1),
        "{again}"
    );
    let replayed = call(&["-vv"]);
    let old: Vec<&str> = replayed.lines().filter(|line| line.contains("failed")).collect();
    assert_eq!(old.iter().filter(|line| line.contains("replayed=true")).count(), 2, "{replayed}");
    assert_eq!(old.len(), 3, "{replayed}");
}

#[test]
fn callers_cannot_flood_the_operator() {
    let place = TestService::new(
        "exports.f = (n) => { throw new Error('x'.repeat(n)) }
        exports.g = () => { for (let n = 0; n < 2000; n++) console.error('y'.repeat(20)) }",
    );
    let stderr = run(async {
        let host = place.host();
        let client = host.client().await;
        let _long = error(&client, "f", json!([16_000])).await;
        for _ in 0..300 {
            let _error = error(&client, "f", json!([20])).await;
        }
        client.call("g", json!([])).await;
        said_by(host)
    });
    // 100 lines at once, and a few for the time that it took.
    let lines = stderr.lines().count();
    assert!((90..1_000).contains(&lines), "{lines} lines");
    assert!(stderr.lines().all(|line| line.len() < 1_200), "{stderr}");
}

#[test]
fn callers_are_answered_though_nobody_reads_stderr() {
    let place = TestService::new(
        "exports.loud = () => { for (let n = 0; n < 99; n++) console.error('y'.repeat(990)) }
        exports.f = () => { throw new Error('x') }
        exports.one = () => 1",
    );
    run(async {
        let host = place.host();
        let client = host.client().await;
        // More than a pipe holds: nobody has read anything of it when the next call is made.
        client.call("loud", json!([])).await;
        for _ in 0..50 {
            assert_eq!(error(&client, "f", json!([])).await.message, "Error");
            assert_eq!(client.call("one", json!([])).await, json!(1));
        }
        let stderr = said_by(host);
        assert!(stderr.len() > 64 << 10, "{}", stderr.len());
    });
    place.assert_agrees();
}

/// What a host says that does not start, without and with `--json`.
fn refused(script: &Path, data: &Path) -> (String, Value) {
    let mut host = program();
    let host = host.arg("host").arg(script).arg("--dir").arg(data).args(["--port", "0"]);
    let plain = host.output().expect("vms starts");
    assert_eq!(plain.status.code(), Some(2), "{plain:?}");
    let structured = host.arg("--json").output().expect("vms starts");
    let event = serde_json::from_slice(&structured.stderr).expect("one object");
    (text(&plain.stderr).to_owned(), event)
}

#[test]
fn a_deployment_that_fails_says_where() {
    let place = TestService::new("");
    let script = place.script().display().to_string();
    for (code, why, frame) in [
        (
            "\nconst f = () => { throw new TypeError('here') }\nf()",
            "TypeError: here (at FILE:2:",
            "at f (FILE:2:",
        ),
        ("let a = 1\nlet a = 2", "SyntaxError", "at FILE:2:"),
        ("nowhere()", "ReferenceError: nowhere is not defined (at FILE:1:", "at <eval> (FILE:1:"),
        (
            "exports.f = () => 1\nexports.init = async () => {\n  await null\n  throw new Error('no')\n}",
            "init failed: Error: no (at FILE:4:",
            "FILE:4:",
        ),
        (
            "const deep = () => { null.x }\nexports.init = () => deep()",
            "TypeError",
            "at <anonymous> (FILE:2:",
        ),
        ("exports.init = () => System.files.readFile('/none')", "NotFoundError", "at <anonymous> (FILE:1:"),
    ] {
        fs::write(place.script(), code).expect("writable");
        let (plain, event) = refused(&place.script(), &place.data());
        for part in [why, frame] {
            let part = part.replace("FILE", &script);
            assert!(plain.contains(&part), "{part}\n{plain}");
        }
        assert!(!plain.contains("eval_script") && !plain.contains("invoke"), "{plain}");
        assert!(event["stack"].as_str().is_some_and(|stack| stack.contains(&script)), "{event}");
        assert_eq!(plain.matches(why.split(" (at").next().unwrap_or(why)).count(), 1, "{plain}");
    }
}

const ENDLESS: &str = "const f = () => f() + 1
exports.calls = () => f()
exports.getters = () => ({ get x () { return this.x } }).x
exports.proxies = () => { const p = new Proxy({}, { get: (t, k) => p[k] }); return p.x }
exports.sorts = () => { const sort = () => [2, 1].sort(sort); return sort() }
exports.classes = () => { class A { constructor () { new A() } }; new A() }
exports.texts = () => { const o = { toString: () => String(o) }; return String(o) }
exports.json = () => JSON.parse('['.repeat(1e5))
exports.heap = () => { const kept = []; for (;;) kept.push(new ArrayBuffer(1e7)) }
exports.told = () => { try { f() } catch (error) { return error.stack.split('\\n').length } }";

#[test]
fn an_endless_recursion_and_a_full_heap_have_a_place_and_name_their_limit() {
    let place = TestService::new(ENDLESS);
    let script = place.script().display().to_string();
    let stderr = run(async {
        let host = place.host_with(&["--memory", "32000000"]);
        let client = host.client().await;
        for method in ["calls", "getters", "proxies", "sorts", "classes", "texts", "json", "heap"] {
            error(&client, method, json!([])).await;
        }
        // Ten calls, and the end of the last line.
        assert_eq!(client.call("told", json!([])).await, json!(11));
        said_by(host)
    });
    for line in [1, 3, 4, 5, 6, 7, 8] {
        let told = format!("RangeError: Maximum call stack size exceeded (at {script}:{line}:");
        assert!(stderr.contains(&told), "{told}\n{stderr}");
    }
    assert!(stderr.contains(&format!("InternalError: out of memory (at {script}:9:")), "{stderr}");
    assert_eq!(stderr.matches("limit `stack`").count(), 7, "{stderr}");
    assert_eq!(stderr.matches("limit `memory`").count(), 1, "{stderr}");
    assert!(stderr.contains("`vms host --stack`") && stderr.contains("`vms host --memory`"), "{stderr}");
    place.assert_agrees();
}
