//! The events of a network: [`NetworkEvent`].
//!
//! A receiver that lags misses events (as in `tokio::sync::broadcast`); nothing waits for receivers.
//! [`Metrics`](super::Metrics) and [`SwarmStatus`](super::SwarmStatus) give the state at any moment.

use std::net::SocketAddr;

use serde::Serialize;
use tokio::sync::broadcast;
use tracing::info;

use super::metrics::Reason;

/// Events that are kept for a receiver that lags.
const KEPT: usize = 1024;

/// An event of a network. In JSON, the field `event` names its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum NetworkEvent {
    /// The first look-up of DHT nodes is complete, or a later one with another result.
    Dht {
        /// The UDP address of our public socket.
        address: SocketAddr,
        /// The number of known nodes. With none, peers are found only at given addresses.
        nodes: usize,
    },
    /// This node was announced as a holder of a core, or announced again.
    Announced {
        /// The discovery key of the core, in hexadecimal.
        topic: String,
        /// The number of DHT nodes that keep the announcement: 20, or all there are, if all went well.
        nodes: usize,
    },
    /// A peer has connected: the handshake is complete, and authenticated data has arrived.
    Connected(RemotePeer),
    /// A peer was found and could not be connected to, and for a while no other peer could. Attempts go on.
    Unreachable {
        /// The peer's key in the swarm, in hexadecimal.
        key: String,
        /// The reason.
        why: String,
    },
    /// A peer has disconnected.
    Disconnected {
        /// The peer.
        #[serde(flatten)]
        peer: RemotePeer,
        /// The reason, by the name of its counter in [`Closed`](super::Closed).
        reason: &'static str,
    },
}

/// The remote side of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemotePeer {
    /// The peer's key in the swarm, in hexadecimal. Peers over TCP have no lasting key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The peer's address.
    pub address: SocketAddr,
    /// How the connection was made.
    pub kind: ConnectionKind,
}

/// How a connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionKind {
    /// Over TCP, to a given address.
    Tcp,
    /// Through the swarm, directly.
    Direct,
    /// Through the swarm, by hole punching.
    Punched,
}

/// The sender of events.
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
        // There may be no receiver.
        let _closed = self.0.send(event);
    }

    /// Returns a guard that reports when this peer connects and disconnects.
    pub(super) fn presence(&self, peer: RemotePeer) -> PresenceGuard {
        PresenceGuard { events: self.clone(), peer, is_there: false, reason: Reason::Ended }
    }
}

/// Reports when a peer connects and disconnects, even if a shutdown cuts the connection.
#[derive(Debug)]
pub(super) struct PresenceGuard {
    events: Events,
    peer: RemotePeer,
    is_there: bool,
    reason: Reason,
}

impl PresenceGuard {
    /// Reports the peer as connected: authenticated data has arrived.
    pub(super) fn arrived(&mut self) {
        if !std::mem::replace(&mut self.is_there, true) {
            let RemotePeer { address, kind, .. } = &self.peer;
            info!(%address, ?kind, "a peer is connected");
            self.events.tell(NetworkEvent::Connected(self.peer.clone()));
        }
    }

    /// Sets the reason of the coming disconnect.
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
