//! Nodes in a virtual network under one seed: delays, losses, firewalls, partitions, and nodes that stop.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use libvms_hypercore::random::Dice;
use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::{
    Action, Address, Config, Message, Mode, Node, NodeId, QueryId, QueryOutcome, QuerySpec, Reply, Target,
};

pub(crate) type Socket = libvms_hyperswarm::dht_rpc::Socket;

const SERVER_PORT: u16 = 49_737;
/// Distance between the addresses of two hosts: each is in another network, so that IP quotas do not apply.
const NEIGHBOURHOOD: u32 = 0x0407;

/// The firewall between a host and the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wall {
    /// No firewall.
    None,
    /// Only senders get in that the same socket has sent to.
    Firewall,
}

pub(crate) struct Host {
    pub(crate) node: Node,
    pub(crate) address: Address,
    pub(crate) is_up: bool,
    pub(crate) side: usize,
    /// The actions of the node other than datagrams.
    pub(crate) events: Vec<Action>,
    wall: Wall,
    /// The addresses that each socket has sent to.
    opened: BTreeSet<(Socket, Address)>,
    timer: Instant,
    pub(crate) sent: usize,
    /// Number of store requests.
    pub(crate) stored: usize,
    /// For each known node, the number of requests in a row that led to it.
    hops: BTreeMap<Address, usize>,
}

struct Flight {
    from: Address,
    to: Address,
    bytes: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    pub(crate) loss_percent: u64,
    pub(crate) delay_ms: (u64, u64),
    pub(crate) is_split: bool,
    pub(crate) dice: Dice,
    flights: BTreeMap<(Instant, u64), Flight>,
    timers: BTreeSet<(Instant, usize)>,
    routes: BTreeMap<Address, (usize, Socket)>,
    sequence: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Instant::from_millis(1_000_000),
            hosts: Vec::new(),
            loss_percent: 0,
            delay_ms: (5, 60),
            is_split: false,
            dice: Dice::new(seed),
            flights: BTreeMap::new(),
            timers: BTreeSet::new(),
            routes: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// Returns the address of the next host.
    pub(crate) fn next_address(&self) -> Address {
        Address::new(Ipv4Addr::from(0x0101_0101 + NEIGHBOURHOOD * self.hosts.len() as u32), SERVER_PORT)
    }

    /// Adds a persistent node that knows its address and bootstraps.
    pub(crate) fn join(&mut self, bootstrap: &[Address]) -> usize {
        let mode = Mode::Persistent { address: Some(self.next_address()) };
        self.join_as(mode, Wall::None, bootstrap, |_| {})
    }

    pub(crate) fn join_as(
        &mut self,
        mode: Mode,
        wall: Wall,
        bootstrap: &[Address],
        change: impl Fn(&mut Config),
    ) -> usize {
        let (index, address) = (self.hosts.len(), self.next_address());
        let mut config = Config::new(bootstrap.to_vec(), SERVER_PORT);
        config.mode = mode;
        config.served = 0..11;
        change(&mut config);
        let seed = self.dice.array();
        let mut node = Node::new(config, seed, self.now);
        node.bootstrap(self.now);
        self.routes.insert(address, (index, Socket::Server));
        self.routes.insert(address.with_port(50_000), (index, Socket::Client));
        self.hosts.push(Host {
            node,
            address,
            is_up: true,
            side: index % 2,
            events: Vec::new(),
            wall,
            opened: BTreeSet::new(),
            timer: Instant::START,
            sent: 0,
            stored: 0,
            hops: BTreeMap::new(),
        });
        self.settle(index);
        index
    }

    /// Lets a stopped host continue, as after a sleep.
    pub(crate) fn wake(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        (host.is_up, host.timer) = (true, self.now);
        self.timers.insert((self.now, index));
    }

