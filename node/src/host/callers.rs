//! What stands between a call's arrival and the script where callers sign: whose turn it is, and who is refused.
//!
//! [`quota`] bounds what callers may add to the log, [`checker`] checks signatures on all cores, [`turns`] is the queue. The
//! rules of the log are judged by the executor when a call's block and time are fixed: it may wait for a minute.

pub(super) mod checker;
mod fair;
pub(super) mod quota;
pub(super) mod receipt;
pub(super) mod refusal;
pub(super) mod turns;
