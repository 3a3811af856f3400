//! The periodic tasks of nodes: which ones become persistent, and which stay ephemeral.

use std::time::Duration;

use libvms_hyperswarm::dht_rpc::{Action, Address, Command, Mode, NodeStatus, QuerySpec};

use super::world::{Wall, World};

const MINUTE: u64 = 60_000;

fn network(count: usize) -> (World, Vec<Address>) {
    let mut world = World::new(7);
    let first = world.join(&[]);
    let bootstrap = vec![world.hosts[first].address];
    (1..count).for_each(|_| _ = world.join(&bootstrap));
    world.run(10_000);
    (world, bootstrap)
}

#[test]
fn an_open_node_becomes_persistent_after_twenty_minutes() {
    let (mut world, bootstrap) = network(30);
    let index = world.join_as(Mode::Adaptive, Wall::None, &bootstrap, |_| {});
    world.run(10_000);
    // It knows soon that there is no firewall, and is in no table yet.
    assert_eq!(world.hosts[index].node.standing(), NodeStatus { address: None, is_firewalled: false });
    world.run(19 * MINUTE);
    assert_eq!(world.hosts[index].node.id(), None);
    world.run(2 * MINUTE);
    let address = world.hosts[index].address;
    assert_eq!(
        world.hosts[index].node.standing(),
        NodeStatus { address: Some(address), is_firewalled: false }
    );
    world.run(MINUTE);
    let target = world.hosts[index].node.id().expect("persistent").into();
    let (outcome, _, _) = world.lookup(3, QuerySpec::new(target, Command::FIND_NODE));
    assert_eq!(outcome.closest[0].from, address);
}

#[test]
fn a_firewalled_node_stays_ephemeral_and_its_queries_succeed() {
    let (mut world, bootstrap) = network(30);
    let index = world.join_as(Mode::Adaptive, Wall::Firewall, &bootstrap, |config| {
        config.persistent_after = Duration::from_millis(MINUTE);
    });
    world.run(30 * MINUTE);
    assert_eq!(world.hosts[index].node.standing(), NodeStatus { address: None, is_firewalled: true });
    let target = world.target();
    let (outcome, _, _) = world.lookup(index, QuerySpec::new(target, Command::FIND_NODE));
    let found: Vec<Address> = outcome.closest.iter().map(|answer| answer.from).collect();
    assert_eq!(found, world.closest(index, &target));
    let known = world.hosts[0].node.closest_known(&target);
    assert!(known.iter().all(|node| node.ip() != world.hosts[index].address.ip()));
}

#[test]
fn an_ephemeral_node_stays_so_although_it_is_reachable() {
    let (mut world, bootstrap) = network(10);
    let index = world.join_as(Mode::Ephemeral, Wall::None, &bootstrap, |config| {
        config.persistent_after = Duration::from_millis(MINUTE);
    });
    world.run(10 * MINUTE);
    assert_eq!(world.hosts[index].node.standing(), NodeStatus { address: None, is_firewalled: false });
}

#[test]
fn persistent_nodes_learn_their_addresses_from_each_other() {
    let mut world = World::new(9);
    let mode = Mode::Persistent { address: None };
    let bootstrap = vec![world.next_address()];
    world.join_as(mode, Wall::None, &[], |_| {});
    (0..4).for_each(|_| _ = world.join_as(mode, Wall::None, &bootstrap, |_| {}));
    world.run(2 * MINUTE);
    for host in &world.hosts {
        assert_eq!(host.node.standing().address, Some(host.address));
    }
    world.run(6 * MINUTE);
    let target = world.target();
    let (outcome, _, _) = world.lookup(2, QuerySpec::new(target, Command::FIND_NODE));
    assert_eq!(outcome.closest.len(), 4);
}

#[test]
fn a_node_that_slept_bootstraps_again_and_is_ephemeral_again() {
    let (mut world, bootstrap) = network(20);
    let change = |config: &mut libvms_hyperswarm::dht_rpc::Config| {
        config.persistent_after = Duration::from_millis(MINUTE)
    };
    let index = world.join_as(Mode::Adaptive, Wall::None, &bootstrap, change);
    world.run(2 * MINUTE);
    assert!(world.hosts[index].node.id().is_some());
    world.stop(index);
    world.run(MINUTE);
    world.hosts[index].events.clear();
    world.wake(index);
    world.run(5_000);
    let host = &world.hosts[index];
    assert_eq!(host.node.id(), None);
    assert!(host.events.iter().any(|event| matches!(event, Action::Bootstrapped { nodes: 19.. })));
    // Three times as long as before.
    world.run(2 * MINUTE);
    assert_eq!(world.hosts[index].node.id(), None);
    world.run(2 * MINUTE);
    assert!(world.hosts[index].node.id().is_some());
}

#[test]
fn a_node_without_a_network_goes_on_trying() {
    let mut world = World::new(11);
    let first = world.join(&[]);
    let bootstrap = vec![world.hosts[first].address];
    world.stop(first);
    let index = world.join(&bootstrap);
    world.run(MINUTE);
    assert_eq!(world.hosts[index].node.table_len(), 0);
    world.wake(first);
    world.run(MINUTE);
    assert_eq!(world.hosts[index].node.table_len(), 1);
    assert_eq!(world.hosts[first].node.table_len(), 1);
}

#[test]
fn a_node_without_answers_keeps_its_table() {
    let (mut world, _) = network(20);
    world.loss_percent = 100;
    // A query just before has heard some nodes and not others.
    world.run(5_000);
    let known = |world: &World| world.hosts.iter().map(|host| host.node.table_len()).collect::<Vec<_>>();
    let before = known(&world);
    assert!(before.iter().all(|count| *count >= 15), "{before:?}");
    world.run(10 * MINUTE);
    assert_eq!(known(&world), before);
}

#[test]
fn nodes_that_are_gone_are_forgotten() {
    let (mut world, _) = network(20);
    (10..20).for_each(|index| world.stop(index));
    world.run(10 * MINUTE);
    assert!(world.hosts[..10].iter().all(|host| host.node.table_len() == 9));
}
