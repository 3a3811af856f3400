//! Listens, and owns every connection.
//!
//! Start from [`RpcServer::bind`]. One task accepts; each connection has a task in its set, so that ending the first
//! ends all. `connection` hands a connection from HTTP to `session`, and both hand texts to `caller`. What all of them hold
//! in memory is counted in `places`. What is read with GET is in [`files`].

mod body;
mod connection;
mod cost;
mod dispatcher;
mod encoding;
pub mod files;
mod forwarded;
mod frames;
mod http;
mod mounts;
mod named;
mod options;
mod origin;
mod outgoing;
mod places;
mod query;
mod request;
mod response;
pub mod service;
mod session;
mod shared;
mod system;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use mounts::Starting;
pub use options::RpcOptions;
pub use origin::{AllowedOrigin, OriginError};
pub use service::{Parameters, RpcCall, Service};

use mounts::Mounts;
use origin::Gate;
use places::{Admission, Places};
use shared::Shared;
use system::{allow_descriptors, give_back};

/// Files and sockets that a process has open besides callers' connections.
const DESCRIPTORS_BESIDES: u64 = 4_096;

/// Bytes that the system buffers in each direction of a connection: enough for 25 Mbit/s around the world.
const SYSTEM_BUFFER_BYTES: u32 = 512 << 10;

/// Connections that the system has accepted and we have not.
const CONNECTIONS_WAITING_MAX: u32 = 4_096;

/// How long a new connection may say nothing although its own address opens more than there is room for. Its request is
/// with the system already, as a rule; but a busy machine takes a moment to look.
const SILENCE_GRACE: Duration = Duration::from_millis(200);

/// How often those who wait for room are looked after.
const WAITING_INTERVAL: Duration = Duration::from_millis(200);

/// How often memory that callers no longer use may be given back to the system.
const RECLAIM_INTERVAL: Duration = Duration::from_secs(1);

/// Serves any number of [`Service`]s to callers, each under a path of its own.
///
/// A path takes WebSockets and POST requests, both with JSON-RPC 2.0. The query parameter `user` says who calls.
/// Dropping the server cuts every connection; [`shutdown`](Self::shutdown) lets answers leave first.
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
    ended: CancellationToken,
}

impl RpcServer {
    /// Listens at `address`; port 0 takes any free port. Callers are asked to come back (503) until something is mounted.
    ///
    /// # Errors
    ///
    /// Fails when the address cannot be listened at, or when no page can have an origin of `allow_origin`.
    pub async fn bind(address: SocketAddr, options: RpcOptions) -> io::Result<Self> {
        // For these connections, and for all else that a host has open.
        allow_descriptors(options.connections_max as u64 + DESCRIPTORS_BESIDES);
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let gate = Gate::new(&options.allow_origin, address).map_err(|(origin, error)| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("no page has the origin `{origin}`: {error}"))
        })?;
        let shared = Arc::new(Shared {
            gate,
            places: Places::new(&options),
            options: Arc::new(options),
            mounts: Mounts::default(),
            stopping: CancellationToken::new(),
        });
        let ended = CancellationToken::new();
        let accepting = Accepting {
            shared: shared.clone(),
            connections: JoinSet::new(),
            _ended: ended.clone().drop_guard(),
        };
        let accepting = tokio::spawn(accepting.run(listener)).abort_handle();
        Ok(Self { address, shared, accepting, ended })
    }

    /// Serves `service` at `path`, `/` or `/name`, from now on, in place of what was there.
    ///
    /// A `/` at the end of a path means nothing. Connections that are open stay with the service they began with.
    pub fn mount(&self, path: &str, service: Arc<dyn Service>) {
        self.shared.mounts.mount(path, service);
    }

    /// Asks callers of `path` to come back in a moment, until a service is mounted there.
    pub fn prepare(&self, path: &str) -> Starting {
        self.shared.mounts.prepare(path)
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Connections at the moment.
    pub fn connections(&self) -> usize {
        self.shared.places.connections()
    }

    /// Accepts nobody any more and reads no more requests; returns when every connection has ended.
    ///
    /// Calls in flight are answered as long as that takes no longer than `shutdown_timeout`; then all is cut.
    pub async fn shutdown(&self) {
        self.shared.stopping.cancel();
        self.ended.cancelled().await;
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

/// Sockets that hold no more in the system than a few messages: what a caller has sent and we have not read, and what
/// it has not read, would otherwise grow to ten megabytes for each connection.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As tokio does: a restart must not wait for connections of before.
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
    /// Tells `shutdown` that all is over, however it came to that.
    _ended: DropGuard,
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
                // Some stall, and others wait for what they hold.
                _ = waiting.tick() => self.shared.places.serve_waiting(),
                _ = reclaim.tick() => if self.shared.places.has_shrunk() {
                    // It takes a while where much lies free.
                    tokio::task::spawn_blocking(give_back);
                }
            }
        }
        drop(listener);
        let all = async { while self.connections.join_next().await.is_some() {} };
        let _either_way = tokio::time::timeout(self.shared.options.shutdown_timeout, all).await;
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
                // The usual reason, too many open files, does not go away by trying at once.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Accepting {
    async fn admit(&mut self, stream: TcpStream, address: IpAddr) {
        let Shared { options, places, stopping, .. } = &*self.shared;
        let is_proxied = options.trust_proxy.contains(&address);
        let place = loop {
            match places.admit((!is_proxied).then_some(address), SILENCE_GRACE) {
                Admission::Admitted(place) => break place,
                Admission::Full => return connection::refuse(&stream),
                // Further newcomers wait with the system.
                Admission::Wait(left) => tokio::select! {
                    () = stopping.cancelled() => return,
                    () = tokio::time::sleep(left) => {}
                },
            }
        };
        self.connections.spawn(connection::serve(stream, place, is_proxied, self.shared.clone()));
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
