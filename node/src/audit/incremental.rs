//! An audit of one log that may still be growing: [`Audit`].

use libvms_cores::storage::{ReadCore, StorageError, TempCore};
use libvms_hypercore::blocks::{BlockIndex, Length, each};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_protocol::audit::{ArchiveCore, Finding, PerCore, Violation};
use libvms_protocol::entry::{Entry, FilesHead, Init};

use super::pending_heads::{Logged, PendingHeads};
use super::{Verdict, VerifyError};
use crate::archive::{ArchiveError, ArchiveStore};
use crate::execution::ExecutionError;
use crate::replay::{AuditOptions, Counts, Replay, ReplayError};

/// An audit in progress. It holds no block of the log: its driver passes the log in, as the log grows.
#[derive(Debug)]
pub struct Audit {
    log: PublicKey,
    settings: AuditOptions,
    replay: Replay<TempCoreStore>,
    verdict: Verdict,
    /// The parts seen of the published archive: of the db core, of the blobs core.
    published: PerCore<Seen>,
    /// The signed head of the archive that the verdict rests on.
    archive_head: Option<SignedHead>,
}

/// The part seen of one published core.
#[derive(Debug, Default)]
struct Seen {
    /// The part of the core that was compared.
    compared: Length,
    heads: PendingHeads,
}

impl Audit {
    /// Begins an audit of the log with the key `log`, from its first block on.
    ///
    /// # Errors
    /// When temporary files cannot be created, or scripts cannot be confined here: see
    /// [`EngineSettings`](libvms_engine::EngineSettings).
    pub fn new(log: PublicKey, settings: AuditOptions) -> Result<Self, VerifyError> {
        settings.engine.check().map_err(ExecutionError::from)?;
        let replay = new_replay(log, settings.clone())?;
        let (published, archive_head) = (Default::default(), None);
        Ok(Self { log, settings, replay, verdict: Verdict::Agrees, published, archive_head })
    }

    /// Executes the new blocks of `log` below `length`. Calls `progress` with the number of blocks done and `length`.
    ///
    /// After the first block whose verdict is not [`Verdict::Agrees`], nothing more is executed.
    ///
    /// # Errors
    /// When a block cannot be read, or the execution itself fails.
    pub fn advance(
        &mut self,
        log: &dyn ReadCore,
        length: Length,
        progress: &mut dyn FnMut(Length, Length),
    ) -> Result<(), VerifyError> {
        if self.verdict != Verdict::Agrees {
            return Ok(());
        }
        let stop = push_all(&mut self.replay, log, length, progress)?;
        self.verdict = match stop {
            None => Verdict::Agrees,
            Some(ReplayError::Diverged(finding)) => self.confirm_perturbed(log, finding)?,
            Some(ReplayError::Unverifiable { block, why }) => Verdict::CannotVerify { block, why },
            Some(ReplayError::TimedOut { block, error }) => {
                Verdict::CannotVerify { block, why: error.to_string() }
            }
            Some(ReplayError::Execution(error)) => return Err(error.into()),
        };
        Ok(())
    }

    /// Compares the available, not yet compared part of a published core with the writes of the executed calls: the lengths
    /// in its signed heads, and its blocks.
    ///
    /// A head beyond the log waits until the log has reached it: see [`Audit::unexplained`].
    ///
    /// # Errors
    /// When a block cannot be read.
    pub fn compare_archive(
        &mut self,
        log: &dyn ReadCore,
        which: ArchiveCore,
        published: &dyn ReadCore,
    ) -> Result<(), VerifyError> {
        let Some(archive) = self.replay.archive().filter(|_| self.verdict == Verdict::Agrees) else {
            return Ok(());
        };
        let seen = &mut self.published[which];
        let head = published.signed_head();
        head.into_iter().for_each(|head| seen.heads.take(head));
        let logged = archive.store();
        let wrong_head = seen.heads.judge(which, logged.logged(which));
        // When a head's content differs, the first differing block is better evidence, if it is available.
        let (head, index, violation) = match wrong_head {
            Some((head, violation @ Violation::ArchiveInsideCall { .. })) => {
                (Some(head), last_block(&head), violation)
            }
            wrong_head => match (seen.compare_blocks(logged, which, published)?, wrong_head) {
                (Some(block), wrong_head) => {
                    let head = wrong_head.map_or(head, |(head, _)| Some(head));
                    (head, block, Violation::ArchiveDiffers { core: which, block })
                }
                (None, Some((head, violation))) => (Some(head), last_block(&head), violation),
                (None, None) => return Ok(()),
            },
        };
        let block = entry_that_wrote(log, self.replay.next_block().length_before(), which, index)?;
        self.verdict = Verdict::Diverges(Finding { block, violation });
        self.archive_head = head;
        Ok(())
    }

