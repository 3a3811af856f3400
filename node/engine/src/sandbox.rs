//! A worker process from inside, and its lockdown.
//!
//! Start from [`run_if_worker`], which a program calls first in its `main` so that the same program can be started again as
//! a worker. Native code that breaks out of the engine in such a process finds nothing but one socket to the host, whose
//! messages the host bounds and checks.
//!
//! ```text
//! child       a worker process, from its first line to its end
//! lockdown    the rights that it gives up before it sees a script
//! escape_test attacks that native code might try; with the feature `test-support`
//! ```
//!
//! A worker process has one socket, a pipe for its stderr, an empty environment and these system calls: read and
//! write, memory that is not executable, futexes, and its own end. The kernel kills it for any other.

#[cfg(target_os = "linux")]
mod child;
#[cfg(all(target_os = "linux", debug_assertions, feature = "test-support"))]
mod escape_test;
#[cfg(target_os = "linux")]
mod lockdown;

#[cfg(target_os = "linux")]
use super::{isolation, spawner};

/// Runs a worker if this process was started as one, and then never returns; otherwise returns at once, and the program can
/// start worker processes. Call it before anything else in `main`.
///
/// ```no_run
/// // The first line of main:
/// libvms_engine::run_if_worker();
/// ```
pub fn run_if_worker() {
    #[cfg(target_os = "linux")]
    {
        if let Some(parent) = spawner::parent_of_worker() {
            child::run(parent);
        }
        isolation::can_be_worker();
    }
}
