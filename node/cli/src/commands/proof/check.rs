//! `vms proof check`: judges proof files.

use std::path::Path;

use clap::Args;
use libvms::printable::Printable;
use libvms::proofs::ReadProofError;
use libvms::stored;
use libvms_hypercore::identity::PublicKey;
use libvms_protocol::proof::{Proof, Verdict};
use serde_json::{Value, json};

use crate::error::advised;
use crate::exit::Exit;
use crate::output::Output;
use crate::target::{directory, is_elsewhere};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    files: super::Files,
    /// Log that every claim must be about: its key, or a data directory or copy of it
    #[arg(long, value_name = "DIR|KEY")]
    log: Option<String>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> anyhow::Result<Exit> {
    let log = arguments.log.as_deref().map(key_of).transpose()?;
    let mut ended = Exit::Done;
    for file in &arguments.files.files {
        let checked = Checked::of(file, log.as_ref());
        output.line(|| checked.text(), || checked.json())?;
        ended = worse(ended, checked.exit());
    }
    Ok(ended)
}

/// Returns the key of a log, without a network.
fn key_of(log: &str) -> anyhow::Result<PublicKey> {
    if !is_elsewhere(log) {
        return Ok(libvms::storage::ReadCore::key(&stored::open_log(directory(log)?)?));
    }
    log.parse().map_err(|_| {
        let what = anyhow::anyhow!("{log} is no key, and no service is asked: proofs are judged offline");
        advised(what, "name the log by its key, hyper://KEY, or by a data directory or copy of it")
    })
}

/// Returns the exit code of two files from that of each.
fn worse(one: Exit, other: Exit) -> Exit {
    let order = [Exit::Usage, Exit::Diverges, Exit::CannotVerify];
    order.into_iter().find(|exit| [one, other].contains(exit)).unwrap_or(Exit::Done)
}

/// A file and its verdict.
struct Checked<'a> {
    file: &'a Path,
    judged: Result<(Proof, Verdict), ReadProofError>,
}

impl<'a> Checked<'a> {
    fn of(file: &'a Path, log: Option<&PublicKey>) -> Self {
        let judged = super::read(file).map(|proof| {
            let verdict = log.map_or_else(|| proof.check(), |log| proof.check_about(log));
            (proof, verdict)
        });
        Self { file, judged }
    }

    fn exit(&self) -> Exit {
        match &self.judged {
            Ok((_, Verdict::Holds)) => Exit::Done,
            Ok((_, Verdict::Fails { .. })) => Exit::Diverges,
            Ok((_, Verdict::CannotTell { .. })) => Exit::CannotVerify,
            Err(_) => Exit::Usage,
        }
    }

    fn text(&self) -> String {
        let file = self.file.display().to_string();
        match &self.judged {
            Ok((proof, verdict)) => {
                let verdict = verdict.to_string();
                let claim = proof.claim();
                format!(
                    "{}: {}\n  log    {}\n  kind   {}\n  claim  {}",
                    Printable(&file),
                    Printable(&verdict),
                    log(proof).unwrap_or_else(|| "unknown".into()),
                    Printable(proof.kind()),
                    Printable(&claim),
                )
            }
            Err(error) => format!("{}: unreadable: {}", Printable(&file), Printable(&error.to_string())),
        }
    }

    fn json(&self) -> Value {
        match &self.judged {
            Ok((proof, verdict)) => {
                let why = match verdict {
                    Verdict::Holds => None,
                    Verdict::Fails { step: why } | Verdict::CannotTell { why } => Some(why),
                };
                json!({
                    "file": self.file, "verdict": verdict.name(), "why": why, "log": log(proof), "kind": proof.kind(),
                    "claim": proof.claim(),
                })
            }
            Err(error) => {
                json!({ "file": self.file, "verdict": "unreadable", "why": error.to_string() })
            }
        }
    }
}

fn log(proof: &Proof) -> Option<String> {
    proof.log().map(|log| log.to_string())
}
