//! Operations on a map, as the blocks that they append.
//!
//! The rules are those of npm hyperbee: nodes of 4 to 8 keys, a split at 9, and for a delete the choice of neighbour
//! that `fixtures/hyperbee` pins. Several operations in one batch work on one tree. Nodes that a later operation stores
//! again are removed from the earlier blocks, so lengths inside a batch are **not** versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::block::{Header, Level, NodeBlock};
use super::cache::Cache;
use super::tree::{KEYS_FULL, KEYS_MIN, MEDIAN, Node, NodeId, SlotId, Tree, check_depth};
use super::{BeeError, Blocks};
use crate::blocks::{BlockIndex, Length};

/// Puts and deletes that become one append.
#[derive(Debug)]
pub struct Batch<'a, B: Blocks + ?Sized> {
    blocks: &'a B,
    cache: &'a Cache,
    /// Length of the core before the batch, with the header that the batch may have to write.
    length: Length,
    header: Option<Vec<u8>>,
    tree: Tree,
    root: Option<NodeId>,
    operations: Vec<Operation>,
    /// The positions of the keys of the batch's own blocks.
    keys: BTreeMap<BlockIndex, usize>,
}

#[derive(Debug)]
struct Operation {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    /// The nodes stored with this operation: the root, then those that slots refer to.
    stored: Vec<Stored>,
}

#[derive(Clone, Copy, Debug)]
enum Stored {
    Root(NodeId),
    Child(SlotId),
}

/// The path of a walk down the tree: each node, and the position of the child taken there.
type Path = Vec<(NodeId, usize)>;

impl<'a, B: Blocks + ?Sized> Batch<'a, B> {
    /// Creates a batch on the map of `length` blocks. A core of length 0 gets `header` first.
    ///
    /// # Errors
    /// If the root cannot be read.
    pub fn new(
        blocks: &'a B,
        cache: &'a Cache,
        length: Length,
        header: &Header,
    ) -> Result<Self, BeeError<B::Error>> {
        let mut tree = Tree::default();
        let last = length.last().filter(|last| *last > BlockIndex::FIRST);
        let root = last.map(|last| tree.load(blocks, cache, last, 0)).transpose()?;
        let header = length.is_empty().then(|| header.encode());
        let length = length.max(Length(1));
        Ok(Self { blocks, cache, length, header, tree, root, operations: vec![], keys: BTreeMap::new() })
    }

    /// Puts a value. Putting the same value again is an operation too.
    ///
    /// # Errors
    /// If a block of the map cannot be read.
    pub fn put(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), BeeError<B::Error>> {
        let block = self.begin(key, Some(value));
        let mut root = self.root.unwrap_or_else(|| self.tree.add(Node::default()));
        let mut path = Path::new();
        let mut node = root;
        loop {
            check_depth(path.len(), self.length)?;
            self.tree.nodes[node].is_dirty = true;
            let (position, is_match) = self.search(node, key)?;
            if is_match {
                self.tree.nodes[node].keys[position] = block;
                break;
            }
            if self.tree.nodes[node].children.is_empty() {
                self.tree.nodes[node].keys.insert(position, block);
                root = self.split_upwards(root, node, path);
                break;
            }
            path.push((node, position));
            node = self.child(node, position)?;
        }
        self.store(root, block);
        Ok(())
    }

    /// Deletes a key. Appends nothing if the key is not there.
    ///
    /// # Errors
    /// If a block of the map cannot be read.
    pub fn delete(&mut self, key: &[u8]) -> Result<(), BeeError<B::Error>> {
        let Some(root) = self.root else { return Ok(()) };
        let mut path = Path::new();
        let mut node = root;
        let position = loop {
            check_depth(path.len(), self.length)?;
            let (position, is_match) = self.search(node, key)?;
            if is_match {
                break position;
            }
            if self.tree.nodes[node].children.is_empty() {
                return Ok(());
            }
            path.push((node, position));
            node = self.child(node, position)?;
        };
        let block = self.begin(key, None);
        let leaf = self.take_key(&mut path, node, position)?;
        for (walked, _) in &path {
            self.tree.nodes[*walked].is_dirty = true;
        }
        self.tree.nodes[leaf].is_dirty = true;
        let root = self.rebalance(root, leaf, path)?;
        self.store(root, block);
        Ok(())
    }

    /// Returns the blocks to append, in order. Empty if no operation had an effect.
    pub fn finish(mut self) -> Vec<Vec<u8>> {
        let mut appended: Vec<Vec<u8>> = self.header.take().into_iter().collect();
        let last = self.operations.len().saturating_sub(1);
        for index in 0..self.operations.len() {
            let block = self.length.next_block() + index as u64;
            if index != last {
                self.compact(index, block);
            }
            let node = self.encode(index);
            appended.push(node.encode());
            self.cache.keep(block, Arc::new(node));
        }
        appended
    }

    fn begin(&mut self, key: &[u8], value: Option<Vec<u8>>) -> BlockIndex {
        let block = self.length.next_block() + self.operations.len() as u64;
        self.keys.insert(block, self.operations.len());
        self.operations.push(Operation { key: key.to_vec(), value, stored: vec![] });
        block
    }

