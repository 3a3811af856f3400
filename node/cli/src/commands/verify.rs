//! `vms verify`: one audit.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use libvms::audit::{AuditReport, Auditor, Compared, Verdict, VerifyError, verify_remote};
use libvms::printable::Printable;
use libvms::proofs;
use libvms::replay::AuditOptions;
use libvms::storage::StorageError;
use libvms_protocol::audit::ArchiveCore;
use serde_json::{Value, json};

use crate::copy::{PeerArguments, Temporary, check_local};
use crate::exit::Exit;
use crate::output::{Output, message};
use crate::progress;
use crate::sandbox::SandboxArguments;
use crate::target::{Target, directory, is_elsewhere, short};

/// Re-execute a log and compare every result and file
///
/// Checks that the host signed the log's blocks, that every call gives the logged result, and that the published archive
/// holds exactly what the calls wrote. Only reads a directory, which a host may be using; copies anything else from peers
/// first. Says when the archive, or a part of it, could not be compared. Of a deviation that the entries themselves show, it
/// writes a proof file, which convicts the host for anybody.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vms verify counter.vms\n  vms verify ws://127.0.0.1:5555/\n  vms verify hyper://KEY --peer 127.0.0.1:4444\n  vms verify counter.vms --json | jq .verdict\n\nExit codes: 0 agrees, 1 diverges, 3 cannot verify, or only a part, 4 the script is not deterministic"
)]
pub(super) struct Arguments {
    /// Data directory of a host, copy of a watcher or replicator (DIR/KEY), URL of a service (ws://HOST:PORT/PATH), or
    /// key of a log
    #[arg(value_name = "DIR|URL|KEY")]
    target: String,
    #[command(flatten)]
    peers: PeerArguments,
    /// Directory for the proof file of a deviation
    #[arg(long, value_name = "DIR", default_value = ".")]
    proof_dir: PathBuf,
    #[command(flatten)]
    sandbox: SandboxArguments,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let options = AuditOptions { engine: arguments.sandbox.settings()?, ..AuditOptions::default() };
    let is_elsewhere = is_elsewhere(&arguments.target);
    if !is_elsewhere {
        check_local(&arguments.target, &arguments.peers)?;
    }
    let bar = progress::bar("verifying");
    let audited = if is_elsewhere {
        crate::runtime()?.block_on(verify_elsewhere(&arguments, options, bar.clone()))?
    } else {
        match directory(&arguments.target) {
            Ok(directory) => {
                Auditor::for_directory(directory).with_options(options).run(&mut progress::report(&bar))
            }
            Err(error) => Err(no_target(&error)),
        }
    };
    bar.finish_and_clear();
    match audited {
        Ok(report) => {
            let kept = keep_proof(&report, &arguments.proof_dir);
            output.line(|| text(&report, kept.as_ref()), || as_json(&report, kept.as_ref()))?;
            Ok(exit(&report))
        }
        Err(error) => unverified(&error, output),
    }
}

/// Keeps the proof of a deviation, if there is one. That it cannot be kept does not change the verdict.
fn keep_proof(report: &AuditReport, directory: &Path) -> Option<Kept> {
    let proof = report.proof.as_ref()?;
    let what = match &report.verdict {
        Verdict::Diverges(finding) => format!("{}-{}", finding.block, finding.violation.class()),
        Verdict::Equivocates { core, class } => format!("{core}-{class}"),
        _ => return None,
    };
    Some(proofs::keep(directory, &format!("{}-{what}", short(&report.log)), proof))
}

/// Copies a log and its archive into a temporary directory, and audits the copy.
async fn verify_elsewhere(
    arguments: &Arguments,
    options: AuditOptions,
    bar: ProgressBar,
) -> anyhow::Result<Result<AuditReport, VerifyError>> {
    let found = Target::find(&arguments.target).await;
    let found = found.and_then(|target| arguments.peers.check_has_peer(&target).map(|()| target));
    let Target { log, addresses, length } = match found {
        Ok(target) => target,
        Err(error) => return Ok(Err(no_target(&error))),
    };
    let directory = Temporary::new()?;
    let network = arguments.peers.network(&addresses).await?;
    let report = move |done, all| progress::report(&bar)(done, all);
    let audited = verify_remote(&network, &directory.0, log, length, options, report).await;
    network.shutdown().await;
    Ok(audited)
}

fn no_target(error: &anyhow::Error) -> VerifyError {
    VerifyError::NoTarget { why: message(error) }
}

/// Prints why a log cannot be verified. The exit code tells a bug of this program from an unreadable log.
fn unverified(error: &VerifyError, output: &Output) -> anyhow::Result<Exit> {
    let exit = match error {
        VerifyError::Execution(error) if error.is_bug() => Exit::Failed,
        _ => Exit::CannotVerify,
    };
    output.line(
        || format!("cannot verify: {}", Printable(&error.to_string())),
        || json!({ "verdict": "cannot-verify", "why": error.to_string() }),
    )?;
    Ok(exit)
}

