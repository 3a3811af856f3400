//! Answers: blocks and the nodes that prove them.

use super::manifest::take_manifest;
use crate::blocks::{BlockIndex, Length};
use crate::encoding::{DecodeError, Reader, Writer, flags, has};
use crate::tree::{Hash, Node};

/// Bytes of a block that we accept. JavaScript refuses to append larger ones.
pub const BLOCK_BYTES_MAX: usize = 15 * 1024 * 1024;

/// Nodes in one array of a proof. A tree of 2^53 blocks has 53 levels and at most 53 roots; an upgrade has at most
/// about twice as many.
pub const NODES_MAX: usize = 1024;

/// The fewest bytes of a node: two numbers and a hash.
const NODE_BYTES_MIN: usize = 34;

/// The answer to a request: the parts that were requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// The request's id.
    pub request: u64,
    /// The fork that the data belongs to.
    pub fork: u64,
    /// A block and its siblings.
    pub block: Option<DataBlock>,
    /// A node of the tree and its siblings.
    pub hash: Option<DataHash>,
    /// The nodes that lead to a byte position.
    pub seek: Option<DataSeek>,
    /// The nodes that lead to a longer length, with the signature.
    pub upgrade: Option<DataUpgrade>,
    /// The core's manifest as it was sent: its form is checked, its meaning is not (see [`crate::manifest::Manifest`]).
    pub manifest: Option<Vec<u8>>,
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataBlock {
    /// Number of the block.
    pub index: BlockIndex,
    /// The block.
    pub value: Vec<u8>,
    /// Its siblings, from the bottom upwards.
    pub nodes: Vec<Node>,
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataHash {
    /// Number of the node in the flat order.
    pub index: u64,
    /// The node itself, then its siblings from the bottom upwards.
    pub nodes: Vec<Node>,
}

/// A position in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSeek {
    /// Number of bytes before it.
    pub bytes: u64,
    /// The nodes that lead there.
    pub nodes: Vec<Node>,
}

/// An upgrade to a longer length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataUpgrade {
    /// The length that the receiver has.
    pub start: Length,
    /// Number of blocks added.
    pub length: u64,
    /// The roots at `start + length` that the receiver lacks.
    pub nodes: Vec<Node>,
    /// The nodes that lead on from there to the signed length.
    pub additional_nodes: Vec<Node>,
    /// The signature of the sender's current length. Empty for cores without a signer.
    pub signature: Vec<u8>,
}

impl Data {
    /// Returns the number of bytes of memory that blocks, nodes and signatures take.
    pub(super) fn memory_bytes(&self) -> usize {
        let block = self.block.as_ref().map_or((0, 0), |block| (block.value.len(), block.nodes.len()));
        let hash = self.hash.as_ref().map_or(0, |hash| hash.nodes.len());
        let seek = self.seek.as_ref().map_or(0, |seek| seek.nodes.len());
        let upgrade = self.upgrade.as_ref().map_or((0, 0), |upgrade| {
            (upgrade.signature.len(), upgrade.nodes.len() + upgrade.additional_nodes.len())
        });
        let manifest = self.manifest.as_ref().map_or(0, Vec::len);
        block.0 + upgrade.0 + manifest + (block.1 + hash + seek + upgrade.1) * size_of::<Node>()
    }

    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.uint()?;
        let (request, fork) = (reader.uint()?, reader.uint()?);
        Ok(Self {
            request,
            fork,
            block: has(flags, 0).then(|| DataBlock::take(reader)).transpose()?,
            hash: has(flags, 1).then(|| DataHash::take(reader)).transpose()?,
            seek: has(flags, 2).then(|| DataSeek::take(reader)).transpose()?,
            upgrade: has(flags, 3).then(|| DataUpgrade::take(reader)).transpose()?,
            manifest: has(flags, 4).then(|| take_manifest(reader)).transpose()?.map(<[u8]>::to_vec),
        })
    }

    pub(super) fn put(&self, writer: &mut Writer) {
        let bits = flags(&[
            self.block.is_some(),
            self.hash.is_some(),
            self.seek.is_some(),
            self.upgrade.is_some(),
            self.manifest.is_some(),
        ]);
        writer.uint(bits).uint(self.request).uint(self.fork);
        if let Some(DataBlock { index, value, nodes }) = &self.block {
            put_nodes(writer.uint(index.0).bytes(value), nodes);
        }
        if let Some(DataHash { index, nodes }) = &self.hash {
            put_nodes(writer.uint(*index), nodes);
        }
        if let Some(DataSeek { bytes, nodes }) = &self.seek {
            put_nodes(writer.uint(*bytes), nodes);
        }
        if let Some(upgrade) = &self.upgrade {
            upgrade.put(writer);
        }
        if let Some(manifest) = &self.manifest {
            writer.raw(manifest);
        }
    }
}

impl DataBlock {
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let index = BlockIndex(reader.uint()?);
        let value = reader.bytes_bounded("bytes of a block", BLOCK_BYTES_MAX)?.to_vec();
        Ok(Self { index, value, nodes: take_nodes(reader)? })
    }
}

impl DataHash {
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { index: reader.uint()?, nodes: take_nodes(reader)? })
    }
}

impl DataSeek {
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { bytes: reader.uint()?, nodes: take_nodes(reader)? })
    }
}

impl DataUpgrade {
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            start: Length(reader.uint()?),
            length: reader.uint()?,
            nodes: take_nodes(reader)?,
            additional_nodes: take_nodes(reader)?,
            signature: reader.bytes()?.to_vec(),
        })
    }

    fn put(&self, writer: &mut Writer) {
        put_nodes(writer.uint(self.start.0).uint(self.length), &self.nodes);
        put_nodes(writer, &self.additional_nodes);
        writer.bytes(&self.signature);
    }
}

fn take_nodes(reader: &mut Reader<'_>) -> Result<Vec<Node>, DecodeError> {
    let count = reader.count("nodes", NODE_BYTES_MIN, NODES_MAX)?;
    (0..count).map(|_| take_node(reader)).collect()
}

fn take_node(reader: &mut Reader<'_>) -> Result<Node, DecodeError> {
    Ok(Node { index: reader.uint()?, size: reader.uint()?, hash: Hash(reader.array()?) })
}

fn put_nodes(writer: &mut Writer, nodes: &[Node]) {
    writer.uint(nodes.len() as u64);
    for node in nodes {
        writer.uint(node.index).uint(node.size).raw(&node.hash.0);
    }
}
