//! Two histories of one core.

use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::replication::{Evidence, HeadProof, PeerId};
use libvms_hypercore::signed_head::{SignedHead, UnverifiedHead, signable};
use libvms_hypercore::tree::{Node, TreeHash, index};
use libvms_hypercore::wire::message::DataUpgrade;
use libvms_protocol::proof::path::Cover;
use libvms_protocol::proof::{Equivocation, Proof, Verdict};

use super::world::Log;
use super::{assert_cannot_tell, assert_fails, assert_holds_only_whole};

/// Returns two logs of one key that have their first `common` blocks in common.
pub(super) fn forked(common: u64, length: u64, other_length: u64) -> [Log; 2] {
    let mut log = Log::signed();
    log.fill(common - 1);
    let mut other = log.clone();
    while log.length() < length {
        log.push_call_of("one");
    }
    while other.length() < other_length {
        other.push_call_of("other");
    }
    [log, other]
}

fn cover(log: &Log, length: u64, at: u64) -> Vec<Node> {
    let cover = Cover::new(Length(length), [], Some(Length(at))).expect("inside");
    cover.nodes(|index| log.node(index)).expect("all nodes are kept")
}

/// Returns a head as replication proves it from an earlier length.
fn proved(log: &Log, at: u64) -> HeadProof {
    let nodes = |indices: Vec<u64>| indices.into_iter().filter_map(|index| log.node(index)).collect();
    let upgrade = DataUpgrade {
        start: Length(0),
        length: at,
        nodes: nodes(index::roots(Length(at)).collect()),
        additional_nodes: nodes(index::growth(Length(at), Length(log.length())).collect()),
        signature: log.head().signature().0.to_vec(),
    };
    HeadProof::check(log.public_key(), 0, upgrade).expect("our own")
}

fn truncated(log: &Log, fork: u64) -> SignedHead {
    let (length, tree_hash) = (log.length(), log.head().tree_hash());
    let signature = log.key.sign(&signable(Length(length), fork, &tree_hash));
    UnverifiedHead { key: log.public_key(), length: Length(length), fork, tree_hash, signature }
        .verify()
        .expect("signed")
}

#[test]
fn a_head_after_a_truncation_convicts() {
    let log = Log::signed();
    let proof = Equivocation::from_fork(&truncated(&log, 3)).expect("evidence");
    assert_holds_only_whole(&Proof::Equivocation(proof));
    assert_eq!(Equivocation::from_fork(&log.head()), None);
}

#[test]
fn two_heads_of_one_length_convict() {
    let [log, other] = forked(3, 5, 5);
    let proof = Equivocation::between(&log.head(), &other.head(), vec![]).expect("they differ");
    assert_eq!(Equivocation::between(&other.head(), &log.head(), vec![]), Some(proof.clone()));
    assert_eq!((proof.at, &proof.paths), (None, &None));
    assert_holds_only_whole(&Proof::Equivocation(proof));
}

#[test]
fn two_lengths_convict_where_the_shorter_is_no_part_of_the_longer() {
    for common in 1..9 {
        for length in common + 1..12 {
            for other_length in common + 1..12 {
                let [log, other] = forked(common, length, other_length);
                let (shorter, longer) = if length <= other_length { (&log, &other) } else { (&other, &log) };
                let nodes = cover(longer, longer.length(), shorter.length());
                let proof = Equivocation::between(&log.head(), &other.head(), nodes).expect("they differ");
                assert_eq!(Proof::Equivocation(proof).check(), Verdict::Holds);
                for at in common + 1..=shorter.length() {
                    let (ours, theirs) = (Box::new(proved(&log, at)), Box::new(proved(&other, at)));
                    let evidence = Evidence::Conflict { peer: PeerId(1), ours, theirs };
                    let proof = Equivocation::from_evidence(&evidence).expect("it convicts");
                    assert_eq!(Proof::Equivocation(proof).check(), Verdict::Holds);
                }
                for at in 1..=common {
                    assert_eq!(Equivocation::from_conflict(&proved(&log, at), &proved(&other, at)), None);
                }
            }
        }
    }
}

#[test]
fn a_proof_of_two_lengths_holds_as_a_whole_only() {
    let [log, other] = forked(3, 5, 7);
    let proof = Equivocation::from_conflict(&proved(&log, 4), &proved(&other, 4)).expect("they differ");
    assert_holds_only_whole(&Proof::Equivocation(proof));
}

#[test]
fn one_history_convicts_nobody() {
    let mut log = Log::signed();
    log.fill(20);
    for length in 1..=21 {
        for other in 1..=length {
            let nodes = cover(&log, length, other);
            assert_eq!(Equivocation::between(&log.head_at(length), &log.head_at(other), nodes), None);
        }
    }
}

#[test]
fn each_damage_fails_or_cannot_be_told() {
    let [log, other] = forked(3, 5, 7);
    let proof = Equivocation::from_conflict(&proved(&log, 4), &proved(&other, 4)).expect("they differ");
    let stranger = SecretKey::from_seed(&[9; 32]);
    let strange = SignedHead::sign(&stranger, Length(5), TreeHash([1; 32]));
    let damaged = |damage: &dyn Fn(&mut Equivocation)| {
        let mut damaged = proof.clone();
        damage(&mut damaged);
        Proof::Equivocation(damaged)
    };
    assert_fails(&damaged(&|proof| proof.heads[1].log = PublicKey([1; 32])), "head");
    assert_fails(&damaged(&|proof| proof.heads[0].length = Length(6)), "head");
    assert_fails(&damaged(&|proof| proof.heads[0].fork = 6), "head");
    assert_fails(&damaged(&|proof| proof.heads[0] = (&strange).into()), "heads: they are of different keys");
    assert_fails(&damaged(&|proof| proof.heads[0] = proof.heads[1]), "path");
    assert_fails(&damaged(&|proof| proof.at = Some(Length(6))), "path");
    assert_fails(&damaged(&|proof| proof.at = Some(Length(3))), "path");
    let common = |log: &Log, length| cover(log, length, 3);
    let same = |proof: &mut Equivocation| {
        (proof.at, proof.paths) = (Some(Length(3)), Some([common(&log, 5), common(&other, 7)]));
    };
    assert_fails(&damaged(&same), "comparison: both histories are the same at length 3");
    assert_cannot_tell(&damaged(&|proof| proof.at = None), "missing");
    assert_cannot_tell(&damaged(&|proof| proof.paths = None), "missing");
    assert_cannot_tell(
        &damaged(&|proof| {
            proof.heads.pop();
        }),
        "there is no other",
    );
    let none = damaged(&|proof| proof.heads.clear()).encode();
    assert!(Proof::decode(&none).is_err());
    let three = damaged(&|proof| proof.heads.push(proof.heads[0])).encode();
    assert!(Proof::decode(&three).is_err());
}
