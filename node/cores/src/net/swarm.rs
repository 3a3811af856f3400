//! Finding peers through Hyperswarm: sockets and tasks around a [`SwarmNode`].
//!
//! ```text
//! reader (one task for each socket)  datagrams -> machine
//! driver (one task)                  machine -> datagrams; joins the topics of all cores; starts connections
//! connection (one task each)         reads and writes the machine's streams, see stream.rs
//! ```
//!
//! The machine is behind a mutex that is never held across an `.await`. A task that gives the machine input wakes the driver.

mod options;
mod reachability;
mod recv_batch;
mod send_batch;
mod socket;
mod status;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use libvms_hypercore::secret_stream::{NONCE_BYTES, SecretStream, StreamKeys};
use libvms_hypercore::time;
use libvms_hyperswarm::dht_rpc::{Address, Socket};
use libvms_hyperswarm::swarm::node::{Config, Event};
use libvms_hyperswarm::swarm::{ConnectionId, Roles, SwarmNode, TopicKey};
use libvms_hyperswarm::udx;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::connection;
use super::event::{ConnectionKind, NetworkEvent, RemotePeer};
use super::shared::Shared as Network;
pub use options::{Bootstrap, BootstrapError, SwarmMode, SwarmOptions};
use reachability::UnreachablePeers;
use recv_batch::RecvBatch;
use send_batch::SendBatch;
use socket::DatagramSocket;
pub use status::{SwarmStatus, SwarmTopic};
use stream::{Stream, StreamWakers};

/// Datagrams sent in a row before other tasks run.
const SENT_AT_ONCE: usize = 128;
/// Datagrams given to the machine in a row before others may lock it.
const RECEIVED_AT_ONCE: usize = 64;
/// How long leaving the DHT may take before the process ends.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(3);

/// The state shared by the tasks: the machine, and the wakers.
#[derive(Debug)]
pub(super) struct Swarm {
    machine: Mutex<Machine>,
    incoming: Mutex<RecvBatch>,
    wake: Notify,
    start: Instant,
    local: SocketAddr,
}

#[derive(Debug)]
struct Machine {
    node: SwarmNode,
    /// The connections that tasks read and write.
    ends: BTreeMap<ConnectionId, StreamWakers>,
    open: BTreeMap<ConnectionId, RemotePeer>,
    /// How many nodes keep the announcement of each topic. Entries stay after the final leave, for its events.
    announced: BTreeMap<TopicKey, usize>,
}

impl Machine {
    /// Returns the remote peer of a connection.
    fn peer(&self, id: ConnectionId) -> Option<RemotePeer> {
        let (key, is_punched) = self.node.peer(id)?;
        let kind = if is_punched { ConnectionKind::Punched } else { ConnectionKind::Direct };
        Some(RemotePeer { key: Some(key.to_string()), address: self.node.remote(id)?, kind })
    }
}

impl Swarm {
    /// Binds the sockets and creates the machine; returns the shared state and the driver.
    pub(super) async fn start(options: SwarmOptions) -> std::io::Result<(Arc<Self>, Driver)> {
        let bootstrap = options.resolve().await;
        let is_first = bootstrap.is_empty();
        let (server, client) = (socket::bind_server(&options)?, socket::bind(options.bind)?);
        let local = server.local_addr()?;
        let config = Config {
            dht: options.config(bootstrap, local),
            swarm: libvms_hyperswarm::swarm::Config::default(),
            streams: udx::Config::default(),
            local_addresses: socket::reachable(local).into_iter().collect(),
        };
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let node = SwarmNode::new(options.key, config, seed, time::Instant::START, unix);
        let machine =
            Machine { node, ends: BTreeMap::new(), open: BTreeMap::new(), announced: BTreeMap::new() };
        let (machine, incoming) = (Mutex::new(machine), Mutex::new(RecvBatch::new()));
        let swarm = Arc::new(Self { machine, incoming, wake: Notify::new(), start: Instant::now(), local });
        let mut driver = Driver {
            swarm: swarm.clone(),
            sockets: BTreeMap::new(),
            outgoing: SendBatch::default(),
            readers: JoinSet::new(),
            reading: BTreeMap::new(),
            bind: options.bind,
            joined: BTreeSet::new(),
            unreachable: UnreachablePeers::default(),
            is_first,
            has_company: None,
        };
        driver.add(Socket::Server, server);
        driver.add(Socket::Client, client);
        Ok((swarm, driver))
    }

