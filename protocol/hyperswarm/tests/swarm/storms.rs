//! Anything goes wrong at any time, from one seed; afterwards, on a good network, all peers are connected to each
//! other.
//!
//! `SEEDS=1000 cargo test --release -p libvms-hyperswarm --test hyperswarm swarm::storms` tries more seeds than usual.

use libvms_hyperswarm::swarm::{Roles, TopicKey};

use super::nodes::{is_complete, is_mesh};
use super::world::{Wall, World};

const TOPIC: TopicKey = [0x55; 32];
const NODES: usize = 10;
const PEERS: usize = 4;
const STROKES: usize = 12;

/// Makes one thing go wrong, or right again.
fn strike(world: &mut World, peers: &[usize]) {
    let peer = world.dice.pick(peers);
    match world.dice.below(10) {
        0 | 1 => {
            world.restart(peer);
            world.join(peer, TOPIC, Roles::BOTH);
        }
        2 => world.stop(peer),
        3 => world.is_split = !world.is_split,
        4 => world.loss_percent = world.dice.below(40),
        5 => world.duplicate_percent = world.dice.below(40),
        6 => world.delay_ms = (1, 1 + world.dice.below(700)),
        7 => {
            world.with(peer, |node, now| node.leave(now, &TOPIC));
            let pause = world.dice.below(2_000);
            world.run_ms(pause);
            world.join(peer, TOPIC, Roles::BOTH);
        }
        8 => world.with(peer, |node, now| node.handle_network_changed(now, vec![])),
        _ => {
            let other = world.hosts[world.dice.pick(peers)].key;
            world.with(peer, |node, now| node.join_peer(now, other));
        }
    }
    let pause = match world.dice.below(3) {
        0 => world.dice.below(1_000),
        1 => world.dice.below(20_000),
        _ => world.dice.below(200_000),
    };
    world.run_ms(pause);
}

/// Makes everything well again.
fn calm(world: &mut World, peers: &[usize]) {
    (world.is_split, world.loss_percent, world.duplicate_percent, world.delay_ms) = (false, 0, 0, (5, 60));
    for peer in peers {
        if !world.hosts[*peer].is_up {
            world.restart(*peer);
            world.join(*peer, TOPIC, Roles::BOTH);
        }
    }
}

/// Returns how long it takes after a storm until all is well, and prints a line for each step of the way.
fn weather(seed: u64) -> (Option<u64>, u64) {
    let mut world = World::of(seed, NODES);
    world.talk_bytes = 3_000;
    // No two behind firewalls: nothing punches holes here.
    let first = if seed.is_multiple_of(2) { Wall::Firewall } else { Wall::None };
    let walls = std::iter::once(first).chain(std::iter::repeat(Wall::None)).take(PEERS);
    let peers: Vec<usize> = walls.map(|wall| world.guest(wall)).collect();
    peers.iter().for_each(|peer| world.join(*peer, TOPIC, Roles::BOTH));
    for _ in 0..STROKES {
        strike(&mut world, &peers);
    }
    calm(&mut world, &peers);
    // One interval of refreshing, and the time to be tried again.
    let took = world.run_until(15 * 60_000, |world| is_complete(world, &peers));
    world.run_ms(60_000);
    (took.filter(|_| is_mesh(&world, &peers)), world.datagrams())
}

#[test]
fn all_peers_are_connected_after_any_storm() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(5);
    for seed in 1..=seeds {
        assert!(weather(seed).0.is_some(), "seed {seed}");
    }
}

#[test]
fn a_storm_is_the_same_again_from_the_same_seed() {
    assert_eq!(weather(3), weather(3));
    assert_ne!(weather(3), weather(4));
}
