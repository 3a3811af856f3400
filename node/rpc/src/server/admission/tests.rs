use std::collections::VecDeque;

use super::permit::Ticket;
use super::*;

const MIB: usize = 1 << 20;

fn admission() -> Arc<Admission> {
    Admission::new(&RpcOptions {
        connections_max: 8,
        callers_bytes_max: 16 * MIB,
        room_timeout: Duration::from_millis(10),
        ..RpcOptions::default()
    })
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn admit(admission: &Arc<Admission>, from: &str) -> ConnectionPermit {
    match admission.admit(Some(address(from)), Duration::ZERO) {
        Decision::Admitted(permit) => permit,
        other => panic!("no place: {other:?}"),
    }
}

fn bytes(admission: &Admission) -> usize {
    admission.lock().all.bytes
}

fn is_ended(permit: &ConnectionPermit) -> bool {
    permit.ended().is_cancelled()
}

#[test]
fn one_address_may_have_all_places_while_nobody_else_wants_them() {
    let admission = admission();
    let mut many: Vec<_> = (0..8).map(|_| admit(&admission, "10.0.0.1")).collect();
    many.iter().for_each(|permit| permit.heard(true));
    let refused = admission.admit(Some(address("10.0.0.1")), Duration::ZERO);
    assert!(matches!(refused, Decision::Full), "nobody of its own makes room");
    let other = admit(&admission, "10.0.0.2");
    assert_eq!(many.iter().filter(|permit| is_ended(permit)).count(), 1, "it has more than a quarter");
    assert_eq!(admission.connections(), 8);
    many.retain(|permit| !is_ended(permit));
    drop(many);
    assert_eq!(admission.connections(), 1);
    drop(other);
    assert_eq!(admission.connections(), 0);
    assert!(admission.lock().addresses.is_empty() && admission.lock().accounts.is_empty());
}

#[test]
fn the_oldest_silent_one_of_the_greatest_address_goes_first() {
    let admission = admission();
    let honest = admit(&admission, "10.0.0.2");
    let silent: Vec<_> = (0..7).map(|_| admit(&admission, "10.0.0.1")).collect();
    silent[0].heard(false);
    let _newcomers = [admit(&admission, "10.0.0.3"), admit(&admission, "10.0.0.1")];
    let ended: Vec<_> = silent.iter().map(is_ended).collect();
    assert_eq!(ended, [false, true, true, false, false, false, false]);
    assert!(!is_ended(&honest), "it is as silent, but of an address with one place");
}

/// A caller that has made a request is let in and keeps its place, however many silent connections its address opens.
#[test]
fn a_flood_from_its_own_address_ends_no_honest_caller() {
    let admission = admission();
    let mut silent = VecDeque::new();
    for round in 0..1_000 {
        silent.push_back(admit(&admission, "10.0.0.1"));
        silent.retain(|permit| !is_ended(permit));
        if round % 10 == 0 {
            let honest = admit(&admission, "10.0.0.1");
            honest.heard(true);
            silent.push_back(admit(&admission, "10.0.0.1"));
            assert!(!is_ended(&honest));
        }
    }
}

/// No connection loses its place to its own address before it could make a request; another address need not wait.
#[test]
fn a_connection_keeps_its_place_for_the_grace() {
    let admission = admission();
    let silent: Vec<_> = (0..8).map(|_| admit(&admission, "10.0.0.1")).collect();
    let grace = Duration::from_secs(60);
    let Decision::Wait(wait) = admission.admit(Some(address("10.0.0.1")), grace) else { panic!("no wait") };
    assert!(wait <= grace && wait > grace / 2);
    assert!(!silent.iter().any(is_ended));
    let other = admission.admit(Some(address("10.0.0.2")), grace);
    assert!(matches!(other, Decision::Admitted(_)), "others need not wait for it");
    assert!(is_ended(&silent[0]));
}

#[test]
fn a_network_of_ipv6_is_one_address() {
    let admission = admission();
    let _of_one =
        [admit(&admission, "fd00::1"), admit(&admission, "fd00::ffff:0:0:2"), admit(&admission, "fd00::3")];
    let _of_another = admit(&admission, "fd00:0:0:1::1");
    let _mapped = [admit(&admission, "10.0.0.1"), admit(&admission, "::ffff:10.0.0.1")];
    let shares: Vec<_> = admission.lock().addresses.values().map(|share| share.connections).collect();
    assert_eq!(shares, [2, 3, 1]);
}

#[test]
fn small_messages_are_free_and_large_ones_have_a_share() {
    let admission = admission();
    let permit = admit(&admission, "10.0.0.1");
    let small = permit.try_reserve(FREE_BYTES).expect("room");
    assert_eq!(bytes(&admission), 0);
    let most = permit.try_reserve(4 * MIB).expect("a quarter");
    assert_eq!(bytes(&admission), 4 * MIB);
    let other = admit(&admission, "10.0.0.1");
    assert!(other.try_reserve(FREE_BYTES).is_some());
    assert!(other.try_reserve(FREE_BYTES + 1).is_none(), "its address has no more");
    let elsewhere = admit(&admission, "10.0.0.2");
    let alone = elsewhere.try_reserve(6 * MIB).expect("what is larger than a share travels alone");
    assert!(elsewhere.is_tight());
    drop((small, most));
    assert!(other.try_reserve(4 * MIB).is_some());
    drop(alone);
    assert_eq!(bytes(&admission), 0);
}

#[test]
fn a_stalled_connection_makes_room_for_others() {
    let admission = admission();
    let stalled: Vec<_> = (0..4).map(|_| admit(&admission, "10.0.0.1")).collect();
    let charges: Vec<_> = stalled.iter().map(|permit| permit.try_reserve(MIB).expect("room")).collect();
    let honest = admit(&admission, "10.0.0.1");
    let ticket = Ticket::draw(honest.clone(), MIB);
    assert!(!stalled.iter().any(is_ended));
    std::thread::sleep(STALLED_MAX + Duration::from_millis(10));
    stalled[0].progress().step();
    admission.serve_waiting();
    let ended: Vec<_> = stalled.iter().map(is_ended).collect();
    assert_eq!(ended.iter().filter(|ended| **ended).count(), 1, "no more than it takes: {ended:?}");
    assert!(!ended[0]);
    assert!(honest.try_reserve(MIB).is_none(), "nobody gets ahead of those who wait");
    drop((charges, stalled));
    drop(ticket);
    assert_eq!(bytes(&admission), 0, "what was granted to nobody is given back");
    assert!(honest.try_reserve(4 * MIB).is_some());
}

#[test]
fn the_address_that_holds_least_gets_room_first() {
    let admission = admission();
    let greedy: Vec<_> = (1..=4).map(|last| admit(&admission, &format!("10.0.0.{last}"))).collect();
    let mut charges: Vec<_> =
        greedy.iter().map(|permit| permit.try_reserve(4 * MIB).expect("a quarter")).collect();
    let more: Vec<_> = greedy.iter().map(|permit| Ticket::draw(permit.clone(), 2 * MIB)).collect();
    let honest = admit(&admission, "10.0.0.5");
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
    let admission = admission();
    let permit = admit(&admission, "10.0.0.1");
    let first = permit.hold(4 * MIB + FREE_BYTES);
    assert!(!is_ended(&permit));
    std::thread::sleep(STALLED_MAX_FOR_ANSWERS + Duration::from_millis(10));
    let second = permit.hold(MIB);
    assert!(is_ended(&permit), "it has more than its share, and has read nothing");
    assert_eq!(bytes(&admission), 5 * MIB);
    drop((permit, first, second));
    assert_eq!(bytes(&admission), 0);
}

#[test]
fn calls_count_when_their_caller_has_gone() {
    let admission = admission();
    let permit = admit(&admission, "10.0.0.1");
    let mut calls = permit.try_reserve(FREE_BYTES).expect("room");
    calls.pass_on();
    drop(permit);
    assert_eq!((admission.connections(), bytes(&admission)), (0, FREE_BYTES), "what was free is so no more");
    drop(calls);
    assert_eq!(bytes(&admission), 0);
    assert!(admission.lock().addresses.is_empty() && admission.lock().accounts.is_empty());
}

#[test]
fn a_proxy_speaks_for_many() {
    let admission = admission();
    let proxied: Vec<_> = (0..6)
        .map(|_| match admission.admit(None, Duration::ZERO) {
            Decision::Admitted(permit) => permit,
            other => panic!("no place: {other:?}"),
        })
        .collect();
    for (index, permit) in proxied.iter().enumerate() {
        permit.speaks_for(address(if index == 0 { "10.0.0.2" } else { "10.0.0.1" }));
        permit.heard(true);
    }
    let charge = proxied[1].try_reserve(MIB).expect("room");
    proxied[1].speaks_for(address("10.0.0.3"));
    assert_eq!(admission.lock().share(address("10.0.0.3")).bytes, charge.bytes - FREE_BYTES);
    let _others =
        [admit(&admission, "10.0.0.4"), admit(&admission, "10.0.0.5"), admit(&admission, "10.0.0.6")];
    assert!(!is_ended(&proxied[0]));
    assert_eq!(proxied.iter().filter(|permit| is_ended(permit)).count(), 1);
    drop((charge, proxied));
    assert!(!admission.lock().addresses.contains_key(&address("10.0.0.1")));
}
