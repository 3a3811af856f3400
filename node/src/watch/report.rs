//! A watcher's files about a host: the state of the audit, and reports of findings.
//!
//! ```text
//! DIR/state.json                how far the audit got, its verdict, and what the host is convicted of
//! DIR/report-BLOCK.json         a finding: the signed head, the entry that it binds, the violation
//! DIR/report-BLOCK.proof        the same as a proof file, if there is a kind for the violation
//! DIR/report-CORE-archive-longer.json   a head of the archive that no entry explains or excludes yet
//! DIR/report-CORE-CLASS.json    evidence in the host's signatures alone: a fork, or two heads of one core
//! DIR/report-CORE-CLASS.proof   the same as a proof file
//! ```

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use data_encoding::HEXLOWER;
use libvms_cores::storage::{SharedReplica, StorageError};
use libvms_hypercore::blocks::{BlockIndex, Length, each};
use libvms_hypercore::identity::Signature;
use libvms_hypercore::replication::HeadProof;
use libvms_hypercore::signed_head::{SignedHead, UnverifiedHead};
use libvms_hypercore::tree::{Node, TreeHash};
use libvms_protocol::audit::ArchiveCore;
use libvms_protocol::entry::{Entry, Format};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::offence::Offence;
use super::proof::Proof;
use crate::audit::{Audit, Verdict, VerifyError};
use crate::proofs;

/// The state of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// Entries that were executed and agree.
    verified: Length,
    /// `agrees`, `diverges`, `cannot-verify` or `not-deterministic`.
    verdict: String,
    /// The findings that convict the host, of this run and of earlier ones.
    findings: Vec<FoundOut>,
}

/// A finding that convicts a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundOut {
    /// `log`, `files` or `blobs`.
    pub core: String,
    /// The class of the violation.
    pub class: String,
    /// The block of the log, if the finding concerns one.
    pub block: Option<BlockIndex>,
    /// The file name of its report, beside the state.
    pub report: Option<String>,
    /// The file name of its proof, beside the state; `None` where no kind of proof exists for it.
    #[serde(default)]
    pub proof: Option<String>,
}

/// The files of a finding.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// The report.
    pub(super) report: Option<PathBuf>,
    /// The proof, if there is one.
    pub(super) proof: Option<PathBuf>,
}

impl State {
    /// Returns the state of an audit whose verdict is `verdict` now.
    pub(super) fn of(verdict: &Verdict, audit: &Audit) -> Self {
        Self { verified: audit.verified(), verdict: verdict.name().into(), findings: vec![] }
    }

