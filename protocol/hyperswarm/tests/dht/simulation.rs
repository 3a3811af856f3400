//! Whole networks: they grow, a third of their nodes is replaced, they are partitioned and heal; queries must find the
//! closest nodes all the same.

use libvms_hyperswarm::dht_rpc::{Command, QuerySpec};

use super::world::World;

/// The cost and the results of lookups.
struct Figures {
    lookups: usize,
    /// Share of the nodes that should have been found.
    found_percent: f64,
    hops: f64,
    messages: f64,
    time_ms: f64,
}

/// Lets random nodes look for random targets.
fn measure(world: &mut World, lookups: usize) -> Figures {
    let (mut expected, mut found, mut hops, mut messages, mut time) = (0, 0, 0, 0, 0);
    for _ in 0..lookups {
        let (index, target) = (world.up(), world.target());
        let (outcome, took, sent) = world.lookup(index, QuerySpec::new(target, Command::FIND_NODE));
        let closest = world.closest(index, &target);
        expected += closest.len();
        found +=
            closest.iter().filter(|node| outcome.closest.iter().any(|answer| answer.from == **node)).count();
        hops += outcome.closest.first().map_or(0, |answer| world.hops_to(index, answer.from));
        messages += sent;
        time += took;
    }
    let mean = |sum: usize| sum as f64 / lookups as f64;
    Figures {
        lookups,
        found_percent: 100.0 * found as f64 / expected as f64,
        hops: mean(hops),
        messages: mean(messages),
        time_ms: mean(time as usize),
    }
}

#[expect(clippy::print_stdout, reason = "figures for who runs the tests with --nocapture")]
fn show(nodes: usize, phase: &str, figures: &Figures) {
    let Figures { lookups, found_percent, hops, messages, time_ms } = figures;
    println!(
        "{nodes:5} nodes, {phase:16}: {lookups} lookups find {found_percent:6.2} % of the closest nodes; \
         {hops:.2} hops, {messages:.1} messages, {time_ms:.0} ms each"
    );
}

/// Grows a network to `count` nodes. The first two are the bootstrap nodes of the others.
fn grow(world: &mut World, count: usize) {
    let first = world.join(&[]);
    let bootstrap = vec![world.hosts[first].address, world.next_address()];
    for _ in 1..count {
        world.join(&bootstrap);
        world.run(50);
    }
    world.run(30_000);
}

/// Runs the whole life of a network. Returns hops and messages per lookup while all is well.
fn live(count: usize, lookups: usize) -> (f64, f64) {
    let mut world = World::new(0x5eed + count as u64);
    world.loss_percent = 2;
    grow(&mut world, count);
    let grown = measure(&mut world, lookups);
    show(count, "grown", &grown);
    assert!(grown.found_percent >= 99.0, "{}", grown.found_percent);

    let bootstrap = vec![world.hosts[0].address, world.hosts[1].address];
    for leaving in 0..count / 3 {
        world.stop(2 + 3 * leaving.min((count - 3) / 3));
        world.join(&bootstrap);
        world.run(50);
    }
    let churned = measure(&mut world, lookups);
    show(count, "after churn", &churned);
    assert!(churned.found_percent >= 95.0, "{}", churned.found_percent);
    world.run(5 * 60_000);

    world.is_split = true;
    world.run(4 * 60_000);
    let split = measure(&mut world, lookups);
    show(count, "while split", &split);
    world.is_split = false;
    world.run(11 * 60_000);
    let healed = measure(&mut world, lookups);
    show(count, "healed", &healed);
    assert!(healed.found_percent >= 99.0, "{}", healed.found_percent);
    (grown.hops, grown.messages)
}

#[test]
fn small_networks_survive_loss_churn_and_partitions() {
    live(10, 20);
    live(60, 20);
}

#[test]
#[ignore = "takes minutes"]
fn the_cost_of_a_lookup_grows_with_the_logarithm_of_the_network() {
    let (small, _) = live(10, 100);
    let (middle, few) = live(100, 200);
    let (large, many) = live(1_000, 300);
    assert!(middle < small + 1.0 && large < middle + 1.5, "{small}, {middle} and {large} hops");
    assert!(many < 3.0 * few, "{few} and {many} messages");
}
