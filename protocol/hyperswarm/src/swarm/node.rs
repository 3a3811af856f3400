//! A whole node of Hyperswarm as one machine: [`SwarmNode`].
//!
//! It joins [`HyperDht`] (who is where, and the handshake), the streams of [`udx`] and the
//! [`Swarm`] (whom to connect to), which share two sockets, and holds few rules of its own: a connection is shown when the
//! remote has sent a packet with the random number of our stream, which stood encrypted in the handshake; until then
//! nothing but the header of the encrypted stream is sent, because the address may be a victim's.
//!
//! `topics.rs` announces and looks up, `attempts.rs` leads from a handshake to a connection, `connections.rs` is the table of
//! streams, `event.rs` what comes out.

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

/// Incoming connections at the same time, proved or not.
const INCOMING_MAX: usize = 256;

/// How a [`SwarmNode`] works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How it takes part in the DHT.
    pub dht: dht_rpc::Settings,
    /// How many connections it makes.
    pub swarm: super::Settings,
    /// How its streams work.
    pub streams: udx::Settings,
    /// Addresses in local networks, with the port of the server socket: peers behind the same firewall are told.
    pub local_addresses: Vec<Address>,
}

/// A node of Hyperswarm with one key pair.
///
/// Give it one input, then take datagrams with [`poll_datagram`](Self::poll_datagram) and events with
/// [`poll_event`](Self::poll_event) until there are none, and call [`handle_timeout`](Self::handle_timeout) when
/// [`next_timeout`](Self::next_timeout) has come. `now` is the time on any clock that never goes back.
#[derive(Debug)]
pub struct SwarmNode {
    key: SecretKey,
    dht: HyperDht,
    swarm: Swarm,
    streams: Endpoint,
    connections: Connections,
    /// Attempts to connect.
    dials: BTreeMap<DialId, Dial>,
    /// Holes that are being punched, for these connections.
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
    /// From where something came for the stream although the answer to the handshake has not come yet.
    knocked: Option<Path>,
}

/// Whether others can connect to this node.
#[derive(Debug)]
enum Server {
    /// No topic wants it.
    Off,
    /// It is being made known; topics are announced when that is done, with the relays that there are then.
    Starting { waiting: Vec<(TopicKey, Roles)> },
    /// It is known through these relays.
    On { relays: Vec<Address> },
    /// The node shuts down. Topics are being withdrawn, and the server too unless that is done.
    Stopping { is_server_gone: bool },
    /// The node has shut down.
    Stopped,
}

