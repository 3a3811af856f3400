//! Proof files: each kind holds for what a dishonest host did, none for what an honest one does.

mod document;
mod equivocation;
mod false_refusal;
mod history;
mod honest;
mod inclusion;
mod violation;
pub(crate) mod world;

use libvms_hypercore::blocks::BlockIndex;
use libvms_protocol::proof::{Inclusion, Proof, Verdict};

use world::Log;

/// A step at which a check fails, and the damage for which it does.
type Damage<T> = (&'static str, fn(&mut T));

/// Checks that a proof holds, that it is read as it was written, and that no beginning of it and no changed byte holds.
fn assert_holds_only_whole(proof: &Proof) {
    assert_eq!(proof.check(), Verdict::Holds, "{}", proof.claim());
    let bytes = proof.encode();
    assert_eq!(Proof::decode(&bytes).as_ref(), Ok(proof));
    for position in 0..bytes.len() {
        assert!(Proof::decode(&bytes[..position]).is_err(), "cut at {position}");
        for flip in [1, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[position] ^= flip;
            if let Ok(other) = Proof::decode(&changed) {
                assert_ne!(
                    other.check(),
                    Verdict::Holds,
                    "byte {position} changed by {flip:#x}: {}",
                    other.claim()
                );
                assert_eq!(other.encode(), changed, "another encoding was read");
            }
        }
    }
    assert!(Proof::decode(&[&bytes[..], &[0]].concat()).is_err());
}

/// Checks that a claim fails at a step that begins like this.
#[track_caller]
fn assert_fails(proof: &Proof, at: &str) {
    match proof.check() {
        Verdict::Fails { step } => assert!(step.starts_with(at), "{step}"),
        other => panic!("{other} instead of a failure at {at}: {}", proof.claim()),
    }
}

/// Checks that a claim cannot be told, for a reason that has these words.
#[track_caller]
fn assert_cannot_tell(proof: &Proof, words: &str) {
    match proof.check() {
        Verdict::CannotTell { why } => assert!(why.contains(words), "{why}"),
        other => panic!("{other} instead of {words}: {}", proof.claim()),
    }
}

#[test]
fn unknown_kinds_and_versions_cannot_be_told() {
    let cases: [(&[u8], &str); 2] = [
        (b"\xa3\x61v\x01\x64kind\x65later\x64type\x65proof", "kind `later` and version 1"),
        (
            b"\xa4\x61v\x02\x64kind\x69inclusion\x64type\x65proof\x65other\x80",
            "kind `inclusion` and version 2",
        ),
    ];
    for (bytes, words) in cases {
        let proof = Proof::decode(bytes).expect("a proof of some kind");
        assert_cannot_tell(&proof, words);
        assert_eq!(proof.encode(), bytes);
        assert_eq!(proof.log(), None);
    }
}

#[test]
fn what_is_no_proof_is_not_read() {
    let refused: [&[u8]; 7] = [
        b"",
        b"\xa0",
        b"\xa3\x61v\x01\x64kind\x65later\x64type\x65proo",
        b"\xa3\x61v\x01\x64kind\x65later\x64type\x65entry",
        b"\xa3\x61v\x61\x31\x64kind\x65later\x64type\x65proof",
        b"\xa2\x64kind\x65later\x64type\x65proof",
        b"\xa3\x61v\x01\x64kind\x69inclusion\x64type\x65proof",
    ];
    for bytes in refused {
        assert!(Proof::decode(bytes).is_err(), "{bytes:x?}");
    }
    // Deeply nested, behind the fields that are read first.
    let deep =
        [b"\xa4\x61v\x02\x64kind\x65later\x64type\x65proof\x65other".to_vec(), vec![0x81; 100_000]].concat();
    assert!(Proof::decode(&deep).is_err());
    // Many small items, which would take a hundred times their room.
    let many = |count: u32| {
        let head = b"\xa4\x61v\x01\x64kind\x69inclusion\x64type\x65proof\x65other\x9a";
        [&head[..], &count.to_be_bytes(), &vec![0; count as usize]].concat()
    };
    let why = |bytes: &[u8]| Proof::decode(bytes).expect_err("no proof").to_string();
    assert!(
        why(&many(1_200_000)).contains("1114113 items, the limit is 1114112"),
        "{}",
        why(&many(1_200_000))
    );
    assert!(!why(&many(1_000_000)).contains("limit"), "{}", why(&many(1_000_000)));
    let large = vec![0; libvms_protocol::proof::PROOF_BYTES_MAX + 1];
    assert!(Proof::decode(&large).is_err());
}

#[test]
fn a_proof_about_another_key_is_none_about_this_log() {
    let (log, other) = (Log::signed(), libvms_hypercore::identity::PublicKey([3; 32]));
    let (block, entry) = log.block(0);
    let made =
        Inclusion::make(&log.head(), BlockIndex(block.0), entry, |index| log.node(index)).expect("block 0");
    let proof = Proof::Inclusion(made);
    assert_eq!(proof.check_about(&log.public_key()), Verdict::Holds);
    let judged = proof.check_about(&other);
    assert!(judged.to_string().starts_with("the claim does not hold: log: it is about "), "{judged}");
    assert_eq!((judged.exit_code(), judged.name()), (1, "fails"));
}

#[test]
fn texts_of_strangers_are_escaped_and_stay_in_their_quotation() {
    let kind = b"\xa3\x61v\x01\x64kind\x66\x1b[2J`b\x64type\x65proof";
    let proof = Proof::decode(kind).expect("a proof of some kind");
    for text in [proof.claim(), proof.contents(), proof.check().to_string()] {
        assert!(!text.contains('\u{1b}') && !text.contains("`b"), "{text:?}");
    }
}
