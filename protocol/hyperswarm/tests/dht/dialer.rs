//! Attempts to connect, among relays that lie.

use std::time::Duration;

use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::secret_stream::noise_ik::Responder;
use libvms_hyperswarm::dht_rpc::{Address, Answer, Command, QuerySpec, RequestSpec, Socket};
use libvms_hyperswarm::hyperdht::client::{DialAction, DialError, Dialed, Dialer, Way};
use libvms_hyperswarm::hyperdht::command::{Firewall, PeerError};
use libvms_hyperswarm::hyperdht::envelope::{HandshakeEnvelope, Mode};
use libvms_hyperswarm::hyperdht::handshake_payload::{
    HandshakePayload, HolepunchRelays, RelayRoute, UdxStream,
};
use libvms_hyperswarm::hyperdht::server::Reach;
use proptest::prelude::*;

use super::codecs::address;

fn server_key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn relay(last: u8) -> Address {
    address(&format!("30.0.0.{last}:1"))
}

fn dialer(reach: Reach, hints: &[Address]) -> Dialer {
    dialer_again(reach, &[], hints)
}

/// Creates an attempt to reach the server again.
fn dialer_again(reach: Reach, before: &[Address], hints: &[Address]) -> Dialer {
    let local = SecretKey::from_seed(&[2; 32]);
    Dialer::new(&local, server_key().public_key(), reach, (before, hints), &[3; 64]).expect("a key")
}

fn answer(from: Address, value: Option<Vec<u8>>) -> Answer {
    let to = address("20.0.0.1:1000");
    Answer { from, id: None, to, token: None, error: None, value, round_trip: Duration::from_millis(1) }
}

/// The actions that a dialer wants now.
#[derive(Default)]
struct Wants {
    requests: Vec<(u64, RequestSpec)>,
    searches: Vec<QuerySpec>,
    done: Option<Result<Dialed, DialError>>,
}

fn wants(dialer: &mut Dialer) -> Wants {
    let mut wants = Wants::default();
    while let Some(action) = dialer.poll_action() {
        match action {
            DialAction::Request(number, spec) => wants.requests.push((number, spec)),
            DialAction::Search(spec) => wants.searches.push(spec),
            DialAction::Done(result) => assert!(wants.done.replace(result).is_none(), "over twice"),
        }
    }
    wants
}

fn payload() -> HandshakePayload {
    let udx = Some(UdxStream { is_reusable_socket: false, id: 77, first_packet: 0 });
    HandshakePayload { udx, has_secret_stream: true, ..HandshakePayload::default() }
}

/// Returns the server's answer to a relayed request, as the relay returns it.
fn reply(spec: &RequestSpec, payload: &HandshakePayload, server: Option<Address>) -> Vec<u8> {
    let envelope = HandshakeEnvelope::decode(spec.value.as_ref().expect("an envelope")).expect("readable");
    assert_eq!((spec.command, envelope.mode), (Command::PEER_HANDSHAKE, Mode::FromClient));
    let (responder, _) = Responder::receive(&server_key(), &envelope.noise).expect("authentic");
    let (noise, _) = responder.answer(&[5; 32], &payload.encode()).expect("a key");
    HandshakeEnvelope { mode: Mode::Reply, noise, peer: server, relay: None }.encode()
}

#[test]
fn a_forged_answer_of_a_relay_does_not_spoil_the_attempt() {
    let mut dialer = dialer(Reach::default(), &[]);
    wants(&mut dialer);
    for number in 1..=3 {
        dialer.handle_peer_found(&answer(relay(number), Some(vec![0; 33])));
    }
    let asked = wants(&mut dialer).requests;
    assert_eq!(asked.len(), 2, "two relays at once");
    let genuine = reply(&asked[0].1, &payload(), Some(address("40.0.0.1:9")));
    let mut envelope = HandshakeEnvelope::decode(&genuine).expect("readable");
    envelope.noise[40] ^= 1;
    for (position, forged) in [envelope.encode(), vec![], vec![9; 200]].into_iter().enumerate() {
        let (number, spec) = if position < 2 { asked[position].clone() } else { break };
        dialer.handle_answer(number, Some(&answer(spec.to, Some(forged))));
    }
    let asked = wants(&mut dialer);
    assert_eq!((asked.requests.len(), asked.done), (1, None));
    let (number, spec) = &asked.requests[0];
    dialer.handle_answer(*number, Some(&answer(spec.to, Some(genuine))));
    let dialed = wants(&mut dialer).done.expect("over").expect("connected");
    assert_eq!((dialed.remote_stream, dialed.keys.remote), (77, server_key().public_key()));
    // No holepunch relays: the server can be reached where the relay saw it.
    assert_eq!(dialed.way, Way::Connect(Socket::Client, address("40.0.0.1:9")));
    // Later answers change nothing.
    dialer.handle_answer(1, Some(&answer(relay(2), None)));
    dialer.handle_searched();
    dialer.handle_peer_found(&answer(relay(9), Some(vec![0; 33])));
    let later = wants(&mut dialer);
    assert!(later.requests.is_empty() && later.searches.is_empty() && later.done.is_none());
}

