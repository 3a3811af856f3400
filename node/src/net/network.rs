//! The sockets, and who may come through them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libvms_protocol::identity::PublicKey;
use libvms_protocol::wire::Role;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, info};

use super::connection;
use super::core::{self, CoreEvent, CoreHandle, Held};

/// How many a network lets in.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Connections in all. More are closed at once.
    pub connections_max: usize,
    /// Connections from one address.
    pub connections_per_address_max: usize,
    /// How long to wait before a peer that was asked for is connected to again, at first; it doubles up to a minute.
    pub reconnect_delay: Duration,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_per_address_max: 128,
            reconnect_delay: Duration::from_millis(250),
        }
    }
}

/// There is no network.
#[derive(Debug, Error)]
#[error("cannot listen for peers on {address}: {source}")]
pub struct NetworkError {
    address: SocketAddr,
    source: io::Error,
}

/// The longest wait before a peer is connected to again.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(60);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Cores that are held here, and the connections to those who hold them too.
///
/// Dropping it cuts all connections; [`Network::shutdown`] brings everything to disk first.
#[derive(Debug)]
pub struct Network {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
    cores: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    options: NetworkOptions,
    registry: Arc<Registry>,
    connections: Mutex<BTreeMap<IpAddr, usize>>,
    stop: watch::Sender<bool>,
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
            options,
            registry: Arc::new(Registry::new()),
            connections: Mutex::default(),
            stop: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared), tasks: Mutex::default(), cores: Mutex::default() }
    }

    /// Holds a core: serves it, and where it is a copy, completes it. `events` hears what there is to tell about it.
    ///
    /// Must be called within a Tokio runtime. A core that is held already stays as it is.
    pub fn hold(&self, held: Held, events: Option<mpsc::UnboundedSender<CoreEvent>>) {
        let registry = &self.shared.registry;
        if registry.get(&held.key()).is_none() {
            let handle = core::start(held, events, &mut lock(&self.cores));
            registry.insert(handle);
        }
    }

    /// Accepts connections on an address; gives the one that it got.
    ///
    /// # Errors
    /// Where the address can not be had.
    pub async fn listen(&self, address: SocketAddr) -> Result<SocketAddr, NetworkError> {
        let failed = |source| NetworkError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        lock(&self.tasks).spawn(accept(listener, self.shared.clone()));
        Ok(local)
    }

    /// Keeps a connection to a peer, as long as the network lasts.
    pub fn connect(&self, address: SocketAddr) {
        lock(&self.tasks).spawn(keep_connected(address, self.shared.clone()));
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
                Ok((socket, address)) => match shared.admit(address.ip()) {
                    Some(place) => {
                        connections.spawn(run(socket, address, Role::Responder, place));
                    }
                    None => debug!(%address, "too many connections"),
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

async fn keep_connected(address: SocketAddr, shared: Arc<Shared>) {
    let mut stop = shared.stop.subscribe();
    let mut delay = shared.options.reconnect_delay;
    loop {
        let connected = async {
            let socket =
                tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await.ok()?.ok()?;
            let place = shared.admit(address.ip())?;
            run(socket, address, Role::Initiator, place).await;
            Some(())
        };
        let ended = tokio::select! {
            () = stopped(&mut stop) => return,
            ended = connected => ended,
        };
        delay = match ended {
            Some(()) => shared.options.reconnect_delay,
            None => (delay * 2).min(RECONNECT_DELAY_MAX),
        };
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(delay) => {}
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that the network is gone altogether.
    let _stopped = stop.wait_for(|stop| *stop).await.is_ok();
}

async fn run(socket: TcpStream, address: SocketAddr, role: Role, place: Place) {
    debug!(%address, ?role, "connected");
    match connection::run(socket, role, place.shared.registry.clone()).await {
        Ok(()) => debug!(%address, "disconnected"),
        Err(error) => info!(%address, %error, "a connection ended"),
    }
}

/// A connection's place among those that are allowed.
struct Place {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Shared {
    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut connections = lock(&self.connections);
        let all: usize = connections.values().sum();
        let same = connections.get(&address).copied().unwrap_or(0);
        if all >= self.options.connections_max || same >= self.options.connections_per_address_max {
            return None;
        }
        connections.insert(address, same + 1);
        Some(Place { shared: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = lock(&self.shared.connections);
        if let Some(count) = connections.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&self.address);
            }
        }
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
