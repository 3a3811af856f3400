//! Whole streams against the bytes that others send after the same handshake, and against strangers.

use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::secret_stream::frame::{FrameTooLong, encode_frame};
use libvms_hypercore::secret_stream::{
    FrameDecoder, HEADER_BYTES, HandshakeHash, RANDOM_BYTES, Role, SecretError, SecretStream, StreamKeys,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::vector::{array, hex, items, read};

/// Returns the keys of the initiator in the recorded handshake of the DHT, and of the responder.
fn keys() -> [StreamKeys; 2] {
    let vector = &read("swarm/hyperdht.json")["noiseIK"];
    let remote: PublicKey = SecretKey::from_seed(&[1; 32]).public_key();
    let (transmit, receive) = (array(&vector["initiatorTx"]), array(&vector["initiatorRx"]));
    let hash = HandshakeHash(array(&vector["handshakeHash"]));
    let initiator = StreamKeys { role: Role::Initiator, transmit, receive, hash, remote };
    let responder =
        StreamKeys { role: Role::Responder, transmit: receive, receive: transmit, ..initiator.clone() };
    [initiator, responder]
}

fn written(stream: &mut SecretStream) -> Vec<u8> {
    let mut bytes = vec![];
    stream.transmit(&mut bytes);
    bytes
}

fn sealed(stream: &mut SecretStream, message: &[u8]) -> Vec<u8> {
    stream.send(message.to_vec());
    written(stream)
}

/// Returns two streams that have the keys of one handshake, after their headers.
fn pair() -> [SecretStream; 2] {
    let [initiator, responder] = keys();
    let mut initiator = SecretStream::from_keys(initiator, [2; 24]);
    let mut responder = SecretStream::from_keys(responder, [1; 24]);
    responder.receive(&written(&mut initiator)).expect("its header");
    initiator.receive(&written(&mut responder)).expect("its header");
    assert!(initiator.is_established() && responder.is_established());
    [initiator, responder]
}

#[test]
fn a_stream_after_a_handshake_in_the_dht_is_that_of_the_reference() {
    let vector = &read("swarm/hyperdht.json")["secretStream"];
    let [initiator, responder] = keys();
    let header = hex(&vector["headerFrame"]);
    let mut sender = SecretStream::from_keys(initiator, *header.last_chunk().expect("24 bytes"));
    assert_eq!(written(&mut sender), header);
    let mut receiver = SecretStream::from_keys(responder, [1; 24]);
    sender.receive(&written(&mut receiver)).expect("its header");
    receiver.receive(&header).expect("the reference's header");
    for frame in items(&vector["frames"]) {
        let plain = frame["plain"].as_str().expect("text").as_bytes();
        let bytes = hex(&frame["hex"]);
        assert_eq!(sealed(&mut sender, plain), bytes);
        for byte in bytes {
            assert_eq!(receiver.poll_message(), Ok(None));
            receiver.receive(&[byte]).expect("the reference's bytes");
        }
        assert_eq!(receiver.poll_message(), Ok(Some(plain.to_vec())));
    }
}

/// Takes one side of the recorded session, and gets the recorded bytes of the other one in pieces of this size.
fn replay(role: Role, piece: usize) {
    let vector = &read("wire/handshake.json");
    let texts = |name: &str| items(&vector[name]).iter().map(hex).collect::<Vec<_>>();
    let frames = [texts("framesFromA"), texts("framesFromB")];
    let plain = [texts("plaintextsFromA"), texts("plaintextsFromB")];
    let (own, other) = (role as usize, role.other() as usize);
    // The initiator writes two frames of the handshake, the responder one; then the header follows.
    let header = &frames[own][2 - own];
    let local = &vector[["staticSeedA", "staticSeedB"][own]];
    let ephemeral = &items(&vector["ephemeralSeedsInOrderOfUse"])[own];
    let random = [hex(local), hex(ephemeral), header[header.len() - 24..].to_vec()].concat();
    let mut stream = SecretStream::new(role, &random.try_into().expect("as many bytes"));
    let mut sent = vec![];
    plain[own].iter().for_each(|message| stream.send(message.clone()));
    let mut heard = vec![];
    for bytes in frames[other].concat().chunks(piece) {
        stream.transmit(&mut sent);
        stream.receive(bytes).expect("the reference's bytes");
        while let Some(message) = stream.poll_message().expect("the reference's bytes") {
            heard.push(message);
        }
    }
    stream.transmit(&mut sent);
    assert_eq!(heard, plain[other], "{role:?}, pieces of {piece}");
    assert_eq!(sent, frames[own].concat(), "{role:?}, pieces of {piece}");
    let hash = HandshakeHash(array(&vector["split"]["a"]["handshakeHash"]));
    assert_eq!((stream.role(), stream.handshake_hash()), (role, Some(hash)));
}

#[test]
fn a_stream_with_its_own_handshake_is_that_of_the_reference() {
    for role in [Role::Initiator, Role::Responder] {
        [1, 2, 3, 59, 100, usize::MAX].into_iter().for_each(|piece| replay(role, piece));
    }
}

#[test]
fn a_stream_with_its_own_handshake_is_that_of_earlier_builds() {
    let vector = read("wire/handshake-rust.json");
    for session in items(&vector["sessions"]) {
        let role = match session["role"].as_str() {
            Some("Initiator") => Role::Initiator,
            _ => Role::Responder,
        };
        let mut stream = SecretStream::new(role, &array(&session["random"]));
        for step in items(&session["steps"]) {
            let message = (step["message"] != Value::Null).then(|| hex(&step["message"]));
            message.iter().for_each(|message| stream.send(message.clone()));
            assert_eq!(written(&mut stream), hex(&step["sent"]));
            stream.receive(&hex(&step["received"])).expect("its bytes");
            assert_eq!(stream.poll_message(), Ok(message));
        }
        assert_eq!(stream.handshake_hash(), Some(HandshakeHash(array(&session["handshakeHash"]))));
    }
}

#[test]
fn foreign_and_mirrored_headers_end_a_stream() {
    let [initiator, responder] = keys();
    let other = StreamKeys { hash: HandshakeHash([0; 64]), ..initiator };
    for stranger in [other, responder.clone()] {
        let header = written(&mut SecretStream::from_keys(stranger, [2; 24]));
        let mut receiver = SecretStream::from_keys(responder.clone(), [1; 24]);
        assert_eq!(receiver.receive(&header), Err(SecretError::WrongHeader));
        assert!(!receiver.is_established());
    }
    let mut receiver = SecretStream::from_keys(responder, [1; 24]);
    assert_eq!(receiver.receive(&[&[55, 0, 0][..], &[9; 55]].concat()), Err(SecretError::WrongHeader));
}

#[test]
fn changed_repeated_and_mirrored_messages_end_a_stream() {
    let message = sealed(&mut pair()[0], b"pay 1");
    for position in 3..message.len() {
        let [_, mut receiver] = pair();
        let mut changed = message.clone();
        changed[position] ^= 1;
        receiver.receive(&changed).expect("a frame");
        assert_eq!(receiver.poll_message(), Err(SecretError::NotAuthentic), "{position}");
    }
    let [_, mut receiver] = pair();
    receiver.receive(&message.repeat(2)).expect("two frames");
    assert_eq!(receiver.poll_message(), Ok(Some(b"pay 1".to_vec())));
    assert_eq!(receiver.poll_message(), Err(SecretError::NotAuthentic));
    let [mut sender, _] = pair();
    let message = sealed(&mut sender, b"pay 1");
    sender.receive(&message).expect("a frame");
    assert_eq!(sender.poll_message(), Err(SecretError::NotAuthentic));
}

#[test]
fn a_stranger_cannot_make_us_hold_more_than_the_next_frame() {
    let [_, responder] = keys();
    let streams = [
        (SecretStream::from_keys(responder, [1; 24]), HEADER_BYTES),
        (SecretStream::new(Role::Initiator, &[1; RANDOM_BYTES]), 96),
        (SecretStream::new(Role::Responder, &[1; RANDOM_BYTES]), 32),
    ];
    for (mut stream, maximum) in streams {
        let length = maximum + 1;
        let refused = stream.receive(&[length as u8, 0, 0]);
        assert_eq!(refused, Err(SecretError::Frame(FrameTooLong { length, maximum })));
    }
}

/// The remote of a stream that is not established could be anybody.
#[test]
fn messages_wait_until_the_remote_has_proved_itself() {
    let [initiator, responder] = keys();
    let (mut sender, mut receiver) =
        (SecretStream::from_keys(initiator, [2; 24]), SecretStream::from_keys(responder, [1; 24]));
    sender.send(b"secret".to_vec());
    let header = written(&mut sender);
    assert_eq!(header.len(), 3 + HEADER_BYTES);
    receiver.receive(&header).expect("its header");
    assert_eq!((receiver.is_established(), receiver.poll_message()), (true, Ok(None)));
    sender.receive(&written(&mut receiver)).expect("its header");
    receiver.receive(&written(&mut sender)).expect("a message");
    assert_eq!(receiver.poll_message(), Ok(Some(b"secret".to_vec())));
}

#[test]
fn a_stream_does_not_print_its_keys() {
    let stream = SecretStream::new(Role::Responder, &[7; RANDOM_BYTES]);
    assert_eq!(format!("{stream:?}"), "SecretStream { role: Responder, is_established: false, .. }");
}

fn frames(stream: &mut SecretStream) -> Vec<Vec<u8>> {
    let (mut decoder, mut frames) = (FrameDecoder::default(), vec![]);
    decoder.push(&written(stream));
    while let Some(frame) = decoder.take_owned_frame().expect("short") {
        frames.push(frame);
    }
    frames
}

/// Performs the handshake with a stream of this role; `change` may alter each frame that it receives, by its number.
fn shake(role: Role, mut change: impl FnMut(usize, &mut Vec<u8>)) -> Result<SecretStream, SecretError> {
    let mut victim = SecretStream::new(role, &[1; RANDOM_BYTES]);
    let mut other = SecretStream::new(role.other(), &[2; RANDOM_BYTES]);
    let mut received = 0;
    for _ in 0..4 {
        for frame in frames(&mut victim) {
            // The victim's frames are right; the remote may have been confused by the altered frames it never sent.
            other.receive(&encode_frame(&frame)?)?;
        }
        for mut frame in frames(&mut other) {
            change(received, &mut frame);
            received += 1;
            victim.receive(&encode_frame(&frame)?)?;
            while victim.poll_message()?.is_some() {}
        }
    }
    Ok(victim)
}

#[test]
fn an_honest_handshake_succeeds_on_both_sides() {
    for role in [Role::Initiator, Role::Responder] {
        assert!(shake(role, |_, _| {}).expect("honest").is_established());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_other_frame_in_a_handshake_is_an_error(
        is_initiator in any::<bool>(),
        step in 0..3_usize,
        frame in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..130),
            prop::sample::select(vec![32_usize, 56, 64, 96, 1000, 5000]).prop_map(|length| vec![9; length]),
        ],
    ) {
        let (role, step) = if is_initiator { (Role::Initiator, step % 2) } else { (Role::Responder, step) };
        let mut was_changed = false;
        let shaken = shake(role, |number, original| {
            if number == step && *original != frame {
                was_changed = true;
                original.clone_from(&frame);
            }
        });
        // The first message is a point that nobody has signed: the error shows at the next one.
        prop_assert!(was_changed && !shaken.is_ok_and(|stream| stream.is_established()));
    }

    #[test]
    fn a_changed_bit_in_a_handshake_is_an_error(
        is_initiator in any::<bool>(), step in 0..3_usize, bit in 0..448_usize,
    ) {
        let (role, step) = if is_initiator { (Role::Initiator, step % 2) } else { (Role::Responder, step) };
        let shaken = shake(role, |number, frame| {
            if number == step {
                let bit = bit % (8 * frame.len());
                frame[bit / 8] ^= 1 << (bit % 8);
            }
        });
        // The last 24 bytes of the header are a nonce: the first message shows that it is wrong.
        let is_nonce = |stream: &SecretStream| stream.is_established() && bit % 448 >= 8 * 32;
        prop_assert!(shaken.is_err() || shaken.as_ref().is_ok_and(|stream| !stream.is_established() || is_nonce(stream)));
    }
}
