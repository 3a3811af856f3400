//! The packet format of UDX. Start from [`Packet::decode`].
//!
//! ```text
//! 0 magic 0xff · 1 version 1 · 2 kind bits · 3 data offset · 4 stream id of the receiver · 8 window of the sender, bytes
//! 12 sequence · 16 acknowledged: the next sequence that the sender expects · 20 blocks of a SACK, padding, payload
//! ```
//!
//! Numbers are little-endian. The format is that of the npm package udx-native 1.21. There is no checksum and no
//! authentication: the fields of a packet are claims, and the stream above judges them.

use std::ops::BitOr;

use thiserror::Error;

/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = 20;

/// Most blocks of a SACK that are written, or read. The reference sends as many.
pub const SACK_BLOCKS_MAX: usize = 50;

/// Bytes of one block of a SACK.
pub const SACK_BLOCK_BYTES: usize = 8;

const MAGIC: u8 = 0xff;
const VERSION: u8 = 1;

/// The kind of a packet; the bits combine. Without any bit it only acknowledges. Unknown bits are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind(pub u8);

impl Kind {
    /// Only acknowledges.
    pub const STATE: Self = Self(0);
    /// Has a payload that is part of the stream.
    pub const DATA: Self = Self(1);
    /// Ends the sender's half of the stream, after the payload if there is one.
    pub const END: Self = Self(2);
    /// Lists packets that have arrived ahead of a gap.
    pub const SACK: Self = Self(4);
    /// Has a payload of its own, outside the stream.
    pub const MESSAGE: Self = Self(8);
    /// The sender has reset the stream.
    pub const DESTROY: Self = Self(16);
    /// Asks for an acknowledgement and nothing else.
    pub const HEARTBEAT: Self = Self(32);

    /// Returns whether all bits of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether the packet has a sequence number of its own, and must be acknowledged.
    pub fn is_numbered(self) -> bool {
        self.has(Self::DATA) || self.has(Self::END)
    }
}

impl BitOr for Kind {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The fixed header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The kind of the packet.
    pub kind: Kind,
    /// Bytes between this header and the payload, which are blocks of a SACK or padding.
    pub data_offset: u8,
    /// The stream's id at the receiver.
    pub stream: u32,
    /// Bytes that the sender of the packet can still receive.
    pub window: u32,
    /// The packet's number; that of the next numbered packet if this one has none.
    pub sequence: u32,
    /// The next number that the sender expects.
    pub acknowledged: u32,
}

impl Header {
    /// Appends the bytes of the header.
    pub fn write(&self, datagram: &mut Vec<u8>) {
        datagram.extend_from_slice(&[MAGIC, VERSION, self.kind.0, self.data_offset]);
        for number in [self.stream, self.window, self.sequence, self.acknowledged] {
            datagram.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// The datagram is not a packet, or is one to drop without an answer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PacketError {
    /// The datagram is too short, or its first bytes are others: it may be another protocol's.
    #[error("the datagram is not a UDX packet of version 1")]
    NotUdx,
    /// The payload would begin after the end of the datagram.
    #[error("the payload begins {offset} bytes after the header, but only {rest} bytes follow it")]
    Offset {
        /// Where the payload would begin.
        offset: usize,
        /// Bytes after the header.
        rest: usize,
    },
}

/// A packet, borrowed from its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The fixed header.
    pub header: Header,
    /// The payload; empty if `kind` has neither `DATA` nor `MESSAGE` and nothing follows.
    pub payload: &'a [u8],
    blocks: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Returns whether the datagram begins as a packet does. Others may be messages of the DHT on the same socket.
    pub fn is_packet(datagram: &[u8]) -> bool {
        datagram.len() >= HEADER_BYTES && datagram.starts_with(&[MAGIC, VERSION])
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// [`PacketError`]. Any datagram that passes is a packet, whatever its numbers claim.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, PacketError> {
        if !Self::is_packet(datagram) {
            return Err(PacketError::NotUdx);
        }
        let header = Header {
            kind: Kind(datagram[2]),
            data_offset: datagram[3],
            stream: number_at(datagram, 4),
            window: number_at(datagram, 8),
            sequence: number_at(datagram, 12),
            acknowledged: number_at(datagram, 16),
        };
        let rest = &datagram[HEADER_BYTES..];
        let offset = usize::from(header.data_offset);
        if offset > rest.len() {
            return Err(PacketError::Offset { offset, rest: rest.len() });
        }
        if !header.kind.has(Kind::SACK) {
            return Ok(Self { header, payload: &rest[offset..], blocks: &[] });
        }
        // Without an offset the blocks reach to the end: nothing would show where a payload begins.
        let blocks_bytes = if offset > 0 { offset } else { rest.len() };
        let (blocks, payload) = rest.split_at(blocks_bytes);
        Ok(Self { header, payload, blocks })
    }

    /// Returns the blocks of the SACK: first packet, and the one after the last. At most [`SACK_BLOCKS_MAX`],
    /// unchecked.
    pub fn sack_blocks(&self) -> impl Iterator<Item = (u32, u32)> + 'a {
        let blocks = self.blocks.chunks_exact(SACK_BLOCK_BYTES).take(SACK_BLOCKS_MAX);
        blocks.map(|block| (number_at(block, 0), number_at(block, 4)))
    }
}

fn number_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
