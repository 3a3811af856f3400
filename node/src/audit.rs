//! One audit: checks whether a host has published exactly what its script gives.
//!
//! [`Auditor`] checks three things in turn: that the log's blocks are those that its signed head binds; that
//! executing the calls again gives every logged outcome; and that the published archive is what the calls wrote. The
//! first two need no byte of the archive, and the auditor trusts nothing that it has not computed itself. [`Audit`] does
//! the second and the third, on a log that may still be growing.

mod incremental;
mod pending_heads;
mod remote;

use std::fmt;
use std::path::{Path, PathBuf};

use libvms_cores::net::CopyError;
use libvms_cores::storage::layout::{BLOBS, FILES, LOG};
use libvms_cores::storage::{Core, DataDirectory, ReadCore, StorageError};
use libvms_hypercore::blocks::{BlockIndex, Length, each};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Roots;
use libvms_protocol::audit::{ArchiveCore, Finding};
use libvms_protocol::entry::{Entry, FilesHead};
use libvms_protocol::proof::Proof;
use thiserror::Error;

use crate::execution::ExecutionError;
use crate::proofs;
use crate::replay::{AuditOptions, Counts};
use crate::stored::{self, StoredCore};

pub use incremental::Audit;
pub use remote::verify_remote;

/// An auditor of the service in a data directory. The directory is only read; a host may be using it.
#[derive(Debug)]
pub struct Auditor {
    directory: PathBuf,
    settings: AuditOptions,
}

/// The findings of an audit.
#[derive(Clone, Debug)]
pub struct AuditReport {
    /// The log's key.
    pub log: PublicKey,
    /// The signed head that was audited.
    pub signed_head: SignedHead,
    /// Entries of the log that are available: fewer than the head counts when a copy is not complete.
    pub entries: Length,
    /// The calls executed.
    pub counts: Counts,
    /// The archive as the calls have left it; `None` when the audit stopped early.
    pub files: Option<FilesHead>,
    /// The lengths of the archive's db and blobs cores as the host publishes them; `None` for a core that is missing.
    pub published: (Option<Length>, Option<Length>),
    /// The audit's conclusion.
    pub verdict: Verdict,
    /// Whether the directory is a host's own, and not a copy: the host does not withhold missing parts of its archive, but
    /// makes them when it starts again.
    pub is_own: bool,
    /// Bytes in the log's files that no whole append accounts for. The host recovers them when it starts again.
    pub beyond: u64,
    /// The file that shows the deviation to anybody, without the log; `None` where there is none, or no kind of proof for
    /// it.
    pub proof: Option<Proof>,
}

/// How much of the published archive was compared with the writes of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// All of it.
    Whole,
    /// The files core up to this version, or less than all contents.
    Behind {
        /// The core that ends early.
        core: ArchiveCore,
        /// Blocks published.
        published: Length,
        /// Blocks that the calls wrote.
        logged: Length,
    },
    /// Nothing: no peer had the archive.
    NotSeen,
}

impl AuditReport {
    /// Returns how much of the published archive was compared; `None` when the audit stopped before.
    pub fn compared(&self) -> Option<Compared> {
        let files = self.files.filter(|_| self.verdict == Verdict::Agrees)?;
        let cores = [
            (ArchiveCore::Files, self.published.0, files.version),
            (ArchiveCore::Blobs, self.published.1, files.blobs),
        ];
        if self.published.0.unwrap_or_default().is_empty() {
            return Some(Compared::NotSeen);
        }
        let behind = cores.into_iter().find_map(|(core, published, logged)| {
            let published = published.unwrap_or_default();
            (published < logged).then_some(Compared::Behind { core, published, logged })
        });
        Some(behind.unwrap_or(Compared::Whole))
    }

    /// Returns whether everything was checked that could be: the whole archive, or all of it in a host's own directory.
    pub fn is_complete(&self) -> bool {
        match self.compared() {
            Some(Compared::Whole) => true,
            Some(Compared::Behind { .. }) => self.is_own,
            Some(Compared::NotSeen) | None => false,
        }
    }
}

/// The conclusion of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything agrees with what the script gives.
    Agrees,
    /// The host deviated; this is the first deviation.
    Diverges(Finding),
    /// The log cannot be verified beyond this block.
    CannotVerify {
        /// The first block that cannot be verified.
        block: BlockIndex,
        /// The reason.
        why: String,
    },
    /// All entries agree, but the archive's signed head counts more blocks than they account for. Neither agreement nor
    /// deviation: the next entry may explain the head, or exclude it.
    ArchiveAhead {
        /// The core.
        core: ArchiveCore,
        /// Blocks that the archive's head counts.
        signed: Length,
        /// Blocks that the entries account for.
        logged: Length,
        /// The number of entries.
        entries: Length,
    },
    /// All entries agree, and the host has signed another history of a core beside this one, which peers have shown.
    Equivocates {
        /// `log`, `files` or `blobs`.
        core: &'static str,
        /// `fork` for a history after a truncation, `equivocation` for two at a time.
        class: &'static str,
    },
    /// The script gives different results under conditions that must not matter, so the host cannot be accused.
    NotDeterministic {
        /// The call that gave different results.
        block: BlockIndex,
        /// The first finding.
        why: String,
    },
}

