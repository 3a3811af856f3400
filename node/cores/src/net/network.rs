//! [`Network`]: the sockets, the cores that are served, and the connections.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::core_task::{self, CoreEvent, SharedCore};
use super::dial::{Whereabouts, keep_connected};
use super::event::{Events, NetworkEvent};
use super::metrics::Metrics;
use super::options::NetworkOptions;
use super::registry::Registry;
use super::shared::Shared;
use super::swarm::{Swarm, SwarmOptions, SwarmStatus};
use super::sync::lock;
use super::tcp::accept;

/// The listening socket could not be bound.
#[derive(Debug, Error)]
#[error("cannot listen for peers on {address}: {source}")]
pub struct NetworkError {
    address: SocketAddr,
    source: io::Error,
}

impl NetworkError {
    /// Returns whether another socket has the address.
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// The cores that this process serves, and the connections to other peers that have them.
///
/// Dropping it cuts all connections; [`Network::shutdown`] syncs everything to disk first.
#[derive(Debug)]
pub struct Network {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
    cores: Mutex<JoinSet<()>>,
    swarm: Mutex<Option<Arc<Swarm>>>,
}

impl Network {
    /// Returns a network without cores and peers.
    pub fn new(options: NetworkOptions) -> Self {
        let shared = Shared {
            admission: Admission::new(&options),
            options,
            registry: Arc::new(Registry::new()),
            counters: Arc::default(),
            events: Events::new(),
            stop: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
            tasks: Mutex::default(),
            cores: Mutex::default(),
            swarm: Mutex::default(),
        }
    }

    /// Serves a core, and completes it if it is a copy. `events` receives the events of the copy.
    ///
    /// Must be called within a Tokio runtime. Adding a core again changes nothing.
    pub fn add_core(&self, held: SharedCore, events: Option<mpsc::UnboundedSender<CoreEvent>>) {
        let registry = &self.shared.registry;
        if registry.get(&held.key()).is_none() {
            let config = core_task::Config {
                request_timeout: self.shared.options.request_timeout,
                counters: self.shared.counters.clone(),
            };
            let handle = core_task::start(held, events, config, &mut lock(&self.cores));
            registry.insert(handle);
        }
    }

    /// Accepts connections on `address`; returns the bound address.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn listen(&self, address: SocketAddr) -> Result<SocketAddr, NetworkError> {
        let failed = |source| NetworkError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        lock(&self.tasks).spawn(accept(listener, self.shared.clone()));
        Ok(local)
    }

    /// Keeps a connection to a peer at a fixed address, as long as the network lasts.
    pub fn connect(&self, address: SocketAddr) {
        self.connect_to(address);
    }

    /// Keeps a connection to a peer that may move: `whereabouts` is asked for addresses before each attempt.
    pub fn connect_to(&self, whereabouts: impl Whereabouts) {
        lock(&self.tasks).spawn(keep_connected(Arc::new(whereabouts), self.shared.clone()));
    }

    /// Finds peers through Hyperswarm: joins the topics of all present and future cores. Returns the address of the
    /// public socket.
    ///
    /// # Errors
    /// When this socket cannot be bound.
    pub async fn join_swarm(&self, options: SwarmOptions) -> Result<SocketAddr, NetworkError> {
        let address = SocketAddr::new(options.bind, options.port);
        let started = Swarm::start(options).await;
        let (swarm, driver) = started.map_err(|source| NetworkError { address, source })?;
        let address = driver.local_addr();
        *lock(&self.swarm) = Some(swarm);
        lock(&self.tasks).spawn(driver.run(self.shared.clone()));
        Ok(address)
    }

    /// Returns the state of the swarm; `None` without one.
    pub fn swarm(&self) -> Option<SwarmStatus> {
        lock(&self.swarm).as_ref().map(|swarm| swarm.status())
    }

    /// Subscribes to events from now on. A receiver that lags misses some.
    pub fn events(&self) -> broadcast::Receiver<NetworkEvent> {
        self.shared.events.subscribe()
    }

    /// Returns the counters so far.
    pub fn metrics(&self) -> Metrics {
        let (connections, buffered_bytes) = self.shared.admission.used();
        self.shared.counters.snapshot(connections, buffered_bytes)
    }

    /// Ends all connections, and returns when everything is on disk.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
        self.shared.registry.close();
        let mut cores = std::mem::take(&mut *lock(&self.cores));
        while cores.join_next().await.is_some() {}
    }
}
