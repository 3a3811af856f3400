//! Whole nodes on a simulated network: peers announce themselves, find each other and shake hands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::node::{Config, Mode};
use libvms_hyperswarm::dht_rpc::{Address, Command, Message, Socket, Target};
use libvms_hyperswarm::hyperdht::client::{DialError, Dialed, Way};
use libvms_hyperswarm::hyperdht::command::Firewall;
use libvms_hyperswarm::hyperdht::holepunch::puncher::{PunchError, Punched};
use libvms_hyperswarm::hyperdht::node::{AcceptPolicy, Action, DialId, HyperDht, PunchId};
use libvms_hyperswarm::hyperdht::record::peer_target;
use libvms_hyperswarm::hyperdht::server::{Accepted, Approach};

use super::codecs::address;

const DELAY: Duration = Duration::from_millis(20);
const UNIX: u64 = 1_700_000_000_000;

/// A node with two sockets, and its events.
struct Machine {
    dht: HyperDht,
    server: Address,
    client: Address,
    is_down: bool,
    firewall: Firewall,
    /// The mappings of its firewall: from which socket to which address, and through which port.
    openings: BTreeMap<(Socket, Address), u16>,
    /// Sockets for punching.
    open: BTreeSet<u32>,
    punched: BTreeMap<PunchId, Result<Punched, PunchError>>,
    /// Number of probes that it sent.
    probes: usize,
    /// Number of requests it sent for nodes that know a peer.
    searched: usize,
    accepted: Vec<Accepted>,
    dialed: BTreeMap<DialId, Result<Dialed, DialError>>,
    found: BTreeSet<PublicKey>,
    relays: Vec<Address>,
    stopped: usize,
    done: usize,
}

impl Machine {
    fn own_address(&self, socket: Socket) -> Address {
        match socket {
            Socket::Server => self.server,
            Socket::Client => self.client,
            Socket::Puncher(number) => self.server.with_port(2_000 + (number % 16_384) as u16),
        }
    }

    /// Returns the source address that the rest of the world sees.
    fn lets_out(&mut self, socket: Socket, to: Address) -> Address {
        let own = self.own_address(socket);
        let next = 20_000 + self.openings.len() as u16;
        let port = self.openings.entry((socket, to)).or_insert(match self.firewall {
            Firewall::Random => next,
            _ => own.port(),
        });
        own.with_port(*port)
    }

    /// Returns the socket at which a datagram arrives: a firewall lets in only answers.
    fn lets_in(&self, from: Address, port: u16) -> Option<Socket> {
        if self.firewall == Firewall::Open {
            return [Socket::Server, Socket::Client]
                .into_iter()
                .find(|socket| self.own_address(*socket).port() == port);
        }
        let is_asked = |((_, to), opened): &(&(Socket, Address), &u16)| *to == from && **opened == port;
        self.openings.iter().find(is_asked).map(|((socket, _), _)| *socket)
    }
}

/// Machines and the datagrams between them. Everything is determined by the test.
struct Network {
    now: Instant,
    machines: Vec<Machine>,
    /// By time of arrival and order of sending: from, to, bytes.
    flying: BTreeMap<(Instant, u64), (Address, Address, Vec<u8>)>,
    sent: u64,
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

impl Network {
    /// Creates a network of so many persistent nodes.
    fn new(nodes: u8) -> Self {
        let mut network = Self { now: Instant::START, machines: vec![], flying: BTreeMap::new(), sent: 0 };
        for _ in 0..nodes {
            let own = network.next_address();
            network.add(Mode::Persistent { address: Some(own) }, Firewall::Open);
            network.run(200);
        }
        network.run(2_000);
        network
    }

    fn next_address(&self) -> Address {
        address(&format!("20.0.{}.1:49737", self.machines.len()))
    }

    fn add(&mut self, mode: Mode, firewall: Firewall) -> usize {
        let server = self.next_address();
        let bootstrap = self.machines.iter().map(|machine| machine.server).take(1).collect();
        let config = Config { mode, ..Config::new(bootstrap, server.port()) };
        let number = self.machines.len();
        let mut dht = HyperDht::new(config, [number as u8 + 1; 32], self.now, UNIX);
        dht.bootstrap(self.now);
        self.machines.push(Machine {
            dht,
            server,
            client: server.with_port(1_000),
            is_down: false,
            firewall,
            openings: BTreeMap::new(),
            open: BTreeSet::new(),
            punched: BTreeMap::new(),
            probes: 0,
            searched: 0,
            accepted: vec![],
            dialed: BTreeMap::new(),
            found: BTreeSet::new(),
            relays: vec![],
            stopped: 0,
            done: 0,
        });
        number
    }

