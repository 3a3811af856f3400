//! Good calls that were refused.

use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::entry::{Auth, Authorization};
use libvms_protocol::proof::{FalseRefusal, Proof, SignedCall, Verdict};
use libvms_protocol::refusal::{Reason, Refusal};

use super::world::{CALL_AGE, Log, START, args, nonce_at, sign};
use super::{Damage, assert_cannot_tell, assert_fails, assert_holds_only_whole};

/// Refuses a call of `f`, truly or not.
fn refuse(log: &Log, by: &Authorization, reason: Reason, now: u64, block: Option<u64>) -> FalseRefusal {
    let hash = by.call_hash(&log.public_key(), "f", &args());
    let refusal = Refusal::sign(&log.key, &hash, reason, now, block.map(BlockIndex));
    FalseRefusal::new(SignedCall::new(by, "f", args()), refusal)
}

fn with_entries(proof: FalseRefusal, log: &Log, blocks: &[u64]) -> FalseRefusal {
    let entries = blocks.iter().map(|block| log.block(*block));
    proof.with_entries(&log.head(), entries, |index| log.node(index)).expect("all nodes are kept")
}

fn proof(proof: FalseRefusal) -> Proof {
    Proof::FalseRefusal(Box::new(proof))
}

#[test]
fn a_call_of_the_past_is_not_early() {
    let log = Log::signed();
    let by = sign(&log, 1, nonce_at(5), None, None);
    let early = |now| proof(refuse(&log, &by, Reason::Early, now, None));
    assert_holds_only_whole(&early(nonce_at(5)));
    assert_fails(&early(nonce_at(5) - 1), "time");
}

#[test]
fn a_call_within_its_age_is_not_stale() {
    let mut log = Log::signed();
    log.fill(5);
    let by = sign(&log, 1, nonce_at(5), None, None);
    let stale = |now| refuse(&log, &by, Reason::StaleCall, now, None);
    let complete = |now| proof(with_entries(stale(now), &log, &[0]));
    assert_holds_only_whole(&complete(nonce_at(5 + CALL_AGE)));
    assert_eq!(complete(nonce_at(0)).check(), Verdict::Holds);
    assert_fails(&complete(nonce_at(6 + CALL_AGE)), "time: the call was 60001 ms old");
    let now = nonce_at(6);
    assert_cannot_tell(&proof(stale(now)), "head of the log is missing");
    assert_cannot_tell(&proof(stale(now).with_head(&log.head())), "entries or their path are missing");
    assert_cannot_tell(&proof(with_entries(stale(now), &log, &[1])), "block 0 is missing");
    assert_fails(&proof(with_entries(stale(now), &log, &[0, 1])), "entries: there are others");
    let debug = Log::of(Auth::Debug);
    assert_fails(
        &proof(with_entries(stale(now), &debug, &[0])),
        "block 0: the callers of this log do not sign",
    );
}

#[test]
fn a_signed_head_is_not_unknown() {
    let mut log = Log::signed();
    log.fill(5);
    let by = sign(&log, 1, nonce_at(5), Some(log.seen_at(4)), None);
    let unknown = |by| refuse(&log, by, Reason::UnknownHead, nonce_at(6), None);
    assert_holds_only_whole(&proof(unknown(&by).with_head(&log.head_at(4))));
    assert_fails(&proof(unknown(&by).with_head(&log.head_at(5))), "head: it is not the one");
    assert_cannot_tell(&proof(unknown(&by)), "head of the log is missing");
    let mut other = log.clone();
    other.key = libvms_hypercore::identity::SecretKey::from_seed(&[9; 32]);
    assert_fails(&proof(unknown(&by).with_head(&other.head_at(4))), "head: it is another log's");
    // A call that names no head.
    assert_holds_only_whole(&proof(unknown(&sign(&log, 1, nonce_at(5), None, None))));
}

