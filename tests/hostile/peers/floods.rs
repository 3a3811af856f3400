//! Peers that send or hold more than their share: memory stays below the bound that `libvms::net` states.

use std::time::Duration;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::encoding::Writer;
use libvms_hypercore::wire::Role;
use libvms_hypercore::wire::message::{
    Cancel, Data, DataBlock, Message, Range, Region, Request, RequestBlock, RequestUpgrade, Sync,
};
use serde_json::json;

use super::peer::{Peer, connect_from};
use super::siege::{Siege, Victim, copy};

const MIB: u64 = 1 << 20;
/// What the process itself, its allocator and its threads may take beside what peers are given.
const OWN_BYTES: u64 = 48 * MIB;

fn block(id: u64, index: u64) -> Message {
    Message::Request(Request {
        id,
        block: Some(RequestBlock { index: BlockIndex(index), nodes: 0 }),
        ..Request::default()
    })
}

fn answers(peer: &mut Peer, count: usize) -> Vec<Data> {
    let mut answers = vec![];
    while answers.len() < count {
        match peer.hear().expect("each request is answered") {
            Message::Data(data) => answers.push(data),
            Message::NoData(refusal) => panic!("{refusal:?}"),
            _ => {}
        }
    }
    answers
}

#[test]
fn many_pipelined_requests_are_all_answered() {
    let siege = Siege::new();
    let mut peer = Peer::open(siege.address, siege.log);
    // In one frame, then in a frame each, while no answer is read.
    for id in 1..=1000 {
        peer.queue(&siege.log, &block(id, id % siege.length));
    }
    peer.flush();
    for id in 1001..=2000 {
        peer.say(&siege.log, &block(id, id % siege.length));
    }
    let mut ids: Vec<u64> = answers(&mut peer, 2000).iter().map(|data| data.request).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=2000).collect::<Vec<_>>());
    siege.end();
}

#[test]
fn requests_that_come_while_the_log_grows_are_answered() {
    let mut siege = Siege::new();
    let (address, log, length) = (siege.address, siege.log, siege.length);
    let asking = std::thread::spawn(move || {
        let mut peer = Peer::open(address, log);
        for round in 0..60 {
            let upgrade = Some(RequestUpgrade { start: Length(0), length });
            for id in 1..=20 {
                let request = Request { id: 100 * round + id, upgrade, ..Request::default() };
                let block = Some(RequestBlock { index: BlockIndex(id % length), nodes: 0 });
                peer.queue(&log, &Message::Request(Request { block, ..request }));
            }
            peer.flush();
            for data in answers(&mut peer, 20) {
                assert!(data.block.is_some() && data.upgrade.is_some());
            }
        }
    });
    siege.call(&vec![("count", json!([])); 200]);
    asking.join().expect("every request was answered");
    siege.end();
}

/// Sends this message again and again without ever reading; gives how many went out before the end.
fn flood(siege: &Siege, peer: &mut Peer, most: u64, message: impl Fn(u64) -> Message) {
    let patience = Some(Duration::from_millis(500));
    peer.socket.set_write_timeout(patience).expect("a socket");
    for id in 1..=most {
        peer.queue(&siege.log, &message(id));
        if id % 500 == 0 {
            peer.flush();
            if peer.is_over() {
                break;
            }
        }
    }
}

