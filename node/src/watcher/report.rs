//! What a watcher keeps about a host: how far it has verified, and a report of what it has found.
//!
//! ```text
//! DIR/state.json            how far the audit got, and what it came to
//! DIR/report-BLOCK.json     a finding: the signed head, the entry that it binds, what is wrong with it
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use libvms_protocol::checkpoint::Checkpoint;
use libvms_protocol::entry::Entry;
use libvms_protocol::replication::Evidence;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::storage::{SharedReplica, StorageError};
use crate::verifier::{Audit, Verdict, VerifyError};

/// Where an audit stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Entries that were executed and agree.
    verified: u64,
    /// `agrees`, `diverges`, `cannot-verify` or `not-deterministic`.
    verdict: String,
}

impl State {
    /// Where an audit stands now.
    pub(super) fn of(audit: &Audit) -> Self {
        Self { verified: audit.verified(), verdict: audit.verdict().name().into() }
    }

    /// What was saved; the beginning where nothing was, or nothing that can be read: the log is executed again anyway.
    pub(super) fn read(directory: &Path) -> Self {
        let text = fs::read(directory.join("state.json")).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    pub(super) fn write(&self, directory: &Path) -> Result<(), VerifyError> {
        write_file(&directory.join("state.json"), &json!(self))
    }
}

/// Writes a report of a verdict that is no agreement; `None` where there is no entry to report.
pub(super) fn write(
    directory: &Path,
    log: &SharedReplica,
    verdict: &Verdict,
) -> Result<Option<PathBuf>, VerifyError> {
    let (block, what) = match verdict {
        Verdict::Agrees => return Ok(None),
        Verdict::Diverges(finding) => (
            finding.block,
            json!({
                "class": finding.violation.class(),
                "field": finding.violation.field(),
                "why": finding.violation.to_string(),
            }),
        ),
        Verdict::CannotVerify { block, why } | Verdict::NotDeterministic { block, why } => {
            (*block, json!({ "why": why }))
        }
    };
    let head = log.checkpoint().as_ref().map(head_json);
    let report = json!({
        "verdict": verdict.name(),
        "block": block,
        "finding": what,
        "head": head,
        "entry": entry(log, block),
    });
    let path = directory.join(format!("report-{block}.json"));
    write_file(&path, &report)?;
    Ok(Some(path))
}

/// Writes a report of what the network showed, if the host's own signature says it.
pub(super) fn write_evidence(
    directory: &Path,
    class: &str,
    theirs: &Checkpoint,
    evidence: &Evidence,
    why: &str,
) -> Result<PathBuf, VerifyError> {
    let trees = match evidence {
        Evidence::Conflict { length, our_tree, their_tree, .. } => {
            json!({ "length": length, "ours": our_tree.to_string(), "theirs": their_tree.to_string() })
        }
        _ => Value::Null,
    };
    let report = json!({
        "verdict": "diverges",
        "finding": { "class": class, "why": why, "trees": trees },
        "head": head_json(theirs),
    });
    let path = directory.join(format!("report-{class}-{}.json", theirs.length()));
    write_file(&path, &report)?;
    Ok(path)
}

fn head_json(head: &Checkpoint) -> Value {
    json!({
        "log": head.key().to_string(),
        "length": head.length(),
        "fork": head.fork(),
        "treeHash": head.tree_hash().to_string(),
        "signature": HEXLOWER.encode(&head.signature().0),
    })
}

/// The entry as bytes, and whether it can be read at all.
fn entry(log: &SharedReplica, block: u64) -> Option<Value> {
    let bytes = log.block(block).ok()?;
    let decoded = Entry::decode(&bytes);
    Some(json!({ "bytes": HEXLOWER.encode(&bytes), "error": decoded.err().map(|error| error.to_string()) }))
}

/// Writes a file whole or not at all.
fn write_file(path: &Path, content: &Value) -> Result<(), VerifyError> {
    let new = path.with_extension("new");
    let written = fs::write(&new, format!("{content:#}\n")).and_then(|()| fs::rename(&new, path));
    written.map_err(|error| StorageError::io(path)(error).into())
}
