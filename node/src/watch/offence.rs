//! Evidence against a host other than a different outcome of a call: [`Offence`].
//!
//! *Equivocation* and *fork* are the terms of transparency logs for a host that shows different histories.

use std::fmt;

/// The kind of evidence against a host, proved or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Offence {
    /// A signed head of another fork: the history was truncated and then continued differently.
    Fork,
    /// Two signed heads of one length that differ.
    Equivocation,
    /// A signed head shorter than one that the same peer had before.
    Truncation,
    /// An archive that is ahead of the log.
    ArchiveLonger,
    /// An archive that no peer provides as a whole.
    ArchiveWithheld,
}

impl Offence {
    /// Returns the name in reports and in events of `--json`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Equivocation => "equivocation",
            Self::Truncation => "truncation",
            Self::ArchiveLonger => "archive-longer",
            Self::ArchiveWithheld => "archive-withheld",
        }
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
