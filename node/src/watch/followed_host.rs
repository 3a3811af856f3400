//! One host under audit: the current verdict on its copies, and the events to report.
//!
//! [`Followed`] decides; `thread.rs` schedules its steps, and the network fills the copies. So a simulation drives the
//! same code without threads, sockets or a clock.

use std::path::PathBuf;

use libvms_cores::storage::{SharedReplica, StorageError};
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_protocol::audit::{ArchiveCore, PerCore};

use super::event::Event;
use super::offence::Offence;
use super::report::{self, Kept, State};
use crate::audit::{Audit, Verdict, VerifyError};
use crate::replay::AuditOptions;

/// How long a head of the archive may be ahead of the log before that is reported, in milliseconds.
pub const SUSPICION_DELAY_MS: u64 = 10_000;
/// How long peers may deliver no more of an archive that entries account for, before that is reported.
const WITHHELD_DELAY_MS: u64 = 60_000;
/// The report is repeated after twice the time, and so on, up to this interval.
const SUSPICION_INTERVAL_MS_MAX: u64 = 600_000;

/// One host: the downloaded part of its cores, and the state of their audit.
#[derive(Debug)]
pub struct Followed {
    directory: PathBuf,
    log: SharedReplica,
    archive: Option<PerCore<SharedReplica>>,
    audit: Audit,
    /// The state last reported in this run.
    told: Option<State>,
    ahead: PerCore<Option<Ahead>>,
    withheld: PerCore<Option<Withheld>>,
}

/// A core of the archive that is shorter at all peers than the entries account for.
#[derive(Clone, Copy, Debug)]
struct Withheld {
    /// Blocks available.
    published: Length,
    since: u64,
    tell_at: u64,
    interval_ms: u64,
}

/// A core of the archive with a signed head that is ahead of the log.
#[derive(Clone, Debug)]
struct Ahead {
    head: SignedHead,
    /// Entries of the log that were available then.
    entries: Length,
    /// When the head was first seen beside a completely available log.
    since: u64,
    /// When the head is reported, and how long after that the report is repeated.
    tell_at: u64,
    interval_ms: u64,
    /// The report's file, once the head was reported.
    report: Option<PathBuf>,
}

impl Followed {
    /// Begins to audit a host whose log is copied to `log`. `directory` keeps the state and reports.
    ///
    /// # Errors
    /// When temporary files cannot be created.
    pub fn new(directory: PathBuf, log: SharedReplica, settings: AuditOptions) -> Result<Self, VerifyError> {
        let audit = Audit::new(log.key(), settings)?;
        let (ahead, withheld) = Default::default();
        let mut followed = Self { directory, log, archive: None, audit, told: None, ahead, withheld };
        for which in ArchiveCore::ALL {
            let kept = report::find_ahead(&followed.directory, which);
            kept.into_iter().for_each(|head| followed.audit.recall_archive_head(which, head));
        }
        Ok(followed)
    }

