//! Two peers behind routers, whole nodes, losses: they connect, or the reason is clear.
//!
//! `SEEDS=100 cargo test -p libvms-hyperswarm --test hyperswarm swarm::routers -- --nocapture` tries more seeds than usual and
//! prints how long it takes.

use libvms_hyperswarm::hyperdht::command::{Firewall, PeerError};
use libvms_hyperswarm::hyperdht::holepunch::puncher::PunchError;
use libvms_hyperswarm::swarm::node::DialFailure;
use libvms_hyperswarm::swarm::{Roles, TopicKey};

use super::nodes::is_complete;
use super::router::Ports;
use super::world::{CLIENT, SERVER, Wall, World};

const TOPIC: TopicKey = [0x66; 32];
const MINUTE_MS: u64 = 60_000;
const NODES: usize = 12;

fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(3)
}

/// Creates a network on which datagrams are lost and doubled.
fn lossy(seed: u64) -> World {
    let mut world = World::of(seed, NODES);
    (world.loss_percent, world.duplicate_percent, world.talk_bytes) = (5, 2, 3_000);
    world
}

/// Adds a server and a client, which meet under the topic.
fn pair(world: &mut World, server: Wall, client: Wall) -> [usize; 2] {
    let (server, client) = (world.guest(server), world.guest(client));
    world.join(server, TOPIC, SERVER);
    world.run_ms(5_000);
    world.join(client, TOPIC, CLIENT);
    [server, client]
}

/// Returns for each connection of a host whether it goes through a hole.
fn is_punched(world: &World, host: usize) -> Vec<bool> {
    let open = world.hosts[host].talks.talks.iter().filter(|(_, talk)| talk.is_open);
    open.map(|(id, _)| world.hosts[host].node.peer(*id).expect("it is open").1).collect()
}

#[expect(clippy::print_stdout, reason = "figures for who runs the tests with --nocapture")]
fn show(what: &str, mut times: Vec<u64>) {
    times.sort_unstable();
    let (count, last) = (times.len(), times.len() - 1);
    let [middle, most] = [times[last / 2], times[last]];
    println!("{what}: {count} connections, one in two after {middle} ms, all after {most} ms");
}

/// Connects pairs from several seeds, each through a hole or none, and lets them be for ten minutes.
fn connect(what: &str, limit_ms: u64, is_hole: bool, walls: impl Fn(&mut World) -> [Wall; 2]) {
    let mut times = vec![];
    for seed in 1..=seeds() {
        let mut world = lossy(seed);
        let [server, client] = walls(&mut world);
        let hosts = pair(&mut world, server, client);
        let took = world.run_until(limit_ms, |world| is_complete(world, &hosts));
        let failed = &world.hosts[hosts[1]].talks.failed;
        times.push(took.unwrap_or_else(|| panic!("{what}, seed {seed}: {failed:?}")));
        world.run_ms(10 * MINUTE_MS);
        assert!(is_complete(&world, &hosts), "{what}, seed {seed}: it does not last");
        for host in hosts {
            assert_eq!(is_punched(&world, host), [is_hole], "{what}, seed {seed}");
            let sockets = &world.hosts[host].punching;
            assert_eq!(sockets.len(), usize::from(is_hole), "{what}, seed {seed}: {sockets:?} are open");
        }
    }
    show(what, times);
}

#[test]
fn routers_that_keep_ports_are_traversed_at_once() {
    connect("kept, kept", MINUTE_MS, true, |world| [world.router(Ports::Kept), world.router(Ports::Kept)]);
}

#[test]
fn a_router_with_random_ports_is_traversed_from_either_side() {
    let limit = 4 * MINUTE_MS;
    connect("random, kept", limit, true, |world| [world.router(Ports::Random), world.router(Ports::Kept)]);
    connect("kept, random", limit, true, |world| [world.router(Ports::Kept), world.router(Ports::Random)]);
}

#[test]
fn peers_behind_the_same_router_need_no_hole() {
    for ports in [Ports::Kept, Ports::Random] {
        connect("the same router", MINUTE_MS, false, |world| [world.router(ports); 2]);
    }
}

#[test]
fn a_peer_without_a_router_is_reached_from_behind_any() {
    for ports in [Ports::Kept, Ports::Random] {
        let limit = 4 * MINUTE_MS;
        for seed in 1..=seeds() {
            for is_server_open in [true, false] {
                let mut world = lossy(seed);
                let behind = world.router(ports);
                let [server, client] =
                    if is_server_open { [Wall::None, behind] } else { [behind, Wall::None] };
                let hosts = pair(&mut world, server, client);
                let took = world.run_until(limit, |world| is_complete(world, &hosts));
                assert!(took.is_some(), "{ports:?}, seed {seed}: {:?}", world.hosts[hosts[1]].talks.failed);
            }
        }
    }
}

#[test]
fn two_routers_with_random_ports_fail_with_a_reason() {
    for seed in 1..=seeds() {
        let mut world = lossy(seed);
        let [server, client] = [Ports::Random; 2].map(|ports| world.router(ports));
        let [server, client] = pair(&mut world, server, client);
        let (here, there) = (Firewall::Random, Firewall::Random);
        let hopeless = (world.hosts[server].key, DialFailure::Punch(PunchError::Hopeless { here, there }));
        let is_said = |world: &World| world.hosts[client].talks.failed.contains(&hopeless);
        world.run_until(MINUTE_MS, is_said).unwrap_or_else(|| panic!("seed {seed}: nothing is said"));
        world.run_ms(5 * MINUTE_MS);
        for host in [server, client] {
            assert!(world.hosts[host].talks.talks.is_empty() && world.hosts[host].punching.is_empty());
        }
        assert!(world.hosts[client].talks.failed.len() >= 2, "attempts go on");
    }
}

#[test]
fn clients_that_need_thousands_of_probes_get_their_turn() {
    let mut times = vec![];
    for seed in 1..=seeds() {
        let mut world = lossy(seed);
        let wall = world.router(Ports::Kept);
        let server = world.guest(wall);
        let clients = [(); 3].map(|()| {
            let wall = world.router(Ports::Random);
            world.guest(wall)
        });
        world.join(server, TOPIC, Roles { server: true, client: false });
        world.run_ms(5_000);
        clients.iter().for_each(|client| world.join(*client, TOPIC, CLIENT));
        let is_over = |world: &World| world.hosts[server].talks.peers().len() == clients.len();
        let took = world.run_until(8 * MINUTE_MS, is_over);
        let failed = clients.map(|client| &world.hosts[client].talks.failed);
        times.push(took.unwrap_or_else(|| panic!("seed {seed}: {failed:?}")));
        let later = DialFailure::Punch(PunchError::Refused(PeerError::TRY_LATER));
        assert!(failed.iter().any(|failed| failed.iter().any(|(_, why)| *why == later)), "{failed:?}");
    }
    show("three random, one kept", times);
}
