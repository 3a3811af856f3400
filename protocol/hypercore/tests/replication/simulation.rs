//! Two and more machines, connected in memory.

use std::time::Duration;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::replication::{
    Config, Download, Evidence, HeadProof, PeerFault, PeerId, Replicator, Store, answer,
};
use libvms_hypercore::time::Instant;
use libvms_hypercore::wire::message::{
    Cancel, Message, NoData, Range, Reason, Region, Request, RequestBlock, Sync,
};

use super::core::{Core, content};
use super::world::{Liar, Machine, World};

fn fetching(download: Download) -> Config {
    Config { download, ..Config::default() }
}

fn writer() -> Config {
    fetching(Download::Nothing)
}

/// Creates a world with one writer and so many empty readers, not linked.
fn world(seed: u64, length: u64, readers: usize) -> World {
    let core = Core::written(length);
    let mut world = World::new(seed, core.clone());
    world.add(core, writer());
    for _ in 0..readers {
        world.add(Core::default(), fetching(Download::All));
    }
    world
}

fn assert_complete(world: &World, readers: impl IntoIterator<Item = usize>) {
    for reader in readers {
        let machine = &world.machines[reader];
        assert!(
            machine.core.is_complete(&world.truth),
            "reader {reader} has {} blocks",
            machine.core.blocks.len()
        );
        assert_eq!(machine.replicator.requests_in_flight(), 0);
    }
}

#[test]
fn a_log_of_every_small_length_is_downloaded() {
    for length in 0..70 {
        let mut world = world(1, length, 1);
        world.link(0, 1);
        world.run(10_000);
        assert!(length == 0 || world.machines[1].core.is_complete(&world.truth), "length {length}");
        assert_eq!((world.machines[0].faults.len(), world.machines[1].faults.len()), (0, 0));
    }
}

#[test]
fn appends_arrive_live_and_blocks_come_once() {
    for seed in 1..20 {
        let mut world = world(seed, 5, 2);
        world.link(0, 1);
        world.link(1, 2);
        let mut length = 5;
        for _ in 0..60 {
            let count = world.dice.below(4) + 1;
            world.append(0, &(length..length + count).map(content).collect::<Vec<_>>());
            length += count;
            let events = world.dice.below(30);
            world.run(events);
        }
        world.run(100_000);
        assert_complete(&world, [1, 2]);
    }
}

#[test]
fn several_peers_share_the_work() {
    let mut world = world(3, 2000, 3);
    world.link(0, 1);
    world.link(0, 2);
    world.run(1_000_000);
    world.link(3, 1);
    world.link(3, 2);
    world.link(3, 0);
    let before: Vec<u64> = world.machines.iter().map(|machine| machine.sent).collect();
    world.run(1_000_000);
    assert_complete(&world, [1, 2, 3]);
    for (source, before) in before.into_iter().enumerate().take(3) {
        assert!(world.machines[source].sent - before > 200, "peer {source} took its part");
    }
}

#[test]
fn only_the_ranges_asked_for_are_downloaded() {
    let mut world = world(4, 500, 0);
    let reader = world.add(
        Core::default(),
        fetching(Download::Ranges(vec![BlockIndex(10)..BlockIndex(20), BlockIndex(400)..BlockIndex(600)])),
    );
    world.link(0, reader);
    world.run(100_000);
    let expected: Vec<u64> = (10..20).chain(400..500).collect();
    assert_eq!(world.machines[reader].core.blocks.keys().copied().collect::<Vec<_>>(), expected);
    world.append(0, &(500..700).map(content).collect::<Vec<_>>());
    world.run(100_000);
    let expected: Vec<u64> = (10..20).chain(400..600).collect();
    assert_eq!(world.machines[reader].core.blocks.keys().copied().collect::<Vec<_>>(), expected);
    let machine = &mut world.machines[reader];
    machine.replicator.download(world.now, BlockIndex(0)..BlockIndex(12), &machine.core);
    world.settle(reader);
    world.run(100_000);
    assert_eq!(world.machines[reader].core.blocks.len(), 220);
}

