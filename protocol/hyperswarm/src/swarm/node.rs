//! A whole node of Hyperswarm, without I/O: [`SwarmNode`].
//!
//! It combines [`HyperDht`] (lookups and handshakes), the streams of [`udx`] and the [`Swarm`] (which peers to connect
//! to), which share two sockets, and holds few rules of its own. One is that a connection is reported when the remote
//! has sent a packet with the random id of our stream, which was encrypted in the handshake; until then only the header
//! of the encrypted stream is sent, because the address may be a victim's.
//!
//! `topics.rs` announces and looks up, `attempts.rs` leads from a handshake to a connection, `connections.rs` is the
//! table of streams, `event.rs` the output.

mod attempts;
mod connections;
mod event;
mod topics;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::{Action, ConnectionId, Roles, Swarm, TopicKey};
use crate::dht_rpc::node::QueryId;
use crate::dht_rpc::{self, Address, Socket, Target};
use crate::hyperdht::node::{self as hyperdht, AcceptPolicy, DialId, HyperDht, PunchId};
use crate::udx::{self, Endpoint, Path, Received};
use connections::Connections;
pub use event::{Closed, DialFailure, Event, Transmit};
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::random::Random;
use libvms_hypercore::time::Instant;

/// Incoming connections at the same time, proved or not.
const INCOMING_MAX: usize = 256;

/// The configuration of a [`SwarmNode`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The node of the DHT.
    pub dht: dht_rpc::Config,
    /// The connections that the swarm makes.
    pub swarm: super::Config,
    /// The streams.
    pub streams: udx::Config,
    /// Addresses in local networks, with the port of the server socket; they are sent to peers behind the same
    /// firewall.
    pub local_addresses: Vec<Address>,
}

/// A node of Hyperswarm with one key pair.
///
/// A [machine](libvms_hypercore#machines) with datagrams and events.
#[derive(Debug)]
pub struct SwarmNode {
    key: SecretKey,
    dht: HyperDht,
    swarm: Swarm,
    streams: Endpoint,
    connections: Connections,
    /// Attempts to connect.
    dials: BTreeMap<DialId, Dial>,
    /// Attempts to punch holes, for these connections.
    punches: BTreeMap<PunchId, ConnectionId>,
    /// Lookups of topics.
    lookups: BTreeMap<QueryId, (TopicKey, Roles)>,
    /// Lookups of topics that are announced later.
    prelookups: BTreeMap<QueryId, TopicKey>,
    /// Withdrawals of announcements.
    withdrawals: Vec<QueryId>,
    server: Server,
    datagrams: VecDeque<(Transmit, Vec<u8>)>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Dial {
    peer: PublicKey,
    stream: u32,
    /// Path of a packet that arrived before the handshake response.
    knocked: Option<Path>,
}

/// The state of this node's server.
#[derive(Debug)]
enum Server {
    /// No topic wants it.
    Off,
    /// It is being announced; topics are announced when that is done, with the relays of that time.
    Starting { waiting: Vec<(TopicKey, Roles)> },
    /// It can be reached through these relays.
    On { relays: Vec<Address> },
    /// The node shuts down. Topics are being withdrawn, and the server too unless that is done.
    Stopping { is_server_gone: bool },
    /// The node has shut down.
    Stopped,
}

impl SwarmNode {
    /// Creates a node with the key pair `key`, which bootstraps at once. `seed` must be 32 fresh random bytes; `unix`
    /// is the time since 1970 at `now`.
    pub fn new(key: SecretKey, config: Config, seed: [u8; 32], now: Instant, unix: Duration) -> Self {
        let mut random = Random::new(seed);
        let unix_ms = unix.as_millis().try_into().unwrap_or(u64::MAX);
        let mut dht = HyperDht::new(config.dht, random.bytes(), now, unix_ms);
        dht.set_local_addresses(config.local_addresses);
        let mut node = Self {
            swarm: Swarm::new(key.public_key(), config.swarm, random.bytes()),
            key,
            dht,
            streams: Endpoint::new(config.streams),
            connections: Connections::default(),
            dials: BTreeMap::new(),
            punches: BTreeMap::new(),
            lookups: BTreeMap::new(),
            prelookups: BTreeMap::new(),
            withdrawals: vec![],
            server: Server::Off,
            datagrams: VecDeque::new(),
            events: VecDeque::new(),
        };
        node.dht.bootstrap(now);
        node.drive(now);
        node
    }

