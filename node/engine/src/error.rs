//! [`WorkerError`]: why a worker cannot go on.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// The largest stack that an engine can have, in bytes.
pub const STACK_BYTES_MAX: u64 = 192 << 20;

/// A worker cannot go on. Never the script's fault, unless it broke out of its engine.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The system started no thread or process.
    #[error("cannot start a worker: {0}")]
    Start(#[from] std::io::Error),
    /// [`Sandbox::Process`](super::Sandbox::Process) was chosen, as it is by default, and is not available. Nothing ran.
    #[error("refusing to run scripts unconfined: {0}")]
    Unconfined(&'static str),
    /// The limits ask for a stack that no worker has.
    #[error("the script's stack limit needs {asked} bytes; a worker has at most {STACK_BYTES_MAX}")]
    Stack {
        /// Bytes of stack that the limits need.
        asked: u64,
    },
    /// The worker has ended before its work was done.
    #[error("the worker ended{0}")]
    Ended(ExitReason),
    /// The running request did not end in time, and the process was killed. See
    /// [`EngineSettings::call_time_max`](super::EngineSettings::call_time_max).
    #[error("the worker was killed: a request did not end within {} s", waited.as_secs_f64().round())]
    Overdue {
        /// The time for which the driver has waited.
        waited: Duration,
    },
    /// The worker process violated the protocol, and was killed.
    #[error("the worker broke the protocol: {0}")]
    ProtocolViolation(&'static str),
}

/// Why a worker has ended, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// Unknown: it was a thread.
    Unknown,
    /// Its process exited with this code.
    Exited(i32),
    /// It panicked, which is a defect of this program and never the end of a call. The panic message is in our log.
    Panicked,
    /// A signal killed its process: 9 is an external `kill -9`, 31 the seccomp filter, 6 and 11 a fault of the engine.
    Killed(i32),
}

impl WorkerError {
    /// Returns whether only a fault of this program explains it: not the script, the machine or an external `kill -9`.
    pub fn is_bug(&self) -> bool {
        match self {
            Self::ProtocolViolation(_) => true,
            Self::Ended(ending) => *ending != ExitReason::Killed(libc::SIGKILL),
            Self::Start(_) | Self::Unconfined(_) | Self::Stack { .. } | Self::Overdue { .. } => false,
        }
    }

    /// Returns whether a defect of this program has ended the worker. The running call then has no outcome at all.
    pub fn is_defect(&self) -> bool {
        matches!(self, Self::Ended(ExitReason::Panicked))
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => Ok(()),
            Self::Exited(code) => write!(formatter, ": its process exited with code {code}"),
            Self::Panicked => formatter.write_str(": it panicked, which is a defect of this program"),
            Self::Killed(signal) => write!(formatter, ": its process was killed by signal {signal}"),
        }
    }
}
