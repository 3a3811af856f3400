//! What all connections of a network share, over TCP and through the swarm.

use std::sync::Arc;

use tokio::sync::watch;

use super::admission::{Admission, ConnectionPermit};
use super::event::{Events, PresenceGuard, RemotePeer};
use super::metrics::{Counters, Reason};
use super::options::NetworkOptions;
use super::registry::Registry;

/// What all connections of a network share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: NetworkOptions,
    pub(super) registry: Arc<Registry>,
    pub(super) admission: Arc<Admission>,
    pub(super) counters: Arc<Counters>,
    pub(super) events: Events,
    pub(super) stop: watch::Sender<bool>,
}

/// What a connection shares with others of its network, and its place among them.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) options: NetworkOptions,
    pub(super) registry: Arc<Registry>,
    pub(super) counters: Arc<Counters>,
    pub(super) place: ConnectionPermit,
    /// What tells others that the peer is there.
    pub(super) presence: PresenceGuard,
}

impl Shared {
    /// What a connection needs.
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

    /// What counts its end.
    pub(super) fn closing(&self) -> ConnectionGuard {
        ConnectionGuard { reason: Reason::Ended, counters: self.counters.clone() }
    }
}

/// Counts the end of a connection, also of one that is cut by a shutdown.
pub(super) struct ConnectionGuard {
    pub(super) reason: Reason,
    counters: Arc<Counters>,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.counters.closed(self.reason);
    }
}

pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that the network is gone altogether.
    let _stopped = stop.wait_for(|stop| *stop).await.is_ok();
}
