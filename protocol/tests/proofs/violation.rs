//! Entries that break a rule.

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::entry::{Auth, Call, Caller, Entry, Epoch, FilesHead, Seen};
use libvms_protocol::proof::violation::Class;
use libvms_protocol::proof::{Proof, Verdict, Violation};

use super::world::{CALL_AGE, Log, START, args, call_entry, init, nonce_at, sign};
use super::{Damage, assert_cannot_tell, assert_fails, assert_holds_only_whole};

fn make(log: &Log, class: Class, block: u64, others: &[u64]) -> Proof {
    let blocks = others.iter().chain([&block]).map(|block| log.block(*block));
    let proof = Violation::make(&log.head(), class, BlockIndex(block), blocks, |index| log.node(index));
    Proof::Violation(proof.expect("all nodes are kept"))
}

/// Returns a log with a few blocks behind the one that `push` appends, and that block.
fn with(auth: Auth, push: impl FnOnce(&mut Log) -> u64) -> (Log, u64) {
    let mut log = Log::of(auth);
    log.fill(4);
    let block = push(&mut log);
    log.fill(2);
    (log, block)
}

#[test]
fn a_block_that_is_no_entry_convicts() {
    let (log, block) = with(Auth::Signed, |log| log.push(b"\xa1\x64type\x64call".to_vec()));
    assert_holds_only_whole(&make(&log, Class::MalformedEntry, block, &[0]));
    assert_fails(&make(&log, Class::TimeWentBack, block, &[0]), "entry");
    let (log, block) = with(Auth::Debug, |log| {
        let files = FilesHead {
            version: Length(1),
            hash: TreeHash([5; 32]),
            blobs: Length(0),
            blobs_hash: TreeHash([6; 32]),
        };
        log.push_entry(&Entry::Epoch(Epoch { files }))
    });
    assert_eq!(make(&log, Class::MalformedEntry, block, &[0]).check(), Verdict::Holds);
    assert_fails(&make(&log, Class::MalformedEntry, 1, &[0]), "entry: it is well-formed");
}

#[test]
fn fields_of_signed_calls_that_nobody_signs_are_malformed() {
    let anonymous = Call { nonce: Some(1), ..Call::new(Caller::Anonymous, "f", vec![], START) };
    for auth in [Auth::Debug, Auth::Signed] {
        let (log, block) = with(auth, |log| log.push_entry(&call_entry(anonymous.clone())));
        assert_eq!(make(&log, Class::MalformedEntry, block, &[0]).check(), Verdict::Holds);
        assert_fails(&make(&log, Class::BadSignature, block, &[0]), "entry: it is malformed");
    }
}

#[test]
fn what_a_later_version_may_have_written_convicts_nobody() {
    let (log, block) = with(Auth::Signed, |log| log.push(b"\xa1\x64type\x66wormse".to_vec()));
    for class in Class::ALL {
        let proof = make(&log, class, block, &[0]);
        assert_cannot_tell(&proof, "unknown entry type");
    }
    for block_0 in [
        &b"junk"[..],
        b"\xa2\x61v\x03\x64type\x64init",
        b"\xa2\x61v\x01\x64type\x65inits",
        b"\xa1\x64type\x64init",
    ] {
        let mut log = Log::empty();
        log.push(block_0.to_vec());
        log.push(b"junk".to_vec());
        for class in Class::ALL {
            assert!(matches!(make(&log, class, 0, &[]).check(), Verdict::CannotTell { .. }), "{class}");
            assert!(matches!(make(&log, class, 1, &[0]).check(), Verdict::CannotTell { .. }), "{class}");
        }
    }
    let (log, block) = with(Auth::Signed, |log| log.push(b"junk".to_vec()));
    let Proof::Violation(proof) = make(&log, Class::MalformedEntry, block, &[0]) else { unreachable!() };
    for class in ["too-many-calls", "wrong-epoch", "\u{1b}"] {
        let mut later = proof.clone();
        later.class = class.into();
        let later = Proof::Violation(later);
        assert_cannot_tell(&later, "cannot judge class");
        assert!(!later.claim().contains('\u{1b}'));
    }
}

