//! Bytes that are none of the protocol, at every layer, and messages that no honest peer sends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::encoding::UINT_MAX;
use libvms_hypercore::encoding::Writer;
use libvms_hypercore::random::Dice;
use libvms_hypercore::secret_stream::{RANDOM_BYTES, SecretStream};
use libvms_hypercore::tree::{Hash, Node};
use libvms_hypercore::wire::message::{
    Bitfield, Cancel, Data, DataBlock, DataUpgrade, Extension, Message, Range, Region, Request, RequestBlock,
    RequestNode, RequestSeek, RequestUpgrade, Sync,
};
use libvms_hypercore::wire::{Role, SessionEvent};
use serde_json::json;

use super::peer::{PATIENCE, Peer, frame, is_cut_off};
use super::siege::Siege;

/// The same bytes each time for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    Dice::new(seed).bytes(length)
}

/// A valid open is done; these are the numbers that the host then gives its channels, one for each core.
fn host_channel(siege: &Siege) -> (Peer, u64) {
    (Peer::open(siege.address, siege.log), 1)
}

#[test]
fn garbage_instead_of_a_handshake_ends_the_connection() {
    let siege = Siege::new();
    for seed in 0..40 {
        let mut socket = TcpStream::connect(siege.address).expect("it listens");
        let bytes = match seed % 4 {
            0 => noise(seed, 5000),
            // A frame of the right length, another of a wrong one, and one that is announced and does not come.
            1 => [&[32, 0, 0][..], &noise(seed, 32), &[64, 0, 0], &noise(seed + 1, 64)].concat(),
            2 => [&[31, 0, 0][..], &noise(seed, 31)].concat(),
            _ => [&[0xff, 0xff, 0xff][..], &noise(seed, 3000)].concat(),
        };
        let _may_be_cut_off = socket.write_all(&bytes);
        assert!(is_cut_off(&socket, PATIENCE), "seed {seed}");
    }
    let network = siege.end();
    assert_eq!(network["closed"]["malformed"], json!(40), "{network}");
}

/// Shakes hands up to the last message, and gives the frames that would end it: one of Noise, one of the encryption.
fn almost_shaken(socket: &mut TcpStream) -> [Vec<u8>; 2] {
    let mut stream = SecretStream::new(Role::Initiator, &[7; RANDOM_BYTES]);
    let mut bytes = vec![];
    stream.transmit(&mut bytes);
    socket.write_all(&bytes).expect("it reads");
    let mut answer = [0; 99];
    socket.read_exact(&mut answer).expect("it answers");
    stream.receive(&answer).expect("the victim is honest");
    let mut last = vec![];
    stream.transmit(&mut last);
    assert_eq!(last.len(), 3 + 64 + 3 + 56);
    let header = last.split_off(3 + 64);
    [last, header]
}

#[test]
fn a_handshake_that_goes_wrong_at_its_end_ends_the_connection() {
    let siege = Siege::new();
    let resized = |frame: &[u8], length: usize| {
        let mut body = frame[3..].to_vec();
        body.resize(length, 7);
        [&(length as u32).to_le_bytes()[..3], &body].concat()
    };
    // A first message with a payload, of any length: no honest peer has one.
    for length in [33, 100, 900, 1100, 4000, 60_000] {
        let mut socket = TcpStream::connect(siege.address).expect("it listens");
        let mut stream = SecretStream::new(Role::Initiator, &[7; RANDOM_BYTES]);
        let mut first = vec![];
        stream.transmit(&mut first);
        let _may_be_over = socket.write_all(&resized(&first, length));
        assert!(is_cut_off(&socket, PATIENCE), "{length} bytes");
    }
    for case in 0..14 {
        let mut socket = TcpStream::connect(siege.address).expect("it listens");
        let [mut noise, mut header] = almost_shaken(&mut socket);
        match case {
            0 => noise[3] ^= 1,
            1 => noise[40] ^= 1,
            2 => noise[66] ^= 1,
            3 => noise = resized(&noise, 63),
            4 => noise = resized(&noise, 65),
            5 => noise = resized(&noise, 0),
            6 => noise = header.clone(),
            7 => header[3] ^= 1,
            8 => header[34] ^= 1,
            9 => header = resized(&header, 55),
            10 => header = resized(&header, 57),
            11 => header = resized(&header, 0),
            12 => header = noise.clone(),
            _ => header = header.repeat(2),
        }
        let _may_be_over = socket.write_all(&[noise, header].concat());
        assert!(is_cut_off(&socket, PATIENCE), "case {case}");
    }
    let network = siege.end();
    assert_eq!(network["closed"]["malformed"], json!(20), "{network}");
}

