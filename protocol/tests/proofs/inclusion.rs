//! Receipts.

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::entry::Entry;
use libvms_protocol::proof::inclusion::ReceiptError;
use libvms_protocol::proof::{Inclusion, Proof, Verdict};

use super::world::{Log, nonce_at, sign};
use super::{Damage, assert_fails, assert_holds_only_whole};

fn make(log: &Log, length: u64, block: u64) -> Inclusion {
    let entry = log.blocks[block as usize].clone();
    Inclusion::make(&log.head_at(length), BlockIndex(block), entry, |index| log.node(index))
        .expect("all nodes are kept")
}

#[test]
fn every_block_of_every_length_has_a_receipt() {
    let mut log = Log::signed();
    log.fill(130);
    for length in (1..=40).chain([63, 64, 65, 127, 128, 129]) {
        for block in 0..length {
            let proof = make(&log, length, block);
            assert_eq!(Proof::Inclusion(proof.clone()).check(), Verdict::Holds, "block {block} of {length}");
            let bytes = Proof::Inclusion(proof.clone()).encode();
            let (opened, head, entry) = Inclusion::open(&bytes, &log.public_key()).expect("a receipt");
            assert_eq!((opened, head), (proof, log.head_at(length)));
            assert_eq!(entry, Entry::decode(&log.blocks[block as usize]).expect("an entry"));
        }
    }
    assert_eq!(Inclusion::make(&log.head_at(5), BlockIndex(5), vec![], |index| log.node(index)), None);
    assert_eq!(Inclusion::make(&log.head_at(5), BlockIndex(4), vec![], |_| None), None);
}

#[test]
fn a_receipt_holds_as_a_whole_only() {
    let mut log = Log::signed();
    log.fill(3);
    let by = sign(&log, 1, nonce_at(0), None, None);
    let block = log.push_call(super::world::START, by);
    log.fill(2);
    assert_holds_only_whole(&Proof::Inclusion(make(&log, log.length(), block)));
}

#[test]
fn each_damage_fails_at_its_step() {
    let mut log = Log::signed();
    log.fill(20);
    let proof = make(&log, 21, 5);
    let cases: [Damage<Inclusion>; 12] = [
        ("head", |proof| proof.checkpoint.log = PublicKey([1; 32])),
        ("head", |proof| proof.checkpoint.length.0 -= 1),
        ("head", |proof| proof.checkpoint.hash = TreeHash([1; 32])),
        ("head", |proof| proof.checkpoint.sig.0[5] ^= 1),
        ("head", |proof| proof.checkpoint.fork = 1),
        ("path", |proof| proof.block = BlockIndex(4)),
        ("path", |proof| proof.block = BlockIndex(21)),
        ("path", |proof| proof.block = BlockIndex(u64::MAX)),
        ("path", |proof| proof.entry.0.push(0)),
        ("path: node 8 of the tree is missing", |proof| {
            proof.path.remove(1);
        }),
        ("path: node 1 of the tree is not needed", |proof| proof.path[0].index = 1),
        ("path: the sizes", |proof| proof.path[0].size = u64::MAX),
    ];
    let holds = proof.path.iter().map(|node| node.index).collect::<Vec<_>>();
    assert_eq!(holds, [3, 8, 13, 23, 35, 40], "the expectations above are for these nodes");
    for (step, damage) in cases {
        let mut damaged = proof.clone();
        damage(&mut damaged);
        assert_fails(&Proof::Inclusion(damaged), step);
    }
}

#[test]
fn a_file_about_a_long_log_is_small() {
    let mut log = Log::signed();
    log.fill(100_000);
    let head = log.head();
    let (number, entry) = log.block(54_321);
    let blocks = [0, 777, 54_321].map(|number| log.block(number));
    let node = |index| log.node(index);
    let class = libvms_protocol::proof::violation::Class::RepeatedNonce;
    let violation = libvms_protocol::proof::Violation::make(&head, class, BlockIndex(54_321), blocks, node);
    let inclusion = Inclusion::make(&head, number, entry, node).expect("all nodes are kept");
    for proof in [Proof::Inclusion(inclusion), Proof::Violation(violation.expect("all nodes are kept"))] {
        let bytes = proof.encode().len();
        assert!(bytes <= 8 << 10, "{} of {bytes} bytes", proof.kind());
    }
}

#[test]
fn a_head_after_a_truncation_is_no_basis() {
    let mut log = Log::signed();
    log.fill(2);
    let mut proof = make(&log, 3, 1);
    let signed = libvms_hypercore::signed_head::signable(Length(3), 1, &proof.checkpoint.hash);
    (proof.checkpoint.fork, proof.checkpoint.sig) = (1, log.key.sign(&signed));
    assert_fails(&Proof::Inclusion(proof), "head: it is of fork 1");
}

#[test]
fn a_client_takes_receipts_of_its_log_only() {
    let mut log = Log::signed();
    let junk = log.push(b"junk".to_vec());
    let receipt = |block| Proof::Inclusion(make(&log, 2, block)).encode();
    let other = Inclusion::open(&receipt(0), &PublicKey([9; 32]));
    assert!(matches!(other, Err(ReceiptError::OtherLog { .. })));
    assert!(matches!(Inclusion::open(&receipt(junk), &log.public_key()), Err(ReceiptError::Entry(_))));
    assert!(matches!(Inclusion::open(b"\xa0", &log.public_key()), Err(ReceiptError::Unreadable(_))));
    let mut wrong = make(&log, 2, 0);
    wrong.entry.0.push(0);
    let wrong = Inclusion::open(&Proof::Inclusion(wrong).encode(), &log.public_key());
    assert!(matches!(wrong, Err(ReceiptError::Refuted(Verdict::Fails { .. }))));
}
