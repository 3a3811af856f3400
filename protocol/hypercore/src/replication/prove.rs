//! Making proofs: the [`Data`] that answers a [`Request`]. Start from [`answer`].
//!
//! A block or a node is proved by the siblings on its way up, as many as the peer says it lacks; a longer head by the
//! subtrees over the new blocks. If both are requested, and the block is among the new ones, its path replaces the
//! subtree that holds it. All loops are bounded by the depth of the tree (64), whatever numbers the peer sends.

use super::store::Store;
use crate::blocks::Length;
use crate::tree::{Node, index};
use crate::wire::message::{
    Data, DataBlock, DataHash, DataSeek, DataUpgrade, Request, RequestSeek, RequestUpgrade,
};

/// More steps than any tree has levels.
const STEPS_MAX: u64 = 64;

/// The reason why a request gets no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is for another fork than ours, or for a block that is not stored here.
    NotAvailable,
    /// No proof can be made for these numbers.
    Invalid,
}

/// The block or node that a request asks for.
struct Target {
    index: u64,
    steps: u64,
    is_block: bool,
}

/// The path up from the target and the one up from the place that is sought.
#[derive(Default)]
struct Paths {
    target: Option<Vec<Node>>,
    seek: Option<Vec<Node>>,
}

/// Answers a request from the stored core.
///
/// # Errors
/// [`Refusal`]: the reason that the peer is sent instead.
pub fn answer(store: &impl Store, request: &Request) -> Result<Data, Refusal> {
    if request.fork != 0 {
        return Err(Refusal::NotAvailable);
    }
    let target = target(request)?;
    let value = match &request.block {
        Some(block) if store.has(block.index) => Some(store.block(block.index).ok_or(Refusal::NotAvailable)?),
        Some(_) => return Err(Refusal::NotAvailable),
        None => None,
    };
    let (paths, upgrade) = prove(store, target.as_ref(), request.seek.as_ref(), request.upgrade.as_ref())?;
    let Paths { target: nodes, seek } = paths;
    let mut data = Data { request: request.id, fork: request.fork, upgrade, ..Data::default() };
    match (nodes, &request.block, value, &request.hash) {
        (Some(nodes), Some(block), Some(value), _) => {
            data.block = Some(DataBlock { index: block.index, value, nodes });
        }
        (Some(nodes), None, _, Some(hash)) => data.hash = Some(DataHash { index: hash.index, nodes }),
        _ => {}
    }
    data.seek = request.seek.as_ref().zip(seek).map(|(asked, nodes)| DataSeek { bytes: asked.bytes, nodes });
    Ok(data)
}

fn target(request: &Request) -> Result<Option<Target>, Refusal> {
    let target = match (&request.block, &request.hash) {
        (Some(_), Some(_)) => return Err(Refusal::Invalid),
        (Some(block), None) => {
            let index = index::leaf(block.index).ok_or(Refusal::NotAvailable)?;
            Target { index, steps: block.nodes, is_block: true }
        }
        (None, Some(hash)) => Target { index: hash.index, steps: hash.nodes, is_block: false },
        (None, None) if request.upgrade.is_some() => return Ok(None),
        // A seek alone leads nowhere, and we have no manifest.
        (None, None) => return Err(Refusal::Invalid),
    };
    if target.steps > STEPS_MAX {
        return Err(Refusal::Invalid);
    }
    Ok(Some(target))
}

fn prove(
    store: &impl Store,
    target: Option<&Target>,
    seek: Option<&RequestSeek>,
    upgrade: Option<&RequestUpgrade>,
) -> Result<(Paths, Option<DataUpgrade>), Refusal> {
    let (start, end) = span(store, upgrade)?;
    let mut paths = Paths::default();
    let below = target.map(|target| index::blocks(target.index).ok_or(Refusal::Invalid)).transpose()?;
    let is_new = upgrade.is_some() && below.is_some_and(|blocks| blocks.end > start.next_block());
    if let Some(target) = target.filter(|_| !is_new) {
        let top = climb(target, end)?;
        let sought = seek.map(|seek| seek_below(store, top, seek)).transpose()?;
        paths = paths_up(store, target, sought, top)?;
    } else if is_new && seek.is_some() {
        return Err(Refusal::Invalid);
    }
    let Some(asked) = upgrade else { return Ok((paths, None)) };

    let joined = match (target, seek) {
        (Some(target), _) if is_new => Some(target.index),
        (None, Some(seek)) => seek_from_start(store, end, seek)?,
        _ => None,
    };
    let mut nodes = Vec::new();
    for subtree in index::growth(start, end) {
        match (joined.filter(|joined| holds(subtree, *joined)), target) {
            (Some(_), Some(target)) => paths = paths_up(store, target, None, subtree)?,
            (Some(sought), None) => paths.seek = Some(path(store, sought, subtree)?),
            (None, _) => nodes.push(node(store, subtree)?),
        }
    }
    if is_new && paths.target.is_none() {
        return Err(Refusal::Invalid);
    }
    let additional_nodes =
        index::growth(end, store.length()).map(|subtree| node(store, subtree)).collect::<Result<_, _>>()?;
    let signature = store.signature().map(|signature| signature.0.to_vec()).unwrap_or_default();
    let upgrade =
        DataUpgrade { start: asked.start, length: asked.length, nodes, additional_nodes, signature };
    Ok((paths, Some(upgrade)))
}

