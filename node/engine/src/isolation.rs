//! Where scripts run: in processes of their own, or on threads of this process. Start from [`Sandbox`].

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::WorkerError;

/// Where scripts run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// Each in a process of its own that can do nothing but compute. Needs Linux, and a program that calls
    /// [`run_if_worker`](super::run_if_worker): without them no script runs.
    #[default]
    Process,
    /// On threads of this process, unconfined. A fault of the engine is then a fault of the whole program.
    Off,
}

/// Whether [`Sandbox::Off`] was chosen for the whole program.
/// The unit tests of this library have no `main` that could call anything, and no worker to start.
static OFF: AtomicBool = AtomicBool::new(cfg!(test));
/// The program that runs workers, once known.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

impl Sandbox {
    /// Makes this the sandbox of all workers that start from now on.
    pub fn choose(self) {
        OFF.store(self == Self::Off, Ordering::Release);
    }

    /// Returns the sandbox chosen for the whole program; [`Sandbox::Process`] if none was.
    pub fn current() -> Self {
        if OFF.load(Ordering::Acquire) { Self::Off } else { Self::Process }
    }

    /// Checks that scripts would run in the chosen sandbox, before anything is created, or fetched, in vain.
    ///
    /// # Errors
    /// [`WorkerError::Unconfined`].
    pub fn check() -> Result<(), WorkerError> {
        Self::current().available().map(|_| ())
    }

    /// Returns this sandbox, if it is available. Never substitutes another one: a script that runs unconfined by mistake
    /// has the rights of the whole program.
    pub(super) fn available(self) -> Result<Self, WorkerError> {
        match self {
            Self::Process if PROGRAM.get().is_none() => Err(WorkerError::Unconfined(WHY_NOT)),
            place => Ok(place),
        }
    }
}

#[cfg(target_os = "linux")]
const WHY_NOT: &str = "this program does not call libvms::engine::run_if_worker() first in its main. Call it there, or \
    choose to run scripts unconfined: libvms::engine::Sandbox::Off.choose()";
#[cfg(not(target_os = "linux"))]
const WHY_NOT: &str = "only Linux has what it takes. Choose to run scripts unconfined: --sandbox off of vms, \
    libvms::engine::Sandbox::Off.choose() of the library";

/// Uses `program` for workers: one of the same version that calls [`run_if_worker`](super::run_if_worker), such as `vms`.
/// For programs that cannot call it themselves, like tests. The first program that was named stays.
pub fn run_workers_with(program: &Path) {
    #[cfg(target_os = "linux")]
    let _first_stays = PROGRAM.set(program.into());
    #[cfg(not(target_os = "linux"))]
    let _unused = program;
}

#[cfg(target_os = "linux")]
pub(super) fn program() -> Option<&'static Path> {
    PROGRAM.get().map(PathBuf::as_path)
}
