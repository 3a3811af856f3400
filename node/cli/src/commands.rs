//! The commands, one file each. Start from [`main`].

mod bootstrap;
mod call;
mod completions;
mod files;
mod host;
mod keygen;
mod log;
mod proof;
mod repl;
mod replicate;
mod types;
mod verify;
mod watch;

use clap::{Parser, Subcommand};

use crate::exit::Exit;
use crate::output::Output;

/// Host, call and verify JavaScript services whose users need not trust the operator
#[derive(Debug, Parser)]
#[command(
    name = "vms",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Examples:\n  vms host examples/counter.js              serve a script on ws://127.0.0.1:5555/\n  vms call ws://127.0.0.1:5555/ increment   call one of its methods\n  vms verify counter.vms                    re-execute its log and compare\n\nExit codes:\n  0   done, or the audit agrees\n  1   the host deviated, the call failed, or a claim does not hold\n  2   an argument, file, disk or address cannot be used\n  3   something could not be verified, or no peer or service could be reached\n  4   the script is not deterministic\n  70  a bug in vms"
)]
struct Arguments {
    /// Print one JSON object per line instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Log more to stderr: -v connections and changes of state, -vv every call, -vvv every message
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Host(Box<host::Arguments>),
    Call(call::Arguments),
    Repl(repl::Arguments),
    Verify(verify::Arguments),
    Watch(watch::Arguments),
    Replicate(replicate::Arguments),
    Log(log::Arguments),
    Files(files::Arguments),
    Proof(proof::Arguments),
    Bootstrap(bootstrap::Arguments),
    Keygen(keygen::Arguments),
    Types(types::Arguments),
    Completions(completions::Arguments),
}

pub(crate) fn main() -> Exit {
    let Arguments { json, verbose, command } = Arguments::parse();
    crate::telemetry::start(verbose);
    let output = Output::new(json, verbose > 0);
    let ended = match command {
        Command::Host(arguments) => host::run(*arguments, &output),
        Command::Call(arguments) => call::run(arguments, &output),
        Command::Repl(arguments) => repl::run(arguments, &output),
        Command::Verify(arguments) => verify::run(arguments, &output),
        Command::Watch(arguments) => watch::run(arguments, &output),
        Command::Replicate(arguments) => replicate::run(arguments, &output),
        Command::Log(arguments) => log::run(arguments, &output),
        Command::Files(arguments) => files::run(arguments, &output),
        Command::Proof(arguments) => proof::run(arguments, &output),
        Command::Bootstrap(arguments) => bootstrap::run(arguments, &output),
        Command::Keygen(arguments) => keygen::run(arguments, &output),
        Command::Types(arguments) => types::run(arguments, &output),
        Command::Completions(arguments) => completions::run(arguments, &output),
    };
    ended.unwrap_or_else(|error| output.failure(&error))
}
