//! `vms types`: what a script finds, as TypeScript declares it.

use clap::Args;

use crate::exit::Exit;
use crate::output::Output;

/// Print TypeScript's types of all that a script finds
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vms types > libvms.d.ts")]
pub(super) struct Arguments {}

pub(super) fn run(Arguments {}: Arguments, output: &Output) -> anyhow::Result<Exit> {
    output.raw(libvms::engine::TYPES.as_bytes())?;
    Ok(Exit::Done)
}