/// The table is asked only if they fail.
#[test]
fn known_relays_are_asked_before_the_table() {
    let mut dialer = dialer(Reach::default(), &[relay(1)]);
    let begun = wants(&mut dialer);
    assert_eq!((begun.requests[0].1.to, &begun.searches[0].nodes), (relay(1), &vec![relay(1)]));
    dialer.handle_answer(begun.requests[0].0, None);
    dialer.handle_searched();
    let again = wants(&mut dialer);
    assert!(again.searches[0].nodes.is_empty() && again.done.is_none());
    dialer.handle_searched();
    assert_eq!(wants(&mut dialer).done, Some(Err(DialError::NoAnswer)));
}

#[test]
fn no_search_is_needed_for_a_peer_that_has_not_moved() {
    let mut dialer = dialer_again(Reach::default(), &[relay(1), relay(2), relay(3)], &[relay(4)]);
    let begun = wants(&mut dialer);
    assert!(begun.searches.is_empty());
    assert_eq!(begun.requests.iter().map(|(_, spec)| spec.to).collect::<Vec<_>>(), [relay(1), relay(2)]);
    let (number, spec) = &begun.requests[1];
    let value = reply(spec, &payload(), Some(address("40.0.0.1:9")));
    dialer.handle_answer(*number, Some(&answer(spec.to, Some(value))));
    let over = wants(&mut dialer);
    assert!(over.searches.is_empty() && over.requests.is_empty());
    assert_eq!(over.done.expect("over").expect("connected").through, relay(2));
}

#[test]
fn a_peer_that_has_moved_is_searched_as_soon_as_that_shows() {
    // A node that reached the peer before is late: others are searched for and asked beside it.
    let mut dialer = dialer_again(Reach::default(), &[relay(1), relay(2)], &[relay(4)]);
    let begun = wants(&mut dialer);
    dialer.handle_late(begun.requests[0].0);
    let late = wants(&mut dialer);
    assert_eq!(late.searches.iter().map(|spec| &spec.nodes[..]).collect::<Vec<_>>(), [[relay(4)]]);
    dialer.handle_peer_found(&answer(relay(5), Some(vec![0; 33])));
    let found = wants(&mut dialer);
    let asked: Vec<Address> = late.requests.iter().chain(&found.requests).map(|(_, spec)| spec.to).collect();
    assert_eq!(asked, [relay(4), relay(5)], "both at once, whoever of before is still waited for");
    dialer.handle_late(begun.requests[1].0);
    assert!(wants(&mut dialer).searches.is_empty(), "there is a search already");

    // All of them say that they do not know it.
    let mut dialer = dialer_again(Reach::default(), &[relay(1), relay(2)], &[]);
    for (number, spec) in wants(&mut dialer).requests {
        dialer.handle_answer(number, Some(&answer(spec.to, None)));
    }
    let unknown = wants(&mut dialer);
    assert_eq!((unknown.searches.len(), &unknown.done), (1, &None));
    dialer.handle_searched();
    assert_eq!(wants(&mut dialer).done, Some(Err(DialError::NoAnswer)));
}

#[test]
fn a_hostile_network_cannot_make_a_dialer_ask_for_ever() {
    let mut dialer = dialer(Reach::default(), &[]);
    for number in 0..=255 {
        dialer.handle_peer_found(&answer(relay(number), Some(vec![0; 33])));
        dialer.handle_peer_found(&answer(relay(number).with_port(0), Some(vec![0; 33])));
    }
    let mut asked = 0;
    loop {
        let requests = wants(&mut dialer).requests;
        if requests.is_empty() {
            break;
        }
        asked += requests.len();
        requests.iter().for_each(|(number, _)| dialer.handle_answer(*number, None));
    }
    assert_eq!(asked, 16);
    dialer.handle_searched();
    assert_eq!(wants(&mut dialer).done, Some(Err(DialError::NoAnswer)));
}

