//! Records of peers in the network, and the answers that carry them: [`PeerRecord`], [`LookupReply`].
//!
//! ```text
//! peer           public key 32 | array of relay addresses              the answer to FIND_PEER
//! lookup reply   array of peers | bump uint (missing: 0)               the answer to LOOKUP
//! ```
//!
//! Source: npm hyperdht (`lib/messages.js`).

use crate::dht_rpc::address::{ADDRESS_BYTES, Address, Target};
use crate::dht_rpc::message::DATAGRAM_BYTES_MAX;
use libvms_hypercore::encoding::{DecodeError, Reader, Writer};
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::PublicKey;

/// Most relays of a peer that a node stores.
pub const RELAYS_MAX: usize = 3;

/// Most records in the answer to a LOOKUP.
pub const LOOKUP_RECORDS_MAX: usize = 20;

/// Most addresses in a list: these would fill a datagram.
const ADDRESSES_MAX: usize = DATAGRAM_BYTES_MAX / ADDRESS_BYTES;

/// Bytes of a record without relays.
const RECORD_BYTES_MIN: usize = 33;

/// A peer, and the nodes that relay messages to it. It is signed only in an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// The peer's key.
    pub public_key: PublicKey,
    /// Nodes that can reach it.
    pub relays: Vec<Address>,
}

impl PeerRecord {
    /// Takes a record.
    ///
    /// # Errors
    /// If the bytes end inside it.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let public_key = PublicKey(reader.array()?);
        Ok(Self { public_key, relays: decode_addresses(reader)? })
    }

    /// Appends the record.
    pub fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.public_key.0);
        encode_addresses(&self.relays, writer);
    }

    /// Returns the bytes of the record.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.encode(&mut writer);
        writer.finish()
    }
}

/// Returns the target under which a peer with this key is found.
pub fn peer_target(key: &PublicKey) -> Target {
    Target(blake2b(&[&key.0]))
}

/// A node's knowledge about a topic. It is not verified: a node can invent records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookupReply {
    /// Peers that announced the topic.
    pub peers: Vec<PeerRecord>,
    /// When a peer last asked all to look again, in milliseconds since 1970; 0 for never. Not signed by anyone.
    pub bump: u64,
}

impl LookupReply {
    /// Reads the value of an answer.
    ///
    /// # Errors
    /// If the bytes end inside a field.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let count = reader.count("peers", RECORD_BYTES_MIN, DATAGRAM_BYTES_MAX / RECORD_BYTES_MIN)?;
        let peers = (0..count).map(|_| PeerRecord::decode(&mut reader)).collect::<Result<_, _>>()?;
        let bump = if reader.is_empty() { 0 } else { reader.uint()? };
        Ok(Self { peers, bump })
    }

    /// Returns the value of an answer.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.uint(self.peers.len() as u64);
        for peer in &self.peers {
            peer.encode(&mut writer);
        }
        writer.uint(self.bump);
        writer.finish()
    }
}

/// Takes a list of addresses: never more than a datagram can hold.
pub(crate) fn decode_addresses(reader: &mut Reader<'_>) -> Result<Vec<Address>, DecodeError> {
    let count = reader.count("addresses", ADDRESS_BYTES, ADDRESSES_MAX)?;
    (0..count).map(|_| Address::decode(reader)).collect()
}

/// Appends a list of addresses.
pub(crate) fn encode_addresses(addresses: &[Address], writer: &mut Writer) {
    writer.uint(addresses.len() as u64);
    for address in addresses {
        address.encode(writer);
    }
}
