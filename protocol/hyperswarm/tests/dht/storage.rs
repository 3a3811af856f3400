//! The store of a persistent node: the cases of `behaviour.json`, and floods.

use std::collections::BTreeSet;
use std::time::Duration;

use libvms_hypercore::encoding::Reader;
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::{Address, Command, ErrorCode, Message, NodeId, Reply, Target, Token};
use libvms_hyperswarm::hyperdht::announce::{Announcement, Destination, Purpose};
use libvms_hyperswarm::hyperdht::namespaces;
use libvms_hyperswarm::hyperdht::record::{LOOKUP_RECORDS_MAX, LookupReply, PeerRecord, peer_target};
use libvms_hyperswarm::hyperdht::record_store::{Asked, Now, Storage};

use super::codecs::address;
use crate::vector::{hex, items, read};

const NODE: NodeId = NodeId([7; 32]);
const TOKEN: Token = Token([8; 32]);
const TOPIC: Target = Target([9; 32]);
const NOW: Now = Now { steady: Instant::from_millis(1_000), unix_ms: 1_700_000_000_000 };
const MINUTE: u64 = 60_000;

fn at(minutes: u64) -> Now {
    Now {
        steady: NOW.steady + Duration::from_millis(minutes * MINUTE),
        unix_ms: NOW.unix_ms + minutes * MINUTE,
    }
}

fn key(seed: u16) -> SecretKey {
    let mut bytes = [0x5a; 32];
    bytes[..2].copy_from_slice(&seed.to_le_bytes());
    SecretKey::from_seed(&bytes)
}

fn host(number: u8) -> Address {
    address(&format!("1.2.3.{number}:1000"))
}

/// A node with its store, and the requests to it.
struct World {
    storage: Storage,
    now: Now,
}

impl World {
    fn new() -> Self {
        Self { storage: Storage::new([1; 32]), now: NOW }
    }

    fn ask(
        &mut self,
        from: Address,
        command: Command,
        target: &Target,
        value: Option<&[u8]>,
    ) -> Option<Reply> {
        let asked = Asked { from, command, target: Some(target), token: Some(&TOKEN), value };
        self.storage.answer(self.now, Some(&NODE), &asked)
    }

    fn put(
        &mut self,
        purpose: Purpose,
        from: Address,
        target: &Target,
        relays: Vec<Address>,
        key: &SecretKey,
    ) -> bool {
        let peer = PeerRecord { public_key: key.public_key(), relays };
        let destination = Destination { target, node: &NODE, token: &TOKEN };
        let value = Announcement::sign(purpose, destination, peer, key).encode();
        self.ask(from, purpose.command(), target, Some(&value)) == Some(Reply::acknowledged())
    }

    fn announce(&mut self, from: Address, target: &Target, key: &SecretKey) -> bool {
        self.put(Purpose::Announce, from, target, vec![], key)
    }

    fn lookup(&mut self, target: &Target) -> LookupReply {
        let reply = self.ask(host(200), Command::LOOKUP, target, None).expect("an answer");
        assert!(reply.with_token && reply.with_closer && reply.error.is_none());
        reply.value.map_or_else(LookupReply::default, |value| LookupReply::decode(&value).expect("readable"))
    }

    fn found(&mut self, target: &Target) -> BTreeSet<PublicKey> {
        self.lookup(target).peers.into_iter().map(|peer| peer.public_key).collect()
    }
}

