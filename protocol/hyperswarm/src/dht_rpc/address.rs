//! Addresses of nodes, and their distance in the table: [`Address`], [`NodeId`], [`Distance`].
//!
//! ```text
//! address   4 bytes IPv4 in network order | u16 port, little-endian
//! id        BLAKE2b-256 of the address
//! ```
//!
//! Source: npm dht-rpc (`lib/peer.js`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use data_encoding::HEXLOWER;
use thiserror::Error;

use libvms_hypercore::encoding::{DecodeError, Reader, Writer};
use libvms_hypercore::hash::blake2b;

/// Bytes of an address on the wire.
pub const ADDRESS_BYTES: usize = 6;

/// The address of a node. It is opaque so that IPv6 can be added when the wire gets room for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(SocketAddrV4);

/// The address is of a family that the wire cannot carry.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{0} is not an IPv4 address, the only kind that the DHT supports")]
pub struct UnsupportedAddress(pub SocketAddr);

impl Address {
    /// Creates the address of a port on a host.
    pub const fn new(ip: Ipv4Addr, port: u16) -> Self {
        Self(SocketAddrV4::new(ip, port))
    }

    /// Returns the host.
    pub const fn ip(&self) -> Ipv4Addr {
        *self.0.ip()
    }

    /// Returns the port. Port 0 cannot be reached.
    pub const fn port(&self) -> u16 {
        self.0.port()
    }

    /// Returns the same host at another port.
    #[must_use]
    pub const fn with_port(self, port: u16) -> Self {
        Self::new(self.ip(), port)
    }

    /// Returns whether the host is on no public network: private, loopback, link-local, shared, documentation,
    /// multicast or reserved. A request that makes a public node send there is an abuse.
    pub const fn is_bogon(&self) -> bool {
        let ip = self.ip();
        let [first, second, ..] = ip.octets();
        let is_shared = first == 100 && second & 0xc0 == 64;
        let is_benchmark = first == 198 && second & 0xfe == 18;
        ip.is_private()
            || ip.is_loopback()
            || ip.is_link_local()
            || ip.is_documentation()
            || is_shared
            || is_benchmark
            || first == 0
            || first >= 224
    }

    /// Takes the six bytes of an address.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ip: [u8; 4] = reader.array()?;
        Ok(Self::new(ip.into(), u16::from_le_bytes(reader.array()?)))
    }

    /// Appends the six bytes of the address.
    pub fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.bytes());
    }

    fn bytes(&self) -> [u8; ADDRESS_BYTES] {
        let [a, b, c, d] = self.ip().octets();
        let [low, high] = self.port().to_le_bytes();
        [a, b, c, d, low, high]
    }
}

impl From<SocketAddrV4> for Address {
    fn from(address: SocketAddrV4) -> Self {
        Self(address)
    }
}

impl From<Address> for SocketAddr {
    fn from(address: Address) -> Self {
        Self::V4(address.0)
    }
}

impl TryFrom<SocketAddr> for Address {
    type Error = UnsupportedAddress;

    /// Converts an address. Sockets of both families show IPv4 senders as mapped IPv6 addresses: these are taken, too.
    fn try_from(address: SocketAddr) -> Result<Self, UnsupportedAddress> {
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => Ok(Self::new(ip, address.port())),
            IpAddr::V6(_) => Err(UnsupportedAddress(address)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id and position of a node. A node cannot choose its id: it follows from its public address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 32]);

/// The target of a query for the closest nodes: a discovery key, the hash of a public key, the id of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(pub [u8; 32]);

/// The distance of a node from a target: the exclusive or of the two, as one large number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance([u8; 32]);

impl NodeId {
    /// Returns the only id that a node at `address` can have.
    pub fn of(address: &Address) -> Self {
        Self(blake2b(&[&address.bytes()]))
    }

    /// Returns the distance of the node from `target`.
    pub fn distance(&self, target: &Target) -> Distance {
        Distance(std::array::from_fn(|index| self.0[index] ^ target.0[index]))
    }
}

impl Distance {
    /// Returns the number of leading bits that the two have in common: 0 to 256.
    pub fn common_bits(&self) -> u16 {
        match self.0.iter().position(|byte| *byte != 0) {
            Some(index) => 8 * index as u16 + self.0[index].leading_zeros() as u16,
            None => 256,
        }
    }
}

impl From<NodeId> for Target {
    fn from(id: NodeId) -> Self {
        Self(id.0)
    }
}

macro_rules! shown_as_hexadecimal {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}

shown_as_hexadecimal!(NodeId, Target, Distance);
