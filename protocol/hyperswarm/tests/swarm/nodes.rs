//! Whole nodes that meet under topics, lose each other, and meet again.

use libvms_hypercore::identity::PublicKey;
use libvms_hyperswarm::hyperdht::node::HyperDht;
use libvms_hyperswarm::swarm::node::{Closed, Config};
use libvms_hyperswarm::swarm::{Roles, TopicKey};
use libvms_hyperswarm::udx::CloseReason;

use super::world::{CLIENT, SERVER, Wall, World};

const TOPIC: TopicKey = [0x77; 32];
const MINUTE_MS: u64 = 60_000;

/// Returns whether each of these hosts has exactly one connection to each of the others, and no further ones.
pub(crate) fn is_mesh(world: &World, hosts: &[usize]) -> bool {
    hosts.iter().all(|index| {
        let others = hosts.iter().filter(|other| *other != index);
        let mut expected: Vec<PublicKey> = others.map(|other| world.hosts[*other].key).collect();
        expected.sort();
        world.hosts[*index].talks.peers() == expected
    })
}

pub(crate) fn is_complete(world: &World, hosts: &[usize]) -> bool {
    is_mesh(world, hosts) && hosts.iter().all(|host| world.hosts[*host].talks.is_complete(world.talk_bytes))
}

/// Creates two peers that have met under the topic.
fn couple(seed: u64) -> (World, [usize; 2]) {
    let mut world = World::of(seed, 12);
    let pair = [world.guest(Wall::None), world.guest(Wall::None)];
    pair.iter().for_each(|host| world.join(*host, TOPIC, Roles::BOTH));
    world.run_until(MINUTE_MS, |world| is_mesh(world, &pair)).expect("they meet");
    (world, pair)
}

fn dht(world: &World, index: usize) -> &HyperDht {
    world.hosts[index].node.dht()
}

#[test]
fn two_guests_meet_under_a_topic_and_a_third_finds_both() {
    let mut world = World::of(1, 12);
    (world.loss_percent, world.duplicate_percent, world.talk_bytes) = (3, 2, 30_000);
    let [first, second, third] = [Wall::None; 3].map(|wall| world.guest(wall));
    [first, second].iter().for_each(|host| world.join(*host, TOPIC, Roles::BOTH));
    world.run_until(2 * MINUTE_MS, |world| is_complete(world, &[first, second])).expect("they talk");
    world.join(third, TOPIC, Roles::BOTH);
    world.run_until(MINUTE_MS, |world| is_complete(world, &[first, second, third])).expect("all talk");
    // It stays so.
    world.run_ms(15 * MINUTE_MS);
    assert!(is_complete(&world, &[first, second, third]));
}

#[test]
fn a_firewalled_server_is_reachable_while_it_pings_its_relays() {
    let mut world = World::of(2, 12);
    world.talk_bytes = 1_000;
    let server = world.guest(Wall::Firewall);
    world.join(server, TOPIC, SERVER);
    world.run_ms(35 * MINUTE_MS);
    let client = world.guest(Wall::None);
    world.join(client, TOPIC, CLIENT);
    world.run_until(MINUTE_MS, |world| is_complete(world, &[server, client])).expect("they talk");
}

/// Its connections stay.
#[test]
fn a_server_that_has_left_is_not_found() {
    let (mut world, [first, second]) = couple(3);
    world.with(first, |node, now| node.leave(now, &TOPIC));
    world.run_ms(10_000);
    assert!(is_mesh(&world, &[first, second]));
    let guest = world.guest(Wall::None);
    assert_eq!(world.look_up(guest, TOPIC).found, [world.hosts[second].key].into());
}

#[test]
fn a_server_that_leaves_while_being_announced_is_not_found() {
    for after_ms in [0, 100, 300, 400, 500, 600, 800, 1_200, 2_000] {
        let mut world = World::of(4, 12);
        let server = world.guest(Wall::None);
        world.join(server, TOPIC, Roles::BOTH);
        world.run_ms(after_ms);
        world.with(server, |node, now| node.leave(now, &TOPIC));
        world.run_ms(20_000);
        let guest = world.guest(Wall::None);
        assert!(world.look_up(guest, TOPIC).found.is_empty(), "left after {after_ms} ms");
    }
}

