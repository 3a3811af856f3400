//! Listens, and owns every connection.
//!
//! Start from [`RpcServer::bind`]. One task accepts; each connection has a task in its set, so that ending the first
//! ends all.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection;
use super::files::{self, Files};
use super::origin::Gate;
use super::{RpcOptions, Service};

/// Serves any number of [`Service`]s to callers, each under a path of its own.
///
/// A path takes WebSockets and POST requests, both with JSON-RPC 2.0. The query parameter `user` says who calls.
/// Dropping the server cuts every connection; [`shutdown`](Self::shutdown) lets answers leave first.
///
/// ```no_run
/// # use libvms::rpc::{RpcOptions, RpcServer, Service};
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
    /// Listens at `address`; port 0 takes any free port. Callers are answered 404 until something is mounted.
    ///
    /// # Errors
    ///
    /// Fails when the address can not be listened at, or when no page can have an origin of `allow_origin`.
    pub async fn bind(address: SocketAddr, options: RpcOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let gate = Gate::new(&options.allow_origin, address).map_err(|(origin, error)| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("no page has the origin `{origin}`: {error}"))
        })?;
        let shared = Arc::new(Shared {
            gate,
            options: Arc::new(options),
            services: RwLock::default(),
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
        let mut services = self.shared.services.write().unwrap_or_else(PoisonError::into_inner);
        services.insert(mount_path(path).to_owned(), service);
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
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

/// What every connection knows of its server.
pub(super) struct Shared {
    pub(super) options: Arc<RpcOptions>,
    pub(super) gate: Gate,
    /// By path, without a `/` at the end.
    services: RwLock<HashMap<String, Arc<dyn Service>>>,
    pub(super) stopping: CancellationToken,
}

impl Shared {
    pub(super) fn service_at(&self, path: &str) -> Option<Arc<dyn Service>> {
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        services.get(mount_path(path)).cloned()
    }

    /// The files that a path is about, and what it says below the place of these files. Of two services whose paths it
    /// begins with, the one with the longer path is meant.
    pub(super) fn files_at<'a>(&self, path: &'a str) -> Option<(Arc<dyn Files>, &'a str)> {
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        let (service, name) = path.rmatch_indices(files::PLACE).find_map(|(at, _)| {
            let mount = &path[..at];
            Some((services.get(mount)?.clone(), files::below(path, mount)?))
        })?;
        drop(services);
        Some((service.files()?, name))
    }
}

fn mount_path(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
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
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                Some(ended) = self.connections.join_next() => report(ended),
                accepted = listener.accept() => self.accepted(accepted).await,
            }
        }
        drop(listener);
        let all = async { while self.connections.join_next().await.is_some() {} };
        let _either_way = tokio::time::timeout(self.shared.options.shutdown_timeout, all).await;
        self.connections.shutdown().await;
    }

    async fn accepted(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, _)) if self.connections.len() >= self.shared.options.connections_max => {
                refuse(&stream)
            }
            Ok((stream, peer)) => {
                tracing::trace!(%peer, "connection accepted");
                self.connections.spawn(connection::serve(stream, self.shared.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // The usual reason, too many open files, does not go away by trying at once.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Says why, as far as that fits into the socket at once: nobody waits for one connection too many.
fn refuse(stream: &TcpStream) {
    tracing::debug!("one connection too many");
    let _either_way = stream.try_write(
        b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n",
    );
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