    /// Stops a host, for ever or as for a sleep.
    pub(crate) fn stop(&mut self, index: usize) {
        self.hosts[index].is_up = false;
        self.timers.remove(&(self.hosts[index].timer, index));
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, duration_ms: u64) {
        let end = self.now + Duration::from_millis(duration_ms);
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until `is_over`, at most `limit_ms`. Returns how long it took.
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
        let flight = self.flights.first_key_value().map(|((at, _), _)| *at).unwrap_or(Instant::MAX);
        let timer = self.timers.first().map(|(at, _)| *at).unwrap_or(Instant::MAX);
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
            self.hosts[index].node.handle_timeout(self.now);
            self.settle(index);
            assert!(self.hosts[index].timer > self.now, "a node that is due after its turn would spin");
        }
        true
    }

    fn deliver(&mut self, flight: Flight) {
        let Flight { from, to, bytes } = flight;
        let Some((index, socket)) = self.routes.get(&to).copied() else { return };
        let host = &mut self.hosts[index];
        let is_walled = host.wall == Wall::Firewall && !host.opened.contains(&(socket, from));
        if host.is_up && !is_walled {
            host.note_hops(from, &bytes);
            host.node
                .handle_datagram(self.now, socket, from, &bytes)
                .expect("nodes write no broken datagrams");
            self.settle(index);
        }
    }

    /// Performs the actions of a node.
    pub(crate) fn settle(&mut self, index: usize) {
        while let Some(action) = self.hosts[index].node.poll_action() {
            match action {
                Action::Send { socket, to, bytes, .. } => self.send(index, socket, to, bytes),
                Action::Request(incoming) => {
                    // A request with a token is a store request.
                    let is_commit = incoming.token.is_some();
                    self.hosts[index].stored += usize::from(is_commit);
                    let reply = if is_commit { Reply::acknowledged() } else { Reply::found(None) };
                    self.hosts[index].node.reply(self.now, incoming.handle, reply);
                }
                event => self.hosts[index].events.push(event),
            }
        }
        let host = &mut self.hosts[index];
        self.timers.remove(&(host.timer, index));
        host.timer = host.node.poll_timeout().expect("a node never rests");
        self.timers.insert((host.timer, index));
    }

    fn send(&mut self, index: usize, socket: Socket, to: Address, bytes: Vec<u8>) {
        let host = &mut self.hosts[index];
        host.sent += 1;
        host.opened.insert((socket, to));
        let from = if socket == Socket::Server { host.address } else { host.address.with_port(50_000) };
        let is_apart =
            self.routes.get(&to).is_some_and(|(other, _)| self.hosts[*other].side != self.hosts[index].side);
        let is_lost = self.dice.below(100) < self.loss_percent;
        let (shortest, longest) = self.delay_ms;
        let delay = shortest + self.dice.below(longest - shortest + 1);
        if is_lost || self.is_split && is_apart {
            return;
        }
        self.sequence += 1;
        self.flights
            .insert((self.now + Duration::from_millis(delay), self.sequence), Flight { from, to, bytes });
    }

    /// Starts a query at a host.
    pub(crate) fn query(&mut self, index: usize, spec: QuerySpec) -> QueryId {
        self.hosts[index].hops.clear();
        let query = self.hosts[index].node.start_query(self.now, spec);
        self.settle(index);
        query
    }

    /// Runs a query to its end. Returns its result, how long it took, and how many datagrams the host sent meanwhile.
    pub(crate) fn lookup(&mut self, index: usize, spec: QuerySpec) -> (QueryOutcome, u64, usize) {
        let sent = self.hosts[index].sent;
        let query = self.query(index, spec);
        let took = self.run_until(60_000, |world| world.hosts[index].finished(query).is_some());
        let host = &self.hosts[index];
        let outcome = host.finished(query).expect("the query ends").clone();
        (outcome, took.expect("the query ends"), host.sent - sent)
    }

    /// Returns the number of requests in a row that led to a node.
    pub(crate) fn hops_to(&self, index: usize, node: Address) -> usize {
        self.hosts[index].hops.get(&node).copied().unwrap_or(0) + 1
    }

    /// Returns the nodes that a query should find: the closest that are up and have an id, without the one that asks.
    pub(crate) fn closest(&self, index: usize, target: &Target) -> Vec<Address> {
        let others = self.hosts.iter().enumerate().filter(|(other, host)| *other != index && host.is_up);
        let mut found: Vec<Address> = others.filter_map(|(_, host)| host.node.standing().address).collect();
        found.sort_by_cached_key(|address| NodeId::of(address).distance(target));
        found.truncate(20);
        found
    }

    pub(crate) fn target(&mut self) -> Target {
        Target(self.dice.array())
    }

    pub(crate) fn up(&mut self) -> usize {
        loop {
            let index = self.dice.index(self.hosts.len());
            if self.hosts[index].is_up {
                return index;
            }
        }
    }
}

impl Host {
    pub(crate) fn finished(&self, query: QueryId) -> Option<&QueryOutcome> {
        self.events.iter().find_map(|event| match event {
            Action::QueryDone { query: done, result } if *done == query => {
                Some(result.as_ref().expect("no error"))
            }
            _ => None,
        })
    }

    fn note_hops(&mut self, from: Address, bytes: &[u8]) {
        if let Ok(Message::Response(response)) = Message::decode(bytes) {
            let next = self.hops.get(&from).copied().unwrap_or(0) + 1;
            response.closer.iter().for_each(|node| _ = self.hops.entry(*node).or_insert(next));
        }
    }
}
