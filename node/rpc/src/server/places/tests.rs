use std::collections::VecDeque;

use super::place::Ticket;
use super::*;

const MIB: usize = 1 << 20;

fn places() -> Arc<Places> {
    Places::new(&RpcOptions {
        connections_max: 8,
        callers_bytes_max: 16 * MIB,
        room_timeout: Duration::from_millis(10),
        ..RpcOptions::default()
    })
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn admit(places: &Arc<Places>, from: &str) -> ConnectionPermit {
    match places.admit(Some(address(from)), Duration::ZERO) {
        Admission::Admitted(place) => place,
        other => panic!("no place: {other:?}"),
    }
}

fn bytes(places: &Places) -> usize {
    places.lock().all.bytes
}

fn is_ended(place: &ConnectionPermit) -> bool {
    place.ended().is_cancelled()
}

#[test]
fn one_address_may_have_all_places_while_nobody_else_wants_them() {
    let places = places();
    let mut many: Vec<_> = (0..8).map(|_| admit(&places, "10.0.0.1")).collect();
    many.iter().for_each(|place| place.heard(true));
    let refused = places.admit(Some(address("10.0.0.1")), Duration::ZERO);
    assert!(matches!(refused, Admission::Full), "nobody of its own makes room");
    let other = admit(&places, "10.0.0.2");
    assert_eq!(many.iter().filter(|place| is_ended(place)).count(), 1, "it has more than a quarter");
    assert_eq!(places.connections(), 8);
    many.retain(|place| !is_ended(place));
    drop(many);
    assert_eq!(places.connections(), 1);
    drop(other);
    assert_eq!(places.connections(), 0);
    assert!(places.lock().addresses.is_empty() && places.lock().accounts.is_empty());
}

#[test]
fn the_oldest_silent_one_of_the_greatest_address_goes_first() {
    let places = places();
    let honest = admit(&places, "10.0.0.2");
    let silent: Vec<_> = (0..7).map(|_| admit(&places, "10.0.0.1")).collect();
    silent[0].heard(false);
    let _newcomers = [admit(&places, "10.0.0.3"), admit(&places, "10.0.0.1")];
    let ended: Vec<_> = silent.iter().map(is_ended).collect();
    assert_eq!(ended, [false, true, true, false, false, false, false]);
    assert!(!is_ended(&honest), "it is as silent, but of an address with one place");
}

/// A caller that has made a request is let in and keeps its place, however many silent connections its address opens.
#[test]
fn a_flood_from_its_own_address_ends_no_honest_caller() {
    let places = places();
    let mut silent = VecDeque::new();
    for round in 0..1_000 {
        silent.push_back(admit(&places, "10.0.0.1"));
        silent.retain(|place| !is_ended(place));
        if round % 10 == 0 {
            let honest = admit(&places, "10.0.0.1");
            honest.heard(true);
            silent.push_back(admit(&places, "10.0.0.1"));
            assert!(!is_ended(&honest));
        }
    }
}

/// No connection loses its place to its own address before it could make a request; another address need not wait.
#[test]
fn a_connection_keeps_its_place_for_the_grace() {
    let places = places();
    let silent: Vec<_> = (0..8).map(|_| admit(&places, "10.0.0.1")).collect();
    let grace = Duration::from_secs(60);
    let Admission::Wait(wait) = places.admit(Some(address("10.0.0.1")), grace) else { panic!("no wait") };
    assert!(wait <= grace && wait > grace / 2);
    assert!(!silent.iter().any(is_ended));
    let other = places.admit(Some(address("10.0.0.2")), grace);
    assert!(matches!(other, Admission::Admitted(_)), "others need not wait for it");
    assert!(is_ended(&silent[0]));
}

#[test]
fn a_network_of_ipv6_is_one_address() {
    let places = places();
    let _of_one = [admit(&places, "fd00::1"), admit(&places, "fd00::ffff:0:0:2"), admit(&places, "fd00::3")];
    let _of_another = admit(&places, "fd00:0:0:1::1");
    let _mapped = [admit(&places, "10.0.0.1"), admit(&places, "::ffff:10.0.0.1")];
    let shares: Vec<_> = places.lock().addresses.values().map(|share| share.connections).collect();
    assert_eq!(shares, [2, 3, 1]);
}

#[test]
fn small_messages_are_free_and_large_ones_have_a_share() {
    let places = places();
    let place = admit(&places, "10.0.0.1");
    let small = place.try_reserve(FREE_BYTES).expect("room");
    assert_eq!(bytes(&places), 0);
    let most = place.try_reserve(4 * MIB).expect("a quarter");
    assert_eq!(bytes(&places), 4 * MIB);
    let other = admit(&places, "10.0.0.1");
    assert!(other.try_reserve(FREE_BYTES).is_some());
    assert!(other.try_reserve(FREE_BYTES + 1).is_none(), "its address has no more");
    let elsewhere = admit(&places, "10.0.0.2");
    let alone = elsewhere.try_reserve(6 * MIB).expect("what is larger than a share travels alone");
    assert!(elsewhere.is_tight());
    drop((small, most));
    assert!(other.try_reserve(4 * MIB).is_some());
    drop(alone);
    assert_eq!(bytes(&places), 0);
}

#[test]
fn a_stalled_connection_makes_room_for_others() {
    let places = places();
    let stalled: Vec<_> = (0..4).map(|_| admit(&places, "10.0.0.1")).collect();
    let charges: Vec<_> = stalled.iter().map(|place| place.try_reserve(MIB).expect("room")).collect();
    let honest = admit(&places, "10.0.0.1");
    let ticket = Ticket::draw(honest.clone(), MIB);
    assert!(!stalled.iter().any(is_ended));
    std::thread::sleep(STALLED_MAX + Duration::from_millis(10));
    stalled[0].progress().step();
    places.serve_waiting();
    let ended: Vec<_> = stalled.iter().map(is_ended).collect();
    assert_eq!(ended.iter().filter(|ended| **ended).count(), 1, "no more than it takes: {ended:?}");
    assert!(!ended[0]);
    assert!(honest.try_reserve(MIB).is_none(), "nobody gets ahead of those who wait");
    drop((charges, stalled));
    drop(ticket);
    assert_eq!(bytes(&places), 0, "what was granted to nobody is given back");
    assert!(honest.try_reserve(4 * MIB).is_some());
}

#[test]
fn the_address_that_holds_least_gets_room_first() {
    let places = places();
    let greedy: Vec<_> = (1..=4).map(|last| admit(&places, &format!("10.0.0.{last}"))).collect();
    let mut charges: Vec<_> =
        greedy.iter().map(|place| place.try_reserve(4 * MIB).expect("a quarter")).collect();
    let more: Vec<_> = greedy.iter().map(|place| Ticket::draw(place.clone(), 2 * MIB)).collect();
    let honest = admit(&places, "10.0.0.5");
    let mut tickets = [4 * MIB, MIB].map(|bytes| Ticket::draw(honest.clone(), bytes));
    drop(charges.pop());
    assert!(
        tickets[0].granted.try_recv().is_err() && tickets[1].granted.try_recv().is_ok(),
        "the shorter one"
    );
    drop((tickets, more));
}

#[test]
fn answers_count_at_once_and_end_whoever_reads_none() {
    let places = places();
    let place = admit(&places, "10.0.0.1");
    let first = place.hold(4 * MIB + FREE_BYTES);
    assert!(!is_ended(&place));
    std::thread::sleep(STALLED_MAX_FOR_ANSWERS + Duration::from_millis(10));
    let second = place.hold(MIB);
    assert!(is_ended(&place), "it has more than its share, and has read nothing");
    assert_eq!(bytes(&places), 5 * MIB);
    drop((place, first, second));
    assert_eq!(bytes(&places), 0);
}

#[test]
fn calls_count_when_their_caller_has_gone() {
    let places = places();
    let place = admit(&places, "10.0.0.1");
    let mut calls = place.try_reserve(FREE_BYTES).expect("room");
    calls.pass_on();
    drop(place);
    assert_eq!((places.connections(), bytes(&places)), (0, FREE_BYTES), "what was free is so no more");
    drop(calls);
    assert_eq!(bytes(&places), 0);
    assert!(places.lock().addresses.is_empty() && places.lock().accounts.is_empty());
}

#[test]
fn a_proxy_speaks_for_many() {
    let places = places();
    let proxied: Vec<_> = (0..6)
        .map(|_| match places.admit(None, Duration::ZERO) {
            Admission::Admitted(place) => place,
            other => panic!("no place: {other:?}"),
        })
        .collect();
    for (index, place) in proxied.iter().enumerate() {
        place.speaks_for(address(if index == 0 { "10.0.0.2" } else { "10.0.0.1" }));
        place.heard(true);
    }
    let charge = proxied[1].try_reserve(MIB).expect("room");
    proxied[1].speaks_for(address("10.0.0.3"));
    assert_eq!(places.lock().share(address("10.0.0.3")).bytes, charge.bytes - FREE_BYTES);
    let _others = [admit(&places, "10.0.0.4"), admit(&places, "10.0.0.5"), admit(&places, "10.0.0.6")];
    assert!(!is_ended(&proxied[0]));
    assert_eq!(proxied.iter().filter(|place| is_ended(place)).count(), 1);
    drop((charge, proxied));
    assert!(!places.lock().addresses.contains_key(&address("10.0.0.1")));
}
