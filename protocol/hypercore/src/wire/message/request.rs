//! Requests, and the two ways in which they end without data.

use crate::blocks::{BlockIndex, Length};
use crate::encoding::{DecodeError, Reader, Writer, flags, has};

/// The sender requests data. Each part is independent of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the sender; the answer repeats it. 0 is reserved for checks of conflicting trees.
    pub id: u64,
    /// The fork whose data is requested.
    pub fork: u64,
    /// A block.
    pub block: Option<RequestBlock>,
    /// A node of the tree.
    pub hash: Option<RequestNode>,
    /// The block that holds a byte position.
    pub seek: Option<RequestSeek>,
    /// The proof of a longer length.
    pub upgrade: Option<RequestUpgrade>,
    /// Whether the manifest is requested.
    pub manifest: bool,
    /// The priority in the receiver's queue. Not sent when 0.
    pub priority: u64,
}

/// A block, and the length of its proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestBlock {
    /// Number of the block.
    pub index: BlockIndex,
    /// Steps from there upwards to a node that the sender already has.
    pub nodes: u64,
}

/// A node of the tree, and the length of its proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestNode {
    /// Number of the node in the flat order.
    pub index: u64,
    /// Steps from there upwards to a node that the sender already has.
    pub nodes: u64,
}

/// A position in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestSeek {
    /// Number of bytes before it.
    pub bytes: u64,
    /// Bytes at the start of each block that do not count.
    pub padding: u64,
}

/// The blocks by which the sender's tree is to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestUpgrade {
    /// The length that the sender has.
    pub start: Length,
    /// Number of blocks to add.
    pub length: u64,
}

impl Request {
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.uint()?;
        let (id, fork) = (reader.uint()?, reader.uint()?);
        let mut pair = |position| match has(flags, position) {
            true => Ok(Some((reader.uint()?, reader.uint()?))),
            false => Ok(None),
        };
        Ok(Self {
            id,
            fork,
            block: pair(0)?.map(|(index, nodes)| RequestBlock { index: BlockIndex(index), nodes }),
            hash: pair(1)?.map(|(index, nodes)| RequestNode { index, nodes }),
            seek: pair(2)?.map(|(bytes, padding)| RequestSeek { bytes, padding }),
            upgrade: pair(3)?.map(|(start, length)| RequestUpgrade { start: Length(start), length }),
            manifest: has(flags, 4),
            priority: if has(flags, 5) { reader.uint()? } else { 0 },
        })
    }

    pub(super) fn put(&self, writer: &mut Writer) {
        let parts = [
            self.block.map(|block| [block.index.0, block.nodes]),
            self.hash.map(|hash| [hash.index, hash.nodes]),
            self.seek.map(|seek| [seek.bytes, seek.padding]),
            self.upgrade.map(|upgrade| [upgrade.start.0, upgrade.length]),
        ];
        let [block, hash, seek, upgrade] = parts.map(|part| part.is_some());
        let bits = flags(&[block, hash, seek, upgrade, self.manifest, self.priority != 0]);
        writer.uint(bits).uint(self.id).uint(self.fork);
        for number in parts.into_iter().flatten().flatten() {
            writer.uint(number);
        }
        if self.priority != 0 {
            writer.uint(self.priority);
        }
    }
}

/// The sender cancels a request. No answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The request's id.
    pub request: u64,
}

impl Cancel {
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { request: reader.uint()? })
    }

    pub(super) fn put(&self, writer: &mut Writer) {
        writer.uint(self.request);
    }
}

/// The sender has no answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoData {
    /// The request's id.
    pub request: u64,
    /// The reason.
    pub reason: Reason,
}

/// The reason why there is no answer: a number, so that new reasons can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reason(pub u64);

impl Reason {
    /// Old peers send no reason.
    pub const NONE: Self = Self(0);
    /// The request is for another fork, or for a block that is not stored.
    pub const NOT_AVAILABLE: Self = Self(1);
    /// The requested proof cannot exist.
    pub const INVALID_REQUEST: Self = Self(2);
}

impl NoData {
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let request = reader.uint()?;
        // Old peers send the id alone.
        let flags = if reader.is_empty() { 0 } else { reader.uint()? };
        let reason = if has(flags, 0) { Reason(reader.uint()?) } else { Reason::NONE };
        Ok(Self { request, reason })
    }

    pub(super) fn put(&self, writer: &mut Writer) {
        let has_reason = self.reason != Reason::NONE;
        writer.uint(self.request).uint(flags(&[has_reason]));
        if has_reason {
            writer.uint(self.reason.0);
        }
    }
}