#[test]
fn garbage_instead_of_encrypted_messages_ends_the_connection() {
    let siege = Siege::new();
    for seed in 0..20 {
        let mut peer = Peer::connect(siege.address);
        let length = [0, 1, 16, 17, 100, 60_000][seed as usize % 6];
        let mut bytes = (length as u32).to_le_bytes()[..3].to_vec();
        bytes.extend(noise(seed, length));
        peer.say_bytes(&bytes);
        assert!(peer.is_cut_off(), "a frame of {length} bytes");
    }
    // A true message, repeated: its place in the stream is part of its authentication.
    let mut peer = Peer::connect(siege.address);
    let bytes = peer.encrypt(vec![]);
    peer.say_bytes(&bytes);
    peer.say_bytes(&bytes);
    assert!(peer.is_cut_off());
    siege.end();
}

#[test]
fn frames_that_are_none_of_the_multiplexer_end_the_connection() {
    let siege = Siege::new();
    let open = |number: u64, id: &[u8], handshake: &[u8]| {
        let mut writer = Writer::default();
        writer.uint(0).uint(1).uint(number).bytes(b"hypercore/alpha").bytes(id).raw(handshake);
        writer.finish()
    };
    let unknown = [7; 32];
    let capability = [1; 33];
    let bad = [
        ("half a number", vec![0xfd, 1]),
        ("a number above 2^53", vec![0xff; 9]),
        ("a reject of what was not opened", frame(0, 2, &[99])),
        ("an open with the number 0", open(0, &unknown, &capability)),
        ("an open with a number that is not the next", open(9, &unknown, &capability)),
        ("an open by five bytes", open(1, &[1; 5], &capability)),
        ("an open without a handshake", open(1, &siege.log.discovery_key(), &[])),
        ("an open with a false capability", open(1, &siege.log.discovery_key(), &capability)),
        ("an open whose name is announced to be endless", vec![0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x7f]),
        (
            "batches inside one another",
            [0, 0, 0].into_iter().chain([9, 0, 0, 7, 0, 0, 5, 0, 0, 3, 0, 0, 1]).collect(),
        ),
        ("a batch of very many messages", [0, 0, 1].into_iter().chain([1, 9].repeat(100_000)).collect()),
    ];
    for (name, plaintext) in bad {
        let mut peer = Peer::connect(siege.address);
        peer.say_plain(plaintext);
        assert!(peer.is_cut_off(), "{name}");
    }
    let tolerated = [
        ("an empty frame", vec![]),
        ("an unknown control message", frame(0, 77, b"x")),
        ("a message for a channel that nobody opened", frame(50, 3, b"x")),
        ("a close of a channel that nobody opened", frame(0, 3, &[50])),
        ("an empty batch", vec![0, 0, 0]),
    ];
    for (name, plaintext) in tolerated {
        let mut peer = Peer::connect(siege.address);
        peer.say_plain(plaintext);
        assert!(peer.is_connected(), "{name}");
    }
    for seed in 0..200 {
        Peer::connect(siege.address).say_plain(noise(seed, 1 + seed as usize * 7));
    }
    siege.end();
}

#[test]
fn opens_in_batches_are_answered_and_rejects_are_no_errors() {
    let siege = Siege::new();
    let mut peer = Peer::connect(siege.address);
    // The host has opened its three cores; this peer does not want them yet.
    for _ in 0..3 {
        let asked = peer.until(|event| matches!(event, SessionEvent::Requested { .. }));
        assert!(asked.is_some(), "the host opens what it has");
    }
    peer.flush();
    // Now it wants all three, and two that nobody has, in one frame as every Corestore peer does it.
    let unknown = [[3; 32], [4; 32]].map(libvms_hypercore::identity::PublicKey);
    for core in unknown.into_iter().chain([siege.log, siege.files]) {
        peer.begin_open(core);
    }
    peer.flush();
    let (mut opened, mut rejected) = (vec![], vec![]);
    while opened.len() + rejected.len() < 4 {
        match peer.until(|_| true).expect("each open is answered") {
            SessionEvent::Opened { core } => opened.push(core),
            SessionEvent::Rejected { core } => rejected.push(core),
            _ => {}
        }
    }
    opened.sort_unstable();
    let mut expected = [siege.log, siege.files];
    expected.sort_unstable();
    assert_eq!((opened.as_slice(), rejected.as_slice()), (&expected[..], &unknown[..]));
    let request =
        Request { id: 1, block: Some(RequestBlock { index: BlockIndex(0), nodes: 0 }), ..Request::default() };
    peer.say(&siege.log, &Message::Request(request));
    assert!(peer.hear_until(|message| matches!(message, Message::Data(_))).is_some());
    siege.end();
}

