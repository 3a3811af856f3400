//! Packets of forgers and hostile remotes. None may panic, cost much, or be believed.

use std::time::Duration;

use libvms_hypercore::time::Instant;
use libvms_hyperswarm::udx::{CloseReason, Config, Endpoint, Event, Firewall, Path, Received};
use proptest::prelude::*;

use super::link::{IDS, Link, World, path, pattern};

const DATA: u8 = 1;
const END: u8 = 2;
const SACK: u8 = 4;
const MESSAGE: u8 = 8;
const DESTROY: u8 = 16;
const HEARTBEAT: u8 = 32;

/// Returns a packet with the usual window and no data offset.
pub(crate) fn packet(kind: u8, stream: u32, sequence: u32, acknowledged: u32, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xff, 1, kind, 0];
    for number in [stream, 4_194_304, sequence, acknowledged] {
        packet.extend_from_slice(&number.to_le_bytes());
    }
    packet.extend_from_slice(rest);
    packet
}

fn with_window(mut packet: Vec<u8>, window: u32) -> Vec<u8> {
    packet[8..12].copy_from_slice(&window.to_le_bytes());
    packet
}

fn blocks(blocks: &[(u32, u32)]) -> Vec<u8> {
    blocks.iter().flat_map(|(start, end)| [start.to_le_bytes(), end.to_le_bytes()].concat()).collect()
}

/// Creates a sender in the middle of its work: packets are in flight, some have arrived.
fn busy_world() -> (World, Vec<u8>) {
    let mut world = World::new(3, Link { loss_permille: 50, ..Link::good(20) });
    let written = pattern(1, 300_000);
    world.sides[0].to_write.extend(&written);
    world.run_until(Duration::from_millis(100));
    (world, written)
}

/// Checks that the stream goes on as if nothing had happened.
fn assert_unharmed(mut world: World, written: &[u8]) {
    world.run_until(Duration::from_secs(60));
    assert_eq!(world.sides[1].read.len(), written.len());
    assert!(world.sides[1].read == written);
    world.sides[1].endpoint.write(IDS[1], b"still here").expect("open");
    world.run_until(Duration::from_secs(70));
    assert_eq!(world.sides[0].read, b"still here");
}

/// Sends packets with the remote's forged address to the sender.
fn harmless_to_sender(packets: impl IntoIterator<Item = Vec<u8>>) {
    let (mut world, written) = busy_world();
    for packet in packets {
        world.deliver(0, &packet);
    }
    assert_unharmed(world, &written);
}

#[test]
fn an_acknowledgement_of_unsent_packets_is_ignored() {
    harmless_to_sender([u32::MAX, 0x7fff_ffff, 0x8000_0000, 5_000].map(|ack| packet(0, IDS[0], 0, ack, b"")));
}

#[test]
fn an_acknowledgement_from_behind_is_ignored() {
    harmless_to_sender((0..3).map(|ack| packet(0, IDS[0], 0, ack, b"")));
}

#[test]
fn a_sack_of_all_numbers_is_ignored() {
    harmless_to_sender(
        [(0, u32::MAX), (1, u32::MAX), (0, 0x7fff_ffff), (u32::MAX, 0)]
            .map(|block| packet(SACK, IDS[0], 0, 0, &blocks(&[block]))),
    );
}

#[test]
fn a_sack_that_ends_before_it_begins_is_ignored() {
    harmless_to_sender([(9, 3), (7, 7), (30, 29)].map(|block| packet(SACK, IDS[0], 0, 0, &blocks(&[block]))));
}

#[test]
fn a_sack_of_too_many_blocks_is_ignored_or_cut() {
    let many: Vec<_> = (0..250u32).map(|at| (5_000 + 2 * at, 5_001 + 2 * at)).collect();
    harmless_to_sender([
        packet(SACK, IDS[0], 0, 0, &blocks(&many)),
        packet(SACK, IDS[0], 0, 0, &[0xff; 1999]),
    ]);
}

