//! How a network takes part in Hyperswarm.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use libvms_hypercore::identity::SecretKey;
use libvms_hyperswarm::dht_rpc::node::Mode;
use libvms_hyperswarm::dht_rpc::{self, Address};
use thiserror::Error;
use tracing::warn;

use super::address;

/// The nodes that npm hyperdht begins with.
const PUBLIC: [&str; 3] = [
    "88.99.3.86@node1.hyperdht.org:49737",
    "142.93.90.113@node2.hyperdht.org:49737",
    "138.68.147.8@node3.hyperdht.org:49737",
];

/// A node of the DHT to begin with: `HOST:PORT`, or `IP@HOST:PORT`, where the address spares a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    ip: Option<Ipv4Addr>,
    host: String,
    port: u16,
}

/// What should be a node is none.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0} is not HOST:PORT")]
pub struct BootstrapError(String);

impl FromStr for Bootstrap {
    type Err = BootstrapError;

    fn from_str(text: &str) -> Result<Self, BootstrapError> {
        let wrong = || BootstrapError(text.into());
        let (ip, rest) = match text.split_once('@') {
            Some((ip, rest)) => (Some(ip.parse().map_err(|_| wrong())?), rest),
            None => (None, text),
        };
        let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self { ip, host: host.into(), port })
    }
}

/// What part a node takes in the DHT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwarmMode {
    /// It asks, and helps others once it has been there for a while and can be reached from outside.
    Adaptive,
    /// It helps others from the beginning: whoever runs it vouches that it can be reached.
    Persistent {
        /// Under which address, where that is known; else other nodes tell.
        public: Option<Ipv4Addr>,
    },
}

/// How a network takes part.
#[derive(Clone, Debug)]
pub struct SwarmOptions {
    /// Nodes to begin with; empty for a node that waits until others find it.
    pub bootstrap: Vec<Bootstrap>,
    /// The address to bind to.
    pub bind: IpAddr,
    /// The port of the socket that others know; 0 for any.
    pub port: u16,
    /// Who this node is. Peers use it to tell connections apart, and for nothing else.
    pub key: SecretKey,
    /// What part it takes in the DHT.
    pub mode: SwarmMode,
}

impl SwarmOptions {
    /// A node with a new key.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn new(bootstrap: Vec<Bootstrap>) -> std::io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        Ok(Self {
            bootstrap,
            bind: Ipv4Addr::UNSPECIFIED.into(),
            port: 0,
            key: SecretKey::from_seed(&seed),
            mode: SwarmMode::Adaptive,
        })
    }

    /// The nodes of the public network.
    pub fn public() -> Vec<Bootstrap> {
        PUBLIC.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// The addresses of the nodes to begin with. A name that leads nowhere is left out, with a warning.
    pub(super) async fn resolve(&self) -> Vec<Address> {
        let mut addresses = vec![];
        for Bootstrap { ip, host, port } in &self.bootstrap {
            if let Some(ip) = ip {
                addresses.push(Address::new(*ip, *port));
                continue;
            }
            match tokio::net::lookup_host((host.as_str(), *port)).await {
                Ok(found) => addresses.extend(found.filter_map(address).take(1)),
                Err(error) => warn!(host, %error, "a node to begin with has no address"),
            }
        }
        addresses
    }

    pub(super) fn settings(&self, bootstrap: Vec<Address>, local: SocketAddr) -> dht_rpc::Settings {
        let mode = match self.mode {
            SwarmMode::Adaptive => Mode::Adaptive,
            SwarmMode::Persistent { public } => {
                Mode::Persistent { address: public.map(|ip| Address::new(ip, local.port())) }
            }
        };
        dht_rpc::Settings { mode, ..dht_rpc::Settings::new(bootstrap, local.port()) }
    }
}
