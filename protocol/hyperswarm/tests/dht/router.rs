//! Messages between peers that pass through a node: the reference's hops, and abuse.

use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::{Address, Command, Forward, Message, Reply, Request, Target};
use libvms_hyperswarm::hyperdht::envelope::{HandshakeEnvelope, HolepunchEnvelope, Mode};
use libvms_hyperswarm::hyperdht::router::{Arrival, Content, Passing, Path, Router, Verdict, Whereabouts};
use proptest::prelude::*;

use super::codecs::address;
use crate::vector::{hex, items, read};

const TARGET: Target = Target([5; 32]);

fn client() -> Address {
    address("20.0.0.1:1000")
}

fn relay() -> Address {
    address("30.0.0.1:2000")
}

fn server() -> Address {
    address("40.0.0.1:3000")
}

fn handshake(mode: Mode, peer: Option<Address>, relay: Option<Address>) -> Vec<u8> {
    HandshakeEnvelope { mode, noise: vec![6; 100], peer, relay }.encode()
}

fn route(from: Address, value: &[u8], whereabouts: Whereabouts) -> Verdict {
    let command = Command::PEER_HANDSHAKE;
    let passing = Passing { from, command, target: Some(&TARGET), value: Some(value) };
    Router::default().route(Instant::START, &passing, whereabouts)
}

/// Returns the only request that a verdict sends.
fn sent(verdict: Verdict) -> (Address, HandshakeEnvelope) {
    let Verdict::Request(Forward { to, socket: None, command, target, value }) = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!((command, target), (Command::PEER_HANDSHAKE, Some(TARGET)));
    (to, HandshakeEnvelope::decode(&value.expect("an envelope")).expect("readable"))
}

#[test]
fn the_router_repeats_each_hop_of_the_captures() {
    let mut hops = 0;
    for name in ["lan", "holepunch", "swarm"] {
        let transcript = read(&format!("swarm/transcript-{name}.json"));
        let ports = &transcript["ports"];
        let place = |socket: &serde_json::Value| -> Address {
            address(&format!("127.0.0.1:{}", ports[socket.as_str().expect("a name")]))
        };
        let rows: Vec<_> = items(&transcript["datagrams"])
            .iter()
            .filter_map(|row| Some((row, Message::decode(&hex(&row["hex"])).ok()?)))
            .collect();
        for (position, (row, message)) in rows.iter().enumerate() {
            let Message::Request(Request { tid, command, target, value, .. }) = message else { continue };
            let is_carried = matches!(*command, Command::PEER_HANDSHAKE | Command::PEER_HOLEPUNCH);
            // The answer of the server itself is made by another module.
            let is_at_relay = row["to"].as_str().is_some_and(|name| name.starts_with('N'));
            if !is_carried || !is_at_relay {
                continue;
            }
            // The request that the receiver relayed under the same number.
            let next = rows[position + 1..].iter().find(|(next, message)| {
                let next_tid = match message {
                    Message::Request(request) => request.tid,
                    Message::Response(response) => response.tid,
                };
                next["from"] == row["to"] && next_tid == *tid
            });
            let (from, target) = (place(&row["from"]), target.as_ref());
            let passing = Passing { from, command: *command, target, value: value.as_deref() };
            let Some((next, message)) = next else { continue };
            let at = Whereabouts::At(place(&next["to"]));
            match (Router::default().route(Instant::START, &passing, at), message) {
                (Verdict::Request(forward), Message::Request(expected)) => {
                    assert_eq!((forward.to, &forward.value), (place(&next["to"]), &expected.value));
                    assert_eq!((forward.command, forward.target), (expected.command, expected.target));
                }
                (Verdict::Response { to, value }, Message::Response(expected)) => {
                    assert_eq!((to, Some(value)), (place(&next["to"]), expected.value.clone()));
                }
                (verdict, expected) => panic!("{verdict:?} in place of {expected:?}"),
            }
            hops += 1;
        }
    }
    assert!(hops >= 8, "{hops}");
}

