//! Every decoder against random bytes: it ends, it allocates no more than there is, and accepted input is encoded so
//! that the same is decoded again.

use libvms_hypercore::encoding::DecodeError;
use libvms_hypercore::secret_stream::FrameDecoder;
use libvms_hypercore::secret_stream::{HandshakeHash, Role};
use libvms_hypercore::tree::Node;
use libvms_hypercore::wire::capability::CoreOpen;
use libvms_hypercore::wire::message::{Data, Message};
use libvms_hypercore::wire::mux::{Event, Limits, Mux, MuxError, Name};
use libvms_hypercore::wire::session::Session;
use proptest::collection::vec;
use proptest::prelude::*;

use super::json::KINDS;
use crate::vector::{hex, items, read};

/// Generates bodies that are sometimes nearly right: those of the vectors with a few changes, cut or lengthened.
fn bodies() -> impl Strategy<Value = (u64, Vec<u8>)> {
    let vector = read("wire/messages.json");
    let good: Vec<(u64, Vec<u8>)> = (0..)
        .zip(KINDS)
        .flat_map(|(kind, name)| items(&vector[name]).iter().map(move |case| (kind, hex(&case["hex"]))))
        .collect();
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let nearly = (prop::sample::select(good), changes, any::<prop::sample::Index>(), vec(any::<u8>(), 0..3));
    let nearly = nearly.prop_map(|((kind, mut bytes), changes, end, more)| {
        for (at, byte) in changes.into_iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.extend(more);
        bytes.truncate(end.index(bytes.len() + 1).max(bytes.len() / 2));
        (kind, bytes)
    });
    prop_oneof![(0..12_u64, vec(any::<u8>(), 0..200)), nearly]
}

/// Returns the number of bytes of heap that a message holds.
fn room(message: &Message) -> usize {
    match message {
        Message::Data(data) => data_room(data),
        Message::Bitfield(bitfield) => 4 * bitfield.words.capacity(),
        Message::Extension(extension) => extension.name.capacity() + extension.message.capacity(),
        _ => 0,
    }
}

fn data_room(data: &Data) -> usize {
    let nodes = |nodes: &Vec<Node>| nodes.capacity() * size_of::<Node>();
    let block = data.block.as_ref().map(|block| block.value.capacity() + nodes(&block.nodes));
    let hash = data.hash.as_ref().map(|hash| nodes(&hash.nodes));
    let seek = data.seek.as_ref().map(|seek| nodes(&seek.nodes));
    let upgrade = data.upgrade.as_ref().map(|upgrade| {
        nodes(&upgrade.nodes) + nodes(&upgrade.additional_nodes) + upgrade.signature.capacity()
    });
    let manifest = data.manifest.as_ref().map(Vec::capacity);
    [block, hash, seek, upgrade, manifest].into_iter().flatten().sum()
}

proptest! {
    /// They hold little more memory than their bytes.
    #[test]
    fn decoded_messages_are_bounded_and_round_trip((kind, bytes) in bodies()) {
        if let Ok(Some(message)) = Message::decode(kind, &bytes) {
            prop_assert!(room(&message) <= 4 * bytes.len() + 4 * size_of::<Node>());
            let written = message.encode();
            // Invalid UTF-8 grows by its replacement.
            prop_assert!(written.len() <= 3 * bytes.len() + 2);
            prop_assert_eq!(Message::decode(kind, &written), Ok(Some(message)));
        }
    }

    #[test]
    fn opens_of_cores_are_read_again_as_written(bytes in vec(any::<u8>(), 0..60)) {
        if let Ok(open) = CoreOpen::decode(&bytes) {
            prop_assert_eq!(CoreOpen::decode(&open.encode()), Ok(open));
        }
    }

    #[test]
    fn no_frame_makes_a_multiplexer_panic(frames in vec(mux_frame(), 0..20), accepts in any::<bool>()) {
        let mut mux = Mux::default();
        mux.open(Name { protocol: "proto".into(), id: vec![0] }, b"");
        for frame in frames {
            let is_good = mux.handle_frame(&frame).is_ok();
            while let Some(event) = mux.poll_event() {
                if let Event::Requested { channel, .. } = event {
                    match accepts {
                        true => { mux.accept(channel, b""); }
                        false => mux.reject(channel),
                    }
                }
            }
            while mux.poll_transmit().is_some() {}
            if !is_good {
                return Ok(());
            }
        }
    }

    #[test]
    fn no_frame_makes_a_session_panic(frames in vec(mux_frame(), 0..20)) {
        let mut session = Session::new(Role::Responder, HandshakeHash([7; 64]), Limits::default());
        for frame in frames {
            let is_good = session.handle_frame(&frame).is_ok();
            while session.poll_event().is_some() {}
            while session.poll_transmit().is_some() {}
            if !is_good {
                return Ok(());
            }
        }
    }

    #[test]
    fn a_frame_decoder_holds_only_the_pushed_bytes(pieces in vec(vec(any::<u8>(), 0..50), 0..20)) {
        let mut decoder = FrameDecoder::new(1000);
        let mut pushed = 0;
        for piece in pieces {
            decoder.push(&piece);
            pushed += piece.len();
            while let Ok(Some(frame)) = decoder.take_frame() {
                pushed -= 3 + frame.len();
            }
            prop_assert_eq!(decoder.buffered_bytes(), pushed);
        }
    }
}