    /// Returns the node of the DHT.
    pub fn dht(&self) -> &HyperDht {
        &self.dht
    }

    /// Returns the swarm, with its topics and peers.
    pub fn swarm(&self) -> &Swarm {
        &self.swarm
    }

    /// Returns the address of a connection's remote.
    pub fn remote(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.connections.get(id)?.remote
    }

    /// Returns the key of a connection's remote, and whether a hole was punched to reach it.
    pub fn peer(&self, id: ConnectionId) -> Option<(PublicKey, bool)> {
        let connection = self.connections.get(id)?;
        Some((connection.keys.remote, connection.puncher.is_some()))
    }

    /// Joins a topic, or changes the roles of this node in it.
    pub fn join(&mut self, now: Instant, topic: TopicKey, roles: Roles) {
        self.swarm.join(now, topic, roles);
        self.drive(now);
    }

    /// Leaves a topic. Connections that it led to stay.
    pub fn leave(&mut self, now: Instant, topic: &TopicKey) {
        self.swarm.leave(topic);
        self.drive(now);
    }

    /// Keeps a connection to the peer with this key.
    pub fn join_peer(&mut self, now: Instant, peer: PublicKey) {
        self.swarm.join_peer(now, peer);
        self.drive(now);
    }

    /// Bans a peer that misbehaved: there will be no connection to it any more.
    pub fn ban(&mut self, now: Instant, peer: PublicKey) {
        self.swarm.ban(peer);
        let banned = self.swarm.banned_peers().copied().collect();
        self.dht.set_accept_policy(&self.key.public_key(), AcceptPolicy::AllBut(banned));
        self.drive(now);
    }

    /// Sets new addresses of this machine, and looks everything up anew.
    pub fn handle_network_changed(&mut self, now: Instant, local_addresses: Vec<Address>) {
        self.dht.set_local_addresses(local_addresses);
        self.swarm.handle_network_changed(now);
        self.drive(now);
    }

    /// Leaves all topics, closes all connections, and withdraws this node from the network. Ends with
    /// [`Event::ShutDown`]; a caller without time may stop before.
    pub fn shut_down(&mut self, now: Instant) {
        if self.is_shutting_down() {
            return;
        }
        let has_server = !matches!(self.server, Server::Off);
        self.server = Server::Stopping { is_server_gone: !has_server };
        for (dial, Dial { stream, .. }) in std::mem::take(&mut self.dials) {
            self.dht.cancel_dial(dial);
            self.streams.destroy(now, stream);
        }
        for id in self.connections.ids() {
            self.forget(now, id);
        }
        let topics: Vec<TopicKey> = self.swarm.topics().map(|(topic, _)| *topic).collect();
        for topic in topics {
            self.cancel_refresh(now, &topic);
            self.swarm.leave(&topic);
        }
        if has_server {
            self.dht.stop(now, &self.key.public_key());
        }
        self.drive(now);
        self.finish_shut_down();
    }

    fn is_shutting_down(&self) -> bool {
        matches!(self.server, Server::Stopping { .. } | Server::Stopped)
    }

    fn finish_shut_down(&mut self) {
        if matches!(self.server, Server::Stopping { is_server_gone: true }) && self.withdrawals.is_empty() {
            self.server = Server::Stopped;
            self.events.push_back(Event::ShutDown);
        }
    }

