//! Errors of commands, with a hint on what to do: [`advised`].

use std::fmt;

use libvms_hypercore::identity::PublicKey;
use thiserror::Error;

/// An error with a hint on what to do. The hint is printed on its own line, which no text within an error can forge.
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
        // The wrapped error itself, so that a downcast still finds its type.
        Some(self.error.as_ref())
    }
}

/// Adds a hint on what to do to an error.
pub(super) fn advised(error: anyhow::Error, hint: &str) -> anyhow::Error {
    Advised { error, hint: hint.into() }.into()
}

/// The target has no address, the DHT is off and no peer is named.
#[derive(Debug, Error)]
#[error("no peer can be asked for {log}: --no-swarm disables the DHT, and no --peer is given")]
pub(super) struct NoPeerToAsk {
    pub(super) log: PublicKey,
}