    /// Adds an ephemeral node behind a firewall: it asks, and is in no table.
    fn guest(&mut self) -> usize {
        self.guest_behind(Firewall::Consistent)
    }

    fn guest_behind(&mut self, firewall: Firewall) -> usize {
        let number = self.add(Mode::Ephemeral, firewall);
        self.run(3_000);
        number
    }

    fn run(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        loop {
            for number in 0..self.machines.len() {
                self.collect(number);
            }
            let arrival = self.flying.keys().next().map(|(at, _)| *at);
            let timeout = self.machines.iter().filter_map(|machine| machine.dht.poll_timeout()).min();
            let next = arrival.into_iter().chain(timeout).min().unwrap_or(end).max(self.now);
            if next > end {
                break;
            }
            self.now = next;
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= next) {
                let (from, to, bytes) = entry.remove();
                self.deliver(from, to, &bytes);
            }
            for machine in &mut self.machines {
                if machine.dht.poll_timeout().is_some_and(|at| at <= next) {
                    machine.dht.handle_timeout(next);
                }
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, from: Address, to: Address, bytes: &[u8]) {
        let machine = self.machines.iter_mut().find(|machine| machine.server.ip() == to.ip());
        let Some(machine) = machine.filter(|machine| !machine.is_down) else { return };
        match (machine.lets_in(from, to.port()), bytes) {
            (Some(Socket::Puncher(number)), [_]) => machine.dht.handle_probe(self.now, number, from),
            (Some(_), [_]) | (None, _) => {}
            (Some(socket), _) => {
                machine.dht.handle_datagram(self.now, socket, from, bytes).expect("only the DHT speaks here");
            }
        }
    }

    fn collect(&mut self, number: usize) {
        let machine = &mut self.machines[number];
        while let Some(event) = machine.dht.poll_action() {
            match event {
                Action::Send { socket, to, bytes, ttl } => {
                    if let Socket::Puncher(number) = socket {
                        assert!(machine.open.contains(&number), "a socket that is not open");
                    }
                    machine.probes += usize::from(bytes.len() == 1);
                    machine.searched += usize::from(is_search(&bytes));
                    let from = machine.lets_out(socket, to);
                    self.sent += 1;
                    // With a low TTL it only opens the sender's own firewall.
                    if ttl.is_none() {
                        self.flying.insert((self.now + DELAY, self.sent), (from, to, bytes));
                    }
                }
                Action::Accepted { accepted, .. } => machine.accepted.push(accepted),
                Action::OpenSocket(number) => assert!(machine.open.insert(number)),
                Action::CloseSocket(number) => {
                    assert!(machine.open.remove(&number));
                    machine.openings.retain(|(socket, _), _| *socket != Socket::Puncher(number));
                }
                Action::Punched { punch, result } => _ = machine.punched.insert(punch, result),
                Action::Dialed { dial, result } => _ = machine.dialed.insert(dial, result),
                Action::Announced { relays, .. } => machine.relays = relays,
                Action::Found { reply, .. } => {
                    machine.found.extend(reply.peers.into_iter().map(|peer| peer.public_key));
                }
                Action::Stopped { .. } => machine.stopped += 1,
                Action::QueryDone { result, .. } => {
                    result.expect("the query succeeds");
                    machine.done += 1;
                }
                Action::Bootstrapped { .. } | Action::StatusChanged(_) => {}
            }
        }
    }

    fn listen(&mut self, number: usize, key: &SecretKey, welcome: AcceptPolicy) {
        self.machines[number].dht.listen(self.now, key, welcome);
        self.run(3_000);
    }

    fn dial(&mut self, number: usize, local: &SecretKey, remote: &SecretKey, relays: &[Address]) -> DialId {
        let remote = remote.public_key();
        let dialed = self.machines[number].dht.dial(self.now, local, remote, relays);
        dialed.expect("a key").0
    }

    /// Returns the result of an attempt, after at most 20 s.
    fn result(&mut self, number: usize, dial: DialId) -> Result<Dialed, DialError> {
        for _ in 0..200 {
            if let Some(result) = self.machines[number].dialed.remove(&dial) {
                return result;
            }
            self.run(100);
        }
        panic!("the attempt goes on for ever");
    }
}

fn is_search(bytes: &[u8]) -> bool {
    matches!(Message::decode(bytes), Ok(Message::Request(request)) if request.command == Command::FIND_PEER)
}

/// Returns how long an attempt takes, and how many nodes are asked for the peer.
fn cost(network: &mut Network, client: usize) -> (Duration, usize) {
    let (started, searched) = (network.now, network.machines[client].searched);
    let dial = network.dial(client, &key(101), &key(100), &[]);
    while network.machines[client].dialed.is_empty() {
        network.run(10);
        assert!(network.now < started + Duration::from_millis(20_000), "it goes on for ever");
    }
    network.machines[client].dialed.remove(&dial).expect("over").expect("the peer answers");
    (network.now - started, network.machines[client].searched - searched)
}

/// Both ends agree on keys and streams.
fn assert_match(dialed: &Dialed, accepted: &Accepted) {
    assert_eq!((dialed.local_stream, dialed.remote_stream), (accepted.remote_stream, accepted.local_stream));
    assert_eq!((dialed.keys.transmit, dialed.keys.receive), (accepted.keys.receive, accepted.keys.transmit));
    assert_eq!(dialed.keys.hash, accepted.keys.hash);
}

#[test]
fn two_firewalled_peers_shake_hands_through_relays() {
    let mut network = Network::new(12);
    let (server, client) = (network.guest(), network.guest());
    network.listen(server, &key(100), AcceptPolicy::Everybody);
    assert_eq!(network.machines[server].relays.len(), 3);
    let dial = network.dial(client, &key(101), &key(100), &[]);
    let started = network.now;
    let dialed = network.result(client, dial).expect("the peer answers");
    assert!(network.now - started < Duration::from_millis(1_000));
    assert_eq!(dialed.keys.remote, key(100).public_key());
    let Way::Punch { relays, .. } = &dialed.way else { panic!("{:?}", dialed.way) };
    assert_eq!(relays.relays.len(), 3);
    assert!(relays.relays.iter().all(|route| route.peer == network.machines[server].client));
    // The server's answer left from a socket of its own: that is where the hole will be.
    assert_ne!(dialed.server, network.machines[server].client);
    network.run(2_000);
    // Two relays pass the same message on: the server answers twice and counts once.
    let [accepted] = network.machines[server].accepted.as_slice() else { panic!("one connection") };
    assert_eq!((accepted.approach, accepted.client), (Approach::Await, network.machines[client].client));
    assert_eq!(accepted.keys.remote, key(101).public_key());
    assert_match(&dialed, accepted);
}

/// After all relays have changed, a connection is hardly slower than the first.
#[test]
fn a_second_connection_needs_no_lookup() {
    let mut network = Network::new(16);
    let (server, client) = (network.guest(), network.guest());
    network.listen(server, &key(100), AcceptPolicy::Everybody);
    let (first, searched) = cost(&mut network, client);
    assert!(searched > 0);
    let (second, searched) = cost(&mut network, client);
    assert_eq!(searched, 0);
    // To a relay, to the server, and back.
    assert!(second <= 4 * DELAY + Duration::from_millis(10) && second < first, "{second:?} and {first:?}");

    // The relays of the server die, among them the one that the client remembers.
    let relays = network.machines[server].relays.clone();
    for machine in &mut network.machines {
        machine.is_down = relays.contains(&machine.server);
    }
    network.run(30_000);
    assert_ne!(network.machines[server].relays, relays);
    let (third, searched) = cost(&mut network, client);
    assert!(searched > 0 && third < Duration::from_millis(1_500), "{third:?}");
    let (fourth, searched) = cost(&mut network, client);
    assert!(searched == 0 && fourth <= 4 * DELAY + Duration::from_millis(10), "{fourth:?}");
}

#[test]
fn a_server_that_can_be_reached_is_connected_to_directly() {
    let mut network = Network::new(8);
    let client = network.guest();
    network.listen(3, &key(100), AcceptPolicy::Everybody);
    let dial = network.dial(client, &key(101), &key(100), &[]);
    let dialed = network.result(client, dial).expect("the peer answers");
    assert_eq!(dialed.way, Way::Connect(Socket::Client, network.machines[3].server));
    assert_match(&dialed, &network.machines[3].accepted[0]);
    // Asked by its own address, it answers without any relay, and sends its header at once.
    let own = network.machines[3].server;
    let dial = network.dial(client, &key(102), &key(100), &[own]);
    let dialed = network.result(client, dial).expect("the peer answers");
    assert_eq!((dialed.way.clone(), dialed.server), (Way::Connect(Socket::Client, own), own));
    let accepted =
        network.machines[3].accepted.iter().find(|accepted| accepted.keys.hash == dialed.keys.hash);
    assert_match(&dialed, accepted.expect("the server heard of it"));
}

#[test]
fn a_reachable_ephemeral_server_needs_no_relay() {
    let mut network = Network::new(8);
    let (server, client) = (network.guest_behind(Firewall::Open), network.guest());
    network.listen(server, &key(100), AcceptPolicy::Everybody);
    let dial = network.dial(client, &key(101), &key(100), &[]);
    let dialed = network.result(client, dial).expect("the peer answers");
    assert_eq!(dialed.way, Way::Connect(Socket::Client, network.machines[server].server));
}

#[test]
fn a_client_that_can_be_reached_waits_for_the_server() {
    let mut network = Network::new(8);
    let server = network.guest();
    network.listen(server, &key(100), AcceptPolicy::Everybody);
    let dial = network.dial(5, &key(101), &key(100), &[]);
    let dialed = network.result(5, dial).expect("the peer answers");
    assert_eq!(dialed.way, Way::Await);
    let accepted = &network.machines[server].accepted[0];
    assert_eq!(accepted.approach, Approach::Dial(network.machines[5].server));
    assert_match(&dialed, accepted);
}

#[test]
fn peers_of_a_topic_find_each_other_until_they_leave() {
    let mut network = Network::new(12);
    let topic = Target([0x77; 32]);
    let (first, second) = (network.guest(), network.guest());
    network.listen(first, &key(100), AcceptPolicy::Everybody);
    let relays = network.machines[first].relays.clone();
    let now = network.now;
    network.machines[first].dht.announce(now, topic, relays, &key(100));
    network.run(3_000);
    assert_eq!(network.machines[first].done, 1);
    let now = network.now;
    network.machines[second].dht.lookup(now, topic);
    network.run(3_000);
    assert_eq!(network.machines[second].found, BTreeSet::from([key(100).public_key()]));

    let now = network.now;
    network.machines[first].dht.unannounce(now, topic, &key(100));
    network.run(3_000);
    network.machines[second].found.clear();
    let now = network.now;
    network.machines[second].dht.lookup(now, topic);
    network.run(3_000);
    assert!(network.machines[second].found.is_empty());
}

/// A peer that is gone does not answer.
#[test]
fn an_unknown_peer_is_not_found() {
    let mut network = Network::new(8);
    let (server, client) = (network.guest(), network.guest());
    let dial = network.dial(client, &key(101), &key(99), &[]);
    assert_eq!(network.result(client, dial), Err(DialError::NotFound));
    network.listen(server, &key(100), AcceptPolicy::Everybody);
    network.machines[server].is_down = true;
    let dial = network.dial(client, &key(101), &key(100), &[]);
    assert_eq!(network.result(client, dial), Err(DialError::NoAnswer));
}

#[test]
fn a_server_that_stops_is_forgotten_by_its_relays() {
    let mut network = Network::new(8);
    let (server, client) = (network.guest(), network.guest());
    network.listen(server, &key(100), AcceptPolicy::Everybody);
    let now = network.now;
    network.machines[server].dht.stop(now, &key(100).public_key());
    network.run(3_000);
    assert_eq!(network.machines[server].stopped, 1);
    let dial = network.dial(client, &key(101), &key(100), &[]);
    assert_eq!(network.result(client, dial), Err(DialError::NotFound));
}

#[test]
fn a_refused_peer_does_not_learn_that_there_is_a_server() {
    let mut network = Network::new(8);
    let (server, client) = (network.guest(), network.guest());
    network.listen(server, &key(100), AcceptPolicy::AllBut(BTreeSet::from([key(66).public_key()])));
    for (local, is_welcome) in [(key(66), false), (key(100), false), (key(101), true)] {
        let dial = network.dial(client, &local, &key(100), &[]);
        assert_eq!(network.result(client, dial).is_ok(), is_welcome, "{:?}", local.public_key());
    }
    assert_eq!(network.machines[server].accepted.len(), 1);
}

#[test]
fn a_server_finds_other_relays_when_its_own_are_lost() {
    let mut network = Network::new(12);
    let (server, client) = (network.guest(), network.guest());
    network.listen(server, &key(100), AcceptPolicy::Everybody);
    let before = network.machines[server].relays.clone();
    for machine in &mut network.machines {
        machine.is_down = before.contains(&machine.server);
    }
    network.run(30_000);
    let after = network.machines[server].relays.clone();
    assert_eq!(after.len(), 3);
    assert!(after.iter().all(|relay| !before.contains(relay)), "{before:?} {after:?}");
    let dial = network.dial(client, &key(101), &key(100), &[]);
    network.result(client, dial).expect("reached through the new ones");
    // The network is quiet: three pings and their answers every three seconds.
    let sent = network.sent;
    network.run(30_000);
    assert!(network.sent - sent < 600, "{}", network.sent - sent);
}

#[test]
fn a_server_is_found_for_hours() {
    let mut network = Network::new(8);
    let (server, client) = (network.guest(), network.guest());
    network.listen(server, &key(100), AcceptPolicy::Everybody);
    for _ in 0..4 {
        network.run(30 * 60_000);
        let dial = network.dial(client, &key(101), &key(100), &[]);
        network.result(client, dial).expect("the peer answers");
    }
    assert_eq!(network.machines[server].accepted.len(), 4);
    assert_eq!(peer_target(&key(100).public_key()).0.len(), 32);
}

/// Lets two peers behind such firewalls shake hands and punch. Returns the result, and how long it took.
fn punch(here: Firewall, there: Firewall) -> (Network, Result<Punched, PunchError>, u64) {
    let mut network = Network::new(12);
    let (server, client) = (network.guest_behind(there), network.guest_behind(here));
    assert_eq!((server, client), (12, 13));
    network.listen(server, &key(100), AcceptPolicy::Everybody);
    let dial = network.dial(client, &key(101), &key(100), &[]);
    let dialed = network.result(client, dial).expect("the peer answers");
    let (started, now) = (network.now, network.now);
    let punch = network.machines[client].dht.punch(now, &dialed).expect("there is a hole to be punched");
    for _ in 0..1_000 {
        network.run(50);
        if let Some(result) = network.machines[client].punched.remove(&punch) {
            let took = (network.now - started).as_millis() as u64;
            return (network, result, took);
        }
    }
    panic!("it goes on for ever")
}

/// Returns whether datagrams through the hole arrive, in both directions.
fn assert_open(network: &mut Network, hole: Punched) {
    let seen = network.machines[13].lets_out(Socket::Puncher(hole.socket), hole.remote);
    let server = &mut network.machines[12];
    let socket = server.lets_in(seen, hole.remote.port()).expect("the hole is open to the client");
    assert_eq!(server.lets_out(socket, seen), hole.remote);
    assert_eq!(network.machines[13].lets_in(hole.remote, seen.port()), Some(Socket::Puncher(hole.socket)));
    assert_eq!(network.machines[13].open, BTreeSet::from([hole.socket]));
    // The server keeps the socket of the stream and closes the others.
    let Socket::Puncher(kept) = socket else { panic!("{socket:?}") };
    let (now, handshake) = (network.now, network.machines[12].accepted[0].handshake);
    network.machines[12].dht.settle_accepted(now, &key(100).public_key(), handshake, Some(kept));
    network.run(1);
    assert_eq!(network.machines[12].open, BTreeSet::from([kept]));
}

#[test]
fn two_consistent_firewalls_are_open_after_one_round() {
    let (mut network, result, took) = punch(Firewall::Consistent, Firewall::Consistent);
    assert_open(&mut network, result.expect("a hole"));
    assert!(took <= 500, "{took}");
    let probes: usize = network.machines.iter().map(|machine| machine.probes).sum();
    assert!(probes <= 6, "{probes}");
}

#[test]
fn a_random_client_gets_through_to_a_consistent_server() {
    let (mut network, result, took) = punch(Firewall::Random, Firewall::Consistent);
    assert_open(&mut network, result.expect("a hole"));
    assert!(took <= 45_000, "{took}");
}

#[test]
fn a_consistent_client_gets_through_to_a_random_server() {
    let (mut network, result, took) = punch(Firewall::Consistent, Firewall::Random);
    assert_open(&mut network, result.expect("a hole"));
    assert!(took <= 45_000, "{took}");
}

#[test]
fn two_random_firewalls_fail_at_once_and_close_all_sockets() {
    let (mut network, result, took) = punch(Firewall::Random, Firewall::Random);
    let (here, there) = (Firewall::Random, Firewall::Random);
    assert_eq!(result, Err(PunchError::Hopeless { here, there }));
    assert!(took < 10_000, "{took}");
    network.run(60_000);
    assert!(network.machines.iter().all(|machine| machine.open.is_empty()));
    let probes: usize = network.machines.iter().map(|machine| machine.probes).sum();
    assert!(probes <= 4, "{probes}");
}
