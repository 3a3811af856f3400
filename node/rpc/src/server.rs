//! The server: listens, and owns every connection.
//!
//! Start from [`RpcServer::bind`]. One task accepts connections; each connection has a task in the accepting task's
//! set, so that ending the first ends all. `transport` passes an upgraded connection from HTTP to its WebSocket, and both
//! pass texts to `dispatcher`. `admission` counts the memory that all of them hold. [`files`] serves GET requests.

mod admission;
mod caller;
mod cost;
mod dispatcher;
pub mod files;
mod mounts;
mod named;
mod options;
mod origin;
#[cfg(feature = "test-support")]
pub mod probe;
mod query;
mod request;
mod response;
pub mod service;
mod shared;
mod system;
mod transport;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use mounts::Starting;
pub use options::RpcOptions;
pub use origin::{AllowedOrigin, OriginError};
pub use service::{CallOrigin, HandshakeRequest, Parameters, RpcAnswer, RpcCall, Service};

use admission::{Admission, Decision};
use mounts::Mounts;
use origin::Gate;
use shared::Shared;
use system::{allow_descriptors, give_back};

/// Descriptors of a process besides those of callers' connections.
const DESCRIPTORS_BESIDES: u64 = 4_096;

/// Bytes of the system's socket buffer in each direction: enough for 25 Mbit/s around the world.
const SYSTEM_BUFFER_BYTES: u32 = 512 << 10;

/// The backlog of the listening socket: connections that the system has accepted and the server has not.
const CONNECTIONS_WAITING_MAX: u32 = 4_096;

/// How long a new connection may be silent while its own address opens more connections than there is room for. Usually
/// the system has received its request already, but a busy machine takes a moment to read the request.
const SILENCE_GRACE: Duration = Duration::from_millis(200);

/// How often messages that wait for room are served.
const WAITING_INTERVAL: Duration = Duration::from_millis(200);

/// The shortest interval between two returns of unused memory to the system.
const RECLAIM_INTERVAL: Duration = Duration::from_secs(1);

/// A server for any number of [`Service`]s, each under a path of its own.
///
/// A path takes WebSockets and POST requests, both with JSON-RPC 2.0. The query parameter `user` names the caller.
/// Dropping the server cuts every connection; [`shutdown`](Self::shutdown) sends pending answers first.
///
/// ```no_run
/// # use libvms_rpc::{RpcOptions, RpcServer, Service};
/// # async fn example(service: std::sync::Arc<dyn Service>) -> std::io::Result<()> {
/// let server = RpcServer::bind(([127, 0, 0, 1], 5555).into(), RpcOptions::default()).await?;
/// server.mount("/", service);
/// server.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct RpcServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
    /// The accepting task alone, which owns the tasks of the connections.
    tasks: TaskTracker,
}

impl RpcServer {
    /// Listens at `address`; port 0 takes any free port. Callers are answered with 503 until a service is mounted.
    ///
    /// # Errors
    ///
    /// Fails when the server cannot listen at `address`, or when `allow_origin` holds an origin that no page can have.
    pub async fn bind(address: SocketAddr, options: RpcOptions) -> io::Result<Self> {
        // Descriptors for the connections, and for all other files and sockets of a host.
        allow_descriptors(options.connections_max as u64 + DESCRIPTORS_BESIDES);
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let gate = Gate::new(&options.allow_origin, address).map_err(|(origin, error)| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("no page has the origin `{origin}`: {error}"))
        })?;
        let shared = Arc::new(Shared {
            gate,
            admission: Admission::new(&options),
            options: Arc::new(options),
            mounts: Mounts::default(),
            stopping: CancellationToken::new(),
        });
        let accepting = Accepting { shared: shared.clone(), connections: JoinSet::new() };
        let tasks = TaskTracker::new();
        let accepting = tasks.spawn(accepting.run(listener)).abort_handle();
        tasks.close();
        Ok(Self { address, shared, accepting, tasks })
    }

    /// Mounts `service` at `path`, `/` or `/name`, in place of the service mounted there before.
    ///
    /// A `/` at the end of a path is ignored. Open connections stay with the service they began with.
    pub fn mount(&self, path: &str, service: Arc<dyn Service>) {
        self.shared.mounts.mount(path, service);
    }

    /// Answers callers of `path` with 503 and `Retry-After`, until a service is mounted there.
    pub fn prepare(&self, path: &str) -> Starting {
        self.shared.mounts.prepare(path)
    }

    /// Returns the address at which the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns the current number of connections.
    pub fn connections(&self) -> usize {
        self.shared.admission.connections()
    }

    /// Accepts no more connections and reads no more requests; returns when every connection has ended.
    ///
    /// Calls in flight are answered within `shutdown_timeout`; then the remaining connections are cut.
    pub async fn shutdown(&self) {
        self.shared.stopping.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl fmt::Debug for RpcServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RpcServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Returns a listening socket with small system buffers: the unread bytes of a connection, in both directions, could
/// otherwise grow to ten megabytes.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As tokio does: a restart must not wait for connections of the earlier process.
    socket.set_reuseaddr(true)?;
    socket.set_recv_buffer_size(SYSTEM_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SYSTEM_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(CONNECTIONS_WAITING_MAX)
}

/// The task that accepts connections.
struct Accepting {
    shared: Arc<Shared>,
    connections: JoinSet<()>,
}

impl Accepting {
    async fn run(mut self, listener: TcpListener) {
        let stopping = self.shared.stopping.clone();
        let mut waiting = tokio::time::interval(WAITING_INTERVAL);
        let mut reclaim = tokio::time::interval(RECLAIM_INTERVAL);
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                Some(ended) = self.connections.join_next() => report(ended),
                accepted = listener.accept() => self.accepted(accepted).await,
                // Some connections stall and hold memory that others wait for.
                _ = waiting.tick() => self.shared.admission.serve_waiting(),
                _ = reclaim.tick() => if self.shared.admission.has_shrunk() {
                    // Returning memory takes time when much of it is free.
                    tokio::task::spawn_blocking(give_back);
                }
            }
        }
        drop(listener);
        let all = async { while self.connections.join_next().await.is_some() {} };
        let _ignored = tokio::time::timeout(self.shared.options.shutdown_timeout, all).await;
        self.connections.shutdown().await;
    }

    async fn accepted(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => {
                tracing::trace!(%peer, "connection accepted");
                self.admit(stream, peer.ip().to_canonical()).await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // The usual reason, too many open files, persists for a moment: do not retry at once.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Accepting {
    async fn admit(&mut self, stream: TcpStream, address: IpAddr) {
        let Shared { options, admission, stopping, .. } = &*self.shared;
        let is_proxied = options.trust_proxy.contains(&address);
        let permit = loop {
            match admission.admit((!is_proxied).then_some(address), SILENCE_GRACE) {
                Decision::Admitted(permit) => break permit,
                Decision::Full => return transport::refuse(&stream),
                // Further connections wait in the system's backlog.
                Decision::Wait(left) => tokio::select! {
                    () = stopping.cancelled() => return,
                    () = tokio::time::sleep(left) => {}
                },
            }
        };
        self.connections.spawn(transport::serve(stream, permit, is_proxied, self.shared.clone()));
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
