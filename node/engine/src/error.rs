//! Why a worker cannot go on.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// The largest stack that an engine can be given, in bytes.
pub const STACK_BYTES_MAX: u64 = 192 << 20;

/// A worker cannot go on. Never the script's fault, unless it broke out of its engine.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The system gives no thread or no process.
    #[error("cannot start a worker: {0}")]
    Start(#[from] std::io::Error),
    /// [`Sandbox::Process`](super::Sandbox::Process) was chosen, as it is by default, and cannot be had. Nothing ran.
    #[error("no script runs here, because it would not be confined: {0}")]
    Unconfined(&'static str),
    /// The limits ask for a stack that no worker has.
    #[error("the script's limits ask for a stack of {asked} bytes; a worker has at most {STACK_BYTES_MAX}")]
    Stack {
        /// Bytes.
        asked: u64,
    },
    /// The worker has ended before its work was done.
    #[error("the worker has ended{0}")]
    Ended(ExitReason),
    /// The request in hand did not end in time, and the process was killed. See
    /// [`limit_call_time`](super::limit_call_time).
    #[error("the worker was killed, because a request did not end within {} s", waited.as_secs_f64().round())]
    Overdue {
        /// How long its driver has waited.
        waited: Duration,
    },
    /// The worker process sent what no worker of ours sends, and was killed.
    #[error("the worker sent {0}")]
    ProtocolViolation(&'static str),
}

/// What is known of a worker's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// Nothing: it was a thread.
    Unknown,
    /// Its process ended by itself with this code.
    Exited(i32),
    /// It panicked, which is a defect of this program and never the end of a call. What it said is in our log.
    Panicked,
    /// A signal killed its process: 9 is somebody's `kill -9`, 31 the lock-down, 6 and 11 a fault of the engine.
    Killed(i32),
}

impl WorkerError {
    /// Whether only a fault of this program explains it, and neither the script, the machine nor somebody's `kill -9` does.
    pub fn is_bug(&self) -> bool {
        match self {
            Self::ProtocolViolation(_) => true,
            Self::Ended(ending) => *ending != ExitReason::Killed(libc::SIGKILL),
            Self::Start(_) | Self::Unconfined(_) | Self::Stack { .. } | Self::Overdue { .. } => false,
        }
    }

    /// Whether a defect of this program has ended the worker. What it was working on has then no outcome at all.
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