#[test]
fn messages_that_are_cut_or_unknown_are_refused_or_ignored() {
    let siege = Siege::new();
    let request = Message::Request(Request {
        id: 1,
        block: Some(RequestBlock { index: BlockIndex(0), nodes: 0 }),
        upgrade: Some(RequestUpgrade { start: Length(0), length: 1 }),
        ..Request::default()
    });
    let whole = request.encode();
    for length in 0..whole.len() {
        let (mut peer, channel) = host_channel(&siege);
        peer.say_plain(frame(channel, request.kind(), &whole[..length]));
        assert!(peer.is_cut_off(), "{length} of {} bytes", whole.len());
    }
    let (mut peer, channel) = host_channel(&siege);
    for kind in [10, 11, 1000, UINT_MAX] {
        peer.say_plain(frame(channel, kind, &noise(kind, 50)));
    }
    peer.say(&siege.log, &Message::Extension(Extension { name: "unheard-of".into(), message: noise(1, 9) }));
    assert!(peer.is_connected());
    siege.end();
}

#[test]
fn a_range_that_claims_everything_costs_nothing() {
    let mut siege = Siege::new();
    let (memory, time) = (siege.victim.memory("VmRSS"), siege.victim.processor_time());
    let (mut peer, channel) = host_channel(&siege);
    for start in [0, 5, UINT_MAX - 1] {
        for drop in [false, true] {
            peer.say(&siege.log, &Message::Range(Range { drop, start: BlockIndex(start), length: UINT_MAX }));
        }
    }
    assert!(peer.is_connected());
    // No JavaScript number: start 0, length 2^64 - 1.
    let mut writer = Writer::default();
    writer.uint(0).uint(0).uint(u64::MAX);
    peer.say_plain(frame(channel, 8, &writer.finish()));
    assert!(peer.is_cut_off());
    siege.assert_unharmed();
    assert!(siege.victim.memory("VmRSS") < memory + (32 << 20));
    assert!(siege.victim.processor_time() < time + Duration::from_secs(2));
    siege.end();
}

#[test]
fn requests_for_what_can_not_be_are_refused_at_once() {
    let mut siege = Siege::new();
    let time = siege.victim.processor_time();
    let (mut peer, channel) = host_channel(&siege);
    // No JavaScript numbers: block 2^62 with 2^63 nodes.
    let mut writer = Writer::default();
    writer.uint(1).uint(1).uint(0).uint(1 << 62).uint(1 << 63);
    peer.say_plain(frame(channel, 1, &writer.finish()));
    assert!(peer.is_cut_off());
    let block = |index, nodes| Some(RequestBlock { index: BlockIndex(index), nodes });
    let node = |index, nodes| Some(RequestNode { index, nodes });
    let seek = |bytes, padding| Some(RequestSeek { bytes, padding });
    let upgrade = |start, length| Some(RequestUpgrade { start, length });
    let nothing = Request::default();
    let impossible = [
        Request { block: block(UINT_MAX, UINT_MAX), ..nothing },
        Request { block: block(0, UINT_MAX), ..nothing },
        Request { block: block(1 << 52, 0), ..nothing },
        Request { hash: node(UINT_MAX, 3), ..nothing },
        Request { hash: node(0, UINT_MAX), ..nothing },
        Request { upgrade: upgrade(Length(0), UINT_MAX), ..nothing },
        Request { upgrade: upgrade(Length(UINT_MAX), UINT_MAX), ..nothing },
        Request { upgrade: upgrade(Length(1), 0), ..nothing },
        Request {
            block: block(0, 0),
            seek: seek(UINT_MAX, UINT_MAX),
            upgrade: upgrade(Length(0), 1),
            ..nothing
        },
        Request { hash: node(1, 0), seek: seek(UINT_MAX, 0), ..nothing },
        Request { hash: node(1, 0), seek: seek(3, UINT_MAX), ..nothing },
        Request { fork: 3, block: block(0, 0), ..nothing },
    ];
    let mut peer = Peer::open(siege.address, siege.log);
    for (id, request) in (1..).zip(impossible) {
        peer.say(&siege.log, &Message::Request(Request { id, ..request }));
        let answer = peer.hear_until(|message| matches!(message, Message::NoData(_) | Message::Data(_)));
        let Some(Message::NoData(refusal)) = answer else { panic!("{request:?}: {answer:?}") };
        assert_eq!(refusal.request, id);
    }
    // What is possible is still answered, a seek too.
    for seek in [seek(0, 0), seek(1, 0), seek(40, 0)] {
        let request = Request { id: 50, seek, upgrade: upgrade(Length(0), siege.length), ..nothing };
        peer.say(&siege.log, &Message::Request(request));
        let answer = peer.hear_until(|message| matches!(message, Message::NoData(_) | Message::Data(_)));
        assert!(matches!(&answer, Some(Message::Data(data)) if data.upgrade.is_some()), "{answer:?}");
    }
    // One that goes on asking for nonsense is cut off before it hears too many refusals.
    for id in 100..200 {
        peer.queue(&siege.log, &Message::Request(Request { id, block: block(UINT_MAX, 0), ..nothing }));
    }
    peer.flush();
    assert!(peer.is_cut_off());
    siege.assert_unharmed();
    assert!(siege.victim.processor_time() < time + Duration::from_secs(2));
    let network = siege.end();
    assert_eq!(network["requestsRefused"], json!(24), "{network}");
    assert_eq!(network["closed"]["faulty"], json!(1), "{network}");
}

