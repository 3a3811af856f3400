//! Evidence that a host's log is not append-only: what a peer claimed or proved, and which of it is conclusive.
//!
//! Two kinds convict the host, because its own signatures contradict each other or the rules of a log:
//! a signed head of a **fork**, which our hosts never make, and two signed heads that differ at one length
//! (**equivocation**). All else is a peer's unproved claim, or has an innocent explanation: every replicator that is
//! behind has a signed head that is a prefix of the longest one seen. A shorter head suggests a **truncation** only when
//! the peer had more before, and does not convict even then: the peer may have lost its disk.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use libvms_cores::storage::StorageError;
use libvms_hypercore::replication::Evidence;
use tokio::time::Instant;

use super::event::Event;
use super::offence::Offence;
use super::proof::Proof;
use super::report::{self, Kept};

/// The evidence about one core: judges it, and keeps the conclusive evidence on disk.
///
/// Each kind is reported and kept once: a host can sign any number of heads, and a peer can claim any number of forks.
#[derive(Debug)]
pub struct EvidenceLog {
    directory: PathBuf,
    core: &'static str,
    told: BTreeSet<(Offence, bool)>,
}

impl EvidenceLog {
    /// Returns the log of evidence about the core `core` (`log`, `files` or `blobs`) of a host with reports in `directory`.
    pub fn new(directory: PathBuf, core: &'static str) -> Self {
        Self { directory, core, told: BTreeSet::new() }
    }

    /// Loads the evidence kept in an earlier run: a host stays convicted when the watcher starts again.
    pub fn load(&mut self) -> Vec<Event> {
        let kept = |offence| {
            if let Some((kept, why)) = report::find_evidence(&self.directory, self.core, offence) {
                return Some(self.event(offence, true, why, kept));
            }
            let finding = report::kept_finding(&self.directory, self.core, offence)?;
            let lost = finding.report.unwrap_or_default();
            let why = format!("found in an earlier run; its report {lost} is missing or damaged");
            let proof = report::find_proof(&self.directory, finding.proof.as_deref());
            Some(self.event(offence, true, why, Kept { report: None, proof }))
        };
        let events: Vec<Event> =
            [Offence::Fork, Offence::Equivocation].into_iter().filter_map(kept).collect();
        self.told.extend(events.iter().filter_map(|event| match event {
            Event::Evidence { offence, .. } => Some((*offence, true)),
            _ => None,
        }));
        events
    }

    /// Judges a piece of evidence; returns its event, `None` when its kind was already reported.
    ///
    /// # Errors
    /// When the report cannot be written. The evidence is judged again when a peer shows it again.
    pub fn judge(&mut self, evidence: &Evidence) -> Result<Option<Event>, StorageError> {
        let Assessment { offence, proof, why } = Assessment::of(evidence, self.core);
        let is_signed = proof.is_some_and(|proof| proof.convicts());
        if !self.told.insert((offence, is_signed)) {
            return Ok(None);
        }
        let written = proof
            .map(|proof| report::write_evidence(&self.directory, self.core, offence, &proof, &why))
            .transpose();
        if written.is_err() {
            self.told.remove(&(offence, is_signed));
        }
        let event = self.event(offence, is_signed, why, written?.unwrap_or_default());
        if let Some(finding) = event.finding() {
            report::keep_finding(&self.directory, finding)?;
        }
        Ok(Some(event))
    }

    fn event(&self, offence: Offence, is_signed: bool, why: String, kept: Kept) -> Event {
        let Kept { report, proof } = kept;
        Event::Evidence { core: self.core, offence, is_signed, why, report, proof }
    }
}

/// Claims of peers that wait for the signed head that would prove them: a proof is better evidence, and is then reported
/// in the place of the claim.
#[derive(Debug, Default)]
pub(super) struct Claims {
    waiting: VecDeque<(Instant, Box<Evidence>)>,
}

/// How long a claim waits: longer than a peer may take to send its head.
const CLAIM_PATIENCE: Duration = Duration::from_secs(15);

/// Claims that may wait at a time. There are few kinds, and each is reported once.
const CLAIMS_MAX: usize = 64;

impl Claims {
    /// Takes a piece of evidence; returns it when it must be judged now.
    pub(super) fn take(&mut self, evidence: Box<Evidence>) -> Option<Box<Evidence>> {
        match &*evidence {
            Evidence::ForkClaimed { .. } | Evidence::ShrinkClaimed { .. } => {
                if self.waiting.len() < CLAIMS_MAX {
                    self.waiting.push_back((Instant::now() + CLAIM_PATIENCE, evidence));
                }
                return None;
            }
            Evidence::ForkSigned { .. } => {
                self.waiting.retain(|(_, claim)| !matches!(**claim, Evidence::ForkClaimed { .. }));
            }
            Evidence::ShorterSigned { .. } | Evidence::Conflict { .. } | Evidence::LongerSigned { .. } => {
                self.waiting.retain(|(_, claim)| !matches!(**claim, Evidence::ShrinkClaimed { .. }));
            }
        }
        Some(evidence)
    }

    /// Waits for a claim that no peer has proved in time.
    pub(super) async fn unproved(&mut self) -> Box<Evidence> {
        match self.waiting.front() {
            Some((until, _)) => tokio::time::sleep_until(*until).await,
            None => std::future::pending().await,
        }
        match self.waiting.pop_front() {
            Some((_, claim)) => claim,
            None => std::future::pending().await,
        }
    }
}

struct Assessment<'a> {
    offence: Offence,
    proof: Option<Proof<'a>>,
    why: String,
}

impl<'a> Assessment<'a> {
    fn of(evidence: &'a Evidence, core: &str) -> Self {
        match evidence {
            Evidence::ForkClaimed { fork, length, .. } => Self {
                offence: Offence::Fork,
                proof: None,
                why: format!(
                    "a peer says that the {core} core was cut off {fork} times, and has {length} blocks"
                ),
            },
            Evidence::ShrinkClaimed { before, after, .. } => Self {
                offence: Offence::Truncation,
                proof: None,
                why: format!("a peer says that the {core} core has {after} blocks, and said {before} before"),
            },
            Evidence::ShorterSigned { theirs, .. } => Self {
                offence: Offence::Truncation,
                proof: Some(Proof::Shorter(theirs)),
                why: format!(
                    "a peer shows a signed head of {} blocks of the {core} core, and more were signed before: it is an \
                     old one, or the host has lost or cut off what came after it",
                    theirs.length()
                ),
            },
            // Only the writer of a core gets this evidence, and a watcher is not one.
            Evidence::LongerSigned { theirs, .. } => Self {
                offence: Offence::Truncation,
                proof: None,
                why: format!(
                    "a peer has {} blocks of the {core} core, more than its writer",
                    theirs.length()
                ),
            },
            Evidence::ForkSigned { theirs, .. } => Self {
                offence: Offence::Fork,
                proof: Some(Proof::Fork(theirs)),
                why: format!("the host has signed a {core} core that was cut off {} times", theirs.fork()),
            },
            Evidence::Conflict { ours, theirs, .. } => Self {
                offence: Offence::Equivocation,
                proof: Some(Proof::Equivocation([ours, theirs])),
                why: format!(
                    "the host has signed two {core} cores that differ in their first {} blocks",
                    ours.head().length
                ),
            },
        }
    }
}