    /// Returns the audit.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Executes the new blocks of the log, compares the new blocks of the archive, and returns an event for each change.
    /// `now` is in milliseconds of any clock that does not go back. `open_archive` is called once for copies of the
    /// archive's cores, as soon as the log names them.
    ///
    /// # Errors
    /// When a copy cannot be read, or the execution itself fails.
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
            let [files, blobs] = open_archive(keys)?;
            self.archive = Some(PerCore { files, blobs });
        }
        let mut suspicions = vec![];
        for which in ArchiveCore::ALL {
            if let Some(archive) = &self.archive {
                self.audit.compare_archive(&self.log, which, &archive[which])?;
            }
            suspicions.extend(self.suspect(now, which)?);
            suspicions.extend(self.miss(now, which));
        }
        self.tell(tell)?;
        suspicions.into_iter().for_each(tell);
        Ok(())
    }

    fn tell(&mut self, tell: &mut dyn FnMut(Event)) -> Result<(), VerifyError> {
        // Once an archive ahead of the log was reported, a log that agrees is not reported.
        let is_ahead = ArchiveCore::ALL
            .iter()
            .filter_map(|which| self.ahead[*which].as_ref())
            .any(|ahead| ahead.report.is_some());
        let state = State::of(
            &if is_ahead { self.audit.conclude() } else { self.audit.verdict().clone() },
            &self.audit,
        );
        if self.told.as_ref() == Some(&state) {
            return Ok(());
        }
        let event = match self.audit.verdict() {
            Verdict::Agrees if is_ahead => None,
            Verdict::Agrees => Some(Event::Agrees { length: self.audit.verified() }),
            verdict => {
                let Kept { report, proof } = report::write(&self.directory, &self.log, &self.audit)?;
                Some(Event::Ended { verdict: verdict.clone(), report, proof })
            }
        };
        // Keep the state before the event: the operator who gets the event must find it on disk.
        report::keep_state(&self.directory, &state, event.as_ref().and_then(Event::finding))?;
        self.told = Some(state);
        event.into_iter().for_each(tell);
        Ok(())
    }

    /// Reports a head of the archive that no entry explains or excludes, and keeps it. The host may have written files
    /// that it did not log; as likely, the peer with the newer log is unreachable. While that is undecided, the report is
    /// repeated at growing intervals.
    fn suspect(&mut self, now: u64, which: ArchiveCore) -> Result<Option<Event>, VerifyError> {
        let head =
            self.audit.unexplained(which).filter(|_| *self.audit.verdict() == Verdict::Agrees).copied();
        let Some(head) = head else {
            // A finding's own report holds the head, and an explained head need not be kept.
            if self.ahead[which].take().is_some_and(|ahead| ahead.report.is_some()) {
                report::forget_ahead(&self.directory, which)?;
            }
            return Ok(None);
        };
        let entries = self.log.length();
        let is_behind = self.log.signed_head().is_some_and(|known| known.length() > entries);
        let ahead = match &mut self.ahead[which] {
            // Blocks of the log that are still arriving may explain the head.
            Some(ahead) if ahead.head == head && !(is_behind && ahead.entries < entries) => ahead,
            ahead => {
                let report = ahead.take().and_then(|ahead| ahead.report);
                let (tell_at, interval_ms) = (now.saturating_add(SUSPICION_DELAY_MS), SUSPICION_DELAY_MS);
                ahead.insert(Ahead { head, entries, since: now, tell_at, interval_ms, report })
            }
        };
        if now < ahead.tell_at {
            return Ok(None);
        }
        ahead.interval_ms = (2 * ahead.interval_ms).min(SUSPICION_INTERVAL_MS_MAX);
        ahead.tell_at = now.saturating_add(ahead.interval_ms);
        let why = format!(
            "{}, for {} s; a longer log may be out of reach",
            self.audit.conclude(),
            now.saturating_sub(ahead.since) / 1000
        );
        let report =
            report::write_ahead(&self.directory, which, &head, self.log.signed_head().as_ref(), &why)?;
        ahead.report = Some(report.clone());
        let (core, offence) = (which.name(), Offence::ArchiveLonger);
        Ok(Some(Event::Evidence { core, offence, is_signed: false, why, report: Some(report), proof: None }))
    }

    /// Reports an archive that no peer provides, or only in part, as long as that lasts: an agreement of the log does not
    /// cover it.
    fn miss(&mut self, now: u64, which: ArchiveCore) -> Option<Event> {
        let published = self.archive.as_ref().map(|archive| archive[which].length())?;
        let files = self.audit.files().filter(|_| *self.audit.verdict() == Verdict::Agrees)?;
        let logged = match which {
            ArchiveCore::Files => files.version,
            ArchiveCore::Blobs => files.blobs,
        };
        let withheld = &mut self.withheld[which];
        if published >= logged {
            *withheld = None;
            return None;
        }
        let withheld = match withheld {
            Some(withheld) if withheld.published == published => withheld,
            withheld => {
                let (tell_at, interval_ms) = (now.saturating_add(WITHHELD_DELAY_MS), WITHHELD_DELAY_MS);
                withheld.insert(Withheld { published, since: now, tell_at, interval_ms })
            }
        };
        if now < withheld.tell_at {
            return None;
        }
        withheld.interval_ms = (2 * withheld.interval_ms).min(SUSPICION_INTERVAL_MS_MAX);
        withheld.tell_at = now.saturating_add(withheld.interval_ms);
        let why = format!(
            "the log agrees, but the archive was not compared as a whole: nobody gives more than {published} of the {logged} \
             blocks of its {which} core, for {} s",
            now.saturating_sub(withheld.since) / 1000
        );
        let (core, offence) = (which.name(), Offence::ArchiveWithheld);
        Some(Event::Evidence { core, offence, is_signed: false, why, report: None, proof: None })
    }
}