impl Verdict {
    /// Returns `agrees`, `diverges`, `cannot-verify` or `not-deterministic`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Diverges(_) | Self::Equivocates { .. } => "diverges",
            Self::CannotVerify { .. } | Self::ArchiveAhead { .. } => "cannot-verify",
            Self::NotDeterministic { .. } => "not-deterministic",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agrees => write!(formatter, "agrees"),
            Self::Diverges(Finding { block, violation }) => {
                write!(formatter, "diverges at block {block}: {}: {violation}", violation.class())
            }
            Self::CannotVerify { block, why } => {
                write!(formatter, "cannot verify from block {block} on: {why}")
            }
            Self::ArchiveAhead { core, signed, logged, entries } => write!(
                formatter,
                "cannot tell: the archive is ahead of the log: the {core} core is signed with {signed} blocks, and the {entries} \
                 entries account for {logged}"
            ),
            Self::Equivocates { core, class } => {
                write!(formatter, "diverges: {class}: the host has signed two histories of its {core} core")
            }
            Self::NotDeterministic { block, why } => write!(
                formatter,
                "the script is not deterministic: block {block} gives different results here ({why})"
            ),
        }
    }
}

/// Why an audit has no verdict.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A core cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The audit's own temporary files, or its worker, failed.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The log is empty.
    #[error("the log in {} is empty: no service has been deployed", path.display())]
    Empty {
        /// The log's directory.
        path: PathBuf,
    },
    /// The log to audit is unknown.
    #[error("{why}")]
    NoTarget {
        /// The reason.
        why: String,
    },
    /// No peer provides the log.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The cores in a directory lie under each other's names.
    #[error("{} is mixed up: its call log lies in `{found}`, and `log` is not one; put each core back under its own name", path.display())]
    MixedUp {
        /// The data directory.
        path: PathBuf,
        /// The directory that holds the call log.
        found: &'static str,
    },
    /// The log's last append is not whole.
    #[error("the oplog in {} ends with an incomplete entry, after {length} entries: a crash, or damage; start its host, which recovers the whole entries or reports the damage", path.display())]
    BrokenEnd {
        /// The log's directory.
        path: PathBuf,
        /// Entries before the incomplete one.
        length: Length,
    },
    /// The log on disk was damaged after it was signed: this is not a deviation of the host.
    #[error("the blocks of the log in {} are not those that its signed head binds; the first damaged one is {block}", path.display())]
    Damaged {
        /// The log's directory.
        path: PathBuf,
        /// The first damaged block.
        block: BlockIndex,
    },
    /// The archive's cores are not those that the log names.
    #[error("the {core} core in {} is not the one that the log names", path.display())]
    ForeignCore {
        /// The data directory.
        path: PathBuf,
        /// The core.
        core: ArchiveCore,
    },
}

impl Auditor {
    /// Returns an auditor of the service in `directory`.
    pub fn for_directory(directory: &Path) -> Self {
        Self { directory: directory.into(), settings: AuditOptions::default() }
    }

    /// Replaces the default options.
    #[must_use]
    pub fn with_options(self, settings: AuditOptions) -> Self {
        Self { settings, ..self }
    }

    /// Audits the service. Calls `progress` with the number of executed entries and of all entries.
    ///
    /// # Errors
    /// When the directory cannot be read or the audit itself fails. A deviating host is not an error, but a verdict.
    pub fn run(&self, progress: &mut dyn FnMut(Length, Length)) -> Result<AuditReport, VerifyError> {
        // Open the archive before the log: a host makes the log durable first, so the archive seen is never ahead of it.
        let archive = self.open_archive()?;
        let log = stored::open_log(&self.directory)?;
        let empty = || VerifyError::Empty { path: self.directory.join(LOG) };
        let signed_head = log.signed_head().filter(|_| !log.length().is_empty()).ok_or_else(empty)?;
        self.authenticate(&log, &signed_head)?;
        self.refuse_a_mix_up(&log, &archive)?;
        let (is_own_place, is_own, beyond) = match &log {
            StoredCore::Own(log) => (true, log.secret_key().is_some(), self.beyond(log)?),
            StoredCore::Copy(_) => (false, false, 0),
        };
        let mut audit = Audit::new(log.key(), self.settings.clone())?;
        audit.advance(&log, log.length(), progress)?;
        let mut published = (None, None);
        for (which, core) in [(ArchiveCore::Files, &archive.files), (ArchiveCore::Blobs, &archive.blobs)] {
            let Some(core) = core else { continue };
            let length = match which {
                ArchiveCore::Files => &mut published.0,
                ArchiveCore::Blobs => &mut published.1,
            };
            *length = Some(core.length());
            let named = audit.archive_key(which).filter(|_| *audit.verdict() == Verdict::Agrees);
            if named.is_some_and(|key| key != core.key()) {
                return Err(VerifyError::ForeignCore { path: self.directory.clone(), core: which });
            }
            audit.compare_archive(&log, which, core)?;
        }
        let (entries, counts, files) = (log.length(), audit.counts(), audit.files());
        // A copy may have a newer archive than log.
        let judged = if is_own_place { audit.conclude() } else { audit.verdict().clone() };
        let verdict = doubt_incomplete(judged, entries, &signed_head);
        let proof = proof_of(&log, &verdict)?;
        Ok(AuditReport {
            log: log.key(),
            signed_head,
            entries,
            counts,
            files,
            published,
            verdict,
            is_own,
            beyond,
            proof,
        })
    }