#[test]
fn data_that_nobody_asked_for_is_ignored() {
    let siege = Siege::new();
    let mut peer = Peer::open(siege.address, siege.log);
    let node = Node { index: 1, size: 9, hash: Hash([4; 32]) };
    let block = DataBlock { index: BlockIndex(0), value: vec![7; 70_000], nodes: vec![node; 1000] };
    let upgrade = DataUpgrade {
        start: Length(0),
        length: UINT_MAX,
        nodes: vec![node; 1000],
        additional_nodes: vec![node; 1000],
        signature: vec![9; 64],
    };
    // Under the number 0 peers show heads of a conflict; this one is signed by nobody.
    for (request, fork) in [(1, 0), (1, 0), (0, 0), (0, 1), (UINT_MAX, 5)] {
        let data = Data { request, fork, upgrade: Some(upgrade.clone()), ..Data::default() };
        peer.say(&siege.log, &Message::Data(data.clone()));
        peer.say(&siege.log, &Message::Data(Data { block: Some(block.clone()), ..data }));
    }
    peer.say(&siege.log, &Message::Cancel(Cancel { request: 1 }));
    assert!(peer.is_connected());
    siege.end();
}

#[test]
fn claims_of_a_longer_log_or_another_fork_do_not_impress_its_writer() {
    let siege = Siege::new();
    let mut peer = Peer::open(siege.address, siege.log);
    for (fork, length) in [(0, UINT_MAX), (1, 5), (UINT_MAX, UINT_MAX), (0, 0), (0, 1)] {
        let sync = Sync {
            fork,
            length: Length(length),
            remote_length: Length(length),
            can_upgrade: true,
            uploading: true,
            downloading: true,
            ..Sync::default()
        };
        peer.say(&siege.log, &Message::Sync(sync));
    }
    assert!(peer.is_connected());
    siege.end();
}

#[test]
fn bitfields_and_regions_of_every_size_are_taken_quickly() {
    let mut siege = Siege::new();
    let (memory, time) = (siege.victim.memory("VmRSS"), siege.victim.processor_time());
    let mut peer = Peer::open(siege.address, siege.log);
    for pattern in [0xaaaa_aaaa, u32::MAX, 0, 1] {
        for start in [0, 32, UINT_MAX - 31] {
            peer.say(
                &siege.log,
                &Message::Bitfield(Bitfield { start: BlockIndex(start), words: vec![pattern; 65_536] }),
            );
        }
    }
    for length in [0, 1, 32, 33, 1 << 21, (1 << 21) + 1, UINT_MAX] {
        for start in [0, 1, 1 << 21, UINT_MAX] {
            peer.queue(
                &siege.log,
                &Message::Want(Region { start: BlockIndex(start), length, any: length % 2 == 1 }),
            );
            peer.queue(&siege.log, &Message::Unwant(Region { start: BlockIndex(start), length, any: false }));
        }
    }
    peer.flush();
    assert!(peer.is_connected());
    // One word more than anybody sends.
    peer.say(&siege.log, &Message::Bitfield(Bitfield { start: BlockIndex(0), words: vec![1; 65_537] }));
    assert!(peer.is_cut_off());
    siege.assert_unharmed();
    assert!(siege.victim.memory("VmRSS") < memory + (32 << 20));
    assert!(siege.victim.processor_time() < time + Duration::from_secs(3));
    siege.end();
}
