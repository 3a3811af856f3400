//! The handshake against the reference's, byte for byte, and against forged messages.

use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::secret_stream::noise_ik::{
    FIRST_OVERHEAD_BYTES, Initiator, Responder, SECOND_OVERHEAD_BYTES,
};
use libvms_hypercore::secret_stream::{HandshakeHash, NoiseError, StreamKeys};
use proptest::prelude::*;
use serde_json::Value;

use super::WEAK_KEYS;
use crate::vector::{array, hex, read};

fn secret(seed: &Value) -> SecretKey {
    SecretKey::from_seed(&array(seed))
}

/// Returns both ends of a handshake: the initiator before the answer, the first message, the answer, and the
/// responder's keys.
fn exchange() -> (Initiator, Vec<u8>, Vec<u8>, StreamKeys) {
    let (client, server) = (SecretKey::from_seed(&[2; 32]), SecretKey::from_seed(&[1; 32]));
    let (initiator, first) =
        Initiator::begin(&client, server.public_key(), &[3; 32], b"hello").expect("a key");
    let (responder, _) = Responder::receive(&server, &first).expect("authentic");
    let (second, keys) = responder.answer(&[4; 32], b"welcome").expect("a key");
    (initiator, first, second, keys)
}

#[test]
fn the_handshake_matches_the_reference_byte_for_byte() {
    let vector = &read("swarm/hyperdht.json")["noiseIK"];
    let (client, server) = (secret(&vector["initiatorStaticSeed"]), secret(&vector["responderStaticSeed"]));
    let (initiator, first) = Initiator::begin(
        &client,
        server.public_key(),
        &array(&vector["initiatorEphemeralSeed"]),
        &hex(&vector["payload1"]),
    )
    .expect("a key");
    assert_eq!(first, hex(&vector["message1"]));

    let (responder, payload) = Responder::receive(&server, &first).expect("authentic");
    assert_eq!(payload, hex(&vector["payload1"]));
    assert_eq!(responder.remote(), client.public_key());
    let (second, server_keys) = responder
        .answer(&array(&vector["responderEphemeralSeed"]), &hex(&vector["payload2"]))
        .expect("accepted keys");
    assert_eq!(second, hex(&vector["message2"]));

    let (payload, client_keys) = initiator.finish(&second).expect("authentic");
    assert_eq!(payload, hex(&vector["payload2"]));
    assert_eq!(client_keys.hash, HandshakeHash(array(&vector["handshakeHash"])));
    assert_eq!(client_keys.transmit.to_vec(), hex(&vector["initiatorTx"]));
    assert_eq!(client_keys.receive.to_vec(), hex(&vector["initiatorRx"]));
    assert_eq!(client_keys.local_stream_id().to_vec(), hex(&vector["streamIdInitiator"]));
    assert_eq!(client_keys.remote_stream_id().to_vec(), hex(&vector["streamIdResponder"]));
    assert_eq!((client_keys.remote, server_keys.remote), (server.public_key(), client.public_key()));
    assert_eq!(
        (server_keys.transmit, server_keys.receive, server_keys.hash),
        (client_keys.receive, client_keys.transmit, client_keys.hash)
    );
}

#[test]
fn captured_first_messages_open_with_the_server_key() {
    let server = SecretKey::from_seed(&[1; 32]);
    let client = SecretKey::from_seed(&[2; 32]);
    let transcript = read("swarm/transcript-holepunch.json");
    let sent = &transcript["secrets"]["noise"][0];
    let (responder, payload) = Responder::receive(&server, &hex(&sent["noise"])).expect("authentic");
    assert_eq!(responder.remote(), client.public_key());
    assert!(!payload.is_empty());
}

#[test]
fn a_forged_answer_does_not_spoil_the_true_one() {
    let (initiator, _, second, _) = exchange();
    for position in 0..second.len() {
        let mut forged = second.clone();
        forged[position] ^= 1;
        assert!(initiator.finish(&forged).is_err(), "byte {position}");
        assert!(initiator.finish(&second[..position]).is_err());
    }
    let (_, _, _, server_keys) = exchange();
    let (payload, keys) = initiator.finish(&second).expect("the true one, after all the forged ones");
    assert_eq!((payload.as_slice(), keys.hash), (&b"welcome"[..], server_keys.hash));
}

#[test]
fn a_changed_or_misdirected_first_message_is_refused() {
    let (_, first, _, _) = exchange();
    let server = SecretKey::from_seed(&[1; 32]);
    for position in 0..first.len() {
        let mut changed = first.clone();
        changed[position] ^= 0x40;
        assert!(Responder::receive(&server, &changed).is_err(), "byte {position}");
        assert!(Responder::receive(&server, &first[..position]).is_err());
    }
    let other = SecretKey::from_seed(&[9; 32]);
    assert_eq!(Responder::receive(&other, &first).map(|_| ()), Err(NoiseError::NotAuthentic));
}

#[test]
fn keys_that_would_make_the_secret_known_are_refused() {
    let local = SecretKey::from_seed(&[2; 32]);
    for weak in WEAK_KEYS {
        let result = Initiator::begin(&local, PublicKey(weak), &[3; 32], b"").map(|_| ());
        assert_eq!(result, Err(NoiseError::WeakKey(PublicKey(weak))));
        let mut message = vec![0; FIRST_OVERHEAD_BYTES];
        message[..32].copy_from_slice(&weak);
        let result = Responder::receive(&local, &message).map(|_| ());
        assert_eq!(result, Err(NoiseError::WeakKey(PublicKey(weak))));
    }
}

#[test]
fn a_payload_has_the_stated_overhead() {
    let (_, first, second, _) = exchange();
    assert_eq!(first.len(), b"hello".len() + FIRST_OVERHEAD_BYTES);
    assert_eq!(second.len(), b"welcome".len() + SECOND_OVERHEAD_BYTES);
}

#[test]
fn keys_do_not_print() {
    let (_, _, _, keys) = exchange();
    let shown = format!("{keys:?}");
    assert!(!shown.contains("transmit") && !shown.contains("receive"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_a_handshake_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (initiator, ..) = exchange();
        prop_assert!(initiator.finish(&bytes).is_err());
        prop_assert!(Responder::receive(&SecretKey::from_seed(&[1; 32]), &bytes).is_err());
    }
}
