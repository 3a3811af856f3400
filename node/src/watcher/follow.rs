//! Auditing one host as its log grows: the thread that executes, and what it tells.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use libvms_protocol::audit::ArchiveCore;
use libvms_protocol::identity::PublicKey;

use super::report::{self, State};
use crate::replay::Settings;
use crate::storage::{SharedReplica, StorageError};
use crate::verifier::{Audit, Verdict, VerifyError};

/// How long to wait for something new before looking anyway.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

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
    /// Somebody showed what an honest host does not sign, or said so.
    Evidence {
        /// `fork`, `equivocation` or `truncation`.
        class: &'static str,
        /// Whether the host's own signature says it; otherwise it is only a peer's word.
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

/// Starts the download of an archive's cores.
pub(super) type OpenArchive = Box<dyn Fn([PublicKey; 2]) -> Result<[SharedReplica; 2], StorageError> + Send>;

/// One host: its log as far as it was downloaded, and where the audit keeps its own.
pub(super) struct Followed {
    pub(super) directory: PathBuf,
    pub(super) log: SharedReplica,
    pub(super) open_archive: OpenArchive,
    /// One message whenever one of the cores has grown, or the watcher ends.
    pub(super) grown: Receiver<()>,
    pub(super) is_stopped: Arc<AtomicBool>,
    pub(super) settings: Settings,
}

impl Followed {
    /// Audits until the watcher ends. Saves how far it got.
    pub(super) fn run(self, tell: &mut dyn FnMut(Event)) {
        if let Err(error) = self.follow(tell) {
            tell(Event::Failed { why: error.to_string() });
        }
    }

    fn follow(&self, tell: &mut dyn FnMut(Event)) -> Result<(), VerifyError> {
        let mut audit = Audit::new(self.log.key(), self.settings)?;
        let mut told = State::read(&self.directory);
        let mut archive = None;
        loop {
            self.step(&mut audit, archive.as_ref())?;
            if let Some(init) = audit.init().filter(|_| archive.is_none()) {
                let keys = [init.files, init.blobs];
                tell(Event::Found { title: init.title.clone(), archive: keys });
                archive = Some((self.open_archive)(keys)?);
            }
            let now = State::of(&audit);
            if now != told {
                self.tell(&audit, &now, tell)?;
                told = now;
            }
            if self.is_stopped.load(Ordering::Acquire) {
                return Ok(());
            }
            // Without a message too: a stop may have found the channel full.
            let _woken = self.grown.recv_timeout(LOOK_INTERVAL);
        }
    }

    /// Executes what is new. The archive is looked at before the log: an honest host's log is never behind it.
    fn step(&self, audit: &mut Audit, archive: Option<&[SharedReplica; 2]>) -> Result<(), VerifyError> {
        audit.advance(&self.log, self.log.length(), &mut |_done, _all| {})?;
        let [files, blobs] = match archive {
            Some(archive) => archive,
            None => return Ok(()),
        };
        audit.compare_archive(&self.log, ArchiveCore::Files, files)?;
        audit.compare_archive(&self.log, ArchiveCore::Blobs, blobs)
    }

    fn tell(&self, audit: &Audit, state: &State, tell: &mut dyn FnMut(Event)) -> Result<(), VerifyError> {
        let verdict = audit.verdict().clone();
        let event = match &verdict {
            Verdict::Agrees => Event::Agrees { length: audit.verified() },
            _ => {
                let report = report::write(&self.directory, &self.log, &verdict)?;
                Event::Ended { verdict, report }
            }
        };
        tell(event);
        state.write(&self.directory)
    }
}
