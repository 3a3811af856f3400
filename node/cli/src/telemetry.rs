//! The log of the program, on stderr.

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

/// How long the program waits at its end until the log is written.
const PATIENCE: Duration = Duration::from_secs(1);

static LINES: OnceLock<Lines> = OnceLock::new();

/// Starts the log. `verbosity` 0 logs warnings, 1 connections and changes of state, 2 every call, 3 every message. The
/// environment variable `VMS_LOG` overrides it with a filter in the syntax of `tracing`. Arguments, results and keys are
/// never logged; a script's console output and thrown errors are.
///
/// Each event is one line, because foreign text in it is escaped: see [`printable`](libvms::printable). Does nothing
/// when a log has already been started. A dedicated thread writes the lines; [`flush`] waits for it.
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

/// Waits until all lines are written, for one second at most.
pub(crate) fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush(PATIENCE);
    }
}

/// Returns whether stderr is a terminal and `NO_COLOR` is not set (<https://no-color.org>).
fn is_coloured() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !is_refused
}

/// Writes a field of an event as `name=value`; the message without a name.
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