#[test]
fn a_data_offset_beyond_the_packet_drops_it_without_an_answer() {
    let (mut world, written) = busy_world();
    for kind in [DATA, SACK, MESSAGE, DATA | SACK | END] {
        let mut forged = packet(kind, IDS[0], 0, 0, b"evil");
        forged[3] = 5;
        assert_eq!(world.deliver(0, &forged), Received::Taken);
        assert!(world.sides[0].read.is_empty() && world.sides[0].messages.is_empty());
    }
    assert_unharmed(world, &written);
}

#[test]
fn a_number_from_the_far_future_is_not_held() {
    let mut endpoint = connected(Config::default());
    let mut datagram = vec![];
    for sequence in [4096, 5000, 0x7fff_fff0, 0x8000_0001] {
        endpoint.handle_datagram(Instant::START, path(0), &packet(DATA, IDS[1], sequence, 0, b"evil"));
    }
    while endpoint.poll_transmit(Instant::START, &mut datagram).is_some() {
        assert_eq!((datagram[2], datagram.len()), (0, 20), "no SACK of it");
    }
    endpoint.handle_datagram(Instant::START, path(0), &packet(DATA, IDS[1], 0, 0, b"good"));
    let mut read = [0; 10];
    assert_eq!(endpoint.read(IDS[1], &mut read), Ok(4));
}

#[test]
fn a_window_with_a_far_future_number_is_not_believed() {
    let forged = with_window(packet(0, IDS[0], 0x7000_0000, 0, b""), 0);
    harmless_to_sender([forged]);
}

#[test]
fn a_destroy_out_of_window_or_from_elsewhere_is_ignored() {
    let mut endpoint = connected(Config::default());
    endpoint.handle_datagram(Instant::START, path(0), &packet(DATA, IDS[1], 0, 0, b"x"));
    let elsewhere = [
        Path::of(([192, 0, 2, 1], 4001).into()),
        Path::of(([192, 0, 2, 7], 4000).into()),
        Path { socket: 1, ..path(0) },
    ];
    endpoint.handle_datagram(Instant::START, path(0), &packet(DESTROY, IDS[1], 0, 0, b""));
    endpoint.handle_datagram(Instant::START, path(0), &packet(DESTROY, IDS[1], 0x4000_0000, 0, b""));
    for from in elsewhere {
        endpoint.handle_datagram(Instant::START, from, &packet(DESTROY, IDS[1], 1, 0, b""));
    }
    let closed = (IDS[1], Event::Closed(CloseReason::Reset));
    assert!(!events(&mut endpoint).contains(&closed));
    endpoint.handle_datagram(Instant::START, path(0), &packet(DESTROY, IDS[1], 1, 0, b""));
    assert!(events(&mut endpoint).contains(&closed));
}

#[test]
fn nothing_from_another_address_is_believed_or_answered() {
    let (mut world, written) = busy_world();
    let (now, from) = (world.time(), Path::of(([203, 0, 113, 9], 4000).into()));
    let count = world.sides[1].read.len();
    for sequence in 0..600 {
        for kind in [DATA, END, MESSAGE, HEARTBEAT, DESTROY, DATA | END, 0] {
            let forged = with_window(packet(kind, IDS[1], sequence, sequence, b"evil"), 0);
            assert_eq!(world.sides[1].endpoint.handle_datagram(now, from, &forged), Received::Taken);
            let forged = with_window(packet(kind, IDS[0], sequence, sequence, b"evil"), 0);
            assert_eq!(world.sides[0].endpoint.handle_datagram(now, from, &forged), Received::Taken);
        }
    }
    assert_eq!(world.sides[1].endpoint.poll_transmit(now, &mut vec![]), None);
    assert_eq!((world.sides[1].read.len(), world.sides[1].messages.len()), (count, 0));
    assert_unharmed(world, &written);
}

