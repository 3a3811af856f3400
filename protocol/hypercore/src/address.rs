//! The unit in which addresses have quotas: an IPv4 address or an IPv6 /64.

use std::net::{IpAddr, Ipv6Addr};

/// Returns the address itself for IPv4, the /64 for IPv6: a caller with one IPv6 address has 2^64 of them.
pub fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}
