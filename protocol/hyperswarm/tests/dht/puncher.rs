//! Punching with a peer that lies, guesses or floods. `network.rs` tests it among honest peers.

use std::time::Duration;

use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::{Address, Answer, Command, RequestSpec, Socket};
use libvms_hyperswarm::hyperdht::command::{Firewall, PeerError};
use libvms_hyperswarm::hyperdht::holepunch::payload::{HolepunchPayload, PunchSecrets};
use libvms_hyperswarm::hyperdht::holepunch::puncher::{PunchAction, PunchError, Puncher};
use proptest::prelude::*;

use super::codecs::address;

const SECRET: [u8; 32] = [7; 32];
const SOCKET: u32 = 512;

fn client() -> Address {
    address("20.0.0.1:1000")
}

/// Creates the server's side of a handshake; its router is consistent, or maps every node to another port.
fn server(firewall: Firewall) -> Puncher {
    let nodes: Vec<Address> = (1..=4).map(|last| address(&format!("30.0.0.{last}:1"))).collect();
    let mut puncher = Puncher::server(Instant::START, SECRET, &nodes, [1; 32], SOCKET);
    let asked: Vec<(u64, RequestSpec)> =
        wants(&mut puncher)
            .into_iter()
            .filter_map(|action| {
                if let PunchAction::Request(number, spec) = action { Some((number, spec)) } else { None }
            })
            .collect();
    assert_eq!(asked.len(), 4);
    for (number, spec) in asked {
        assert_eq!((spec.command, spec.socket), (Command::PING, Some(Socket::Puncher(SOCKET))));
        let port = if firewall == Firewall::Random { 100 + number as u16 } else { 99 };
        let to = address("40.0.0.1:0").with_port(port);
        let answer = Answer {
            from: spec.to,
            id: None,
            to,
            token: None,
            error: None,
            value: None,
            round_trip: Duration::from_millis(1),
        };
        puncher.handle_answer(Instant::from_millis(1), number, Some(&answer));
    }
    puncher
}

fn wants(puncher: &mut Puncher) -> Vec<PunchAction> {
    std::iter::from_fn(|| puncher.poll_action()).collect()
}

/// Seals a payload as any holder of the shared secret can: the client, or any relay of the handshake.
fn sealed(payload: &HolepunchPayload) -> Vec<u8> {
    PunchSecrets::new(SECRET, [9; 32]).seal(&[3; 24], payload)
}

/// Returns the answer that is among the actions.
fn answer(actions: &[PunchAction]) -> HolepunchPayload {
    let sealed = actions.iter().find_map(|action| match action {
        PunchAction::Answer { payload, .. } => Some(payload),
        _ => None,
    });
    PunchSecrets::new(SECRET, [9; 32]).open(sealed.expect("an answer")).expect("authentic")
}

fn probes(actions: &[PunchAction]) -> Vec<Address> {
    let to = |action: &PunchAction| if let PunchAction::Probe { to, .. } = action { Some(*to) } else { None };
    actions.iter().filter_map(to).collect()
}

fn punching(firewall: Firewall, addresses: Vec<Address>, remote_token: Option<[u8; 32]>) -> Vec<u8> {
    let payload = HolepunchPayload {
        firewall,
        round: 1,
        is_punching: true,
        addresses,
        remote_token,
        ..Default::default()
    };
    sealed(&payload)
}

#[test]
fn payloads_of_another_handshake_get_no_answer() {
    let mut puncher = server(Firewall::Consistent);
    let genuine = punching(Firewall::Consistent, vec![client()], None);
    for position in 0..genuine.len() {
        let mut forged = genuine.clone();
        forged[position] ^= 1;
        puncher.hear(Instant::from_millis(2), &forged, client(), true);
        puncher.hear(Instant::from_millis(2), &genuine[..position], client(), true);
    }
    assert!(wants(&mut puncher).is_empty());
    puncher.hear(Instant::from_millis(2), &genuine, client(), true);
    assert!(answer(&wants(&mut puncher)).is_punching);
}

#[test]
fn only_messages_through_our_own_relay_get_a_token() {
    let probe =
        sealed(&HolepunchPayload { remote_address: Some(address("40.0.0.1:99")), ..Default::default() });
    for is_own_relay in [true, false] {
        let mut puncher = server(Firewall::Consistent);
        puncher.hear(Instant::from_millis(2), &probe, client(), is_own_relay);
        let actions = wants(&mut puncher);
        let told = answer(&actions);
        assert_eq!((told.token.is_some(), told.firewall), (is_own_relay, Firewall::Consistent));
        assert_eq!(told.addresses, [address("40.0.0.1:99")]);
        // One byte, because the client sees us at our address.
        assert_eq!(probes(&actions), [client()]);
    }
}

