//! A whole node of Hyperswarm as one machine: [`SwarmNode`].
//!
//! It joins [`HyperDht`] (who is where, and the handshake), the streams of [`udx`] and the
//! [`Swarm`] (whom to connect to), which share two sockets, and holds few rules of its own: a connection is shown when the
//! remote has sent a packet with the random number of our stream, which stood encrypted in the handshake; until then
//! nothing but the header of the encrypted stream is sent, because the address may be a victim's.
//!
//! `connections.rs` is the table of streams.

mod connections;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use super::{Action, ConnectionId, Roles, Swarm, TopicKey};
use crate::dht::dialer::{DialError, Dialed, Way};
use crate::dht::hyperdht::{self, DialId, HyperDht, PunchId, Welcome};
use crate::dht::listener::{Accepted, Approach, FIRST_PACKET_MS};
use crate::dht::node::{QueryId, QueryOutcome, Standing};
use crate::dht::noise::StreamKeys;
use crate::dht::puncher::{PunchError, Punched};
use crate::dht::random::Random;
use crate::dht::{self, Address, Socket, Target};
use crate::identity::{PublicKey, SecretKey};
use crate::udx::{self, CloseReason, Endpoint, Firewall, Path, Received};
use connections::{Connection, Connections};

/// Incoming connections at the same time, proved or not.
const INCOMING_MAX: usize = 256;

/// How a [`SwarmNode`] works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How it takes part in the DHT.
    pub dht: dht::Settings,
    /// How many connections it makes.
    pub swarm: super::Settings,
    /// How its streams work.
    pub streams: udx::Settings,
    /// Addresses in local networks, with the port of the server socket: peers behind the same firewall are told.
    pub local_addresses: Vec<Address>,
}

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Through which socket.
    pub socket: Socket,
    /// To whom.
    pub to: SocketAddr,
    /// How many routers it may pass, if not as many as usual.
    pub ttl: Option<u8>,
}

/// What the caller is to know.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection begins: write the header of the encrypted stream, which is all that can be written for now.
    Begun {
        /// Which.
        connection: ConnectionId,
        /// The keys of the encrypted stream.
        keys: StreamKeys,
    },
    /// The remote has proved itself: the connection is there.
    Opened {
        /// Which.
        connection: ConnectionId,
        /// Where the remote is.
        remote: SocketAddr,
    },
    /// There is something to read.
    Readable(ConnectionId),
    /// There is room again after a write that was not taken whole.
    Writable(ConnectionId),
    /// The remote writes no more.
    RemoteEnded(ConnectionId),
    /// The connection is over; what has come can still be read. Then call [`SwarmNode::destroy`].
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Why.
        why: Closed,
    },
    /// A peer that was found, or asked for, could not be connected to for now.
    DialFailed {
        /// Who.
        peer: PublicKey,
        /// Why.
        why: DialFailure,
    },
    /// A topic was looked up, and this node announced under it if it is a server.
    Refreshed {
        /// Which.
        topic: TopicKey,
        /// How many of the closest nodes keep the announcement; `None` if there was nothing to announce or nobody to ask.
        announced: Option<usize>,
    },
    /// The first look around is over, or the first after a sleep, and so many nodes are known. With none there is no
    /// network, and the node goes on trying.
    Bootstrapped {
        /// How many.
        nodes: usize,
    },
    /// The node became persistent or ephemeral, or learned whether it is firewalled.
    StandingChanged(Standing),
    /// Open a socket of that number, which is [`Socket::Puncher`] of it.
    OpenSocket(u32),
    /// Close it.
    CloseSocket(u32),
    /// After [`SwarmNode::shut_down`]: nobody keeps anything about this node any more, as far as it can be told.
    ShutDown,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its stream ended.
    Stream(CloseReason),
    /// The remote has not proved itself in time.
    Unproved,
    /// Another connection to the same peer is kept, or the peer is banned.
    Refused,
}

