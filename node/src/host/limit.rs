//! Messages to callers about a limit that a call exceeded: the limit, how much was used, and the option that changes it.
//!
//! The log holds only the fault. Each limit has the same name here, in the help of `vms host` and in the table of
//! `OPERATING.md`.

use libvms_protocol::entry::{Fault, Limits, Thrown};
use libvms_protocol::limits::RESULT_BYTES_MAX;

use crate::execution::ExecutedCall;

/// Returns why a call was stopped.
pub(super) fn why(fault: Fault, finished: &ExecutedCall, limits: &Limits) -> String {
    let used = &finished.used;
    match fault {
        Fault::Fuel => format!(
            "it took more steps than its limit `fuel`: {} of {} units, which are 10,000 steps each{}",
            finished.fuel,
            limits.fuel,
            option_hint("fuel")
        ),
        Fault::Output if used.result > RESULT_BYTES_MAX as u64 => format!(
            "its result is longer than the limit `result`: {} of {RESULT_BYTES_MAX} bytes of JSON text, which no option moves",
            used.result
        ),
        Fault::Output => format!(
            "it wrote and returned more than its limit `output`: {} of {} bytes{}",
            used.output,
            limits.output,
            option_hint("output")
        ),
        Fault::Killed => match used.time {
            Some(time) => format!(
                "it did not end within its limit `call-time`: {} s; the host's operator moves that with --call-time",
                time.as_secs()
            ),
            None => "it ended the process that it ran in".into(),
        },
    }
}

/// Adds the limit to an error that a script's `init` threw: the engine's error for a limit does not name it. The errors
/// of calls stay the engine's, because the log holds those, and callers must get what the log holds.
pub(super) fn with_hint(thrown: &Thrown, limits: &Limits) -> Thrown {
    let Thrown { name, message, .. } = thrown;
    let message = match (name.as_str(), message.as_str()) {
        ("InternalError", "out of memory") => format!(
            "{message}: the heap may hold {} bytes, the limit `memory`{}",
            limits.memory,
            option_hint("memory")
        ),
        ("RangeError", "Maximum call stack size exceeded") => format!(
            "{message}: the engine's stack has {} bytes, the limit `stack`{}",
            limits.stack,
            option_hint("stack")
        ),
        _ => message.clone(),
    };
    Thrown { message, ..thrown.clone() }
}

fn option_hint(option: &str) -> String {
    format!("; a new service gets more with `vms host --{option}`")
}
