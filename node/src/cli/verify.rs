//! `vms verify`: one audit.

use clap::Args;
use indicatif::ProgressBar;
use libvms::printable::Printable;
use libvms::replay::Settings;
use libvms::verifier::{AuditReport, Verdict, Verifier, VerifyError, verify_remote};
use serde_json::{Value, json};

use super::copy::{PeerArguments, Temporary};
use super::output::{Output, message};
use super::sandbox::SandboxArguments;
use super::target::{Target, directory, is_elsewhere};
use super::{Exit, progress};

/// Execute a log again and compare everything it says
///
/// Checks that the log's blocks are those that the host signed, that every call gives the logged result, and that the
/// published archive is what the calls wrote. A directory is only read, and a host may be using it; anything else is
/// copied from peers first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vms verify counter.vms\n  vms verify ws://127.0.0.1:5555/\n  vms verify hyper://KEY --peer 127.0.0.1:4444\n  vms verify counter.vms --json | jq .verdict\n\nExit codes: 0 agrees, 1 diverges, 3 cannot verify, 4 the script is not deterministic"
)]
pub(super) struct Arguments {
    /// Data directory of a host, ws://HOST:PORT/PATH of a service, or the key of a log
    #[arg(value_name = "DIR|URL|KEY")]
    target: String,
    #[command(flatten)]
    peers: PeerArguments,
    #[command(flatten)]
    sandbox: SandboxArguments,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    arguments.sandbox.choose();
    let bar = progress::bar("verifying");
    let audited = if is_elsewhere(&arguments.target) {
        super::runtime()?.block_on(verify_elsewhere(&arguments, bar.clone()))?
    } else {
        match directory(&arguments.target) {
            Ok(directory) => Verifier::of_directory(directory).run(&mut progress::report(&bar)),
            Err(error) => Err(no_target(&error)),
        }
    };
    bar.finish_and_clear();
    match audited {
        Ok(report) => {
            output.line(|| text(&report), || as_json(&report))?;
            Ok(exit(&report.verdict))
        }
        Err(error) => unverified(&error, output),
    }
}

/// Copies a log and its archive into a temporary place, and audits the copy.
async fn verify_elsewhere(
    arguments: &Arguments,
    bar: ProgressBar,
) -> anyhow::Result<Result<AuditReport, VerifyError>> {
    let found = Target::find(&arguments.target).await;
    let found = found.and_then(|target| arguments.peers.check_somebody(&target).map(|()| target));
    let Target { log, addresses, length } = match found {
        Ok(target) => target,
        Err(error) => return Ok(Err(no_target(&error))),
    };
    let directory = Temporary::new()?;
    let network = arguments.peers.network(&addresses).await?;
    let report = move |done, all| progress::report(&bar)(done, all);
    let audited = verify_remote(&network, &directory.0, log, length, Settings::default(), report).await;
    network.shutdown().await;
    Ok(audited)
}

fn no_target(error: &anyhow::Error) -> VerifyError {
    VerifyError::NoTarget { why: message(error) }
}

/// What can not be read can not be verified; what fails here is our own fault.
fn unverified(error: &VerifyError, output: &Output) -> anyhow::Result<Exit> {
    let exit = match error {
        VerifyError::Execution(_) => Exit::Failed,
        _ => Exit::CannotVerify,
    };
    output.line(
        || format!("cannot verify: {}", Printable(&error.to_string())),
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
        other => Printable(&other.to_string()).to_string(),
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
