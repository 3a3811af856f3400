//! What the program says about itself, on stderr.

mod lines;

use std::fmt::{self, Debug, Write};
use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::time::Duration;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use self::lines::Lines;
use libvms::printable::Escaping;

/// How long the end of the program waits for its log to be read.
const PATIENCE: Duration = Duration::from_secs(1);

static LINES: OnceLock<Lines> = OnceLock::new();

/// Starts the log: warnings, with `verbosity` 1 what an operator does, with 2 every call. The environment variable
/// `VMS_LOG` overrides it in the syntax of `tracing`'s filters. Arguments, results and keys are never logged; what a
/// script itself says, by its console and by the errors that it throws, is.
///
/// An event is one line, whatever others have put into it: see [`printable`](libvms::printable). Does nothing when a
/// log has been started already. A thread of its own writes: [`flush`] waits for it.
pub(crate) fn start(verbosity: u8) {
    let level = match verbosity {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("VMS_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("libvms={level},vms={level},script={level}")));
    let Ok(lines) = Lines::start(io::stderr()) else { return };
    let lines = LINES.get_or_init(|| lines);
    let _already_started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .fmt_fields(debug_fn(write_field).delimited(" "))
        .with_writer(|| lines.clone())
        .with_ansi(is_coloured())
        .without_time()
        .try_init();
}

/// Waits, for a second at most, until what was said is written.
pub(crate) fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush(PATIENCE);
    }
}

/// Colours are for a terminal, and for people who have not said that they want none (<https://no-color.org>).
fn is_coloured() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !is_refused
}

/// Writes a field of an event; the message has no name before it.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    write!(Escaping(writer), "{value:?}")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What a log has written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no test panics here").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let written = Written::default();
        let to = written.clone();
        let log = tracing_subscriber::fmt()
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .with_writer(move || to.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        tracing::subscriber::with_default(log, || {
            let text = "a\nWARN b\u{1b}[2J\u{9b}\u{202e}'";
            tracing::warn!(target: "script", shown = %text, quoted = ?text, plain = text, "{text}");
        });
        let bytes = written.0.lock().expect("no test panics here").clone();
        let escaped = r"a\nWARN b\u{1b}[2J\u{9b}\u{202e}'";
        let expected =
            format!(" WARN script: {escaped} shown={escaped} quoted=\"{escaped}\" plain=\"{escaped}\"\n");
        assert_eq!(String::from_utf8(bytes).expect("text"), expected);
    }
}
