//! The messages of a `hypercore/alpha` channel (npm hypercore 11, `lib/messages.js`): [`Message`], and a struct per
//! kind.
//!
//! Bodies only: the channel and the kind precede them in a frame (see [`super::mux`]). Values are as the peer sent
//! them: `replication` judges whether an index lies inside the core. Bytes after the last field and unknown bits of
//! flags are ignored, as in JavaScript.
//!
//! ```text
//! 0 sync      flags, fork, length, remote length
//! 1 request   flags, id, fork, [block], [hash], [seek], [upgrade], [priority]
//! 2 cancel    request
//! 3 data      flags, request, fork, [block], [hash], [seek], [upgrade], [manifest]
//! 4 no data   request, flags, [reason]
//! 5 want      start, length, [flags]          6 unwant the same
//! 7 bitfield  start, count, words of 32 bits, little-endian, lowest bit first
//! 8 range     flags, start, [length]
//! 9 extension name, then its own bytes
//! ```

mod availability;
mod data;
mod extension;
mod manifest;
mod request;
mod sync;

pub use availability::{BITFIELD_WORDS_MAX, Bitfield, Range, Region};
pub use data::{BLOCK_BYTES_MAX, Data, DataBlock, DataHash, DataSeek, DataUpgrade, NODES_MAX};
pub use extension::{EXTENSION_NAME_BYTES_MAX, Extension};
pub use request::{Cancel, NoData, Reason, Request, RequestBlock, RequestNode, RequestSeek, RequestUpgrade};
pub use sync::Sync;

use crate::encoding::{DecodeError, Reader, Writer};

/// A message about one core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The state of the sender's core.
    Sync(Sync),
    /// The sender asks for a block, a node of the tree, or a proof.
    Request(Request),
    /// The sender cancels a request.
    Cancel(Cancel),
    /// The answer to a request.
    Data(Data),
    /// A request gets no data.
    NoData(NoData),
    /// The sender asks which blocks of a region the receiver has, and to be told of changes.
    Want(Region),
    /// The sender retracts such a question.
    Unwant(Region),
    /// The blocks of a region that the sender has.
    Bitfield(Bitfield),
    /// Consecutive blocks that the sender has, or no longer has.
    Range(Range),
    /// A message that both programs have agreed upon.
    Extension(Extension),
}

impl Message {
    /// Returns the number of the message's kind.
    pub fn kind(&self) -> u64 {
        match self {
            Self::Sync(_) => 0,
            Self::Request(_) => 1,
            Self::Cancel(_) => 2,
            Self::Data(_) => 3,
            Self::NoData(_) => 4,
            Self::Want(_) => 5,
            Self::Unwant(_) => 6,
            Self::Bitfield(_) => 7,
            Self::Range(_) => 8,
            Self::Extension(_) => 9,
        }
    }

    /// Reads the body of a message. `None` for unknown kinds: ignore them.
    ///
    /// # Errors
    /// If the body is not in the format, or above a bound: end the connection.
    pub fn decode(kind: u64, body: &[u8]) -> Result<Option<Self>, DecodeError> {
        let reader = &mut Reader::new(body);
        let message = match kind {
            0 => Self::Sync(Sync::take(reader)?),
            1 => Self::Request(Request::take(reader)?),
            2 => Self::Cancel(Cancel::take(reader)?),
            3 => Self::Data(Data::take(reader)?),
            4 => Self::NoData(NoData::take(reader)?),
            5 => Self::Want(Region::take(reader)?),
            6 => Self::Unwant(Region::take(reader)?),
            7 => Self::Bitfield(Bitfield::take(reader)?),
            8 => Self::Range(Range::take(reader)?),
            9 => Self::Extension(Extension::take(reader)?),
            _ => return Ok(None),
        };
        Ok(Some(message))
    }

    /// Returns about how many bytes of memory the message takes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.contents_bytes()
    }

    fn contents_bytes(&self) -> usize {
        match self {
            Self::Data(data) => data.memory_bytes(),
            Self::Bitfield(bitfield) => 4 * bitfield.words.len(),
            Self::Extension(extension) => extension.name.len() + extension.message.len(),
            _ => 0,
        }
    }

    /// Returns the body of the message.
    pub fn encode(&self) -> Vec<u8> {
        /// Numbers and lengths. If there are more of them, the buffer grows once.
        const FIELDS_BYTES: usize = 128;
        let mut writer = Writer::with_room(self.contents_bytes() + FIELDS_BYTES);
        match self {
            Self::Sync(sync) => sync.put(&mut writer),
            Self::Request(request) => request.put(&mut writer),
            Self::Cancel(cancel) => cancel.put(&mut writer),
            Self::Data(data) => data.put(&mut writer),
            Self::NoData(no_data) => no_data.put(&mut writer),
            Self::Want(region) | Self::Unwant(region) => region.put(&mut writer),
            Self::Bitfield(bitfield) => bitfield.put(&mut writer),
            Self::Range(range) => range.put(&mut writer),
            Self::Extension(extension) => extension.put(&mut writer),
        }
        writer.finish()
    }
}