    /// Returns the position of `key` in a node, or where it would be, and whether it is there.
    fn search(&self, node: NodeId, key: &[u8]) -> Result<(usize, bool), BeeError<B::Error>> {
        let keys = &self.tree.nodes[node].keys;
        let (mut low, mut high) = (0, keys.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.compare(key, keys[middle])? {
                std::cmp::Ordering::Equal => return Ok((middle, true)),
                std::cmp::Ordering::Less => high = middle,
                std::cmp::Ordering::Greater => low = middle + 1,
            }
        }
        Ok((low, false))
    }

    fn compare(&self, key: &[u8], block: BlockIndex) -> Result<std::cmp::Ordering, BeeError<B::Error>> {
        match self.keys.get(&block) {
            Some(own) => Ok(key.cmp(&self.operations[*own].key)),
            None => Ok(key.cmp(&self.cache.node(self.blocks, block)?.key)),
        }
    }

    fn child(&mut self, node: NodeId, position: usize) -> Result<NodeId, BeeError<B::Error>> {
        self.tree.child(self.blocks, self.cache, node, position)
    }

    /// Splits full nodes from `node` upwards. Returns the root, which may be a new one.
    fn split_upwards(&mut self, root: NodeId, mut node: NodeId, mut path: Path) -> NodeId {
        while self.tree.nodes[node].keys.len() >= KEYS_FULL {
            let (median, right) = self.split(node);
            let Some((parent, position)) = path.pop() else {
                let children = vec![self.tree.slot_of(node), right];
                return self.tree.add(Node { keys: vec![median], children, is_dirty: true });
            };
            self.tree.nodes[parent].keys.insert(position, median);
            self.tree.nodes[parent].children.insert(position + 1, right);
            node = parent;
        }
        root
    }

    fn split(&mut self, node: NodeId) -> (BlockIndex, SlotId) {
        let left = &mut self.tree.nodes[node];
        let keys = left.keys.split_off(MEDIAN + 1);
        let median = left.keys.remove(MEDIAN);
        let children = if left.children.is_empty() { vec![] } else { left.children.split_off(MEDIAN + 1) };
        let right = self.tree.add(Node { keys, children, is_dirty: true });
        (median, self.tree.slot_of(right))
    }

    /// Removes the key at `position` of `node`. In an inner node a key of a leaf below replaces it; the path then goes
    /// down to that leaf, which is returned.
    fn take_key(
        &mut self,
        path: &mut Path,
        node: NodeId,
        position: usize,
    ) -> Result<NodeId, BeeError<B::Error>> {
        if self.tree.nodes[node].children.is_empty() {
            self.tree.nodes[node].keys.remove(position);
            return Ok(node);
        }
        let (mut left_path, mut right_path) = (vec![(node, position)], vec![(node, position + 1)]);
        let left = self.walk_to_leaf(&mut left_path, Edge::Last)?;
        let right = self.walk_to_leaf(&mut right_path, Edge::First)?;
        let take_right = self.tree.nodes[left].keys.len() < self.tree.nodes[right].keys.len();
        let (leaf, walked, at) = if take_right {
            (right, right_path, 0)
        } else {
            (left, left_path, self.tree.nodes[left].keys.len().wrapping_sub(1))
        };
        if at >= self.tree.nodes[leaf].keys.len() {
            return Err(BeeError::Malformed {
                block: self.length.last().unwrap_or_default(),
                why: "a leaf without keys",
            });
        }
        let moved = self.tree.nodes[leaf].keys.remove(at);
        self.tree.nodes[node].keys[position] = moved;
        path.extend(walked);
        Ok(leaf)
    }

    fn walk_to_leaf(&mut self, path: &mut Path, edge: Edge) -> Result<NodeId, BeeError<B::Error>> {
        let &(node, position) = path.last().expect("the caller gives the first step");
        let mut node = self.child(node, position)?;
        while let Some(last) = self.tree.nodes[node].children.len().checked_sub(1) {
            check_depth(path.len(), self.length)?;
            let position = if edge == Edge::Last { last } else { 0 };
            path.push((node, position));
            node = self.child(node, position)?;
        }
        Ok(node)
    }

    /// Refills nodes with too few keys from `node` upwards. Returns the root, which may be a child of the old one.
    fn rebalance(
        &mut self,
        root: NodeId,
        mut node: NodeId,
        mut path: Path,
    ) -> Result<NodeId, BeeError<B::Error>> {
        while self.tree.nodes[node].keys.len() < KEYS_MIN {
            let Some((parent, position)) = path.pop() else { break };
            if self.borrow(parent, position, node)? {
                break;
            }
            self.merge(parent, position, node)?;
            node = parent;
        }
        if self.tree.nodes[root].keys.is_empty() && !self.tree.nodes[root].children.is_empty() {
            return self.child(root, 0);
        }
        Ok(root)
    }

