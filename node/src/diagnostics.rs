//! Diagnostics of a script for the host's operator: where an error was thrown, and the script's console output.
//!
//! Callers decide how often a script throws and what its errors contain. So the output is bounded in rate and in size,
//! and each line is one event of the program's log, which escapes control characters. None of it is in the call log:
//! positions and stacks stay with the operator, unless [`Diagnostics::show_stacks`] is set.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use libvms_engine::SCRIPT;
use libvms_engine::message::Console;
use libvms_hypercore::blocks::BlockIndex;
use libvms_protocol::entry::Thrown;
use tracing::{Level, debug, enabled, error, info, warn};

use crate::source_map::SourceMap;

/// Lines that may be reported at once ...
const LINES_BURST: f64 = 100.0;
/// ... and the lines allowed again in each second.
const LINES_PER_SECOND: f64 = 10.0;
/// Characters of a line; the rest is left out.
const LINE_CHARACTERS_MAX: usize = 1_000;
/// Frames of a stack, and lines of one console call.
const LINES_MAX: usize = 50;

/// How a host names a script, and whom it shows stacks.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// The script's file name for its operator. The script itself sees `script.js` in its stacks, on every machine.
    pub file: String,
    /// Whether callers get the stack of an error, too: in the member `stack` of JSON-RPC's error. For services
    /// whose callers may see the script's internals.
    pub show_stacks: bool,
}

impl Default for Diagnostics {
    fn default() -> Self {
        Self { file: SCRIPT.into(), show_stacks: false }
    }
}

/// The script's own frames in an error's stack, innermost first, one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptStack {
    frames: String,
    /// The position of the innermost frame that has one.
    place: Option<String>,
}

impl ScriptStack {
    /// Takes the stack from a worker's report, with positions in the sources of the script; bounded, since a script may have
    /// taken over the worker.
    pub(crate) fn from_worker(stack: &str, map: &SourceMap) -> Option<Self> {
        let mut place = None;
        let translated = stack.lines().take(LINES_MAX).map(cut).map(|frame| match map.translate(&frame) {
            Some((frame, position)) => {
                place.get_or_insert(position);
                frame
            }
            None => frame,
        });
        let frames: Vec<String> = translated.collect();
        (!frames.is_empty()).then(|| Self { frames: frames.join("\n"), place })
    }

    /// Returns the frames with the name of the script's file.
    pub fn named(&self, file: &str) -> String {
        let inside = self.frames.replace(&format!("({SCRIPT}:"), &format!("({file}:"));
        inside.replace(&format!("at {SCRIPT}:"), &format!("at {file}:"))
    }

    /// Returns the position of the innermost frame: `FILE:LINE:COLUMN`, of a source if the script has an inline source map.
    pub fn place(&self, file: &str) -> Option<String> {
        let in_script = |place: &String| place.strip_prefix(SCRIPT).map(|rest| format!("{file}{rest}"));
        self.place.as_ref().map(|place| in_script(place).unwrap_or_else(|| place.clone()))
    }
}

/// The execution during which the script wrote to its console or threw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    /// The block of the call; while the script loads, the block that the heap begins at.
    pub(crate) block: BlockIndex,
    /// The method; `None` while the script loads.
    pub(crate) method: Option<&'a str>,
}

/// The reporter to the operator of one service.
#[derive(Debug)]
pub(crate) struct Operator {
    diagnostics: Diagnostics,
    allowance: Mutex<Allowance>,
}

impl Operator {
    pub(crate) fn new(diagnostics: Diagnostics) -> Self {
        Self { diagnostics, allowance: Mutex::new(Allowance::full(Instant::now())) }
    }

    pub(crate) fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// Reports that a call has thrown.
    pub(crate) fn threw(&self, moment: Moment<'_>, thrown: &Thrown, stack: Option<&ScriptStack>) {
        let file = &self.diagnostics.file;
        let frames = stack.map(|stack| stack.named(file)).unwrap_or_default();
        let lines = 1 + frames.lines().count();
        if !enabled!(target: "script", Level::WARN) || !self.may_tell(lines) {
            return;
        }
        let place = stack.and_then(|stack| stack.place(file)).map(|place| format!(" (at {place})"));
        let said = cut(&format!("{}: {}", thrown.name, thrown.message));
        let (Moment { block, method }, place) = (moment, place.unwrap_or_default());
        warn!(target: "script", block = block.0, method = method.unwrap_or_default(), "{said}{place}");
        for frame in frames.lines() {
            warn!(target: "script", "  {frame}");
        }
        if let Some((limit, option)) = limit_behind(thrown) {
            warn!(target: "script", "  the script has met its limit `{limit}`; a new service gets more with `vms host {option}`");
        }
    }

