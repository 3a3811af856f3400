//! Frames of the multiplexer, taken apart by the tests themselves.

use libvms_hypercore::encoding::{DecodeError, Reader};

/// One item of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Open { number: u64, protocol: String, id: Vec<u8>, handshake: Vec<u8> },
    Reject(u64),
    Close(u64),
    Message { number: u64, kind: u64, body: Vec<u8> },
}

/// Returns the items of a frame, whether batched or not.
pub(super) fn items_of(frame: &[u8]) -> Vec<Item> {
    let mut items = vec![];
    if !frame.is_empty() {
        let mut reader = Reader::new(frame);
        let channel = reader.uint().expect("a channel");
        take(channel, reader, &mut items).expect("a good frame");
    }
    items
}

fn take(channel: u64, mut reader: Reader<'_>, items: &mut Vec<Item>) -> Result<(), DecodeError> {
    let kind = reader.uint()?;
    let item = match (channel, kind) {
        (0, 0) => return take_batch(reader, items),
        (0, 1) => Item::Open {
            number: reader.uint()?,
            protocol: reader.text("name", 1024)?,
            id: reader.bytes()?.to_vec(),
            handshake: reader.rest().to_vec(),
        },
        (0, 2) => Item::Reject(reader.uint()?),
        (0, 3) => Item::Close(reader.uint()?),
        (number, kind) => Item::Message { number, kind, body: reader.rest().to_vec() },
    };
    items.push(item);
    Ok(())
}

fn take_batch(mut reader: Reader<'_>, items: &mut Vec<Item>) -> Result<(), DecodeError> {
    let mut channel = reader.uint()?;
    while !reader.is_empty() {
        match reader.uint()? {
            0 => channel = reader.uint()?,
            length => take(channel, Reader::new(reader.take(length)?), items)?,
        }
    }
    Ok(())
}