#[test]
fn a_client_gets_its_token_back_and_the_time_for_probes() {
    let mut puncher = server(Firewall::Consistent);
    puncher.hear(Instant::from_millis(10), &sealed(&HolepunchPayload::default()), client(), true);
    let token = answer(&wants(&mut puncher)).token;
    assert_eq!(puncher.probes_until(), None, "nothing is agreed upon yet");
    let payload = HolepunchPayload {
        firewall: Firewall::Random,
        round: 1,
        is_punching: true,
        token: Some([5; 32]),
        remote_token: token,
        ..Default::default()
    };
    puncher.allow_large(true);
    puncher.hear(Instant::from_millis(20), &sealed(&payload), client(), true);
    let answer = answer(&wants(&mut puncher));
    assert_eq!((answer.remote_token, answer.is_punching), (Some([5; 32]), true));
    // 1,750 probes, the first after a second; one more second for the last.
    assert_eq!(puncher.probes_until(), Some(Instant::from_millis(20 + 1_000 + 35_000 + 1_000)));
}

/// And only a few of them get any.
#[test]
fn claimed_addresses_get_few_probes() {
    let mut puncher = server(Firewall::Consistent);
    let victims: Vec<Address> = (1..=100).map(|last| address(&format!("66.0.0.{last}:80"))).collect();
    puncher.hear(Instant::from_millis(2), &punching(Firewall::Consistent, victims, None), client(), true);
    let mut sent = probes(&wants(&mut puncher));
    while let Some(at) = puncher.poll_timeout() {
        puncher.handle_timeout(at);
        sent.extend(probes(&wants(&mut puncher)));
    }
    let mut hosts: Vec<_> = sent.iter().map(Address::ip).collect();
    hosts.sort_unstable();
    hosts.dedup();
    assert!(hosts.len() <= 8, "{}", hosts.len());
    assert!(sent.len() <= 8 * 3, "{}", sent.len());
}

#[test]
fn thousands_of_probes_go_only_to_a_verified_host() {
    let mut puncher = server(Firewall::Random);
    puncher.allow_large(true);
    puncher.hear(
        Instant::from_millis(2),
        &punching(Firewall::Consistent, vec![client()], Some([0; 32])),
        client(),
        true,
    );
    assert_eq!(answer(&wants(&mut puncher)).error, Some(PeerError::ABORTED));

    for is_allowed in [true, false] {
        let mut puncher = server(Firewall::Random);
        puncher.allow_large(is_allowed);
        puncher.hear(Instant::from_millis(2), &sealed(&HolepunchPayload::default()), client(), true);
        let token = answer(&wants(&mut puncher)).token;
        puncher.hear(
            Instant::from_millis(3),
            &punching(Firewall::Consistent, vec![client()], token),
            client(),
            true,
        );
        let actions = wants(&mut puncher);
        assert_eq!(puncher.is_large(), is_allowed);
        assert_eq!(answer(&actions).error, (!is_allowed).then_some(PeerError::TRY_LATER));
        assert_eq!(actions.contains(&PunchAction::Done(Err(PunchError::Busy))), !is_allowed);
    }
}

#[test]
fn a_token_is_worth_nothing_at_another_host() {
    let mut puncher = server(Firewall::Random);
    puncher.allow_large(true);
    puncher.hear(Instant::from_millis(2), &sealed(&HolepunchPayload::default()), client(), true);
    let token = answer(&wants(&mut puncher)).token;
    let victim = address("66.0.0.1:80");
    puncher.hear(Instant::from_millis(3), &punching(Firewall::Consistent, vec![victim], token), victim, true);
    assert_eq!(answer(&wants(&mut puncher)).error, Some(PeerError::ABORTED));
}

/// They leave only from sockets of the attempt.
#[test]
fn echoes_of_probes_are_bounded() {
    let mut puncher = server(Firewall::Consistent);
    puncher.handle_probe(SOCKET + 1, client());
    puncher.handle_probe(SOCKET, client().with_port(0));
    assert!(wants(&mut puncher).is_empty());
    for _ in 0..1_000 {
        puncher.handle_probe(SOCKET, address("66.0.0.1:80"));
    }
    assert_eq!(probes(&wants(&mut puncher)).len(), 64);
}

#[test]
fn an_attempt_ends_by_itself_and_closes_its_sockets() {
    let mut puncher = server(Firewall::Consistent);
    while let Some(at) = puncher.poll_timeout() {
        assert!(at <= Instant::from_millis(45_000));
        puncher.handle_timeout(at);
    }
    let actions = wants(&mut puncher);
    assert_eq!(actions, [PunchAction::Close(SOCKET), PunchAction::Done(Err(PunchError::TimedOut))]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_payload_makes_a_server_panic(
        bytes in proptest::collection::vec(prop_oneof![0_u8..64, any::<u8>()], 0..120),
        firewall in prop_oneof![Just(Firewall::Consistent), Just(Firewall::Random)],
    ) {
        let mut puncher = server(firewall);
        puncher.hear(Instant::from_millis(2), &bytes, client(), true);
        if let Ok(payload) = HolepunchPayload::decode(&bytes) {
            puncher.hear(Instant::from_millis(2), &sealed(&payload), client(), true);
        }
        while let Some(at) = puncher.poll_timeout() {
            puncher.handle_timeout(at);
            wants(&mut puncher);
        }
    }
}