#[test]
fn blocks_with_gaps_are_found_by_asking() {
    let mut world = world(5, 400, 2);
    let whole = world.truth.clone();
    for source in 0..2 {
        let mut core = whole.clone();
        (0..400).filter(|block| block % 2 != source).for_each(|block| core.clear(block));
        world.machines[source as usize].core = core;
    }
    world.link(2, 0);
    world.link(2, 1);
    world.run(100_000);
    assert_complete(&world, [2]);
    assert_eq!(world.machines[0].faults, []);
}

#[test]
fn a_core_with_gaps_fetches_only_what_it_lacks() {
    let mut world = world(6, 300, 1);
    let mut core = world.truth.clone();
    (0..300).filter(|block| block % 7 == 3).for_each(|block| core.clear(block));
    world.machines[1].core = core;
    world.link(0, 1);
    // Storing a block twice would be noticed.
    world.run(100_000);
    assert_complete(&world, [1]);
}

/// Creates a writer of 100 blocks, a peer that has only the first 70, and a reader that knows the writer's head and no
/// block. The last two are linked.
fn reader_with_a_peer_behind() -> (World, usize, usize) {
    let mut world = world(16, 70, 1);
    let behind = 1;
    world.link(0, behind);
    world.run(100_000);
    world.unlink(0, behind);
    world.append(0, &(70..100).map(content).collect::<Vec<_>>());
    let reader = world.add(Core::default(), fetching(Download::Ranges(vec![])));
    world.link(0, reader);
    world.run(100_000);
    world.unlink(0, reader);
    assert_eq!(
        (world.machines[reader].core.length(), world.machines[reader].core.blocks.len()),
        (Length(100), 0)
    );
    world.link(reader, behind);
    let Machine { replicator, core, .. } = &mut world.machines[reader];
    replicator.download(world.now, BlockIndex(0)..BlockIndex(100), core);
    world.settle(reader);
    world.run(100_000);
    (world, behind, reader)
}

/// Its tree is too short for the proof of some blocks that it has.
#[test]
fn a_shorter_peer_gets_only_requests_that_it_can_prove() {
    // The peer has block 69, but not the nodes from there up to a root that the reader knows.
    let (world, behind, reader) = reader_with_a_peer_behind();
    assert_eq!((world.machines[reader].faults.len(), world.machines[behind].faults.len()), (0, 0));
    assert!(world.is_linked(reader, behind), "nothing had to be refused");
    assert_eq!(world.machines[reader].core.blocks.len(), 0);
}

#[test]
fn a_shorter_peer_is_told_when_we_can_prove_our_length() {
    let (mut world, behind, reader) = reader_with_a_peer_behind();
    assert_eq!(world.machines[behind].core.length(), Length(70), "the reader lacks the nodes for that");
    world.link(0, reader);
    world.run(100_000);
    assert_complete(&world, [reader, behind]);
}

#[test]
fn a_silent_peer_loses_its_requests_to_others() {
    for seed in 1..10 {
        let mut world = world(seed, 300, 3);
        world.link(0, 1);
        world.link(0, 2);
        world.run(100_000);
        world.link(3, 1);
        world.run(seed * 7);
        world.dead.insert((1, 3));
        world.link(3, 2);
        world.run(100_000);
        assert!(world.now > Instant::from_millis(10_000), "it took a time-out");
        assert_complete(&world, [3]);
    }
}

#[test]
fn peers_that_come_and_go_do_not_stop_the_download() {
    for seed in 1..20 {
        let mut world = world(seed, 400, 4);
        for _ in 0..200 {
            let (a, b) = (world.dice.index(5), world.dice.index(5));
            if a != b {
                if world.is_linked(a, b) { world.unlink(a, b) } else { world.link(a, b) }
            }
            let events = world.dice.below(60);
            world.run(events);
        }
        for reader in 1..5 {
            world.unlink(0, reader);
            world.link(0, reader);
        }
        world.run(1_000_000);
        assert_complete(&world, 1..5);
    }
}