/// Generates frames that are often good: small numbers, and lengths that fit.
fn mux_frame() -> impl Strategy<Value = Vec<u8>> {
    let text = |number: u8, name: u8| vec![number, 1, b'p' + name, 1, name];
    let open = (0..4_u8, 0..2_u8, vec(any::<u8>(), 0..40))
        .prop_map(move |(number, name, more)| [vec![1], text(number, name), more].concat());
    let ours = (1..4_u8, vec(any::<u8>(), 0..3))
        .prop_map(|(number, more)| [&[1, number, 5][..], b"proto", &[1, 0], &more].concat());
    let control = prop_oneof![
        3 => open,
        2 => ours,
        1 => (0..4_u8).prop_map(|number| vec![2, number]),
        2 => (0..4_u8).prop_map(|number| vec![3, number]),
        1 => vec(any::<u8>(), 0..10),
    ];
    let item = prop_oneof![control.prop_map(|bytes| (0_u8, bytes)), (1..5_u8, vec(any::<u8>(), 1..20)),];
    let batch = vec(item.clone(), 0..6).prop_map(|items| {
        let mut frame = vec![0, 0, 0];
        for (channel, bytes) in items.into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
            frame.extend([0, channel, bytes.len() as u8]);
            frame.extend(bytes);
        }
        frame
    });
    let plain = item.prop_map(|(channel, bytes)| [vec![channel], bytes].concat());
    prop_oneof![3 => plain, 2 => batch, 1 => vec(any::<u8>(), 0..40)]
}

/// Returns an Open of the `number`-th channel.
fn open(number: u16) -> Vec<u8> {
    let [low, high] = number.to_le_bytes();
    [&[1, 0xfd, low, high, 1][..], b"p", &[2, low, high]].concat()
}

fn batch(items: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut frame = vec![0, 0, 0];
    for item in items {
        frame.push(item.len() as u8);
        frame.extend(item);
    }
    frame
}

#[test]
fn a_flood_of_opens_is_rejected_and_then_ends_the_connection() {
    let limits = Limits { channels_max: 10, requested_max: 5, answers_max: 20, ..Limits::default() };
    let mut mux = Mux::new(limits);
    assert_eq!(mux.handle_frame(&batch((1..=25).map(open))), Ok(()));
    let mut accepted = 0;
    while let Some(event) = mux.poll_event() {
        accepted += usize::from(mux.accept(event.channel(), b""));
    }
    assert_eq!(accepted, 5);
    // A rejected number is free again. Each further Open is rejected, too, until the rejects pile up.
    while mux.poll_transmit().is_some() {}
    assert_eq!(mux.handle_frame(&batch((6..=10).map(open))), Ok(()));
    assert_eq!(mux.handle_frame(&batch((11..=35).map(open))), Err(MuxError::TooManyAnswers(20)));
    while let Some(event) = mux.poll_event() {
        mux.accept(event.channel(), b"");
    }
    assert_eq!(mux.handle_frame(&batch([open(40)])), Err(MuxError::InvalidOpen(40)));
    assert_eq!(mux.handle_frame(&batch([open(11)])), Err(MuxError::TooManyChannels(10)));
}

#[test]
fn early_messages_are_bounded_and_dropped_with_the_channel() {
    let mut mux = Mux::new(Limits { early_bytes_pause: 1000, early_bytes_max: 3000, ..Limits::default() });
    mux.handle_frame(&batch([open(1)])).expect("a good frame");
    assert!(!mux.is_congested());
    mux.handle_frame(&[&[1, 0][..], &[0; 600]].concat()).expect("within the bound");
    assert!(mux.is_congested());
    let Some(Event::Requested { channel, .. }) = mux.poll_event() else { panic!("no request") };
    mux.reject(channel);
    assert!(!mux.is_congested());
    mux.handle_frame(&batch([open(1)])).expect("a good frame");
    let early = mux.handle_frame(&[&[1, 0][..], &[0; 2600]].concat());
    assert_eq!(early, Err(MuxError::TooManyEarlyMessages(3000)));
}

#[test]
fn frames_of_many_messages_or_deep_batches_are_refused() {
    let mut mux = Mux::new(Limits { items_max: 100, ..Limits::default() });
    let frame = |items: usize| [vec![0, 0, 9], [1, 0].repeat(items)].concat();
    assert_eq!(mux.handle_frame(&frame(100)), Ok(()));
    assert_eq!(mux.handle_frame(&frame(101)), Err(MuxError::TooManyItems(100)));
    let mut nested = vec![0, 9, 1, 0];
    for _ in 0..3 {
        nested = [vec![0, 0, nested.len() as u8], nested].concat();
    }
    let deep = |inner: &[u8]| [&[0, 0, 0, inner.len() as u8], inner].concat();
    assert_eq!(mux.handle_frame(&[vec![0], nested.clone()].concat()), Ok(()));
    assert_eq!(mux.handle_frame(&deep(&nested)), Err(MuxError::BatchTooDeep(4)));
}

#[test]
fn names_and_handshakes_of_any_length_are_refused() {
    let long = [&[0, 1, 1, 0xfd, 0xff, 0xff][..], &[b'p'; 0xffff]].concat();
    assert!(matches!(
        Mux::default().handle_frame(&long),
        Err(MuxError::Malformed(DecodeError::TooMany { .. }))
    ));
    let handshake = [&[0, 1, 1, 1, b'p', 0][..], &[0; 70_000]].concat();
    assert!(matches!(
        Mux::default().handle_frame(&handshake),
        Err(MuxError::Malformed(DecodeError::TooMany { .. }))
    ));
}