    /// Takes a datagram that arrived.
    pub fn handle_datagram(&mut self, now: Instant, socket: Socket, from: SocketAddr, datagram: &[u8]) {
        if let (Socket::Puncher(number), [_], Ok(from)) = (socket, datagram, Address::try_from(from)) {
            self.dht.handle_probe(now, number, from);
            return self.drive(now);
        }
        let path = Path { socket: number(socket), remote: from };
        if self.streams.handle_datagram(now, path, datagram) == Received::NotOurs
            && let Ok(from) = Address::try_from(from)
        {
            // A datagram that is neither of a stream nor of the DHT is noise, and there is much of it on a public port.
            let _noise = self.dht.handle_datagram(now, socket, from, datagram);
        }
        self.drive(now);
    }

    /// Writes the next datagram to send into `datagram`, which is cleared first. Returns its destination.
    pub fn poll_transmit(&mut self, now: Instant, datagram: &mut Vec<u8>) -> Option<Transmit> {
        datagram.clear();
        self.append_transmit(now, datagram)
    }

    /// Appends the next datagram to send to `datagram`. Returns its destination.
    pub fn append_transmit(&mut self, now: Instant, datagram: &mut Vec<u8>) -> Option<Transmit> {
        if let Some((transmit, bytes)) = self.datagrams.pop_front() {
            datagram.extend_from_slice(&bytes);
            return Some(transmit);
        }
        let path = self.streams.append_transmit(now, datagram)?;
        Some(Transmit { socket: socket(path.socket), to: path.remote, ttl: None })
    }

    /// Returns the next event. Call it again after polling datagrams: sending can cause an event, too.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.drive(now);
        self.events.pop_front()
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let swarm = self.swarm.poll_timeout().into_iter().chain(self.connections.next_deadline());
        swarm.chain(self.streams.poll_timeout()).chain(self.dht.poll_timeout()).min()
    }