/// Returns the exit code. An audit must cover the log and the whole archive to end with [`Exit::Done`].
fn exit(report: &AuditReport) -> Exit {
    match &report.verdict {
        Verdict::Agrees if report.is_complete() => Exit::Done,
        Verdict::Diverges(_) | Verdict::Equivocates { .. } => Exit::Diverges,
        Verdict::Agrees | Verdict::CannotVerify { .. } | Verdict::ArchiveAhead { .. } => Exit::CannotVerify,
        Verdict::NotDeterministic { .. } => Exit::NotDeterministic,
    }
}

/// The result of keeping a proof.
type Kept = Result<PathBuf, StorageError>;

fn text(report: &AuditReport, kept: Option<&Kept>) -> String {
    let AuditReport { log, signed_head, entries, counts, .. } = report;
    let subject = match *entries < signed_head.length() {
        true => format!("log {log}, {entries} of {} entries", signed_head.length()),
        false => format!("log {log}, {} entries", signed_head.length()),
    };
    let verdict = match &report.verdict {
        Verdict::Agrees => format!("agrees: {} calls{}", counts.calls, reservations(report)),
        other => Printable(&other.to_string()).to_string(),
    };
    let proof = match kept {
        Some(Ok(path)) => format!("\nproof: {}", Printable(&path.display().to_string())),
        Some(Err(error)) => format!("\nthe proof cannot be kept: {}", Printable(&error.to_string())),
        None => String::new(),
    };
    format!("{subject}\n{verdict}{proof}")
}

/// Returns the parts that the audit did not cover, as text.
fn reservations(report: &AuditReport) -> String {
    let mut text = String::new();
    if report.counts.killed > 0 {
        text += &format!(" ({} that the host killed were skipped)", report.counts.killed);
    }
    match report.compared() {
        Some(Compared::NotSeen) => text += "; archive not seen",
        Some(Compared::Behind { core, published, logged }) => {
            let seen = match core {
                ArchiveCore::Files => "archive seen up to version",
                ArchiveCore::Blobs => "contents of the archive seen up to block",
            };
            text += &format!("; {seen} {published} of {logged}");
            if report.is_own {
                text += ", the host publishes the rest when it starts";
            }
        }
        Some(Compared::Whole) | None => {}
    }
    if report.beyond > 0 {
        text += &format!(
            "; {} bytes after the last entry are an unfinished write, which the host recovers when it starts",
            report.beyond
        );
    }
    text
}

fn as_json(report: &AuditReport, kept: Option<&Kept>) -> Value {
    let mut object = json!({
        "log": report.log.to_string(),
        "length": report.signed_head.length(),
        "entries": report.entries,
        "calls": report.counts.calls,
        "killed": report.counts.killed,
        "filesVersion": report.files.map(|files| files.version),
        "filesBlobs": report.files.map(|files| files.blobs),
        "publishedFiles": report.published.0,
        "publishedBlobs": report.published.1,
        "archive": match report.compared() {
            Some(Compared::Whole) => Some("whole"),
            Some(Compared::Behind { .. }) => Some("behind"),
            Some(Compared::NotSeen) => Some("not-seen"),
            None => None,
        },
        "bytesBeyond": report.beyond,
    });
    let verdict = match &report.verdict {
        Verdict::Agrees => json!({ "verdict": "agrees" }),
        Verdict::Diverges(finding) => json!({
            "verdict": "diverges",
            "block": finding.block,
            "class": finding.violation.class(),
            "field": finding.violation.field(),
            "why": finding.violation.to_string(),
            "proof": kept.and_then(|kept| kept.as_ref().ok()),
        }),
        forked @ Verdict::Equivocates { core, class } => json!({
            "verdict": forked.name(),
            "core": core,
            "class": class,
            "why": forked.to_string(),
            "proof": kept.and_then(|kept| kept.as_ref().ok()),
        }),
        Verdict::CannotVerify { block, why } => {
            json!({ "verdict": "cannot-verify", "block": block, "why": why })
        }
        ahead @ Verdict::ArchiveAhead { entries, .. } => {
            json!({ "verdict": ahead.name(), "block": entries, "why": ahead.to_string() })
        }
        Verdict::NotDeterministic { block, why } => {
            json!({ "verdict": "not-deterministic", "block": block, "why": why })
        }
    };
    if let (Value::Object(object), Value::Object(verdict)) = (&mut object, verdict) {
        object.extend(verdict);
    }
    if let Some(Err(error)) = kept {
        object["proofError"] = json!(error.to_string());
    }
    object
}
