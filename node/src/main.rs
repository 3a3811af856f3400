//! `vms`: arguments in, exit code out.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Scripts run in processes of their own, which are this program again.
    libvms::engine::run_if_worker();
    // A panic has been reported on stderr; whoever started us is told that it was our fault.
    let exit = std::panic::catch_unwind(cli::main).unwrap_or(cli::Exit::Failed);
    libvms::telemetry::flush();
    exit.into()
}
