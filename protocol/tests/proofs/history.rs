//! Two files, or a file and a log, that show two histories of one core.

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_protocol::proof::{Bytes, Equivocation, History, Inclusion, NoFork, Proof, Verdict};

use super::equivocation::forked;
use super::world::Log;

fn receipt(log: &Log, length: u64, block: u64) -> Proof {
    let (block, entry) = log.block(block);
    let made = Inclusion::make(&log.head_at(length), BlockIndex(block.0), entry, |index| log.node(index));
    Proof::Inclusion(made.expect("all nodes are kept"))
}

fn compare(one: &Proof, other: &Proof) -> Result<Equivocation, NoFork> {
    let [mut one, mut other] =
        [one, other].map(|proof| History::all_from_proof(proof).expect("a head").remove(0));
    one.conflict(&mut other)
}

fn holds(made: Result<Equivocation, NoFork>) -> bool {
    made.is_ok_and(|proof| Proof::Equivocation(proof).check() == Verdict::Holds)
}

#[test]
fn two_receipts_that_show_two_entries_in_one_place_convict() {
    for (length, other_length) in [(4, 4), (4, 9), (13, 4), (12, 7)] {
        let [log, other] = forked(3, length, other_length);
        let [ours, theirs] = [receipt(&log, length, 3), receipt(&other, other_length, 3)];
        assert!(holds(compare(&ours, &theirs)) && holds(compare(&theirs, &ours)), "{length}, {other_length}");
        assert_eq!(compare(&ours, &theirs), compare(&theirs, &ours), "both find the same file");
    }
}

#[test]
fn receipts_of_two_histories_convict_or_cannot_be_compared() {
    let mut unknown = 0;
    for length in 4..10 {
        for other_length in 4..10 {
            let [log, other] = forked(3, length, other_length);
            for block in 0..length {
                for other_block in 0..other_length {
                    let [ours, theirs] =
                        [receipt(&log, length, block), receipt(&other, other_length, other_block)];
                    match compare(&ours, &theirs) {
                        Ok(proof) => assert_eq!(Proof::Equivocation(proof).check(), Verdict::Holds),
                        Err(error) => {
                            assert!(matches!(error, NoFork::Unknown { .. }), "{error}");
                            assert_ne!(length, other_length, "two hashes are always compared");
                            unknown += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(unknown > 0, "some nodes are always missing");
}

#[test]
fn receipts_of_one_history_convict_nobody() {
    let mut log = Log::signed();
    log.fill(11);
    for length in 1..12 {
        for other in 1..12 {
            for (block, other_block) in
                (0..length).flat_map(|block| (0..other).map(move |other| (block, other)))
            {
                let made = compare(&receipt(&log, length, block), &receipt(&log, other, other_block));
                assert!(matches!(made, Err(NoFork::Same { .. } | NoFork::Unknown { .. })), "{made:?}");
                assert!(length != other || made == Err(NoFork::Same { length: Length(length) }), "{made:?}");
            }
        }
    }
}

#[test]
fn a_receipt_is_compared_with_a_whole_log() {
    for (length, other_length) in [(4, 4), (5, 11), (7, 8)] {
        let [log, other] = forked(3, length, other_length);
        for block in 0..length {
            let receipt = receipt(&log, length, block);
            let mut shown = History::all_from_proof(&receipt).expect("a head").remove(0);
            let mut whole = History::new(other.head(), |index| other.node(index));
            assert!(holds(shown.conflict(&mut whole)));
            let mut same = History::new(log.head(), |index| log.node(index));
            assert_eq!(shown.conflict(&mut same), Err(NoFork::Same { length: Length(length) }));
        }
    }
}

#[test]
fn an_equivocation_shows_both_of_its_histories() {
    let [log, other] = forked(3, 6, 9);
    let made = compare(&receipt(&log, 6, 3), &receipt(&other, 9, 3)).expect("they differ");
    let shown = History::all_from_proof(&Proof::Equivocation(made)).expect("heads");
    let heads: Vec<_> = shown.iter().map(|history| *history.head()).collect();
    assert_eq!(heads, [log.head(), other.head()]);
    for mut history in shown {
        let [with_log, with_other] = [&log, &other].map(|log| {
            let mut whole = History::new(log.head(), |index| log.node(index));
            holds(history.conflict(&mut whole))
        });
        assert!(with_log != with_other, "each is one of the two");
    }
}

#[test]
fn heads_of_two_keys_convict_nobody() {
    let log = Log::signed();
    let mut stranger = Log::signed();
    stranger.key = SecretKey::from_seed(&[9; 32]);
    stranger.fill(1);
    assert_eq!(compare(&receipt(&log, 1, 0), &receipt(&stranger, 2, 1)), Err(NoFork::OtherKey));
}

#[test]
fn numbers_and_nodes_of_strangers_convict_nobody() {
    let [log, other] = forked(3, 6, 9);
    let [Proof::Inclusion(good), theirs] = [receipt(&log, 6, 3), receipt(&other, 9, 3)] else {
        panic!("a receipt")
    };
    let numbers = [4, 6, 1 << 61, 1 << 62, u64::MAX / 2 + 1, u64::MAX - 1, u64::MAX];
    for number in numbers {
        let mut node = good.path[0];
        node.index = number;
        let mut size = good.path[0];
        size.size = u64::MAX;
        let damage: [&dyn Fn(&mut Inclusion); 4] = [
            &|proof| proof.block = BlockIndex(number),
            &|proof| proof.path = vec![node],
            &|proof| proof.path.extend([node, size]),
            &|proof| proof.entry = Bytes(vec![]),
        ];
        for damage in damage {
            let mut damaged = good.clone();
            damage(&mut damaged);
            let made = compare(&Proof::Inclusion(damaged), &theirs);
            assert!(made.as_ref().is_err() || holds(made.clone()), "{made:?}");
            assert!(made.is_ok() || matches!(made, Err(NoFork::Unknown { .. })), "{made:?}");
        }
    }
    let mut unsigned = good.clone();
    unsigned.checkpoint.length = Length(7);
    assert!(matches!(History::all_from_proof(&Proof::Inclusion(unsigned)), Err(NoFork::Head(_))));
    let mut other_key = good;
    other_key.checkpoint.log = PublicKey([1; 32]);
    assert!(matches!(History::all_from_proof(&Proof::Inclusion(other_key)), Err(NoFork::Head(_))));
}
