//! `vms`: arguments in, exit code out.
//!
//! Each command has a file in [`commands`]: arguments become settings, settings become a call of the library, and what that
//! returns is printed in one place, [`output`]: data on stdout, messages on stderr, with `--json` one object per line. The exit
//! code is one enum, [`Exit`]. What several commands share stands beside [`commands`].

// One function has an argued exception: `stop::kill_at_the_next`.
#![deny(unsafe_code)]

mod caller;
mod commands;
mod copy;
mod error;
mod exit;
mod network;
mod output;
mod peer;
mod progress;
mod sandbox;
mod seeking;
mod stop;
mod target;
mod telemetry;

use std::process::ExitCode;

use exit::Exit;

fn main() -> ExitCode {
    // Scripts run in processes of their own, which are this program again.
    libvms::engine::run_if_worker();
    // The panic is already reported on stderr; the exit code tells the caller that it is a bug.
    let exit = std::panic::catch_unwind(commands::main).unwrap_or(Exit::Failed);
    telemetry::flush();
    exit.into()
}

/// Returns the runtime for commands that use the network.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    use anyhow::Context;
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}
