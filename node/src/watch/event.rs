//! What a watcher tells of a host.

use std::path::PathBuf;

use libvms_cores::storage::layout::LOG;
use libvms_hypercore::identity::PublicKey;

use super::offence::Offence;
use super::report::FoundOut;
use crate::audit::Verdict;

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
        /// `fork`, `equivocation`, `truncation`, `archive-longer` or `archive-withheld`.
        offence: Offence,
        /// Whether the host's own signatures convict it; otherwise nobody is accused.
        is_signed: bool,
        /// What it is, for people.
        why: String,
        /// The file that says more.
        report: Option<PathBuf>,
    },
    /// A part of our own copy is damaged. What peers give is fetched again.
    Damaged {
        /// `log`, `files` or `blobs`.
        core: &'static str,
        /// Which part.
        why: String,
    },
    /// The audit rests: the disk is full, or a block of our copy is damaged that no peer has given yet.
    Stalled {
        /// Why.
        why: String,
    },
    /// The audit goes on.
    Resumed,
    /// The audit itself failed, and is given up.
    Failed {
        /// Why.
        why: String,
    },
}

impl Event {
    /// What the host did, where it is convicted.
    pub fn finding(&self) -> Option<FoundOut> {
        let name = |report: &Option<PathBuf>| {
            report.as_ref().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        };
        match self {
            Self::Ended { verdict: Verdict::Diverges(finding), report } => Some(FoundOut {
                core: LOG.into(),
                class: finding.violation.class().into(),
                block: Some(finding.block),
                report: name(report),
            }),
            Self::Evidence { core, offence, is_signed: true, report, .. } => Some(FoundOut {
                core: (*core).into(),
                class: offence.as_str().into(),
                block: None,
                report: name(report),
            }),
            _ => None,
        }
    }
}