/// Downloads from one honest and one lying peer; the lie must not be stored, and must not stop the download.
fn download_beside(liar: Liar, is_caught: bool) {
    for seed in 1..8 {
        let mut world = world(seed, 300, 2);
        world.machines[1].core = world.truth.clone();
        world.machines[1].liar = Some(liar);
        // The liar comes first, so that it gets all the requests.
        world.link(2, 1);
        let events = world.dice.below(100) + 50;
        world.run(events);
        world.link(2, 0);
        world.run(200_000);
        assert_complete(&world, [2]);
        assert_eq!(!world.machines[2].faults.is_empty(), is_caught, "{:?}", world.machines[2].faults);
        assert!(world.is_linked(2, 0), "the honest peer stays");
    }
}

#[test]
fn corrupted_blocks_are_refused_and_fetched_elsewhere() {
    download_beside(
        |mut message, dice| {
            if let Message::Data(data) = &mut message
                && let Some(block) = &mut data.block
                && dice.one_in(5)
            {
                block.value[0] ^= 1;
            }
            vec![message]
        },
        true,
    );
}

#[test]
fn valid_proofs_of_the_wrong_block_are_refused() {
    download_beside(
        |message, _| match message {
            Message::Data(data) if data.block.as_ref().is_some_and(|block| block.index == BlockIndex(7)) => {
                let truth = Core::written(300);
                let block = Some(RequestBlock { index: BlockIndex(8), nodes: 8 });
                let request = Request { id: data.request, block, ..Request::default() };
                vec![Message::Data(answer(&truth, &request).expect("it is there"))]
            }
            other => vec![other],
        },
        true,
    );
}

/// It claims every block and delivers none.
#[test]
fn a_peer_with_false_claims_does_not_stop_the_download() {
    download_beside(
        |message, _| match message {
            Message::Sync(sync) => vec![
                Message::Sync(Sync { length: Length((1 << 53) - 1), ..sync }),
                Message::Range(Range { drop: false, start: BlockIndex(0), length: u64::MAX }),
                Message::Range(Range { drop: false, start: BlockIndex(3), length: u64::MAX }),
            ],
            Message::Data(data) => vec![Message::NoData(NoData { request: data.request, reason: Reason(2) })],
            other => vec![other],
        },
        false,
    );
}

#[test]
fn heads_that_the_key_did_not_sign_are_refused() {
    download_beside(
        |mut message, _| {
            if let Message::Data(data) = &mut message
                && let Some(upgrade) = &mut data.upgrade
            {
                upgrade.signature = vec![1; 64];
            }
            vec![message]
        },
        true,
    );
}

/// Up to the bound, requests are answered.
#[test]
fn a_flood_of_requests_ends_the_peer_at_a_bound() {
    let mut world = world(9, 3000, 1);
    world.machines[1].replicator = Replicator::new(super::core::key(), writer());
    world.link(0, 1);
    world.run(1000);
    for id in 1..=100_000 {
        let block = Some(RequestBlock { index: BlockIndex(id % 3000), nodes: 0 });
        world.give(1, 0, Message::Request(Request { id, block, ..Request::default() }));
        if !world.is_linked(0, 1) {
            break;
        }
        if id == 20_000 {
            assert!(world.machines[0].replicator.is_congested(PeerId(1)));
        }
        world.give(1, 0, Message::Cancel(Cancel { request: id + 1 }));
        let start = (id % 9) << 21;
        world.give(
            1,
            0,
            Message::Want(Region { start: BlockIndex(start), length: 1 << 21, any: id % 2 == 0 }),
        );
    }
    assert_eq!(world.machines[0].faults, [PeerFault::TooManyRequests { max: 2048 }]);
    assert!(world.machines[0].sent < 30_000, "answers wait for the connection");
}

/// A JavaScript peer that gets too many refusals stops asking; it is dropped before that.
#[test]
fn a_peer_with_invalid_requests_is_dropped_early() {
    let mut world = world(10, 10, 1);
    world.link(0, 1);
    world.run(1000);
    let mut asked = 0;
    while world.is_linked(0, 1) {
        asked += 1;
        let block = Some(RequestBlock { index: BlockIndex(1 << 62), nodes: 1 << 63 });
        world.give(1, 0, Message::Request(Request { id: asked, block, ..Request::default() }));
    }
    assert!((2..32).contains(&asked));
}

