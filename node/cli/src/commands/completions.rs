//! `vms completions`: the completion script for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::exit::Exit;
use crate::output::Output;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vms completions bash > ~/.local/share/bash-completion/completions/vms")]
pub(super) struct Arguments {
    /// Shell to complete for
    shell: Shell,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "vms", &mut script);
    output.raw(&script)?;
    Ok(Exit::Done)
}
