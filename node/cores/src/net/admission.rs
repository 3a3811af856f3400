//! Who may connect, and how much memory their connections may take: [`Admission`], and one [`ConnectionPermit`] per connection.
//!
//! Strangers are counted, by address and in all. Peers that we connect to ourselves were chosen by whoever runs us:
//! strangers cannot take their places, and what they buffer is counted but costs nobody a connection.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libvms_hypercore::address::prefix;
use thiserror::Error;

use super::options::NetworkOptions;

/// Bytes that a connection may buffer whatever others do: enough for ordinary messages.
pub(super) const FREE_BYTES: usize = 256 * 1024;
/// The part of all buffered bytes that one address may have.
const ADDRESS_SHARE: usize = 4;
/// Changes in what a connection buffers that are not worth telling.
const GRANULARITY_BYTES: usize = 16 * 1024;

/// Too much waits for slow peers, and this connection is one of those that take more than their due.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{bytes} bytes wait for this peer, and too many for all")]
pub(super) struct QuotaExceeded {
    bytes: usize,
}

/// All places for connections.
#[derive(Debug)]
pub(super) struct Admission {
    connections_max: usize,
    connections_per_address_max: usize,
    buffered_bytes_max: usize,
    used: Mutex<Used>,
}

/// What is in use.
#[derive(Debug, Default)]
struct Used {
    all: Share,
    /// Connections that we opened.
    chosen: usize,
    addresses: BTreeMap<IpAddr, Share>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    connections: usize,
    bytes: usize,
}

/// A connection's place. Dropping it makes room.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    admission: Arc<Admission>,
    /// Where a stranger comes from; `None` for a peer that we connect to.
    stranger: Option<IpAddr>,
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

    /// A place for a stranger, if there is one.
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
        Some(ConnectionPermit { admission: self.clone(), stranger: Some(address), bytes: 0 })
    }

    /// A place for a peer that we connect to.
    pub(super) fn chosen(self: &Arc<Self>) -> ConnectionPermit {
        self.lock().chosen += 1;
        ConnectionPermit { admission: self.clone(), stranger: None, bytes: 0 }
    }

    /// How many connections there are, and how many bytes they buffer.
    pub(super) fn used(&self) -> (usize, usize) {
        let used = self.lock();
        (used.all.connections + used.chosen, used.all.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        // Nothing panics while it holds this; were it so, the counts are still whole.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionPermit {
    /// The connection buffers so many bytes now.
    ///
    /// # Errors
    /// Where these are too many.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), QuotaExceeded> {
        if bytes.abs_diff(self.bytes) < GRANULARITY_BYTES {
            return Ok(());
        }
        let is_growing = bytes > self.bytes;
        let (all, of_address) = self.account(bytes);
        let max = self.admission.buffered_bytes_max;
        let is_crowded = all > max || of_address > max / ADDRESS_SHARE;
        if is_crowded && is_growing && self.stranger.is_some() && bytes > FREE_BYTES {
            return Err(QuotaExceeded { bytes });
        }
        Ok(())
    }

    /// Whether this connection takes more than a little where little is left: then it should get on with it.
    pub(super) fn is_over_soft_limit(&self) -> bool {
        let is_large = self.stranger.is_some() && self.bytes > FREE_BYTES;
        is_large && self.admission.lock().all.bytes > self.admission.buffered_bytes_max / 2
    }

    /// Notes what the connection buffers; gives what all do, and those of its address.
    fn account(&mut self, bytes: usize) -> (usize, usize) {
        let mut used = self.admission.lock();
        let before = std::mem::replace(&mut self.bytes, bytes);
        let change = |share: &mut Share| share.bytes = share.bytes + bytes - before;
        change(&mut used.all);
        let all = used.all.bytes;
        let Some(share) = self.stranger.and_then(|address| used.addresses.get_mut(&address)) else {
            return (all, 0);
        };
        change(share);
        (all, share.bytes)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.account(0);
        let mut used = self.admission.lock();
        let Some(address) = self.stranger else {
            used.chosen -= 1;
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

    #[test]
    fn strangers_are_limited_by_address_and_in_all_and_chosen_peers_are_not() {
        let admission = admission();
        let admit = |from: &str| admission.admit(address(from));
        let first = admit("10.0.0.1").expect("room");
        let _second = admit("::ffff:10.0.0.1").expect("room");
        assert!(admit("10.0.0.1").is_none(), "two of one address, however it is written");
        let _others = [admit("fd00::1").expect("room"), admit("fd00::2").expect("room")];
        assert!(admit("fd00::ffff:3").is_none(), "one IPv6 network is one address");
        let _last = admit("fd00:0:0:1::1").expect("room");
        assert!(admit("10.0.0.2").is_none(), "five in all");
        let _chosen = admission.chosen();
        drop(first);
        assert!(admit("10.0.0.1").is_some(), "a place is free again");
    }

    #[test]
    fn whoever_wants_more_than_there_is_loses_its_connection_and_nobody_else() {
        let admission = admission();
        let mut greedy = admission.admit(address("10.0.0.1")).expect("room");
        assert_eq!(greedy.hold(4 * MIB), Ok(()), "a quarter is for one address");
        assert_eq!(greedy.hold(5 * MIB), Err(QuotaExceeded { bytes: 5 * MIB }));
        let mut modest = admission.admit(address("10.0.0.1")).expect("room");
        assert_eq!(modest.hold(FREE_BYTES), Ok(()), "a little is for everybody");
        drop(greedy);
        assert_eq!(modest.hold(3 * MIB), Ok(()));
        let mut chosen = admission.chosen();
        assert_eq!(chosen.hold(40 * MIB), Ok(()), "we asked for it ourselves");
        assert_eq!(modest.hold(2 * MIB), Ok(()), "to shrink is always right");
        assert!(modest.hold(3 * MIB).is_err());
        assert!(modest.is_over_soft_limit() && !chosen.is_over_soft_limit());
        drop((chosen, modest));
        assert_eq!(admission.used(), (0, 0));
    }
}