    /// Acts on deadlines that have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.dht.poll_timeout().is_some_and(|at| at <= now) {
            self.dht.handle_timeout(now);
        }
        self.swarm.handle_timeout(now);
        self.streams.handle_timeout(now);
        for id in self.connections.expired(now) {
            self.end_unless_punching(now, id);
        }
        self.drive(now);
    }

    /// Writes as many bytes to a connection as it takes. Returns their number; [`Event::Writable`] follows if that was
    /// not all. Before [`Event::Opened`] it takes the header of the stream only. Returns 0 if the connection is over.
    pub fn write(&mut self, id: ConnectionId, bytes: &[u8]) -> usize {
        let Some(connection) = self.connections.get_mut(id) else { return 0 };
        let allowed = &bytes[..connection.allows().min(bytes.len())];
        let written = self.streams.write(connection.stream, allowed).unwrap_or(0);
        connection.written(written, bytes.len());
        written
    }

    /// Reads bytes that have arrived into a buffer. Returns their number.
    pub fn read(&mut self, id: ConnectionId, into: &mut [u8]) -> usize {
        let Some(connection) = self.connections.get_mut(id) else { return 0 };
        let read = self.streams.read(connection.stream, into).unwrap_or(0);
        if connection.read(read) {
            self.swarm.handle_proved(id);
        }
        read
    }

    /// Ends our half of a connection.
    pub fn end_writing(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(id) {
            // An error says that it is over already.
            let _over = self.streams.end(connection.stream);
        }
    }

    /// Forgets a connection; the remote is sent a reset unless both sides had ended.
    pub fn destroy(&mut self, now: Instant, id: ConnectionId) {
        self.forget(now, id);
        self.drive(now);
    }

    /// Advances all parts until none has anything left to do.
    fn drive(&mut self, now: Instant) {
        loop {
            if let Some(action) = self.swarm.poll_action() {
                self.run_action(now, action);
            } else if let Some(event) = self.dht.poll_action() {
                self.take(now, event);
            } else if let Some((stream, event)) = self.streams.poll_event() {
                self.stream_event(now, stream, event);
            } else {
                return;
            }
        }
    }

    fn run_action(&mut self, now: Instant, action: Action) {
        match action {
            Action::Refresh { topic, roles } => self.refresh(now, topic, roles),
            Action::Unannounce { topic } => {
                self.cancel_refresh(now, &topic);
                let query = self.dht.unannounce(now, Target(topic), &self.key);
                self.withdrawals.push(query);
            }
            Action::Connect { .. } if self.is_shutting_down() => {}
            Action::Connect { peer, relays } => self.dial(now, peer, &relays),
            Action::Close { connection } => self.end(now, connection, Closed::Refused),
        }
    }

    fn take(&mut self, now: Instant, event: hyperdht::Action) {
        match event {
            hyperdht::Action::Send { socket, to, bytes, ttl } => {
                self.datagrams.push_back((Transmit { socket, to: to.into(), ttl }, bytes));
            }
            hyperdht::Action::Accepted { socket, accepted, .. } => self.accepted(now, socket, accepted),
            hyperdht::Action::Dialed { dial, result } => self.dialed(now, dial, result),
            hyperdht::Action::OpenSocket(socket) => self.events.push_back(Event::OpenSocket(socket)),
            hyperdht::Action::CloseSocket(socket) => self.events.push_back(Event::CloseSocket(socket)),
            hyperdht::Action::Punched { punch, result } => self.punched(now, punch, result),
            hyperdht::Action::Announced { relays, .. } => self.announced(now, relays),
            hyperdht::Action::Stopped { .. } => {
                self.server = Server::Stopping { is_server_gone: true };
                self.finish_shut_down();
            }
            hyperdht::Action::Found { query, reply, .. } => {
                let topic = self.lookups.get(&query).map(|(topic, _)| topic).or(self.prelookups.get(&query));
                if let Some(topic) = topic {
                    for peer in reply.peers {
                        self.swarm.handle_peer_found(now, topic, peer.public_key, &peer.relays);
                    }
                }
            }
            hyperdht::Action::QueryDone { query, result } => {
                self.withdrawals.retain(|withdrawal| *withdrawal != query);
                self.prelookups.remove(&query);
                self.finish_shut_down();
                if let Some((topic, roles)) = self.lookups.remove(&query) {
                    self.refreshed(now, topic, roles, result.ok());
                }
            }
            hyperdht::Action::Bootstrapped { nodes } => self.events.push_back(Event::Bootstrapped { nodes }),
            hyperdht::Action::StatusChanged(standing) => {
                self.events.push_back(Event::StatusChanged(standing));
            }
        }
    }

    fn stream_event(&mut self, now: Instant, stream: u32, event: udx::Event) {
        let Some(id) = self.connections.of_stream(stream) else {
            if let udx::Event::IncomingPath(path) = event
                && let Some(dial) = self.dials.values_mut().find(|dial| dial.stream == stream)
            {
                dial.knocked = Some(path);
            }
            return;
        };
        match event {
            // The id of our stream was encrypted in the handshake: only the peer knows it.
            udx::Event::IncomingPath(path) => self.begin(now, id, path),
            udx::Event::Connected => self.prove(now, id),
            udx::Event::Readable => self.events.push_back(Event::Readable(id)),
            udx::Event::Writable => self.events.push_back(Event::Writable(id)),
            udx::Event::RemoteEnded => self.events.push_back(Event::RemoteEnded(id)),
            udx::Event::Closed(reason) => {
                self.events.push_back(Event::Closed { connection: id, why: Closed::Stream(reason) })
            }
            udx::Event::Message => {
                // We use no messages beside the stream; messages that are not taken would fill a queue.
                while let Ok(Some(_)) = self.streams.receive_message(stream) {}
            }
        }
    }
}

/// Returns the number of a socket, as streams know it.
fn number(socket: Socket) -> u32 {
    match socket {
        Socket::Server => 0,
        Socket::Client => 1,
        Socket::Puncher(number) => number.saturating_add(2),
    }
}

fn socket(number: u32) -> Socket {
    match number {
        0 => Socket::Server,
        1 => Socket::Client,
        number => Socket::Puncher(number - 2),
    }
}
