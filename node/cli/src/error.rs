//! Errors of commands: what they say beside what has failed.

use std::fmt;

use libvms_hypercore::identity::PublicKey;
use thiserror::Error;

/// An error, and what can be done about it: a line of its own, which no text within an error can forge.
#[derive(Debug)]
pub(super) struct Advised {
    error: anyhow::Error,
    pub(super) hint: String,
}

impl fmt::Display for Advised {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl std::error::Error for Advised {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The error itself, so that its type can still be found.
        Some(self.error.as_ref())
    }
}

/// An error that says what can be done about it.
pub(super) fn advised(error: anyhow::Error, hint: &str) -> anyhow::Error {
    Advised { error, hint: hint.into() }.into()
}

/// Nothing leads to what is wanted: neither the network, nor an address.
#[derive(Debug, Error)]
#[error("nobody can be asked for {log}: --no-swarm keeps from looking for peers, and no --peer is named")]
pub(super) struct NobodyToAsk {
    pub(super) log: PublicKey,
}
