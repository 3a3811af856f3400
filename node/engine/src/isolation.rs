//! [`EngineSettings`]: where scripts run, in processes of their own or on threads of this process, and for how long.

use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::sync::OnceLock;
use std::time::Duration;

use super::error::WorkerError;

/// Where scripts run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// Each in a process of its own that can do nothing but compute. Needs Linux, and a program that calls
    /// [`run_if_worker`](super::run_if_worker) or names another one ([`EngineSettings::worker_program`]): without them no
    /// script runs.
    #[default]
    Process,
    /// On threads of this process, unconfined. A fault of the engine is then a fault of the whole program.
    Off,
}

/// Settings of all workers of one service, one audit or one watcher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineSettings {
    /// Where scripts run.
    pub sandbox: Sandbox,
    /// Ends calls after this time, whatever fuel they have: for a host or auditor that knows its machine better than the
    /// default, which is ten seconds and twenty milliseconds for each unit of fuel. At most a day. Calls of
    /// [`Sandbox::Off`] cannot be ended at all.
    pub call_time_max: Option<Duration>,
    /// The program to start as a worker: one of the same version that calls [`run_if_worker`](super::run_if_worker), such as
    /// `vms`. For programs that cannot call it themselves, like tests. The default is this program.
    pub worker_program: Option<PathBuf>,
}

/// Set once this program has called `run_if_worker`: it can be started as a worker.
#[cfg(target_os = "linux")]
static CAN_BE_WORKER: OnceLock<()> = OnceLock::new();

impl EngineSettings {
    /// Returns settings for scripts on threads of this process, unconfined.
    pub fn unconfined() -> Self {
        Self { sandbox: Sandbox::Off, ..Self::default() }
    }

    /// Checks that scripts can run in the chosen sandbox, before anything is created, or fetched, in vain. Never
    /// substitutes another sandbox: a script that runs unconfined by mistake has the rights of the whole program.
    ///
    /// # Errors
    /// [`WorkerError::Unconfined`].
    pub fn check(&self) -> Result<(), WorkerError> {
        match self.sandbox {
            Sandbox::Process if self.program().is_none() => Err(WorkerError::Unconfined(WHY_NOT)),
            _ => Ok(()),
        }
    }

    /// Returns the program that runs workers; `None` if there is none.
    pub(super) fn program(&self) -> Option<&Path> {
        #[cfg(target_os = "linux")]
        {
            let this = || CAN_BE_WORKER.get().map(|()| Path::new(super::spawner::THIS_PROGRAM));
            self.worker_program.as_deref().or_else(this)
        }
        #[cfg(not(target_os = "linux"))]
        None
    }
}

#[cfg(target_os = "linux")]
const WHY_NOT: &str = "this program does not call libvms::engine::run_if_worker() first in its main. Call it there, or \
    choose to run scripts unconfined: libvms::engine::EngineSettings::unconfined()";
#[cfg(not(target_os = "linux"))]
const WHY_NOT: &str = "worker processes need Linux. Choose to run scripts unconfined: --sandbox off of vms, \
    libvms::engine::EngineSettings::unconfined() of the library";

/// Records that this program runs workers when it is started as one.
#[cfg(target_os = "linux")]
pub(super) fn can_be_worker() {
    let _called_before = CAN_BE_WORKER.set(());
}
