//! How a network joins Hyperswarm: [`SwarmOptions`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use libvms_hypercore::identity::SecretKey;
use libvms_hyperswarm::dht_rpc::node::Mode;
use libvms_hyperswarm::dht_rpc::{self, Address};
use thiserror::Error;
use tracing::warn;

use super::address;

/// The bootstrap nodes of npm hyperdht.
const PUBLIC: [&str; 3] = [
    "88.99.3.86@node1.hyperdht.org:49737",
    "142.93.90.113@node2.hyperdht.org:49737",
    "138.68.147.8@node3.hyperdht.org:49737",
];

/// A bootstrap node: `HOST:PORT`, or `IP@HOST:PORT`, where the address saves a DNS look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    ip: Option<Ipv4Addr>,
    host: String,
    port: u16,
}

/// The text is not a bootstrap node.
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

/// A node's role in the DHT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwarmMode {
    /// The node sends queries; it answers others once it has been online for a while and can be reached from outside.
    Adaptive,
    /// The node answers others from the beginning: its operator vouches that it can be reached.
    Persistent {
        /// The public address, if known; otherwise other nodes report it.
        public: Option<Ipv4Addr>,
    },
}

/// How a network joins Hyperswarm.
#[derive(Clone, Debug)]
pub struct SwarmOptions {
    /// Bootstrap nodes; empty for a node that waits until others find it.
    pub bootstrap: Vec<Bootstrap>,
    /// The address to bind to.
    pub bind: IpAddr,
    /// The port of the public socket; 0 for any.
    pub port: u16,
    /// This node's key. Peers use it to tell connections apart, and for nothing else.
    pub key: SecretKey,
    /// This node's role in the DHT.
    pub mode: SwarmMode,
}

impl SwarmOptions {
    /// Returns options with a new key.
    ///
    /// # Errors
    /// When the system returns no random numbers.
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

    /// Returns the bootstrap nodes of the public network.
    pub fn public() -> Vec<Bootstrap> {
        PUBLIC.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Resolves the addresses of the bootstrap nodes. A name that does not resolve is left out, with a warning.
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

    pub(super) fn config(&self, bootstrap: Vec<Address>, local: SocketAddr) -> dht_rpc::Config {
        let mode = match self.mode {
            SwarmMode::Adaptive => Mode::Adaptive,
            SwarmMode::Persistent { public } => {
                Mode::Persistent { address: public.map(|ip| Address::new(ip, local.port())) }
            }
        };
        dht_rpc::Config { mode, ..dht_rpc::Config::new(bootstrap, local.port()) }
    }
}
