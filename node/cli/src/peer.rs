//! Peers of the option `--peer HOST:PORT`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use libvms::net::{Network, Whereabouts};
use tokio::time::Instant;
use tracing::warn;

/// Interval at which the warning about an unknown name is repeated.
const TELL_AGAIN: Duration = Duration::from_secs(600);

/// The host name or address of a peer, and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PeerName {
    /// A name, or an address without brackets.
    host: String,
    port: u16,
}

/// The text is not HOST:PORT.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not HOST:PORT with a port from 1 to 65535; an IPv6 address needs brackets")]
pub(super) struct PeerNameError(String);

impl FromStr for PeerName {
    type Err = PeerNameError;

    fn from_str(text: &str) -> Result<Self, PeerNameError> {
        let wrong = || PeerNameError(text.into());
        // Hosts print the scheme.
        let (host, port) = text.trim_start_matches("tcp://").rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let bare =
            host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']')).ok_or_else(wrong)?;
        // Without brackets, the end of an IPv6 address is ambiguous.
        let is_bare_ipv6 = bare == host && host.contains(':');
        if bare.is_empty() || is_bare_ipv6 || bare.contains(['/', ' ', '@']) {
            return Err(wrong());
        }
        Ok(Self { host: bare.into(), port })
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(out, "[{}]:{}", self.host, self.port),
            false => write!(out, "{}:{}", self.host, self.port),
        }
    }
}

/// A peer whose name is resolved before each attempt to connect: the network may not be up yet when the command starts,
/// and the address of a name can change.
#[derive(Debug)]
struct Named {
    peer: PeerName,
    /// Time of the last warning that the name is unknown; `None` while it resolves.
    told: Mutex<Option<Instant>>,
}

impl Named {
    /// Returns all addresses of the peer; none while its name is unknown, which is logged every ten minutes.
    async fn addresses(&self) -> Vec<SocketAddr> {
        let found = tokio::net::lookup_host((self.peer.host.as_str(), self.peer.port)).await;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(found) => {
                *told = None;
                found.collect()
            }
            Err(error) => {
                let now = Instant::now();
                if told.is_none_or(|told| now.duration_since(told) >= TELL_AGAIN) {
                    *told = Some(now);
                    warn!(peer = %self.peer, %error, "cannot find the address of a peer; trying again");
                }
                vec![]
            }
        }
    }
}

impl Whereabouts for Named {
    fn ask(&self) -> BoxFuture<'_, Vec<SocketAddr>> {
        Box::pin(self.addresses())
    }
}

/// Connects to the peers, and reconnects whenever a connection ends. A peer with an unknown name is retried like an
/// unreachable one.
pub(super) fn connect_peers(network: &Network, peers: &[PeerName]) {
    for peer in peers {
        network.connect_to(Named { peer: peer.clone(), told: Mutex::default() });
    }
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
