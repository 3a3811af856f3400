//! What can speak against a host beside a call that went otherwise: [`Offence`].
//!
//! Equivocation and fork are the words of transparency logs for a host that shows different histories.

use std::fmt;

/// What speaks against a host, proved or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Offence {
    /// A signed head of another fork: the history was truncated and goes on otherwise.
    Fork,
    /// Two signed heads of one length that differ.
    Equivocation,
    /// A signed head that is shorter than one that the same peer had.
    Truncation,
    /// An archive that is ahead of the log.
    ArchiveLonger,
    /// An archive that nobody gives as a whole.
    ArchiveWithheld,
}

impl Offence {
    /// Its name in reports and in events of `--json`.
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