/// Replays the requests of the capture, with the tokens that the reference gave, and compares the answers' values.
#[test]
fn the_recorded_requests_get_the_recorded_answers() {
    let mut storage = Storage::new([1; 32]);
    let vector = read("swarm/behaviour.json");
    let mut token = None;
    let mut node = None;
    let mut compared = 0;
    for case in items(&vector["cases"]) {
        let name = case["name"].as_str().expect("text");
        let Ok(Message::Request(request)) = Message::decode(&hex(&case["request"])) else { panic!("{name}") };
        let answers: Vec<_> = items(&case["answers"])
            .iter()
            .filter_map(|answer| match Message::decode(&hex(&answer["hex"])) {
                Ok(Message::Response(response)) => Some(response),
                _ => None,
            })
            .collect();
        node = node.or_else(|| answers.first().and_then(|answer| answer.id));
        token = token.or_else(|| answers.first().and_then(|answer| answer.token));
        let is_ours = matches!(request.command, Command::External(2..=10))
            || matches!(request.command, Command::External(77));
        // The layer below answers a wrong token by itself; records that were stored between the cases are not in the
        // file.
        if !is_ours || name.contains("wrong token") || name.contains("more than 20") {
            continue;
        }
        let asked = Asked {
            from: host(1),
            command: request.command,
            target: request.target.as_ref(),
            token: request.token.as_ref().filter(|given| Some(**given) == token),
            value: request.value.as_deref(),
        };
        let reply = storage.answer(NOW, node.as_ref(), &asked);
        let Some(expected) = answers.first() else {
            // A lookup without a target, and invalid announcements, get no answer.
            assert_eq!(reply, None, "{name}");
            continue;
        };
        let reply = reply.unwrap_or_else(|| panic!("{name} is answered"));
        assert_eq!(reply.error, expected.error, "{name}");
        assert_eq!(reply.with_token, expected.token.is_some(), "{name}");
        let decoded = |value: &Option<Vec<u8>>| {
            let decode = |bytes: &Vec<u8>| LookupReply::decode(bytes).expect("readable");
            let mut peers: Vec<_> = value.as_ref().map_or(vec![], |bytes| decode(bytes).peers);
            peers.sort_by_key(|peer| peer.public_key);
            peers
        };
        if request.command == Command::LOOKUP {
            assert_eq!(decoded(&reply.value), decoded(&expected.value), "{name}");
        } else {
            assert_eq!(reply.value, expected.value, "{name}");
        }
        compared += 1;
    }
    assert!(compared >= 21, "{compared}");
}

#[test]
fn a_self_announcement_makes_a_route_to_its_sender() {
    let (mut world, key) = (World::new(), key(1));
    let target = peer_target(&key.public_key());
    assert_eq!(world.storage.route(NOW.steady, &target), None);
    assert!(world.announce(host(1), &target, &key));
    assert_eq!(world.storage.route(NOW.steady, &target), Some(host(1)));
    // A peer that moved, or whose router changed its port, is followed.
    assert!(world.announce(host(2), &target, &key));
    assert_eq!(world.storage.route(NOW.steady, &target), Some(host(2)));
    let reply = world.ask(host(9), Command::FIND_PEER, &target, None).expect("an answer");
    let record = PeerRecord::decode(&mut Reader::new(&reply.value.expect("a record"))).expect("readable");
    assert_eq!(record.public_key, key.public_key());
    assert_eq!(world.found(&target), BTreeSet::from([key.public_key()]));
    assert!(world.put(Purpose::Unannounce, host(2), &target, vec![], &key));
    assert_eq!(world.storage.route(NOW.steady, &target), None);
    assert!(world.found(&target).is_empty());
}

#[test]
fn a_record_expires_unless_it_is_announced_again() {
    let (mut world, stays, leaves) = (World::new(), key(1), key(2));
    assert!(world.announce(host(1), &TOPIC, &stays) && world.announce(host(2), &TOPIC, &leaves));
    for minutes in [12, 24, 36] {
        world.now = at(minutes);
        assert!(world.announce(host(1), &TOPIC, &stays));
        assert_eq!(world.found(&TOPIC).contains(&leaves.public_key()), minutes < 26, "{minutes}");
    }
    assert_eq!(world.found(&TOPIC), BTreeSet::from([stays.public_key()]));
    world.now = at(100);
    assert!(world.found(&TOPIC).is_empty());
    assert_eq!(world.storage.record_count(), 0);
}

