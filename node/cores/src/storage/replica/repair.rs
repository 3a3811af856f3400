//! Finds the damaged files of a copy, and rebuilds them from the sound ones.
//!
//! A copy is redundant: its head counts the blocks and holds the roots of the tree over them, the tree
//! holds the hash and the size of each block, `ends` the sums of these sizes, and `data` the blocks. Files that contradict the
//! head's roots are rebuilt from files that agree with them:
//!
//! ```text
//! ends damaged      written again from the sizes in the tree
//! tree damaged      built again over the blocks, if that leads to the same roots
//! data too short    the blocks beyond its end are lost; peers have them
//! both damaged      all beyond the last sound subtree is given up; peers have it
//! ```
//!
//! Blocks are not read here unless the tree is damaged: a copy can be large. Each one is checked when it is read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::tree::{Hash, Node, Roots, hash, index};

use super::NODE_BYTES;

/// The files of a copy beside its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    pub(super) data: &'a File,
    pub(super) ends: &'a File,
    pub(super) tree: &'a File,
}

/// The result of a repair.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mended {
    /// The roots over the remaining blocks.
    pub(super) stored: Roots,
    /// The damage that was found, and what was done about it; empty if all was sound.
    pub(super) damage: Vec<String>,
}

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// Bytes of the largest block: no message is longer.
const BLOCK_BYTES_MAX: u64 = 16 << 20;

impl Content<'_> {
    /// Makes tree and ends agree with the roots over the stored blocks.
    ///
    /// # Errors
    /// When a file cannot be read or written. Damage is not an error.
    pub(super) fn repair(&self, roots: &Roots) -> std::io::Result<Mended> {
        let sizes = self.check_tree(roots)?;
        let mut damage = vec![];
        let stored = match sizes {
            Some(true) => roots.clone(),
            Some(false) => {
                self.write_ends(roots.length())?;
                damage.push("the ends of its blocks were damaged; they were found again in its tree".into());
                roots.clone()
            }
            None => {
                let sound = self.sound_roots(roots)?;
                self.write_tree(sound.length())?;
                let lost = roots.length() - sound.length();
                damage.push(match lost {
                    0 => "its tree was damaged; it was built again over its blocks".into(),
                    _ => format!(
                        "its tree and its blocks were damaged: the {lost} blocks from {} on are fetched again",
                        sound.length()
                    ),
                });
                sound
            }
        };
        Ok(Mended { stored, damage })
    }

    /// Returns whether the tree leads to these roots; `Some(false)` if it does and the ends do not match it.
    pub(super) fn check_tree(&self, roots: &Roots) -> std::io::Result<Option<bool>> {
        let length = roots.length();
        let (mut tree, mut ends) = (reader(self.tree)?, reader(self.ends)?);
        let mut built = Roots::default();
        // Nodes that stand between the blocks that they cover, until the last of these was read.
        let mut awaited: BTreeMap<u64, Node> = BTreeMap::new();
        let (mut end, mut fit) = (0_u64, true);
        for number in 0..(2 * length.0).saturating_sub(1) {
            let Some(node) = next_node(&mut tree, number)? else { return Ok(None) };
            if number % 2 == 1 {
                awaited.insert(number, node);
                continue;
            }
            let mut is_sound = true;
            built.append_with(node, |made| {
                is_sound &= made.index == node.index || awaited.remove(&made.index) == Some(*made);
            });
            if !is_sound {
                return Ok(None);
            }
            end = end.wrapping_add(node.size);
            fit &= next_end(&mut ends)? == Some(end);
        }
        Ok((built == *roots).then_some(fit))
    }

    /// Writes the ends of the first blocks from their sizes in the tree.
    fn write_ends(&self, length: Length) -> std::io::Result<()> {
        let (mut tree, mut end) = (reader(self.tree)?, 0_u64);
        for number in 0..(2 * length.0).saturating_sub(1) {
            let Some(node) = next_node(&mut tree, number)? else { break };
            if number % 2 == 0 {
                end = end.wrapping_add(node.size);
                self.ends.write_all_at(&end.to_le_bytes(), 4 * number)?;
            }
        }
        self.ends.sync_data()
    }

    /// Returns the roots over as many blocks as lead to the first of these roots.
    fn sound_roots(&self, roots: &Roots) -> std::io::Result<Roots> {
        let (mut sound, mut built) = (Roots::default(), Roots::default());
        let mut leaves = Leaves::of(*self)?;
        for root in roots.nodes() {
            let blocks = index::blocks(root.index).map_or(0, |blocks| blocks.end - blocks.start);
            for _ in 0..blocks {
                let Some(leaf) = leaves.next_leaf()? else { return Ok(sound) };
                built.append_with(leaf, |_| {});
            }
            if built.nodes().last() != Some(root) {
                return Ok(sound);
            }
            sound = built.clone();
        }
        Ok(sound)
    }

    /// Writes the tree over the first blocks.
    fn write_tree(&self, length: Length) -> std::io::Result<()> {
        let (mut leaves, mut built) = (Leaves::of(*self)?, Roots::default());
        while built.length() < length {
            let Some(leaf) = leaves.next_leaf()? else { break };
            let mut written = Ok(());
            built.append_with(leaf, |node| {
                let place = NODE_BYTES * node.index;
                written = std::mem::replace(&mut written, Ok(()))
                    .and_then(|()| self.tree.write_all_at(&node_bytes(node), place));
            });
            written?;
        }
        self.tree.sync_data()
    }
}