#[test]
fn block_0_can_be_malformed_or_misplaced() {
    let mut log = Log::empty();
    log.push(b"\xa2\x61v\x02\x64type\x64init".to_vec());
    assert_holds_only_whole(&make(&log, Class::MalformedEntry, 0, &[]));
    assert_cannot_tell(&make(&log, Class::WrongOrder, 0, &[]), "block 0");
    let mut log = Log::empty();
    log.push_call_of("f");
    assert_holds_only_whole(&make(&log, Class::WrongOrder, 0, &[]));
    assert_fails(&make(&log, Class::MalformedEntry, 0, &[]), "entry: it is well-formed");
    assert_fails(&make(&log, Class::StaleCall, 0, &[]), "entry");
    assert_fails(&make(&Log::signed(), Class::WrongOrder, 0, &[]), "place");
    assert_fails(&make(&Log::signed(), Class::MalformedEntry, 0, &[]), "entry: it is well-formed");
}

#[test]
fn an_entry_at_a_wrong_place_convicts() {
    let (log, block) = with(Auth::Signed, |log| log.push_entry(&Entry::Init(init(Auth::Signed))));
    assert_holds_only_whole(&make(&log, Class::WrongOrder, block, &[0]));
    let (log, block) = with(Auth::Debug, |log| log.push_call_of("init"));
    assert_holds_only_whole(&make(&log, Class::WrongOrder, block, &[0]));
    assert_fails(&make(&log, Class::WrongOrder, 2, &[0]), "place");
    // At block 1 the script decides.
    let first = |caller: Caller, method: &str| {
        let mut log = Log::of(Auth::Debug);
        log.push_entry(&call_entry(Call::new(caller, method, vec![], START)));
        make(&log, Class::WrongOrder, 1, &[0])
    };
    assert_cannot_tell(&first(Caller::Anonymous, "init"), "engine");
    assert_cannot_tell(&first(Caller::Anonymous, "f"), "engine");
    assert_eq!(first(Caller::Claimed("bob".into()), "init").check(), Verdict::Holds);
}

#[test]
fn a_time_before_an_earlier_one_convicts() {
    let mut log = Log::signed();
    let call = |at| call_entry(Call::new(Caller::Anonymous, "f", vec![], at));
    for at in [START, START + 5, START + 5, START + 4, START - 1] {
        log.push_entry(&call(at));
    }
    assert_holds_only_whole(&make(&log, Class::TimeWentBack, 4, &[0, 2]));
    assert_holds_only_whole(&make(&log, Class::TimeWentBack, 5, &[0]));
    assert_fails(&make(&log, Class::TimeWentBack, 3, &[0, 2]), "time");
    assert_fails(&make(&log, Class::TimeWentBack, 4, &[0, 1]), "time");
    assert_fails(&make(&log, Class::TimeWentBack, 1, &[0]), "time");
    assert_cannot_tell(&make(&log, Class::TimeWentBack, 4, &[0]), "earlier entry is missing");
    assert_cannot_tell(&make(&log, Class::TimeWentBack, 4, &[2]), "block 0 is missing");
    assert_fails(&make(&log, Class::TimeWentBack, 3, &[0, 4]), "entries");
}

#[test]
fn a_call_that_its_caller_did_not_sign_convicts() {
    let bad = |call: Call| with(Auth::Signed, move |log| log.push_entry(&call_entry(call)));
    let by = sign(&Log::signed(), 1, nonce_at(0), None, None);
    let call = Call::new(Caller::Key(Box::new(by)), "f", args(), START);
    let changed = [
        Call { nonce: Some(nonce_at(0) + 1), ..call.clone() },
        Call { method_name: "g".into(), ..call.clone() },
        Call { args: vec![], ..call.clone() },
        Call { user_id: Some("bob".into()), ..call.clone() },
        Call { sig: None, ..call.clone() },
        Call::new(Caller::Claimed("bob".into()), "f", vec![], START),
    ];
    for changed in changed {
        let (log, block) = bad(changed);
        assert_eq!(make(&log, Class::BadSignature, block, &[0]).check(), Verdict::Holds);
    }
    let (log, block) = bad(Call { args: vec![], ..call.clone() });
    assert_holds_only_whole(&make(&log, Class::BadSignature, block, &[0]));
    assert_cannot_tell(&make(&log, Class::BadSignature, block, &[]), "block 0 is missing");
    assert_fails(&make(&log, Class::BadSignature, block, &[0, 1]), "entries: there are others");
    let (log, block) = bad(call);
    assert_fails(&make(&log, Class::BadSignature, block, &[0]), "entry: the signature holds");
    let (log, block) = with(Auth::Debug, |log| log.push_call_of("f"));
    assert_fails(&make(&log, Class::BadSignature, block, &[0]), "entry: the signature holds");
    assert_fails(&make(&log, Class::StaleCall, block, &[0]), "block 0: the callers of this log do not sign");
}

