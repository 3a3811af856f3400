//! Callers who sign: what a host with `--auth signed` takes, answers and refuses.

mod quotas;
mod refusals;
pub(crate) mod signer;
mod trouble;

use data_encoding::HEXLOWER;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::entry::{Authorization, Seen};
use libvms_protocol::value::Value as Data;
use serde_json::json;

use crate::support::{TestService, run};
use signer::{Signer, handshake, now, reason};

#[test]
fn a_signed_call_is_executed_once_and_answered_again_from_the_log() {
    let place = TestService::of_example("counter.js");
    let host = place.host_with(&["--auth", "signed"]);
    let signer = Signer::new(&host, 1);
    let nonce = now();
    let first = signer.call(&host, nonce, None);
    assert_eq!((&first["result"], signer.check(&first)), (&json!(1), (1, Some(Data::Integer(1)))));
    let again = signer.call(&host, nonce, None);
    assert_eq!((&again["result"], signer.check(&again)), (&json!(1), (1, Some(Data::Integer(1)))));
    let instead = signer.call(&host, nonce + 1, Some(&[nonce]));
    assert_eq!((&instead["result"], signer.check(&instead).0), (&json!(1), 1));
    assert!(host.terminate().success());
    let host = place.host();
    let restarted = signer.call(&host, nonce + 2, Some(&[nonce, nonce + 1]));
    assert_eq!((&restarted["result"], signer.check(&restarted).0), (&json!(1), 1));
    assert_eq!(signer.call(&host, now(), None)["result"], json!(2));
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn each_rule_refuses_with_its_reason() {
    let place = TestService::of_example("counter.js");
    let host = place.host_with(&["--auth", "signed"]);
    let signer = Signer::new(&host, 1);
    let nonce = now();
    assert_eq!(signer.call(&host, nonce, None)["result"], json!(1));
    let repeated = signer.call(&host, nonce - 1, None);
    assert_eq!((reason(&repeated), &repeated["error"]["data"]["block"]), ("repeated-nonce", &json!(1)));
    let other = signer.sign("get", nonce, None, None);
    assert_eq!(reason(&Signer::send(&host, "get", &other)), "repeated-nonce");
    let forged = Authorization {
        sig: signer.sign("get", nonce + 1, None, None).sig,
        ..signer.sign("increment", nonce + 1, None, None)
    };
    assert_eq!(reason(&Signer::send(&host, "increment", &forged)), "bad-signature");
    let fresh = Signer::new(&host, 2);
    let early = fresh.call(&host, now() + 60_000_000, None);
    assert_eq!(reason(&early), "early");
    assert!(
        early["error"]["data"]["latest"].is_string() && early["error"]["data"]["sig"].is_string(),
        "{early}"
    );
    assert_eq!(reason(&fresh.call(&host, now() - 61_000_000, None)), "stale-call");
    let now = now();
    assert_eq!(reason(&fresh.call(&host, now, Some(&[now - 121_000_000]))), "stale-instead");
    let seen = Seen { length: Length(1), hash: TreeHash([7; 32]) };
    let unknown = Signer::send(&host, "increment", &fresh.sign("increment", now, Some(seen), None));
    assert_eq!(reason(&unknown), "unknown-head");
    assert!(unknown["error"]["data"]["nodes"].is_array(), "{unknown}");
    // What a caller has really seen is taken.
    let head = &handshake(&host, &json!({ "consistency": 1, "latest": true }));
    assert!(head["consistency"]["nodes"].is_array() && head["latest"].is_string(), "{head}");
    let hash = HEXLOWER.decode(head["head"]["hash"].as_str().expect("text").as_bytes()).expect("hex");
    let hash = TreeHash(hash.try_into().expect("32 bytes"));
    let seen = Seen { length: Length(head["head"]["length"].as_u64().expect("a length")), hash };
    let good = Signer::send(&host, "increment", &fresh.sign("increment", now, Some(seen), None));
    assert_eq!(good["result"], json!(2));
    let missing = Signer::send(&host, "nothing", &fresh.sign("nothing", now + 1, None, None));
    assert_eq!(
        (&missing["error"]["code"], &missing["error"]["refusal"]["reason"]),
        (&json!(-32_601), &json!("no-method"))
    );
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn nobody_claims_a_name_where_callers_sign_and_anybody_may_be_nobody() {
    let place = TestService::of_example("counter.js");
    let host = place.host_with(&["--auth", "signed"]);
    run(async {
        let client = host.client().await;
        assert_eq!(client.call("increment", json!([])).await, json!(1));
        let named = libvms::rpc::RpcClient::connect(
            host.url(),
            libvms::rpc::ClientOptions { user: Some("bob".into()), ..Default::default() },
        );
        let refused = named.await.expect_err("no names here").to_string();
        assert!(refused.contains("leave out ?user"), "{refused}");
    });
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn four_hundred_calls_of_many_keys_at_once_are_each_executed_once() {
    let place = TestService::of_example("counter.js");
    let host = place.host_with(&["--auth", "signed"]);
    let results: Vec<i64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=8_u8)
            .map(|seed| {
                let host = &host;
                scope.spawn(move || {
                    let signer = Signer::new(host, seed);
                    let call = |_| {
                        let answer = signer.call(host, now(), None);
                        signer.check(&answer);
                        answer["result"].as_i64().unwrap_or_else(|| panic!("{answer}"))
                    };
                    (0..50).map(call).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let mut sorted = results;
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(1..=400), "each call counted once");
    assert!(host.terminate().success());
    place.assert_agrees();
}
