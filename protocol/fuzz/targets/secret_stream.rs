//! An encrypted stream, after a handshake of its own or one of the DHT, receives the bytes of an honest peer and hostile
//! ones among them: it delivers the peer's messages, in order, and no others.
#![no_main]

use std::collections::VecDeque;

use libfuzzer_sys::fuzz_target;
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::secret_stream::noise_ik::{Initiator, Responder};
use libvms_hypercore::secret_stream::{NONCE_BYTES, RANDOM_BYTES, Role, SecretStream, StreamKeys};
use libvms_protocol_fuzz::pieces;

/// The most memory for a stranger, in bytes: the longest piece, twice, and a frame of the handshake.
const MEMORY_BYTES_MAX: usize = 2 * 65_536 + 256;

/// Completes a handshake of the DHT. `forged` arrives before each message, as a relay may arrange, and is the payload.
fn shake_hands(forged: &[u8]) -> [StreamKeys; 2] {
    let [client, server] = [[2; 32], [1; 32]].map(|seed| SecretKey::from_seed(&seed));
    let (initiator, first) = Initiator::begin(&client, server.public_key(), &[3; 32], forged).expect("a key");
    assert!(Responder::receive(&server, forged).is_err());
    let (responder, payload) = Responder::receive(&server, &first).expect("authentic");
    assert_eq!((payload.as_slice(), responder.remote()), (forged, client.public_key()));
    let (second, server_keys) = responder.answer(&[4; 32], forged).expect("a key");
    assert!(initiator.finish(forged).is_err());
    let (payload, client_keys) = initiator.finish(&second).expect("the true answer, after the forged one");
    assert_eq!(payload, forged);
    [client_keys, server_keys]
}

/// Returns the stream under test and the honest other one.
fn streams(kind: u8, forged: &[u8]) -> [SecretStream; 2] {
    let mut streams = match kind & 2 {
        0 => [Role::Initiator, Role::Responder]
            .map(|role| SecretStream::new(role, &[5 + role as u8; RANDOM_BYTES])),
        _ => shake_hands(forged).map(|keys| {
            let nonce = [5 + keys.role as u8; NONCE_BYTES];
            SecretStream::from_keys(keys, nonce)
        }),
    };
    if kind & 1 == 1 {
        streams.reverse();
    }
    streams
}

fuzz_target!(|bytes: &[u8]| {
    let mut pieces = pieces(bytes);
    let Some((kind, forged)) = pieces.next() else { return };
    let [mut victim, mut other] = streams(kind, forged);
    let mut said = VecDeque::new();
    let mut is_honest = true;
    for (choice, piece) in pieces {
        let mut honest = vec![];
        let received = match choice {
            0..100 => {
                other.transmit(&mut honest);
                victim.receive(&honest)
            }
            100..150 => {
                said.push_back(piece.to_vec());
                other.send(piece.to_vec());
                Ok(())
            }
            150..200 => {
                victim.send(piece.to_vec());
                Ok(())
            }
            _ => {
                is_honest &= piece.is_empty();
                victim.receive(piece)
            }
        };
        assert!(received.is_ok() || !is_honest);
        assert!(victim.is_established() || victim.memory_bytes() <= MEMORY_BYTES_MAX);
        if received.is_err() {
            return;
        }
        loop {
            match victim.poll_message() {
                Ok(Some(message)) => assert_eq!(Some(message), said.pop_front()),
                Ok(None) => break,
                Err(_) => {
                    assert!(!is_honest);
                    return;
                }
            }
        }
        let mut answer = vec![];
        victim.transmit(&mut answer);
        other.receive(&answer).expect("the bytes of a sound stream");
        while other.poll_message().expect("the bytes of a sound stream").is_some() {}
    }
});
