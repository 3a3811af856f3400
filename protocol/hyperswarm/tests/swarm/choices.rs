//! Which peers a swarm connects to and when, and which of two connections is kept.

use std::time::Duration;

use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::time::Instant;
use libvms_hypercore::wire::Role;
use libvms_hyperswarm::dht_rpc::Address;
use libvms_hyperswarm::hyperdht::client::DialError;
use libvms_hyperswarm::hyperdht::command::{Firewall, PeerError};
use libvms_hyperswarm::hyperdht::holepunch::puncher::PunchError;
use libvms_hyperswarm::swarm::node::DialFailure;
use libvms_hyperswarm::swarm::{Action, Admission, Config, ConnectionId, Roles, Swarm, TopicKey};
use proptest::prelude::*;

const TOPIC: TopicKey = [1; 32];
const OWN: PublicKey = PublicKey([100; 32]);

fn key(number: u8) -> PublicKey {
    PublicKey([number; 32])
}

fn swarm() -> Swarm {
    Swarm::new(OWN, Config::default(), [7; 32])
}

/// Creates a swarm after its first lookup of a topic.
fn searching() -> Swarm {
    let mut swarm = swarm();
    swarm.join(Instant::START, TOPIC, Roles::BOTH);
    assert_eq!(actions(&mut swarm), [Action::Refresh { topic: TOPIC, roles: Roles::BOTH }]);
    swarm.handle_refreshed(Instant::START, &TOPIC);
    swarm
}

fn actions(swarm: &mut Swarm) -> Vec<Action> {
    std::iter::from_fn(|| swarm.poll_action()).collect()
}

fn dialled(swarm: &mut Swarm) -> Vec<PublicKey> {
    let dialled = actions(swarm).into_iter();
    dialled
        .filter_map(|action| if let Action::Connect { peer, .. } = action { Some(peer) } else { None })
        .collect()
}

/// Lets time pass until a peer is tried. Returns when.
fn next_dial(swarm: &mut Swarm, mut now: u64, end: u64) -> Option<u64> {
    while let Some(deadline) = swarm.poll_timeout().filter(|at| at.as_millis() <= end) {
        now = now.max(deadline.as_millis());
        swarm.handle_timeout(Instant::from_millis(now));
        if !dialled(swarm).is_empty() {
            return Some(now);
        }
        swarm.handle_refreshed(Instant::from_millis(now), &TOPIC);
    }
    None
}

#[test]
fn found_peers_are_connected_to_three_at_a_time() {
    let mut swarm = searching();
    let relays = [Address::new([10, 0, 0, 1].into(), 1)];
    (1..=5).for_each(|number| swarm.handle_peer_found(Instant::START, &TOPIC, key(number), &relays));
    let first = actions(&mut swarm);
    assert_eq!(first.len(), 3);
    assert_eq!(first[0], Action::Connect { peer: key(1), relays: relays.to_vec() });
    assert_eq!(
        swarm.handle_connected(Instant::from_millis(5), ConnectionId(1), key(1), Role::Initiator),
        Admission::Kept
    );
    assert_eq!(dialled(&mut swarm).len(), 1);
    swarm.handle_dial_failed(Instant::from_millis(6), &key(2));
    assert_eq!(dialled(&mut swarm).len(), 1);
}

#[test]
fn own_banned_and_surplus_connections_are_refused() {
    let mut swarm = Swarm::new(OWN, Config { connections_max: 2 }, [7; 32]);
    swarm.join(Instant::START, TOPIC, Roles { server: false, client: true });
    actions(&mut swarm);
    swarm.ban(key(9));
    swarm.handle_peer_found(Instant::START, &TOPIC, key(9), &[]);
    swarm.handle_peer_found(Instant::START, &TOPIC, OWN, &[]);
    swarm.handle_peer_found(Instant::START, &[2; 32], key(3), &[]);
    assert_eq!(dialled(&mut swarm), []);
    assert_eq!(
        swarm.handle_connected(Instant::START, ConnectionId(1), key(9), Role::Responder),
        Admission::Refused
    );
    assert_eq!(
        swarm.handle_connected(Instant::START, ConnectionId(2), OWN, Role::Responder),
        Admission::Refused
    );
    (1..=4).for_each(|number| swarm.handle_peer_found(Instant::START, &TOPIC, key(number), &[]));
    assert_eq!(dialled(&mut swarm).len(), 2);
    // Incoming connections count, but are not limited here.
    for number in 20..30 {
        assert_eq!(
            swarm.handle_connected(
                Instant::from_millis(1),
                ConnectionId(number.into()),
                key(number),
                Role::Responder
            ),
            Admission::Kept
        );
    }
    swarm.handle_dial_failed(Instant::from_millis(2), &key(1));
    assert_eq!(next_dial(&mut swarm, 2, 500_000), None);
}

