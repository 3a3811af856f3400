//! The clock for the times of calls.

use std::time::{SystemTime, UNIX_EPOCH};

use libvms_protocol::limits::TIME_MAX;

/// Returns the milliseconds since 1970. A clock before 1970 counts as 1970.
pub(super) fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(TIME_MAX).min(TIME_MAX)
}
