//! Single operations: each is one block, and each length is a version.

use super::batch::Batch;
use super::block::Header;
use super::cache::Cache;
use super::{BeeError, Blocks};
use crate::blocks::Length;

/// Makes the next block of a map.
///
/// ```
/// use libvms_hypercore::bee::{Cache, Header, Reader, Writer};
/// use libvms_hypercore::blocks::Length;
/// let (cache, header) = (Cache::default(), Header::plain());
/// let mut core: Vec<Vec<u8>> = vec![];
/// let appended = Writer::new(&cache, &header).put(&core, Length::ZERO, b"hello", b"world".to_vec())?;
/// core.extend(appended); // the header, because the core was empty, and the put
/// let found = Reader::new(&core, &cache, Length(2)).get(b"hello")?;
/// assert_eq!(found.and_then(|item| item.value), Some(b"world".to_vec()));
/// # Ok::<(), libvms_hypercore::bee::BeeError<libvms_hypercore::bee::NoBlock>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    cache: &'a Cache,
    header: &'a Header,
}

impl<'a> Writer<'a> {
    /// Creates a writer for the core to which `cache` belongs; `header` becomes block 0 of an empty core.
    pub fn new(cache: &'a Cache, header: &'a Header) -> Self {
        Self { cache, header }
    }

    /// Returns the blocks that a put appends to the core of `length` blocks.
    ///
    /// # Errors
    /// If a block cannot be read.
    pub fn put<B: Blocks + ?Sized>(
        &self,
        blocks: &B,
        length: Length,
        key: &[u8],
        value: Vec<u8>,
    ) -> Result<Vec<Vec<u8>>, BeeError<B::Error>> {
        let mut batch = Batch::new(blocks, self.cache, length, self.header)?;
        batch.put(key, value)?;
        Ok(batch.finish())
    }

    /// Returns the blocks that a delete appends: none if the key is not there, except the header of an empty core.
    ///
    /// # Errors
    /// If a block cannot be read.
    pub fn delete<B: Blocks + ?Sized>(
        &self,
        blocks: &B,
        length: Length,
        key: &[u8],
    ) -> Result<Vec<Vec<u8>>, BeeError<B::Error>> {
        let mut batch = Batch::new(blocks, self.cache, length, self.header)?;
        batch.delete(key)?;
        Ok(batch.finish())
    }
}
