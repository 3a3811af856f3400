//! The output of `watch` about the hosts that it follows, and its exit code: [`Teller`].
//!
//! Programs get every event. People get a line for each change of state, and once a minute a summary of hosts with new
//! entries; with `-v` also a line for each batch of entries.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use libvms::audit::Verdict;
use libvms::printable::Printable;
use libvms::watch::Event;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::PublicKey;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output::Output;
use crate::target::short;

/// Interval of the summaries for people.
pub(super) const SUMMARY_INTERVAL: Duration = Duration::from_secs(60);

/// Prints events, and keeps the state that decides the exit code.
#[derive(Debug)]
pub(super) struct Teller<'a> {
    output: &'a Output,
    hosts: BTreeMap<PublicKey, Host>,
    /// Hosts that cannot be audited any more.
    failed: BTreeSet<PublicKey>,
    has_found: bool,
}

/// The state of a host.
#[derive(Debug, Default)]
struct Host {
    /// Entries that agree; `told` is their number in the last message for people.
    length: Length,
    told: Option<Length>,
    /// Its audit waits for the disk or a block.
    is_stalled: bool,
}

impl<'a> Teller<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        Self { output, hosts: BTreeMap::new(), failed: BTreeSet::new(), has_found: false }
    }

    /// Adds a host.
    pub(super) fn follows(&mut self, log: PublicKey) {
        self.hosts.entry(log).or_default();
    }

    /// Reports that a host cannot be followed.
    pub(super) fn cannot_follow(&mut self, log: PublicKey, why: &anyhow::Error) -> anyhow::Result<()> {
        self.tell(log, &Event::Failed { why: format!("{why:#}") })
    }

    /// Returns whether all audits have failed.
    pub(super) fn is_over(&self) -> bool {
        !self.hosts.is_empty() && self.hosts.keys().all(|log| self.failed.contains(log))
    }

    /// Returns the exit code.
    pub(super) fn exit(&self) -> Exit {
        let is_incomplete = !self.failed.is_empty() || self.hosts.values().any(|host| host.is_stalled);
        match (self.has_found, is_incomplete) {
            (true, _) => Exit::Diverges,
            (false, true) => Exit::CannotVerify,
            (false, false) => Exit::Done,
        }
    }

    /// Prints an event of a host.
    pub(super) fn tell(&mut self, log: PublicKey, event: &Event) -> anyhow::Result<()> {
        self.has_found |= event.finding().is_some();
        let host = self.hosts.entry(log).or_default();
        let is_news = match event {
            Event::Agrees { length } => {
                host.length = *length;
                let is_first = host.told.is_none() && !length.is_empty();
                if is_first || self.output.is_verbose() {
                    host.told = Some(*length);
                }
                is_first || self.output.is_verbose()
            }
            Event::Stalled { .. } => {
                !std::mem::replace(&mut host.is_stalled, true) || self.output.is_verbose()
            }
            Event::Resumed => std::mem::replace(&mut host.is_stalled, false),
            Event::Failed { .. } => self.failed.insert(log),
            _ => true,
        };
        match is_news || self.output.is_json() {
            true => self.output.line(
                || format!("{} {} {}", time(), short(&log), Printable(&text(event))),
                || as_json(&log, event),
            ),
            false => Ok(()),
        }
    }

    /// Prints for people how far each audit is that has new entries since the last message.
    pub(super) fn summarise(&mut self) -> anyhow::Result<()> {
        if self.output.is_json() {
            return Ok(());
        }
        for (log, host) in &mut self.hosts {
            let new = host.length.checked_sub(host.told.unwrap_or_default()).unwrap_or(0);
            if new > 0 {
                host.told = Some(host.length);
                let (length, log) = (host.length, short(log));
                let line = || format!("{} {log} agrees: {}, {new} of them new", time(), entries(length));
                self.output.line(line, || Value::Null)?;
            }
        }
        Ok(())
    }
}

/// Returns the present time as text.
pub(crate) fn time() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

fn entries(length: Length) -> String {
    if length == Length(1) { "1 entry".into() } else { format!("{length} entries") }
}

/// Returns where the files of an event are, as text.
fn see(report: &Option<PathBuf>, proof: &Option<PathBuf>) -> String {
    match (report, proof) {
        (Some(report), Some(proof)) => format!(" (see {}, proof {})", report.display(), proof.display()),
        (Some(report), None) => format!(" (see {})", report.display()),
        (None, Some(proof)) => format!(" (proof {})", proof.display()),
        (None, None) => String::new(),
    }
}

fn text(event: &Event) -> String {
    match event {
        Event::Found { title, .. } => format!("is \"{title}\""),
        Event::Agrees { length } => format!("agrees: {}", entries(*length)),
        Event::Ended { verdict, report, proof } => format!("{verdict}{}", see(report, proof)),
        Event::Evidence { offence, is_signed: true, why, report, proof, .. } => {
            format!("diverges: {offence}: {why}{}", see(report, proof))
        }
        Event::Evidence { offence, why, report, proof, .. } => {
            format!("suspicious: {offence}: {why}{}", see(report, proof))
        }
        Event::Damaged { core, why } => {
            format!("the copy of its {core} is damaged: {why}; missing blocks are requested from peers")
        }
        Event::Stalled { why } => format!("the audit waits: {why}"),
        Event::Resumed => "the audit continues".into(),
        Event::Failed { why } => format!("the audit failed: {why}"),
    }
}

fn as_json(log: &PublicKey, event: &Event) -> Value {
    let mut object = match event {
        Event::Found { title, archive } => json!({
            "event": "found", "title": title, "files": archive[0].to_string(), "blobs": archive[1].to_string(),
        }),
        Event::Agrees { length } => json!({ "event": "agrees", "length": length }),
        Event::Ended { verdict, report, proof } => ended(verdict, report.as_deref(), proof.as_deref()),
        Event::Evidence { core, offence, is_signed, why, report, proof } => json!({
            "event": if *is_signed { "finding" } else { "suspicion" },
            "core": core, "class": offence.as_str(), "signed": is_signed, "why": why, "report": report, "proof": proof,
        }),
        Event::Damaged { core, why } => json!({ "event": "damaged", "core": core, "why": why }),
        Event::Stalled { why } => json!({ "event": "stalled", "why": why }),
        Event::Resumed => json!({ "event": "resumed" }),
        Event::Failed { why } => json!({ "event": "failed", "why": why }),
    };
    object["log"] = json!(log.to_string());
    object["at"] = json!(time());
    object
}

/// Returns the event for the end of an audit: `finding` when the host is convicted, `ended` when it cannot be verified.
fn ended(verdict: &Verdict, report: Option<&Path>, proof: Option<&Path>) -> Value {
    let mut object = json!({ "event": "ended", "verdict": verdict.name(), "report": report });
    match verdict {
        Verdict::Diverges(finding) => {
            object["event"] = json!("finding");
            object["core"] = json!("log");
            object["signed"] = json!(true);
            object["proof"] = json!(proof);
            object["block"] = json!(finding.block);
            object["class"] = json!(finding.violation.class());
            object["field"] = json!(finding.violation.field());
            object["why"] = json!(finding.violation.to_string());
        }
        Verdict::CannotVerify { block, why } | Verdict::NotDeterministic { block, why } => {
            object["block"] = json!(block);
            object["why"] = json!(why);
        }
        Verdict::Agrees | Verdict::ArchiveAhead { .. } | Verdict::Equivocates { .. } => {}
    }
    object
}