#[test]
fn a_client_handshake_goes_to_the_route_or_the_named_relay() {
    let envelope = handshake(Mode::FromClient, None, None);
    let (to, passed) = sent(route(client(), &envelope, Whereabouts::At(server())));
    assert_eq!(
        (to, passed.mode, passed.peer, passed.relay),
        (server(), Mode::FromRelay, Some(client()), None)
    );

    let envelope = handshake(Mode::FromClient, None, Some(relay()));
    let (to, passed) = sent(route(client(), &envelope, Whereabouts::Unknown));
    assert_eq!((to, passed.mode, passed.peer), (relay(), Mode::FromRelay, Some(client())));

    let envelope = handshake(Mode::FromRelay, Some(client()), None);
    let (to, passed) = sent(route(relay(), &envelope, Whereabouts::At(server())));
    assert_eq!((to, passed.mode), (server(), Mode::FromSecondRelay));
    assert_eq!((passed.peer, passed.relay), (Some(client()), Some(relay())));
}

#[test]
fn a_handshake_for_an_unknown_peer_gets_closer_nodes() {
    let verdict = route(client(), &handshake(Mode::FromClient, None, None), Whereabouts::Unknown);
    assert_eq!(verdict, Verdict::Reply(Reply { with_closer: true, ..Reply::default() }));
}

#[test]
fn a_server_s_answer_goes_to_the_client_with_its_address() {
    for whereabouts in [Whereabouts::Unknown, Whereabouts::Here, Whereabouts::At(relay())] {
        let verdict = route(server(), &handshake(Mode::FromServer, Some(client()), None), whereabouts);
        let Verdict::Response { to, value } = verdict else { panic!("{verdict:?}") };
        let envelope = HandshakeEnvelope::decode(&value).expect("readable");
        assert_eq!((to, envelope.mode, envelope.peer), (client(), Mode::Reply, Some(server())));
    }
}

#[test]
fn a_server_answers_along_the_route_of_the_message() {
    let here = Whereabouts::Here;
    for (envelope, from, path, back_to) in [
        (handshake(Mode::FromClient, None, None), client(), Path::Direct, None),
        (handshake(Mode::FromRelay, Some(client()), None), relay(), Path::Relayed(relay()), Some(relay())),
        (
            handshake(Mode::FromSecondRelay, Some(client()), Some(relay())),
            server(),
            Path::Relayed(relay()),
            Some(relay()),
        ),
    ] {
        let Verdict::Arrived(arrival) = route(from, &envelope, here) else { panic!("it arrives") };
        assert_eq!((arrival.client, arrival.path, arrival.target), (client(), path, TARGET));
        assert_eq!(arrival.content, Content::Handshake(vec![6; 100]));
        match (arrival.answer(&[7; 60]), back_to) {
            (Verdict::Reply(reply), None) => {
                let envelope = HandshakeEnvelope::decode(&reply.value.expect("a value")).expect("readable");
                assert_eq!((envelope.mode, envelope.peer), (Mode::Reply, None));
                assert!(!reply.with_token && !reply.with_closer);
            }
            (answer, Some(relay)) => {
                let (to, envelope) = sent(answer);
                assert_eq!((to, envelope.mode, envelope.peer), (relay, Mode::FromServer, Some(client())));
                assert_eq!(envelope.noise, vec![7; 60]);
            }
            (answer, None) => panic!("{answer:?}"),
        }
    }
}

#[test]
fn a_holepunch_goes_to_the_named_address_and_back() {
    let envelope = |mode, peer| HolepunchEnvelope { mode, id: 3, payload: vec![6; 60], peer }.encode();
    let route = |from, value: &[u8], whereabouts| {
        let command = Command::PEER_HOLEPUNCH;
        let passing = Passing { from, command, target: Some(&TARGET), value: Some(value) };
        Router::default().route(Instant::START, &passing, whereabouts)
    };
    for (named, whereabouts) in [(Some(server()), Whereabouts::Unknown), (None, Whereabouts::At(server()))] {
        let verdict = route(client(), &envelope(Mode::FromClient, named), whereabouts);
        let Verdict::Request(forward) = verdict else { panic!("{verdict:?}") };
        let passed = HolepunchEnvelope::decode(&forward.value.expect("a value")).expect("readable");
        assert_eq!((forward.to, passed.mode, passed.peer), (server(), Mode::FromRelay, Some(client())));
        assert_eq!((passed.id, passed.payload), (3, vec![6; 60]));
    }
    assert_eq!(route(client(), &envelope(Mode::FromClient, None), Whereabouts::Unknown), Verdict::Drop);
    let arrived = route(relay(), &envelope(Mode::FromRelay, Some(client())), Whereabouts::Here);
    let content = Content::Holepunch { id: 3, payload: vec![6; 60] };
    let path = Path::Relayed(relay());
    assert_eq!(arrived, Verdict::Arrived(Arrival { target: TARGET, content, client: client(), path }));
}

