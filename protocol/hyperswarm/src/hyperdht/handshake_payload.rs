//! The encrypted payload of the two messages of a handshake: [`HandshakePayload`].
//!
//! ```text
//! version uint = 1 | flags | error uint | firewall uint | [1: holepunch] [2: addresses] [4: IPv6 addresses]
//!                  | [8: udx] [16: secret stream] [32: relay through] [64: relay addresses]
//! holepunch        id uint | array of (relay address, peer address)
//! IPv6 addresses   array of (16 bytes | u16 port)
//! udx              version uint | features (1: reusable socket) | stream id uint | first packet uint
//! secret stream    version uint
//! relay through    version uint | flags | public key 32 | token 32
//! ```
//!
//! Source: npm hyperdht (`lib/messages.js`, `noisePayload`).

use std::net::Ipv6Addr;

use thiserror::Error;

use crate::dht_rpc::address::{ADDRESS_BYTES, Address};
use crate::dht_rpc::message::DATAGRAM_BYTES_MAX;
use crate::hyperdht::command::{Firewall, PeerError};
use crate::hyperdht::record::{decode_addresses, encode_addresses};
use libvms_hypercore::encoding::{DecodeError, Reader, Writer, flags, has};
use libvms_hypercore::identity::PublicKey;

const VERSION: u64 = 1;
const RELAY_BYTES: usize = 2 * ADDRESS_BYTES;
const ADDRESS6_BYTES: usize = 18;

/// A peer's description of how it can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandshakePayload {
    /// The reason why there will be no connection.
    pub error: Option<PeerError>,
    /// The firewall in front of the peer.
    pub firewall: Firewall,
    /// The relays through which holes can be punched, if that is necessary. Only servers send them.
    pub holepunch: Option<HolepunchRelays>,
    /// The peer's addresses, as it believes: its public address first, then those of its local networks.
    pub addresses: Vec<Address>,
    /// The same for IPv6. JavaScript peers leave it empty.
    pub addresses6: Vec<(Ipv6Addr, u16)>,
    /// The stream that the peer opened.
    pub udx: Option<UdxStream>,
    /// Whether the stream must be encrypted as the secret stream is. JavaScript peers always say so.
    pub has_secret_stream: bool,
    /// A third party that relays whole streams. This node does not use it.
    pub relay_through: Option<RelayThrough>,
    /// Nodes through which the peer can be reached another time.
    pub relay_addresses: Vec<Address>,
}

/// The relays through which a server can be asked to punch a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolepunchRelays {
    /// The server's number of this handshake.
    pub id: u64,
    /// Nodes that reach the server.
    pub relays: Vec<RelayRoute>,
}

/// A node that relays messages to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayRoute {
    /// The node.
    pub relay: Address,
    /// The peer, as the node sees it.
    pub peer: Address,
}

/// A stream that waits for the other side's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdxStream {
    /// Whether the socket may serve several streams.
    pub is_reusable_socket: bool,
    /// The id that packets to the peer carry.
    pub id: u32,
    /// The sequence number of the first packet. It is always 0 so far.
    pub first_packet: u32,
}

/// A third party that joins two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayThrough {
    /// The third party's key.
    pub public_key: PublicKey,
    /// The token that both sides show it.
    pub token: [u8; 32],
}

