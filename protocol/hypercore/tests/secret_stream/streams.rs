//! The secret stream against the bytes that the reference sends after the same handshake.

use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::secret_stream::HandshakeHash;
use libvms_hypercore::secret_stream::StreamKeys;
use libvms_hypercore::secret_stream::cipher::{SecretError, SecretStream};
use libvms_hypercore::wire::Role;

use crate::vector::{array, hex, items, read};

/// Returns the keys of the initiator in the recorded handshake, and of the responder.
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

fn sealed(stream: &mut SecretStream, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![];
    stream.seal(message.to_vec(), &mut bytes);
    bytes
}

#[test]
fn the_secret_stream_matches_the_reference_byte_for_byte() {
    let vector = &read("swarm/hyperdht.json")["secretStream"];
    let [initiator, responder] = keys();
    let header = hex(&vector["headerFrame"]);
    let (mut sender, first) = SecretStream::start(initiator, *header.last_chunk().expect("24 bytes"));
    assert_eq!(first, header);
    let (mut receiver, _) = SecretStream::start(responder, [1; 24]);
    receiver.receive(&header);
    for frame in items(&vector["frames"]) {
        let plain = frame["plain"].as_str().expect("text").as_bytes();
        let bytes = hex(&frame["hex"]);
        assert_eq!(sealed(&mut sender, plain), bytes);
        for byte in bytes {
            assert_eq!(receiver.poll_message(), Ok(None));
            receiver.receive(&[byte]);
        }
        assert_eq!(receiver.poll_message(), Ok(Some(plain.to_vec())));
    }
}

#[test]
fn foreign_mirrored_and_changed_streams_are_over() {
    let [initiator, responder] = keys();
    let other = StreamKeys { hash: HandshakeHash([0; 64]), ..initiator.clone() };
    for stranger in [other, responder.clone()] {
        let (_, first) = SecretStream::start(stranger, [2; 24]);
        let (mut receiver, _) = SecretStream::start(responder.clone(), [1; 24]);
        receiver.receive(&first);
        assert_eq!(receiver.poll_message(), Err(SecretError::WrongHeader));
    }
    let (mut sender, first) = SecretStream::start(initiator, [2; 24]);
    let message = sealed(&mut sender, b"pay 1");
    for position in 3..message.len() {
        let (mut receiver, _) = SecretStream::start(responder.clone(), [1; 24]);
        receiver.receive(&first);
        let mut changed = message.clone();
        changed[position] ^= 1;
        receiver.receive(&changed);
        assert_eq!(receiver.poll_message(), Err(SecretError::NotAuthentic), "{position}");
    }
    // Nor can a message be repeated.
    let (mut receiver, _) = SecretStream::start(responder, [1; 24]);
    receiver.receive(&[first, message.clone(), message].concat());
    assert_eq!(receiver.poll_message(), Ok(Some(b"pay 1".to_vec())));
    assert_eq!(receiver.poll_message(), Err(SecretError::NotAuthentic));
}

#[test]
fn a_stranger_cannot_make_us_hold_a_long_first_frame() {
    let [_, responder] = keys();
    let (mut receiver, _) = SecretStream::start(responder, [1; 24]);
    receiver.receive(&[57, 0, 0]);
    assert!(matches!(receiver.poll_message(), Err(SecretError::Frame(_))));
}