#[test]
fn announcing_again_replaces_the_relays() {
    let (mut world, key) = (World::new(), key(1));
    let relays = |numbers: &[u8]| numbers.iter().map(|number| host(*number)).collect::<Vec<_>>();
    assert!(world.put(Purpose::Announce, host(1), &TOPIC, relays(&[1]), &key));
    assert!(world.put(Purpose::Announce, host(1), &TOPIC, relays(&[2, 3, 4, 5, 6]), &key));
    let reply = world.lookup(&TOPIC);
    assert_eq!(reply.peers, [PeerRecord { public_key: key.public_key(), relays: relays(&[2, 3, 4]) }]);
}

/// From however many hosts it announces.
#[test]
fn one_key_has_one_record_in_a_topic() {
    let (mut world, key) = (World::new(), key(1));
    for number in 0..50 {
        assert!(world.announce(host(number), &TOPIC, &key));
    }
    assert_eq!((world.lookup(&TOPIC).peers.len(), world.storage.record_count()), (1, 1));
}

/// The answers still show the other hosts' records.
#[test]
fn made_up_keys_of_one_host_do_not_crowd_out_others() {
    let mut world = World::new();
    let honest: Vec<SecretKey> = (0..5).map(key).collect();
    for (number, key) in honest.iter().enumerate() {
        assert!(world.announce(host(number as u8), &TOPIC, key));
    }
    for number in 1_000..1_200 {
        world.announce(host(66), &TOPIC, &key(number));
    }
    assert_eq!(world.storage.record_count(), 5 + 64);
    for _ in 0..20 {
        let found = world.found(&TOPIC);
        assert_eq!(found.len(), LOOKUP_RECORDS_MAX);
        assert!(honest.iter().all(|key| found.contains(&key.public_key())));
    }
}

#[test]
fn a_host_that_announces_many_topics_gets_its_share_only() {
    let mut world = World::new();
    for number in 0..1_200_u16 {
        let mut topic = [0; 32];
        topic[..2].copy_from_slice(&number.to_le_bytes());
        world.announce(host(66), &Target(topic), &key(1));
    }
    assert_eq!(world.storage.record_count(), 1_024);
    assert!(world.announce(host(1), &TOPIC, &key(2)) && world.storage.record_count() == 1_025);
    // After the share is forgotten, there is room again.
    world.now = at(30);
    assert!(world.announce(host(66), &TOPIC, &key(3)) && world.storage.record_count() == 1);
}

#[test]
fn different_answers_show_different_records_of_a_large_topic() {
    let mut world = World::new();
    for number in 0..100 {
        assert!(world.announce(host(number), &TOPIC, &key(number.into())));
    }
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        let found = world.found(&TOPIC);
        assert_eq!(found.len(), LOOKUP_RECORDS_MAX);
        seen.extend(found);
    }
    assert!(seen.len() > 90, "{}", seen.len());
}

#[test]
fn announcements_not_signed_for_the_request_get_no_answer() {
    let (mut world, key) = (World::new(), key(1));
    let peer = PeerRecord { public_key: key.public_key(), relays: vec![] };
    let right = Destination { target: &TOPIC, node: &NODE, token: &TOKEN };
    let sign = |purpose, destination| Announcement::sign(purpose, destination, peer.clone(), &key).encode();
    let (other_node, other_token, other_topic) = (NodeId([1; 32]), Token([1; 32]), Target([1; 32]));
    for value in [
        sign(Purpose::Unannounce, right),
        sign(Purpose::Announce, Destination { node: &other_node, ..right }),
        sign(Purpose::Announce, Destination { token: &other_token, ..right }),
        sign(Purpose::Announce, Destination { target: &other_topic, ..right }),
        vec![],
        vec![0],
        vec![0xff; 60],
    ] {
        assert_eq!(world.ask(host(1), Command::ANNOUNCE, &TOPIC, Some(&value)), None);
    }
    let value = sign(Purpose::Announce, right);
    let asked = Asked {
        from: host(1),
        command: Command::ANNOUNCE,
        target: Some(&TOPIC),
        token: Some(&TOKEN),
        value: Some(&value),
    };
    for silent in [
        Asked { token: None, ..asked },
        Asked { target: None, ..asked },
        Asked { value: None, ..asked },
        // Only the owner of the key can withdraw what it announced.
        Asked { command: Command::UNANNOUNCE, ..asked },
    ] {
        assert_eq!(world.storage.answer(NOW, Some(&NODE), &silent), None);
    }
    assert_eq!(world.storage.record_count(), 0);
    assert_eq!(world.storage.answer(NOW, Some(&NODE), &asked), Some(Reply::acknowledged()));
}

