//! Contents: consecutive blocks of the blobs core.

use super::DriveError;
use super::entry::BlobId;
use crate::bee::Blocks;
use crate::blocks::{BlockIndex, each};
use crate::limits::BLOB_BLOCK_BYTES;
use crate::manifest::take_number;

/// Blocks of one content: 64 GiB of full ones. Bounded, because a writer may make empty blocks, so a content of few
/// bytes can claim any number of them.
const BLOCKS_MAX: u64 = 1 << 20;
/// Blocks of one map (npm hyperblobs, `lib/block-map.js`).
const MAP_BLOCKS_MAX: u64 = 64;
/// Blocks that one block of a map lists.
const MAP_ENTRIES_MAX: u64 = 8192;

/// Returns the blocks of a content, split as `put` of npm hyperdrive does. An empty content has none.
pub fn parts(content: &[u8]) -> impl ExactSizeIterator<Item = &[u8]> {
    content.chunks(BLOB_BLOCK_BYTES)
}

/// Returns the content at `id`, which may have at most `bytes_max` bytes. Checks that its blocks have the lengths that
/// the id, or its map, states.
///
/// # Errors
/// If the content is longer, a block cannot be read, or the blocks do not match the id.
pub fn content<B: Blocks + ?Sized>(
    blobs: &B,
    id: &BlobId,
    bytes_max: u64,
) -> Result<Vec<u8>, DriveError<B::Error>> {
    if id.is_map {
        return mapped(blobs, id, bytes_max);
    }
    check_size("a content", id.byte_length, bytes_max)?;
    consecutive(blobs, id, BLOCKS_MAX)
}

/// Returns the bytes of the id's own blocks. Allocates as blocks arrive, not as the id claims.
fn consecutive<B: Blocks + ?Sized>(
    blobs: &B,
    id: &BlobId,
    blocks_max: u64,
) -> Result<Vec<u8>, DriveError<B::Error>> {
    let malformed = |block, why| DriveError::MalformedBlob { block, why };
    if id.block_length > blocks_max {
        return Err(malformed(id.block_offset, "too many blocks"));
    }
    let end = id.block_offset.checked_add(id.block_length);
    let end = end.ok_or(malformed(id.block_offset, "its block numbers exceed 64 bits"))?;
    let mut bytes = vec![];
    for block in each(id.block_offset..end) {
        let part = blobs.block(block).map_err(DriveError::Blobs)?;
        bytes.extend_from_slice(&part);
        if bytes.len() as u64 > id.byte_length {
            return Err(malformed(block, "its blocks have more bytes than its entry states"));
        }
    }
    if bytes.len() as u64 == id.byte_length {
        Ok(bytes)
    } else {
        Err(malformed(id.block_offset, "its blocks have fewer bytes than its entry states"))
    }
}

/// Returns the content whose blocks a map lists.
fn mapped<B: Blocks + ?Sized>(
    blobs: &B,
    id: &BlobId,
    bytes_max: u64,
) -> Result<Vec<u8>, DriveError<B::Error>> {
    let malformed = |why| DriveError::MalformedBlob { block: id.block_offset, why };
    if id.block_length > MAP_BLOCKS_MAX {
        return Err(malformed("its map has too many blocks"));
    }
    let mut content = vec![];
    let mut map_bytes = 0;
    for position in 0..id.block_length {
        let block =
            id.block_offset.checked_add(position).ok_or(malformed("its block numbers exceed 64 bits"))?;
        let map = blobs.block(block).map_err(DriveError::Blobs)?;
        map_bytes += map.len() as u64;
        let why = |why| DriveError::MalformedBlob { block, why };
        for listed in MapBlock::open(&map).map_err(why)? {
            let (block, bytes) = listed.map_err(why)?;
            check_size("a content", (content.len() as u64).saturating_add(bytes), bytes_max)?;
            let part = blobs.block(block).map_err(DriveError::Blobs)?;
            if part.len() as u64 != bytes {
                return Err(why("a block differs in length from its map"));
            }
            content.extend_from_slice(&part);
        }
    }
    if map_bytes == id.byte_length {
        Ok(content)
    } else {
        Err(malformed("its map differs in length from its entry"))
    }
}

fn check_size<E>(what: &'static str, bytes: u64, bytes_max: u64) -> Result<(), DriveError<E>> {
    if bytes <= bytes_max { Ok(()) } else { Err(DriveError::TooLarge { what, bytes, bytes_max }) }
}

/// One block of a map: version 0, a count, and for each listed block its number and length.
struct MapBlock<'a> {
    rest: &'a [u8],
    left: u64,
}

