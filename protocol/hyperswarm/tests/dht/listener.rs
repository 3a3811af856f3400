//! A server under honest, odd and hostile handshakes.

use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::secret_stream::StreamKeys;
use libvms_hypercore::secret_stream::noise_ik::Initiator;
use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::{Address, Target};
use libvms_hyperswarm::hyperdht::command::{Firewall, PeerError};
use libvms_hyperswarm::hyperdht::handshake_payload::{HandshakePayload, UdxStream};
use libvms_hyperswarm::hyperdht::router::{Arrival, Content, Path};
use libvms_hyperswarm::hyperdht::server::{Approach, Heard, Ignored, Listener, Reach};
use proptest::prelude::*;

use super::codecs::address;
use crate::vector::{hex, items, read};

fn server() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn client() -> SecretKey {
    SecretKey::from_seed(&[2; 32])
}

fn listener() -> Listener {
    Listener::new(server(), [9; 32])
}

fn payload(firewall: Firewall) -> HandshakePayload {
    let udx = Some(UdxStream { is_reusable_socket: false, id: 4242, first_packet: 0 });
    HandshakePayload { firewall, udx, has_secret_stream: true, ..HandshakePayload::default() }
}

/// Creates a first message; its number makes it a different one.
fn first(number: u32, payload: &[u8]) -> (Initiator, Vec<u8>) {
    let mut seed = [3; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    Initiator::begin(&client(), server().public_key(), &seed, payload).expect("a key")
}

fn arrival(noise: &[u8], path: Path, client: &str) -> Arrival {
    let target = Target([0; 32]);
    Arrival { target, content: Content::Handshake(noise.to_vec()), client: address(client), path }
}

fn relayed() -> Path {
    Path::Relayed(address("30.0.0.1:2000"))
}

fn hear(listener: &mut Listener, now: Instant, arrival: &Arrival) -> Result<Heard, Ignored> {
    listener.hear(now, arrival, &Reach::default(), &mut |_: &PublicKey| true)
}

fn opened(initiator: &Initiator, heard: &Heard) -> (HandshakePayload, StreamKeys) {
    let (payload, keys) = initiator.finish(&heard.answer).expect("the server's answer");
    (HandshakePayload::decode(&payload).expect("readable"), keys)
}

#[test]
fn odd_payloads_are_answered_as_the_reference_does() {
    let vector = read("swarm/server.json");
    let mut compared = 0;
    for (number, case) in items(&vector["handshakes"]).iter().enumerate().take(12) {
        let name = case["name"].as_str().expect("text");
        // Noise that is broken on purpose has a test of its own.
        if name.contains("of 96 bytes") || name.contains("of 10 bytes") {
            continue;
        }
        let (initiator, noise) = first(number as u32, &hex(&case["payload"]));
        let heard = listener().hear(
            Instant::START,
            &arrival(&noise, Path::Direct, "20.0.0.1:1000"),
            &Reach::default(),
            &mut |_: &PublicKey| name != "firewalled key",
        );
        let is_answered = !items(&case["answers"]).is_empty();
        assert_eq!(heard.is_ok(), is_answered, "{name}: {heard:?}");
        let Ok(heard) = heard else { continue };
        assert_eq!(heard.accepted.is_some(), case["serverOpenedAConnection"] == true, "{name}");
        let (payload, _) = opened(&initiator, &heard);
        let expected = case["replyPayload"]["error"].as_u64().expect("a number");
        let error = [None, Some(PeerError::ABORTED), Some(PeerError::VERSION_MISMATCH)][expected as usize];
        assert_eq!(payload.error, error, "{name}");
        compared += 1;
    }
    assert!(compared >= 7, "{compared}");
}

#[test]
fn repetitions_get_the_same_answer_and_are_one_connection() {
    let mut listener = listener();
    let (initiator, noise) = first(1, &payload(Firewall::Unknown).encode());
    let direct =
        hear(&mut listener, Instant::START, &arrival(&noise, relayed(), "20.0.0.1:1")).expect("answered");
    let other_relay = Path::Relayed(address("31.0.0.1:2000"));
    for now in [0, 1_000, 19_999] {
        let again =
            hear(&mut listener, Instant::from_millis(now), &arrival(&noise, other_relay, "20.0.0.1:1"))
                .expect("answered");
        assert_eq!((&again.answer, again.accepted), (&direct.answer, None));
    }
    let accepted = direct.accepted.clone().expect("the first time");
    let (payload, keys) = opened(&initiator, &direct);
    assert_eq!(payload.udx.map(|stream| stream.id), Some(accepted.local_stream));
    assert_eq!((accepted.remote_stream, keys.hash), (4242, accepted.keys.hash));
}

#[test]
fn a_replayed_first_message_opens_nothing() {
    let mut listener = listener();
    let (_, noise) = first(1, &payload(Firewall::Open).encode());
    assert!(hear(&mut listener, Instant::START, &arrival(&noise, Path::Direct, "20.0.0.1:1")).is_ok());
    for now in [20_000, 60_000, 3_600_000] {
        let replay =
            hear(&mut listener, Instant::from_millis(now), &arrival(&noise, Path::Direct, "66.0.0.1:1"));
        assert_eq!(replay, Err(Ignored::Replayed), "{now}");
    }
}

#[test]
fn headers_to_a_client_named_by_a_relay_are_bounded() {
    let mut listener = listener();
    // A hundred handshakes, each with the victim's address, from many relays.
    let mut dialed = 0;
    for number in 0..60 {
        let (initiator, noise) = first(number, &payload(Firewall::Open).encode());
        let path = Path::Relayed(address(&format!("30.0.{number}.1:1")));
        let heard =
            hear(&mut listener, Instant::START, &arrival(&noise, path, "66.0.0.1:80")).expect("answered");
        match &heard.accepted {
            Some(accepted) => {
                assert_eq!(accepted.approach, Approach::Dial(address("66.0.0.1:80")));
                dialed += 1;
            }
            None => assert_eq!(opened(&initiator, &heard).0.error, Some(PeerError::TRY_LATER)),
        }
    }
    assert_eq!(dialed, 16);
}

#[test]
fn nothing_is_ever_sent_to_port_0() {
    let (_, noise) = first(1, &payload(Firewall::Open).encode());
    let heard =
        hear(&mut listener(), Instant::START, &arrival(&noise, relayed(), "66.0.0.1:0")).expect("answered");
    assert_eq!(heard.accepted, None);
}

#[test]
fn a_flood_of_handshakes_is_dropped_before_any_computation() {
    let mut listener = listener();
    let noise = |number: u32| [&number.to_le_bytes()[..], &[7; 100]].concat();
    let outcome = |listener: &mut Listener, now, number: u32, client: &str, path| {
        hear(listener, now, &arrival(&noise(number), path, client)).expect_err("garbage")
    };
    let is_flood = |ignored: &Ignored| matches!(ignored, Ignored::Flood(_));
    // One client.
    let floods = (0..200).filter(|number| {
        is_flood(&outcome(&mut listener, Instant::START, *number, "66.0.0.1:1", Path::Direct))
    });
    assert_eq!(floods.count(), 200 - 64);
    // One relay that invents clients.
    let floods = (0..1_000).filter(|number: &u32| {
        let client = format!("50.{}.{}.1:1", number / 256, number % 256);
        is_flood(&outcome(&mut listener, Instant::START, *number, &client, relayed()))
    });
    assert_eq!(floods.count(), 1_000 - 256);
    // All hosts of the world.
    let floods = (0..1_000).filter(|number: &u32| {
        let client = format!("51.{}.{}.1:1", number / 256, number % 256);
        is_flood(&outcome(&mut listener, Instant::START, *number, &client, Path::Direct))
    });
    assert_eq!(floods.count(), 1_000 - (512 - 64 - 256));
    // Later it goes on, and an honest client gets through.
    let (_, honest) = first(1, &payload(Firewall::Unknown).encode());
    assert!(
        hear(&mut listener, Instant::from_millis(60_000), &arrival(&honest, Path::Direct, "20.0.0.1:1"))
            .is_ok()
    );
}

#[test]
fn numbers_of_handshakes_are_small_and_reused() {
    let mut listener = listener();
    let mut number = |now: Instant, salt: u32| {
        let (_, noise) = first(salt, &payload(Firewall::Unknown).encode());
        let heard = hear(&mut listener, now, &arrival(&noise, relayed(), "20.0.0.1:1")).expect("answered");
        heard.accepted.expect("new").handshake
    };
    assert_eq!(
        [number(Instant::START, 1), number(Instant::START, 2), number(Instant::from_millis(10_000), 3)],
        [0, 1, 2]
    );
    assert_eq!(
        [
            number(Instant::from_millis(20_000), 4),
            number(Instant::from_millis(20_000), 5),
            number(Instant::from_millis(20_000), 6)
        ],
        [0, 1, 3]
    );
}

#[test]
fn a_server_reports_how_it_is_reached() {
    let local: Vec<Address> = vec![address("192.168.0.2:49737")];
    let route = |last: u8| libvms_hyperswarm::hyperdht::handshake_payload::RelayRoute {
        relay: address(&format!("30.0.0.{last}:1")),
        peer: address("40.0.0.1:5"),
    };
    let relays = vec![route(1), route(2), route(3)];
    for public in [None, Some(address("40.0.0.1:49737"))] {
        let reach = Reach { public, local: local.clone(), relays: relays.clone(), ..Reach::default() };
        let (initiator, noise) = first(1, &payload(Firewall::Unknown).encode());
        let arrival = arrival(&noise, relayed(), "20.0.0.1:1");
        let heard =
            listener().hear(Instant::START, &arrival, &reach, &mut |_: &PublicKey| true).expect("answered");
        let (payload, _) = opened(&initiator, &heard);
        assert_eq!(payload.firewall == Firewall::Open, public.is_some());
        assert_eq!(
            payload.holepunch.map(|holepunch| holepunch.relays),
            public.is_none().then(|| relays.clone())
        );
        assert_eq!(payload.addresses.len(), 1 + usize::from(public.is_some()));
        assert_eq!(payload.relay_addresses.len(), 3);
        assert_eq!(payload.relay_addresses[0], public.unwrap_or(relays[0].relay));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_payload_of_a_genuine_client_makes_a_server_panic(
        bytes in proptest::collection::vec(prop_oneof![0_u8..3, any::<u8>()], 0..80),
    ) {
        let (_, noise) = first(1, &bytes);
        let _ = hear(&mut listener(), Instant::START, &arrival(&noise, relayed(), "20.0.0.1:1"));
    }
}
