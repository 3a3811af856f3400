//! The one place that prints.

mod hint;

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use libvms::execution::ExecutionError;
use libvms::host::{DeployError, OpenError};
use libvms::net::CopyError;
use libvms::printable::{Printable, PrintableJson, PrintableLines};
use libvms::rpc::{ClientError, TrustError};
use serde_json::{Value, json};

use super::error::NoPeerToAsk;
use super::exit::Exit;
use hint::hint;

/// Prints a command's data and messages, as text or as JSON.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    verbose: bool,
}

impl Output {
    pub(super) fn new(json: bool, verbose: bool) -> Self {
        Self { json, verbose }
    }

    /// Returns whether `--verbose` is given.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Returns whether output is JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints data: `text` for people, or `json` as one line for programs.
    ///
    /// Control characters are escaped in both. Line ends are kept, because `text` may have several lines; the caller
    /// escapes line ends within foreign text by [`Printable`].
    ///
    /// # Errors
    /// When stdout cannot be written; a closed pipe ends the command quietly.
    pub(super) fn line(
        &self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> Value,
    ) -> anyhow::Result<()> {
        if self.json {
            return self.json(&json().to_string());
        }
        self.raw(format!("{}\n", PrintableLines(&text())).as_bytes())
    }

    /// Prints a JSON text as a line of data, for people and programs.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(super) fn json(&self, text: &str) -> anyhow::Result<()> {
        self.raw(format!("{}\n", PrintableJson(text)).as_bytes())
    }

    /// Prints bytes of data unchanged.
    ///
    /// # Errors
    /// As [`Output::line`].
    #[expect(clippy::unused_self, reason = "printing goes through the one object that may print")]
    pub(super) fn raw(&self, bytes: &[u8]) -> anyhow::Result<()> {
        io::stdout().lock().write_all(bytes)?;
        Ok(())
    }

    /// The content of a file: as it is, but for a terminal, which gets text that does nothing to it.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(super) fn content(&self, bytes: &[u8]) -> anyhow::Result<()> {
        match io::stdout().is_terminal() {
            true => self.raw(PrintableLines(&String::from_utf8_lossy(bytes)).to_string().as_bytes()),
            false => self.raw(bytes),
        }
    }

    /// A message about the data, for people only.
    #[expect(clippy::unused_self, reason = "printing goes through the one object that may print")]
    pub(super) fn message(&self, text: &str) {
        // A closed stderr is not a failure.
        let _closed = writeln!(io::stderr().lock(), "{}", PrintableLines(text));
    }

    /// A message about the data, for programs.
    #[expect(clippy::unused_self, reason = "printing goes through the one object that may print")]
    pub(super) fn event(&self, json: &Value) {
        let _closed = writeln!(io::stderr().lock(), "{}", PrintableJson(&json.to_string()));
    }

    /// What went wrong, with its causes; gives the exit code.
    pub(super) fn failure(&self, error: &anyhow::Error) -> Exit {
        if is_closed_pipe(error) {
            return Exit::Done;
        }
        let (message, hint) = (message(error), hint(error));
        if self.json {
            let mut event = json!({ "event": "error", "message": message });
            if let Some(stack) = stack(error) {
                event["stack"] = json!(stack);
            }
            if let Some(path) = proof(error) {
                event["proof"] = json!(path);
            }
            if let Some(hint) = hint {
                event["hint"] = json!(hint);
            }
            self.event(&event);
        } else {
            self.message(&format!("error: {}", Printable(&message)));
            for frame in stack(error).unwrap_or_default().lines() {
                self.message(&format!("  {}", Printable(frame)));
            }
            if let Some(hint) = hint {
                self.message(&format!("hint: {}", Printable(&hint)));
            }
        }
        exit(error)
    }
}

/// Returns the names of methods, separated by spaces. A name with a character that JavaScript does not allow in names is
/// quoted.
pub(super) fn method_list<'a>(methods: impl IntoIterator<Item = &'a str>) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
    let shown = methods.into_iter().map(|method| match !method.is_empty() && method.chars().all(is_plain) {
        true => Printable(method).to_string(),
        false => PrintableJson(&json!(method).to_string()).to_string(),
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// Returns the stack trace of the script, when the script threw the error.
fn stack(error: &anyhow::Error) -> Option<&str> {
    error.chain().find_map(|cause| cause.downcast_ref::<DeployError>().and_then(DeployError::stack))
}

/// Returns the file with the proof of a fork, when the error is one.
fn proof(error: &anyhow::Error) -> Option<&Path> {
    error.chain().find_map(|cause| match cause.downcast_ref::<ClientError>()? {
        ClientError::Trust(TrustError::Fork(fork)) => fork.path.as_deref(),
        _ => None,
    })
}

/// Returns an error with its causes. A cause that the text already ends with is not repeated: many errors include the
/// text of their source.
pub(super) fn message(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |said, cause| match cause.to_string() {
        cause if said.is_empty() => cause,
        cause if said.ends_with(&cause) => said,
        cause => format!("{said}: {cause}"),
    })
}

/// Returns the exit code of an error; that of unusable arguments when its type has no code of its own.
fn exit(error: &anyhow::Error) -> Exit {
    if error.chain().any(|cause| cause.is::<NoPeerToAsk>()) {
        return Exit::CannotVerify;
    }
    error.chain().find_map(exit_of).unwrap_or(Exit::Usage)
}

fn exit_of(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    let of_bug = |is_bug: bool| if is_bug { Exit::Failed } else { Exit::Usage };
    if let Some(error) = cause.downcast_ref::<DeployError>() {
        return Some(of_bug(error.is_bug()));
    }
    if let Some(error) = cause.downcast_ref::<OpenError>() {
        return Some(of_bug(error.is_bug()));
    }
    if let Some(error) = cause.downcast_ref::<ExecutionError>() {
        return Some(of_bug(error.is_bug()));
    }
    if let Some(error) = cause.downcast_ref::<ClientError>() {
        return Some(exit_from_client_error(error));
    }
    if let Some(CopyError::Unreachable { .. }) = cause.downcast_ref() {
        return Some(Exit::CannotVerify);
    }
    let system = cause.downcast_ref::<io::Error>()?;
    Some(if is_of_a_network(system.kind()) { Exit::CannotVerify } else { Exit::Usage })
}

/// Returns the exit code for a call of a service that failed.
fn exit_from_client_error(error: &ClientError) -> Exit {
    match error {
        ClientError::Url { .. }
        | ClientError::Arguments(_)
        | ClientError::NoKey
        | ClientError::KnownLogs(_)
        | ClientError::Trust(TrustError::NotSigned { .. }) => Exit::Usage,
        ClientError::Trust(TrustError::Fork(_)) => Exit::Diverges,
        _ => Exit::CannotVerify,
    }
}

fn is_of_a_network(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        kind,
        Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::NotConnected
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::TimedOut
    )
}

/// Returns whether stdout was closed by its reader, as in `vms log DIR | head`, which is not a failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
