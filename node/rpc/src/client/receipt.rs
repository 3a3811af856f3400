//! The receipt of a call: the proof, under the log's signature, that an entry stands in the log.

use data_encoding::BASE64URL_NOPAD;
use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Node;
use libvms_protocol::entry::Entry;
use libvms_protocol::entry::call::{CallEntry, Outcome, SCRIPT_ERROR_CODE};
use libvms_protocol::proof::path::Cover;
use libvms_protocol::proof::{Equivocation, Inclusion, Proof};
use libvms_protocol::value::Value;
use serde_json::value::RawValue;

use super::compare::{Comparison, compare};
use crate::error::RpcError;

/// A receipt that holds for the log that was asked for.
#[derive(Debug)]
pub(super) struct Receipt {
    /// The proof file.
    pub(super) bytes: Vec<u8>,
    pub(super) head: SignedHead,
    pub(super) entry: Entry,
    inclusion: Inclusion,
}

/// Why a text is not a receipt of the log.
#[derive(Debug)]
pub(super) enum ReceiptFault {
    /// It proves nothing.
    Invalid { why: String },
    /// Its head alone proves that the log was truncated.
    Fork(Box<Equivocation>),
}

impl Receipt {
    /// Reads and checks the member `receipt` of an answer.
    pub(super) fn read(member: &RawValue, log: &PublicKey) -> Result<Self, ReceiptFault> {
        let text: &str = serde_json::from_str(member.get()).map_err(invalid)?;
        Self::open(text, log)
    }

    /// Reads and checks a receipt: base64url without padding.
    pub(super) fn open(text: &str, log: &PublicKey) -> Result<Self, ReceiptFault> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(invalid)?;
        match Inclusion::open(&bytes, log) {
            Ok((inclusion, head, entry)) => Ok(Self { bytes, head, entry, inclusion }),
            Err(error) => Err(forked(&bytes, log).map_or_else(|| invalid(error), ReceiptFault::Fork)),
        }
    }

    /// Returns the entry's block.
    pub(super) fn block(&self) -> BlockIndex {
        self.inclusion.block
    }

    /// Returns the call that the entry holds.
    pub(super) fn call(&self) -> Option<&CallEntry> {
        match &self.entry {
            Entry::Call(entry) => Some(entry),
            Entry::Init(_) | Entry::Epoch(_) | Entry::Upgrade(_) => None,
        }
    }

    /// Returns the time of the entry, in milliseconds since 1970, if it has one.
    pub(super) fn at(&self) -> Option<u64> {
        match &self.entry {
            Entry::Call(entry) => Some(entry.call.at),
            Entry::Init(init) => Some(init.at),
            Entry::Epoch(_) | Entry::Upgrade(_) => None,
        }
    }

    /// Compares the receipt's head with a known one by the nodes of the receipt. They are all that is needed where the entry
    /// is the first one after the known head: then nobody has to ask for more.
    pub(super) fn compare_with(&self, known: &SignedHead) -> Option<Comparison> {
        let Inclusion { block, entry, path, .. } = &self.inclusion;
        let leaf = Node::leaf(*block, &entry.0);
        let cover = Cover::new(self.head.length(), [], Some(known.length()))?;
        let node = |index| match leaf.index == index {
            true => Some(leaf),
            false => path.iter().find(|node| node.index == index).copied(),
        };
        let nodes = cover.nodes(node)?;
        Some(compare(known, &self.head, &nodes))
    }
}

/// Returns what a call's entry says of its outcome, as a host answers it.
pub(super) fn outcome(block: BlockIndex, entry: &CallEntry) -> Result<Option<Box<RawValue>>, RpcError> {
    match entry.result.outcome() {
        Ok(Outcome::Returned { value, .. }) => Ok(value.as_ref().map(raw)),
        Ok(Outcome::Threw(thrown)) => Err(RpcError {
            code: thrown.code.unwrap_or(SCRIPT_ERROR_CODE),
            details: thrown.details.and_then(|details| serde_json::to_value(details).ok()),
            ..RpcError::from_script(thrown.name, thrown.message)
        }),
        Ok(Outcome::Fault(fault)) => {
            let why = format!("the call was stopped: fault `{}`, in block {block} of the log", fault.name());
            Err(RpcError::from_script("Fault".into(), why))
        }
        // An entry was checked when it was read.
        Err(error) => Err(RpcError::internal(error.to_string())),
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_json()).expect("a value is JSON")
}

fn invalid(error: impl std::fmt::Display) -> ReceiptFault {
    ReceiptFault::Invalid { why: format!("the receipt does not hold: {error}") }
}

/// Returns the proof that a receipt gives by its head alone, if that was signed after a truncation.
fn forked(receipt: &[u8], log: &PublicKey) -> Option<Box<Equivocation>> {
    let Ok(Proof::Inclusion(inclusion)) = Proof::decode(receipt) else { return None };
    let head = inclusion.checkpoint.verify().ok().filter(|head| head.key() == *log)?;
    Equivocation::from_fork(&head).map(Box::new)
}
