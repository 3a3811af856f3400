//! One file of a core: positioned reads and writes, unbuffered.
//!
//! Tests replace [`Medium`] to record, to tear or to refuse writes; on disk it is a [`File`].

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A file with random access.
pub(super) trait Medium: Debug + Send + Sync {
    /// Fills `buffer` with the bytes at `offset`; fails with [`io::ErrorKind::UnexpectedEof`] if there are not that many.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Truncates the file, or extends it with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Returns the number of bytes in the file.
    fn length(&self) -> io::Result<u64>;
    /// Returns once everything written before survives a loss of power.
    fn sync(&self) -> io::Result<()>;
}

impl Medium for File {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Reads a file from front to back in large pieces, and returns small ones.
#[derive(Debug)]
pub(super) struct ReadAhead<'a> {
    medium: &'a dyn Medium,
    start: u64,
    buffer: Vec<u8>,
}

/// Large enough that a system call costs little per block, small enough to stay in the processor's cache.
const READ_AHEAD_BYTES: u64 = 128 * 1024;

impl<'a> ReadAhead<'a> {
    pub(super) fn new(medium: &'a dyn Medium) -> Self {
        Self { medium, start: 0, buffer: Vec::new() }
    }

    /// Returns the `length` bytes at `offset`. The caller bounds `length` by the size of the file.
    pub(super) fn read(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let end = offset.saturating_add(length as u64);
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            let available = self.medium.length()?.saturating_sub(offset).min(READ_AHEAD_BYTES);
            let wanted = available.max(length as u64) as usize;
            self.buffer.clear();
            self.buffer.resize(wanted, 0);
            self.start = offset;
            if let Err(error) = self.medium.read_at(offset, &mut self.buffer) {
                self.buffer.clear();
                return Err(error);
            }
        }
        let from = (offset - self.start) as usize;
        Ok(&self.buffer[from..from + length])
    }
}