#[test]
fn another_signed_log_is_reported_as_a_conflict() {
    let mut world = world(11, 20, 1);
    world.link(0, 1);
    world.run(10_000);
    // The writer signs a second history of the same log and shows it to others.
    let mut other = Core::written(10);
    other.append(&(10..25).map(|block| vec![block as u8; 3]).collect::<Vec<_>>());
    let forger = world.add(other, writer());
    world.link(1, forger);
    world.run(10_000);
    let evidence = &world.machines[1].evidence;
    assert!(
        matches!(&evidence[..], [Evidence::Conflict { ours, theirs, .. }]
            if theirs.head().length == Length(20) && theirs.head().signed.length() == Length(25) && ours.contradicts(theirs)),
        "{evidence:?}"
    );
    // The forger's peer may be an honest reader of that history: evidence against the writer disconnects no peer.
    assert!(world.machines[1].faults.is_empty(), "{:?}", world.machines[1].faults);
    assert!(world.machines[1].core.is_complete(&world.truth));
}

#[test]
fn two_logs_of_one_length_are_detected_at_any_peer() {
    for (ours, theirs) in [(20, 20), (20, 15), (15, 20), (1, 1), (33, 32)] {
        let mut world = world(11, ours, 2);
        let mut other = Core::written(ours.min(theirs) - 1);
        let rest = (other.length().0..theirs).map(|block| vec![block as u8; 3]).collect::<Vec<_>>();
        other.append(&rest);
        world.link(0, 1);
        world.run(10_000);
        // Two honest readers meet, each with the log that the writer has shown it.
        world.machines[2].core = other;
        world.link(1, 2);
        world.run(10_000);
        for reader in [1, 2] {
            let evidence = &world.machines[reader].evidence;
            let is_proof = |evidence: &Evidence| {
                let Evidence::Conflict { ours, theirs, .. } = evidence else { return false };
                let shown = |head: &HeadProof| HeadProof::check(super::core::key(), 0, head.proof().clone());
                shown(ours).as_ref() == Ok(&**ours)
                    && shown(theirs).as_ref() == Ok(&**theirs)
                    && ours.contradicts(theirs)
            };
            assert!(evidence.iter().any(is_proof), "{ours} {theirs} {reader}: {evidence:?}");
        }
    }
}

#[test]
fn a_peer_that_is_behind_is_compared_and_not_suspected() {
    let mut world = world(16, 10, 2);
    world.link(0, 1);
    world.run(10_000);
    let mut behind = world.truth.clone();
    for length in 10..40 {
        world.append(0, &[content(length)]);
        world.run(10_000);
        if length % 10 == 0 {
            world.machines[2].core = behind;
            world.link(1, 2);
            world.run(10_000);
            world.unlink(1, 2);
        }
        behind = world.truth.clone();
    }
    assert!(world.machines.iter().all(|machine| machine.evidence.is_empty() && machine.faults.is_empty()));
}

#[test]
fn a_log_that_shrinks_is_reported_and_its_head_requested() {
    let mut world = world(12, 20, 1);
    world.link(0, 1);
    world.run(10_000);
    // The writer restores an old copy behind an open channel.
    world.machines[0].core = Core::written(12);
    let Machine { replicator, core, .. } = &mut world.machines[0];
    replicator.handle_store_changed(world.now, core);
    world.settle(0);
    world.run(10_000);
    let evidence = &world.machines[1].evidence;
    assert!(
        matches!(
            &evidence[..],
            [
                Evidence::ShrinkClaimed { before: Length(20), after: Length(12), .. },
                Evidence::ShorterSigned { theirs, .. }
            ] if theirs.length() == Length(12)
        ),
        "{evidence:?}"
    );
    assert_eq!(world.machines[1].core.length(), Length(20));
}

/// A reader that is behind is not.
#[test]
fn a_writer_that_returns_with_a_shorter_log_is_reported() {
    let mut world = world(14, 20, 2);
    world.link(0, 1);
    world.run(10_000);
    // A reader that has nothing yet, and catches up.
    world.link(1, 2);
    world.run(30_000);
    assert!(world.machines[1].evidence.is_empty(), "{:?}", world.machines[1].evidence);
    // The writer restores an old copy while nobody looks.
    world.unlink(0, 1);
    world.machines[0].core = Core::written(12);
    world.link(0, 1);
    world.run(30_000);
    let evidence = &world.machines[1].evidence;
    assert!(
        matches!(&evidence[..], [Evidence::ShorterSigned { theirs, .. }] if theirs.length() == Length(12)),
        "{evidence:?}"
    );
}

