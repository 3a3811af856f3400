//! `vms verify`: one audit.

use std::path::PathBuf;

use clap::Args;
use libvms::verifier::{AuditReport, Verdict, Verifier, VerifyError};
use serde_json::{Value, json};

use super::output::Output;
use super::sandbox::SandboxArguments;
use super::{Exit, progress};

/// Execute a log again and compare everything it says
///
/// Checks that the log's blocks are those that the host signed, that every call gives the logged result, and that the
/// published archive is what the calls wrote. Reads only; a host may be using the directory.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vms verify counter.vms\n  vms verify counter.vms --json | jq .verdict\n\nExit codes: 0 agrees, 1 diverges, 3 cannot verify, 4 the script is not deterministic"
)]
pub(super) struct Arguments {
    /// Data directory of a host
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    sandbox: SandboxArguments,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    arguments.sandbox.choose();
    let bar = progress::bar("verifying");
    let audited = Verifier::of_directory(&arguments.directory).run(&mut progress::report(&bar));
    bar.finish_and_clear();
    match audited {
        Ok(report) => {
            output.line(|| text(&report), || as_json(&report))?;
            Ok(exit(&report.verdict))
        }
        Err(error) => unverified(&error, output),
    }
}

/// What can not be read can not be verified; what fails here is our own fault.
fn unverified(error: &VerifyError, output: &Output) -> anyhow::Result<Exit> {
    let exit = match error {
        VerifyError::Execution(_) => Exit::Failed,
        _ => Exit::CannotVerify,
    };
    output.line(
        || format!("cannot verify: {error}"),
        || json!({ "verdict": "cannot-verify", "why": error.to_string() }),
    )?;
    Ok(exit)
}

fn exit(verdict: &Verdict) -> Exit {
    match verdict {
        Verdict::Agrees => Exit::Done,
        Verdict::Diverges(_) => Exit::Diverges,
        Verdict::CannotVerify { .. } => Exit::CannotVerify,
        Verdict::NotDeterministic { .. } => Exit::NotDeterministic,
    }
}

fn text(report: &AuditReport) -> String {
    let AuditReport { log, checkpoint, counts, .. } = report;
    let subject = format!("log {log}, {} entries", checkpoint.length());
    let verdict = match &report.verdict {
        Verdict::Agrees if counts.killed > 0 => {
            format!(
                "agrees: {} calls ({} that the host's clock stopped were skipped)",
                counts.calls, counts.killed
            )
        }
        Verdict::Agrees => format!("agrees: {} calls", counts.calls),
        Verdict::Diverges(finding) => {
            format!(
                "diverges at block {}: {}: {}",
                finding.block,
                finding.violation.class(),
                finding.violation
            )
        }
        Verdict::CannotVerify { block, why } => format!("cannot verify from block {block} on: {why}"),
        Verdict::NotDeterministic { block, why } => {
            format!("the script is not deterministic: block {block} gives different results here ({why})")
        }
    };
    format!("{subject}\n{verdict}")
}

fn as_json(report: &AuditReport) -> Value {
    let mut object = json!({
        "log": report.log.to_string(),
        "length": report.checkpoint.length(),
        "calls": report.counts.calls,
        "killed": report.counts.killed,
        "filesVersion": report.files.map(|files| files.version),
        "filesBlobs": report.files.map(|files| files.blobs),
        "publishedFiles": report.published.0,
        "publishedBlobs": report.published.1,
    });
    let verdict = match &report.verdict {
        Verdict::Agrees => json!({ "verdict": "agrees" }),
        Verdict::Diverges(finding) => json!({
            "verdict": "diverges",
            "block": finding.block,
            "class": finding.violation.class(),
            "field": finding.violation.field(),
            "why": finding.violation.to_string(),
        }),
        Verdict::CannotVerify { block, why } => {
            json!({ "verdict": "cannot-verify", "block": block, "why": why })
        }
        Verdict::NotDeterministic { block, why } => {
            json!({ "verdict": "not-deterministic", "block": block, "why": why })
        }
    };
    if let (Value::Object(object), Value::Object(verdict)) = (&mut object, verdict) {
        object.extend(verdict);
    }
    object
}
