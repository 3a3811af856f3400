//! Packets as they stand in a datagram. Start from [`Packet::decode`].
//!
//! ```text
//! 0 magic 0xff · 1 version 1 · 2 kind bits · 3 data offset · 4 stream id of the receiver · 8 window of the sender, bytes
//! 12 sequence · 16 acknowledged: the next sequence that the sender expects · 20 blocks of a SACK, padding, payload
//! ```
//!
//! Numbers are little-endian. The format is that of the npm package udx-native 1.21. There is no checksum and no
//! authentication: what is inside a packet is a claim, and the stream above judges it.

use std::ops::BitOr;

use thiserror::Error;

/// Bytes of the fixed part.
pub const HEADER_BYTES: usize = 20;

/// Blocks of a SACK that are written, and of which notice is taken. The reference sends as many.
pub const SACK_BLOCKS_MAX: usize = 50;

/// Bytes of one block of a SACK.
pub const SACK_BLOCK_BYTES: usize = 8;

const MAGIC: u8 = 0xff;
const VERSION: u8 = 1;

/// What a packet is; the bits combine. None of them: it only acknowledges. Bits that we do not know are ignored.
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
    /// The sender has given the stream up.
    pub const DESTROY: Self = Self(16);
    /// Asks for an acknowledgement and nothing else.
    pub const HEARTBEAT: Self = Self(32);

    /// Whether all bits of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the packet takes a sequence number of its own, and is to be acknowledged.
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

/// The fixed part of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the packet is.
    pub kind: Kind,
    /// Bytes between this part and the payload, which are blocks of a SACK or padding.
    pub data_offset: u8,
    /// The stream's id at the receiver.
    pub stream: u32,
    /// Bytes that the sender of the packet can still take.
    pub window: u32,
    /// The packet's number; that of the next numbered packet if this one takes none.
    pub sequence: u32,
    /// The next number that the sender expects.
    pub acknowledged: u32,
}

impl Header {
    /// Appends the bytes of the fixed part.
    pub fn write(&self, datagram: &mut Vec<u8>) {
        datagram.extend_from_slice(&[MAGIC, VERSION, self.kind.0, self.data_offset]);
        for number in [self.stream, self.window, self.sequence, self.acknowledged] {
            datagram.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// The datagram is no packet, or one to be dropped without an answer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PacketError {
    /// Too short, or the first bytes are others: it may be for somebody else.
    #[error("not a UDX packet of version 1")]
    NotUdx,
    /// The payload would begin after the end of the datagram.
    #[error("the payload begins {offset} bytes after the header, of {rest} that are there")]
    Offset {
        /// Where it would begin.
        offset: usize,
        /// Bytes after the header.
        rest: usize,
    },
}

/// A packet, borrowed from its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The fixed part.
    pub header: Header,
    /// What it carries; empty where `kind` has neither `DATA` nor `MESSAGE` and nothing follows.
    pub payload: &'a [u8],
    blocks: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Whether the datagram begins as a packet does. What is none may be a message of the DHT on the same socket.
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
        // Without an offset the blocks reach to the end: nothing would tell where a payload begins.
        let blocks_bytes = if offset > 0 { offset } else { rest.len() };
        let (blocks, payload) = rest.split_at(blocks_bytes);
        Ok(Self { header, payload, blocks })
    }

    /// The blocks of the SACK: first packet, and the one after the last. At most [`SACK_BLOCKS_MAX`], unchecked.
    pub fn sack_blocks(&self) -> impl Iterator<Item = (u32, u32)> + 'a {
        let blocks = self.blocks.chunks_exact(SACK_BLOCK_BYTES).take(SACK_BLOCKS_MAX);
        blocks.map(|block| (number_at(block, 0), number_at(block, 4)))
    }
}

fn number_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
