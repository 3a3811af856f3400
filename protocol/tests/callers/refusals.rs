//! `fixtures/callers/refusals.json`: signed refusals, and those that are not what was signed.

use data_encoding::HEXLOWER;
use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::{PublicKey, SecretKey, Signature};
use libvms_protocol::refusal::{Reason, Refusal};
use serde_json::{Value as Json, json};

use super::golden::{Vectors, object};

const CALL: [u8; 32] = [0xca; 32];
const NOW: u64 = 1_700_000_000_001_000;

fn case(name: &str, call: &[u8; 32], refusal: &Refusal, holds: bool) -> Json {
    assert_eq!(refusal.is_signed(call), holds, "{name}");
    let Refusal { log, reason, now, block, sig } = refusal;
    object(json!({
        "name": name, "log": log.to_string(), "call": HEXLOWER.encode(call), "reason": reason, "now": now,
        "block": block, "sig": HEXLOWER.encode(&sig.0), "holds": holds,
    }))
}

#[test]
fn refusals_are_signed_as_the_fixture_has_them() {
    let key = SecretKey::from_seed(&[0x44; 32]);
    let other = SecretKey::from_seed(&[0x45; 32]);
    // A host signs none for a bad signature.
    let signed = Reason::ALL.into_iter().filter(|reason| *reason != Reason::BadSignature);
    let mut cases: Vec<Json> = signed
        .map(|reason| {
            let block = (reason == Reason::RepeatedNonce).then_some(BlockIndex(17));
            case(reason.name(), &CALL, &Refusal::sign(&key, &CALL, reason, NOW, block), true)
        })
        .collect();
    let good = Refusal::sign(&key, &CALL, Reason::RepeatedNonce, NOW, Some(BlockIndex(17)));
    let without = Refusal::sign(&key, &CALL, Reason::RepeatedNonce, NOW, None);
    for (name, refusal) in [
        ("without-a-block", without),
        ("at-block-0", Refusal::sign(&key, &CALL, Reason::RepeatedNonce, NOW, Some(BlockIndex(0)))),
        (
            "at-the-largest-block",
            Refusal::sign(&key, &CALL, Reason::RepeatedNonce, NOW, Some(BlockIndex(u64::MAX))),
        ),
        ("at-time-0", Refusal::sign(&key, &CALL, Reason::Early, 0, None)),
        ("at-the-largest-time", Refusal::sign(&key, &CALL, Reason::Early, u64::MAX, None)),
    ] {
        cases.push(case(name, &CALL, &refusal, true));
    }
    let changed = [
        ("of-another-log", Refusal { log: other.public_key(), ..good.clone() }),
        ("of-another-reason", Refusal { reason: "busy".into(), ..good.clone() }),
        ("of-another-time", Refusal { now: NOW + 1, ..good.clone() }),
        ("of-another-block", Refusal { block: Some(BlockIndex(18)), ..good.clone() }),
        ("block-left-out", Refusal { block: None, ..good.clone() }),
        (
            "by-another-key",
            Refusal { log: key.public_key(), ..Refusal::sign(&other, &CALL, Reason::Early, NOW, None) },
        ),
        (
            "by-a-key-of-small-order",
            Refusal { log: PublicKey(identity()), sig: Signature(everybodys()), ..good.clone() },
        ),
    ];
    cases.extend(changed.iter().map(|(name, refusal)| case(name, &CALL, refusal, false)));
    cases.push(case("of-another-call", &[0xcb; 32], &good, false));
    let about = "Refusals of the call that `call` names: the log's signature of \"libvms/refusal/1\" || dag-cbor({log, call, reason, now, block?}).";
    Vectors::new("refusals.json", about).with_list("cases", cases).compare();
}

fn identity() -> [u8; 32] {
    let mut point = [0; 32];
    point[0] = 1;
    point
}

/// R is the identity, and S is 0: for a key of small order that is everybody's signature.
fn everybodys() -> [u8; 64] {
    let mut sig = [0; 64];
    sig[0] = 1;
    sig
}
