//! Connections over TCP: accepting them, and running each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use libvms_hypercore::wire::Role;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::{debug, info};

use super::admission::ConnectionPermit;
use super::connection::{self, ConnectionError};
use super::event::{ConnectionKind, RemotePeer};
use super::shared::Shared;

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, address)) => match shared.admission.admit(address.ip()) {
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

/// Runs a connection to its end; returns the reason if it ended early.
pub(super) async fn run(
    socket: TcpStream,
    address: SocketAddr,
    role: Role,
    place: ConnectionPermit,
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