#[test]
fn floods_of_messages_take_bounded_memory_and_end_nobody_else() {
    let mut siege = Siege::new();
    siege.call(&[("long", json!([900_000]))]);
    let (long, before) = (siege.length - 1, siege.victim.memory("VmRSS"));
    type Flood = Box<dyn Fn(u64) -> Message>;
    let floods: Vec<(&str, Flood)> = vec![
        ("requests of a long block", Box::new(move |id| block(id, long))),
        ("requests of short blocks", Box::new(|id| block(id, 2))),
        (
            "requests and cancels",
            Box::new(move |id| match id % 2 {
                0 => block(id, long),
                _ => Message::Cancel(Cancel { request: id - 1 }),
            }),
        ),
        (
            "regions",
            Box::new(|id| {
                Message::Want(Region {
                    start: BlockIndex((id % 4096) << 21),
                    length: 1 << 21,
                    any: id % 3 == 0,
                })
            }),
        ),
        (
            "states",
            Box::new(|id| {
                Message::Sync(Sync {
                    fork: id % 3,
                    length: Length(id),
                    can_upgrade: true,
                    uploading: true,
                    ..Sync::default()
                })
            }),
        ),
        (
            "ranges",
            Box::new(|id| Message::Range(Range { drop: id % 5 == 0, start: BlockIndex(3 * id), length: 1 })),
        ),
        (
            "answers that nobody waits for",
            Box::new(|id| Message::Data(Data { request: id, ..Data::default() })),
        ),
    ];
    for (name, message) in floods {
        let mut peers: Vec<Peer> = (0..8).map(|_| Peer::open(siege.address, siege.log)).collect();
        peers.iter_mut().for_each(|peer| flood(&siege, peer, 20_000, &message));
        siege.assert_unharmed();
        let memory = siege.victim.memory("VmRSS");
        // Eight times what is handed out to one peer (1 MiB and one block), encoded once more, and its requests.
        assert!(memory < before + OWN_BYTES + 8 * 4 * MIB, "{name}: {memory} bytes, {before} before");
    }
    siege.end();
}

#[test]
fn opens_without_end_are_refused_or_cut_off() {
    let mut siege = Siege::new();
    let before = siege.victim.memory("VmRSS");
    for is_batched in [false, true] {
        let mut peer = Peer::connect(siege.address);
        peer.socket.set_write_timeout(Some(Duration::from_millis(500))).expect("a socket");
        let mut batch = vec![0, 0, 0];
        for number in 1..=30_000_u64 {
            let mut open = Writer::default();
            open.uint(1)
                .uint(number)
                .bytes(b"hypercore/alpha")
                .bytes(&[&number.to_le_bytes()[..]; 4].concat());
            let open = open.raw(&[1; 33]).clone().finish();
            if is_batched {
                batch.push(open.len() as u8);
                batch.extend(open);
            } else {
                peer.say_plain([&[0][..], &open].concat());
            }
        }
        if is_batched {
            peer.say_plain(batch);
            assert!(peer.is_cut_off(), "more messages than a frame may have");
        }
    }
    siege.assert_unharmed();
    assert!(siege.victim.memory("VmRSS") < before + OWN_BYTES);
    siege.end();
}

#[test]
fn frames_that_are_announced_and_held_back_are_bounded_for_all_together() {
    let mut siege = Siege::new();
    let before = siege.victim.memory("VmRSS");
    // 60 frames of 16 MiB of which 12 MiB come: 720 MiB from one address.
    let piece = vec![7; 1 << 20];
    let mut peers: Vec<Peer> = (0..60).map(|_| Peer::connect(siege.address)).collect();
    for peer in &mut peers {
        peer.socket.set_write_timeout(Some(Duration::from_millis(300))).expect("a socket");
        peer.say_bytes(&[0xff, 0xff, 0xff]);
    }
    for _ in 0..12 {
        peers.iter_mut().filter(|peer| !peer.is_over()).for_each(|peer| peer.say_bytes(&piece));
    }
    let peak = siege.victim.memory("VmHWM");
    // One address has a quarter of 256 MiB, and each connection a little beside it.
    assert!(peak < before + 64 * MIB + 60 * MIB / 2 + OWN_BYTES, "{peak} bytes, {before} before");
    siege.assert_unharmed();
    drop(peers);
    let network = siege.end();
    assert!(network["closed"]["crowded"].as_u64() > Some(30), "{network}");
}

