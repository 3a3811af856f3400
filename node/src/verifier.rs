//! One audit: is what a host has published what its script gives?
//!
//! [`Verifier`] checks three things in turn: that the log's blocks are those that its signed head binds; that
//! executing the calls again gives every logged outcome; and that the published archive is what the calls wrote. It
//! needs no byte of the archive for the first two, and trusts nothing that it has not computed itself.

use std::path::{Path, PathBuf};

use libvms_protocol::audit::{ArchiveCore, Finding, Violation};
use libvms_protocol::checkpoint::Checkpoint;
use libvms_protocol::entry::{Entry, FilesHead};
use libvms_protocol::identity::PublicKey;
use libvms_protocol::tree::Roots;
use thiserror::Error;

use crate::archive::{ArchiveError, ArchiveStore};
use crate::execution::ExecutionError;
use crate::host::{BLOBS, FILES, LOG};
use crate::replay::{Counts, Replay, Settings, Stop};
use crate::storage::{Core, Scratch, StorageError};

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
        let run = Run { log: &log, length: checkpoint.length() };
        let mut replay = run.replay(self.settings)?;
        let stop = run.push_all(&mut replay, progress)?;
        let mut report = AuditReport {
            log: log.key(),
            checkpoint,
            counts: replay.counts(),
            files: replay.archive().map(|archive| archive.head()),
            published: (archive.files.as_ref().map(Core::length), archive.blobs.as_ref().map(Core::length)),
            verdict: Verdict::Agrees,
        };
        report.verdict = match stop {
            None => self.judge_archive(&run, &replay, archive)?,
            Some(Stop::Diverges(finding)) => run.doubt(finding, self.settings)?,
            Some(Stop::CannotVerify { block, why }) => Verdict::CannotVerify { block, why },
            Some(Stop::Failed(error)) => return Err(error.into()),
        };
        Ok(report)
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

    fn judge_archive(
        &self,
        run: &Run<'_>,
        replay: &Replay<ScratchStore>,
        published: Published,
    ) -> Result<Verdict, VerifyError> {
        let (Some(init), Some(archive)) = (replay.init(), replay.archive()) else {
            return Ok(Verdict::Agrees);
        };
        for (which, core, key) in [
            (ArchiveCore::Files, published.files, init.files),
            (ArchiveCore::Blobs, published.blobs, init.blobs),
        ] {
            let Some(core) = core else { continue };
            if core.key() != key {
                return Err(VerifyError::ForeignCore { path: self.directory.clone(), core: which });
            }
            if let Some((index, violation)) = compare_core(which, &core, archive.store())? {
                let block = run.author(which, index)?;
                return Ok(Verdict::Diverges(Finding { block, violation }));
            }
        }
        Ok(Verdict::Agrees)
    }
}

/// A published core against the one that the replay has written: the first block that differs. A shorter one is
/// only late.
fn compare_core(
    which: ArchiveCore,
    published: &Core,
    replayed: &ScratchStore,
) -> Result<Option<(u64, Violation)>, VerifyError> {
    let logged = replayed.length(which);
    for (index, block) in (0..logged).zip(published.blocks(0..published.length().min(logged))) {
        let ours = replayed.block(which, index).map_err(ExecutionError::from)?;
        if block? != ours {
            return Ok(Some((index, Violation::ArchiveDiffers { core: which, block: index })));
        }
    }
    let longer = published.length() > logged;
    let violation = Violation::ArchiveLonger { core: which, logged, published: published.length() };
    Ok(longer.then_some((logged, violation)))
}

/// The archive as the host publishes it, as far as it is there.
struct Published {
    files: Option<Core>,
    blobs: Option<Core>,
}

/// The entries under audit.
struct Run<'a> {
    log: &'a Core,
    length: u64,
}

impl Run<'_> {
    fn replay(&self, settings: Settings) -> Result<Replay<ScratchStore>, VerifyError> {
        let store = ScratchStore { files: Scratch::new()?, blobs: Scratch::new()? };
        Ok(Replay::new(self.log.key(), store, settings))
    }

    fn push_all(
        &self,
        replay: &mut Replay<ScratchStore>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Option<Stop>, VerifyError> {
        for (done, block) in (1..).zip(self.log.blocks(0..self.length)) {
            if let Err(stop) = replay.push(&block?) {
                return Ok(Some(stop));
            }
            progress(done, self.length);
        }
        Ok(replay.settle().err())
    }

    /// The block of the log that wrote a block of the archive; the block after the last one if none did.
    fn author(&self, core: ArchiveCore, index: u64) -> Result<u64, VerifyError> {
        for (number, block) in (0..).zip(self.log.blocks(0..self.length)) {
            let wrote = match Entry::decode(&block?) {
                Ok(Entry::Init(_)) => core == ArchiveCore::Files && index == 0,
                Ok(Entry::Call(entry)) => entry.result.files().is_some_and(|files| match core {
                    ArchiveCore::Files => files.version > index,
                    ArchiveCore::Blobs => files.blobs > index,
                }),
                _ => false,
            };
            if wrote {
                return Ok(number);
            }
        }
        Ok(self.length)
    }

    /// Executes again with other settings before anybody is accused: if our own answer depends on them, we cannot tell.
    fn doubt(&self, finding: Finding, settings: Settings) -> Result<Verdict, VerifyError> {
        let again = Self { length: finding.block + 1, ..*self };
        let mut replay = again.replay(Settings { vary: true, ..settings })?;
        match again.push_all(&mut replay, &mut |_, _| {})? {
            Some(Stop::Diverges(same)) if same == finding => Ok(Verdict::Diverges(finding)),
            Some(Stop::Failed(error)) => Err(error.into()),
            _ => Ok(Verdict::NotDeterministic { block: finding.block, why: finding.violation.to_string() }),
        }
    }
}

/// The auditor's own archive, in temporary files.
#[derive(Debug)]
struct ScratchStore {
    files: Scratch,
    blobs: Scratch,
}

impl ScratchStore {
    fn core(&self, core: ArchiveCore) -> &Scratch {
        match core {
            ArchiveCore::Files => &self.files,
            ArchiveCore::Blobs => &self.blobs,
        }
    }

    fn length(&self, core: ArchiveCore) -> u64 {
        self.core(core).length()
    }
}

impl ArchiveStore for ScratchStore {
    fn block(&self, core: ArchiveCore, index: u64) -> Result<Vec<u8>, ArchiveError> {
        Ok(self.core(core).block(index)?)
    }

    fn append(&mut self, core: ArchiveCore, blocks: Vec<Vec<u8>>) -> Result<(), ArchiveError> {
        let scratch = match core {
            ArchiveCore::Files => &mut self.files,
            ArchiveCore::Blobs => &mut self.blobs,
        };
        Ok(blocks.iter().try_for_each(|block| scratch.append(block))?)
    }
}
