//! Files made to convict an honest host, and files that were damaged: none is believed.

use libvms::storage::Core;
use libvms_hypercore::blocks::{BlockIndex, Length, each};
use libvms_hypercore::random::Dice;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::{Node, Roots, TreeHash};
use libvms_protocol::entry::Seen;
use libvms_protocol::proof::path::Cover;
use libvms_protocol::proof::violation::Class;
use libvms_protocol::proof::{Equivocation, FalseRefusal, Inclusion, Proof, SignedCall, Violation};
use libvms_protocol::refusal::{Reason, Refusal};
use serde_json::json;

use crate::honesty::signed::{Signer, args, entry, key, open_log, service, time_after};
use crate::support::{TestService, check_proofs};

/// Changed files of each kind.
const DAMAGES: usize = 700;

/// An honest service with calls of two keys, one of them instead of another call and after a head that it has seen.
fn with_calls() -> (TestService, Core) {
    let place = service();
    let mut log = open_log(&place.data());
    let (bob, eve, at) = (Signer::new(1, log.key()), Signer::new(2, log.key()), time_after(&log));
    let now = 1_000 * at;
    let head = log.signed_head().expect("signed");
    let seen = Some(Seen { length: head.length(), hash: head.tree_hash() });
    let calls = [
        bob.plain(now),
        eve.plain(now),
        bob.sign(now + 2, seen, Some(&[now + 1])),
        eve.sign(now + 900, seen, None),
    ];
    let entries: Vec<_> = (3..).zip(calls).map(|(result, by)| entry(at, key(by), 1, result)).collect();
    log.append(&entries).expect("a disk");
    (place, log)
}

/// The signed head of each length, as an honest host has signed it when its log had that length.
fn heads(log: &Core) -> Vec<SignedHead> {
    let secret = log.secret_key().expect("the host's own");
    let mut roots = Roots::default();
    let head = |block: BlockIndex| {
        roots.append(&log.block(block).expect("readable"));
        SignedHead::sign(&secret, roots.length(), roots.tree_hash())
    };
    each(log.length().blocks()).map(head).collect()
}

fn blocks(log: &Core) -> Vec<(BlockIndex, Vec<u8>)> {
    each(log.length().blocks()).map(|block| (block, log.block(block).expect("readable"))).collect()
}

fn node(log: &Core) -> impl Fn(u64) -> Option<Node> {
    |index| log.node(index).expect("readable")
}

/// Every violation that could be said of a log's blocks under one of its heads, with all parts and with one left out.
fn accusations(log: &Core, head: &SignedHead) -> Vec<Proof> {
    let blocks: Vec<_> = blocks(log).into_iter().filter(|(block, _)| head.length().has(*block)).collect();
    let mut made = vec![];
    for class in Class::ALL {
        for (number, block) in &blocks {
            for (other, earlier) in blocks.iter().filter(|(other, _)| other <= number) {
                let entries = [blocks[0].clone(), (*number, block.clone()), (*other, earlier.clone())];
                made.extend(Violation::make(head, class, *number, entries, node(log)));
            }
        }
    }
    let mut all = made.clone();
    for proof in made.iter().step_by(5) {
        for left_out in 0..proof.entries.len() {
            let mut part = proof.clone();
            part.entries.remove(left_out);
            all.push(part);
        }
        let mut part = proof.clone();
        part.path.pop();
        all.push(part);
    }
    all.into_iter().map(Proof::Violation).collect()
}

/// Files that mix two logs: the blocks of one under the head of the other, and one's head under the other's name.
fn mixtures(log: &Core, other: &Core) -> Vec<Proof> {
    let [ours, theirs] = [log, other].map(|log| log.signed_head().expect("signed"));
    let mut made = vec![];
    for class in Class::ALL {
        for (number, block) in blocks(other).into_iter().skip(1) {
            let entries = [blocks(log)[0].clone(), (number, block)];
            made.extend(Violation::make(&ours, class, number, entries.clone(), node(log)));
            made.extend(Violation::make(&ours, class, number, entries.clone(), node(other)));
            let renamed = Violation::make(&theirs, class, number, entries, node(other));
            made.extend(renamed.map(|mut proof| {
                proof.checkpoint.log = log.key();
                proof
            }));
        }
    }
    made.into_iter().map(Proof::Violation).collect()
}

