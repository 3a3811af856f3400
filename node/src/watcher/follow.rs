//! One host under audit: what its copies come to by now, and what there is to tell of it.
//!
//! [`Followed`] decides; when to look, and who fills the copies, is `thread.rs`'s matter and the network's. So a
//! simulation drives the same code without threads, sockets or a clock.

use std::path::PathBuf;

use libvms_protocol::audit::ArchiveCore;
use libvms_protocol::identity::PublicKey;

use super::report::{self, State};
use crate::host::LOG;
use crate::replay::Settings;
use crate::storage::{SharedReplica, StorageError};
use crate::verifier::{Audit, Verdict, VerifyError};

/// How long an archive may be ahead of a log that does not grow before that is told, in milliseconds.
pub const SUSPICION_DELAY_MS: u64 = 10_000;

/// What a watcher has to tell about one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The host's log is known: its title, and the keys of its archive.
    Found {
        /// What people call the service.
        title: String,
        /// The archive's db core and blobs core.
        archive: [PublicKey; 2],
    },
    /// All entries that are here agree.
    Agrees {
        /// How many.
        length: u64,
    },
    /// The audit has come to an end that is no agreement.
    Ended {
        /// Which.
        verdict: Verdict,
        /// The file that says more.
        report: Option<PathBuf>,
    },
    /// Somebody showed what an honest host does not sign, or said so. Each kind is told once for each core.
    Evidence {
        /// `log`, `files` or `blobs`.
        core: &'static str,
        /// `fork`, `equivocation`, `truncation` or `archive-longer`.
        class: &'static str,
        /// Whether the host's own signatures convict it; otherwise nobody is accused.
        is_signed: bool,
        /// What it is, for people.
        why: String,
        /// The file that says more.
        report: Option<PathBuf>,
    },
    /// The audit itself failed.
    Failed {
        /// Why.
        why: String,
    },
}

/// One host: the copies of its cores, as far as they were downloaded, and where the audit of them stands.
#[derive(Debug)]
pub struct Followed {
    directory: PathBuf,
    log: SharedReplica,
    archive: Option<[SharedReplica; 2]>,
    audit: Audit,
    told: State,
    ahead: [Option<Ahead>; 2],
}

/// A core of the archive whose signed head is ahead of the log.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    /// Length of the log when it was last seen to grow, and when that was.
    log_length: u64,
    since: u64,
    is_told: bool,
}

impl Followed {
    /// Begins to audit a host whose log is copied to `log`. `directory` keeps what comes of it.
    ///
    /// # Errors
    /// Where there is no room for working files.
    pub fn new(directory: PathBuf, log: SharedReplica, settings: Settings) -> Result<Self, VerifyError> {
        let audit = Audit::new(log.key(), settings)?;
        let told = State::read(&directory);
        Ok(Self { directory, log, archive: None, audit, told, ahead: [None; 2] })
    }

    /// Where the audit stands.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Executes what is new in the log, compares what is new in the archive, and tells what has changed. `now` is in
    /// milliseconds of any clock that does not go back. `open_archive` is asked once for copies of the archive's
    /// cores, as soon as the log names them.
    ///
    /// # Errors
    /// Where a copy can not be read, or the execution itself fails.
    pub fn step(
        &mut self,
        now: u64,
        open_archive: &mut dyn FnMut([PublicKey; 2]) -> Result<[SharedReplica; 2], StorageError>,
        tell: &mut dyn FnMut(Event),
    ) -> Result<(), VerifyError> {
        self.audit.advance(&self.log, self.log.length(), &mut |_done, _all| {})?;
        if let Some(init) = self.audit.init().filter(|_| self.archive.is_none()) {
            let keys = [init.files, init.blobs];
            tell(Event::Found { title: init.title.clone(), archive: keys });
            self.archive = Some(open_archive(keys)?);
        }
        for which in [ArchiveCore::Files, ArchiveCore::Blobs] {
            if let Some(archive) = &self.archive {
                self.audit.compare_archive(&self.log, which, &archive[which as usize])?;
            }
            self.suspect(now, which, tell);
        }
        self.tell(tell)
    }

    fn tell(&mut self, tell: &mut dyn FnMut(Event)) -> Result<(), VerifyError> {
        let state = State::of(&self.audit);
        if state == self.told {
            return Ok(());
        }
        let verdict = self.audit.verdict();
        tell(match verdict {
            Verdict::Agrees => Event::Agrees { length: self.audit.verified() },
            _ => {
                let report = report::write(&self.directory, &self.log, &self.audit)?;
                Event::Ended { verdict: verdict.clone(), report }
            }
        });
        state.write(&self.directory)?;
        self.told = state;
        Ok(())
    }

    /// Tells of an archive that is ahead of a log at rest. The host may have written files that it did not log; as
    /// likely, whoever has the newer log is out of reach. When the log grows further, the audit finds out.
    fn suspect(&mut self, now: u64, which: ArchiveCore, tell: &mut dyn FnMut(Event)) {
        let (head, log_length) = (self.audit.unexplained(which), self.log.length());
        let ahead = &mut self.ahead[which as usize];
        let Some(head) = head else { return *ahead = None };
        let ahead = ahead.get_or_insert(Ahead { log_length, since: now, is_told: false });
        if ahead.log_length != log_length {
            (ahead.log_length, ahead.since) = (log_length, now);
        }
        if ahead.is_told || now.saturating_sub(ahead.since) < SUSPICION_DELAY_MS {
            return;
        }
        ahead.is_told = true;
        let why = format!(
            "the {which} core was signed with {} blocks, more than the {LOG} accounts for, which has {log_length} \
             entries here; a longer one may be out of reach",
            head.length()
        );
        let (core, class) = (which.name(), "archive-longer");
        tell(Event::Evidence { core, class, is_signed: false, why, report: None });
    }
}
