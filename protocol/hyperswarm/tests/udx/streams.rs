//! Two of our endpoints: whatever the links do, the bytes read are the bytes written.

use std::time::Duration;

use libvms_hyperswarm::udx::{CloseReason, Config, Event};
use proptest::prelude::*;

use super::link::{IDS, Link, World, pattern};

const FINISHED: Event = Event::Closed(CloseReason::Finished);

fn both_write_and_end(world: &mut World, bytes: [usize; 2]) -> [Vec<u8>; 2] {
    let written = [pattern(5, bytes[0]), pattern(6, bytes[1])];
    for (side, written) in world.sides.iter_mut().zip(&written) {
        side.to_write.extend(written);
        side.ends = true;
    }
    written
}

fn assert_all_arrived(world: &World, written: &[Vec<u8>; 2]) {
    for at in [0, 1] {
        let side = &world.sides[at];
        assert_eq!(side.read.len(), written[1 - at].len(), "side {at}: {:?}", side.events);
        assert!(side.read == written[1 - at], "side {at} has read other bytes");
        assert!(side.has_seen(FINISHED), "side {at}: {:?}", side.events);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// They lose, delay, reorder and double packets.
    #[test]
    fn all_bytes_arrive_intact_over_bad_links(
        seed in any::<u64>(),
        delay_ms in 0..80u64,
        loss_permille in 0..200u64,
        late in (0..300u64, 0..60_000u64),
        duplicate_permille in 0..200u64,
        rate in 100_000..20_000_000u64,
        bytes in (0..200_000usize, 0..60_000usize),
    ) {
        let link = Link {
            loss_permille, duplicate_permille, rate, late_permille: late.0, late_us: late.1,
            queue_bytes: 60_000, ..Link::good(delay_ms)
        };
        let mut world = World::new(seed, link);
        let written = both_write_and_end(&mut world, [bytes.0, bytes.1]);
        world.run_until(Duration::from_secs(600));
        assert_all_arrived(&world, &written);
    }

    #[test]
    fn a_slow_reader_loses_nothing_and_stays_within_its_bound(
        seed in any::<u64>(), loss_permille in 0..100u64, receive_bytes_max in 3_000..60_000usize,
    ) {
        let config = Config { receive_bytes_max, unsent_bytes_max: 10_000, keepalive: None };
        let mut world = World::with_config(seed, Link { loss_permille, ..Link::good(5) }, config);
        let written = both_write_and_end(&mut world, [150_000, 0]);
        world.sides[1].reads = false;
        for round in 1..2_000u64 {
            world.run_until(Duration::from_millis(200 * round));
            prop_assert!(world.sides[1].endpoint.readable_bytes(IDS[1]) <= receive_bytes_max + 2048);
            world.sides[1].reads = true;
            world.work(1);
            world.sides[1].reads = false;
            if world.sides[1].has_seen(FINISHED) {
                break;
            }
        }
        world.sides[1].reads = true;
        world.run_until(Duration::from_secs(1_000));
        assert_all_arrived(&world, &written);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut world = World::new(9, Link { loss_permille: 100, ..Link::good(10) });
        both_write_and_end(&mut world, [100_000, 100_000]);
        world.run_until(Duration::from_secs(100));
        (world.now, world.sides.map(|side| (side.sent_datagrams, side.sent_bytes, side.events)))
    };
    assert_eq!(run(), run());
}

#[test]
fn small_writes_share_packets() {
    let mut world = World::new(1, Link::good(1));
    for _ in 0..1000 {
        world.sides[0].endpoint.write(IDS[0], b"20 bytes are written").expect("open");
    }
    world.run_until(Duration::from_secs(5));
    assert_eq!(world.sides[1].read.len(), 20_000);
    assert!(world.sides[0].sent_datagrams <= 20, "{}", world.sides[0].sent_datagrams);
}

#[test]
fn a_writer_is_told_to_wait_and_when_to_go_on() {
    let config = Config { unsent_bytes_max: 10_000, ..Config::default() };
    let mut world = World::with_config(1, Link::good(1), config);
    let endpoint = &mut world.sides[0].endpoint;
    assert_eq!(endpoint.write(IDS[0], &[1; 30_000]), Ok(10_000));
    assert_eq!(endpoint.write(IDS[0], &[1; 30_000]), Ok(0));
    world.run_until(Duration::from_secs(5));
    assert!(world.sides[0].has_seen(Event::Writable));
    assert_eq!(world.sides[0].endpoint.write(IDS[0], &[1; 30_000]), Ok(10_000));
}

#[test]
fn a_side_that_has_ended_still_reads() {
    let mut world = World::new(1, Link::good(1));
    world.sides[0].ends = true;
    world.run_until(Duration::from_secs(60));
    assert!(world.sides[1].has_seen(Event::RemoteEnded));
    world.sides[1].to_write.extend(b"late");
    world.sides[1].ends = true;
    world.run_until(Duration::from_secs(61));
    assert_eq!(world.sides[0].read, b"late");
    assert!(world.sides.iter().all(|side| side.has_seen(FINISHED)));
    assert!(world.sides[0].endpoint.write(IDS[0], b"more").is_err());
}

#[test]
fn the_last_acknowledgement_may_get_lost() {
    let mut world = World::new(1, Link::good(1));
    both_write_and_end(&mut world, [10, 10]);
    // The last packet of side 1 does not arrive; side 0 asks again, and side 1 has forgotten the stream.
    world.set_link(1, Link { loss_permille: 1000, ..Link::good(1) });
    world.run_until(Duration::from_millis(2));
    world.sides[1].to_write.clear();
    world.set_link(1, Link::good(1));
    world.run_until(Duration::from_secs(5));
    assert!(world.sides.iter().all(|side| side.has_seen(FINISHED)), "{:?}", world.sides[0].events);
}

#[test]
fn a_closed_stream_acknowledges_the_end_for_fifteen_seconds() {
    let mut world = World::new(1, Link::good(1));
    both_write_and_end(&mut world, [10, 10]);
    world.run_until(Duration::from_secs(2));
    assert!(world.sides[0].has_seen(FINISHED));
    let now = world.time();
    let endpoint = &mut world.sides[0].endpoint;
    endpoint.destroy(now, IDS[0]);
    let mut datagram = vec![];
    assert_eq!(endpoint.poll_transmit(now, &mut datagram), None, "a finished stream needs no DESTROY");
    let end = super::attacks::packet(2, IDS[0], 0, 1, b"");
    for (seconds, is_answered) in [(0, true), (14, true), (16, false)] {
        let later = now + Duration::from_secs(seconds);
        endpoint.handle_datagram(later, super::link::path(1), &end);
        let answer = endpoint.poll_transmit(later, &mut datagram);
        assert_eq!(answer.is_some(), is_answered, "after {seconds} seconds");
        if is_answered {
            assert_eq!((datagram[2], &datagram[16..20]), (0, &[1, 0, 0, 0][..]));
        }
    }
}

#[test]
fn a_destroyed_stream_resets_the_remote() {
    let mut world = World::new(1, Link::good(1));
    world.sides[0].to_write.extend(b"unheard");
    world.run_until(Duration::from_secs(1));
    let now = world.time();
    world.sides[1].endpoint.destroy(now, IDS[1]);
    let mut datagram = vec![];
    assert!(world.sides[1].endpoint.poll_transmit(now, &mut datagram).is_some());
    assert_eq!(datagram[2], 16);
    // It gets lost; the next packet of the remote brings it again.
    world.sides[0].endpoint.write(IDS[0], b"more").expect("open");
    let endpoint = &mut world.sides[0].endpoint;
    assert!(endpoint.poll_transmit(now, &mut datagram).is_some());
    world.deliver(1, &datagram);
    assert!(world.sides[1].endpoint.poll_transmit(now, &mut datagram).is_some());
    world.deliver(0, &datagram);
    assert_eq!(world.sides[0].endpoint.poll_event(), Some((IDS[0], Event::Closed(CloseReason::Reset))));
}

#[test]
fn a_silent_remote_ends_the_stream_after_thirteen_seconds() {
    let mut world = World::new(1, Link::good(5));
    world.sides[0].to_write.extend(b"first");
    world.run_until(Duration::from_millis(100));
    world.set_link(0, Link { loss_permille: 1000, ..Link::good(5) });
    world.sides[0].to_write.extend(b"lost");
    world.run_until(Duration::from_secs(60));
    let (at, event) = *world.sides[0].events.last().expect("an event");
    assert_eq!(event, Event::Closed(CloseReason::TimedOut));
    assert!((13_000..13_300).contains(&at.as_millis()), "{at:?}");
    assert!(world.sides[0].endpoint.poll_timeout().is_none(), "nothing is left to do");
}

#[test]
fn messages_arrive_beside_the_stream() {
    let mut world = World::new(1, Link::good(1));
    let endpoint = &mut world.sides[0].endpoint;
    assert_eq!(endpoint.send_message(IDS[0], b"unordered"), Ok(true));
    assert_eq!(endpoint.send_message(IDS[0], b""), Ok(true));
    assert!(endpoint.send_message(IDS[0], &[0; 2000]).is_err());
    world.run_until(Duration::from_secs(1));
    assert_eq!(world.sides[1].messages, [&b"unordered"[..], b""]);
}

#[test]
fn the_mtu_of_a_small_path_is_found() {
    for (datagram_bytes_max, payload_bytes) in [(2000, 1452), (1172, 1152), (1464, 1400)] {
        let mut world = World::new(1, Link { datagram_bytes_max, ..Link::good(3) });
        let written = both_write_and_end(&mut world, [400_000, 0]);
        world.run_until(Duration::from_secs(30));
        assert_all_arrived(&world, &written);
        let statistics = world.sides[0].endpoint.statistics(IDS[0]).expect("a stream");
        let found = statistics.payload_bytes_max;
        assert!((payload_bytes..=datagram_bytes_max - 20).contains(&found), "{found}");
        assert!(statistics.resent_packets <= 3, "only probes are lost: {}", statistics.resent_packets);
    }
}

#[test]
fn a_stream_that_moves_to_another_path_loses_nothing() {
    use libvms_hyperswarm::udx::Path;
    let mut world = World::new(1, Link::good(10));
    let written = both_write_and_end(&mut world, [300_000, 0]);
    world.run_until(Duration::from_millis(40));
    let now = world.time();
    // The world's addresses stay: the socket that the sender uses changes, and back.
    let elsewhere = Path { socket: 7, ..super::link::path(1) };
    world.sides[0].endpoint.redirect(now, IDS[0], elsewhere, IDS[1]).expect("connected");
    let mut datagram = vec![];
    if let Some(path) = world.sides[0].endpoint.poll_transmit(now, &mut datagram) {
        assert_eq!(path, elsewhere);
    }
    world.sides[0].endpoint.redirect(now, IDS[0], super::link::path(1), IDS[1]).expect("connected");
    world.run_until(Duration::from_secs(30));
    assert_all_arrived(&world, &written);
}

#[test]
fn a_keepalive_is_answered_and_detects_a_dead_remote() {
    let config = Config { keepalive: Some(Duration::from_millis(200)), ..Config::default() };
    let mut world = World::with_config(1, Link::good(1), config);
    world.run_until(Duration::from_secs(2));
    assert!((9..=21).contains(&world.sides[0].sent_datagrams), "{}", world.sides[0].sent_datagrams);
    world.set_link(1, Link { loss_permille: 1000, ..Link::good(1) });
    world.run_until(Duration::from_secs(5));
    assert!(world.sides[0].has_seen(Event::Closed(CloseReason::TimedOut)));
}
