//! The JavaScript client (`node/javascript`) with real hosts, and with hosts that lie: in Node.js and in a headless Chromium.
//!
//! What is tested is the package as npm packs it. A scenario (`javascript/scenarios-*.js`) runs in either; what it wants done to a
//! host it asks for, a line at a time.

mod equality;
mod package;
mod scenario;

use serde_json::{Value, json};

use super::clock::Clock;
use crate::support::{Host, TestService, program};
use scenario::{Place, run};

/// A counter that fails where it is asked to, tells its caller, and has a slow call.
const SCRIPT: &str = "
    let count = 0
    exports.increment = () => ++count
    exports.get = () => count
    exports.fail = () => { throw new RangeError('far') }
    exports.whoami = () => System.caller.id
    exports.echo = (...args) => args
    exports.nothing = () => {}
    exports.slow = () => { for (let i = 0; i < 300_000; i++); return ++count }
";

/// Pages of any port may call.
const SIGNED: [&str; 4] = ["--auth", "signed", "--allow-origin", "*"];
const DEBUG: [&str; 2] = ["--allow-origin", "*"];

fn log_of(host: &Host) -> String {
    host.announced[0]["callLogUrl"].as_str().expect("a key").trim_start_matches("hyper://").to_owned()
}

fn nothing(what: &str, _: &[Value]) -> Value {
    panic!("nothing of this kind is asked for: {what}")
}

/// Runs a scenario with a host whose callers sign, and asserts that its log verifies.
fn with_host(place: Place, name: &str) {
    let service = TestService::new(SCRIPT);
    let host = service.host_with(&SIGNED);
    run(place, name, &json!({ "url": host.url(), "log": log_of(&host), "hasKey": true }), nothing);
    assert!(host.terminate().success());
    service.assert_agrees();
}

/// Runs a scenario with a host that believes any name.
fn with_debug_host(place: Place, name: &str) {
    let service = TestService::new(SCRIPT);
    let host = service.host_with(&DEBUG);
    let context = json!({ "url": host.url(), "log": log_of(&host), "hasKey": false, "user": "böb + %20" });
    run(place, name, &context, nothing);
    assert!(host.terminate().success());
    service.assert_agrees();
}

/// Runs a scenario whose hosts are its own. `file` is where it remembers logs in Node.js.
fn with_ledgers(place: Place, name: &str) {
    let home = tempfile::tempdir().expect("a temporary directory");
    run(place, name, &with_file(place, json!({}), &home), nothing);
}

fn with_file(place: Place, mut context: Value, home: &tempfile::TempDir) -> Value {
    if place == Place::Node {
        context["file"] = json!(home.path().join("state/known_logs"));
    }
    context
}

/// Runs a scenario with a host that is stopped or killed when it says so, and comes back where it was.
fn with_restarts(place: Place, name: &str) {
    let service = TestService::new(SCRIPT);
    let first = service.host_with(&SIGNED);
    let (context, port) = (json!({ "url": first.url() }), first.port());
    let mut host = Some(first);
    run(place, name, &context, |how, _| {
        let running = host.take().expect("a host");
        match how {
            "kill" => running.kill(),
            "terminate" => assert!(running.terminate().success()),
            other => panic!("{other}?"),
        }
        host = Some(service.host_at(port, &DEBUG));
        Value::Null
    });
    assert!(host.take().expect("a host").terminate().success());
    service.assert_agrees();
}

/// Runs a scenario with a host whose clock is an hour ahead, and with one whose clock is an hour behind.
fn with_wrong_clock(place: Place, name: &str) {
    for hours in [1, -1] {
        let (service, clock) = (TestService::new(SCRIPT), Clock::new());
        clock.shift_by(hours * 3_600);
        let mut command = program();
        command.arg("host").arg(service.script()).arg("--dir").arg(service.data()).args(SIGNED);
        let host = Host::start(clock.give_to(&mut command));
        run(place, name, &json!({ "url": host.url(), "hours": hours }), |_, args| {
            clock.shift_by(args[0].as_i64().expect("seconds"));
            Value::Null
        });
        assert!(host.terminate().success());
        service.assert_agrees();
    }
}

/// Runs a scenario with a host in whose place another one comes.
fn with_another(place: Place, name: &str) {
    let (home, service, other) = (
        tempfile::tempdir().expect("a temporary directory"),
        TestService::new(SCRIPT),
        TestService::new(SCRIPT),
    );
    let first = service.host_with(&SIGNED);
    let (url, port) = (first.url().to_owned(), first.port());
    let second = other.host_with(&SIGNED);
    let context = with_file(place, json!({ "url": url, "other": log_of(&second) }), &home);
    assert!(second.terminate().success());
    let mut host = Some(first);
    run(place, name, &context, |_, _| {
        assert!(host.take().expect("a host").terminate().success());
        host = Some(other.host_at(port, &DEBUG));
        Value::Null
    });
    assert!(host.take().expect("a host").terminate().success());
    service.assert_agrees();
    other.assert_agrees();
}

/// Makes a test of each scenario, for each place.
macro_rules! scenarios {
    ($($test:ident: $with:ident $name:literal)*) => {
        mod in_node {
            $(#[test] fn $test() { super::$with(super::Place::Node, $name) })*
        }
        mod in_a_browser {
            $(#[test] fn $test() { super::$with(super::Place::Browser, $name) })*
        }
    };
}

scenarios! {
    calls_are_signed_proved_and_answered_in_order: with_host "signedCalls"
    nobody_in_particular_calls_where_callers_sign: with_host "anonymousCalls"
    anybody_calls_under_any_name_where_nobody_signs: with_debug_host "anonymousCalls"
    arguments_that_nobody_can_sign_are_not_sent: with_host "argumentsThatCannotBeSigned"
    who_stops_waiting_is_told_so: with_host "aborted"
    answers_that_are_lost_are_asked_for_again: with_host "lostAnswers"
    another_log_is_refused_until_it_is_accepted: with_another "remembered"
    a_host_that_restarts_executes_each_call_once: with_restarts "restarts"
    a_call_that_nobody_signed_is_not_sent_twice: with_restarts "restartsOfAnonymous"
    the_logs_time_counts_and_not_the_callers: with_wrong_clock "wrongClock"
    a_connection_lost_in_mid_call_loses_no_call: with_ledgers "cutInMidCall"
    another_device_with_the_key_loses_no_call: with_ledgers "overtaken"
    what_stands_beside_a_receipt_is_not_read: with_ledgers "falseAnswers"
    an_answer_that_is_repeated_is_none: with_ledgers "repeatedAnswers"
    a_host_that_refuses_for_ever_is_given_up: with_ledgers "falseRefusals"
    a_service_that_does_not_describe_its_log_gets_no_signature: with_ledgers "noLog"
    a_server_that_frames_wrongly_is_left: with_ledgers "badFrames"
    a_shorter_head_is_stale_and_proves_nothing: with_ledgers "stale"
    a_fork_is_proved_kept_and_never_forgiven: with_ledgers "forks"
    a_fork_under_way_ends_all_calls: with_ledgers "forksUnderWay"
}
