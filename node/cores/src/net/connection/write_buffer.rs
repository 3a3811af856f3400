//! [`WriteBuffer`]: encrypted bytes on their way to the socket.

/// Capacity that is kept for the next bytes. A long message must not keep a connection large for the rest of its life.
const KEPT_BYTES: usize = 512 * 1024;

/// Bytes that the socket has not taken yet.
#[derive(Debug, Default)]
pub(super) struct WriteBuffer {
    bytes: Vec<u8>,
    written: usize,
}

impl WriteBuffer {
    /// Returns the bytes to write next.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Removes `count` bytes that the socket has taken.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
            self.written = 0;
        }
    }

    /// Returns the buffer to append to.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        // Written bytes are removed once they are the larger part, so that each byte is moved about once.
        if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        &mut self.bytes
    }

    /// Returns the bytes of memory that the buffer uses.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_and_capacity_is_given_back() {
        let mut unwritten = WriteBuffer::default();
        let all: Vec<u8> = (0..4_000_000_u32).map(|byte| byte as u8).collect();
        let (mut out, mut chunks) = (vec![], all.chunks(700_000));
        loop {
            if let Some(chunk) = chunks.next() {
                unwritten.end().extend_from_slice(chunk);
            }
            if unwritten.is_empty() {
                break;
            }
            let count = unwritten.waiting().len().min(500_000);
            out.extend_from_slice(&unwritten.waiting()[..count]);
            unwritten.wrote(count);
        }
        assert!(out == all);
        assert!(unwritten.memory_bytes() <= KEPT_BYTES);
    }
}