/// The leaves of the blocks in `data`, one after another.
struct Leaves<'a> {
    data: BufReader<&'a File>,
    data_bytes: u64,
    ends: BufReader<&'a File>,
    end: u64,
    next_block: BlockIndex,
}

impl<'a> Leaves<'a> {
    fn of(content: Content<'a>) -> std::io::Result<Self> {
        let data_bytes = content.data.metadata()?.len();
        Ok(Self {
            data: reader(content.data)?,
            data_bytes,
            ends: reader(content.ends)?,
            end: 0,
            next_block: BlockIndex::FIRST,
        })
    }

    /// Returns the next leaf; `None` if there is no further block, or its end is impossible.
    fn next_leaf(&mut self) -> std::io::Result<Option<Node>> {
        let Some(end) = next_end(&mut self.ends)? else { return Ok(None) };
        let size = end.checked_sub(self.end).filter(|size| *size <= BLOCK_BYTES_MAX);
        let Some(size) = size.filter(|_| end <= self.data_bytes) else { return Ok(None) };
        let mut bytes = vec![0; size as usize];
        self.data.read_exact(&mut bytes)?;
        let leaf = Node::leaf(self.next_block, &bytes);
        (self.end, self.next_block) = (end, self.next_block + 1);
        Ok(Some(leaf))
    }
}

pub(super) fn node_bytes(node: &Node) -> [u8; NODE_BYTES as usize] {
    let mut bytes = [0; NODE_BYTES as usize];
    bytes[..8].copy_from_slice(&node.size.to_be_bytes());
    bytes[8..].copy_from_slice(&node.hash.0);
    bytes
}

pub(super) fn node_from(index: u64, bytes: &[u8; NODE_BYTES as usize]) -> Node {
    let (size, digest) = bytes.split_at(8);
    let size = u64::from_be_bytes(size.try_into().expect("eight bytes"));
    Node { index, size, hash: Hash(digest.try_into().expect("32 bytes")) }
}

/// Returns whether a block is the one below this leaf.
pub(super) fn is_block_of(leaf: &Node, bytes: &[u8]) -> bool {
    leaf.size == bytes.len() as u64 && leaf.hash == hash::leaf(bytes)
}

fn reader(file: &File) -> std::io::Result<BufReader<&File>> {
    let mut reader = BufReader::with_capacity(READ_BYTES, file);
    reader.seek(SeekFrom::Start(0))?;
    Ok(reader)
}

fn next_node(tree: &mut impl Read, index: u64) -> std::io::Result<Option<Node>> {
    let bytes: Option<[u8; NODE_BYTES as usize]> = next(tree)?;
    Ok(bytes.map(|bytes| node_from(index, &bytes)))
}

fn next_end(ends: &mut impl Read) -> std::io::Result<Option<u64>> {
    Ok(next(ends)?.map(u64::from_le_bytes))
}

/// Returns the next bytes; `None` at the end of the file.
fn next<const N: usize>(file: &mut impl Read) -> std::io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
