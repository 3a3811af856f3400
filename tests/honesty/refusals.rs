//! Refusals: a host that refuses a good call convicts itself by its own words, and one that refuses for a reason does not.

use data_encoding::HEXLOWER;
use libvms::storage::Core;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::Signature;
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::entry::{Authorization, Seen};
use libvms_protocol::proof::{FalseRefusal, Proof, SignedCall};
use libvms_protocol::refusal::{Reason, Refusal};
use libvms_protocol::value::Value;
use serde_json::{Value as Json, json};

use crate::honesty::signed::{LENGTH, Signer, args, entry, key, open_log, service, time_after};
use crate::service::callers::signer::{self, now};
use crate::support::{TestService, check_proofs};

/// A refusal, and the code with which its check ends.
type Case = (&'static str, i32, FalseRefusal);

fn bytes(proof: FalseRefusal) -> Vec<u8> {
    Proof::FalseRefusal(Box::new(proof)).encode()
}

/// Refuses a call of `inc` with a host's own key.
fn refuse(log: &Core, by: &Authorization, reason: Reason, now: u64, block: Option<u64>) -> FalseRefusal {
    let call = by.call_hash(&log.key(), "inc", &args(1));
    let refusal =
        Refusal::sign(&log.secret_key().expect("the host's own"), &call, reason, now, block.map(BlockIndex));
    FalseRefusal::new(SignedCall::new(by, "inc", args(1)), refusal)
}

fn with_blocks(log: &Core, proof: FalseRefusal, blocks: &[u64]) -> Option<FalseRefusal> {
    let entries =
        blocks.iter().map(|block| (BlockIndex(*block), log.block(BlockIndex(*block)).expect("readable")));
    proof.with_entries(&log.signed_head()?, entries, |index| log.node(index).expect("readable"))
}

fn assert_judged(cases: Vec<Case>) {
    let files: Vec<Vec<u8>> = cases.iter().map(|(_, _, proof)| bytes(proof.clone())).collect();
    for ((name, code, _), verdict) in cases.iter().zip(check_proofs(&files)) {
        let expected = ["holds", "fails", "unreadable", "cannot-tell"][*code as usize];
        assert_eq!(verdict["verdict"], json!(expected), "{name}: {verdict}");
    }
}

/// The log of [`service`] with two calls of one key, at the returned time.
fn with_calls(place: &TestService) -> (Core, Signer, u64) {
    let mut log = open_log(&place.data());
    let (bob, at) = (Signer::new(1, log.key()), time_after(&log));
    let numbers = [1_000 * at, 1_000 * at + 5];
    let entries = numbers.map(|nonce| entry(at, key(bob.plain(nonce)), 1, 3));
    log.append(&entries).expect("a disk");
    (log, bob, at)
}

#[test]
fn a_refusal_that_its_own_words_disprove_convicts_the_host() {
    let place = service();
    let (log, bob, at) = with_calls(&place);
    let now = 1_000 * at;
    let head = log.signed_head().expect("signed");
    let seen = Some(Seen { length: head.length(), hash: head.tree_hash() });
    let good = bob.sign(now + 10, seen, None);
    let refuse = |by: &Authorization, reason, now, block| refuse(&log, by, reason, now, block);
    let with = |proof, blocks: &[u64]| with_blocks(&log, proof, blocks).expect("all nodes are kept");
    let repeated = |block| refuse(&good, Reason::RepeatedNonce, now + 20, Some(block));
    assert_judged(vec![
        ("not early", 0, refuse(&good, Reason::Early, now + 10, None)),
        ("not stale", 0, with(refuse(&good, Reason::StaleCall, now + 60_000_000, None), &[0])),
        ("a head of this log", 0, refuse(&good, Reason::UnknownHead, now, None).with_head(&head)),
        ("no head at all", 0, refuse(&bob.plain(now + 10), Reason::UnknownHead, now, None)),
        ("a call of nobody", 0, with(repeated(1), &[0, 1])),
        ("an earlier call of the same caller", 0, with(repeated(LENGTH + 1), &[0, LENGTH + 1])),
    ]);
}

#[test]
fn a_refusal_for_its_reason_convicts_nobody() {
    let place = service();
    let (log, bob, at) = with_calls(&place);
    let now = 1_000 * at;
    let head = log.signed_head().expect("signed");
    let seen = Some(Seen { length: head.length(), hash: TreeHash([8; 32]) });
    let good = bob.sign(now + 10, seen, None);
    let refuse = |by: &Authorization, reason, now, block| refuse(&log, by, reason, now, block);
    let with = |proof, blocks: &[u64]| with_blocks(&log, proof, blocks).expect("all nodes are kept");
    let stale = |age: u64| refuse(&good, Reason::StaleCall, now + 1_000 * age, None);
    let repeated = |by: &Authorization, block| refuse(by, Reason::RepeatedNonce, now + 20, Some(block));
    let again = bob.plain(now + 5);
    let replacing = bob.sign(now + 9, None, Some(&[now + 5]));
    let mut cases = vec![
        ("early", 1, refuse(&good, Reason::Early, now + 9, None)),
        ("stale", 1, with(stale(60_001), &[0])),
        ("stale, without block 0", 3, stale(60_000)),
        ("a head of another log", 1, refuse(&good, Reason::UnknownHead, now, None).with_head(&head)),
        ("a head that is not shown", 3, refuse(&good, Reason::UnknownHead, now, None)),
        ("the same nonce", 1, with(repeated(&again, LENGTH + 1), &[0, LENGTH + 1])),
        ("a smaller nonce", 1, with(repeated(&bob.plain(now + 4), LENGTH + 1), &[0, LENGTH + 1])),
        ("a number that is replaced", 1, with(repeated(&replacing, LENGTH + 1), &[0, LENGTH + 1])),
        ("another block than the one that is named", 3, with(repeated(&again, LENGTH + 1), &[0, 1])),
        ("a block that is not there yet", 3, repeated(&again, LENGTH + 7).with_head(&head)),
        ("a block that is not shown", 3, repeated(&again, LENGTH + 1)),
    ];
    for reason in Reason::ALL {
        let judged = [Reason::Early, Reason::StaleCall, Reason::UnknownHead, Reason::RepeatedNonce];
        if !judged.contains(&reason) {
            cases.push((reason.name(), 3, refuse(&good, reason, now, None)));
        }
    }
    assert_judged(cases);
}

/// The refusal in an answer of a real host, and the call that it refuses.
fn refusal(by: &Authorization, log: &Core, answer: &Json) -> Option<FalseRefusal> {
    let data = &answer["error"]["data"];
    let sig = HEXLOWER.decode(data["sig"].as_str()?.as_bytes()).ok()?;
    let refusal = Refusal {
        log: log.key(),
        reason: data["reason"].as_str()?.into(),
        now: data["now"].as_u64()?,
        block: data["block"].as_u64().map(BlockIndex),
        sig: Signature(sig.try_into().ok()?),
    };
    let args: Vec<Value> = vec![];
    assert!(refusal.is_signed(&by.call_hash(&log.key(), "increment", &args)), "{answer}");
    Some(FalseRefusal::new(SignedCall::new(by, "increment", args), refusal))
}

#[test]
fn what_an_honest_host_refuses_convicts_it_in_no_file() {
    let place = TestService::of_example("counter.js");
    let host = place.host_with(&["--auth", "signed"]);
    let (bob, eve) = (signer::Signer::new(&host, 1), signer::Signer::new(&host, 2));
    let first = now();
    let sign = |by: &signer::Signer, nonce, seen, instead: Option<&[u64]>| {
        by.sign("increment", nonce, seen, instead)
    };
    for nonce in [first, first + 10] {
        signer::Signer::send(&host, "increment", &sign(&bob, nonce, None, None));
    }
    let seen = |length| Some(Seen { length, hash: TreeHash([8; 32]) });
    let refused = [
        sign(&bob, first + 5, None, None),
        sign(&bob, first + 10, seen(Length(1)), None),
        sign(&eve, now() + 60_000_000, None, None),
        sign(&eve, now() - 61_000_000, None, None),
        sign(&eve, now(), None, Some(&[now() - 130_000_000])),
        sign(&eve, now(), seen(Length(1)), None),
        sign(&eve, now(), seen(Length(9)), None),
        sign(&eve, now(), None, Some(&[])),
    ];
    let answers: Vec<Json> = refused.iter().map(|by| signer::Signer::send(&host, "increment", by)).collect();
    assert!(host.terminate().success());
    let log = open_log(&place.data());
    let head = log.signed_head().expect("signed");
    let mut files = vec![];
    for (by, answer) in refused.iter().zip(&answers) {
        let refusal = refusal(by, &log, answer).unwrap_or_else(|| panic!("no signed refusal: {answer}"));
        files.push(refusal.clone());
        files.push(refusal.clone().with_head(&head));
        for block in 0..log.length().0 {
            files.extend(with_blocks(&log, refusal.clone(), &[0, block]));
            files.extend(with_blocks(&log, refusal.clone(), &[block]));
        }
    }
    let files: Vec<Vec<u8>> = files.into_iter().map(bytes).collect();
    let reasons: std::collections::BTreeSet<&str> =
        answers.iter().filter_map(|answer| answer["error"]["data"]["reason"].as_str()).collect();
    assert!(reasons.len() >= 5, "{reasons:?}");
    for verdict in check_proofs(&files) {
        assert!(verdict["verdict"] == "fails" || verdict["verdict"] == "cannot-tell", "{verdict}");
    }
}