/// Once a lookup finds it again, it gets further attempts.
#[test]
fn an_unreachable_peer_is_tried_three_times() {
    let mut swarm = searching();
    swarm.handle_peer_found(Instant::START, &TOPIC, key(1), &[]);
    assert_eq!(dialled(&mut swarm), [key(1)]);
    let mut now = 0;
    for (least, most) in [(5_000, 7_500), (15_000, 22_500), (15_000, 22_500)] {
        swarm.handle_dial_failed(Instant::from_millis(now), &key(1));
        let next = next_dial(&mut swarm, now, 100_000).expect("another attempt");
        assert!((now + least..=now + most).contains(&next), "after {} ms", next - now);
        now = next;
    }
    swarm.handle_dial_failed(Instant::from_millis(now), &key(1));
    assert_eq!(next_dial(&mut swarm, now, now + 500_000), None);
    swarm.handle_peer_found(Instant::from_millis(now), &TOPIC, key(1), &[]);
    assert_eq!(dialled(&mut swarm), [key(1)]);
}

/// It is not given up for that, unless it goes on.
#[test]
fn a_busy_peer_is_tried_again_soon() {
    let mut swarm = searching();
    swarm.handle_peer_found(Instant::START, &TOPIC, key(1), &[]);
    assert_eq!(dialled(&mut swarm), [key(1)]);
    let mut now = 0;
    for _ in 0..8 {
        swarm.handle_dial_postponed(Instant::from_millis(now), &key(1));
        let next = next_dial(&mut swarm, now, now + 100_000).expect("another attempt");
        assert!((now + 10_000..now + 20_000).contains(&next), "after {} ms", next - now);
        now = next;
    }
    // It is as promising as before, but a peer that postpones all the time is given up like all others.
    swarm.handle_dial_failed(Instant::from_millis(now), &key(1));
    now = next_dial(&mut swarm, now, now + 7_500).expect("the first failure of several");
    let mut attempts = 0;
    while attempts < 100 {
        swarm.handle_dial_postponed(Instant::from_millis(now), &key(1));
        let Some(next) = next_dial(&mut swarm, now, now + 500_000) else { break };
        (now, attempts) = (next, attempts + 1);
    }
    assert!((20..40).contains(&attempts), "{attempts}");
    // Without an attempt in progress this has no effect.
    swarm.handle_dial_postponed(Instant::from_millis(now), &key(2));
    assert_eq!(next_dial(&mut swarm, now, now + 100_000), None);
}

#[test]
fn only_temporary_failures_are_retried_sooner() {
    let random = Firewall::Random;
    for (why, is_for_now) in [
        (DialFailure::Busy, true),
        (DialFailure::Punch(PunchError::Busy), true),
        (DialFailure::Punch(PunchError::Refused(PeerError::TRY_LATER)), true),
        (DialFailure::Handshake(DialError::Refused(PeerError::TRY_LATER)), true),
        (DialFailure::Punch(PunchError::Refused(PeerError::ABORTED)), false),
        (DialFailure::Handshake(DialError::Refused(PeerError::VERSION_MISMATCH)), false),
        (DialFailure::Punch(PunchError::Hopeless { here: random, there: random }), false),
        (DialFailure::Handshake(DialError::NoAnswer), false),
        (DialFailure::Silent, false),
    ] {
        assert_eq!(why.is_for_now(), is_for_now, "{why:?}");
    }
}

#[test]
fn a_lost_connection_is_made_again_soon() {
    let mut swarm = searching();
    swarm.handle_peer_found(Instant::START, &TOPIC, key(1), &[]);
    actions(&mut swarm);
    let mut now = 0;
    for id in 1..5 {
        swarm.handle_connected(Instant::from_millis(now), ConnectionId(id), key(1), Role::Initiator);
        // Each lasts long enough to count as a good one.
        now += 20_000;
        swarm.handle_closed(Instant::from_millis(now), ConnectionId(id));
        let next = next_dial(&mut swarm, now, now + 2_000).expect("another attempt");
        assert!(next >= now + 1_000);
        now = next;
    }
}

#[test]
fn a_peer_asked_for_by_key_is_tried_for_ever() {
    let mut swarm = swarm();
    swarm.join_peer(Instant::START, key(1));
    let mut now = 0;
    assert_eq!(dialled(&mut swarm), [key(1)]);
    for _ in 0..10 {
        swarm.handle_dial_failed(Instant::from_millis(now), &key(1));
        now = next_dial(&mut swarm, now, now + 1_000_000).expect("another attempt");
    }
    swarm.handle_dial_failed(Instant::from_millis(now), &key(1));
    swarm.leave_peer(&key(1));
    assert_eq!(next_dial(&mut swarm, now, now + 10_000_000), None);
}

