//! `fixtures/callers/receipts.json`: receipts in logs of many lengths, and what is none.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::{SecretKey, Signature};
use libvms_hypercore::signed_head::{SignedHead, UnverifiedHead, signable};
use libvms_hypercore::tree::{Hash, Node, TreeHash, hash};
use libvms_protocol::proof::path::Cover;
use libvms_protocol::proof::{Inclusion, Proof, ProofError, Verdict};
use serde_json::{Value as Json, json};

use super::golden::Vectors;
use crate::proofs::world::Log;

/// Block 6 is `block 6`, block 7 is twice `block 7`, block 8 is empty, and so on.
fn block(number: u64) -> Vec<u8> {
    format!("block {number}").repeat((number as usize + 1) % 3).into_bytes()
}

fn log(length: u64) -> Log {
    let mut log = Log::empty();
    (0..length).for_each(|number| {
        log.push(block(number));
    });
    log
}

fn lengths() -> impl Iterator<Item = u64> {
    let powers = [6, 7, 8, 9, 10].into_iter().flat_map(|power| {
        let length = 1 << power;
        [length - 1, length, length + 1]
    });
    (1..=40).chain(powers)
}

fn receipt(log: &Log, number: u64) -> Inclusion {
    under(&log.head(), log, number)
}

fn under(head: &SignedHead, log: &Log, number: u64) -> Inclusion {
    let (_, entry) = log.block(number);
    Inclusion::make(head, BlockIndex(number), entry, |index| log.node(index)).expect("all nodes are kept")
}

fn encode(receipt: &Inclusion) -> Vec<u8> {
    Proof::Inclusion(receipt.clone()).encode()
}

/// One receipt of the log, and the hash of all.
fn case(length: u64) -> Json {
    let log = log(length);
    let head = log.head();
    let all: Vec<Vec<u8>> = (0..length).map(|number| encode(&under(&head, &log, number))).collect();
    let shown = (length - 1) * 5 / 7;
    json!({
        "length": length,
        "hash": head.tree_hash().to_string(),
        "sig": HEXLOWER.encode(&head.signature().0),
        "block": shown,
        "receipt": BASE64URL_NOPAD.encode(&all[shown as usize]),
        "all": HEXLOWER.encode(&blake2b(&all.iter().map(Vec::as_slice).collect::<Vec<_>>())),
    })
}

/// What a checker says of a file.
fn verdict(bytes: &[u8]) -> &'static str {
    match Proof::decode(bytes).map(|proof| proof.check()) {
        Ok(Verdict::Holds) => "holds",
        Ok(Verdict::Fails { .. }) => "fails",
        Ok(Verdict::CannotTell { .. }) => "cannot-tell",
        Err(ProofError::Malformed { .. } | ProofError::TooLarge { .. }) => "unreadable",
    }
}

/// Changes a receipt, and signs the head that it then has.
fn signed_again(mut receipt: Inclusion, hash: TreeHash) -> Inclusion {
    let length = receipt.checkpoint.length;
    receipt.checkpoint = (&SignedHead::sign(&key(), length, hash)).into();
    receipt
}

fn key() -> SecretKey {
    SecretKey::from_seed(&[0x44; 32])
}

/// A receipt of the longest log that there can be: its nodes are made up, and lead to a signed head all the same.
fn of_longest_log() -> Inclusion {
    let length = (1 << 62) - 1;
    let mut longest = receipt(&log(1), 0);
    longest.checkpoint.length = Length(length);
    let made_up = |index: u64| Node { index, size: 1, hash: Hash(blake2b(&[&index.to_le_bytes()])) };
    let cover = Cover::new(Length(length), [BlockIndex(0)], None).expect("inside");
    longest.path = cover.indices().into_iter().map(made_up).collect();
    let leaf = Node::leaf(BlockIndex(0), &longest.entry.0);
    let whole = cover.check(&[leaf], &longest.path).expect("the nodes of the path").whole;
    signed_again(longest, whole)
}

/// The same of a log that is too long.
fn of_longer_log() -> Inclusion {
    let mut longer = of_longest_log();
    longer.checkpoint.length = Length(1 << 62);
    let mut root = Node::leaf(BlockIndex(0), &longer.entry.0);
    longer.path.clear();
    for height in 0..62 {
        let index = (1 << (height + 1)) + (1 << height) - 1;
        let sibling = Node { index, size: 1, hash: Hash([height as u8; 32]) };
        let (size, index) = (root.size + 1, (1 << (height + 1)) - 1);
        root = Node { index, size, hash: hash::parent(&root, &sibling) };
        longer.path.push(sibling);
    }
    signed_again(longer, hash::roots([&root]))
}

/// A receipt of which the sizes add up to more than 64 bits.
fn of_too_many_bytes() -> Inclusion {
    let mut large = receipt(&log(2), 1);
    large.path[0].size = u64::MAX;
    large
}

/// A receipt with a head that was signed after a truncation.
fn of_fork() -> Inclusion {
    let mut forked = receipt(&log(5), 3);
    let (length, tree_hash) = (5, log(5).head().tree_hash());
    let signature = key().sign(&signable(Length(length), 1, &tree_hash));
    let head =
        UnverifiedHead { key: key().public_key(), length: Length(length), fork: 1, tree_hash, signature };
    forked.checkpoint = (&head.verify().expect("signed")).into();
    forked
}

