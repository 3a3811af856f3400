//! A core without signatures in an unlinked temporary file, in which an auditor replays a log.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::tree::Roots;

use super::StorageError;

/// An append-only list of blocks with its tree hash, deleted when it is dropped or the process ends.
///
/// Takes eight bytes of memory per block, and a buffer.
///
/// ```
/// # fn main() -> Result<(), libvms_cores::storage::StorageError> {
/// use libvms_hypercore::blocks::{BlockIndex, Length};
/// let mut scratch = libvms_cores::storage::TempCore::new()?;
/// scratch.append(b"first")?;
/// assert_eq!((scratch.length(), scratch.block(BlockIndex(0))?), (Length(1), b"first".to_vec()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TempCore {
    path: PathBuf,
    file: File,
    /// The offset of each block's end.
    ends: Vec<u64>,
    /// The bytes that are not in the file yet.
    buffer: Vec<u8>,
    roots: Roots,
}

/// Writes smaller than this are buffered.
const BUFFER_BYTES: usize = 256 * 1024;

impl TempCore {
    /// Creates an empty core in the system's directory for temporary files, under a random name that is removed at once.
    ///
    /// # Errors
    /// [`StorageError::Io`] when no file can be created there.
    pub fn new() -> Result<Self, StorageError> {
        let directory = std::env::temp_dir();
        let (path, file) = unlinked_file(directory.clone()).map_err(StorageError::io(&directory))?;
        Ok(Self { path, file, ends: Vec::new(), buffer: Vec::new(), roots: Roots::default() })
    }

    /// Appends a block.
    ///
    /// # Errors
    /// [`StorageError::Io`] when the file cannot grow. The block is then not appended.
    pub fn append(&mut self, block: &[u8]) -> Result<(), StorageError> {
        if self.buffer.len() + block.len() > BUFFER_BYTES {
            self.write_buffer()?;
        }
        if block.len() > BUFFER_BYTES {
            let written = self.file.write_all_at(block, self.roots.byte_length());
            written.map_err(StorageError::io(&self.path))?;
        } else {
            self.buffer.extend_from_slice(block);
        }
        self.roots.append(block);
        self.ends.push(self.roots.byte_length());
        Ok(())
    }

    /// Reads block number `block`.
    ///
    /// # Errors
    /// [`StorageError::OutOfRange`] beyond the end; [`StorageError::Io`].
    pub fn block(&self, block: BlockIndex) -> Result<Vec<u8>, StorageError> {
        let Range { start, end } = self.byte_range(block)?;
        let buffer_start = self.written_bytes();
        if start >= buffer_start {
            return Ok(self.buffer[(start - buffer_start) as usize..(end - buffer_start) as usize].to_vec());
        }
        let mut bytes = vec![0; (end - start) as usize];
        self.file.read_exact_at(&mut bytes, start).map_err(StorageError::io(&self.path))?;
        Ok(bytes)
    }

    /// Returns the number of blocks.
    pub fn length(&self) -> Length {
        self.roots.length()
    }

    /// Returns the roots of the blocks' tree.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    fn byte_range(&self, block: BlockIndex) -> Result<Range<u64>, StorageError> {
        let index = usize::try_from(block.0).unwrap_or(usize::MAX);
        let length = self.length();
        let end = self.ends.get(index).ok_or(StorageError::OutOfRange {
            path: self.path.clone(),
            block,
            length,
        })?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Ok(start..*end)
    }

    /// Returns the number of bytes in the file: all but the buffered ones, which are the last.
    fn written_bytes(&self) -> u64 {
        self.roots.byte_length() - self.buffer.len() as u64
    }

    fn write_buffer(&mut self) -> Result<(), StorageError> {
        self.file.write_all_at(&self.buffer, self.written_bytes()).map_err(StorageError::io(&self.path))?;
        self.buffer.clear();
        Ok(())
    }
}

fn unlinked_file(directory: PathBuf) -> io::Result<(PathBuf, File)> {
    let chance = getrandom::u64().map_err(io::Error::other)?;
    let path = directory.join(format!("libvms-scratch-{chance:016x}"));
    // Fails if the name exists, even as a link that somebody else has put there.
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok((path, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_from_the_buffer_and_from_the_file() {
        let mut scratch = TempCore::new().expect("a temporary file");
        let sizes = [0, 1, BUFFER_BYTES - 1, 1, BUFFER_BYTES, BUFFER_BYTES + 1, 0, 3, 8 << 20, 5];
        let blocks: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, size)| vec![i as u8; *size]).collect();
        let mut roots = Roots::default();
        for (index, block) in blocks.iter().enumerate() {
            scratch.append(block).expect("appended");
            roots.append(block);
            for (earlier, expected) in blocks[..=index].iter().enumerate() {
                assert!(scratch.block(BlockIndex(earlier as u64)).expect("in range") == *expected);
            }
        }
        assert_eq!((scratch.length(), scratch.roots()), (Length(sizes.len() as u64), &roots));
    }

    #[test]
    fn blocks_behind_the_end_are_refused_and_no_file_stays() {
        let scratch = TempCore::new().expect("a temporary file");
        assert!(matches!(
            scratch.block(BlockIndex(0)),
            Err(StorageError::OutOfRange { length: Length(0), .. })
        ));
        assert!(matches!(scratch.block(BlockIndex(u64::MAX)), Err(StorageError::OutOfRange { .. })));
        assert!(!scratch.path.exists());
    }
}