    /// Takes a signed head of a published core that was seen in an earlier run.
    pub fn recall_archive_head(&mut self, which: ArchiveCore, head: SignedHead) {
        self.published[which].heads.take(head);
    }

    /// Returns the shortest signed head of a published core that the log does not account for yet. Such a head is not a
    /// deviation: the log's blocks may still arrive.
    pub fn unexplained(&self, which: ArchiveCore) -> Option<&SignedHead> {
        self.published[which].heads.unexplained()
    }

    /// Returns the signed head of the archive that the verdict rests on, if it rests on one.
    pub fn archive_head(&self) -> Option<&SignedHead> {
        self.archive_head.as_ref()
    }

    /// Returns the verdict at the audit's end: an archive that is ahead of an agreeing log is neither agreement nor
    /// deviation.
    pub fn conclude(&self) -> Verdict {
        let ahead =
            ArchiveCore::ALL.into_iter().find_map(|which| Some((which, self.unexplained(which)?.length())));
        match (&self.verdict, ahead, self.replay.archive()) {
            (Verdict::Agrees, Some((core, signed)), Some(archive)) => {
                let logged = archive.store().core(core).length();
                Verdict::ArchiveAhead {
                    core,
                    signed,
                    logged,
                    entries: self.replay.next_block().length_before(),
                }
            }
            (verdict, ..) => verdict.clone(),
        }
    }

    /// Returns the number of the log's blocks that were executed and agree.
    pub fn verified(&self) -> Length {
        match &self.verdict {
            Verdict::Agrees | Verdict::Equivocates { .. } => self.replay.next_block().length_before(),
            Verdict::Diverges(finding) => finding.block.length_before(),
            Verdict::CannotVerify { block, .. } | Verdict::NotDeterministic { block, .. } => {
                block.length_before()
            }
            Verdict::ArchiveAhead { entries, .. } => *entries,
        }
    }

    /// Returns the verdict so far.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Returns block 0's content, once block 0 was executed.
    pub fn init(&self) -> Option<&Init> {
        self.replay.init()
    }

    /// Returns the key of a core of the archive, as block 0 names it.
    pub fn archive_key(&self, which: ArchiveCore) -> Option<PublicKey> {
        self.init().map(|init| match which {
            ArchiveCore::Files => init.files,
            ArchiveCore::Blobs => init.blobs,
        })
    }

    /// Returns the numbers of executed calls.
    pub fn counts(&self) -> Counts {
        self.replay.counts()
    }

    /// Returns the archive as the executed calls have left it; `None` when the replay was stopped.
    pub fn files(&self) -> Option<FilesHead> {
        self.replay.archive().map(|archive| archive.head())
    }

    /// Executes the log again under perturbed conditions before the host is accused: if our own outcome differs then, the
    /// script is not deterministic. The limits stay the same: each is counted, the stack's too, and a script that catches
    /// the error of a limit has one answer for each limit.
    fn confirm_perturbed(&self, log: &dyn ReadCore, finding: Finding) -> Result<Verdict, VerifyError> {
        let mut replay = new_replay(self.log, self.settings.clone())?;
        match push_all(&mut replay, log, finding.block.length_with(), &mut |_, _| {})? {
            Some(ReplayError::Diverged(same)) if same == finding => Ok(Verdict::Diverges(finding)),
            Some(ReplayError::Execution(error)) => Err(error.into()),
            Some(ReplayError::TimedOut { block, error }) => {
                Ok(Verdict::CannotVerify { block, why: error.to_string() })
            }
            _ => Ok(Verdict::NotDeterministic { block: finding.block, why: finding.violation.to_string() }),
        }
    }
}