    /// Fails when a core lies under the wrong name: a mistake in copying, which says nothing about the host.
    fn refuse_a_mix_up(&self, log: &StoredCore, archive: &Published) -> Result<(), VerifyError> {
        let is_log = |core: &StoredCore| {
            let block = core.block(BlockIndex::FIRST);
            block.is_ok_and(|block| matches!(Entry::decode(&block), Ok(Entry::Init(_))))
        };
        let others = [(FILES, &archive.files), (BLOBS, &archive.blobs)];
        let found = others.into_iter().find(|(_, core)| core.as_ref().is_some_and(is_log));
        match found {
            Some((found, _)) if !is_log(log) => {
                Err(VerifyError::MixedUp { path: self.directory.clone(), found })
            }
            _ => Ok(()),
        }
    }

    /// Returns the bytes beyond the log's last whole append. A running host may have some at any time; a stopped host that
    /// has some has crashed.
    fn beyond(&self, log: &Core) -> Result<u64, VerifyError> {
        if DataDirectory::is_in_use(&self.directory) {
            return Ok(0);
        }
        let path = self.directory.join(LOG);
        let (bytes, is_broken) = Core::beyond(&path)?;
        match is_broken {
            true => Err(VerifyError::BrokenEnd { path, length: log.length() }),
            false => Ok(bytes),
        }
    }

    fn open_archive(&self) -> Result<Published, VerifyError> {
        let open = |place: &Path| match StoredCore::open(place) {
            Ok(core) => Ok(Some(core)),
            // A log alone can be verified: its entries bind the archive.
            Err(StorageError::NoCore { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        // Open names before contents, for the same reason as above: a host publishes contents first.
        let [files, blobs] = stored::archive_places(&self.directory)?;
        Ok(Published { files: open(&files)?, blobs: open(&blobs)? })
    }

    /// Checks that the blocks are those that the signed head binds: only then they are statements of the host.
    fn authenticate(&self, log: &StoredCore, signed_head: &SignedHead) -> Result<(), VerifyError> {
        let mut roots = Roots::default();
        for block in log.blocks(log.length().blocks()) {
            roots.append(&block?);
        }
        // Each block of an incomplete copy was checked against the copy's own record of verified nodes.
        if log.length() < signed_head.length() || roots.tree_hash() == signed_head.tree_hash() {
            return Ok(());
        }
        let StoredCore::Own(log) = log else {
            return Err(VerifyError::Damaged { path: self.directory.clone(), block: BlockIndex::FIRST });
        };
        let damaged = |block: &BlockIndex| {
            let proof = log.inclusion(*block);
            !log.block(*block).is_ok_and(|bytes| proof.is_ok_and(|proof| proof.verify(&bytes).is_ok()))
        };
        let block = each(signed_head.length().blocks()).find(damaged).unwrap_or_default();
        Err(VerifyError::Damaged { path: self.directory.join(LOG), block })
    }
}

/// Makes the proof file of a verdict.
fn proof_of(log: &dyn ReadCore, verdict: &Verdict) -> Result<Option<Proof>, StorageError> {
    match verdict {
        Verdict::Diverges(finding) => proofs::from_finding(log, finding),
        _ => Ok(None),
    }
}

/// Weakens a verdict about a part of a log: no signed head binds these blocks by themselves, so it must not accuse.
fn doubt_incomplete(verdict: Verdict, entries: Length, signed_head: &SignedHead) -> Verdict {
    match verdict {
        Verdict::Diverges(Finding { block, violation }) if entries < signed_head.length() => {
            Verdict::CannotVerify {
                block,
                why: format!(
                    "{violation}; but only {entries} of {} entries are here, and their signature is over all of them",
                    signed_head.length()
                ),
            }
        }
        verdict => verdict,
    }
}

/// The archive as the host publishes it, as far as it is available.
struct Published {
    files: Option<StoredCore>,
    blobs: Option<StoredCore>,
}
