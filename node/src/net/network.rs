//! The sockets, and who may come through them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libvms_protocol::identity::PublicKey;
use libvms_protocol::wire::Role;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, info};

use super::connection::{self, ConnectionError, Context};
use super::core::{self, CoreEvent, CoreHandle, Held};
use super::dial::{Whereabouts, keep_connected};
use super::event::{ConnectionKind, Events, NetworkEvent, RemotePeer};
use super::metrics::{Counters, Metrics, Reason};
use super::options::NetworkOptions;
use super::place::{Place, Places};
use super::swarm::{Swarm, SwarmOptions, SwarmStatus};

/// There is no network.
#[derive(Debug, Error)]
#[error("cannot listen for peers on {address}: {source}")]
pub struct NetworkError {
    address: SocketAddr,
    source: io::Error,
}

impl NetworkError {
    /// Whether somebody else has the address.
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// Cores that are held here, and the connections to those who hold them too.
///
/// Dropping it cuts all connections; [`Network::shutdown`] brings everything to disk first.
#[derive(Debug)]
pub struct Network {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
    cores: Mutex<JoinSet<()>>,
    swarm: Mutex<Option<Arc<Swarm>>>,
}

/// What all connections of a network share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: NetworkOptions,
    pub(super) registry: Arc<Registry>,
    pub(super) places: Arc<Places>,
    pub(super) counters: Arc<Counters>,
    pub(super) events: Events,
    pub(super) stop: watch::Sender<bool>,
}

/// The cores that connections find.
#[derive(Debug)]
pub(super) struct Registry {
    cores: Mutex<BTreeMap<[u8; 32], CoreHandle>>,
    changed: Mutex<Option<watch::Sender<()>>>,
    changes: watch::Receiver<()>,
    /// The number of the next peer of a core.
    pub(super) peers: AtomicU64,
}

impl Network {
    /// A network without cores and peers.
    pub fn new(options: NetworkOptions) -> Self {
        let shared = Shared {
            places: Places::new(&options),
            options,
            registry: Arc::new(Registry::new()),
            counters: Arc::default(),
            events: Events::new(),
            stop: watch::Sender::new(false),
        };
        Self {
            shared: Arc::new(shared),
            tasks: Mutex::default(),
            cores: Mutex::default(),
            swarm: Mutex::default(),
        }
    }

    /// Holds a core: serves it, and where it is a copy, completes it. `events` hears what there is to tell about it.
    ///
    /// Must be called within a Tokio runtime. A core that is held already stays as it is.
    pub fn hold(&self, held: Held, events: Option<mpsc::UnboundedSender<CoreEvent>>) {
        let registry = &self.shared.registry;
        if registry.get(&held.key()).is_none() {
            let settings = core::Settings {
                request_timeout: self.shared.options.request_timeout,
                counters: self.shared.counters.clone(),
            };
            let handle = core::start(held, events, settings, &mut lock(&self.cores));
            registry.insert(handle);
        }
    }

    /// Accepts connections on an address; gives the one that it got.
    ///
    /// # Errors
    /// Where the address cannot be had.
    pub async fn listen(&self, address: SocketAddr) -> Result<SocketAddr, NetworkError> {
        let failed = |source| NetworkError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        lock(&self.tasks).spawn(accept(listener, self.shared.clone()));
        Ok(local)
    }

    /// Keeps a connection to a peer, as long as the network lasts.
    pub fn connect(&self, address: SocketAddr) {
        self.connect_to(address);
    }

    /// Keeps a connection to a peer that may move: where it is is asked before each attempt.
    pub fn connect_to(&self, whereabouts: impl Whereabouts) {
        lock(&self.tasks).spawn(keep_connected(Arc::new(whereabouts), self.shared.clone()));
    }

    /// Meets peers through Hyperswarm: joins the topics of all cores that are held now or later. Gives the address of the
    /// socket that others know.
    ///
    /// # Errors
    /// Where there is no such socket.
    pub async fn join_swarm(&self, options: SwarmOptions) -> Result<SocketAddr, NetworkError> {
        let address = SocketAddr::new(options.bind, options.port);
        let started = Swarm::start(options).await;
        let (swarm, driver) = started.map_err(|source| NetworkError { address, source })?;
        let address = driver.local_addr();
        *lock(&self.swarm) = Some(swarm);
        lock(&self.tasks).spawn(driver.run(self.shared.clone()));
        Ok(address)
    }

