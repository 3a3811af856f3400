//! Peers as people name them: `--peer HOST:PORT`.

use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::Context;
use libvms::net::Network;

/// A peer by the name or address of its machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PeerName {
    /// A name, or an address without brackets.
    host: String,
    port: u16,
}

/// The text names no peer.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not HOST:PORT")]
pub(super) struct PeerNameError(String);

impl FromStr for PeerName {
    type Err = PeerNameError;

    fn from_str(text: &str) -> Result<Self, PeerNameError> {
        let wrong = || PeerNameError(text.into());
        // As hosts print it.
        let (host, port) = text.trim_start_matches("tcp://").rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let bare =
            host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']')).ok_or_else(wrong)?;
        // An address of IPv6 needs its brackets: where it ends and the port begins is open otherwise.
        let is_bare_ipv6 = bare == host && host.contains(':');
        if bare.is_empty() || is_bare_ipv6 || bare.contains(['/', ' ', '@']) {
            return Err(wrong());
        }
        Ok(Self { host: bare.into(), port })
    }
}

impl PeerName {
    /// All addresses of its machine.
    async fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found = found.with_context(|| format!("cannot find the peer {}:{}", self.host, self.port))?;
        Ok(found.collect())
    }
}

/// Connects to these peers, and again whenever a connection ends.
///
/// # Errors
/// Where a name is not known.
pub(super) async fn connect_peers(network: &Network, peers: &[PeerName]) -> anyhow::Result<()> {
    for peer in peers {
        peer.addresses().await?.into_iter().for_each(|address| network.connect(address));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_have_names_or_addresses() {
        for (text, host, port) in [
            ("127.0.0.1:4444", "127.0.0.1", 4444),
            ("peer.example.org:1", "peer.example.org", 1),
            ("localhost:65535", "localhost", 65535),
            ("[::1]:4444", "::1", 4444),
            ("tcp://127.0.0.1:4444", "127.0.0.1", 4444),
        ] {
            let expected = PeerName { host: host.into(), port };
            assert_eq!(text.parse::<PeerName>().ok(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_names_no_peer_is_refused() {
        for text in
            ["", "peer", ":1", "peer:", "peer:0", "peer:65536", "::1:4444", "[::1:4444", "a b:1", "ws://a/:1"]
        {
            assert!(text.parse::<PeerName>().is_err(), "{text}");
        }
    }
}