#[test]
fn data_beyond_the_end_and_a_second_end_are_not_read() {
    let mut endpoint = connected(Config::default());
    for forged in [
        packet(END, IDS[1], 3, 0, b""),
        packet(DATA, IDS[1], 4, 0, b"beyond"),
        packet(END, IDS[1], 2, 0, b""),
        packet(DATA | END, IDS[1], 5, 0, b"beyond"),
    ] {
        endpoint.handle_datagram(Instant::START, path(0), &forged);
    }
    for (sequence, data) in [b"a", b"b", b"c"].into_iter().enumerate() {
        endpoint.handle_datagram(Instant::START, path(0), &packet(DATA, IDS[1], sequence as u32, 0, data));
    }
    endpoint.handle_datagram(Instant::START, path(0), &packet(DATA, IDS[1], 4, 0, b"beyond"));
    let mut read = [0; 20];
    assert_eq!(endpoint.read(IDS[1], &mut read), Ok(3));
    assert_eq!(&read[..3], b"abc");
    assert!(events(&mut endpoint).contains(&(IDS[1], Event::RemoteEnded)));
}

#[test]
fn a_flood_of_heartbeats_gets_at_most_as_much_as_it_sends() {
    let mut endpoint = connected(Config::default());
    let (mut sent, mut received, mut datagram) = (0, 0, vec![]);
    for at in 0..10_000 {
        let heartbeat = packet(HEARTBEAT, IDS[1], 0, 0, b"");
        received += heartbeat.len();
        endpoint.handle_datagram(Instant::from_micros(at), path(0), &heartbeat);
        while endpoint.poll_transmit(Instant::from_micros(at), &mut datagram).is_some() {
            sent += datagram.len();
        }
    }
    assert!(sent <= received, "{sent} for {received}");
}

/// They are left to other users of the socket.
#[test]
fn packets_for_unknown_ids_are_not_answered() {
    let mut endpoint = connected(Config::default());
    for kind in 0..=255 {
        let stray = packet(kind, 0xdead_beef, 0, 0, b"x");
        assert_eq!(endpoint.handle_datagram(Instant::START, path(0), &stray), Received::NotOurs);
    }
    for dht in [&[0x03; 40][..], &[0x13; 40], &[0x00], &[], &[0xff, 1, 1]] {
        assert_eq!(endpoint.handle_datagram(Instant::START, path(0), dht), Received::NotOurs);
    }
    assert_eq!(endpoint.poll_transmit(Instant::START, &mut vec![]), None);
    let from_nowhere = Path::of(([192, 0, 2, 1], 0).into());
    assert_eq!(
        endpoint.handle_datagram(Instant::START, from_nowhere, &packet(DATA, IDS[1], 0, 0, b"x")),
        Received::NotOurs
    );
}

#[test]
fn a_window_that_stays_closed_costs_a_heartbeat_now_and_then() {
    let mut endpoint = connected(Config::default());
    endpoint.write(IDS[1], &vec![1; 2_000_000]).expect("open");
    let (mut now, mut datagram, mut next, mut sent_closed) = (Instant::START, vec![], 0u32, 0);
    while now < Instant::after(Duration::from_secs(600)) {
        while endpoint.poll_transmit(now, &mut datagram).is_some() {
            match datagram[2] {
                DATA => {
                    next = next
                        .max(u32::from_le_bytes([datagram[12], datagram[13], datagram[14], datagram[15]]) + 1)
                }
                kind => {
                    assert_eq!((kind, datagram.len()), (HEARTBEAT, 20));
                    sent_closed += 1;
                }
            }
        }
        let answer = with_window(packet(0, IDS[1], 0, next, b""), 0);
        endpoint.handle_datagram(now, path(0), &answer);
        while endpoint.poll_transmit(now, &mut datagram).is_some() {
            sent_closed += u32::from(datagram[2] == HEARTBEAT);
        }
        now = endpoint.poll_timeout().expect("a heartbeat").max(now + Duration::from_millis(1));
    }
    assert!((290..=320).contains(&sent_closed), "{sent_closed} heartbeats in ten minutes");
    let accepted = endpoint.write(IDS[1], &vec![1; 2_000_000]).expect("open");
    assert!(accepted < 20_000, "{accepted}: no more is taken than what the first packets made room for");
    // When it opens, all goes on.
    endpoint.handle_datagram(now, path(0), &packet(0, IDS[1], 0, next, b""));
    assert!(endpoint.poll_transmit(now, &mut datagram).is_some());
    assert_eq!(datagram[2], DATA);
}