#[test]
fn messages_outside_the_table_get_no_answer() {
    let unknown = Whereabouts::Unknown;
    for (value, whereabouts) in [
        (handshake(Mode::FromRelay, Some(client()), None), unknown),
        (handshake(Mode::FromRelay, None, None), Whereabouts::At(server())),
        (handshake(Mode::FromRelay, None, None), Whereabouts::Here),
        (handshake(Mode::FromSecondRelay, Some(client()), None), Whereabouts::Here),
        (handshake(Mode::FromSecondRelay, Some(client()), Some(relay())), unknown),
        (handshake(Mode::FromServer, None, None), unknown),
        (handshake(Mode::Reply, Some(client()), None), unknown),
        (handshake(Mode::Reply, Some(client()), None), Whereabouts::Here),
        (vec![], unknown),
        (vec![0, 9, 0], unknown),
    ] {
        assert_eq!(route(relay(), &value, whereabouts), Verdict::Drop, "{value:?}");
    }
    let command = Command::PEER_HANDSHAKE;
    let value = handshake(Mode::FromClient, None, Some(relay()));
    let no_target = Passing { from: client(), command, target: None, value: Some(&value) };
    assert_eq!(Router::default().route(Instant::START, &no_target, unknown), Verdict::Drop);
    let no_value = Passing { from: client(), command, target: Some(&TARGET), value: None };
    assert_eq!(Router::default().route(Instant::START, &no_value, unknown), Verdict::Drop);
}

/// They are never tiny or huge.
#[test]
fn relayed_messages_are_hardly_larger_than_received_ones() {
    for bytes in [0, 1, 95, 1_001, 1_400] {
        let value =
            HandshakeEnvelope { mode: Mode::FromClient, noise: vec![0; bytes], peer: None, relay: None };
        assert_eq!(route(client(), &value.encode(), Whereabouts::At(server())), Verdict::Drop, "{bytes}");
    }
    let value = handshake(Mode::FromClient, None, None);
    let Verdict::Request(forward) = route(client(), &value, Whereabouts::At(server())) else {
        panic!("sent")
    };
    // Headers are the same but for an id of 32 bytes: 11 + 32 + 3 + value.
    let (came, goes) = (46 + value.len(), 46 + 32 + forward.value.expect("a value").len());
    assert!(goes * 10 < came * 14, "{came} {goes}");
}

#[test]
fn a_relayed_flood_is_bounded_per_source_and_per_victim() {
    let value = handshake(Mode::FromClient, None, Some(address("66.0.0.1:80")));
    let mut router = Router::default();
    let mut flood = |now: Instant, host: u8, count: usize| {
        let from = address(&format!("50.0.0.{host}:1"));
        let passing =
            Passing { from, command: Command::PEER_HANDSHAKE, target: Some(&TARGET), value: Some(&value) };
        (0..count).filter(|_| router.route(now, &passing, Whereabouts::Unknown) != Verdict::Drop).count()
    };
    assert_eq!(flood(Instant::START, 1, 1_000), 200);
    assert_eq!(flood(Instant::from_millis(1_000), 1, 1_000), 50);
    // However many hosts send, the victim gets its rate and no more.
    let total: usize = (2..200).map(|host| flood(Instant::from_millis(1_000), host, 100)).sum();
    assert!(total <= 400, "{total}");
}

proptest! {
    /// Nor answer without an envelope.
    #[test]
    fn no_value_makes_the_router_panic(
        value in proptest::collection::vec(any::<u8>(), 0..300),
        command in prop_oneof![Just(Command::PEER_HANDSHAKE), Just(Command::PEER_HOLEPUNCH)],
    ) {
        for whereabouts in [Whereabouts::Here, Whereabouts::Unknown, Whereabouts::At(server())] {
            let passing = Passing { from: client(), command, target: Some(&TARGET), value: Some(&value) };
            let verdict = Router::default().route(Instant::START, &passing, whereabouts);
            if let Verdict::Request(forward) = verdict {
                prop_assert!(forward.value.is_some());
            }
        }
    }
}