#[test]
fn a_nonce_that_is_not_the_greatest_convicts() {
    for (later, holds) in [(1, false), (0, true), (-1, true)] {
        let nonce = nonce_at(500);
        let mut log = Log::signed();
        let earlier = log.push_call(START + 500, sign(&log, 1, nonce, None, None));
        log.fill(3);
        let block = log.push_call(START + 501, sign(&log, 1, nonce.saturating_add_signed(later), None, None));
        let others = log.push_call(START + 501, sign(&log, 2, nonce, None, None));
        let proof = make(&log, Class::RepeatedNonce, block, &[0, earlier]);
        if holds {
            assert_holds_only_whole(&proof);
        } else {
            assert_fails(&proof, "numbers");
        }
        assert_fails(
            &make(&log, Class::RepeatedNonce, others, &[0, earlier]),
            "entries: the calls are of different",
        );
        assert_fails(&make(&log, Class::RepeatedNonce, block, &[0, 2]), "entry: it is not a signed call");
        assert_cannot_tell(&make(&log, Class::RepeatedNonce, block, &[0]), "earlier entry is missing");
    }
}

#[test]
fn an_intention_that_is_executed_twice_convicts() {
    let (first, second, third) = (nonce_at(1), nonce_at(2), nonce_at(3));
    let mut log = Log::signed();
    let one = log.push_call(START + 1, sign(&log, 1, first, None, None));
    let two = log.push_call(START + 2, sign(&log, 1, second, None, Some(&[first - 1, first])));
    let three = log.push_call(START + 3, sign(&log, 1, third, None, Some(&[first - 1])));
    let good = log.push_call(START + 4, sign(&log, 1, nonce_at(4), None, Some(&[third - 1])));
    let stranger = log.push_call(START + 4, sign(&log, 2, nonce_at(4), None, Some(&[first])));
    assert_holds_only_whole(&make(&log, Class::RepeatedCall, two, &[0, one]));
    assert_eq!(make(&log, Class::RepeatedCall, three, &[0, two]).check(), Verdict::Holds);
    assert_fails(&make(&log, Class::RepeatedCall, three, &[0, one]), "numbers");
    assert_fails(&make(&log, Class::RepeatedCall, good, &[0, three]), "numbers");
    assert_fails(&make(&log, Class::RepeatedCall, stranger, &[0, one]), "entries");
    assert_cannot_tell(&make(&log, Class::RepeatedCall, two, &[0]), "earlier entry is missing");
    let malformed: [&[u64]; 4] = [&[], &[third], &[2, 1], &[1, 2, 3, 4, 5, 6, 7, 8, 9]];
    for instead in malformed {
        let mut log = Log::signed();
        let block = log.push_call(START + 3, sign(&log, 1, third, None, Some(instead)));
        assert_eq!(make(&log, Class::RepeatedCall, block, &[0]).check(), Verdict::Holds, "{instead:?}");
    }
}

