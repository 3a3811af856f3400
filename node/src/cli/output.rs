//! The one place that prints.

use std::io::{self, Write};

use libvms::host::HostError;
use serde_json::Value;

use super::Exit;

/// Where a command's data goes, and in which form.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether to speak to programs.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// One line of data: `text` for people, or `json` for programs.
    ///
    /// # Errors
    /// Where stdout can not be written; a closed pipe ends the command quietly.
    pub(super) fn line(
        &self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> Value,
    ) -> anyhow::Result<()> {
        let line = if self.json { json().to_string() } else { text() };
        self.raw(line.as_bytes())?;
        self.raw(b"\n")
    }

    /// Bytes of data as they are.
    ///
    /// # Errors
    /// As [`Output::line`].
    #[expect(clippy::unused_self, reason = "printing goes through the one object that may print")]
    pub(super) fn raw(&self, bytes: &[u8]) -> anyhow::Result<()> {
        io::stdout().lock().write_all(bytes)?;
        Ok(())
    }

    /// A message about the data, for people only.
    #[expect(clippy::unused_self, reason = "printing goes through the one object that may print")]
    pub(super) fn message(&self, text: &str) {
        // Nobody to tell is no reason to fail.
        let _unheard = writeln!(io::stderr().lock(), "{text}");
    }

    /// What went wrong, with its causes; gives the exit code.
    pub(super) fn failure(&self, error: &anyhow::Error) -> Exit {
        if is_closed_pipe(error) {
            return Exit::Done;
        }
        if self.json {
            let causes = error.chain().map(ToString::to_string).collect::<Vec<_>>();
            self.message(&serde_json::json!({ "event": "error", "message": causes.join(": ") }).to_string());
        } else {
            self.message(&format!("error: {error:#}"));
        }
        exit(error)
    }
}

/// Whose fault it was: ours and the machine's, or that of what the arguments name.
fn exit(error: &anyhow::Error) -> Exit {
    let is_ours = error.chain().any(|cause| {
        let host = cause.downcast_ref::<HostError>();
        let system = cause.downcast_ref::<io::Error>();
        host.is_some_and(|error| {
            matches!(error, HostError::Execution(_) | HostError::Thread(_) | HostError::Random(_))
        }) || system.is_some_and(|error| !is_about_what_was_named(error.kind()))
    });
    if is_ours { Exit::Failed } else { Exit::Usage }
}

fn is_about_what_was_named(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        kind,
        Kind::NotFound
            | Kind::PermissionDenied
            | Kind::AlreadyExists
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::ReadOnlyFilesystem
            | Kind::AddrInUse
            | Kind::AddrNotAvailable
            | Kind::InvalidData
    )
}

/// `vms log DIR | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
