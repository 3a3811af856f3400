//! Whole nodes of Hyperswarm on a virtual network: delays, losses, duplicates, firewalls, partitions and hosts that die,
//! all from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::random::Dice;
use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::{Address, Message, Mode, Socket, Target};
use libvms_hyperswarm::hyperdht::envelope::{self, HandshakeEnvelope};
use libvms_hyperswarm::swarm::node::{Config, Event};
use libvms_hyperswarm::swarm::{self, Roles, SwarmNode, TopicKey};
use libvms_hyperswarm::{dht_rpc, udx};

use super::lookup::Lookup;
use super::router::{Ports, Router};
use super::talk::Talks;

const SERVER_PORT: u16 = 49_737;
/// Distance between the addresses of two hosts: each is in another network, so that IP quotas do not apply.
const NEIGHBOURHOOD: u32 = 0x0407;
const CLIENT_PORT: u16 = 50_000;
/// How long a firewall lets answers in.
const FIREWALL_MS: u64 = 30_000;
/// Turns of one host at one moment beyond which it spins.
const TURNS_MAX: usize = 10_000;
const UNIX: Duration = Duration::from_secs(1_700_000_000);

pub(crate) const CLIENT: Roles = Roles { server: false, client: true };
const ONLOOKER: Roles = Roles { server: false, client: false };
pub(crate) const SERVER: Roles = Roles { server: true, client: false };

/// The firewall between a host and the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wall {
    /// No firewall.
    None,
    /// Only senders get in that the same socket has sent to within [`FIREWALL_MS`].
    Firewall,
    /// The router with this number, which others may share.
    Router(usize),
}

pub(crate) struct Host {
    pub(crate) node: SwarmNode,
    pub(crate) key: PublicKey,
    pub(crate) address: Address,
    pub(crate) is_up: bool,
    pub(crate) side: usize,
    pub(crate) talks: Talks,
    /// A lookup that is being watched.
    pub(crate) lookup: Option<Lookup>,
    /// Whether it relays handshakes, but answers with nonsense in the server's name.
    pub(crate) lies: bool,
    /// Sockets for punching that are open.
    pub(crate) punching: BTreeSet<u32>,
    secret: SecretKey,
    wall: Wall,
    opened: BTreeMap<(Socket, Address), Instant>,
    timer: Instant,
    turns: (Instant, usize),
}

impl Host {
    fn address_of(&self, socket: Socket) -> Address {
        self.address.with_port(match socket {
            Socket::Server => SERVER_PORT,
            Socket::Client => CLIENT_PORT,
            Socket::Puncher(number) => puncher_port(number),
        })
    }

    fn socket_at(&self, port: u16) -> Option<Socket> {
        match port {
            SERVER_PORT => Some(Socket::Server),
            CLIENT_PORT => Some(Socket::Client),
            _ => {
                let number = self.punching.iter().find(|number| puncher_port(**number) == port);
                number.map(|number| Socket::Puncher(*number))
            }
        }
    }

    /// Returns the router, for datagrams that leave its network.
    fn router_to(&self, to: Address) -> Option<usize> {
        match self.wall {
            Wall::Router(router) if network(to) != network(self.address) => Some(router),
            _ => None,
        }
    }

    fn lets_in(&self, now: Instant, socket: Socket, from: Address) -> bool {
        let is_recent = |at: &Instant| *at + Duration::from_millis(FIREWALL_MS) >= now;
        self.wall != Wall::Firewall || self.opened.get(&(socket, from)).is_some_and(is_recent)
    }

