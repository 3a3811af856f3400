//! Requests of callers: a call that is read is within its bounds, and is read as the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use libvms_protocol::entry::{Authorization, Seen};
use libvms_protocol::limits::{INSTEAD_MAX, NONCE_MAX};
use libvms_rpc::RpcOptions;
use libvms_rpc::probe::{self, ReadCall};
use serde_json::{Value, json};

fuzz_target!(|bytes: &[u8]| {
    let options = RpcOptions::default();
    for call in probe::read(&String::from_utf8_lossy(bytes), &options) {
        assert!(call.args.len() <= options.arguments_bytes_max);
        call.caller.iter().for_each(check);
        assert_eq!(probe::read(&written(&call), &options), [call]);
    }
});

fn check(by: &Authorization) {
    assert!(by.numbers().all(|number| number <= NONCE_MAX), "{by:?}");
    assert!(by.seen.is_none_or(|seen| seen.length.0 <= NONCE_MAX), "{by:?}");
    assert!(by.instead.as_ref().is_none_or(|instead| instead.len() <= INSTEAD_MAX), "{by:?}");
}

/// Returns the text of a request with this call. The arguments stay as they were written.
fn written(ReadCall { method, args, caller, wants_receipt }: &ReadCall) -> String {
    let (method, caller) = (json!(method), caller.as_ref().map(written_caller));
    let caller = caller.map_or_else(String::new, |caller| format!(r#","caller":{caller}"#));
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":{method},"params":{args}{caller},"receipt":{wants_receipt}}}"#
    )
}

fn written_caller(by: &Authorization) -> Value {
    let sig: String = by.sig.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut caller = json!({ "key": by.key.to_string(), "nonce": by.nonce, "sig": sig });
    if let Some(Seen { length, hash }) = by.seen {
        caller["seen"] = json!({ "length": length, "hash": hash.to_string() });
    }
    if let Some(instead) = &by.instead {
        caller["instead"] = json!(instead);
    }
    caller
}
