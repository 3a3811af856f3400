//! What there is to say of a swarm at any moment: [`SwarmStatus`].

use std::net::SocketAddr;

use crate::net::RemotePeer;

/// How the swarm of a network is doing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SwarmStatus {
    /// Where the socket listens that others know (UDP).
    pub address: SocketAddr,
    /// Nodes of the DHT that are known.
    pub nodes: usize,
    /// Topics that were joined.
    pub topics: Vec<SwarmTopic>,
    /// Peers that were met through it and are connected.
    pub peers: Vec<RemotePeer>,
}

/// A topic that was joined.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SwarmTopic {
    /// The discovery key of a core, in hexadecimal.
    pub topic: String,
    /// Nodes that keep our announcement under it, as of the last time that it was made.
    pub nodes: usize,
}
