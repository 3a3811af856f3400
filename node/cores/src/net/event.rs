//! What happens in a network, told as it happens: [`NetworkEvent`].
//!
//! Whoever listens too slowly misses events; nothing waits for listeners. [`Metrics`](super::Metrics) and
//! [`SwarmStatus`](super::SwarmStatus) are what there is at any moment.

use std::net::SocketAddr;

use serde::Serialize;
use tokio::sync::broadcast;
use tracing::info;

use super::metrics::Reason;

/// Events that are kept for somebody who listens slowly.
const KEPT: usize = 1024;

/// Something that has happened in a network. As JSON, `event` says what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum NetworkEvent {
    /// The first look for nodes of the DHT is over, or a later one that ended differently.
    Dht {
        /// Where our socket listens that others know (UDP).
        address: SocketAddr,
        /// Nodes that are known. With none, peers are found only at addresses that are given.
        nodes: usize,
    },
    /// This node was announced as one to have a core from, or announced again.
    Announced {
        /// The discovery key of the core, in hexadecimal.
        topic: String,
        /// Nodes of the DHT that keep the announcement: 20 or all there are, if all went well.
        nodes: usize,
    },
    /// A peer is there: it has shaken hands, and something authentic has come from it.
    Connected(RemotePeer),
    /// A peer was found and could not be connected to, and for a while nobody else could. Attempts go on.
    Unreachable {
        /// Its key in the swarm, in hexadecimal.
        key: String,
        /// Why.
        why: String,
    },
    /// A peer that was there is gone.
    Disconnected {
        /// Who.
        #[serde(flatten)]
        peer: RemotePeer,
        /// Why, by the name that the counter of it has in [`Closed`](super::Closed).
        reason: &'static str,
    },
}

/// The other side of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemotePeer {
    /// Its key in the swarm, in hexadecimal. Peers over TCP have none that lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where it is.
    pub address: SocketAddr,
    /// How it was reached, or reached us.
    pub kind: ConnectionKind,
}

/// How a connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionKind {
    /// Over TCP, to an address that was given.
    Tcp,
    /// Through the swarm, with nothing in the way.
    Direct,
    /// Through the swarm and a hole in a firewall.
    Punched,
}

/// Where events are told.
#[derive(Clone, Debug)]
pub(super) struct Events(broadcast::Sender<NetworkEvent>);

impl Events {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<NetworkEvent> {
        self.0.subscribe()
    }

    pub(super) fn tell(&self, event: NetworkEvent) {
        // Nobody has to listen.
        let _unheard = self.0.send(event);
    }

    /// What tells that this peer came, and went.
    pub(super) fn presence(&self, peer: RemotePeer) -> PresenceGuard {
        PresenceGuard { events: self.clone(), peer, is_there: false, reason: Reason::Ended }
    }
}

/// Tells when a peer comes and when it goes, also when its connection is cut by a shutdown.
#[derive(Debug)]
pub(super) struct PresenceGuard {
    events: Events,
    peer: RemotePeer,
    is_there: bool,
    reason: Reason,
}

impl PresenceGuard {
    /// Something authentic has come.
    pub(super) fn arrived(&mut self) {
        if !std::mem::replace(&mut self.is_there, true) {
            let RemotePeer { address, kind, .. } = &self.peer;
            info!(%address, ?kind, "a peer is connected");
            self.events.tell(NetworkEvent::Connected(self.peer.clone()));
        }
    }

    /// Says why it will be gone.
    pub(super) fn leaves(&mut self, reason: Reason) {
        self.reason = reason;
    }
}

impl Drop for PresenceGuard {
    fn drop(&mut self) {
        if self.is_there {
            let (peer, reason) = (self.peer.clone(), self.reason.name());
            info!(address = %peer.address, reason, "a peer is gone");
            self.events.tell(NetworkEvent::Disconnected { peer, reason });
        }
    }
}
