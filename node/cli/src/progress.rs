//! Progress bars for long work, shown on a terminal only.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use libvms_hypercore::blocks::Length;

/// Returns a bar named `what` (one word) that counts entries; hidden unless stderr is a terminal.
pub(super) fn bar(what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{msg} [{wide_bar}] {human_pos}/{human_len} entries, {eta} left");
    ProgressBar::new(0).with_style(style.expect("the template is well-formed")).with_message(what)
}

/// Returns a function that updates the bar with entries done and entries in total, every 1,024 entries and at the end.
pub(super) fn report(bar: &ProgressBar) -> impl FnMut(Length, Length) + '_ {
    |Length(done), Length(all)| {
        if done.is_multiple_of(1024) || done == all {
            bar.set_length(all);
            bar.set_position(done);
        }
    }
}

/// Returns a bar named `what` (one word) that counts files whose total is unknown.
pub(super) fn spinner(what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {human_pos} files, {elapsed}");
    ProgressBar::no_length().with_style(style.expect("the template is well-formed")).with_message(what)
}