/// The payload cannot be decoded.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PayloadError {
    /// The version is unknown, so the rest cannot be read. A server says so in its answer.
    #[error("handshake payload has unknown version {0}")]
    Version(u64),
    /// The bytes end inside a field, or a number is out of range.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl HandshakePayload {
    /// Returns the payload of a server's answer to a client that it cannot or will not connect with.
    pub fn refusal(error: PeerError) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Reads the payload of a handshake message. Unknown flags and bytes after the last field are ignored.
    ///
    /// # Errors
    /// If the version is another, or the bytes end inside a field.
    pub fn decode(bytes: &[u8]) -> Result<Self, PayloadError> {
        let mut reader = Reader::new(bytes);
        match reader.uint()? {
            VERSION => Ok(Self::decode_fields(&mut reader)?),
            version => Err(PayloadError::Version(version)),
        }
    }

    fn decode_fields(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.uint()?;
        let mut payload = Self {
            error: PeerError::from_wire(reader.uint()?),
            firewall: Firewall::from_wire(reader.uint()?),
            ..Self::default()
        };
        if has(flags, 0) {
            payload.holepunch = Some(HolepunchRelays::decode(reader)?);
        }
        if has(flags, 1) {
            payload.addresses = decode_addresses(reader)?;
        }
        if has(flags, 2) {
            payload.addresses6 = decode_addresses6(reader)?;
        }
        if has(flags, 3) {
            payload.udx = Some(UdxStream::decode(reader)?);
        }
        if has(flags, 4) {
            reader.uint()?;
            payload.has_secret_stream = true;
        }
        if has(flags, 5) {
            payload.relay_through = Some(RelayThrough::decode(reader)?);
        }
        if has(flags, 6) {
            payload.relay_addresses = decode_addresses(reader)?;
        }
        Ok(payload)
    }

    /// Returns the bytes of the payload.
    pub fn encode(&self) -> Vec<u8> {
        let optional = [
            self.holepunch.is_some(),
            !self.addresses.is_empty(),
            !self.addresses6.is_empty(),
            self.udx.is_some(),
            self.has_secret_stream,
            self.relay_through.is_some(),
            !self.relay_addresses.is_empty(),
        ];
        let mut writer = Writer::default();
        writer.uint(VERSION).uint(flags(&optional));
        writer.uint(PeerError::to_wire(self.error)).uint(self.firewall.to_wire());
        self.holepunch.as_ref().inspect(|holepunch| holepunch.encode(&mut writer));
        if !self.addresses.is_empty() {
            encode_addresses(&self.addresses, &mut writer);
        }
        if !self.addresses6.is_empty() {
            encode_addresses6(&self.addresses6, &mut writer);
        }
        self.udx.inspect(|udx| udx.encode(&mut writer));
        if self.has_secret_stream {
            writer.uint(1);
        }
        self.relay_through.inspect(|relay| relay.encode(&mut writer));
        if !self.relay_addresses.is_empty() {
            encode_addresses(&self.relay_addresses, &mut writer);
        }
        writer.finish()
    }
}

impl HolepunchRelays {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = reader.uint()?;
        let count = reader.count("relays", RELAY_BYTES, DATAGRAM_BYTES_MAX / RELAY_BYTES)?;
        let relays = (0..count).map(|_| RelayRoute::decode(reader)).collect::<Result<_, _>>()?;
        Ok(Self { id, relays })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.uint(self.id).uint(self.relays.len() as u64);
        for route in &self.relays {
            route.relay.encode(writer);
            route.peer.encode(writer);
        }
    }
}

impl RelayRoute {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { relay: Address::decode(reader)?, peer: Address::decode(reader)? })
    }
}

impl UdxStream {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.uint()?;
        let features = reader.uint()?;
        let (id, first_packet) = (small(reader, "stream id")?, small(reader, "packet number")?);
        Ok(Self { is_reusable_socket: has(features, 0), id, first_packet })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.uint(1).uint(flags(&[self.is_reusable_socket]));
        writer.uint(self.id.into()).uint(self.first_packet.into());
    }
}

impl RelayThrough {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.uint()?;
        reader.uint()?;
        Ok(Self { public_key: PublicKey(reader.array()?), token: reader.array()? })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.uint(1).uint(0).raw(&self.public_key.0).raw(&self.token);
    }
}

/// Takes a number that must fit into the four bytes that it has in a packet.
fn small(reader: &mut Reader<'_>, what: &'static str) -> Result<u32, DecodeError> {
    let number = reader.uint()?;
    u32::try_from(number).map_err(|_| DecodeError::Unknown { what, number })
}

fn decode_addresses6(reader: &mut Reader<'_>) -> Result<Vec<(Ipv6Addr, u16)>, DecodeError> {
    let count = reader.count("addresses", ADDRESS6_BYTES, DATAGRAM_BYTES_MAX / ADDRESS6_BYTES)?;
    let mut address = || Ok((reader.array::<16>()?.into(), u16::from_le_bytes(reader.array()?)));
    (0..count).map(|_| address()).collect()
}

fn encode_addresses6(addresses: &[(Ipv6Addr, u16)], writer: &mut Writer) {
    writer.uint(addresses.len() as u64);
    for (ip, port) in addresses {
        writer.raw(&ip.octets()).raw(&port.to_le_bytes());
    }
}
