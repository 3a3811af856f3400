//! Parsing of frames.

use super::MuxError;
use crate::encoding::Reader;

/// Bytes of the name of a protocol, and of a channel's id.
const NAME_BYTES_MAX: usize = 1024;
/// Bytes of a handshake.
const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;
/// Nesting of batches. JavaScript never sends nested ones, but reads them.
const BATCH_DEPTH_MAX: usize = 4;

const CONTROL: u64 = 0;
const BATCH: u64 = 0;
const OPEN: u64 = 1;
const REJECT: u64 = 2;
const CLOSE: u64 = 3;

/// One message in a frame. Its number is the remote's, except in a Reject.
#[derive(Clone, Debug)]
pub(super) enum Item<'a> {
    Open { number: u64, protocol: String, id: &'a [u8], handshake: &'a [u8] },
    Reject { number: u64 },
    Close { number: u64 },
    Message { number: u64, kind: u64, body: &'a [u8] },
}

type Receive<'r> = dyn FnMut(Item<'_>) -> Result<(), MuxError> + 'r;

/// Calls `receive` for each message of a frame, in order. There may be `items_max` of them.
pub(super) fn for_each_item(
    frame: &[u8],
    items_max: usize,
    receive: &mut Receive<'_>,
) -> Result<(), MuxError> {
    if frame.is_empty() {
        return Ok(());
    }
    let mut reader = Reader::new(frame);
    let channel = reader.uint()?;
    Parser { items: 0, items_max, receive }.message(channel, reader, 0)
}

struct Parser<'p, 'r> {
    items: usize,
    items_max: usize,
    receive: &'p mut Receive<'r>,
}

impl Parser<'_, '_> {
    fn message(&mut self, channel: u64, mut reader: Reader<'_>, depth: usize) -> Result<(), MuxError> {
        let kind = reader.uint()?;
        match (channel, kind) {
            (CONTROL, BATCH) => self.batch(reader, depth + 1),
            (CONTROL, _) => match control(kind, reader)? {
                Some(item) => (self.receive)(item),
                None => Ok(()),
            },
            (number, kind) => (self.receive)(Item::Message { number, kind, body: reader.rest() }),
        }
    }

    fn batch(&mut self, mut reader: Reader<'_>, depth: usize) -> Result<(), MuxError> {
        if depth > BATCH_DEPTH_MAX {
            return Err(MuxError::BatchTooDeep(BATCH_DEPTH_MAX));
        }
        let mut channel = reader.uint()?;
        while !reader.is_empty() {
            self.count()?;
            match reader.uint()? {
                0 => channel = reader.uint()?,
                length => {
                    // A last item that extends beyond the frame is cut there, as in JavaScript.
                    let item = reader.take(length.min(reader.remaining() as u64))?;
                    self.message(channel, Reader::new(item), depth)?;
                }
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), MuxError> {
        self.items += 1;
        if self.items > self.items_max { Err(MuxError::TooManyItems(self.items_max)) } else { Ok(()) }
    }
}

/// Returns `None` for unknown control messages.
fn control(kind: u64, mut reader: Reader<'_>) -> Result<Option<Item<'_>>, MuxError> {
    Ok(match kind {
        OPEN => Some(Item::Open {
            number: reader.uint()?,
            protocol: reader.text("bytes of a protocol's name", NAME_BYTES_MAX)?,
            id: reader.bytes_bounded("bytes of a channel's id", NAME_BYTES_MAX)?,
            handshake: reader.rest_bounded("bytes of a channel's handshake", HANDSHAKE_BYTES_MAX)?,
        }),
        REJECT => Some(Item::Reject { number: reader.uint()? }),
        CLOSE => Some(Item::Close { number: reader.uint()? }),
        _ => None,
    })
}