/// Changes of a good receipt.
fn changed() -> Vec<(&'static str, Inclusion)> {
    let good = receipt(&log(11), 4);
    let with = |change: &dyn Fn(&mut Inclusion)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    let other = Node { index: 4, size: 1, hash: Hash([7; 32]) };
    vec![
        ("good", good.clone()),
        ("another-entry", with(&|proof| proof.entry.0[0] ^= 1)),
        ("another-block", with(&|proof| proof.block = BlockIndex(5))),
        ("block-after-the-end", with(&|proof| proof.block = BlockIndex(11))),
        ("another-length", with(&|proof| proof.checkpoint.length = Length(12))),
        ("no-length", with(&|proof| proof.checkpoint.length = Length(0))),
        ("another-hash", with(&|proof| proof.checkpoint.hash.0[0] ^= 1)),
        ("another-signature", with(&|proof| proof.checkpoint.sig.0[0] ^= 1)),
        ("no-signature", with(&|proof| proof.checkpoint.sig = Signature([0; 64]))),
        ("another-log", with(&|proof| proof.checkpoint.log.0[0] ^= 1)),
        ("node-changed", with(&|proof| proof.path[1].hash.0[31] ^= 1)),
        ("node-of-another-size", with(&|proof| proof.path[1].size += 1)),
        (
            "bytes-moved-between-nodes",
            with(&|proof| {
                proof.path[0].size += 1;
                proof.path[2].size -= 1;
            }),
        ),
        ("node-missing", with(&|proof| proof.path.retain(|node| node.index != 10))),
        ("last-node-missing", with(&|proof| proof.path.truncate(proof.path.len() - 1))),
        ("no-nodes", with(&|proof| proof.path.clear())),
        ("node-twice", with(&|proof| proof.path.insert(0, proof.path[0]))),
        ("node-not-needed", with(&|proof| proof.path.push(other))),
        ("nodes-swapped", with(&|proof| proof.path.swap(0, 1))),
        ("node-of-the-block-itself", with(&|proof| proof.path.insert(1, Node { index: 8, ..other }))),
        ("longest-log", of_longest_log()),
        ("longer-log", of_longer_log()),
        ("too-many-bytes", of_too_many_bytes()),
        ("of-a-fork", of_fork()),
    ]
}

fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).expect("it is there");
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

/// Changes of a good receipt's bytes.
fn written_otherwise() -> Vec<(&'static str, Vec<u8>)> {
    let good = encode(&receipt(&log(2), 1));
    let replaced = |old: &[u8], new: &[u8]| replaced(&good, old, new);
    vec![
        ("cut", good[..good.len() - 1].to_vec()),
        ("longer", [&good[..], &[0]].concat()),
        ("nothing", vec![]),
        ("block-in-two-bytes", replaced(b"\x65block\x01", b"\x65block\x18\x01")),
        ("block-as-float", replaced(b"\x65block\x01", b"\x65block\xfb\x3f\xf0\0\0\0\0\0\0")),
        ("block-negative", replaced(b"\x65block\x01", b"\x65block\x20")),
        ("path-of-no-length", {
            let open = replaced(b"\x64path\x81", b"\x64path\x9f");
            self::replaced(&open, b"\x64type", b"\xff\x64type")
        }),
        (
            "keys-in-another-order",
            replaced(b"\x61v\x01\x64kind\x69inclusion", b"\x64kind\x69inclusion\x61v\x01"),
        ),
        ("another-member", [&[0xa8], &replaced(b"\xa7", b"")[..], b"\x6banother-key\0"].concat()),
        ("a-tag", replaced(b"\x65entry", b"\x65entry\xc1")),
        ("entry-as-text", replaced(b"\x65entry\x4e", b"\x65entry\x6e")),
        ("another-version", replaced(b"\x61v\x01", b"\x61v\x02")),
        ("another-kind", replaced(b"\x69inclusion", b"\x69inclusio\xc3")),
        ("a-later-kind", replaced(b"\x69inclusion", b"\x69inclusive")),
        ("another-type", replaced(b"\x65proof", b"\x65prooF")),
    ]
}

#[test]
fn receipts_are_made_and_judged_as_the_fixture_has_them() {
    let changed = changed().into_iter().map(|(name, receipt)| (name, encode(&receipt)));
    let judged = changed.chain(written_otherwise()).map(|(name, bytes)| {
        json!({ "name": name, "verdict": verdict(&bytes), "receipt": BASE64URL_NOPAD.encode(&bytes) })
    });
    let about = "Receipts in logs of `length` blocks: block n is the text `block n`, (n + 1) mod 3 times. \
        `receipt` is that of `block`, `all` the hash of the receipts of all blocks, one after the other. \
        `judged` has changed ones, and what a checker says of them.";
    Vectors::new("receipts.json", about)
        .with("log", key().public_key().to_string())
        .with_list("cases", lengths().map(case))
        .with_list("judged", judged)
        .compare();
}