#[test]
fn answers_that_are_not_read_are_bounded_for_all_together() {
    let mut siege = Siege::new();
    siege.call(&[("long", json!([1_000_000]))]);
    let (long, before) = (siege.length - 1, siege.victim.memory("VmRSS"));
    // Peers from seven addresses, 420 in all, want a megabyte again and again, and read nothing.
    let mut peers = vec![];
    for number in 0..420 {
        let source = [127, 0, 1, 1 + (number / 60) as u8].into();
        let socket = connect_from(source, siege.address).expect("it listens");
        let Some(mut peer) = Peer::shake_hands(socket, Role::Initiator) else { continue };
        peer.open_core(siege.log);
        (1..=20).for_each(|id| peer.queue(&siege.log, &block(id, long)));
        peer.flush();
        peers.push(peer);
    }
    std::thread::sleep(Duration::from_secs(2));
    let memory = siege.victim.memory("VmHWM");
    // 256 MiB for all, and what the allocator keeps; unbounded, it would be more than a gigabyte.
    assert!(memory < before + 2 * 256 * MIB + OWN_BYTES, "{} MiB", memory / MIB);
    // Who takes nothing loses its place before long, and honest peers have theirs.
    siege.assert_unharmed();
    let network = siege.end();
    let closed = |why: &str| network["closed"][why].as_u64().expect("a count");
    assert!(closed("stalled") + closed("crowded") > 150, "{network}");
    drop(peers);
}

#[test]
fn frames_of_many_tiny_messages_do_not_become_large_queues() {
    let mut siege = Siege::new();
    let before = siege.victim.memory("VmRSS");
    let cancel = [3, 2, 0xfc, 0];
    let batch: Vec<u8> = [0, 0, 1].into_iter().chain(cancel.repeat(8000)).collect();
    let mut peers: Vec<Peer> = (0..50).map(|_| Peer::open(siege.address, siege.log)).collect();
    // One of them is nothing special.
    peers[0].say_plain(batch.clone());
    assert!(peers[0].is_connected());
    for _ in 0..10 {
        peers.iter_mut().for_each(|peer| peer.say_plain(batch.clone()));
    }
    siege.assert_unharmed();
    let peak = siege.victim.memory("VmHWM");
    // One address has a quarter of 256 MiB; the allocator keeps as much again of what was in small pieces.
    assert!(peak < before + 2 * 64 * MIB + OWN_BYTES, "{peak} bytes, {before} before");
    siege.end();
}

#[test]
fn blocks_that_nobody_asked_for_do_not_fill_a_replicator() {
    let siege = Siege::new();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (log, place) = (siege.log.url(), directory.path().display().to_string());
    let peer = format!("--peer={}", siege.address);
    let mut replicator =
        Victim::start(["replicate", &log, "--dir", &place, "--peer-listen", "127.0.0.1:0", &peer]);
    let copying = replicator.event("copying");
    let address = copying["address"].as_str().expect("an address").trim_start_matches("tcp://");
    let address = address.parse().expect("an address");
    let before = replicator.memory("VmRSS");
    // Twelve strangers, who claim to have everything, send half a gigabyte of it.
    let strangers: Vec<_> = (0..12)
        .map(|_| {
            std::thread::spawn(move || {
                let mut peer = Peer::open(address, siege.log);
                let range = Range { drop: false, start: BlockIndex(0), length: 1 << 50 };
                peer.say(&siege.log, &Message::Range(range));
                for request in 1000..1005 {
                    let block =
                        Some(DataBlock { index: BlockIndex(9), value: vec![7; 8 << 20], nodes: vec![] });
                    let data = Data { request, block, ..Data::default() };
                    peer.say(&siege.log, &Message::Data(data));
                }
                peer.is_connected()
            })
        })
        .collect();
    let stayed = strangers.into_iter().map(|stranger| stranger.join().expect("no panic"));
    assert!(stayed.filter(|stayed| *stayed).count() > 0, "there is room for some");
    let peak = replicator.memory("VmHWM");
    // A quarter of 256 MiB for one address, in frames that are copied once when they are taken apart.
    assert!(peak < before + 2 * 64 * MIB + OWN_BYTES, "{} MiB", peak / MIB);
    assert_eq!(copy(siege.log, &[address], siege.length).length, siege.length);
    replicator.terminate();
    siege.end();
}