/// Pairs of heads that say to contradict each other. What none of the makers gives is put together out of one that is made.
fn forks(log: &Core, other: &Core) -> Vec<Proof> {
    let secret = other.secret_key().expect("the host's own");
    let [one, two] = [0, 1].map(|hash| SignedHead::sign(&secret, Length(3), TreeHash([hash; 32])));
    let template = Equivocation::between(&one, &two, vec![]).expect("they differ");
    let all = [heads(log), heads(other)].concat();
    let mut made = vec![];
    for ours in heads(log) {
        for theirs in &all {
            let mut proof = template.clone();
            proof.heads = vec![(&ours).into(), theirs.into()];
            made.push(proof.clone());
            proof.heads[1].log = log.key();
            made.push(proof.clone());
            proof.heads[1].fork = 1;
            made.push(proof.clone());
            for at in 1..=ours.length().min(theirs.length()).0 {
                let path = |length: u64| {
                    let cover = Cover::new(Length(length), [], Some(Length(at))).expect("inside");
                    if at == length { vec![] } else { cover.nodes(node(log)).unwrap_or_default() }
                };
                let mut proof = template.clone();
                proof.heads = vec![(&ours).into(), theirs.into()];
                proof.at = Some(Length(at));
                proof.paths = Some([path(ours.length().0), path(theirs.length().0)]);
                made.push(proof);
            }
        }
    }
    made.into_iter().map(Proof::Equivocation).collect()
}

/// All that could be said of an honest host.
fn accusing_proofs() -> Vec<Proof> {
    let ((_place, log), (_other_place, other)) = (with_calls(), with_calls());
    let mut files: Vec<Proof> = heads(&log).iter().flat_map(|head| accusations(&log, head)).collect();
    files.extend(mixtures(&log, &other));
    files.extend(forks(&log, &other));
    files
}

/// The files that say it.
pub(crate) fn accusing_files() -> Vec<Vec<u8>> {
    accusing_proofs().iter().map(Proof::encode).collect()
}

#[test]
fn no_file_convicts_an_honest_host_whatever_its_maker_leaves_out_or_mixes() {
    let files = accusing_proofs();
    assert!(files.len() > 1_000, "{}", files.len());
    let bytes: Vec<Vec<u8>> = files.iter().map(Proof::encode).collect();
    for (verdict, proof) in check_proofs(&bytes).iter().zip(&files) {
        assert!(verdict["verdict"] == "fails" || verdict["verdict"] == "cannot-tell", "{verdict} {proof:?}");
    }
}

/// A proof of each kind that holds.
fn true_proofs() -> Vec<Proof> {
    let (_place, mut log) = with_calls();
    let secret = log.secret_key().expect("the host's own");
    let (bob, at) = (Signer::new(1, log.key()), time_after(&log));
    let call = bob.plain(1_000 * at);
    let hash = call.call_hash(&log.key(), "inc", &args(1));
    let refusal = Refusal::sign(&secret, &hash, Reason::Early, 1_000 * at + 7, None);
    let refused = FalseRefusal::new(SignedCall::new(&call, "inc", args(1)), refusal);
    let repeated = log.length() - Length(1);
    let block = log.block(BlockIndex(repeated)).expect("readable");
    let broken = log.length();
    log.append(&[block, b"no entry".to_vec()]).expect("a disk");
    let head = log.signed_head().expect("signed");
    let read = |block| (block, log.block(block).expect("readable"));
    let violation = |class, block, others: &[u64]| {
        let entries = others.iter().chain([&0, &block]).map(|block| read(BlockIndex(*block)));
        Proof::Violation(
            Violation::make(&head, class, BlockIndex(block), entries, node(&log))
                .expect("all nodes are kept"),
        )
    };
    let other = SignedHead::sign(&secret, Length(5), TreeHash([9; 32]));
    let cover = Cover::new(head.length(), [], Some(Length(5))).expect("inside");
    let nodes = cover.nodes(node(&log)).expect("all nodes are kept");
    vec![
        Proof::Inclusion(
            Inclusion::make(&head, BlockIndex(2), read(BlockIndex(2)).1, node(&log))
                .expect("all nodes are kept"),
        ),
        violation(Class::RepeatedNonce, broken.0, &[repeated]),
        violation(Class::MalformedEntry, (broken + 1).0, &[]),
        Proof::Equivocation(Equivocation::between(&head, &other, nodes).expect("they differ")),
        Proof::FalseRefusal(Box::new(refused)),
    ]
}

/// One of the ways in which a file is damaged.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let (at, other) = (dice.index(bytes.len()), dice.index(bytes.len()));
    match dice.below(10) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, u8::try_from(dice.below(256)).expect("a byte")),
        2 => drop(bytes.remove(at)),
        3 => bytes.swap(at, other),
        _ => bytes[at] ^= 1 << dice.below(8),
    }
}

#[test]
fn a_damaged_file_is_never_believed() {
    let proofs = true_proofs();
    let whole: Vec<Vec<u8>> = proofs.iter().map(Proof::encode).collect();
    for verdict in check_proofs(&whole) {
        assert_eq!(verdict["verdict"], json!("holds"), "{verdict}");
    }
    let mut dice = Dice::new(7);
    for bytes in whole {
        let damaged = |_| {
            let mut damaged = bytes.clone();
            while damaged == bytes {
                damage(&mut damaged, &mut dice);
            }
            damaged
        };
        let files: Vec<Vec<u8>> = (0..DAMAGES).map(damaged).collect();
        for verdict in check_proofs(&files) {
            assert_ne!(verdict["verdict"], json!("holds"), "{verdict}");
        }
    }
}
