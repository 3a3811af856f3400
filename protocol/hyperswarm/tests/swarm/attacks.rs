//! Attacks on whole nodes: handshakes in the name of victims, replayed ones, changed ones, and too many.

use std::collections::BTreeSet;

use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::secret_stream::noise_ik::Initiator;
use libvms_hyperswarm::dht_rpc::{Address, Command, Message, Request};
use libvms_hyperswarm::hyperdht::command::Firewall;
use libvms_hyperswarm::hyperdht::envelope::{HandshakeEnvelope, Mode};
use libvms_hyperswarm::hyperdht::handshake_payload::{HandshakePayload, UdxStream};
use libvms_hyperswarm::hyperdht::record::peer_target;
use libvms_hyperswarm::swarm::TopicKey;
use libvms_hyperswarm::swarm::node::Closed;
use libvms_hyperswarm::udx::Packet;

use super::world::{CLIENT, Flight, SERVER, Wall, World};

const TOPIC: TopicKey = [0x66; 32];
/// Id of the attacker's streams.
const STREAM: u32 = 0x0bad_cafe;

/// Creates a network with one server, which writes much on each connection.
fn served(seed: u64, wall: Wall) -> (World, usize) {
    let mut world = World::of(seed, 10);
    world.talk_bytes = 50_000;
    let server = world.guest(wall);
    world.join(server, TOPIC, SERVER);
    world.run_ms(10_000);
    (world, server)
}

/// Returns the first message of a handshake of a client that says it can be reached.
fn first_message(number: u16, server: PublicKey) -> Vec<u8> {
    let mut seed = [0xee; 32];
    seed[..2].copy_from_slice(&number.to_le_bytes());
    let payload = HandshakePayload {
        firewall: Firewall::Open,
        udx: Some(UdxStream { is_reusable_socket: false, id: STREAM, first_packet: 0 }),
        has_secret_stream: true,
        ..HandshakePayload::default()
    };
    let client = SecretKey::from_seed(&seed);
    seed[31] = 0;
    Initiator::begin(&client, server, &seed, &payload.encode()).expect("a key").1
}

/// Wraps a message as a relay would for a client at `peer`.
fn relayed(noise: Vec<u8>, server: PublicKey, to: Address, peer: Address) -> Vec<u8> {
    let envelope = HandshakeEnvelope { mode: Mode::FromRelay, noise, peer: Some(peer), relay: None };
    let request = Request {
        tid: 7,
        to,
        id: None,
        token: None,
        command: Command::PEER_HANDSHAKE,
        target: Some(peer_target(&server)),
        value: Some(envelope.encode()),
    };
    request.encode()
}

fn caught_at(world: &World, address: Address) -> Vec<Flight> {
    world.caught.iter().filter(|flight| flight.to.ip() == address.ip()).cloned().collect()
}

/// It names a victim, which gets nothing else.
#[test]
fn a_forged_handshake_makes_a_node_send_one_header_only() {
    let (mut world, server) = served(1, Wall::None);
    let (key, address) = (world.hosts[server].key, world.hosts[server].address);
    let (relay, victim) = (world.trap(), world.trap());
    world.inject(relay, address, &relayed(first_message(1, key), key, address, victim));
    world.run_ms(60_000);
    assert_eq!(caught_at(&world, relay).len(), 1, "the answer");
    let hits = caught_at(&world, victim);
    let payloads: BTreeSet<Vec<u8>> = hits
        .iter()
        .map(|hit| {
            let packet = Packet::decode(&hit.bytes).expect("a packet");
            assert_eq!((packet.header.stream, hit.to), (STREAM, victim));
            packet.payload.to_vec()
        })
        .filter(|payload| !payload.is_empty())
        .collect();
    assert_eq!(payloads.iter().map(Vec::len).collect::<Vec<_>>(), [59], "the header");
    let bytes: usize = hits.iter().map(|hit| hit.bytes.len()).sum();
    assert!(bytes <= 700, "{bytes} bytes in {} datagrams", hits.len());
    let talks = &world.hosts[server].talks;
    assert_eq!((talks.begun, talks.opened.len(), talks.talks.len()), (1, 0, 0));
    assert_eq!(talks.closed[0].2, Closed::Unproved);
}

#[test]
fn a_replayed_handshake_begins_nothing() {
    let (mut world, server) = served(2, Wall::None);
    let (key, address) = (world.hosts[server].key, world.hosts[server].address);
    let message = first_message(1, key);
    let (relay, client) = (world.trap(), world.trap());
    world.inject(relay, address, &relayed(message.clone(), key, address, client));
    world.run_ms(1_000);
    for pause in [1_000, 60_000, 30 * 60_000] {
        world.run_ms(pause);
        let victim = world.trap();
        world.inject(relay, address, &relayed(message.clone(), key, address, victim));
        world.run_ms(30_000);
        assert_eq!(caught_at(&world, victim).len(), 0, "after {pause} ms");
    }
    assert_eq!(world.hosts[server].talks.begun, 1);
    // The relay that asked twice in time got the same answer, and none later.
    let answers = caught_at(&world, relay);
    let noise = |answer: &Flight| {
        let Ok(Message::Request(request)) = Message::decode(&answer.bytes) else { panic!("a request") };
        HandshakeEnvelope::decode(&request.value.expect("an envelope")).expect("an envelope").noise
    };
    assert_eq!((answers.len(), noise(&answers[0])), (2, noise(&answers[1])));
}

#[test]
fn forged_answers_of_relays_do_not_spoil_an_attempt() {
    let (mut world, server) = served(3, Wall::Firewall);
    let key = world.hosts[server].key;
    let relays = world.hosts[server].node.dht().relay_addresses(&key);
    let nodes: Vec<usize> = (0..10).filter(|index| relays.contains(&world.hosts[*index].address)).collect();
    // All but one of those that reach it lie.
    assert_eq!(nodes.len(), 3, "{relays:?}");
    nodes[1..].iter().for_each(|node| world.hosts[*node].lies = true);
    for _ in 0..3 {
        let client = world.guest(Wall::None);
        world.join(client, TOPIC, CLIENT);
        let is_there = |world: &World| world.hosts[client].talks.peers() == [key];
        world.run_until(20_000, is_there).expect("they meet");
        assert_eq!(world.hosts[client].talks.failed, [], "at the first attempt");
    }
    assert!(world.spoilt > 0, "somebody has lied");
}

#[test]
fn a_flood_of_handshakes_takes_bounded_places() {
    let (mut world, server) = served(4, Wall::None);
    let (key, address) = (world.hosts[server].key, world.hosts[server].address);
    for wave in 0..8 {
        let relay = world.trap();
        for number in 0..64 {
            let victim = world.trap();
            let message = first_message(64 * wave + number, key);
            world.inject(relay, address, &relayed(message, key, address, victim));
        }
    }
    world.run_ms(1);
    let held = world.hosts[server].talks.talks.len();
    assert!((100..=256).contains(&held), "{held}");
    world.run_ms(15_000);
    assert_eq!(world.hosts[server].talks.talks.len(), 0);
    let client = world.guest(Wall::None);
    world.join(client, TOPIC, CLIENT);
    let is_there = |world: &World| world.hosts[client].talks.peers() == [key];
    world.run_until(20_000, is_there).expect("an honest client gets in");
}
