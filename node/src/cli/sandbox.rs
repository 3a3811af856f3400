//! Where a command runs scripts.

use clap::{Args, ValueEnum};
use libvms::vm::Sandbox;

/// For every command that runs scripts.
#[derive(Debug, Args)]
pub(super) struct SandboxArguments {
    /// Where scripts run: each in a process of its own that can do nothing else, or in this one
    #[arg(long, value_enum, default_value_t = SandboxArgument::Process)]
    sandbox: SandboxArgument,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SandboxArgument {
    Process,
    Off,
}

impl SandboxArguments {
    /// Holds for all scripts that this program runs from now on.
    pub(super) fn choose(&self) {
        match self.sandbox {
            SandboxArgument::Process => Sandbox::Process,
            SandboxArgument::Off => Sandbox::Off,
        }
        .choose();
    }
}
