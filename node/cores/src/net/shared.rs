//! State shared by all connections of a network, over TCP and through the swarm.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::admission::{Admission, ConnectionPermit};
use super::event::{Events, PresenceGuard, RemotePeer};
use super::metrics::{Counters, Reason};
use super::options::NetworkOptions;
use super::registry::Registry;

/// State shared by all connections of a network.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: NetworkOptions,
    pub(super) registry: Arc<Registry>,
    pub(super) admission: Arc<Admission>,
    pub(super) counters: Arc<Counters>,
    pub(super) events: Events,
    /// Cancelled when the network shuts down.
    pub(super) stop: CancellationToken,
}

/// A connection's share of the network's state, and its own permit.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) options: NetworkOptions,
    pub(super) registry: Arc<Registry>,
    pub(super) counters: Arc<Counters>,
    pub(super) place: ConnectionPermit,
    /// Reports that the peer is connected.
    pub(super) presence: PresenceGuard,
}

impl Shared {
    /// Returns the context of a new connection.
    pub(super) fn context(&self, place: ConnectionPermit, peer: RemotePeer) -> Context {
        let Self { options, registry, counters, events, .. } = self;
        Context {
            options: options.clone(),
            registry: registry.clone(),
            counters: counters.clone(),
            place,
            presence: events.presence(peer),
        }
    }

    /// Returns a guard that counts the end of the connection.
    pub(super) fn closing(&self) -> ConnectionGuard {
        ConnectionGuard { reason: Reason::Ended, counters: self.counters.clone() }
    }
}

/// Counts the end of a connection, even if a shutdown cuts it.
pub(super) struct ConnectionGuard {
    pub(super) reason: Reason,
    counters: Arc<Counters>,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.counters.closed(self.reason);
    }
}
