//! A mutable value under a public key, which only the key's owner can replace: [`MutableItem`].
//!
//! ```text
//! put        public key 32 | sequence uint | value bytes | signature 64      the value of MUTABLE_PUT
//! item       sequence uint | value bytes | signature 64                      the answer to MUTABLE_GET
//! asked for  sequence uint                                                   the value of MUTABLE_GET: this or a later one
//! signed     namespace of MUTABLE_PUT | H(sequence uint | value bytes)
//! target     H(public key)
//! ```
//!
//! Source: npm hyperdht (`lib/persistent.js`, `lib/messages.js`).

use crate::hyperdht::namespaces;
use libvms_hypercore::encoding::{DecodeError, Reader, Writer};
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::{PublicKey, SecretKey, Signature};

/// The longest value of an item, mutable or not, in bytes: with the other fields of an answer it fits into one
/// datagram.
pub const VALUE_BYTES_MAX: usize = 1_200;

/// A value, its sequence number, and the owner's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutableItem {
    /// The sequence number, which grows with each value.
    pub sequence: u64,
    /// The value: at most [`VALUE_BYTES_MAX`].
    pub value: Vec<u8>,
    /// The owner's signature of both.
    pub signature: Signature,
}

/// The value of MUTABLE_PUT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutablePut {
    /// The owner.
    pub public_key: PublicKey,
    /// The item to store.
    pub item: MutableItem,
}

impl MutableItem {
    /// Reads an item.
    ///
    /// # Errors
    /// If the bytes end inside a field, or the value is longer than [`VALUE_BYTES_MAX`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let sequence = reader.uint()?;
        let value = reader.bytes_bounded("bytes of an item's value", VALUE_BYTES_MAX)?.to_vec();
        Ok(Self { sequence, value, signature: Signature(reader.array()?) })
    }

    /// Returns the bytes of the item.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.uint(self.sequence).bytes(&self.value).raw(&self.signature.0);
        writer.finish()
    }

    /// Returns whether the owner of the key has signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.verifies(&signable(self.sequence, &self.value), &self.signature)
    }
}

impl MutablePut {
    /// Creates an item, signed by the key's owner.
    pub fn sign(key: &SecretKey, sequence: u64, value: Vec<u8>) -> Self {
        let signature = key.sign(&signable(sequence, &value));
        Self { public_key: key.public_key(), item: MutableItem { sequence, value, signature } }
    }

    /// Reads the value of a request.
    ///
    /// # Errors
    /// As [`MutableItem::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        Ok(Self { public_key: PublicKey(reader.array()?), item: MutableItem::decode(&mut reader)? })
    }

    /// Returns the value of a request.
    pub fn encode(&self) -> Vec<u8> {
        [&self.public_key.0[..], &self.item.encode()].concat()
    }
}

/// Returns the 64 bytes that are signed.
fn signable(sequence: u64, value: &[u8]) -> Vec<u8> {
    let mut covered = Writer::default();
    covered.uint(sequence).bytes(value);
    [namespaces::mutable_put(), blake2b(&[&covered.finish()])].concat()
}