impl<'a> MapBlock<'a> {
    fn open(mut bytes: &'a [u8]) -> Result<Self, &'static str> {
        if take_number(&mut bytes)? != 0 {
            return Err("its map has an unknown version");
        }
        match take_number(&mut bytes)? {
            left if left <= MAP_ENTRIES_MAX => Ok(Self { rest: bytes, left }),
            _ => Err("a block of its map lists too many blocks"),
        }
    }
}

impl Iterator for MapBlock<'_> {
    type Item = Result<(BlockIndex, u64), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let block = take_number(&mut self.rest);
        Some(block.and_then(|block| Ok((BlockIndex(block), take_number(&mut self.rest)?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bee::NoBlock;

    fn id(block_offset: u64, block_length: u64, byte_length: u64) -> BlobId {
        BlobId { block_offset: BlockIndex(block_offset), block_length, byte_length, ..BlobId::default() }
    }

    fn map(block_length: u64, byte_length: u64) -> BlobId {
        BlobId { is_map: true, ..id(0, block_length, byte_length) }
    }

    #[test]
    fn contents_are_split_at_64_kib() {
        let lengths = |bytes: usize| parts(&vec![0; bytes]).map(<[u8]>::len).collect::<Vec<_>>();
        assert!(lengths(0).is_empty());
        assert_eq!(lengths(1), [1]);
        assert_eq!(lengths(BLOB_BLOCK_BYTES), [BLOB_BLOCK_BYTES]);
        assert_eq!(lengths(BLOB_BLOCK_BYTES + 1), [BLOB_BLOCK_BYTES, 1]);
    }

    #[test]
    fn a_content_has_the_length_that_its_entry_says() {
        let blobs = vec![b"one".to_vec(), b"two".to_vec(), vec![]];
        assert_eq!(content(&blobs, &id(0, 3, 6), 6), Ok(b"onetwo".to_vec()));
        assert_eq!(content(&blobs, &id(9, 0, 0), 0), Ok(vec![]));
        let too_large = DriveError::TooLarge { what: "a content", bytes: 6, bytes_max: 5 };
        assert_eq!(content(&blobs, &id(0, 3, 6), 5), Err(too_large));
        assert_eq!(content(&blobs, &id(0, 4, 6), 6), Err(DriveError::Blobs(NoBlock(BlockIndex(3)))));
        for wrong in [id(0, 2, 5), id(0, 2, 7), id(0, 0, 1), id(u64::MAX, 1, 1), id(0, BLOCKS_MAX + 1, 0)] {
            assert!(
                matches!(content(&blobs, &wrong, 100), Err(DriveError::MalformedBlob { .. })),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn a_map_lists_the_blocks_of_a_content() {
        let blobs = |map: &[u8]| vec![map.to_vec(), b"one".to_vec(), b"two".to_vec()];
        let read = |bytes: &[u8], bytes_max| content(&blobs(bytes), &map(1, bytes.len() as u64), bytes_max);
        assert_eq!(read(&[0, 3, 2, 3, 1, 3, 2, 3], 9), Ok(b"twoonetwo".to_vec()));
        assert_eq!(read(&[0, 0], 0), Ok(vec![]));
        assert!(matches!(read(&[0, 3, 2, 3, 1, 3, 2, 3], 8), Err(DriveError::TooLarge { bytes: 9, .. })));
        assert_eq!(read(&[0, 1, 3, 3], 9), Err(DriveError::Blobs(NoBlock(BlockIndex(3)))));
        for wrong in [&[][..], &[1, 0], &[0], &[0, 1], &[0, 1, 1], &[0, 1, 1, 2], &[0, 0xfd, 1, 0x20]] {
            assert!(matches!(read(wrong, 9), Err(DriveError::MalformedBlob { .. })), "{wrong:?}");
        }
        let wrong_length = content(&blobs(&[0, 0]), &map(1, 3), 9);
        assert!(matches!(wrong_length, Err(DriveError::MalformedBlob { .. })));
        let too_many = content(&blobs(&[0, 0]), &map(MAP_BLOCKS_MAX + 1, 3), 9);
        assert!(matches!(too_many, Err(DriveError::MalformedBlob { .. })));
    }

    #[test]
    fn a_map_has_at_most_64_blocks() {
        let blobs = vec![vec![0, 0]; 65];
        assert_eq!(content(&blobs, &map(64, 128), 0), Ok(vec![]));
        assert!(content(&blobs, &map(65, 130), 0).is_err());
    }
}