/// Why a peer could not be connected to.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DialFailure {
    /// It was not found, or does not answer.
    #[error(transparent)]
    Handshake(#[from] DialError),
    /// Both sides are behind firewalls, and no hole could be punched.
    #[error(transparent)]
    Punch(#[from] PunchError),
    /// The same, and too many holes are being punched already.
    #[error("too many holes are being punched already")]
    Busy,
    /// It answered, and then nothing came from it.
    #[error("the peer answered, and then nothing came from it")]
    Silent,
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
    glances: BTreeMap<QueryId, TopicKey>,
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
            glances: BTreeMap::new(),
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
        self.dht.set_welcome(&self.key.public_key(), Welcome::AllBut(banned));
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
        if let Some((transmit, bytes)) = self.datagrams.pop_front() {
            *datagram = bytes;
            return Some(transmit);
        }
        let path = self.streams.poll_datagram(now, datagram)?;
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

    /// Gives back what a connection had.
    fn release(&mut self, now: Duration, id: ConnectionId, connection: &Connection) {
        self.streams.destroy(now, connection.stream);
        if let Some(handshake) = connection.handshake {
            self.dht.settle_accepted(millis(now), &self.key.public_key(), handshake, None);
        }
        if let Some(socket) = connection.puncher {
            self.events.push_back(Event::CloseSocket(socket));
        }
        self.swarm.closed(millis(now), id);
    }

    /// Lets all parts work until none has anything left to do.
    fn drive(&mut self, now: Duration) {
        loop {
            if let Some(action) = self.swarm.poll() {
                self.obey(now, action);
            } else if let Some(event) = self.dht.poll() {
                self.take(now, event);
            } else if let Some((stream, event)) = self.streams.poll_event() {
                self.stream_event(now, stream, event);
            } else {
                return;
            }
        }
    }

    fn obey(&mut self, now: Duration, action: Action) {
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

    fn refresh(&mut self, now: Duration, topic: TopicKey, roles: Roles) {
        if !roles.server {
            return self.look_up(now, topic, roles, &[]);
        }
        match &mut self.server {
            Server::Off => {
                self.glance(now, topic, roles);
                self.server = Server::Starting { waiting: vec![(topic, roles)] };
                let banned = self.swarm.banned_peers().copied().collect();
                self.dht.listen(millis(now), &self.key, Welcome::AllBut(banned));
            }
            Server::Starting { waiting } => {
                waiting.push((topic, roles));
                self.glance(now, topic, roles);
            }
            Server::On { relays } => {
                let relays = relays.clone();
                self.look_up(now, topic, roles, &relays);
            }
            Server::Stopping { .. } | Server::Stopped => {}
        }
    }

    /// Looks who is there. Making a server known waits for nodes that do not answer; finding others need not.
    fn glance(&mut self, now: Duration, topic: TopicKey, roles: Roles) {
        if roles.client {
            let query = self.dht.lookup(millis(now), Target(topic));
            self.glances.insert(query, topic);
        }
    }

    /// What is announced after it was withdrawn would be found for half an hour.
    fn cancel_refresh(&mut self, now: Duration, topic: &TopicKey) {
        if let Server::Starting { waiting } = &mut self.server {
            waiting.retain(|(other, _)| other != topic);
        }
        let lookups = self.lookups.iter().filter(|(_, (other, _))| other == topic);
        for query in lookups.map(|(query, _)| *query).collect::<Vec<_>>() {
            self.dht.cancel_query(query);
            self.lookups.remove(&query);
        }
        let glances = self.glances.iter().filter(|(_, other)| *other == topic);
        for query in glances.map(|(query, _)| *query).collect::<Vec<_>>() {
            self.dht.cancel_query(query);
            self.glances.remove(&query);
        }
        self.swarm.refreshed(millis(now), topic);
    }

    fn look_up(&mut self, now: Duration, topic: TopicKey, roles: Roles, relays: &[Address]) {
        let query = match roles.server {
            true => self.dht.announce(millis(now), Target(topic), relays.to_vec(), &self.key),
            false => self.dht.lookup(millis(now), Target(topic)),
        };
        self.lookups.insert(query, (topic, roles));
    }

    fn dial(&mut self, now: Duration, peer: PublicKey, relays: &[Address]) {
        match self.dht.dial(millis(now), &self.key, peer, relays) {
            Ok((dial, stream)) if self.streams.open(now, stream, Firewall::Open).is_ok() => {
                self.dials.insert(dial, Dial { peer, stream, knocked: None });
            }
            // Two random numbers of streams are the same: once in some billions of attempts.
            Ok((dial, _)) => {
                self.dht.cancel_dial(dial);
                self.swarm.failed(millis(now), &peer);
            }
            Err(error) => self.dial_failed(now, peer, DialFailure::Handshake(error)),
        }
    }

    fn dial_failed(&mut self, now: Duration, peer: PublicKey, why: DialFailure) {
        self.swarm.failed(millis(now), &peer);
        self.events.push_back(Event::DialFailed { peer, why });
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
                let topic = self.lookups.get(&query).map(|(topic, _)| topic).or(self.glances.get(&query));
                if let Some(topic) = topic {
                    for peer in reply.peers {
                        self.swarm.found(millis(now), topic, peer.public_key, &peer.relays);
                    }
                }
            }
            hyperdht::Event::QueryDone { query, result } => {
                self.withdrawals.retain(|withdrawal| *withdrawal != query);
                self.glances.remove(&query);
                self.finish_shut_down();
                if let Some((topic, roles)) = self.lookups.remove(&query) {
                    self.refreshed(now, topic, roles, result.ok());
                }
            }
            hyperdht::Event::Bootstrapped { nodes } => self.events.push_back(Event::Bootstrapped { nodes }),
            hyperdht::Event::StandingChanged(standing) => {
                self.events.push_back(Event::StandingChanged(standing));
            }
        }
    }

    fn refreshed(&mut self, now: Duration, topic: TopicKey, roles: Roles, outcome: Option<QueryOutcome>) {
        match &outcome {
            Some(outcome) if !outcome.closest.is_empty() => self.swarm.refreshed(millis(now), &topic),
            _ => self.swarm.refresh_failed(millis(now), &topic),
        }
        let announced = outcome.filter(|_| roles.server).map(|outcome| outcome.stored);
        self.events.push_back(Event::Refreshed { topic, announced });
    }

    fn announced(&mut self, now: Duration, relays: Vec<Address>) {
        let before = match &mut self.server {
            Server::Stopping { .. } | Server::Stopped | Server::Off => return,
            // The network is gone for now, and the relays may come back with it.
            Server::On { .. } if relays.is_empty() => return,
            server => std::mem::replace(server, Server::On { relays: relays.clone() }),
        };
        match before {
            Server::Starting { waiting } => {
                for (topic, roles) in waiting {
                    self.look_up(now, topic, roles, &relays);
                }
            }
            // Others would look for this node at relays that know it no more.
            Server::On { relays: former } if former != relays => self.swarm.network_changed(millis(now)),
            _ => {}
        }
    }

    fn accepted(&mut self, now: Duration, socket: Socket, accepted: Accepted) {
        let Accepted { handshake, keys, local_stream, remote_stream, approach, deadline, .. } = accepted;
        let is_full = self.connections.incoming() >= INCOMING_MAX || self.is_shutting_down();
        if is_full || self.streams.open(now, local_stream, Firewall::Open).is_err() {
            return;
        }
        let mut connection = Connection::new(keys, local_stream, remote_stream, deadline);
        connection.handshake = (approach == Approach::Await).then_some(handshake);
        let id = self.connections.insert(connection);
        if let Approach::Dial(client) = approach {
            self.begin(now, id, Path { socket: number(socket), remote: client.into() });
        }
    }

    fn dialed(&mut self, now: Duration, dial: DialId, result: Result<Dialed, DialError>) {
        let Some(Dial { peer, stream, knocked }) = self.dials.remove(&dial) else { return };
        let dialed = match result {
            Ok(dialed) => dialed,
            Err(error) => {
                self.streams.destroy(now, stream);
                return self.dial_failed(now, peer, DialFailure::Handshake(error));
            }
        };
        let deadline = millis(now) + FIRST_PACKET_MS;
        let id = self.connections.insert(Connection::of_dialed(&dialed, deadline));
        match (&dialed.way, knocked) {
            // Something came with our random number: the server is there, whatever its answer said.
            (_, Some(path)) => self.begin(now, id, path),
            (Way::Connect(socket, to), None) => {
                self.begin(now, id, Path { socket: number(*socket), remote: (*to).into() });
            }
            (Way::Await, None) => {}
            (Way::Punch { .. }, None) => self.punch(now, id, &dialed),
        }
    }

    fn punch(&mut self, now: Duration, id: ConnectionId, dialed: &Dialed) {
        match self.dht.punch(millis(now), dialed) {
            Some(punch) => {
                self.punches.insert(punch, id);
                // Punching ends by itself, and takes longer than a first packet.
                self.connections
                    .get_mut(id)
                    .into_iter()
                    .for_each(|connection| connection.wait_until(u64::MAX));
            }
            None => self.fail(now, id, DialFailure::Busy),
        }
    }

    fn punched(&mut self, now: Duration, punch: PunchId, result: Result<Punched, PunchError>) {
        let connection = self.punches.remove(&punch).and_then(|id| Some((id, self.connections.get_mut(id)?)));
        match (connection, result) {
            (Some((id, connection)), Ok(Punched { socket, remote })) => {
                connection.wait_until(millis(now) + FIRST_PACKET_MS);
                connection.puncher = Some(socket);
                self.begin(now, id, Path { socket: number(Socket::Puncher(socket)), remote: remote.into() });
            }
            (Some((id, _)), Err(error)) => self.fail(now, id, DialFailure::Punch(error)),
            (None, Ok(Punched { socket, .. })) => self.events.push_back(Event::CloseSocket(socket)),
            (None, Err(_)) => {}
        }
    }

    /// Ends an attempt to connect.
    fn fail(&mut self, now: Duration, id: ConnectionId, why: DialFailure) {
        if let Some(connection) = self.connections.remove(id) {
            self.release(now, id, &connection);
            self.dial_failed(now, connection.keys.remote, why);
        }
    }

    /// The way to the remote is known: the stream can send.
    fn begin(&mut self, now: Duration, id: ConnectionId, path: Path) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if self.streams.connect(now, connection.stream, path, connection.remote_stream).is_ok() {
            connection.remote = Some(path.remote);
            if let Some(handshake) = connection.handshake.take() {
                // The client came through: the socket where it did is the connection's, others are not needed.
                let puncher =
                    if let Socket::Puncher(number) = socket(path.socket) { Some(number) } else { None };
                connection.puncher = puncher;
                self.dht.settle_accepted(millis(now), &self.key.public_key(), handshake, puncher);
            }
            let Some(connection) = self.connections.get(id) else { return };
            self.events.push_back(Event::Begun { connection: id, keys: connection.keys.clone() });
        }
    }

    fn stream_event(&mut self, now: Duration, stream: u32, event: udx::Event) {
        let Some(id) = self.connections.of_stream(stream) else {
            if let udx::Event::Knocked(path) = event
                && let Some(dial) = self.dials.values_mut().find(|dial| dial.stream == stream)
            {
                dial.knocked = Some(path);
            }
            return;
        };
        match event {
            // The number of our stream stood encrypted in the handshake: whoever has it is the peer.
            udx::Event::Knocked(path) => self.begin(now, id, path),
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

    fn prove(&mut self, now: Duration, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let (keys, remote) = (connection.keys.clone(), connection.remote);
        let was_refused = connection.prove();
        match (self.swarm.connected(millis(now), id, keys.remote, keys.role), remote) {
            (super::Admission::Kept, Some(remote)) => {
                self.events.push_back(Event::Opened { connection: id, remote });
                if was_refused {
                    self.events.push_back(Event::Writable(id));
                }
            }
            _ => self.end(now, id, Closed::Refused),
        }
    }

    /// A client has not come through in time. Where both sides are punching a hole that may take longer than a first
    /// packet otherwise does: through a firewall with a port for each remote, half a minute.
    fn end_unless_punching(&mut self, now: Duration, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let server = self.key.public_key();
        let until = connection.handshake.and_then(|handshake| self.dht.punches_until(&server, handshake));
        match until.filter(|until| *until > millis(now)) {
            Some(until) => connection.wait_until(until),
            None => self.end(now, id, Closed::Unproved),
        }
    }

    /// Ends a connection that the caller knows of, or does not know of yet.
    fn end(&mut self, now: Duration, id: ConnectionId, why: Closed) {
        // Whoever was not told of its beginning need not be told of its end.
        if self.forget(now, id).is_some_and(|connection| connection.remote.is_some()) {
            self.events.push_back(Event::Closed { connection: id, why });
        }
    }

    /// Gives back what a connection had, if there was one, and its place where it was an attempt.
    fn forget(&mut self, now: Duration, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(id)?;
        self.release(now, id, &connection);
        if connection.is_outgoing() && !connection.is_proved() {
            self.dial_failed(now, connection.keys.remote, DialFailure::Silent);
        }
        Some(connection)
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
