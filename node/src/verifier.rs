//! One audit: is what a host has published what its script gives?
//!
//! [`Verifier`] checks three things in turn: that the log's blocks are those that its signed head binds; that
//! executing the calls again gives every logged outcome; and that the published archive is what the calls wrote. It
//! needs no byte of the archive for the first two, and trusts nothing that it has not computed itself. [`Audit`] does
//! the second and the third, on a log that may still be growing.

mod audit;
mod heads;
mod remote;
mod source;

use std::fmt;
use std::path::{Path, PathBuf};

use libvms_protocol::audit::{ArchiveCore, Finding};
use libvms_protocol::checkpoint::Checkpoint;
use libvms_protocol::entry::FilesHead;
use libvms_protocol::identity::PublicKey;
use libvms_protocol::tree::Roots;
use thiserror::Error;

use crate::execution::ExecutionError;
use crate::host::{BLOBS, FILES, LOG};
use crate::net::CopyError;
use crate::replay::{Counts, Settings};
use crate::storage::{Core, StorageError};

pub use audit::Audit;
pub use remote::verify_remote;
pub use source::{AuditedCore, BlockIterator};

/// An audit of the service in a data directory. The directory is only read; a host may be using it.
#[derive(Debug)]
pub struct Verifier {
    directory: PathBuf,
    settings: Settings,
}

/// What an audit has found.
#[derive(Clone, Debug)]
pub struct AuditReport {
    /// The log's key.
    pub log: PublicKey,
    /// The signed head that the audit is about.
    pub checkpoint: Checkpoint,
    /// What was executed.
    pub counts: Counts,
    /// The archive as the calls have left it, where the audit came to the end.
    pub files: Option<FilesHead>,
    /// The length of the archive's db and blobs cores as the host publishes them, where they are there.
    pub published: (Option<u64>, Option<u64>),
    /// What it comes to.
    pub verdict: Verdict,
}

/// What an audit comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is what the script gives.
    Agrees,
    /// The host deviated; this is the first place.
    Diverges(Finding),
    /// Nothing can be said from this block on.
    CannotVerify {
        /// The first block about which nothing is known.
        block: u64,
        /// Why.
        why: String,
    },
    /// The script gives different results under conditions that must not matter, so that nobody can be accused.
    NotDeterministic {
        /// The call that gave different results.
        block: u64,
        /// What was found first.
        why: String,
    },
}

impl Verdict {
    /// `agrees`, `diverges`, `cannot-verify` or `not-deterministic`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Diverges(_) => "diverges",
            Self::CannotVerify { .. } => "cannot-verify",
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
            Self::NotDeterministic { block, why } => write!(
                formatter,
                "the script is not deterministic: block {block} gives different results here ({why})"
            ),
        }
    }
}

/// Why there is no verdict at all.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// A core can not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The audit's own working space, or its worker, failed.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The log holds nothing.
    #[error("the log in {} is empty: no service has been deployed", path.display())]
    Empty {
        /// The log's directory.
        path: PathBuf,
    },
    /// It is not known which log to audit.
    #[error("{why}")]
    NoTarget {
        /// Why.
        why: String,
    },
    /// No peer gives the log.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The log on disk was damaged after it was signed: that is nobody's deviation.
    #[error("the blocks of the log in {} are not those that its signed head binds; the first damaged one is {block}", path.display())]
    Damaged {
        /// The log's directory.
        path: PathBuf,
        /// The first block that does not fit.
        block: u64,
    },
    /// The archive's cores are not those that the log names.
    #[error("the {core} core in {} is not the one that the log names", path.display())]
    ForeignCore {
        /// The data directory.
        path: PathBuf,
        /// Which core.
        core: ArchiveCore,
    },
}

impl Verifier {
    /// An audit of the service in `directory`.
    pub fn of_directory(directory: &Path) -> Self {
        Self { directory: directory.into(), settings: Settings::default() }
    }

    /// Grants other limits than the default.
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Audits. `progress` is told how many of how many entries have been executed.
    ///
    /// # Errors
    /// Where the directory can not be read or the audit itself fails. A deviating host is no error, but a verdict.
    pub fn run(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<AuditReport, VerifyError> {
        // The archive before the log: the log is durable first, so that at no time the archive seen is ahead of it.
        let archive = self.open_archive()?;
        let log = Core::open_read_only(&self.directory.join(LOG))?;
        let checkpoint =
            log.checkpoint().ok_or_else(|| VerifyError::Empty { path: self.directory.join(LOG) })?;
        self.authenticate(&log, &checkpoint)?;
        let mut audit = Audit::new(log.key(), self.settings)?;
        audit.advance(&log, checkpoint.length(), progress)?;
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
            audit.compare_archive_length(which, core.length());
        }
        Ok(AuditReport {
            log: log.key(),
            checkpoint,
            counts: audit.counts(),
            files: audit.files(),
            published,
            verdict: audit.into_verdict(),
        })
    }

    fn open_archive(&self) -> Result<Published, VerifyError> {
        let open = |name: &str| match Core::open_read_only(&self.directory.join(name)) {
            Ok(core) => Ok(Some(core)),
            // A log alone can be verified: its entries bind the archive.
            Err(StorageError::NoCore { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        // Names before contents, for the same reason as above: contents are published first.
        Ok(Published { files: open(FILES)?, blobs: open(BLOBS)? })
    }

    /// Whether the blocks are those that the head binds: only then is what they say the host's word.
    fn authenticate(&self, log: &Core, checkpoint: &Checkpoint) -> Result<(), VerifyError> {
        let mut roots = Roots::default();
        for block in log.blocks(0..checkpoint.length()) {
            roots.append(&block?);
        }
        if roots.tree_hash() == checkpoint.tree_hash() {
            return Ok(());
        }
        let damaged = |block: &u64| {
            let proof = log.inclusion(*block);
            !log.block(*block).is_ok_and(|bytes| proof.is_ok_and(|proof| proof.verify(&bytes).is_ok()))
        };
        let block = (0..checkpoint.length()).find(damaged).unwrap_or_default();
        Err(VerifyError::Damaged { path: self.directory.join(LOG), block })
    }
}

/// The archive as the host publishes it, as far as it is there.
struct Published {
    files: Option<Core>,
    blobs: Option<Core>,
}
