//! [`Event`]: a watcher's report about a host.

use std::path::PathBuf;

use libvms_cores::storage::layout::LOG;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::PublicKey;

use super::offence::Offence;
use super::report::FoundOut;
use crate::audit::Verdict;

/// A watcher's event about one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The host's log is known: its title, and the keys of its archive.
    Found {
        /// The service's name for people.
        title: String,
        /// The archive's db core and blobs core.
        archive: [PublicKey; 2],
    },
    /// All available entries agree.
    Agrees {
        /// The number of entries.
        length: Length,
    },
    /// The audit has ended without agreement.
    Ended {
        /// The verdict.
        verdict: Verdict,
        /// The file with the details.
        report: Option<PathBuf>,
        /// The proof file, which convicts the host for anybody; `None` where no kind of proof exists for it.
        proof: Option<PathBuf>,
    },
    /// A peer has shown, or only claimed, a signature that an honest host does not make. Each kind is reported once for each
    /// core.
    Evidence {
        /// `log`, `files` or `blobs`.
        core: &'static str,
        /// The kind: `fork`, `equivocation`, `truncation`, `archive-longer` or `archive-withheld`.
        offence: Offence,
        /// Whether the host's own signatures convict it; otherwise the event accuses nobody.
        is_signed: bool,
        /// A description for people.
        why: String,
        /// The file with the details.
        report: Option<PathBuf>,
        /// The proof file, which convicts the core's key for anybody; `None` where nothing is proved.
        proof: Option<PathBuf>,
    },
    /// A part of our own copy is damaged. Its blocks are fetched again from peers.
    Damaged {
        /// `log`, `files` or `blobs`.
        core: &'static str,
        /// The damaged part.
        why: String,
    },
    /// The audit rests: the disk is full, or no peer has yet delivered a damaged block of our copy again.
    Stalled {
        /// The reason.
        why: String,
    },
    /// The audit goes on.
    Resumed,
    /// The audit itself failed, and is abandoned.
    Failed {
        /// The reason.
        why: String,
    },
}

impl Event {
    /// Returns the finding, if the event convicts the host.
    pub fn finding(&self) -> Option<FoundOut> {
        let name = |report: &Option<PathBuf>| {
            report.as_ref().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        };
        match self {
            Self::Ended { verdict: Verdict::Diverges(finding), report, proof } => Some(FoundOut {
                core: LOG.into(),
                class: finding.violation.class().into(),
                block: Some(finding.block),
                report: name(report),
                proof: name(proof),
            }),
            Self::Evidence { core, offence, is_signed: true, report, proof, .. } => Some(FoundOut {
                core: (*core).into(),
                class: offence.as_str().into(),
                block: None,
                report: name(report),
                proof: name(proof),
            }),
            _ => None,
        }
    }
}