    /// Reports a line that the script has written to its console.
    pub(crate) fn console(&self, moment: Moment<'_>, line: &Console) {
        let is_shown = match line.level.as_str() {
            "error" => enabled!(target: "script", Level::ERROR),
            "warn" => enabled!(target: "script", Level::WARN),
            "debug" => enabled!(target: "script", Level::DEBUG),
            _ => enabled!(target: "script", Level::INFO),
        };
        let lines = lines(&line.text);
        if !is_shown || !self.may_tell(lines.len()) {
            return;
        }
        let (block, method) = (moment.block, moment.method.unwrap_or("(loading)"));
        for said in lines {
            match line.level.as_str() {
                "error" => error!(target: "script", block = block.0, method, "{said}"),
                "warn" => warn!(target: "script", block = block.0, method, "{said}"),
                "debug" => debug!(target: "script", block = block.0, method, "{said}"),
                _ => info!(target: "script", block = block.0, method, "{said}"),
            }
        }
    }

    fn may_tell(&self, lines: usize) -> bool {
        let mut allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        match allowance.take(Instant::now(), lines) {
            Some(0) => true,
            Some(silent) => {
                warn!(target: "script", lines = silent, "more was said than is shown: {LINES_PER_SECOND} lines a second");
                true
            }
            None => false,
        }
    }
}

/// Returns the limit behind an error, and the option that changes the limit. Exceeding these limits is an ordinary
/// exception in the script; a script that throws the same error itself misleads its own operator.
fn limit_behind(thrown: &Thrown) -> Option<(&'static str, &'static str)> {
    match (thrown.name.as_str(), thrown.message.as_str()) {
        ("RangeError", "Maximum call stack size exceeded") => Some(("stack", "--stack")),
        ("InternalError", "out of memory") => Some(("memory", "--memory")),
        _ => None,
    }
}

/// Logs a console line during a replay at a low level: it was already shown when the call first ran.
pub(crate) fn replayed(moment: Moment<'_>, line: &Console) {
    let (block, method) = (moment.block, moment.method.unwrap_or("(loading)"));
    if enabled!(target: "script", Level::DEBUG) {
        for said in lines(&line.text) {
            debug!(target: "script", replayed = true, level = %line.level, block = block.0, method, "{said}");
        }
    }
}

fn lines(text: &str) -> Vec<String> {
    // An empty text is one line, too.
    let lines: Vec<String> = text.split('\n').take(LINES_MAX).map(cut).collect();
    lines
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LINE_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.into(),
    }
}

/// The lines that may be reported: a token bucket.
#[derive(Debug)]
struct Allowance {
    lines: f64,
    at: Instant,
    /// Lines suppressed since the last one reported.
    silent: u64,
}

impl Allowance {
    fn full(now: Instant) -> Self {
        Self { lines: LINES_BURST, at: now, silent: 0 }
    }

    /// Takes tokens for `lines`; returns how many lines were suppressed before them, or `None` when these are suppressed,
    /// too.
    fn take(&mut self, now: Instant, lines: usize) -> Option<u64> {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * LINES_PER_SECOND;
        self.lines = (self.lines + gained).min(LINES_BURST);
        self.at = now;
        if self.lines < lines as f64 {
            self.silent += lines as u64;
            return None;
        }
        self.lines -= lines as f64;
        Some(std::mem::take(&mut self.silent))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_stack_is_told_with_the_files_own_name() {
        let none = SourceMap::default();
        let stack =
            ScriptStack::from_worker("at f (script.js:2:9)\nat map (native)\nat script.js:10:1", &none)
                .expect("frames");
        assert_eq!(
            stack.named("my counter.js"),
            "at f (my counter.js:2:9)\nat map (native)\nat my counter.js:10:1"
        );
        assert_eq!(stack.place("a.js").as_deref(), Some("a.js:2:9"));
        assert_eq!(ScriptStack::from_worker("", &none), None);
        let long = "x".repeat(5_000) + &"\nat f (script.js:1:1)".repeat(500);
        let told = ScriptStack::from_worker(&long, &none).expect("frames").named("a.js");
        assert!(told.lines().count() == LINES_MAX && told.len() < 5_000, "{}", told.len());
    }

    #[test]
    fn more_than_the_allowance_is_counted_and_not_told() {
        let start = Instant::now();
        let mut allowance = Allowance::full(start);
        assert_eq!((0..300).filter(|_| allowance.take(start, 1).is_some()).count(), 100);
        assert_eq!(allowance.take(start + Duration::from_secs(1), 1), Some(200));
        assert_eq!(allowance.take(start + Duration::from_secs(1), 50), None);
        assert_eq!(allowance.take(start + Duration::from_secs(100), 50), Some(50));
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(lines("").len(), 1);
        assert_eq!(lines(&"\n".repeat(1_000)).len(), LINES_MAX);
        assert!(lines(&"é".repeat(10_000))[0].ends_with("... (20000 bytes)"));
    }
}