/// Returns the blocks that an upgrade adds; without an upgrade, all blocks count as known already.
fn span(store: &impl Store, upgrade: Option<&RequestUpgrade>) -> Result<(Length, Length), Refusal> {
    let length = store.length();
    let Some(upgrade) = upgrade else { return Ok((length, length)) };
    let end = upgrade.start.checked_add(upgrade.length).ok_or(Refusal::Invalid)?;
    if upgrade.length == 0 || end > length { Err(Refusal::Invalid) } else { Ok((upgrade.start, end)) }
}

/// Returns the node that is as many steps above the target as the peer asks for, inside a tree of `length` blocks.
fn climb(target: &Target, length: Length) -> Result<u64, Refusal> {
    let mut top = target.index;
    let inside = |node| index::blocks(node).is_some_and(|blocks| blocks.end <= length.next_block());
    for _ in 0..target.steps {
        top = index::parent(top).filter(|&parent| inside(parent)).ok_or(Refusal::Invalid)?;
    }
    if inside(top) { Ok(top) } else { Err(Refusal::Invalid) }
}

/// Returns the siblings from the target up to `top`; if the sought place is below one of them, its own path instead.
fn paths_up(store: &impl Store, target: &Target, sought: Option<u64>, top: u64) -> Result<Paths, Refusal> {
    let mut paths = Paths::default();
    let mut nodes = if target.is_block { vec![] } else { vec![node(store, target.index)?] };
    let mut current = target.index;
    while current != top {
        let sibling = index::sibling(current).ok_or(Refusal::Invalid)?;
        match sought.filter(|&sought| sought != sibling && holds(sibling, sought)) {
            Some(sought) => paths.seek = Some(path(store, sought, sibling)?),
            None => nodes.push(node(store, sibling)?),
        }
        current = index::parent(current).ok_or(Refusal::Invalid)?;
    }
    paths.target = Some(nodes);
    Ok(paths)
}

/// Returns `bottom`, then the siblings from it up to `top`, which must be above it.
fn path(store: &impl Store, bottom: u64, top: u64) -> Result<Vec<Node>, Refusal> {
    let mut nodes = vec![node(store, bottom)?];
    let mut current = bottom;
    while current != top {
        nodes.push(node(store, index::sibling(current).ok_or(Refusal::Invalid)?)?);
        current = index::parent(current).ok_or(Refusal::Invalid)?;
    }
    Ok(nodes)
}

/// Returns the node in which byte `seek.bytes` of the log begins, looking below `top` only.
fn seek_below(store: &impl Store, top: u64, seek: &RequestSeek) -> Result<u64, Refusal> {
    let first = index::blocks(top).ok_or(Refusal::Invalid)?.start;
    let mut before = 0_u64;
    for root in index::roots(first.length_before()) {
        before = before.checked_add(unpadded(&node(store, root)?, seek.padding)?).ok_or(Refusal::Invalid)?;
    }
    let bytes = seek.bytes.checked_sub(before).ok_or(Refusal::Invalid)?;
    if bytes > 0 && unpadded(&node(store, top)?, seek.padding)? <= bytes {
        return Err(Refusal::Invalid);
    }
    descend(store, top, bytes, seek.padding)
}

/// Returns the node in which byte `seek.bytes` begins in a log of `length` blocks; `None` if it is behind the end.
fn seek_from_start(store: &impl Store, length: Length, seek: &RequestSeek) -> Result<Option<u64>, Refusal> {
    let mut bytes = seek.bytes;
    for root in index::roots(length) {
        let size = unpadded(&node(store, root)?, seek.padding)?;
        if bytes == size {
            return Ok(Some(root));
        }
        match bytes.checked_sub(size) {
            Some(rest) => bytes = rest,
            None => return descend(store, root, bytes, seek.padding).map(Some),
        }
    }
    Ok(None)
}

/// Descends from `top` to the node that begins `bytes` bytes into it, as far as nodes are stored.
fn descend(store: &impl Store, top: u64, mut bytes: u64, padding: u64) -> Result<u64, Refusal> {
    let mut current = top;
    while bytes > 0 && index::depth(current) > 0 {
        let left = index::left_child(current).ok_or(Refusal::Invalid)?;
        let Some(stored) = store.node(left) else { return Ok(current) };
        let size = unpadded(&stored, padding)?;
        if size == bytes {
            return Ok(left);
        }
        current = match bytes.checked_sub(size) {
            None => left,
            Some(rest) => {
                bytes = rest;
                index::sibling(left).ok_or(Refusal::Invalid)?
            }
        };
    }
    Ok(current)
}

/// Returns the bytes below a node without the padding that an encryption adds to each block.
fn unpadded(node: &Node, padding: u64) -> Result<u64, Refusal> {
    let leaves = 1_u64 << index::depth(node.index).min(63);
    let added = padding.checked_mul(leaves).ok_or(Refusal::Invalid)?;
    node.size.checked_sub(added).ok_or(Refusal::Invalid)
}

fn holds(subtree: u64, node: u64) -> bool {
    match (index::blocks(subtree), index::blocks(node)) {
        (Some(outer), Some(inner)) => outer.start <= inner.start && inner.end <= outer.end,
        _ => false,
    }
}

fn node(store: &impl Store, index: u64) -> Result<Node, Refusal> {
    store.node(index).ok_or(Refusal::Invalid)
}