    /// How the swarm is doing; `None` without one.
    pub fn swarm(&self) -> Option<SwarmStatus> {
        lock(&self.swarm).as_ref().map(|swarm| swarm.status())
    }

    /// What happens from now on. Whoever listens too slowly misses some of it.
    pub fn events(&self) -> broadcast::Receiver<NetworkEvent> {
        self.shared.events.subscribe()
    }

    /// What has happened so far.
    pub fn metrics(&self) -> Metrics {
        let (connections, buffered_bytes) = self.shared.places.used();
        self.shared.counters.snapshot(connections, buffered_bytes)
    }

    /// Ends all connections, and returns when everything is on disk.
    pub async fn shutdown(&self) {
        self.shared.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
        self.shared.registry.close();
        let mut cores = std::mem::take(&mut *lock(&self.cores));
        while cores.join_next().await.is_some() {}
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut stop = shared.stop.subscribe();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, address)) => match shared.places.admit(address.ip()) {
                    Some(place) => {
                        shared.counters.accepted.add(1);
                        let ended = run(socket, address, Role::Responder, place, shared.clone());
                        connections.spawn(async { drop(ended.await) });
                    }
                    None => {
                        shared.counters.refused.add(1);
                        debug!(%address, "too many connections");
                    }
                },
                // Out of descriptors, most likely: others must end first.
                Err(error) => {
                    debug!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    connections.shutdown().await;
}

pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that the network is gone altogether.
    let _stopped = stop.wait_for(|stop| *stop).await.is_ok();
}

/// Runs a connection to its end; gives why that came, unless it came in order.
pub(super) async fn run(
    socket: TcpStream,
    address: SocketAddr,
    role: Role,
    place: Place,
    shared: Arc<Shared>,
) -> Option<ConnectionError> {
    debug!(%address, ?role, "connected");
    let mut closing = shared.closing();
    let peer = RemotePeer { key: None, address, kind: ConnectionKind::Tcp };
    match connection::run_tcp(socket, role, shared.context(place, peer)).await {
        Ok(()) => {
            debug!(%address, "disconnected");
            None
        }
        Err(error) => {
            closing.reason = error.reason();
            info!(%address, %error, "a connection ended");
            Some(error)
        }
    }
}

impl Shared {
    /// What a connection needs.
    pub(super) fn context(&self, place: Place, peer: RemotePeer) -> Context {
        let Self { options, registry, counters, events, .. } = self;
        Context {
            options: options.clone(),
            registry: registry.clone(),
            counters: counters.clone(),
            place,
            presence: events.presence(peer),
        }
    }

    /// What counts its end.
    pub(super) fn closing(&self) -> Closing {
        Closing { reason: Reason::Ended, counters: self.counters.clone() }
    }
}

/// Counts the end of a connection, also of one that is cut by a shutdown.
pub(super) struct Closing {
    pub(super) reason: Reason,
    counters: Arc<Counters>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.counters.closed(self.reason);
    }
}

impl Registry {
    fn new() -> Self {
        let (changed, changes) = watch::channel(());
        Self {
            cores: Mutex::default(),
            changed: Mutex::new(Some(changed)),
            changes,
            peers: AtomicU64::new(1),
        }
    }

    fn insert(&self, handle: CoreHandle) {
        lock(&self.cores).insert(handle.key.discovery_key(), handle);
        if let Some(changed) = &*lock(&self.changed) {
            changed.send_replace(());
        }
    }

    /// Lets go of all cores, so that their tasks end.
    fn close(&self) {
        lock(&self.changed).take();
        lock(&self.cores).clear();
    }

    pub(super) fn keys(&self) -> Vec<PublicKey> {
        lock(&self.cores).values().map(|core| core.key).collect()
    }

    pub(super) fn get(&self, key: &PublicKey) -> Option<CoreHandle> {
        self.find(&key.discovery_key())
    }

    pub(super) fn find(&self, discovery_key: &[u8; 32]) -> Option<CoreHandle> {
        lock(&self.cores).get(discovery_key).cloned()
    }

    /// Tells when a core was added; an error when there will be no more.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these; were it so, what is behind it is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
