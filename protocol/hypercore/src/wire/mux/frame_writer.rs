//! The queue of messages to send, and the frames that they become.

use std::collections::VecDeque;

use super::Name;
use crate::encoding::{Writer, uint_bytes};
use crate::secret_stream::frame::ENCRYPTION_BYTES;

/// Most bytes before a message's body: its channel and its type.
pub(super) const PREFIX_BYTES_MAX: usize = 18;

/// Bytes at which a batch is sent. One more item may follow. Only if it is small does that stay far below the frame
/// limit, so large ones go alone.
const BATCH_BYTES: usize = 256 * 1024;

const CONTROL: u64 = 0;

#[derive(Debug)]
struct Outgoing {
    channel: u64,
    kind: u64,
    body: Vec<u8>,
}

impl Outgoing {
    /// Returns the number of bytes of type and body.
    fn len(&self) -> usize {
        uint_bytes(self.kind) + self.body.len()
    }
}

/// The queue of one stream.
#[derive(Debug, Default)]
pub(super) struct FrameWriter {
    queue: VecDeque<Outgoing>,
    bytes: usize,
    control_count: usize,
}

impl FrameWriter {
    pub(super) fn open(&mut self, number: u64, name: &Name, handshake: &[u8]) {
        let mut writer = Writer::default();
        writer.uint(number).bytes(name.protocol.as_bytes()).bytes(&name.id).raw(handshake);
        self.push(CONTROL, 1, writer.finish());
    }

    pub(super) fn reject(&mut self, number: u64) {
        let mut writer = Writer::default();
        writer.uint(number);
        self.push(CONTROL, 2, writer.finish());
    }

    pub(super) fn close(&mut self, number: u64) {
        let mut writer = Writer::default();
        writer.uint(number);
        self.push(CONTROL, 3, writer.finish());
    }

    pub(super) fn message(&mut self, number: u64, kind: u64, body: Vec<u8>) {
        self.push(number, kind, body);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn control_count(&self) -> usize {
        self.control_count
    }

    pub(super) fn next_frame(&mut self) -> Option<Vec<u8>> {
        match self.batch_items()? {
            0 | 1 => self.pop().map(|item| plain(&item)),
            items => Some(self.batch(items)),
        }
    }

    fn push(&mut self, channel: u64, kind: u64, body: Vec<u8>) {
        let item = Outgoing { channel, kind, body };
        self.bytes += item.len();
        self.control_count += usize::from(channel == CONTROL);
        self.queue.push_back(item);
    }

    fn pop(&mut self) -> Option<Outgoing> {
        let item = self.queue.pop_front()?;
        self.bytes -= item.len();
        self.control_count -= usize::from(item.channel == CONTROL);
        Some(item)
    }

    /// Returns how many items from the front go into one frame.
    fn batch_items(&self) -> Option<usize> {
        self.queue.front()?;
        let sizes = self.queue.iter().scan(0, |total, item| {
            *total += item.len() + PREFIX_BYTES_MAX;
            Some(*total)
        });
        Some(sizes.take_while(|total| *total <= BATCH_BYTES).count())
    }

    fn batch(&mut self, items: usize) -> Vec<u8> {
        let mut writer = Writer::default();
        let mut channel = self.queue.front().map_or(CONTROL, |item| item.channel);
        writer.uint(CONTROL).uint(0).uint(channel);
        for item in (0..items).filter_map(|_| self.pop()) {
            if item.channel != channel {
                channel = item.channel;
                writer.uint(0).uint(channel);
            }
            writer.uint(item.len() as u64).uint(item.kind).raw(&item.body);
        }
        writer.finish()
    }
}

fn plain(item: &Outgoing) -> Vec<u8> {
    // With capacity for what encryption adds, so that a large block need not move for it.
    let mut writer = Writer::with_room(PREFIX_BYTES_MAX + item.body.len() + ENCRYPTION_BYTES);
    writer.uint(item.channel).uint(item.kind).raw(&item.body);
    writer.finish()
}