#[test]
fn a_window_that_flaps_sends_each_byte_once() {
    let mut endpoint = connected(Config::default());
    endpoint.write(IDS[1], &pattern(4, 100_000)).expect("open");
    let (mut now, mut datagram, mut next, mut payload) = (Instant::START, vec![], 0u32, 0);
    for round in 0..10_000u32 {
        while endpoint.poll_transmit(now, &mut datagram).is_some() {
            if datagram[2] == DATA {
                next += 1;
                payload += datagram.len() - 20 - usize::from(datagram[3]);
            }
        }
        let window = [0, 1, 4_194_304, 0, u32::MAX, 700][round as usize % 6];
        endpoint.handle_datagram(now, path(0), &with_window(packet(0, IDS[1], 0, next, b""), window));
        now += Duration::from_millis(1);
    }
    assert_eq!(payload, 100_000);
}

#[test]
fn empty_data_is_acknowledged_and_takes_no_room() {
    let mut endpoint = connected(Config { receive_bytes_max: 1000, ..Config::default() });
    let mut datagram = vec![];
    for sequence in 0..20_000 {
        let now = Duration::from_millis(sequence.into());
        endpoint.handle_datagram(Instant::after(now), path(0), &packet(DATA, IDS[1], sequence, 0, b""));
        // An acknowledgement may be delayed, but not for long.
        let soon = now + Duration::from_micros(500);
        assert_eq!(endpoint.poll_transmit(Instant::after(soon), &mut datagram), Some(path(0)));
        assert_eq!(datagram[16..20], (sequence + 1).to_le_bytes());
    }
    assert_eq!(endpoint.readable_bytes(IDS[1]), 0);
}

#[test]
fn an_unconnected_stream_takes_packets_of_one_path_at_a_time() {
    let mut endpoint = Endpoint::new(Config::default());
    endpoint.open(Instant::START, 5, Firewall::Open).expect("a free id");
    let stranger = Path::of(([203, 0, 113, 9], 1).into());
    endpoint.handle_datagram(Instant::START, stranger, &packet(DATA, 5, 0, 0, b"evil"));
    endpoint.handle_datagram(Instant::START, path(0), &packet(DATA, 5, 0, 0, b"good"));
    assert_eq!(endpoint.poll_event(), Some((5, Event::IncomingPath(stranger))));
    endpoint.refuse(5).expect("a stream");
    assert_eq!((events(&mut endpoint), endpoint.readable_bytes(5)), (vec![], 0));
    // Packets of a second stranger are not the remote's either.
    endpoint.handle_datagram(Instant::START, stranger, &packet(DATA, 5, 0, 0, b"evil"));
    endpoint.connect(Instant::START, 5, path(0), 6).expect("not connected");
    assert_eq!(endpoint.readable_bytes(5), 0);
    endpoint.handle_datagram(Instant::START, path(0), &packet(DATA, 5, 0, 0, b"good"));
    assert_eq!(endpoint.readable_bytes(5), 4);
}

#[test]
fn a_flood_for_one_stream_stays_within_its_bounds() {
    let config = Config { receive_bytes_max: 50_000, ..Config::default() };
    let mut endpoint = connected(config);
    for sequence in (1..4096).rev() {
        endpoint.handle_datagram(
            Instant::START,
            path(0),
            &packet(DATA | MESSAGE, IDS[1], sequence, 0, &[7; 1400]),
        );
    }
    let mut messages = 0;
    while endpoint.receive_message(IDS[1]).expect("a stream").is_some() {
        messages += 1;
    }
    assert_eq!(messages, 64);
    endpoint.handle_datagram(Instant::START, path(0), &packet(DATA, IDS[1], 0, 0, &[7; 1400]));
    let mut datagram = vec![];
    assert!(endpoint.poll_transmit(Instant::START, &mut datagram).is_some());
    assert!(datagram.len() <= 20 + 50 * 8);
    assert!(u32::from_le_bytes([datagram[8], datagram[9], datagram[10], datagram[11]]) < 2_000);
}

