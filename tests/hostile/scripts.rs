//! Scripts and callers that mean harm: each ends its own call, and nothing else.

use serde_json::json;

use crate::support::{Client, TestService, run};

/// A script with a hostile method, and one that must go on working.
fn with(method: &str) -> TestService {
    TestService::new(&format!("let calls = 0; exports.count = () => ++calls; exports.attack = {method}"))
}

/// Calls the hostile method three times, with honest calls of others around it; then audits.
fn attack(method: &str) -> Vec<Result<serde_json::Value, (String, String)>> {
    let place = with(method);
    let outcomes = run(async {
        let host = place.host();
        let (attacker, honest) = (host.client().await, host.client().await);
        let mut outcomes = vec![];
        for call in 1..=3 {
            outcomes.push(outcome(&attacker).await);
            assert_eq!(honest.call("count", json!([])).await, json!(call), "{method}");
        }
        assert_eq!(host.terminate().code(), Some(0), "{method}");
        outcomes
    });
    place.assert_agrees();
    outcomes
}

async fn outcome(client: &Client) -> Result<serde_json::Value, (String, String)> {
    match client.try_call("attack", json!([])).await {
        Ok(value) => Ok(value),
        Err(libvms::rpc::ClientError::Rpc(error)) => Err((error.message, error.data.unwrap_or_default())),
        Err(other) => panic!("the connection was lost: {other}"),
    }
}

fn assert_fails_with(method: &str, name: &str) {
    for outcome in attack(method) {
        let (found, message) = outcome.expect_err(method);
        assert_eq!(found, name, "{method}: {message}");
        assert!(!message.is_empty(), "{method}");
    }
}

#[test]
fn endless_loops_end() {
    for method in [
        "() => { while (true) {} }",
        "async () => { while (true) await null }",
        "() => { for (;;) { try { for (;;) {} } catch { } finally { continue } } }",
        "() => { (async () => { for (;;) await null })(); return new Promise(() => {}) }",
        "() => { const again = () => setTimeout(again, 1); again(); return new Promise(() => {}) }",
        "() => { setInterval(() => {}, 1); return new Promise(() => {}) }",
        "() => { for (;;) new Promise(() => { for (;;) {} }) }",
        "() => /(a+)+$/.test('a'.repeat(40) + 'b')",
    ] {
        assert_fails_with(method, "Fault");
    }
}

#[test]
fn results_that_are_not_json_are_errors() {
    assert_fails_with("() => { const a = []; a.push(a); return a }", "TypeError");
    assert_fails_with("() => 10n", "TypeError");
    assert_fails_with("() => () => 1", "TypeError");
    assert_fails_with("() => { let a = []; for (let i = 0; i < 200; i++) a = [a]; return a }", "RangeError");
    assert_fails_with("() => 'x'.repeat(2 * 1024 * 1024)", "Fault");
    assert_fails_with("() => ({ toJSON() { for (;;) {} } })", "Fault");
    assert_fails_with("() => ({ get a() { throw new SyntaxError('mine') } })", "SyntaxError");
}

#[test]
fn promises_that_never_settle_are_errors() {
    assert_fails_with("() => new Promise(() => {})", "Error");
    assert_fails_with("async () => { await new Promise(() => {}) }", "Error");
}

#[test]
fn memory_is_bounded() {
    for method in [
        "() => { const a = []; for (;;) a.push(a.length) }",
        "() => { const a = []; for (;;) a.push(new Uint8Array(1 << 20)) }",
        "() => { const f = () => Promise.resolve().then(f); f(); return new Promise(() => {}) }",
        "() => { let s = 'x'; for (;;) s += s + '.' }",
        "() => { const m = new Map(); for (let i = 0; ; i++) m.set(i, { i }) }",
    ] {
        for outcome in attack(method) {
            assert!(outcome.is_err(), "{method}");
        }
    }
}

#[test]
fn recursion_is_bounded() {
    for outcome in attack("() => { const f = () => f() + 1; return f() }") {
        assert_eq!(outcome.expect_err("endless").0, "RangeError");
    }
}

#[test]
fn a_timer_that_throws_ends_its_call_only() {
    assert_fails_with("() => new Promise(() => setTimeout(() => { throw new Error('late') }, 5))", "Error");
}

#[test]
fn scripts_find_no_way_out() {
    for (method, expected) in [
        (
            "() => { try { return this.constructor.constructor('return process')() } catch (e) { return e.name } }",
            "ReferenceError",
        ),
        (
            "() => { try { return (() => {}).constructor('return require')() } catch (e) { return e.name } }",
            "ReferenceError",
        ),
        (
            "() => [typeof process, typeof require, typeof std, typeof os, typeof WebAssembly, typeof Atomics].join()",
            "undefined,undefined,undefined,undefined,undefined,undefined",
        ),
    ] {
        for outcome in attack(method) {
            assert_eq!(outcome, Ok(json!(expected)), "{method}");
        }
    }
}

#[test]
fn oversized_arguments_are_refused_and_not_logged() {
    let place = with("() => 1");
    run(async {
        let host = place.host();
        let client = host.client().await;
        let (name, _) = client.error("count", json!(["x".repeat(1024 * 1024 + 1)])).await;
        assert_eq!(name, "Invalid params");
        assert_eq!(client.call("count", json!(["x".repeat(1024 * 1024 - 10)])).await, json!(1));
        assert!(host.terminate().success());
    });
    assert_eq!(place.log().len(), 2);
    place.assert_agrees();
}

#[test]
fn an_attack_on_one_service_does_not_hold_up_another() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scripts = [("slow.js", "exports.f = () => { for (;;) {} }"), ("fast.js", "exports.f = () => 1")];
    for (name, script) in scripts {
        std::fs::write(directory.path().join(name), script).expect("writable");
    }
    run(async {
        let mut command = crate::support::program();
        command
            .arg("host")
            .args(scripts.map(|(name, _)| directory.path().join(name)))
            .args(["--fuel", "60000"]);
        let host = crate::support::Host::start(&mut command);
        let url = |index: usize| host.announced[index]["url"].as_str().expect("a URL");
        let (slow, fast) = (Client::connect(url(0), None).await, Client::connect(url(1), None).await);
        let attack = slow.try_call("f", json!([]));
        let honest = async {
            for _ in 0..20 {
                assert_eq!(fast.call("f", json!([])).await, json!(1));
            }
        };
        // The attack runs for over a second; twenty honest calls are answered before it is over.
        tokio::select! {
            biased;
            _ = attack => panic!("the attack was over first"),
            () = honest => {}
        }
    });
}
