//! What the program ends with.

use std::process::ExitCode;

/// How a command ended, for whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or the audit agrees.
    Done = 0,
    /// The host deviated, or the call failed.
    Diverges = 1,
    /// What the arguments name cannot be used: files, a disk, an address. Clap uses the same code for arguments that it
    /// does not understand.
    Usage = 2,
    /// Nothing can be said, nobody is there to ask, or not all of it could be had.
    CannotVerify = 3,
    /// The script gives different results under conditions that must not matter.
    NotDeterministic = 4,
    /// A bug of ours, and nothing else.
    Failed = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
