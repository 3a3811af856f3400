//! Noise XX against the reference's bytes, and against messages of other handshakes.

use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::secret_stream::noise_xx::{
    AnsweredResponder, FIRST_BYTES, Initiator, Responder, SECOND_BYTES, THIRD_BYTES,
};
use libvms_hypercore::secret_stream::{HandshakeHash, NoiseError, Role, StreamKeys};
use proptest::prelude::*;

use super::WEAK_KEYS;
use crate::vector::{array, hex, items, read};

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// Both sides of a handshake whose ephemeral keys come from `seed`, and its first two messages.
struct Exchange {
    initiator: Initiator,
    first: Vec<u8>,
    responder: AnsweredResponder,
    second: Vec<u8>,
}

impl Exchange {
    fn new(seed: u8) -> Self {
        let (initiator, first) = Initiator::begin(secret(2), &[seed; 32]);
        let listener = Responder::new(secret(1), &[seed + 1; 32]);
        let (responder, second) = listener.answer(&first).expect("a key");
        Self { initiator, first, responder, second }
    }

    fn finish(&self) -> (Vec<u8>, [StreamKeys; 2]) {
        let (third, initiator) = self.initiator.finish(&self.second).expect("authentic");
        let responder = self.responder.finish(&third).expect("authentic");
        (third, [initiator, responder])
    }
}

#[test]
fn the_handshake_matches_the_reference_byte_for_byte() {
    let vector = read("wire/handshake.json");
    let frame = |side: &str, number: usize| hex(&items(&vector[side])[number])[3..].to_vec();
    let seed = |number: usize| array(&items(&vector["ephemeralSeedsInOrderOfUse"])[number]);
    let locals = ["staticSeedA", "staticSeedB"].map(|name| SecretKey::from_seed(&array(&vector[name])));
    let [client, server] = locals.clone();

    let (initiator, first) = Initiator::begin(client, &seed(0));
    assert_eq!(first, frame("framesFromA", 0));
    let (responder, second) = Responder::new(server, &seed(1)).answer(&first).expect("a key");
    assert_eq!(second, frame("framesFromB", 0));
    let (third, client_keys) = initiator.finish(&second).expect("authentic");
    assert_eq!(third, frame("framesFromA", 1));
    let server_keys = responder.finish(&third).expect("authentic");

    let remotes = [client_keys.remote, server_keys.remote];
    assert_eq!(remotes, [locals[1].public_key(), locals[0].public_key()]);
    for (keys, role, side) in [(client_keys, Role::Initiator, "a"), (server_keys, Role::Responder, "b")] {
        let split = &vector["split"][side];
        assert_eq!(keys.role, role);
        assert_eq!((keys.transmit, keys.receive), (array(&split["tx"]), array(&split["rx"])));
        assert_eq!(keys.hash, HandshakeHash(array(&split["handshakeHash"])));
    }
}

#[test]
fn messages_of_any_other_length_are_refused() {
    let exchange = Exchange::new(3);
    let (third, _) = exchange.finish();
    let listener = Responder::new(secret(1), &[9; 32]);
    let lengths = [(&exchange.first, FIRST_BYTES), (&exchange.second, SECOND_BYTES), (&third, THIRD_BYTES)];
    for (number, (message, expected)) in lengths.into_iter().enumerate() {
        assert_eq!(message.len(), expected);
        for bytes in (0..expected).chain([expected + 1, expected + 16, 1000]) {
            let mut message = message.clone();
            message.resize(bytes, 0);
            let refused = match number {
                0 => listener.answer(&message).map(|_| ()),
                1 => exchange.initiator.finish(&message).map(|_| ()),
                _ => exchange.responder.finish(&message).map(|_| ()),
            };
            assert_eq!(refused, Err(NoiseError::WrongLength { bytes, expected }));
        }
    }
}

