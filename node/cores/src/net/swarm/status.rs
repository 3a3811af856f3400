//! A swarm's state at any moment: [`SwarmStatus`].

use std::net::SocketAddr;

use crate::net::RemotePeer;

/// The state of a network's swarm.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SwarmStatus {
    /// The UDP address of the public socket.
    pub address: SocketAddr,
    /// The number of known DHT nodes.
    pub nodes: usize,
    /// The joined topics.
    pub topics: Vec<SwarmTopic>,
    /// The connected peers that were found through the swarm.
    pub peers: Vec<RemotePeer>,
}

/// A joined topic.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SwarmTopic {
    /// The discovery key of a core, in hexadecimal.
    pub topic: String,
    /// The number of nodes that keep our announcement under the topic, as of the last announcement.
    pub nodes: usize,
}