#[test]
fn an_age_that_the_log_does_not_allow_convicts() {
    let at = START + 10 * CALL_AGE;
    let nonce = |age: u64| 1000 * (at - age) + 999;
    let with_nonce =
        |nonce: u64| with(Auth::Signed, |log| log.push_call(at, sign(log, 1, nonce, None, None)));
    for (nonce, holds) in
        [(nonce(CALL_AGE), false), (nonce(CALL_AGE + 1), true), (nonce(0), false), (nonce(0) + 1, true)]
    {
        let (log, block) = with_nonce(nonce);
        let proof = make(&log, Class::StaleCall, block, &[0]);
        if holds {
            assert_holds_only_whole(&proof);
        } else {
            assert_fails(&proof, "entry: it is young enough");
        }
    }
    for (age, holds) in [(2 * CALL_AGE, false), (2 * CALL_AGE + 1, true)] {
        let instead = [nonce(age), nonce(5)];
        let (log, block) =
            with(Auth::Signed, |log| log.push_call(at, sign(log, 1, nonce(0), None, Some(&instead))));
        let proof = make(&log, Class::StaleInstead, block, &[0]);
        if holds {
            assert_holds_only_whole(&proof);
        } else {
            assert_fails(&proof, "entry: what it replaces");
        }
    }
}

#[test]
fn a_head_that_is_not_the_logs_convicts() {
    for length in (1..40).chain([63, 64, 65, 66]) {
        let mut log = Log::signed();
        log.fill(length - 1);
        for seen in (0..=length + 3).filter(|seen| length < 12 || seen % 7 == 0 || seen + 2 > length) {
            let mut log = log.clone();
            let good = if seen <= length {
                log.seen_at(seen)
            } else {
                Seen { length: Length(seen), ..log.seen_at(0) }
            };
            let bad = Seen { hash: TreeHash([7; 32]), ..good };
            let block = log.push_call(START, sign(&log, 1, nonce_at(0), Some(good), None));
            let worse = log.push_call(START, sign(&log, 2, nonce_at(0), Some(bad), None));
            log.fill(3);
            let good = make(&log, Class::UnknownHead, block, &[0]);
            assert_eq!(good.check() == Verdict::Holds, seen > length, "{seen} of {length}: {}", good.check());
            assert_eq!(make(&log, Class::UnknownHead, worse, &[0]).check(), Verdict::Holds);
        }
    }
    let mut log = Log::signed();
    log.fill(6);
    let bad = Seen { hash: TreeHash([7; 32]), length: Length(5) };
    let block = log.push_call(START, sign(&log, 1, nonce_at(0), Some(bad), None));
    let without = log.push_call(START, sign(&log, 1, nonce_at(0), None, None));
    log.fill(3);
    assert_holds_only_whole(&make(&log, Class::UnknownHead, block, &[0]));
    assert_fails(&make(&log, Class::UnknownHead, without, &[0]), "entry: the call names no head");
    assert_fails(&make(&log, Class::UnknownHead, 1, &[0]), "entry: it is not a signed call");
}

#[test]
fn each_damage_fails_at_its_step() {
    let (log, block) =
        with(Auth::Signed, |log| log.push_call(START + 10 * CALL_AGE, sign(log, 1, 5, None, None)));
    let Proof::Violation(proof) = make(&log, Class::StaleCall, block, &[0]) else { unreachable!() };
    let cases: [Damage<Violation>; 8] = [
        ("head", |proof| proof.checkpoint.log = PublicKey([1; 32])),
        ("head", |proof| proof.checkpoint.length += 1),
        ("head", |proof| proof.checkpoint.fork = 2),
        ("path", |proof| proof.entries[1].entry.0.push(0)),
        ("path", |proof| proof.entries[0].entry.0.push(0)),
        ("path", |proof| {
            proof.path.pop();
        }),
        ("path", |proof| proof.path[0].size += 1),
        ("path", |proof| {
            proof.block += 1;
            proof.entries[1].block += 1;
        }),
    ];
    for (step, damage) in cases {
        let mut damaged = proof.clone();
        damage(&mut damaged);
        assert_fails(&Proof::Violation(damaged), step);
    }
    let mut incomplete = proof.clone();
    incomplete.block += 1;
    assert_cannot_tell(&Proof::Violation(incomplete), "is missing");
    let mut disordered = proof;
    disordered.entries.reverse();
    assert!(Proof::decode(&Proof::Violation(disordered).encode()).is_err());
}