/// Returns the result when the first relay returns this payload.
fn outcome(reach: Reach, payload: &HandshakePayload, server: Option<Address>) -> (Dialer, Wants) {
    let mut dialer = dialer(reach, &[relay(1)]);
    let (number, spec) = wants(&mut dialer).requests.remove(0);
    let value = reply(&spec, payload, server);
    dialer.handle_answer(number, Some(&answer(spec.to, Some(value))));
    let wanted = wants(&mut dialer);
    (dialer, wanted)
}

#[test]
fn a_server_that_refuses_or_opens_no_stream_ends_the_attempt() {
    for (payload, error) in [
        (HandshakePayload::refusal(PeerError::TRY_LATER), DialError::Refused(PeerError::TRY_LATER)),
        (HandshakePayload { udx: None, ..payload() }, DialError::NoStream),
    ] {
        assert_eq!(outcome(Reach::default(), &payload, None).1.done, Some(Err(error)));
    }
}

#[test]
fn the_way_to_a_server_follows_from_both_firewalls() {
    let route = RelayRoute { relay: relay(1), peer: address("40.0.0.1:8") };
    let holepunch = Some(HolepunchRelays { id: 4, relays: vec![route] });
    let behind = HandshakePayload { holepunch: holepunch.clone(), ..payload() };
    let addresses = vec![address("192.168.0.9:7"), address("40.0.0.1:7")];
    let open = HandshakePayload { firewall: Firewall::Open, addresses, ..behind.clone() };
    let seen = Some(address("40.0.0.1:9"));
    let public = Some(address("20.0.0.1:1000"));
    let reachable = Reach { public, socket: Socket::Server, ..Reach::default() };
    let way = |reach: &Reach, payload: &HandshakePayload, server| {
        outcome(reach.clone(), payload, server).1.done.expect("over").expect("an answer").way
    };
    let guest = Reach::default();
    let connect = |socket, to: &str| Way::Connect(socket, address(to));
    assert_eq!(way(&guest, &behind, None), Way::Connect(Socket::Client, relay(1)));
    assert_eq!(way(&guest, &open, seen), connect(Socket::Client, "40.0.0.1:7"));
    assert_eq!(way(&reachable, &open, seen), connect(Socket::Server, "40.0.0.1:7"));
    assert_eq!(way(&guest, &payload(), seen), connect(Socket::Client, "40.0.0.1:9"));
    assert_eq!(way(&reachable, &behind, seen), Way::Await);
    assert!(matches!(way(&guest, &behind, seen), Way::Punch { relays, .. } if relays.id == 4));
}

#[test]
fn a_server_behind_the_same_router_is_tried_locally_first() {
    let route = RelayRoute { relay: relay(1), peer: address("20.0.0.1:8") };
    let holepunch = Some(HolepunchRelays { id: 4, relays: vec![route] });
    let addresses = vec![address("10.0.0.5:7"), address("192.168.0.9:7"), address("192.168.0.10:0")];
    let near = HandshakePayload { holepunch, addresses, ..payload() };
    let reach = Reach { local: vec![address("192.168.0.2:49737")], ..Reach::default() };
    // Both are seen at 20.0.0.1.
    for is_there in [true, false] {
        let (mut dialer, wanted) = outcome(reach.clone(), &near, Some(address("20.0.0.1:9")));
        let (number, spec) = &wanted.requests[0];
        assert_eq!((spec.command, spec.to), (Command::PING, address("192.168.0.9:7")));
        dialer.handle_answer(*number, is_there.then(|| answer(spec.to, None)).as_ref());
        let way = wants(&mut dialer).done.expect("over").expect("an answer").way;
        match is_there {
            true => assert_eq!(way, Way::Connect(Socket::Server, address("192.168.0.9:7"))),
            false => assert!(matches!(way, Way::Punch { .. })),
        }
    }
}

#[test]
fn an_invalid_key_is_refused_before_any_request() {
    let local = SecretKey::from_seed(&[2; 32]);
    let result = Dialer::new(&local, PublicKey([0; 32]), Reach::default(), (&[], &[]), &[3; 64]);
    assert!(matches!(result, Err(DialError::Key(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_answer_of_a_relay_makes_a_dialer_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut dialer = dialer(Reach::default(), &[relay(1)]);
        let (number, spec) = wants(&mut dialer).requests.remove(0);
        dialer.handle_answer(number, Some(&answer(spec.to, Some(value))));
        dialer.handle_answer(number + 100, None);
        prop_assert!(wants(&mut dialer).done.is_none());
    }
}
