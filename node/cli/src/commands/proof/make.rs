//! `vms proof make`: makes proof files from logs and from other proof files.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use libvms::call_log::CallLog;
use libvms::printable::Printable;
use libvms::proofs;
use libvms_hypercore::blocks::BlockIndex;
use libvms_protocol::proof::{Equivocation, History, NoFork, Proof};
use serde_json::json;

use crate::copy::{self, PeerArguments};
use crate::error::advised;
use crate::exit::Exit;
use crate::output::Output;
use crate::target::{directory, is_elsewhere, short};

/// Make a proof file
#[derive(Debug, Args)]
#[command(
    override_usage = "vms proof make <DIR|URL|KEY> call <BLOCK> [OPTIONS]\n       vms proof make fork <FILE|DIR> <FILE|DIR> [OPTIONS]",
    after_help = "Examples:\n  vms proof make counter.vms call 3\n  vms proof make ws://127.0.0.1:5555/ call 3 --out receipt.proof\n  vms proof make fork mine.proof hers.proof"
)]
pub(super) struct Arguments {
    /// Data directory of a host, copy of a watcher or replicator (DIR/KEY), URL of a service (ws://HOST:PORT/PATH), or
    /// key of a log
    #[arg(value_name = "DIR|URL|KEY")]
    target: Option<String>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Prove that an entry stands in a log: its receipt
    #[command(
        override_usage = "vms proof make <DIR|URL|KEY> call <BLOCK> [OPTIONS]",
        after_help = "Examples:\n  vms proof make counter.vms call 3\n  vms proof make hyper://KEY call 3 --peer 127.0.0.1:4444\n  vms proof make counter.vms call 3 --out - | ssh example.org vms proof check -"
    )]
    Call {
        /// Number of the block
        block: BlockIndex,
        #[command(flatten)]
        out: Out,
        #[command(flatten)]
        peers: PeerArguments,
    },
    /// Prove that a key signed two histories
    ///
    /// Takes two files or logs of which the signed heads contradict each other: two receipts that show two entries in one
    /// place, or a receipt and a log in which its entry is not.
    #[command(
        override_usage = "vms proof make fork <FILE|DIR> <FILE|DIR> [OPTIONS]",
        after_help = "Examples:\n  vms proof make fork mine.proof hers.proof\n  vms proof make fork receipt.proof counter.vms\n\nExit codes: 0 made, 1 they contradict nothing, 2 a file cannot be read, 3 they do not hold what compares them"
    )]
    Fork {
        /// Proof file, or data directory of a host or copy
        #[arg(value_name = "FILE|DIR")]
        one: PathBuf,
        /// The other one
        #[arg(value_name = "FILE|DIR")]
        other: PathBuf,
        #[command(flatten)]
        out: Out,
    },
}

#[derive(Debug, Args)]
struct Out {
    /// File to write, which must not exist yet; - for standard output; default: a new name in this directory
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let Arguments { target, what } = arguments;
    match (what, target) {
        (What::Call { block, peers, out }, Some(target)) => {
            let proof = call(&target, &peers, block)?;
            out.write(&proof, &block.to_string(), output)?;
            Ok(Exit::Done)
        }
        (What::Call { .. }, None) => Err(advised(
            anyhow!("it is not said of which log"),
            "name it before the word call: vms proof make counter.vms call 3",
        )),
        (What::Fork { one, other, out }, None) => match fork(&one, &other)? {
            Ok(proof) => {
                out.write(&Proof::Equivocation(proof), "fork", output)?;
                Ok(Exit::Done)
            }
            Err(error) => {
                output.line(
                    || format!("no fork: {}", Printable(&error.to_string())),
                    || json!({ "file": null, "why": error.to_string() }),
                )?;
                Ok(if matches!(error, NoFork::Unknown { .. }) { Exit::CannotVerify } else { Exit::Diverges })
            }
        },
        (What::Fork { .. }, Some(target)) => Err(advised(
            anyhow!("{target} does not apply: a fork is made of two files or directories"),
            "leave it out, or name it after the word fork",
        )),
    }
}

fn call(target: &str, peers: &PeerArguments, block: BlockIndex) -> anyhow::Result<Proof> {
    let log = match is_elsewhere(target) {
        true => copy::log(target, peers)?,
        false => {
            copy::check_local(target, peers)?;
            CallLog::open(directory(target)?)?
        }
    };
    if !log.length().has(block) {
        bail!("there is no block {block} in {target}, which has {}", log.length());
    }
    proofs::from_entry(log.core(), block)?.with_context(|| {
        format!("block {block} in {target} is damaged, or a part of its tree is not in this copy")
    })
}

/// Makes the proof of two histories.
fn fork(one: &Path, other: &Path) -> anyhow::Result<Result<Equivocation, NoFork>> {
    let [one, other] = [Shown::open(one)?, Shown::open(other)?];
    let (mut ours, mut theirs) = match (one.histories()?, other.histories()?) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
    };
    let mut last = NoFork::NoHead;
    for one in &mut ours {
        for other in &mut theirs {
            match one.conflict(other) {
                Ok(proof) => return Ok(Ok(proof)),
                Err(error) => last = error,
            }
        }
    }
    Ok(Err(last))
}

/// What shows a history.
enum Shown {
    File(Box<Proof>),
    Log(CallLog),
}

impl Shown {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let name = || Printable(&path.display().to_string()).to_string();
        if path.is_dir() {
            return Ok(Self::Log(CallLog::open(path)?));
        }
        super::read(path).map(|proof| Self::File(Box::new(proof))).with_context(name)
    }

    fn histories(&self) -> anyhow::Result<Result<Vec<History<'_>>, NoFork>> {
        match self {
            Self::File(proof) => Ok(History::all_from_proof(proof)),
            Self::Log(log) => {
                let history = proofs::history(log.core()).context("the log is empty: no head was signed")?;
                Ok(Ok(vec![history]))
            }
        }
    }
}

impl Out {
    /// Writes a proof where it was asked for, and says where.
    fn write(&self, proof: &Proof, name: &str, output: &Output) -> anyhow::Result<()> {
        let path = match &self.out {
            Some(path) if path == Path::new("-") => return output.raw(&proof.encode()),
            Some(path) => {
                write_new(path, proof)?;
                path.clone()
            }
            None => {
                let log = proof.log().context("a proof that was made is about a log")?;
                proofs::keep(Path::new("."), &format!("{}-{name}", short(&log)), proof)?
            }
        };
        output.line(
            || Printable(&path.display().to_string()).to_string(),
            || json!({ "file": path, "kind": proof.kind(), "log": proof.log().map(|log| log.to_string()) }),
        )
    }
}

fn write_new(path: &Path, proof: &Proof) -> anyhow::Result<()> {
    let written = proofs::write(path, proof);
    match &written {
        Err(libvms::storage::StorageError::Io { source, .. })
            if source.kind() == io::ErrorKind::AlreadyExists =>
        {
            bail!("{} exists already, and is not replaced", path.display())
        }
        _ => Ok(written?),
    }
}
