//! Queries in a virtual network: the nodes that they find, the records that they store, and the cost of dead nodes.

use libvms_hyperswarm::dht_rpc::{
    Action, Address, Command, Commit, QueryError, QueryOutcome, QuerySpec, RequestError, RequestSpec, Target,
};

use super::behaviour::Lone;
use super::world::World;

fn network(count: usize) -> (World, Vec<Address>) {
    let mut world = World::new(42);
    let first = world.join(&[]);
    let bootstrap = vec![world.hosts[first].address];
    for _ in 1..count {
        world.join(&bootstrap);
        world.run(50);
    }
    world.run(10_000);
    (world, bootstrap)
}

#[test]
fn a_request_is_repeated_every_second_and_given_up_after_four() {
    let mut lone = Lone::new(|_| {});
    let to = lone.own.with_port(1);
    let request = lone.node.start_request(lone.now, RequestSpec::new(to, Command::PING));
    let first = lone.sent();
    let repeated = lone.pass(3_999);
    assert_eq!(repeated, [&first[..], &first[..], &first[..]].concat(), "the same bytes");
    let late: Vec<Action> = lone.events.drain(..).collect();
    assert_eq!(late, [1, 2, 3].map(|_| Action::RequestLate(request)), "said at each repetition");
    assert!(lone.pass(1).is_empty());
    let result = Err(RequestError::TimedOut(to));
    assert_eq!(lone.events, vec![Action::RequestDone { request, result }]);
}

#[test]
fn a_cancelled_request_causes_no_event() {
    let mut lone = Lone::new(|_| {});
    let request = lone.node.start_request(lone.now, RequestSpec::new(lone.own.with_port(1), Command::PING));
    lone.node.cancel_request(request);
    lone.sent();
    assert!(lone.pass(4_900).is_empty());
    assert!(lone.events.is_empty());
}

#[test]
fn dead_nodes_in_the_table_cost_less_than_two_seconds() {
    let (mut world, _) = network(40);
    // Every third node is gone, and no other node has noticed.
    (2..40).step_by(3).for_each(|index| world.stop(index));
    for index in [1, 10, 21, 31] {
        let target = world.target();
        let (outcome, took, _) = world.lookup(index, QuerySpec::new(target, Command::FIND_NODE));
        assert!(took < 2_000, "{took} ms");
        let found: Vec<Address> = outcome.closest.iter().map(|answer| answer.from).collect();
        // Far away there may be one that is known only to nodes that are gone.
        let expected = world.closest(index, &target);
        assert_eq!(found[..10], expected[..10]);
        assert!(found.len() >= 18, "{} of {}", found.len(), expected.len());
    }
}

#[test]
fn a_dead_bootstrap_node_costs_less_than_two_seconds() {
    let (mut world, bootstrap) = network(30);
    let dead = Address::new([9, 9, 9, 9].into(), 9);
    let index = world.join(&[dead, bootstrap[0]]);
    let is_done = |world: &World| !world.hosts[index].events.is_empty();
    let took = world.run_until(10_000, is_done).expect("the first look around ends");
    assert!(took < 2_000, "{took} ms");
    assert!(matches!(world.hosts[index].events[..], [Action::Bootstrapped { nodes: 20.. }]));
    // Where all are dead it ends as soon.
    let index = world.join(&[dead, dead.with_port(10)]);
    let took = world.run_until(10_000, |world| !world.hosts[index].events.is_empty());
    assert!(took.is_some_and(|took| took < 2_000), "{took:?}");
    assert_eq!(world.hosts[index].events, vec![Action::Bootstrapped { nodes: 0 }]);
}

#[test]
fn the_table_makes_up_for_useless_first_nodes() {
    let (mut world, _) = network(30);
    let target = world.target();
    let nodes = (1..=20).map(|port| Address::new([9, 9, 9, 9].into(), port)).collect();
    let spec = QuerySpec { nodes, ..QuerySpec::new(target, Command::FIND_NODE) };
    let (outcome, took, _) = world.lookup(5, spec);
    let found: Vec<Address> = outcome.closest.iter().map(|answer| answer.from).collect();
    assert_eq!(found, world.closest(5, &target));
    assert!(took < 7_000, "{took}");
}

#[test]
fn the_closest_nodes_store_what_is_committed() {
    let (mut world, _) = network(40);
    let (index, target) = (7, Target([0x55; 32]));
    let spec = QuerySpec { commits: true, ..QuerySpec::new(target, Command::External(3)) };
    let query = world.query(index, spec);
    let found = |world: &World| {
        world.hosts[index].events.iter().find_map(|event| match event {
            Action::QueryCommit { closest, .. } => Some(closest.clone()),
            _ => None,
        })
    };
    world.run_until(5_000, |world| found(world).is_some()).expect("the nodes are found");
    let closest = found(&world).expect("the nodes are found");
    assert!(closest.iter().all(|answer| answer.token.is_some()));
    assert!(world.hosts[index].finished(query).is_none());
    let mut commits: Vec<Commit> = closest
        .iter()
        .map(|answer| Commit { to: answer.from, command: Command::External(4), value: Some(vec![1]) })
        .collect();
    // Nothing is sent to a node that the query did not end with.
    commits.push(Commit { to: Address::new([9, 9, 9, 9].into(), 9), ..commits[0].clone() });
    let now = world.now;
    world.hosts[index].node.commit(now, query, commits);
    world.settle(index);
    world.run(5_000);
    let expected = QueryOutcome { closest, stored: 20 };
    assert_eq!(world.hosts[index].finished(query), Some(&expected));
    let storing: Vec<Address> =
        world.hosts.iter().filter(|host| host.stored == 1).map(|host| host.address).collect();
    assert_eq!(storing.len(), 20);
    assert!(world.closest(index, &target).iter().all(|node| storing.contains(node)));
    let answers =
        world.hosts[index].events.iter().filter(|event| matches!(event, Action::QueryProgress { .. }));
    assert!(answers.count() >= 20);
}

#[test]
fn nothing_is_stored_if_no_node_answers() {
    let mut lone = Lone::new(|_| {});
    let spec = QuerySpec { commits: true, ..QuerySpec::new(Target([1; 32]), Command::External(3)) };
    let query = lone.node.start_query(lone.now, spec);
    lone.sent();
    assert_eq!(lone.events, vec![Action::QueryDone { query, result: Err(QueryError::NoAnswer) }]);
}
