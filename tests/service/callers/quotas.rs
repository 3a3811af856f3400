//! What a host lets callers add to its log.

use serde_json::{Value, json};

use super::signer::{Signer, now, post_for, reason};
use crate::support::{Host, TestService, program, text, vms};

/// A service behind a proxy, so that one machine has many addresses.
fn host(place: &TestService, more: &[&str]) -> Host {
    let mut arguments = vec!["--auth", "signed", "--trust-proxy", "127.0.0.1"];
    arguments.extend(more);
    place.host_with(&arguments)
}

fn call_from(host: &Host, address: u8, signer: &Signer) -> Value {
    let by = signer.sign("increment", now(), None, None);
    let from = format!("X-Forwarded-For: 10.0.0.{address}\r\n");
    post_for(host, &Signer::request("increment", &by), &from)
}

fn anonymous(host: &Host) -> Value {
    post_for(host, &json!({ "jsonrpc": "2.0", "id": 1, "method": "increment", "params": [] }), "")
}

#[test]
fn each_key_and_each_address_has_its_own_calls_in_a_minute() {
    let place = TestService::of_example("counter.js");
    let host = host(&place, &["--calls-per-minute", "3"]);
    let (one, other) = (Signer::new(&host, 1), Signer::new(&host, 2));
    for count in 1..=3 {
        assert_eq!(call_from(&host, 1, &one)["result"], json!(count));
    }
    // The key has used up its calls, wherever it comes from, and so has the address for all keys.
    for answer in [call_from(&host, 2, &one), call_from(&host, 1, &other)] {
        assert_eq!(reason(&answer), "rate");
        let data = &answer["error"]["data"];
        let wait = data["retryAfter"].as_u64().expect("a time");
        assert!((10_000..=20_000).contains(&wait) && data["sig"].is_string(), "{answer}");
    }
    assert_eq!(call_from(&host, 3, &other)["result"], json!(4));
    // Forged calls use up nothing of the key whose name they bear.
    let forged = other.sign("increment", now(), None, None);
    for address in 10..20 {
        let mut forged = forged.clone();
        forged.sig.0[0] ^= 1;
        let from = format!("X-Forwarded-For: 10.0.0.{address}\r\n");
        let answer = post_for(&host, &Signer::request("increment", &forged), &from);
        assert_eq!(reason(&answer), "bad-signature");
    }
    assert_eq!(call_from(&host, 4, &other)["result"], json!(5));
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn allowances_begin_anew_with_the_host_and_a_refused_call_is_good_then() {
    let place = TestService::of_example("counter.js");
    let quota = ["--calls-per-minute", "2"];
    let host = host(&place, &quota);
    let signer = Signer::new(&host, 1);
    for count in 1..=2 {
        assert_eq!(call_from(&host, 1, &signer)["result"], json!(count));
    }
    let by = signer.sign("increment", now(), None, None);
    let send =
        |host: &Host| post_for(host, &Signer::request("increment", &by), "X-Forwarded-For: 10.0.0.1\r\n");
    assert_eq!(reason(&send(&host)), "rate");
    assert!(host.terminate().success());
    let host = self::host(&place, &quota);
    // What was refused was not logged, and is executed once; the same call again is an answer from the log.
    let answers = [send(&host), send(&host)];
    assert!(answers.iter().all(|answer| answer["result"] == json!(3)), "{answers:?}");
    assert_eq!(reason(&call_from(&host, 1, &signer)), "rate", "the one sent twice came twice");
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn a_key_that_has_filled_its_bytes_waits_and_others_do_not() {
    let place = TestService::new("exports.increment = () => 'x'.repeat(20_000)");
    let host = host(&place, &["--bytes-per-minute", "10000"]);
    let (one, other) = (Signer::new(&host, 1), Signer::new(&host, 2));
    assert!(call_from(&host, 1, &one)["result"].is_string());
    let refused = call_from(&host, 2, &one);
    assert_eq!(reason(&refused), "rate");
    assert!(refused["error"]["data"]["retryAfter"].as_u64().is_some_and(|wait| wait > 60_000), "{refused}");
    assert!(call_from(&host, 3, &other)["result"].is_string());
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn those_who_do_not_sign_have_what_the_operator_gives_them() {
    let place = TestService::of_example("counter.js");
    let host = host(&place, &["--anonymous", "2"]);
    let results = [anonymous(&host), anonymous(&host)].map(|answer| answer["result"].clone());
    assert_eq!(results, [json!(1), json!(2)]);
    assert_eq!(reason(&anonymous(&host)), "rate");
    let signer = Signer::new(&host, 1);
    assert_eq!(call_from(&host, 1, &signer)["result"], json!(3));
    assert!(host.terminate().success());
    let host = self::host(&place, &["--anonymous", "off"]);
    let refused = anonymous(&host);
    assert_eq!(reason(&refused), "rate");
    let message = refused["error"]["message"].as_str().expect("text");
    assert!(message.contains("only of callers who sign"), "{message}");
    assert_eq!(call_from(&host, 1, &signer)["result"], json!(4));
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn a_quota_without_effect_is_refused() {
    let place = TestService::of_example("counter.js");
    let mut command = program();
    command.arg("host").arg(place.script()).arg("--dir").arg(place.data()).args(["--anonymous", "off"]);
    let Err(why) = Host::try_start(&mut command) else { panic!("it started") };
    assert!(why.contains("callers of this service never sign"), "{why}");
    assert!(!place.data().exists(), "nothing is deployed");
    for bad in [["--anonymous", "few"], ["--calls-per-minute", "0"], ["--bytes-per-minute", "-1"]] {
        let output = vms(["host", "nothing.js", bad[0], bad[1]]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}
