//! `vms proof`: the files by which one party shows another what a host has signed.

mod check;
mod make;
mod show;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use libvms::proofs::{self, ReadProofError};
use libvms_protocol::proof::Proof;

use crate::exit::Exit;
use crate::output::Output;

/// Show, check or make proof files
///
/// A proof file holds a claim about the log of one key, and all that is needed to judge it. Checking it needs no network,
/// and nobody has to trust the person who made it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say in words what proof files claim and hold
    ///
    /// Whether a claim holds, vms proof check says.
    #[command(
        after_help = "Examples:\n  vms proof show receipt.proof\n  vms proof show watched/*/*.proof\n  vms proof show receipt.proof --json | jq .entry.result\n\nA claim is about a key. Compare it with the key of the log that you mean. The cores of an archive have keys of their own, and their blocks are what callers wrote: a claim about such a key says nothing about a log.\n\nExit codes: 0 all files were shown, 2 one cannot be read"
    )]
    Show(Files),
    /// Judge proof files, from the files alone
    ///
    /// Prints the key that each claim is about. A proof of fraud holds where the host is convicted, a receipt where the
    /// entry stands in the log that the host signed.
    #[command(
        after_help = "Examples:\n  vms proof check report-9.proof\n  vms proof check report-9.proof --log hyper://KEY\n  vms proof check watched/KEY/*.proof --log watched/KEY\n  curl https://example.org/receipt.proof | vms proof check - --json\n\nExit codes: 0 every claim holds, 1 one does not, 2 a file is no proof or cannot be read, 3 one cannot be told: a part is missing, or it needs a later vms. Of several files, 2 comes before 1, and 1 before 3"
    )]
    Check(check::Arguments),
    Make(make::Arguments),
}

#[derive(Debug, Args)]
struct Files {
    /// Proof files; - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    match arguments.command {
        Command::Show(Files { files }) => show::run(&files, output),
        Command::Check(arguments) => check::run(&arguments, output),
        Command::Make(arguments) => make::run(arguments, output),
    }
}

/// Reads a proof file, or standard input where the name is `-`.
fn read(file: &Path) -> Result<Proof, ReadProofError> {
    if file == Path::new("-") { proofs::read(io::stdin().lock()) } else { proofs::read(File::open(file)?) }
}