proptest! {
    #[test]
    fn no_datagrams_corrupt_the_endpoint(
        datagrams in prop::collection::vec((any_datagram(), 0..3u8, 0..3_000u64), 0..200),
        config in (0..5_000usize, 0..5_000usize),
    ) {
        let (receive_bytes_max, unsent_bytes_max) = config;
        let keepalive = Some(Duration::from_millis(700));
        let mut endpoint = connected(Config { receive_bytes_max, unsent_bytes_max, keepalive });
        endpoint.open(Instant::START, 7, Firewall::Open).expect("a free id");
        let (mut now, mut out) = (Instant::START, vec![]);
        for (datagram, from, later) in datagrams {
            now += Duration::from_millis(later);
            let _ = endpoint.write(IDS[1], &[1; 3_000]);
            endpoint.handle_datagram(now, path(usize::from(from)), &datagram);
            for _ in 0..10_000 {
                if endpoint.poll_transmit(now, &mut out).is_none() {
                    break;
                }
                prop_assert!(out.len() >= 20 && out.len() <= 1472);
            }
            prop_assert_eq!(endpoint.poll_transmit(now, &mut out), None, "it has an end");
            prop_assert!(events(&mut endpoint).len() <= 14);
            prop_assert!(endpoint.readable_bytes(IDS[1]) <= receive_bytes_max + 2048);
            prop_assert!(endpoint.poll_timeout().is_none_or(|at| at > now));
        }
    }

    #[test]
    fn forged_acknowledgements_never_change_the_bytes_read(
        seed in any::<u64>(),
        forged in prop::collection::vec((0..3u8, any::<u32>(), 0..400u32, 0..400u32, 0..400u32), 0..30),
    ) {
        let mut world = World::new(seed, Link { loss_permille: 30, ..Link::good(10) });
        let written = pattern(seed, 200_000);
        world.sides[0].to_write.extend(&written);
        for (step, (kind, wild, start, end, ack)) in forged.into_iter().enumerate() {
            world.run_until(Duration::from_millis(10 * step as u64));
            let (sequence, ack) = if kind == 0 { (wild, wild) } else { (0, ack) };
            let body = blocks(&[(start, end), (wild, end), (start, wild)]);
            world.deliver(0, &packet(SACK, IDS[0], sequence, ack, &body));
        }
        world.run_until(Duration::from_secs(200));
        // Plausible lies about received packets may stop a stream. The bytes read are a prefix of those written.
        let read = &world.sides[1].read;
        prop_assert!(written.starts_with(read));
    }
}

/// Generates datagrams, most of them for a stream.
fn any_datagram() -> impl Strategy<Value = Vec<u8>> {
    let number = || prop_oneof![0..20u32, any::<u32>(), Just(u32::MAX), 4090..4100u32];
    let id = prop_oneof![6 => Just(IDS[1]), 2 => Just(7), 1 => any::<u32>()];
    let rest = prop::collection::vec(any::<u8>(), 0..1500);
    let formed = (any::<u8>(), any::<u8>(), id, (number(), number(), number()), rest).prop_map(
        |(kind, offset, id, (window, sequence, ack), rest)| {
            let mut packet = with_window(packet(kind, id, sequence, ack, &rest), window);
            packet[3] = if offset < 128 { 0 } else { offset };
            packet
        },
    );
    prop_oneof![9 => formed, 1 => prop::collection::vec(any::<u8>(), 0..100)]
}

/// Returns the second side of a world, alone.
fn connected(config: Config) -> Endpoint {
    let mut endpoint = Endpoint::new(config);
    endpoint.open(Instant::START, IDS[1], Firewall::Closed).expect("a free id");
    endpoint.connect(Instant::START, IDS[1], path(0), IDS[0]).expect("not connected");
    endpoint
}

fn events(endpoint: &mut Endpoint) -> Vec<(u32, Event)> {
    std::iter::from_fn(|| endpoint.poll_event()).collect()
}