#[test]
fn a_node_that_is_not_persistent_stores_nothing_and_says_so() {
    let mut world = World::new();
    for command in (2..12).map(Command::External) {
        let asked = Asked { from: host(1), command, target: Some(&TOPIC), token: Some(&TOKEN), value: None };
        let reply = world.storage.answer(NOW, None, &asked).expect("an answer");
        assert_eq!(reply.error, Some(ErrorCode::UNKNOWN_COMMAND));
    }
    for command in [Command::External(11), Command::External(77)] {
        assert_eq!(world.ask(host(1), command, &TOPIC, None), Some(Reply::unknown_command()));
    }
    assert_eq!(world.ask(host(1), Command::PLUGIN, &TOPIC, None), None);
}

#[test]
fn a_bump_only_grows_and_not_into_the_future() {
    let (mut world, key) = (World::new(), key(1));
    let mut announce = |bump: u64| {
        let peer = PeerRecord { public_key: key.public_key(), relays: vec![] };
        let destination = Destination { target: &TOPIC, node: &NODE, token: &TOKEN };
        let mut announcement = Announcement::sign(Purpose::Announce, destination, peer, &key);
        announcement.bump = bump;
        world.ask(host(1), Command::ANNOUNCE, &TOPIC, Some(&announcement.encode())).expect("an answer");
        world.lookup(&TOPIC).bump
    };
    assert_eq!(announce(NOW.unix_ms), NOW.unix_ms);
    assert_eq!(announce(NOW.unix_ms - 1), NOW.unix_ms);
    assert_eq!(announce(NOW.unix_ms + 60_000), NOW.unix_ms + 60_000);
    assert_eq!(announce(NOW.unix_ms + 60_001), NOW.unix_ms + 60_000);
}

/// From any address.
#[test]
fn the_preimage_of_a_refresh_renews_the_record() {
    let (mut world, key) = (World::new(), key(1));
    let target = peer_target(&key.public_key());
    let (first, second) = (blake2b(&[&[0x66; 32]]), [0x66; 32]);
    let peer = PeerRecord { public_key: key.public_key(), relays: vec![] };
    let covered = blake2b(&[&target.0, &NODE.0, &TOKEN.0, &peer.to_bytes(), &first]);
    let signature = Some(key.sign(&[namespaces::announce(), covered].concat()));
    let announcement = Announcement { peer: Some(peer), refresh: Some(first), signature, bump: 0 };
    let acknowledged = Some(Reply::acknowledged());
    assert_eq!(world.ask(host(1), Command::ANNOUNCE, &target, Some(&announcement.encode())), acknowledged);

    let renewal = |shown| Announcement { refresh: Some(shown), ..Announcement::default() }.encode();
    world.now = at(12);
    assert_eq!(world.ask(host(2), Command::ANNOUNCE, &target, Some(&renewal([0x67; 32]))), None);
    assert_eq!(world.ask(host(2), Command::ANNOUNCE, &TOPIC, Some(&renewal(second))), None);
    assert_eq!(world.storage.route(world.now.steady, &target), Some(host(1)));
    assert_eq!(world.ask(host(2), Command::ANNOUNCE, &target, Some(&renewal(second))), acknowledged);
    assert_eq!(world.storage.route(world.now.steady, &target), Some(host(2)));
    // A preimage that was shown once is worthless: only its own preimage renews the record again.
    assert_eq!(world.ask(host(3), Command::ANNOUNCE, &target, Some(&renewal(second))), None);
}