    /// Moves a key from a neighbour with keys to spare, the left one first.
    fn borrow(&mut self, parent: NodeId, position: usize, node: NodeId) -> Result<bool, BeeError<B::Error>> {
        if position > 0 {
            let left = self.child(parent, position - 1)?;
            if self.tree.nodes[left].keys.len() > KEYS_MIN {
                self.borrow_left(parent, position, node, left);
                return Ok(true);
            }
        }
        if position + 1 < self.tree.nodes[parent].children.len() {
            let right = self.child(parent, position + 1)?;
            if self.tree.nodes[right].keys.len() > KEYS_MIN {
                self.borrow_right(parent, position, node, right);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn borrow_left(&mut self, parent: NodeId, position: usize, node: NodeId, left: NodeId) {
        let neighbour = &mut self.tree.nodes[left];
        neighbour.is_dirty = true;
        let (key, child) = (neighbour.keys.pop(), neighbour.children.pop());
        let separator = &mut self.tree.nodes[parent].keys[position - 1];
        let down = std::mem::replace(separator, key.expect("the neighbour has keys to spare"));
        self.tree.nodes[node].keys.insert(0, down);
        if let Some(child) = child {
            self.tree.nodes[node].children.insert(0, child);
        }
    }

    fn borrow_right(&mut self, parent: NodeId, position: usize, node: NodeId, right: NodeId) {
        let neighbour = &mut self.tree.nodes[right];
        neighbour.is_dirty = true;
        let key = neighbour.keys.remove(0);
        let child = if neighbour.children.is_empty() { None } else { Some(neighbour.children.remove(0)) };
        let down = std::mem::replace(&mut self.tree.nodes[parent].keys[position], key);
        self.tree.nodes[node].keys.push(down);
        self.tree.nodes[node].children.extend(child);
    }

    /// Joins a node with its left neighbour, or with the right one if there is no left one.
    fn merge(&mut self, parent: NodeId, position: usize, node: NodeId) -> Result<(), BeeError<B::Error>> {
        let at = position.saturating_sub(1);
        if at >= self.tree.nodes[parent].keys.len() {
            return Err(BeeError::Malformed {
                block: self.length.last().unwrap_or_default(),
                why: "an inner node without keys",
            });
        }
        let (left, right) =
            if position > 0 { (self.child(parent, at)?, node) } else { (node, self.child(parent, at + 1)?) };
        let separator = self.tree.nodes[parent].keys.remove(at);
        let gone = self.tree.nodes[parent].children.remove(at + 1);
        // The target of a slot with block 0 is stored nowhere: see `compact`.
        self.tree.slots[gone].block = BlockIndex::FIRST;
        let Node { keys, children, .. } = std::mem::take(&mut self.tree.nodes[right]);
        let joined = &mut self.tree.nodes[left];
        joined.is_dirty = true;
        joined.keys.push(separator);
        joined.keys.extend(keys);
        joined.children.extend(children);
        Ok(())
    }

    /// Assigns the dirty nodes their places in the operation's block, parents before children.
    fn store(&mut self, root: NodeId, block: BlockIndex) {
        let mut stored = vec![Stored::Root(root)];
        self.store_children(root, block, &mut stored);
        self.root = Some(root);
        self.operations.last_mut().expect("an operation was begun").stored = stored;
    }

    fn store_children(&mut self, node: NodeId, block: BlockIndex, stored: &mut Vec<Stored>) {
        self.tree.nodes[node].is_dirty = false;
        for slot in self.tree.nodes[node].children.clone() {
            let Some(child) = self.tree.slots[slot].node.filter(|child| self.tree.nodes[*child].is_dirty)
            else {
                continue;
            };
            self.tree.slots[slot].block = block;
            self.tree.slots[slot].level = stored.len() as u64;
            stored.push(Stored::Child(slot));
            self.store_children(child, block, stored);
        }
    }

    /// Removes from a block of the batch the nodes that later operations have stored again. The last node fills the
    /// gap.
    fn compact(&mut self, index: usize, block: BlockIndex) {
        let mut stored = std::mem::take(&mut self.operations[index].stored);
        let mut position = 0;
        while position < stored.len() {
            match stored[position] {
                Stored::Child(slot) if self.tree.slots[slot].block == block => {
                    self.tree.slots[slot].level = position as u64;
                    position += 1;
                }
                _ => {
                    stored.swap_remove(position);
                }
            }
        }
        self.operations[index].stored = stored;
    }

    fn encode(&mut self, index: usize) -> NodeBlock {
        let Operation { key, value, stored } = &mut self.operations[index];
        let level = |stored: &Stored| {
            let node = match stored {
                Stored::Root(node) => Some(*node),
                Stored::Child(slot) => self.tree.slots[*slot].node,
            };
            let node = &self.tree.nodes[node.expect("what is stored was in memory")];
            let place = |slot: &SlotId| (self.tree.slots[*slot].block, self.tree.slots[*slot].level);
            Level { keys: node.keys.clone(), children: node.children.iter().map(place).collect() }
        };
        let levels = stored.iter().map(level).collect();
        NodeBlock { levels, key: key.clone(), value: value.take() }
    }
}

/// The child that a walk takes at every node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    First,
    Last,
}
