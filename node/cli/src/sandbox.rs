//! The options that choose where a command runs scripts.

use std::time::Duration;

use clap::{Args, ValueEnum};
use libvms::engine::{EngineSettings, Sandbox};

use super::error::advised;

/// Options of every command that runs scripts.
#[derive(Debug, Args)]
pub(super) struct SandboxArguments {
    /// Where scripts run: process, each in a process of its own that can only compute; off, inside vms, where --call-time
    /// does not apply
    #[arg(long, value_enum, default_value_t = SandboxArgument::Process)]
    sandbox: SandboxArgument,
    /// Seconds after which a call that still has fuel is killed; default: 10, and 20 for each 1,000 units of fuel
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    call_time: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SandboxArgument {
    Process,
    Off,
}

impl SandboxArguments {
    /// Returns how the scripts of this command run.
    ///
    /// # Errors
    /// When one option makes another ineffective.
    pub(super) fn settings(&self) -> anyhow::Result<EngineSettings> {
        if matches!(self.sandbox, SandboxArgument::Off) && self.call_time.is_some() {
            let what = "--call-time does not apply with --sandbox off: only calls in a process of their own have a time limit";
            return Err(advised(anyhow::Error::msg(what), "leave out one of the two options"));
        }
        let sandbox = match self.sandbox {
            SandboxArgument::Process => Sandbox::Process,
            SandboxArgument::Off => Sandbox::Off,
        };
        let call_time_max = self.call_time.map(Duration::from_secs);
        Ok(EngineSettings { sandbox, call_time_max, worker_program: None })
    }
}