    /// Returns the swarm's state.
    pub(super) fn status(&self) -> SwarmStatus {
        let machine = self.lock();
        let topics = machine
            .announced
            .iter()
            .map(|(topic, nodes)| SwarmTopic { topic: HEXLOWER.encode(topic), nodes: *nodes });
        SwarmStatus {
            address: self.local,
            nodes: machine.node.dht().node().table_len(),
            topics: topics.collect(),
            peers: machine.open.values().cloned().collect(),
        }
    }

    /// Gives the machine the datagrams that wait in a socket.
    fn receive(&self, name: Socket, socket: &DatagramSocket) {
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        // An error means that nothing waits, or that an earlier datagram was refused (ICMP): no reason to stop.
        if incoming.refill(socket).is_err() {
            return;
        }
        let mut datagrams = incoming.datagrams().peekable();
        while datagrams.peek().is_some() {
            let (mut machine, now) = (self.lock(), self.now());
            for (from, bytes) in datagrams.by_ref().take(RECEIVED_AT_ONCE) {
                machine.node.handle_datagram(now, name, from, bytes);
            }
            drop(machine);
            self.wake.notify_one();
        }
    }

    /// Returns when the machine must be woken, if it must.
    fn next_timeout(&self) -> Option<Instant> {
        self.lock().node.poll_timeout().map(|at| self.start + at.since_start())
    }