#[test]
fn the_window_grows_with_answers_and_shrinks_with_time_outs() {
    let mut world = world(13, 2000, 1);
    world.delay_ms_max = 200;
    world.link(0, 1);
    let mut most = 0;
    for _ in 0..2000 {
        world.step();
        most = most.max(world.machines[1].replicator.requests_in_flight());
    }
    assert_eq!(most, 128);
    world.dead.insert((0, 1));
    while world.now < Instant::from_millis(100_000) && world.step() {}
    assert!(world.machines[1].replicator.requests_in_flight() <= 16, "it is asked less, and less often");
    world.dead.clear();
    world.run(100_000);
    assert_complete(&world, [1]);
}

#[test]
fn a_slow_reader_is_sent_what_it_missed() {
    let mut world = world(14, 3000, 1);
    world.link(0, 1);
    world.run(500);
    // Nothing it is sent counts as written until the link has emptied; meanwhile the log grows.
    for step in 0..50 {
        world.append(0, &[content(3000 + step)]);
    }
    world.run(1_000_000);
    assert_complete(&world, [1]);
}

#[test]
fn ten_thousand_blocks_take_a_bounded_number_of_messages() {
    let mut world = world(15, 10_000, 1);
    world.link(0, 1);
    world.run(1_000_000);
    assert_complete(&world, [1]);
    let sent: u64 = world.machines.iter().map(|machine| machine.sent).sum();
    assert!(sent < 21_000, "{sent} messages");
}

#[test]
fn a_silent_peer_does_not_delay_blocks_that_another_has() {
    for seed in 20..40 {
        let mut world = world(seed, 100, 1);
        let silent = world.add(world.truth.clone(), writer());
        world.link(1, silent);
        world.link(1, 0);
        let events = world.dice.below(40);
        world.run(events);
        world.dead.insert((silent, 1));
        while !world.machines[1].core.is_complete(&world.truth) && world.step() {}
        // The requests that the silent one owes are hedged after two seconds, long before they time out.
        assert!(world.now < Instant::from_millis(5000), "seed {seed}: {:?}", world.now);
    }
}

#[test]
fn a_long_answer_that_is_on_its_way_is_waited_for() {
    let mut world = world(41, 3, 1);
    world.link(0, 1);
    let in_flight = |world: &World| world.machines[1].replicator.requests_in_flight();
    while in_flight(&world) < 2 && world.step() {}
    world.dead.insert((0, 1));
    let asked = in_flight(&world);
    for _ in 0..30 {
        world.now += Duration::from_millis(5000);
        let now = world.now;
        let Machine { replicator, core, .. } = &mut world.machines[1];
        replicator.handle_progress(now, PeerId(0));
        replicator.handle_timeout(now, core);
        world.settle(1);
    }
    assert!(asked >= 2);
    assert_eq!(in_flight(&world), asked, "nothing was taken back in 150 s");
}

#[test]
fn a_log_whose_first_block_is_withheld_is_not_fetched_far_ahead() {
    let mut world = world(42, 40_000, 1);
    world.machines[0].liar = Some(|message, _| match message {
        Message::Data(data) if data.block.as_ref().is_some_and(|block| block.index == BlockIndex(0)) => {
            vec![]
        }
        other => vec![other],
    });
    world.link(0, 1);
    world.run(100_000);
    let fetched = world.machines[1].core.blocks.len();
    assert!((1000..20_000).contains(&fetched), "{fetched} blocks");
}

#[test]
fn evidence_is_reported_once() {
    let mut world = world(43, 20, 1);
    for _ in 0..50 {
        world.link(0, 1);
        world.run(100);
        for fork in 1..10 {
            let sync = Sync { fork, length: Length(5), uploading: true, ..Sync::default() };
            world.give(0, 1, Message::Sync(sync));
        }
        world.unlink(0, 1);
    }
    assert_eq!(world.machines[1].evidence.len(), 9);
}
