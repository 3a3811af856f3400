//! Admission control: how many peers may connect, and how much memory their connections may use.
//! [`Admission`] issues one [`ConnectionPermit`] per connection.
//!
//! Strangers are counted, by address and in total. The operator chose the peers that we connect to: strangers cannot take
//! their places, and their buffered bytes are counted but disconnect nobody.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libvms_hypercore::address::prefix;
use thiserror::Error;

use super::options::NetworkOptions;

/// Bytes that a connection may always buffer, however much others buffer: enough for ordinary messages.
pub(super) const FREE_BYTES: usize = 256 * 1024;
/// One address may have 1/`ADDRESS_SHARE` of all buffered bytes.
const ADDRESS_SHARE: usize = 4;
/// Smaller changes of a connection's buffered bytes are not accounted.
const GRANULARITY_BYTES: usize = 16 * 1024;

/// The node-wide buffer limit, or the share of one address, is exceeded, and this connection is over its own share.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the peer has {bytes} bytes buffered, and the limit of the node or of the peer's address is reached")]
pub(super) struct QuotaExceeded {
    bytes: usize,
}

/// The permits of all connections.
#[derive(Debug)]
pub(super) struct Admission {
    connections_max: usize,
    connections_per_address_max: usize,
    buffered_bytes_max: usize,
    used: Mutex<Used>,
}

/// The permits and bytes in use.
#[derive(Debug, Default)]
struct Used {
    all: Share,
    /// Connections that we opened to chosen peers.
    outbound: usize,
    addresses: BTreeMap<IpAddr, Share>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    connections: usize,
    bytes: usize,
}

/// Permission for one connection. Dropping it frees the place and its bytes.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    admission: Arc<Admission>,
    /// The address of a stranger that connected to us; `None` for a peer that we connect to.
    inbound: Option<IpAddr>,
    bytes: usize,
}

impl Admission {
    pub(super) fn new(options: &NetworkOptions) -> Arc<Self> {
        Arc::new(Self {
            connections_max: options.connections_max,
            connections_per_address_max: options.connections_per_address_max,
            buffered_bytes_max: options.buffered_bytes_max,
            used: Mutex::default(),
        })
    }

    /// Returns a permit for a stranger; `None` when the limit of its address or of the node is reached.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<ConnectionPermit> {
        let address = prefix(address);
        let mut used = self.lock();
        let of_address = used.addresses.get(&address).copied().unwrap_or_default();
        let is_full = used.all.connections >= self.connections_max
            || of_address.connections >= self.connections_per_address_max;
        if is_full {
            return None;
        }
        used.all.connections += 1;
        used.addresses.entry(address).or_default().connections += 1;
        Some(ConnectionPermit { admission: self.clone(), inbound: Some(address), bytes: 0 })
    }

    /// Returns a permit for a peer that we connect to.
    pub(super) fn outbound(self: &Arc<Self>) -> ConnectionPermit {
        self.lock().outbound += 1;
        ConnectionPermit { admission: self.clone(), inbound: None, bytes: 0 }
    }

    /// Returns the number of connections and of the bytes that they buffer.
    pub(super) fn used(&self) -> (usize, usize) {
        let used = self.lock();
        (used.all.connections + used.outbound, used.all.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        // Nothing panics while it holds this lock; even if something did, the counts are still consistent.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionPermit {
    /// Sets the number of bytes that the connection buffers to `bytes`.
    ///
    /// # Errors
    /// When the connection grows beyond its own share while the limit of the node or of its address is exceeded.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), QuotaExceeded> {
        if bytes.abs_diff(self.bytes) < GRANULARITY_BYTES {
            return Ok(());
        }
        let is_growing = bytes > self.bytes;
        let (all, of_address) = self.record(bytes);
        let max = self.admission.buffered_bytes_max;
        let is_crowded = all > max || of_address > max / ADDRESS_SHARE;
        if is_crowded && is_growing && self.inbound.is_some() && bytes > FREE_BYTES {
            return Err(QuotaExceeded { bytes });
        }
        Ok(())
    }

    /// Returns whether this connection exceeds its free share while half of the node's limit is in use.
    /// Its timeouts shrink then.
    pub(super) fn is_over_soft_limit(&self) -> bool {
        let is_large = self.inbound.is_some() && self.bytes > FREE_BYTES;
        is_large && self.admission.lock().all.bytes > self.admission.buffered_bytes_max / 2
    }

    /// Records the connection's buffered bytes; returns the total of the node and of the connection's address.
    fn record(&mut self, bytes: usize) -> (usize, usize) {
        let mut used = self.admission.lock();
        let before = std::mem::replace(&mut self.bytes, bytes);
        let change = |share: &mut Share| share.bytes = share.bytes + bytes - before;
        change(&mut used.all);
        let all = used.all.bytes;
        let Some(share) = self.inbound.and_then(|address| used.addresses.get_mut(&address)) else {
            return (all, 0);
        };
        change(share);
        (all, share.bytes)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.record(0);
        let mut used = self.admission.lock();
        let Some(address) = self.inbound else {
            used.outbound -= 1;
            return;
        };
        used.all.connections -= 1;
        if let Some(share) = used.addresses.get_mut(&address) {
            share.connections -= 1;
            if share.connections == 0 {
                used.addresses.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn admission() -> Arc<Admission> {
        Admission::new(&NetworkOptions {
            connections_max: 5,
            connections_per_address_max: 2,
            buffered_bytes_max: 16 * MIB,
            ..NetworkOptions::default()
        })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Peers that we connect to are not limited.
    #[test]
    fn strangers_are_limited_by_address_and_in_total() {
        let admission = admission();
        let admit = |from: &str| admission.admit(address(from));
        let first = admit("10.0.0.1").expect("room");
        let _second = admit("::ffff:10.0.0.1").expect("room");
        assert!(admit("10.0.0.1").is_none(), "two of one address, however it is written");
        let _others = [admit("fd00::1").expect("room"), admit("fd00::2").expect("room")];
        assert!(admit("fd00::ffff:3").is_none(), "one IPv6 network is one address");
        let _last = admit("fd00:0:0:1::1").expect("room");
        assert!(admit("10.0.0.2").is_none(), "five in all");
        let _outbound = admission.outbound();
        drop(first);
        assert!(admit("10.0.0.1").is_some(), "a place is free again");
    }

    #[test]
    fn exceeding_the_buffer_limit_disconnects_only_the_offender() {
        let admission = admission();
        let mut greedy = admission.admit(address("10.0.0.1")).expect("room");
        assert_eq!(greedy.hold(4 * MIB), Ok(()), "a quarter is for one address");
        assert_eq!(greedy.hold(5 * MIB), Err(QuotaExceeded { bytes: 5 * MIB }));
        let mut modest = admission.admit(address("10.0.0.1")).expect("room");
        assert_eq!(modest.hold(FREE_BYTES), Ok(()), "a little is for everybody");
        drop(greedy);
        assert_eq!(modest.hold(3 * MIB), Ok(()));
        let mut outbound = admission.outbound();
        assert_eq!(outbound.hold(40 * MIB), Ok(()), "we asked for it ourselves");
        assert_eq!(modest.hold(2 * MIB), Ok(()), "to shrink is always right");
        assert!(modest.hold(3 * MIB).is_err());
        assert!(modest.is_over_soft_limit() && !outbound.is_over_soft_limit());
        drop((outbound, modest));
        assert_eq!(admission.used(), (0, 0));
    }
}