#[test]
fn a_changed_message_does_not_spoil_the_true_one() {
    let exchange = Exchange::new(3);
    let (third, _) = exchange.finish();
    for position in 0..SECOND_BYTES {
        let mut changed = exchange.second.clone();
        changed[position] ^= 1;
        assert!(exchange.initiator.finish(&changed).is_err(), "byte {position} of the second");
    }
    for position in 0..THIRD_BYTES {
        let mut changed = third.clone();
        changed[position] ^= 0x40;
        assert!(exchange.responder.finish(&changed).is_err(), "byte {position} of the third");
    }
    let (_, [initiator, responder]) = exchange.finish();
    assert_eq!((initiator.transmit, initiator.hash), (responder.receive, responder.hash));
}

#[test]
fn a_changed_first_message_shows_at_the_next() {
    let (initiator, mut first) = Initiator::begin(secret(2), &[3; 32]);
    // Another key that nobody has signed.
    first.copy_from_slice(&secret(77).public_key().0);
    let (_, second) = Responder::new(secret(1), &[4; 32]).answer(&first).expect("a key");
    assert_eq!(initiator.finish(&second).map(|_| ()), Err(NoiseError::NotAuthentic));
}

#[test]
fn messages_of_another_handshake_are_refused() {
    let (old, new) = (Exchange::new(3), Exchange::new(5));
    assert_ne!((&old.first, &old.second), (&new.first, &new.second));
    assert_eq!(new.initiator.finish(&old.second).map(|_| ()), Err(NoiseError::NotAuthentic));
    let (third, _) = old.finish();
    assert_eq!(new.responder.finish(&third).map(|_| ()), Err(NoiseError::NotAuthentic));
    // A replayed first message is answered, with fresh keys: what followed it does not fit the answer.
    let (again, _) = Responder::new(secret(1), &[9; 32]).answer(&old.first).expect("a key");
    assert_eq!(again.finish(&third).map(|_| ()), Err(NoiseError::NotAuthentic));
}

/// Neither side can be made to shake hands with itself.
#[test]
fn reflected_messages_are_refused() {
    let exchange = Exchange::new(3);
    let (third, _) = exchange.finish();
    // The initiator's own key for its remote's, with what it encrypted itself behind it.
    let mut mirrored = [exchange.first.clone(), third].concat();
    assert_eq!(exchange.initiator.finish(&mirrored).map(|_| ()), Err(NoiseError::NotAuthentic));
    // The answer without its key is as long as a third message.
    mirrored = exchange.second[FIRST_BYTES..].to_vec();
    assert_eq!(exchange.responder.finish(&mirrored).map(|_| ()), Err(NoiseError::NotAuthentic));
}

#[test]
fn weak_keys_are_refused_in_the_first_two_messages() {
    let exchange = Exchange::new(3);
    let listener = Responder::new(secret(1), &[9; 32]);
    for weak in WEAK_KEYS {
        let expected = Err(NoiseError::WeakKey(PublicKey(weak)));
        assert_eq!(listener.answer(&weak).map(|_| ()), expected);
        let mut second = exchange.second.clone();
        second[..32].copy_from_slice(&weak);
        assert_eq!(exchange.initiator.finish(&second).map(|_| ()), expected);
    }
}

#[test]
fn no_secret_prints() {
    let exchange = Exchange::new(3);
    let shown = format!("{:?} {:?}", exchange.initiator, exchange.responder);
    assert_eq!(shown, "Initiator { .. } AnsweredResponder { .. }");
    assert_eq!(format!("{:?}", Responder::new(secret(1), &[9; 32])), "Responder { .. }");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_a_handshake_panic(bytes in proptest::collection::vec(any::<u8>(), SECOND_BYTES)) {
        let exchange = Exchange::new(3);
        prop_assert!(exchange.initiator.finish(&bytes).is_err());
        prop_assert!(exchange.responder.finish(&bytes[..THIRD_BYTES]).is_err());
        // Half of all bytes are a point of the curve, and few of those in its large group.
        let _answer = Responder::new(secret(1), &[9; 32]).answer(&bytes[..FIRST_BYTES]);
    }
}
