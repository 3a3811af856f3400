//! A call on its way to the script, and those who wait for its answer.

use std::collections::VecDeque;

use super::{CallError, CallRequest, Reply};

/// Replies that wait for one call.
pub(super) type Replies = VecDeque<Reply>;

/// A call admitted to the queue.
#[derive(Debug)]
pub(super) struct QueuedCall {
    pub(super) request: CallRequest,
    /// Those who wait for its answer: more than one where callers have repeated it.
    pub(super) replies: Replies,
}

impl QueuedCall {
    /// Tells those who wait that the call is not executed.
    pub(super) fn refuse(self, why: &CallError) {
        refuse(self.replies, why);
    }
}

/// Tells all that wait for a call why it is not executed.
pub(super) fn refuse(replies: Replies, why: &CallError) {
    for reply in replies {
        reply.send(Err(why.clone()), None);
    }
}