impl Seen {
    /// Returns the first of the new blocks that differs from what the calls wrote.
    fn compare_blocks(
        &mut self,
        logged: &TempCoreStore,
        which: ArchiveCore,
        published: &dyn ReadCore,
    ) -> Result<Option<BlockIndex>, VerifyError> {
        let end = published.length().min(logged.core(which).length());
        let new = end.blocks_since(self.compared);
        for (index, block) in each(new.clone()).zip(published.blocks(new)) {
            let ours = logged.block(which, index).map_err(ExecutionError::from)?;
            if block? != ours {
                return Ok(Some(index));
            }
        }
        self.compared = end.max(self.compared);
        Ok(None)
    }
}

fn new_replay(log: PublicKey, settings: AuditOptions) -> Result<Replay<TempCoreStore>, VerifyError> {
    let store =
        TempCoreStore { files: TempCore::new()?, blobs: TempCore::new()?, logged: Default::default() };
    Ok(Replay::new(log, store, settings))
}

fn push_all(
    replay: &mut Replay<TempCoreStore>,
    log: &dyn ReadCore,
    length: Length,
    progress: &mut dyn FnMut(Length, Length),
) -> Result<Option<ReplayError>, VerifyError> {
    let mut done = replay.next_block().length_before();
    let stop = replay.push_all(log.blocks(length.blocks_since(done)), &mut || {
        done += 1;
        progress(done, length);
    })?;
    Ok(stop.err())
}

/// Returns the last block that a head signs.
fn last_block(head: &SignedHead) -> BlockIndex {
    head.length().last().unwrap_or_default()
}

/// Returns the block of the log that wrote a block of the archive; the block after the last one if none did.
fn entry_that_wrote(
    log: &dyn ReadCore,
    length: Length,
    core: ArchiveCore,
    index: BlockIndex,
) -> Result<BlockIndex, VerifyError> {
    for (number, block) in each(length.blocks()).zip(log.blocks(length.blocks())) {
        let wrote = match Entry::decode(&block?) {
            Ok(Entry::Init(_)) => core == ArchiveCore::Files && index == BlockIndex::FIRST,
            Ok(Entry::Call(entry)) => entry.result.files().is_some_and(|files| match core {
                ArchiveCore::Files => files.head.version.has(index),
                ArchiveCore::Blobs => files.head.blobs.has(index),
            }),
            _ => false,
        };
        if wrote {
            return Ok(number);
        }
    }
    Ok(length.next_block())
}

/// The auditor's own archive, in temporary files.
#[derive(Debug)]
struct TempCoreStore {
    files: TempCore,
    blobs: TempCore,
    /// Length and tree hash of each core after each call, in order.
    logged: PerCore<Vec<Logged>>,
}

impl TempCoreStore {
    fn core(&self, core: ArchiveCore) -> &TempCore {
        match core {
            ArchiveCore::Files => &self.files,
            ArchiveCore::Blobs => &self.blobs,
        }
    }

    fn logged(&self, core: ArchiveCore) -> &[Logged] {
        &self.logged[core]
    }
}

impl ArchiveStore for TempCoreStore {
    fn block(&self, core: ArchiveCore, index: BlockIndex) -> Result<Vec<u8>, ArchiveError> {
        Ok(self.core(core).block(index)?)
    }

    /// Takes the blocks that one call has written to a core.
    fn append(&mut self, core: ArchiveCore, blocks: Vec<Vec<u8>>) -> Result<(), ArchiveError> {
        let scratch = match core {
            ArchiveCore::Files => &mut self.files,
            ArchiveCore::Blobs => &mut self.blobs,
        };
        let appended: Result<(), StorageError> = blocks.iter().try_for_each(|block| scratch.append(block));
        appended?;
        let (length, logged) = (scratch.length(), &mut self.logged[core]);
        if logged.last().map(|(length, _)| *length).unwrap_or_default() < length {
            logged.push((length, scratch.roots().tree_hash()));
        }
        Ok(())
    }
}
