//! `FORMAT.md` shows one worked example of each kind of proof: each must be what this crate writes, and must hold.

use data_encoding::HEXLOWER;
use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::{Node, Roots};
use libvms_protocol::entry::{Authorization, Entry};
use libvms_protocol::proof::violation::Class;
use libvms_protocol::proof::{Equivocation, FalseRefusal, Inclusion, Proof, SignedCall, Verdict, Violation};
use libvms_protocol::refusal::{Reason, Refusal};
use libvms_protocol::value::Value;

use crate::format::example;

fn key() -> SecretKey {
    SecretKey::from_seed(&[0x44; 32])
}

/// Returns the signed head of a log, and its leaves and parents.
fn log(blocks: &[&[u8]]) -> (SignedHead, Vec<Node>) {
    let (mut roots, mut nodes) = (Roots::default(), vec![]);
    for (number, block) in (0..).zip(blocks) {
        roots.append_with(Node::leaf(BlockIndex(number), block), |node| nodes.push(*node));
    }
    (SignedHead::sign(&key(), roots.length(), roots.tree_hash()), nodes)
}

fn find(nodes: &[Node]) -> impl Fn(u64) -> Option<Node> {
    |index| nodes.iter().find(|node| node.index == index).copied()
}

fn inclusion() -> Proof {
    let (head, nodes) = log(&[b"first", b"second"]);
    Proof::Inclusion(Inclusion::make(&head, BlockIndex(1), b"second".into(), find(&nodes)).expect("block 1"))
}

fn equivocation() -> Proof {
    let (shorter, _) = log(&[b"first", b"second"]);
    let (longer, nodes) = log(&[b"first", b"other", b"third"]);
    let nodes = [1, 4].map(|index| find(&nodes)(index).expect("a root")).to_vec();
    Proof::Equivocation(Equivocation::between(&longer, &shorter, nodes).expect("they differ"))
}

fn violation() -> Proof {
    let blocks =
        [example("init of a log whose callers sign"), example("call that returned"), b"third".to_vec()];
    let (head, nodes) = log(&blocks.each_ref().map(Vec::as_slice));
    let [init, call, _] = blocks;
    let made = Violation::make(
        &head,
        Class::BadSignature,
        BlockIndex(1),
        [(BlockIndex(0), init), (BlockIndex(1), call)],
        find(&nodes),
    );
    Proof::Violation(made.expect("all nodes are there"))
}

fn signed_call() -> (Authorization, Vec<Value>) {
    let Ok(Entry::Call(entry)) = Entry::decode(&example("signed call")) else { panic!("a call") };
    (entry.call.authorization().expect("a signed one"), entry.call.args)
}

fn refusal() -> Refusal {
    let (by, args) = signed_call();
    let call = by.call_hash(&key().public_key(), "add", &args);
    Refusal::sign(&key(), &call, Reason::Early, 1_700_000_000_001_000, None)
}

fn false_refusal() -> Proof {
    let (by, args) = signed_call();
    Proof::FalseRefusal(Box::new(FalseRefusal::new(SignedCall::new(&by, "add", args), refusal())))
}

#[test]
fn every_proof_in_the_document_matches_the_code() {
    for proof in [inclusion(), equivocation(), violation(), false_refusal()] {
        let documented = example(&format!("proof of {}", proof.kind()));
        assert_eq!(HEXLOWER.encode(&documented), HEXLOWER.encode(&proof.encode()));
        assert_eq!(proof.check(), Verdict::Holds, "{}", proof.claim());
        assert_eq!(Proof::decode(&documented), Ok(proof));
    }
}

#[test]
fn the_refusal_in_the_document_matches_the_code() {
    let documented = example("refusal");
    let (signed, signature) = documented.split_at(documented.len() - 64);
    assert!(key().public_key().verifies(signed, &refusal().sig), "{}", HEXLOWER.encode(signed));
    assert_eq!(signature, refusal().sig.0);
}
