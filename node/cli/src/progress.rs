//! Progress of long work, on a terminal only.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for `what` (one word), counting entries; invisible where nobody watches.
pub(super) fn bar(what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{msg} [{wide_bar}] {human_pos}/{human_len} entries, {eta} left");
    ProgressBar::new(0).with_style(style.expect("the template is well-formed")).with_message(what)
}

/// Tells a bar how far the work is; often enough to be seen, rarely enough to cost nothing.
pub(super) fn report(bar: &ProgressBar) -> impl FnMut(u64, u64) + '_ {
    |done, all| {
        if done.is_multiple_of(1024) || done == all {
            bar.set_length(all);
            bar.set_position(done);
        }
    }
}

/// A bar for `what` (one word) that does not know how many files there will be.
pub(super) fn spinner(what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {human_pos} files, {elapsed}");
    ProgressBar::no_length().with_style(style.expect("the template is well-formed")).with_message(what)
}