/// Soon after the first time, then every ten to twelve minutes, and at once when roles change.
#[test]
fn topics_are_refreshed_on_schedule() {
    let mut swarm = searching();
    let mut due = 0;
    for seconds in [10, 20, 40, 80, 160, 320, 600, 600] {
        let before = std::mem::replace(&mut due, swarm.poll_timeout().expect("a refresh").as_millis());
        let (least, most) = (before + seconds * 1_000, before + seconds * 1_200);
        assert!((least..most).contains(&due), "{seconds} s and not {} ms", due - before);
        swarm.handle_timeout(Instant::from_millis(due));
        assert_eq!(actions(&mut swarm).len(), 1);
        assert_eq!(swarm.poll_timeout(), None, "while it is being looked up");
        swarm.handle_refreshed(Instant::from_millis(due), &TOPIC);
    }
    // During a lookup, another one is queued.
    let due = swarm.poll_timeout().expect("a refresh");
    swarm.handle_timeout(due);
    assert_eq!(actions(&mut swarm).len(), 1);
    let client = Roles { server: false, client: true };
    swarm.join(due, TOPIC, client);
    assert_eq!(actions(&mut swarm), [Action::Unannounce { topic: TOPIC }]);
    swarm.handle_refreshed(due, &TOPIC);
    swarm.handle_timeout(due);
    assert_eq!(actions(&mut swarm), [Action::Refresh { topic: TOPIC, roles: client }]);
    swarm.handle_refreshed(due, &TOPIC);
    swarm.handle_network_changed(due + Duration::from_millis(1));
    assert_eq!(actions(&mut swarm).len(), 1);
    swarm.leave(&TOPIC);
    assert_eq!(actions(&mut swarm), []);
    assert_eq!((swarm.topics().count(), swarm.poll_timeout()), (0, None));
}

/// Connections stay.
#[test]
fn leaving_a_topic_withdraws_the_announcement() {
    let mut swarm = searching();
    swarm.handle_peer_found(Instant::START, &TOPIC, key(1), &[]);
    actions(&mut swarm);
    swarm.handle_connected(Instant::START, ConnectionId(1), key(1), Role::Initiator);
    swarm.leave(&TOPIC);
    assert_eq!(actions(&mut swarm), [Action::Unannounce { topic: TOPIC }]);
    assert_eq!(swarm.connected_peers().count(), 1);
    swarm.handle_closed(Instant::from_millis(100), ConnectionId(1));
    assert_eq!(next_dial(&mut swarm, 100, 10_000_000), None);
}

/// The peer has noticed that the old one is dead, and we have not.
#[test]
fn a_new_connection_replaces_one_that_worked() {
    let mut swarm = searching();
    swarm.handle_connected(Instant::START, ConnectionId(1), key(200), Role::Initiator);
    swarm.handle_proved(ConnectionId(1));
    assert_eq!(
        swarm.handle_connected(Instant::from_millis(1), ConnectionId(2), key(200), Role::Responder),
        Admission::Kept
    );
    assert_eq!(actions(&mut swarm), [Action::Close { connection: ConnectionId(1) }]);
    // The end of the one that was replaced is no loss.
    swarm.handle_closed(Instant::from_millis(2), ConnectionId(1));
    assert_eq!(swarm.connected_peers().collect::<Vec<_>>(), [(&key(200), ConnectionId(2))]);
}

#[test]
fn endless_announcements_fill_no_memory() {
    let mut swarm = searching();
    for number in 0..50_000_u32 {
        let mut name = [0; 32];
        name[..4].copy_from_slice(&number.to_le_bytes());
        swarm.handle_peer_found(
            Instant::START,
            &TOPIC,
            PublicKey(name),
            &[Address::new([1, 2, 3, 4].into(), 5); 10],
        );
        dialled(&mut swarm).iter().for_each(|key| swarm.handle_dial_failed(Instant::START, key));
    }
    swarm.leave(&TOPIC);
    assert_eq!(swarm.poll_timeout(), None);
}

proptest! {
    /// Two peers connect to each other at the same time. Whatever each side notices first, both keep the same
    /// connection, and exactly one.
    #[test]
    fn both_sides_keep_the_same_of_two_simultaneous_connections(
        a in 1..250_u8, b in 1..250_u8, first_at_a in any::<bool>(), first_at_b in any::<bool>(),
    ) {
        prop_assume!(a != b);
        // Connection 1 is made by a, connection 2 by b.
        let keep = |own: u8, other: u8, dialled: u64, first: bool| {
            let mut swarm = Swarm::new(key(own), Config::default(), [own; 32]);
            let role = |id: u64| if id == dialled { Role::Initiator } else { Role::Responder };
            for id in if first { [1, 2] } else { [2, 1] } {
                let _admission = swarm.handle_connected(Instant::START, ConnectionId(id), key(other), role(id));
            }
            swarm.connected_peers().map(|(_, id)| id.0).collect::<Vec<_>>()
        };
        let (at_a, at_b) = (keep(a, b, 1, first_at_a), keep(b, a, 2, first_at_b));
        prop_assert_eq!(&at_a, &at_b);
        prop_assert_eq!(at_a, vec![if a > b { 1 } else { 2 }]);
    }
}
