//! What counts as one address where addresses have shares.

use std::net::{IpAddr, Ipv6Addr};

/// The address itself for IPv4, the network of 64 bits for IPv6: a caller who has one IPv6 address has 2^64.
pub fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}
