//! The loop of a script's thread: the same on a thread of this process and in a worker process.

use libvms_protocol::entry::Limits;

use super::depth;
use super::message::{Report, Request};
use super::script::Script;

/// Processes requests until there are no more, or the driver is gone.
pub(super) fn serve(
    script: &Script,
    requests: impl IntoIterator<Item = Request>,
    mut report: impl FnMut(Report) -> bool,
) {
    for request in requests {
        let result = match request {
            Request::Load(load) => Report::Loaded(script.load(&load)),
            Request::Call(call) => Report::Done(script.call(&call)),
        };
        if !report(result) {
            return;
        }
    }
}

/// Returns the stack size of a script's thread, in a worker process as in this one.
pub(super) fn stack_bytes(limits: &Limits) -> usize {
    usize::try_from(depth::real_bytes(limits)).unwrap_or(usize::MAX)
}
