//! What callers and hosts sign, against `fixtures/callers/`: `calls.json` shares no code with this crate; the other files are made
//! here, and judged by a reader that shares none either.

mod arguments;
mod golden;
mod receipts;
mod refusals;
mod rules;

use data_encoding::HEXLOWER;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::{PublicKey, Signature};
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::entry::{Call, CallEntry, Caller, Entry, Outcome, Seen};
use libvms_protocol::value::Value;
use serde_json::Value as Json;

fn cases() -> Json {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/callers/calls.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("a fixture")).expect("JSON")
}

fn bytes<const N: usize>(hex: &Json) -> Option<[u8; N]> {
    HEXLOWER.decode(hex.as_str()?.as_bytes()).ok()?.try_into().ok()
}

/// Returns the call of a case; `None` for a signature that is not one.
fn call(case: &Json) -> Option<Call> {
    let json = &case["call"];
    let Value::Array(args) = Value::from_json(&json["args"].to_string()).expect("JSON data") else {
        panic!("arguments are an array")
    };
    let seen = json.get("seen").map(|seen| Seen {
        length: Length(seen["length"].as_u64().expect("a length")),
        hash: TreeHash(bytes(&seen["hash"]).expect("a hash")),
    });
    let numbers = |list: &Json| list.as_array().map(|list| list.iter().flat_map(Json::as_u64).collect());
    let method = json["methodName"].as_str().expect("text");
    Some(Call {
        user_id: json["userId"].as_str().map(str::to_owned),
        nonce: json["nonce"].as_u64(),
        seen,
        instead: json.get("instead").and_then(numbers),
        sig: Some(Signature(bytes(&case["sig"])?)),
        ..Call::new(Caller::Anonymous, method, args, 1_700_000_000_000)
    })
}

/// Judges a call as a log's auditor does, but for what the entries before it show.
fn is_good(call: &Call, log: &PublicKey) -> bool {
    let entry = Entry::Call(CallEntry::new(call.clone(), Outcome::Returned { value: None, files: None }));
    entry.encode().is_ok()
        && call.is_signed(log)
        && call.authorization().is_some_and(|by| by.is_instead_in_form())
}

#[test]
fn every_vector_of_signed_calls_gets_its_verdict() {
    let vectors = cases();
    let log = PublicKey(bytes(&vectors["log"]).expect("a key"));
    let mut judged = [0, 0];
    for case in vectors["cases"].as_array().expect("cases") {
        let call = call(case);
        let is_good = call.as_ref().is_some_and(|call| is_good(call, &log));
        let expected = case["expect"] == "ok";
        assert_eq!(is_good, expected, "{}: {}", case["name"], case["why"]);
        judged[usize::from(expected)] += 1;
        if let Some(by) = call.as_ref().and_then(Call::authorization) {
            let call = call.expect("a call with a caller");
            let signed = by.intention(&call.method_name, &call.args).signable(&log);
            assert_eq!(HEXLOWER.encode(&signed), case["message"].as_str().expect("text"), "{}", case["name"]);
        }
    }
    assert!(judged[0] >= 31 && judged[1] >= 10, "{judged:?}");
}