#[test]
fn a_node_that_shuts_down_leaves_no_record_and_tells_its_peers() {
    for after_ms in [0, 200, 400, 600, 1_000, 20_000] {
        let mut world = World::of(5, 12);
        let pair = [world.guest(Wall::None), world.guest(Wall::None)];
        pair.iter().for_each(|host| world.join(*host, TOPIC, Roles::BOTH));
        world.run_ms(after_ms);
        let ([gone, stays], now) = (pair, world.now);
        world.shut_down(gone);
        assert!(world.now - now < std::time::Duration::from_secs(20), "after {:?}", world.now - now);
        world.run_ms(5_000);
        assert_eq!(world.hosts[stays].talks.peers(), [], "after {after_ms} ms");
        let guest = world.guest(Wall::None);
        let gone = world.hosts[gone].key;
        assert!(!world.look_up(guest, TOPIC).found.contains(&gone), "after {after_ms} ms");
        world.with(guest, |node, now| node.join_peer(now, gone));
        let not_found = "Handshake(NotFound)";
        let has_failed =
            |world: &World| world.hosts[guest].talks.failed.first().map(|(_, why)| format!("{why:?}"));
        world.run_until(MINUTE_MS, |world| has_failed(world).is_some()).expect("an end");
        assert_eq!(has_failed(&world).as_deref(), Some(not_found), "after {after_ms} ms");
    }
}

#[test]
fn a_shutdown_cancels_attempts_to_connect() {
    for after_ms in [1, 50, 100, 200, 300] {
        let mut world = World::of(14, 6);
        let pair = [world.guest(Wall::None), world.guest(Wall::None)];
        world.join(pair[0], TOPIC, SERVER);
        world.run_ms(10_000);
        let server = world.hosts[pair[0]].key;
        world.with(pair[1], |node, now| node.join_peer(now, server));
        world.run_ms(after_ms);
        world.with(pair[1], |node, now| node.shut_down(now));
        let begun = world.hosts[pair[1]].talks.begun;
        world.run_ms(MINUTE_MS);
        let talks = &world.hosts[pair[1]].talks;
        assert!(talks.is_shut_down);
        assert_eq!((talks.begun, talks.failed.len()), (begun, 0), "after {after_ms} ms");
        assert_eq!(world.hosts[pair[0]].talks.peers(), [], "after {after_ms} ms");
    }
}

#[test]
fn a_dead_peer_is_forgotten_and_found_at_another_address() {
    let (mut world, [first, second]) = couple(6);
    world.run_ms(MINUTE_MS);
    world.stop(first);
    let is_noticed = |world: &World| !world.hosts[second].talks.closed.is_empty();
    let took = world.run_until(MINUTE_MS, is_noticed).expect("it is noticed");
    assert!(took <= 40_000, "after {took} ms");
    assert_eq!(world.hosts[second].talks.closed[0].2, Closed::Stream(CloseReason::TimedOut));
    // Records live for 27 minutes at most.
    world.run_ms(27 * MINUTE_MS);
    let guest = world.guest(Wall::None);
    assert_eq!(world.look_up(guest, TOPIC).found, [world.hosts[second].key].into());

    world.restart(first);
    world.join(first, TOPIC, Roles::BOTH);
    // The guest may have connected to the second as well.
    let knows = |world: &World, one: usize, other: usize| {
        world.hosts[one].talks.peers().contains(&world.hosts[other].key)
    };
    let have_met = |world: &World| knows(world, first, second) && knows(world, second, first);
    world.run_until(MINUTE_MS, have_met).expect("they meet again");
}

#[test]
fn a_peer_that_restarts_at_once_replaces_its_connection() {
    let (mut world, [first, second]) = couple(7);
    world.run_ms(MINUTE_MS);
    world.restart(first);
    world.join(first, TOPIC, Roles::BOTH);
    world.run_until(MINUTE_MS, |world| is_mesh(world, &[first, second])).expect("they meet again");
    world.run_ms(5 * MINUTE_MS);
    assert!(is_mesh(&world, &[first, second]));
}

#[test]
fn a_server_is_found_when_its_relays_have_died() {
    let mut world = World::of(8, 14);
    let server = world.guest(Wall::Firewall);
    world.join(server, TOPIC, SERVER);
    world.run_ms(10_000);
    let key = world.hosts[server].key;
    let relays = dht(&world, server).relay_addresses(&key);
    assert_eq!(relays.len(), 3);
    // All but the bootstrap nodes.
    let dying: Vec<usize> = (2..14).filter(|index| relays.contains(&world.hosts[*index].address)).collect();
    assert!(dying.len() >= 2, "{relays:?}");
    let dead: Vec<_> = dying.iter().map(|index| world.hosts[*index].address).collect();
    dying.into_iter().for_each(|index| world.stop(index));
    world.run_ms(40_000);
    assert!(dht(&world, server).relay_addresses(&key).iter().all(|relay| !dead.contains(relay)));
    let client = world.guest(Wall::None);
    world.join(client, TOPIC, CLIENT);
    world.run_until(MINUTE_MS, |world| is_mesh(world, &[server, client])).expect("they meet");
}