    /// Reads the saved state; returns the initial state when there is none, or none that can be read: the log is executed
    /// again anyway.
    fn read(directory: &Path) -> Self {
        let text = fs::read(directory.join("state.json")).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    fn add(&mut self, finding: FoundOut) {
        let place = |known: &FoundOut| (known.core.clone(), known.class.clone(), known.block);
        match self.findings.iter_mut().find(|known| place(known) == place(&finding)) {
            // Found again: its files may be there only now.
            Some(known) => {
                known.report = finding.report.or(known.report.take());
                known.proof = finding.proof.or(known.proof.take());
            }
            None => self.findings.push(finding),
        }
        self.verdict = "diverges".into();
    }
}

/// Serialises writes: the audit of a host and the judges of evidence about it write the same state.
static WRITING: Mutex<()> = Mutex::new(());

/// Saves the state of a host's audit, together with the findings so far.
pub(super) fn keep_state(
    directory: &Path,
    state: &State,
    finding: Option<FoundOut>,
) -> Result<(), StorageError> {
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut kept = state.clone();
    State::read(directory).findings.into_iter().chain(finding).for_each(|finding| kept.add(finding));
    write_file(&directory.join("state.json"), &json!(kept))
}

/// Saves a finding about a host.
pub(super) fn keep_finding(directory: &Path, finding: FoundOut) -> Result<(), StorageError> {
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut kept = State::read(directory);
    if kept.findings.contains(&finding) {
        return Ok(());
    }
    kept.add(finding);
    write_file(&directory.join("state.json"), &json!(kept))
}

/// Returns the finding of a class about a core that was saved in an earlier run.
pub(super) fn kept_finding(directory: &Path, core: &str, offence: Offence) -> Option<FoundOut> {
    let findings = State::read(directory).findings;
    findings.into_iter().find(|finding| finding.core == core && finding.class == offence.as_str())
}

/// Writes a report of a verdict other than agreement, and the proof file of a deviation; writes nothing when there is no
/// entry to report.
pub(super) fn write(directory: &Path, log: &SharedReplica, audit: &Audit) -> Result<Kept, VerifyError> {
    let verdict = audit.verdict();
    let (block, what) = match verdict {
        Verdict::Agrees | Verdict::ArchiveAhead { .. } | Verdict::Equivocates { .. } => {
            return Ok(Kept::default());
        }
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
    let name = format!("report-{block}");
    let proof = keep_proof(directory, &name, log, verdict)?;
    let report = json!({
        "verdict": verdict.name(),
        "block": block,
        "finding": what,
        "proof": file_name(proof.as_deref()),
        "head": log.signed_head().as_ref().map(head_json),
        "entry": entry(log, block),
        "archiveHead": audit.archive_head().map(head_json),
        "entries": audit.archive_head().map(|_| entries_around(log, block)),
    });
    let path = directory.join(format!("{name}.json"));
    write_file(&path, &report)?;
    Ok(Kept { report: Some(path), proof })
}

/// Writes the proof file of a deviation, if there is a kind for it. One of an earlier run stays, and counts where this run does
/// not have all parts of the tree.
fn keep_proof(
    directory: &Path,
    name: &str,
    log: &SharedReplica,
    verdict: &Verdict,
) -> Result<Option<PathBuf>, VerifyError> {
    let Verdict::Diverges(finding) = verdict else { return Ok(None) };
    match proofs::from_finding(log, finding)? {
        Some(proof) => Ok(Some(proofs::keep(directory, name, &proof)?)),
        None => Ok(proofs::find(directory, name, &log.key())),
    }
}

/// Returns the proof file of a report or finding, if it is still there.
pub(super) fn find_proof(directory: &Path, name: Option<&str>) -> Option<PathBuf> {
    // A name, and no path: the report is a file that others may have changed.
    let name = Path::new(name?).file_name()?;
    Some(directory.join(name)).filter(|path| path.is_file())
}

fn file_name(path: Option<&Path>) -> Option<String> {
    path?.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// Writes a report of a head of the archive that the log does not account for, to keep until the head is decided.
pub(super) fn write_ahead(
    directory: &Path,
    which: ArchiveCore,
    head: &SignedHead,
    log: Option<&SignedHead>,
    why: &str,
) -> Result<PathBuf, StorageError> {
    let report = json!({
        "verdict": "cannot-verify",
        "finding": { "core": which.name(), "class": Offence::ArchiveLonger.as_str(), "why": why },
        "head": log.map(head_json),
        "archiveHead": head_json(head),
    });
    let path = evidence_path(directory, which.name(), Offence::ArchiveLonger);
    write_file(&path, &report)?;
    Ok(path)
}

/// Returns the head in a report of [`write_ahead`].
pub(super) fn find_ahead(directory: &Path, which: ArchiveCore) -> Option<SignedHead> {
    let text = fs::read(evidence_path(directory, which.name(), Offence::ArchiveLonger)).ok()?;
    let report: Value = serde_json::from_slice(&text).ok()?;
    let head = &report["archiveHead"];
    let bytes = |name: &str| HEXLOWER.decode(head[name].as_str()?.as_bytes()).ok();
    let claim = UnverifiedHead {
        key: head["core"].as_str()?.parse().ok()?,
        length: Length(head["length"].as_u64()?),
        fork: head["fork"].as_u64()?,
        tree_hash: TreeHash(bytes("treeHash")?.try_into().ok()?),
        signature: Signature(bytes("signature")?.try_into().ok()?),
    };
    claim.verify().ok()
}

/// Removes a report of [`write_ahead`].
pub(super) fn forget_ahead(directory: &Path, which: ArchiveCore) -> Result<(), StorageError> {
    let path = evidence_path(directory, which.name(), Offence::ArchiveLonger);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StorageError::io(&path)(error)),
        _ => Ok(()),
    }
}

/// Writes a report of evidence in the host's own signatures.
pub(super) fn write_evidence(
    directory: &Path,
    core: &str,
    offence: Offence,
    proof: &Proof<'_>,
    why: &str,
) -> Result<Kept, StorageError> {
    let name = format!("report-{core}-{offence}");
    let file = proof.file().map(|file| proofs::keep(directory, &name, &file)).transpose()?;
    let heads: Vec<Value> = match proof {
        Proof::Fork(head) | Proof::Shorter(head) => vec![json!({ "head": head_json(head) })],
        Proof::Equivocation(heads) => heads.iter().map(|head| head_proof_json(head)).collect(),
    };
    let report = json!({
        "verdict": if proof.convicts() { "diverges" } else { "cannot-verify" },
        "finding": { "core": core, "class": offence.as_str(), "why": why },
        "heads": heads,
        "proof": file_name(file.as_deref()),
    });
    let path = evidence_path(directory, core, offence);
    write_file(&path, &report)?;
    Ok(Kept { report: Some(path), proof: file })
}

/// Finds a report of [`write_evidence`]; returns its files, and why the host was convicted.
pub(super) fn find_evidence(directory: &Path, core: &str, offence: Offence) -> Option<(Kept, String)> {
    let path = evidence_path(directory, core, offence);
    let report: Value = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
    let why = report["finding"]["why"].as_str()?.to_owned();
    let proof = find_proof(directory, report["proof"].as_str());
    Some((Kept { report: Some(path), proof }, why))
}

fn evidence_path(directory: &Path, core: &str, offence: Offence) -> PathBuf {
    directory.join(format!("report-{core}-{offence}.json"))
}

/// Returns a signed head with the nodes that lead to it from the roots of a shorter core, in the order of hypercore's
/// upgrade proofs from length 0.
fn head_proof_json(shown: &HeadProof) -> Value {
    let node = |node: &Node| json!({ "index": node.index, "size": node.size, "hash": HEXLOWER.encode(&node.hash.0) });
    let (head, proof) = (shown.head(), shown.proof());
    json!({
        "head": head_json(&head.signed),
        "length": head.length,
        "treeHash": head.tree_hash.to_string(),
        "nodes": proof.nodes.iter().map(node).collect::<Vec<_>>(),
        "additionalNodes": proof.additional_nodes.iter().map(node).collect::<Vec<_>>(),
    })
}

fn head_json(head: &SignedHead) -> Value {
    json!({
        "core": head.key().to_string(),
        "length": head.length(),
        "fork": head.fork(),
        "treeHash": head.tree_hash().to_string(),
        "signature": HEXLOWER.encode(&head.signature().0),
    })
}

/// Returns the entries that a finding about the archive rests on: block 0, the last entry before `block` that changed
/// files, and the entry at `block`, which names the head's length with another hash, or skips it.
fn entries_around(log: &SharedReplica, block: BlockIndex) -> Vec<Value> {
    let has_files = |number: &BlockIndex| {
        let decoded = log.block(*number).ok().and_then(|bytes| Entry::decode(&bytes).ok());
        matches!(decoded, Some(Entry::Call(call)) if call.result.files().is_some())
    };
    let before = each(BlockIndex(1)..block).rev().find(has_files);
    let numbers = [Some(BlockIndex::FIRST), before, Some(block).filter(|block| *block > BlockIndex::FIRST)];
    let of = |number| {
        let mut object = entry(log, number)?;
        object["block"] = json!(number);
        Some(object)
    };
    numbers.into_iter().flatten().filter_map(of).collect()
}

/// Returns an entry for a report: its bytes, and the error if they cannot be decoded. `None` when the block cannot be
/// read.
fn entry(log: &SharedReplica, block: BlockIndex) -> Option<Value> {
    let bytes = log.block(block).ok()?;
    let decoded = match log.block(BlockIndex::FIRST).ok().and_then(|block| Format::from_first_block(&block)) {
        Some(format) => Entry::decode_in(&bytes, format),
        None => Entry::decode(&bytes),
    };
    Some(json!({ "bytes": HEXLOWER.encode(&bytes), "error": decoded.err().map(|error| error.to_string()) }))
}

/// Writes a file atomically, and durably before it is reported.
fn write_file(path: &Path, content: &Value) -> Result<(), StorageError> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = fs::File::create(&new)?;
        file.write_all(format!("{content:#}\n").as_bytes())?;
        file.sync_data()?;
        fs::rename(&new, path)
    };
    write().map_err(StorageError::io(path))
}
