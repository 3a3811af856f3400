//! Receipts: the proof that a call stands in the log, as its caller gets it.

use std::collections::BTreeMap;

use libvms_cores::storage::{CoreView, StorageError};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Node;
use libvms_protocol::proof::path::Cover;
use libvms_protocol::proof::{Inclusion, Proof};

/// Makes the receipts of entries under one head. They share most nodes, so each is read once.
pub(in crate::host) struct Receipts<F> {
    head: SignedHead,
    read: F,
    known: BTreeMap<u64, Node>,
}

impl<F: FnMut(u64) -> Option<Node>> Receipts<F> {
    /// Makes receipts under `head`, from the nodes of its log.
    pub(in crate::host) fn new(head: SignedHead, read: F) -> Self {
        Self { head, read, known: BTreeMap::new() }
    }

    /// Returns the receipt of a block, as bytes. `None` if a node cannot be read.
    pub(in crate::host) fn make(&mut self, block: BlockIndex, entry: &[u8]) -> Option<Vec<u8>> {
        let Self { head, read, known } = self;
        let mut node = |index| match known.get(&index) {
            Some(node) => Some(*node),
            None => {
                let node = read(index)?;
                known.insert(index, node);
                Some(node)
            }
        };
        Inclusion::make(head, block, entry.to_vec(), &mut node)
            .map(|receipt| Proof::Inclusion(receipt).encode())
    }
}

/// Returns the receipt of a block under the view's head.
pub(in crate::host) fn from_view(view: &CoreView, block: BlockIndex) -> Option<Vec<u8>> {
    let entry = view.block(block).ok()?;
    Receipts::new(view.signed_head()?, |index| view.node(index).ok().flatten()).make(block, &entry)
}

/// Returns the nodes that show how the view's log has grown out of its first `length` blocks. `None` if it has fewer.
pub(in crate::host) fn consistency(
    view: &CoreView,
    length: Length,
) -> Result<Option<Vec<Node>>, StorageError> {
    let Some(cover) = Cover::new(view.length(), [], Some(length)) else { return Ok(None) };
    let mut failed = None;
    let nodes = cover.nodes(|index| {
        view.node(index).unwrap_or_else(|error| {
            failed = Some(error);
            None
        })
    });
    failed.map_or(Ok(nodes), Err)
}