#[test]
fn two_peers_that_connect_simultaneously_keep_one_connection() {
    for seed in 20..35 {
        let mut world = World::of(seed, 6);
        (world.talk_bytes, world.loss_percent) = (seed as usize % 3 * 2_000, seed % 2 * 5);
        let pair = [world.guest(Wall::None), world.guest(Wall::None)];
        pair.iter().for_each(|host| world.join(*host, [9; 32], SERVER));
        world.run_ms(10_000);
        let keys = pair.map(|host| world.hosts[host].key);
        world.with(pair[0], |node, now| node.join_peer(now, keys[1]));
        world.with(pair[1], |node, now| node.join_peer(now, keys[0]));
        let took = world.run_until(MINUTE_MS, |world| is_complete(world, &pair));
        assert!(took.is_some(), "seed {seed}");
        world.run_ms(2 * MINUTE_MS);
        assert!(is_complete(&world, &pair), "seed {seed}");
    }
}

#[test]
fn a_banned_peer_is_cut_off_and_does_not_come_back() {
    let (mut world, [first, second]) = couple(9);
    let key = world.hosts[second].key;
    world.with(first, |node, now| node.ban(now, key));
    world.run_ms(15 * MINUTE_MS);
    assert!(world.hosts[first].talks.peers().is_empty() && world.hosts[second].talks.peers().is_empty());
    assert_eq!(world.hosts[first].talks.opened.len(), 1);
    assert_eq!(world.hosts[second].talks.opened.len(), 1);
}

#[test]
fn peers_banned_during_an_attempt_free_its_place() {
    let mut world = World::of(10, 12);
    let servers: Vec<usize> = (0..6).map(|_| world.guest(Wall::None)).collect();
    servers.iter().for_each(|server| world.join(*server, TOPIC, SERVER));
    world.run_ms(10_000);
    let client = world.guest(Wall::None);
    for server in &servers[..5] {
        let key = world.hosts[*server].key;
        world.with(client, |node, now| node.join_peer(now, key));
        world.run_ms(30);
        world.with(client, |node, now| node.ban(now, key));
    }
    world.join(client, TOPIC, CLIENT);
    world.run_until(MINUTE_MS, |world| is_mesh(world, &[client, servers[5]])).expect("there is a place");
}

#[test]
fn a_client_keeps_to_its_connection_limit() {
    let mut world = World::of(11, 12);
    let servers: Vec<usize> = (0..6).map(|_| world.guest(Wall::None)).collect();
    servers.iter().for_each(|server| world.join(*server, TOPIC, SERVER));
    world.run_ms(10_000);
    let limit = |config: &mut Config| config.swarm.connections_max = 2;
    let client = world.guest_with(Wall::None, limit);
    world.join(client, TOPIC, CLIENT);
    world.run_ms(3 * MINUTE_MS);
    assert_eq!(world.hosts[client].talks.peers().len(), 2);
    assert_eq!(world.hosts[client].talks.begun, 2);
    // When one goes, another takes its place.
    let lost = world.hosts[client].talks.peers()[0];
    let server = *servers.iter().find(|server| world.hosts[**server].key == lost).expect("one of them");
    world.shut_down(server);
    world.run_ms(MINUTE_MS);
    assert_eq!(world.hosts[client].talks.peers().len(), 2);
}

#[test]
fn peers_reconnect_after_a_partition_heals() {
    let mut world = World::of(12, 24);
    let peers: Vec<usize> = (0..4).map(|_| world.guest(Wall::None)).collect();
    peers.iter().for_each(|peer| world.join(*peer, TOPIC, Roles::BOTH));
    world.run_until(MINUTE_MS, |world| is_mesh(world, &peers)).expect("they meet");
    world.is_split = true;
    world.run_ms(5 * MINUTE_MS);
    assert!(is_mesh(&world, &[peers[0], peers[2]]) && is_mesh(&world, &[peers[1], peers[3]]));
    world.is_split = false;
    let took = world.run_until(15 * MINUTE_MS, |world| is_mesh(world, &peers));
    took.expect("they meet again after the next refresh at the latest");
}

#[test]
fn a_client_without_a_network_looks_again_when_there_is_one() {
    let mut world = World::of(13, 12);
    let server = world.guest(Wall::None);
    world.join(server, TOPIC, SERVER);
    let client = world.guest_with(Wall::None, |_| {});
    world.loss_percent = 100;
    world.join(client, TOPIC, CLIENT);
    world.run_ms(20 * MINUTE_MS);
    world.loss_percent = 0;
    let took = world.run_until(MINUTE_MS, |world| is_mesh(world, &[server, client]));
    took.expect("it does not wait for the next refresh");
}