    fn count_turn(&mut self, now: Instant) {
        let turns = if self.turns.0 == now { self.turns.1 + 1 } else { 0 };
        assert!(turns < TURNS_MAX, "a node that is due after its turn spins");
        self.turns = (now, turns);
    }
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    pub(crate) loss_percent: u64,
    pub(crate) duplicate_percent: u64,
    pub(crate) delay_ms: (u64, u64),
    pub(crate) is_split: bool,
    pub(crate) dice: Dice,
    /// Bytes that hosts write on each connection.
    pub(crate) talk_bytes: usize,
    /// Datagrams that arrived at addresses of the test, not of a node.
    pub(crate) caught: Vec<Flight>,
    /// Number of answers that hosts with [`Host::lies`] have changed.
    pub(crate) spoilt: usize,
    traps: BTreeSet<Ipv4Addr>,
    routers: Vec<Router>,
    by_ip: BTreeMap<Ipv4Addr, usize>,
    addresses: u32,
    flights: BTreeMap<(Instant, u64), Flight>,
    timers: BTreeSet<(Instant, usize)>,
    sequence: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Instant::from_millis(1_000_000),
            hosts: vec![],
            loss_percent: 0,
            duplicate_percent: 0,
            delay_ms: (5, 60),
            is_split: false,
            dice: Dice::new(seed),
            talk_bytes: 0,
            caught: vec![],
            spoilt: 0,
            traps: BTreeSet::new(),
            routers: vec![],
            by_ip: BTreeMap::new(),
            addresses: 0,
            flights: BTreeMap::new(),
            timers: BTreeSet::new(),
            sequence: 0,
        }
    }

    /// Creates a network of so many persistent nodes, at rest.
    pub(crate) fn of(seed: u64, nodes: usize) -> Self {
        let mut world = Self::new(seed);
        for _ in 0..nodes {
            world.persistent();
            world.run_ms(100);
        }
        world.run_ms(10_000);
        world
    }

    /// Adds a persistent node.
    pub(crate) fn persistent(&mut self) -> usize {
        let address = self.next_address();
        self.add(address, Mode::Persistent { address: Some(address) }, Wall::None, |_| {})
    }

    /// Adds an ephemeral peer, and gives it time to bootstrap.
    pub(crate) fn guest(&mut self, wall: Wall) -> usize {
        self.guest_with(wall, |_| {})
    }

    pub(crate) fn guest_with(&mut self, wall: Wall, change: impl Fn(&mut Config)) -> usize {
        let address = match wall {
            Wall::Router(router) => {
                let (router, host) = (router as u8, self.hosts.len() as u8);
                Address::new([192, 168, router, host].into(), SERVER_PORT)
            }
            Wall::None | Wall::Firewall => self.next_address(),
        };
        let index = self.add(address, Mode::Ephemeral, wall, change);
        self.run_ms(5_000);
        index
    }

    /// Adds a router that hosts can be behind.
    pub(crate) fn router(&mut self, ports: Ports) -> Wall {
        let ip = self.next_address().ip();
        self.routers.push(Router::new(ip, ports));
        Wall::Router(self.routers.len() - 1)
    }

    /// Kills a host, and starts it again with the same key at another address.
    pub(crate) fn restart(&mut self, index: usize) {
        self.stop(index);
        let address = self.next_address();
        let secret = self.hosts[index].secret.clone();
        let node = self.node(&secret, Mode::Ephemeral, |_| {});
        let talks = Talks::new(self.talk_bytes);
        let host = &mut self.hosts[index];
        self.by_ip.remove(&host.address.ip());
        self.by_ip.insert(address.ip(), index);
        (host.node, host.talks, host.address, host.is_up) = (node, talks, address, true);
        host.opened.clear();
        host.punching.clear();
        self.settle(index);
    }

    /// Kills a host without a word.
    pub(crate) fn stop(&mut self, index: usize) {
        self.hosts[index].is_up = false;
        self.timers.remove(&(self.hosts[index].timer, index));
    }

    /// Adds an address where the test receives.
    pub(crate) fn trap(&mut self) -> Address {
        let address = self.next_address();
        self.traps.insert(address.ip());
        address
    }

    /// Returns how many datagrams have been sent.
    pub(crate) fn datagrams(&self) -> u64 {
        self.sequence
    }

    fn next_address(&mut self) -> Address {
        self.addresses += 1;
        Address::new(Ipv4Addr::from(0x0101_0101 + NEIGHBOURHOOD * self.addresses), SERVER_PORT)
    }

    fn add(&mut self, address: Address, mode: Mode, wall: Wall, change: impl Fn(&mut Config)) -> usize {
        let index = self.hosts.len();
        let mut name = [7; 32];
        name[..8].copy_from_slice(&(index as u64).to_le_bytes());
        let secret = SecretKey::from_seed(&name);
        let local = matches!(wall, Wall::Router(_)).then_some(address);
        let node = self.node(&secret, mode, |config| {
            config.local_addresses = local.into_iter().collect();
            change(config);
        });
        self.hosts.push(Host {
            node,
            key: secret.public_key(),
            secret,
            address,
            is_up: true,
            side: index % 2,
            talks: Talks::new(self.talk_bytes),
            lookup: None,
            lies: false,
            punching: BTreeSet::new(),
            wall,
            opened: BTreeMap::new(),
            timer: self.now,
            turns: (self.now, 0),
        });
        self.by_ip.insert(address.ip(), index);
        self.settle(index);
        index
    }

    fn node(&mut self, key: &SecretKey, mode: Mode, change: impl Fn(&mut Config)) -> SwarmNode {
        // The first two nodes are the bootstrap nodes of all others.
        let bootstrap = self.hosts.iter().take(2).map(|host| host.address).collect();
        let mut config = Config {
            dht: dht_rpc::Config { mode, ..dht_rpc::Config::new(bootstrap, SERVER_PORT) },
            swarm: swarm::Config::default(),
            streams: udx::Config { keepalive: Some(Duration::from_secs(5)), ..udx::Config::default() },
            local_addresses: vec![],
        };
        change(&mut config);
        let seed = self.dice.array();
        SwarmNode::new(key.clone(), config, seed, self.now, UNIX + self.now.since_start())
    }

    /// Lets time pass.
    pub(crate) fn run_ms(&mut self, duration: u64) {
        let end = self.now + Duration::from_millis(duration);
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until `is_over`, at most `limit_ms`. Returns how many milliseconds it took.
    pub(crate) fn run_until(&mut self, limit_ms: u64, is_over: impl Fn(&Self) -> bool) -> Option<u64> {
        let (start, end) = (self.now, self.now + Duration::from_millis(limit_ms));
        while !is_over(self) {
            if !self.step(end) {
                return None;
            }
        }
        Some((self.now - start).as_millis() as u64)
    }

    fn step(&mut self, end: Instant) -> bool {
        let flight = self.flights.first_key_value().map_or(Instant::MAX, |((at, _), _)| *at);
        let timer = self.timers.first().map_or(Instant::MAX, |(at, _)| *at);
        let at = flight.min(timer);
        if at > end {
            return false;
        }
        self.now = self.now.max(at);
        if flight <= timer {
            let (_, flight) = self.flights.pop_first().expect("looked at");
            self.deliver(flight);
        } else {
            let (_, index) = self.timers.pop_first().expect("looked at");
            self.hosts[index].count_turn(self.now);
            self.hosts[index].node.handle_timeout(self.now);
            self.settle(index);
        }
        true
    }

    fn deliver(&mut self, flight: Flight) {
        let Flight { from, to, bytes } = &flight;
        if self.traps.contains(&to.ip()) {
            self.caught.push(flight);
            return;
        }
        let Some((index, socket)) = self.destination(*from, *to) else { return };
        let host = &mut self.hosts[index];
        if host.is_up && host.lets_in(self.now, socket, *from) {
            if let Some(lookup) = &mut host.lookup {
                lookup.received(*from, bytes);
            }
            host.node.handle_datagram(self.now, socket, SocketAddr::from(*from), bytes);
            self.settle(index);
        }
    }

    /// Returns the socket at which a datagram arrives.
    fn destination(&self, from: Address, to: Address) -> Option<(usize, Socket)> {
        if let Some(router) = self.routers.iter().find(|router| router.ip == to.ip()) {
            return router.lets_in(self.now, to.port(), from);
        }
        let index = *self.by_ip.get(&to.ip())?;
        // A private network cannot be reached from elsewhere.
        let is_near = !to.is_bogon() || network(to) == network(from);
        Some((index, self.hosts[index].socket_at(to.port())?)).filter(|_| is_near)
    }

    /// Delivers a datagram that no node has sent.
    pub(crate) fn inject(&mut self, from: Address, to: Address, bytes: &[u8]) {
        self.deliver(Flight { from, to, bytes: bytes.to_vec() });
    }

    /// Calls a node, and performs its actions.
    pub(crate) fn with(&mut self, index: usize, act: impl FnOnce(&mut SwarmNode, Instant)) {
        if self.hosts[index].is_up {
            act(&mut self.hosts[index].node, self.now);
            self.settle(index);
        }
    }

    pub(crate) fn join(&mut self, index: usize, topic: TopicKey, roles: Roles) {
        self.with(index, |node, now| node.join(now, topic, roles));
    }

    pub(crate) fn shut_down(&mut self, index: usize) {
        self.with(index, |node, now| node.shut_down(now));
        let is_over = |world: &Self| world.hosts[index].talks.is_shut_down;
        self.run_until(60_000, is_over).expect("it ends");
        self.stop(index);
    }

    /// Looks a topic up from a host that connects to no peer. Returns the lookup.
    pub(crate) fn look_up(&mut self, index: usize, topic: TopicKey) -> Lookup {
        self.hosts[index].lookup = Some(Lookup::new(Target(topic)));
        self.hosts[index].talks.refreshed.clear();
        self.join(index, topic, ONLOOKER);
        let is_over =
            |world: &Self| world.hosts[index].talks.refreshed.iter().any(|(done, _)| *done == topic);
        self.run_until(60_000, is_over).expect("a lookup ends");
        self.with(index, |node, now| node.leave(now, &topic));
        self.hosts[index].lookup.take().expect("it was put there")
    }

    fn settle(&mut self, index: usize) {
        let mut bytes = vec![];
        loop {
            let host = &mut self.hosts[index];
            let mut is_idle = true;
            while let Some(event) = host.node.poll_event(self.now) {
                match event {
                    Event::OpenSocket(number) => assert!(host.punching.insert(number), "it is open"),
                    Event::CloseSocket(number) => assert!(host.punching.remove(&number), "it is not open"),
                    _ => {}
                }
                host.talks.take(self.now, &mut host.node, event);
                is_idle = false;
            }
            while let Some(transmit) = self.hosts[index].node.poll_transmit(self.now, &mut bytes) {
                let to = Address::try_from(transmit.to).expect("an address of version 4");
                self.send(index, transmit.socket, to, bytes.clone(), transmit.ttl);
                is_idle = false;
            }
            if is_idle {
                break;
            }
        }
        let host = &mut self.hosts[index];
        self.timers.remove(&(host.timer, index));
        host.timer = host.node.poll_timeout().expect("a node never rests");
        self.timers.insert((host.timer, index));
    }

    fn send(&mut self, index: usize, socket: Socket, to: Address, mut bytes: Vec<u8>, ttl: Option<u8>) {
        let host = &mut self.hosts[index];
        if host.wall == Wall::Firewall {
            host.opened.insert((socket, to), self.now);
        }
        if let Some(lookup) = &mut host.lookup {
            lookup.sent(&bytes);
        }
        if host.lies {
            self.spoilt += usize::from(spoil_handshake(&mut bytes));
        }
        let from = match host.router_to(to) {
            Some(router) => self.routers[router].lets_out(self.now, index, socket, to),
            None => host.address_of(socket),
        };
        // A datagram with a low TTL opens the first router and no other; and no router leads one back to its own
        // address.
        if ttl.is_some() || from.ip() == to.ip() {
            return;
        }
        let is_apart =
            self.by_ip.get(&to.ip()).is_some_and(|other| self.hosts[*other].side != self.hosts[index].side);
        if self.is_split && is_apart {
            return;
        }
        let copies = 1 + u32::from(self.dice.below(100) < self.duplicate_percent);
        for _ in 0..copies {
            let (shortest, longest) = self.delay_ms;
            let delay = Duration::from_millis(shortest + self.dice.below(longest - shortest + 1));
            if self.dice.below(100) >= self.loss_percent {
                self.sequence += 1;
                let flight = Flight { from, to, bytes: bytes.clone() };
                self.flights.insert((self.now + delay, self.sequence), flight);
            }
        }
    }
}

fn puncher_port(number: u32) -> u16 {
    51_000 + (number % 10_000) as u16
}

fn network(address: Address) -> [u8; 3] {
    let [first, second, third, _] = address.ip().octets();
    [first, second, third]
}

/// Changes the answer of a server that is being relayed. Returns whether it was one.
fn spoil_handshake(bytes: &mut Vec<u8>) -> bool {
    let Ok(Message::Response(mut response)) = Message::decode(bytes) else { return false };
    let Some(value) = &response.value else { return false };
    let Ok(mut envelope) = HandshakeEnvelope::decode(value) else { return false };
    let is_answer = envelope.mode == envelope::Mode::Reply;
    if is_answer {
        envelope.noise.iter_mut().for_each(|byte| *byte ^= 0x55);
        response.value = Some(envelope.encode());
        *bytes = response.encode();
    }
    is_answer
}
