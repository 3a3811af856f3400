//! The exit codes of the program: [`Exit`].

use std::process::ExitCode;

/// How a command ended; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or the audit agrees.
    Done = 0,
    /// The host deviated, the call failed, or the claim of a proof file does not hold.
    Diverges = 1,
    /// An argument, or a file, disk or address that it names, cannot be used. Clap exits with the same code when it
    /// cannot parse the arguments.
    Usage = 2,
    /// The audit is impossible or incomplete, a claim cannot be judged, or no peer or service could be reached.
    CannotVerify = 3,
    /// The script gives different results under conditions that must not affect them.
    NotDeterministic = 4,
    /// A bug in this program.
    Failed = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
