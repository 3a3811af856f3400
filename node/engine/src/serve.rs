//! What a script's thread does: the same on a thread of ours and in a process of its own.

use libvms_protocol::entry::Limits;

use super::depth;
use super::message::{Report, Request};
use super::script::Script;

/// Takes requests until there are no more, or nobody wants to know.
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

/// The stack of a script's thread, in a process of its own as in ours.
pub(super) fn stack_bytes(limits: &Limits) -> usize {
    usize::try_from(depth::real_bytes(limits)).unwrap_or(usize::MAX)
}