#[test]
fn a_number_is_repeated_only_where_the_named_block_has_it() {
    let mut log = Log::signed();
    log.fill(2);
    let (first, second) = (nonce_at(5), nonce_at(9));
    let own = log.push_call(START + 6, sign(&log, 1, second, None, Some(&[first])));
    let others = log.push_call(START + 6, sign(&log, 2, second, None, None));
    log.fill(3);
    let repeated = |nonce, instead: Option<&[u64]>, block| {
        let by = sign(&log, 1, nonce, None, instead);
        refuse(&log, &by, Reason::RepeatedNonce, nonce_at(10), Some(block))
    };
    let complete = |nonce, instead: Option<&[u64]>, block| {
        proof(with_entries(repeated(nonce, instead, block), &log, &[0, block]))
    };
    assert_holds_only_whole(&complete(second, None, others));
    assert_eq!(complete(second, None, 0).check(), Verdict::Holds);
    assert_eq!(complete(second, None, 1).check(), Verdict::Holds);
    assert_holds_only_whole(&complete(second + 1, Some(&[first - 1]), own));
    for (nonce, instead) in [
        (second, None),
        (second - 1, None),
        (first, None),
        (second + 1, Some(&[second][..])),
        (second + 1, Some(&[first, first + 1][..])),
    ] {
        assert_fails(&complete(nonce, instead, own), "numbers");
    }
    let good = |block| repeated(second + 1, None, block);
    assert_cannot_tell(&proof(good(own)), "missing");
    assert_cannot_tell(&proof(with_entries(good(own), &log, &[0])), "block 3 is missing");
    assert_cannot_tell(&proof(with_entries(good(own), &log, &[own])), "block 0 is missing");
    assert_cannot_tell(&proof(with_entries(good(log.length()), &log, &[0])), "ends before the block");
    let by = sign(&log, 1, second + 1, None, None);
    let unnamed = refuse(&log, &by, Reason::RepeatedNonce, nonce_at(10), None);
    assert_cannot_tell(&proof(with_entries(unnamed, &log, &[0, own])), "names no block");
    let unknown = log.clone().push(b"\xa1\x64type\x66wormse".to_vec());
    let mut later = log.clone();
    later.push(b"\xa1\x64type\x66wormse".to_vec());
    assert_cannot_tell(&proof(with_entries(good(unknown), &later, &[0, unknown])), "unknown entry type");
}

#[test]
fn other_reasons_cannot_be_told() {
    let mut log = Log::signed();
    log.fill(2);
    let by = sign(&log, 1, nonce_at(5), None, None);
    let judged = [Reason::Early, Reason::StaleCall, Reason::UnknownHead, Reason::RepeatedNonce];
    for reason in Reason::ALL.into_iter().filter(|reason| !judged.contains(reason)) {
        let refused = with_entries(refuse(&log, &by, reason, nonce_at(6), Some(1)), &log, &[0, 1]);
        assert!(matches!(proof(refused).check(), Verdict::CannotTell { .. }), "{reason}");
    }
    let mut later = refuse(&log, &by, Reason::Busy, nonce_at(6), None);
    later.refusal.reason = "later\u{1b}".into();
    assert_fails(&proof(later), "refusal");
}

#[test]
fn each_damage_fails_at_its_step() {
    let mut log = Log::signed();
    log.fill(5);
    let by = sign(&log, 1, nonce_at(5), Some(log.seen_at(4)), Some(&[nonce_at(4)]));
    let good = with_entries(refuse(&log, &by, Reason::StaleCall, nonce_at(6), None), &log, &[0]);
    assert_holds_only_whole(&proof(good.clone()));
    let cases: [Damage<FalseRefusal>; 20] = [
        ("call: its caller's id", |proof| proof.call.user_id = "bob".into()),
        ("call: its caller's id", |proof| proof.call.user_id = proof.call.user_id.to_uppercase()),
        ("call: it is not signed", |proof| proof.call.user_id = "0".repeat(64)),
        ("call: it is not signed", |proof| proof.call.method_name = "g".into()),
        ("call: it is not signed", |proof| {
            proof.call.args.pop();
        }),
        ("call: it is not signed", |proof| proof.call.nonce += 1),
        ("call: it is not signed", |proof| proof.call.seen = None),
        ("call: it is not signed", |proof| proof.call.instead = None),
        ("call: it is not signed", |proof| proof.call.sig.0[0] ^= 1),
        ("call: it is not signed", |proof| proof.refusal.log = PublicKey([1; 32])),
        ("refusal", |proof| proof.refusal.reason = "early".into()),
        ("refusal", |proof| proof.refusal.now += 1),
        ("refusal", |proof| proof.refusal.block = Some(BlockIndex(0))),
        ("refusal", |proof| proof.refusal.sig.0[0] ^= 1),
        ("head", |proof| proof.checkpoint.as_mut().expect("there").sig.0[0] ^= 1),
        ("head", |proof| proof.checkpoint.as_mut().expect("there").hash = TreeHash([1; 32])),
        ("head", |proof| proof.checkpoint.as_mut().expect("there").length += 1),
        ("path", |proof| proof.entries.as_mut().expect("there")[0].entry.0.push(0)),
        ("path", |proof| {
            proof.path.as_mut().expect("there").pop();
        }),
        ("path", |proof| proof.path.as_mut().expect("there")[0].hash.0[0] ^= 1),
    ];
    for (step, damage) in cases {
        let mut damaged = good.clone();
        damage(&mut damaged);
        assert_fails(&proof(damaged), step);
    }
}