    /// Returns the time of the machine.
    fn now(&self) -> time::Instant {
        time::Instant::after(self.start.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        // Machines never panic on input from outside; even if one did, other connections would still be served.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that owns the sockets.
pub(super) struct Driver {
    swarm: Arc<Swarm>,
    sockets: BTreeMap<Socket, Arc<DatagramSocket>>,
    outgoing: SendBatch,
    readers: JoinSet<()>,
    reading: BTreeMap<Socket, tokio::task::AbortHandle>,
    bind: std::net::IpAddr,
    joined: BTreeSet<TopicKey>,
    unreachable: UnreachablePeers,
    /// No bootstrap node was given: this node waits until others find it.
    is_first: bool,
    /// Whether any node of the DHT was known at the last look-up.
    has_company: Option<bool>,
}

impl Driver {
    /// Returns the address of the server socket.
    pub(super) fn local_addr(&self) -> SocketAddr {
        self.swarm.local
    }

    /// Drives the machine until the network stops, then leaves the DHT.
    pub(super) async fn run(mut self, network: Arc<Network>) {
        let mut cores = network.registry.changes();
        let mut connections = JoinSet::new();
        self.join_topics(&network);
        loop {
            self.work(&network, &mut connections).await;
            let next = self.swarm.next_timeout().into_iter().chain(self.unreachable.speak_at()).min();
            tokio::select! {
                () = network.stop.cancelled() => break,
                () = self.swarm.wake.notified() => {}
                () = sleep_until(next) => {
                    self.swarm.lock().node.handle_timeout(self.swarm.now());
                    self.warn_unreachable(&network);
                }
                changed = cores.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.join_topics(&network);
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
        // Data committed on the way out must still arrive.
        connections.shutdown().await;
        let _late = tokio::time::timeout(FAREWELL_TIMEOUT, self.take_leave()).await;
    }

    /// Joins the topics of all cores, under their discovery keys.
    fn join_topics(&mut self, network: &Network) {
        for key in network.registry.keys() {
            let topic = key.discovery_key();
            if self.joined.insert(topic) {
                let mut machine = self.swarm.lock();
                machine.announced.insert(topic, 0);
                machine.node.join(self.swarm.now(), topic, Roles::BOTH);
            }
        }
    }

    /// Performs the machine's actions, with pauses for input.
    async fn work(&mut self, network: &Arc<Network>, connections: &mut JoinSet<()>) {
        loop {
            let events: Vec<Event> = {
                let (mut machine, now) = (self.swarm.lock(), self.swarm.now());
                std::iter::from_fn(|| machine.node.poll_event(now)).collect()
            };
            let had_events = !events.is_empty();
            for event in events {
                self.handle(event, network, connections);
            }
            if self.send().await == 0 && !had_events {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Sends the machine's datagrams; returns how many there were.
    async fn send(&mut self) -> usize {
        {
            let (mut machine, now) = (self.swarm.lock(), self.swarm.now());
            self.outgoing.refill(SENT_AT_ONCE, |datagram| machine.node.append_transmit(now, datagram));
        }
        let mut place = 0;
        while let Some(name) = self.outgoing.socket(place) {
            let socket = self.sockets.get(&name);
            let count_max = socket.map_or(1, |socket| socket.batch_datagrams_max());
            let Some(batch) = self.outgoing.batch(place, count_max) else { break };
            if let Some(socket) = socket {
                socket.send(&batch).await;
            }
            place += batch.count;
        }
        self.outgoing.len()
    }

    fn handle(&mut self, event: Event, network: &Arc<Network>, connections: &mut JoinSet<()>) {
        match event {
            Event::Begun { connection, keys } => self.begin(connection, keys, network, connections),
            Event::Opened { connection, remote } => self.opened(connection, remote),
            Event::Readable(id) => self.with_ends(id, StreamWakers::wake_reader),
            Event::Writable(id) => self.with_ends(id, StreamWakers::wake_writer),
            Event::RemoteEnded(id) => self.with_ends(id, StreamWakers::remote_ended),
            Event::Closed { connection, why } => {
                debug!(?why, "a connection of the swarm is over");
                self.swarm.lock().open.remove(&connection);
                self.with_ends(connection, StreamWakers::closed);
            }
            Event::DialFailed { peer, why } => {
                debug!(%peer, %why, "a peer cannot be reached");
                // For a while, nodes still return peers that are gone; and a node with other connections is not unreachable.
                if self.swarm.lock().open.is_empty() {
                    self.unreachable.failed(Instant::now(), peer, why);
                }
            }
            Event::Refreshed { topic, announced } => self.refreshed(topic, announced, network),
            Event::Bootstrapped { nodes } => self.looked_around(nodes, network),
            Event::StatusChanged(standing) => info!(?standing, "this node's standing in the DHT changed"),
            Event::OpenSocket(number) => match socket::bind(self.bind) {
                Ok(socket) => self.add(Socket::Puncher(number), socket),
                Err(error) => debug!(%error, "no socket to punch a hole with"),
            },
            Event::CloseSocket(number) => self.remove(Socket::Puncher(number)),
            Event::ShutDown => {}
        }
    }

    fn refreshed(&self, topic: TopicKey, announced: Option<usize>, network: &Network) {
        debug!(topic = HEXLOWER.encode(&topic[..4]), announced, "a topic was looked up");
        if let Some(nodes) = announced {
            self.swarm.lock().announced.insert(topic, nodes);
            network.events.tell(NetworkEvent::Announced { topic: HEXLOWER.encode(&topic), nodes });
        }
    }

    /// Reports whether there is a network, if that has changed.
    fn looked_around(&mut self, nodes: usize, network: &Network) {
        let has_company = nodes > 0;
        if self.has_company.replace(has_company) == Some(has_company) {
            return;
        }
        match has_company {
            true => info!(nodes, "the DHT is reached"),
            false if self.is_first => info!("no other node of the DHT is known yet"),
            false => warn!("no node of the DHT answers: going on with the addresses that are known"),
        }
        network.events.tell(NetworkEvent::Dht { address: self.swarm.local, nodes });
    }

    /// Reports peers that were found and cannot be reached, when it is time.
    fn warn_unreachable(&mut self, network: &Network) {
        for (peer, why) in self.unreachable.speak(Instant::now()) {
            let (key, why) = (peer.to_string(), why.to_string());
            network.events.tell(NetworkEvent::Unreachable { key, why });
        }
    }

    fn begin(
        &self,
        id: ConnectionId,
        keys: StreamKeys,
        network: &Arc<Network>,
        connections: &mut JoinSet<()>,
    ) {
        let stream = Stream::new(self.swarm.clone(), id);
        let remote_key = keys.remote;
        let mut nonce = [0; NONCE_BYTES];
        let Ok(()) = getrandom::fill(&mut nonce) else { return };
        let secret = SecretStream::from_keys(keys, nonce);
        let (swarm, network) = (self.swarm.clone(), network.clone());
        // A peer found under a topic is a stranger, whichever side dialled.
        let Some(peer) = swarm.lock().peer(id) else { return };
        let Some(place) = network.admission.admit(peer.address.ip()) else {
            network.counters.refused.add(1);
            return;
        };
        network.counters.accepted.add(1);
        connections.spawn(async move {
            let (reader, writer) = stream.split();
            let context = network.context(place, peer);
            let mut closing = network.closing();
            let ended = connection::run(reader, writer, secret, context).await;
            if let Err(error) = ended {
                closing.reason = error.reason();
                debug!(peer = %remote_key, %error, "a connection of the swarm ended");
                if error.is_misbehaviour() {
                    swarm.lock().node.ban(swarm.now(), remote_key);
                }
            }
        });
    }

    fn opened(&mut self, id: ConnectionId, remote: SocketAddr) {
        self.unreachable.ended();
        let mut machine = self.swarm.lock();
        if let Some(peer) = machine.peer(id) {
            debug!(address = %remote, kind = ?peer.kind, "a peer of the swarm has proved itself");
            machine.open.insert(id, peer);
        }
    }

    fn with_ends(&self, id: ConnectionId, act: impl FnOnce(&mut StreamWakers)) {
        if let Some(ends) = self.swarm.lock().ends.get_mut(&id) {
            act(ends);
        }
    }

    fn add(&mut self, name: Socket, socket: DatagramSocket) {
        let socket = Arc::new(socket);
        self.sockets.insert(name, socket.clone());
        let reader = self.readers.spawn(read(name, socket, self.swarm.clone()));
        self.reading.insert(name, reader);
    }

    fn remove(&mut self, name: Socket) {
        self.sockets.remove(&name);
        if let Some(reader) = self.reading.remove(&name) {
            reader.abort();
        }
        while self.readers.try_join_next().is_some() {}
    }

    /// Withdraws this node's records from the DHT.
    async fn take_leave(&mut self) {
        self.swarm.lock().node.shut_down(self.swarm.now());
        loop {
            loop {
                let event = self.swarm.lock().node.poll_event(self.swarm.now());
                match event {
                    Some(Event::ShutDown) => {
                        while self.send().await > 0 {}
                        return;
                    }
                    Some(_) => {}
                    None if self.send().await == 0 => break,
                    None => {}
                }
            }
            let next = self.swarm.next_timeout();
            tokio::select! {
                () = self.swarm.wake.notified() => {}
                () = sleep_until(next) => {
                    self.swarm.lock().node.handle_timeout(self.swarm.now());
                }
            }
        }
    }
}

/// Gives the machine the datagrams that arrive at a socket.
async fn read(name: Socket, socket: Arc<DatagramSocket>, swarm: Arc<Swarm>) {
    while socket.readable().await.is_ok() {
        swarm.receive(name, &socket);
        tokio::task::yield_now().await;
    }
}

/// Returns a socket address as an address of the DHT, which is IPv4.
fn address(address: SocketAddr) -> Option<Address> {
    Address::try_from(address).ok()
}

/// Waits until then; for ever without a time.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
