//! Times in entries: milliseconds since 1970.

use super::{EntryError, malformed};
use crate::limits;

pub(super) fn check_time(at: u64) -> Result<(), EntryError> {
    if at <= limits::TIME_MAX { Ok(()) } else { Err(malformed(format_args!("time {at} is out of range"))) }
}