impl SwarmNode {
    /// A node with the key pair `key`, which looks around at once. `seed` must be 32 fresh random bytes;
    /// `unix` is the time since 1970 at `now`.
    pub fn new(key: SecretKey, settings: Settings, seed: [u8; 32], now: Duration, unix: Duration) -> Self {
        let mut random = Random::new(seed);
        let mut dht = HyperDht::new(settings.dht, random.bytes(), millis(now), millis(unix));
        dht.set_local_addresses(settings.local_addresses);
        let mut node = Self {
            swarm: Swarm::new(key.public_key(), settings.swarm, random.bytes()),
            key,
            dht,
            streams: Endpoint::new(settings.streams),
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
        node.dht.bootstrap(millis(now));
        node.drive(now);
        node
    }

    /// The DHT below.
    pub fn dht(&self) -> &HyperDht {
        &self.dht
    }

    /// The topics and peers above.
    pub fn swarm(&self) -> &Swarm {
        &self.swarm
    }

    /// Where the remote of a connection is.
    pub fn remote(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.connections.get(id)?.remote
    }

    /// Who the remote of a connection is, and whether a hole was punched to reach it.
    pub fn peer(&self, id: ConnectionId) -> Option<(PublicKey, bool)> {
        let connection = self.connections.get(id)?;
        Some((connection.keys.remote, connection.puncher.is_some()))
    }

    /// Meets others under a topic, or changes what this node is on it.
    pub fn join(&mut self, now: Duration, topic: TopicKey, roles: Roles) {
        self.swarm.join(millis(now), topic, roles);
        self.drive(now);
    }

    /// Leaves a topic. Connections that came of it stay.
    pub fn leave(&mut self, now: Duration, topic: &TopicKey) {
        self.swarm.leave(topic);
        self.drive(now);
    }

    /// Keeps a connection to a peer that is known by its key.
    pub fn join_peer(&mut self, now: Duration, peer: PublicKey) {
        self.swarm.join_peer(millis(now), peer);
        self.drive(now);
    }

    /// A peer misbehaved: there will be no connection to it any more.
    pub fn ban(&mut self, now: Duration, peer: PublicKey) {
        self.swarm.ban(peer);
        let banned = self.swarm.banned_peers().copied().collect();
        self.dht.set_accept_policy(&self.key.public_key(), AcceptPolicy::AllBut(banned));
        self.drive(now);
    }

    /// The addresses of this machine are others than before.
    pub fn network_changed(&mut self, now: Duration, local_addresses: Vec<Address>) {
        self.dht.set_local_addresses(local_addresses);
        self.swarm.network_changed(millis(now));
        self.drive(now);
    }

    /// Leaves all topics, closes all connections, and tells the network that this node is gone. Ends with
    /// [`Event::ShutDown`]; whoever has no time may stop before.
    pub fn shut_down(&mut self, now: Duration) {
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
            self.dht.stop(millis(now), &self.key.public_key());
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

    /// Takes a datagram that came in.
    pub fn receive(&mut self, now: Duration, socket: Socket, from: SocketAddr, datagram: &[u8]) {
        if let (Socket::Puncher(number), [_], Ok(from)) = (socket, datagram, Address::try_from(from)) {
            self.dht.probed(millis(now), number, from);
            return self.drive(now);
        }
        let path = Path { socket: number(socket), remote: from };
        if self.streams.receive(now, path, datagram) == Received::NotOurs
            && let Ok(from) = Address::try_from(from)
        {
            // What is neither of a stream nor of the DHT is noise, and there is much of it on a public port.
            let _noise = self.dht.receive(millis(now), socket, from, datagram);
        }
        self.drive(now);
    }

    /// Writes the next datagram to send into `datagram`, which is cleared first, and says where it goes.
    pub fn poll_datagram(&mut self, now: Duration, datagram: &mut Vec<u8>) -> Option<Transmit> {
        datagram.clear();
        self.append_datagram(now, datagram)
    }

    /// The same, put behind what is in `datagram` already.
    pub fn append_datagram(&mut self, now: Duration, datagram: &mut Vec<u8>) -> Option<Transmit> {
        if let Some((transmit, bytes)) = self.datagrams.pop_front() {
            datagram.extend_from_slice(&bytes);
            return Some(transmit);
        }
        let path = self.streams.append_datagram(now, datagram)?;
        Some(Transmit { socket: socket(path.socket), to: path.remote, ttl: None })
    }

    /// The next event. Call it again after datagrams were polled: what is sent can be an event as well.
    pub fn poll_event(&mut self, now: Duration) -> Option<Event> {
        self.drive(now);
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn next_timeout(&self) -> Duration {
        let swarm = self.swarm.next_deadline().into_iter().chain(self.connections.next_deadline());
        let milliseconds = swarm.fold(self.dht.next_timeout(), u64::min);
        let machines = Duration::from_millis(milliseconds);
        self.streams.next_timeout().map_or(machines, |streams| streams.min(machines))
    }

    /// Does what time asks for.
    pub fn handle_timeout(&mut self, now: Duration) {
        let at = millis(now);
        if self.dht.next_timeout() <= at {
            self.dht.handle_timeout(at);
        }
        self.swarm.tick(at);
        for id in self.connections.expired(at) {
            self.end_unless_punching(now, id);
        }
        self.drive(now);
    }

    /// Writes to a connection as much as it takes, and tells how much; [`Event::Writable`] follows when that was not all.
    /// Before [`Event::Opened`] it takes the header of the stream only. Nothing where the connection is over.
    pub fn write(&mut self, id: ConnectionId, bytes: &[u8]) -> usize {
        let Some(connection) = self.connections.get_mut(id) else { return 0 };
        let allowed = &bytes[..connection.allows().min(bytes.len())];
        let written = self.streams.write(connection.stream, allowed).unwrap_or(0);
        connection.written(written, bytes.len());
        written
    }

    /// Reads what has come into a buffer. How many bytes there were.
    pub fn read(&mut self, id: ConnectionId, into: &mut [u8]) -> usize {
        let Some(connection) = self.connections.get_mut(id) else { return 0 };
        let read = self.streams.read(connection.stream, into).unwrap_or(0);
        if connection.read(read) {
            self.swarm.proved(id);
        }
        read
    }

    /// Writes no more to a connection.
    pub fn end_writing(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(id) {
            // An error says that it is over already.
            let _over = self.streams.end(connection.stream);
        }
    }

    /// Forgets a connection; the remote is told unless both sides had ended.
    pub fn destroy(&mut self, now: Duration, id: ConnectionId) {
        self.forget(now, id);
        self.drive(now);
    }

    /// Lets all parts work until none has anything left to do.
    fn drive(&mut self, now: Duration) {
        loop {
            if let Some(action) = self.swarm.poll() {
                self.run_action(now, action);
            } else if let Some(event) = self.dht.poll() {
                self.take(now, event);
            } else if let Some((stream, event)) = self.streams.poll_event() {
                self.stream_event(now, stream, event);
            } else {
                return;
            }
        }
    }

    fn run_action(&mut self, now: Duration, action: Action) {
        match action {
            Action::Refresh { topic, roles } => self.refresh(now, topic, roles),
            Action::Unannounce { topic } => {
                self.cancel_refresh(now, &topic);
                let query = self.dht.unannounce(millis(now), Target(topic), &self.key);
                self.withdrawals.push(query);
            }
            Action::Connect { .. } if self.is_shutting_down() => {}
            Action::Connect { peer, relays } => self.dial(now, peer, &relays),
            Action::Close { connection } => self.end(now, connection, Closed::Refused),
        }
    }

    fn take(&mut self, now: Duration, event: hyperdht::Event) {
        match event {
            hyperdht::Event::Send { socket, to, bytes, ttl } => {
                self.datagrams.push_back((Transmit { socket, to: to.into(), ttl }, bytes));
            }
            hyperdht::Event::Accepted { socket, accepted, .. } => self.accepted(now, socket, accepted),
            hyperdht::Event::Dialed { dial, result } => self.dialed(now, dial, result),
            hyperdht::Event::OpenSocket(socket) => self.events.push_back(Event::OpenSocket(socket)),
            hyperdht::Event::CloseSocket(socket) => self.events.push_back(Event::CloseSocket(socket)),
            hyperdht::Event::Punched { punch, result } => self.punched(now, punch, result),
            hyperdht::Event::Announced { relays, .. } => self.announced(now, relays),
            hyperdht::Event::Stopped { .. } => {
                self.server = Server::Stopping { is_server_gone: true };
                self.finish_shut_down();
            }
            hyperdht::Event::Found { query, reply, .. } => {
                let topic = self.lookups.get(&query).map(|(topic, _)| topic).or(self.prelookups.get(&query));
                if let Some(topic) = topic {
                    for peer in reply.peers {
                        self.swarm.found(millis(now), topic, peer.public_key, &peer.relays);
                    }
                }
            }
            hyperdht::Event::QueryDone { query, result } => {
                self.withdrawals.retain(|withdrawal| *withdrawal != query);
                self.prelookups.remove(&query);
                self.finish_shut_down();
                if let Some((topic, roles)) = self.lookups.remove(&query) {
                    self.refreshed(now, topic, roles, result.ok());
                }
            }
            hyperdht::Event::Bootstrapped { nodes } => self.events.push_back(Event::Bootstrapped { nodes }),
            hyperdht::Event::StatusChanged(standing) => {
                self.events.push_back(Event::StatusChanged(standing));
            }
        }
    }

    fn stream_event(&mut self, now: Duration, stream: u32, event: udx::Event) {
        let Some(id) = self.connections.of_stream(stream) else {
            if let udx::Event::IncomingPath(path) = event
                && let Some(dial) = self.dials.values_mut().find(|dial| dial.stream == stream)
            {
                dial.knocked = Some(path);
            }
            return;
        };
        match event {
            // The number of our stream stood encrypted in the handshake: whoever has it is the peer.
            udx::Event::IncomingPath(path) => self.begin(now, id, path),
            udx::Event::Connected => self.prove(now, id),
            udx::Event::Readable => self.events.push_back(Event::Readable(id)),
            udx::Event::Writable => self.events.push_back(Event::Writable(id)),
            udx::Event::RemoteEnded => self.events.push_back(Event::RemoteEnded(id)),
            udx::Event::Closed(reason) => {
                self.events.push_back(Event::Closed { connection: id, why: Closed::Stream(reason) })
            }
            udx::Event::Message => {
                // Nothing of ours uses messages beside the stream; what is not taken would fill a queue.
                while let Ok(Some(_)) = self.streams.receive_message(stream) {}
            }
        }
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

/// The number of a socket, as streams know it.
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
