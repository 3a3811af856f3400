//! [`Trouble`]: a copy cannot be stored for a while, because the disk is full or fails. When to retry, and when to give up.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::time::Instant;

use crate::storage::StorageError;

/// The delay before the first retry; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest delay: a disk can have space at any time.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Retries after which a disk is given up that fails for another reason than being full: half a minute.
const ATTEMPTS_MAX: u32 = 10;

/// Why nothing can be stored, and the number of retries so far.
#[derive(Debug)]
pub(super) struct Trouble {
    why: String,
    attempts: u32,
    retry_at: Instant,
    is_given_up: bool,
}

impl Trouble {
    /// Returns a trouble without attempts. Damage is repaired by reopening the copy: its first retry is immediate.
    pub(super) fn new(why: String, is_damage: bool) -> Self {
        let pause = if is_damage { Duration::ZERO } else { PAUSE_MIN };
        Self { why, attempts: 0, retry_at: Instant::now() + pause, is_given_up: false }
    }

    /// Returns when to retry; `None` after giving up.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        (!self.is_given_up).then_some(self.retry_at)
    }

    /// Records that another retry has failed.
    pub(super) fn goes_on(&mut self, why: String) {
        self.why = why;
        self.attempts += 1;
        let pause = PAUSE_MIN * (1 << self.attempts.min(8));
        self.retry_at = Instant::now() + pause.min(PAUSE_MAX);
    }

    /// Gives up where waiting does not help, and then returns the reason.
    pub(super) fn is_lasting(&mut self, error: &StorageError) -> Option<String> {
        self.is_given_up = !is_full(error) && self.attempts >= ATTEMPTS_MAX;
        self.is_given_up.then(|| self.why.clone())
    }
}

/// Returns whether the disk is full: somebody will free some space.
fn is_full(error: &StorageError) -> bool {
    let StorageError::Io { source, .. } = error else { return false };
    matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    fn error(kind: ErrorKind) -> StorageError {
        StorageError::Io { path: PathBuf::from("x"), source: io::Error::from(kind) }
    }

    fn attempts(error: &StorageError, count: u32) -> Option<String> {
        let mut trouble = Trouble::new("at first".into(), false);
        (0..count).for_each(|_| trouble.goes_on("again".into()));
        trouble.is_lasting(error)
    }

    #[test]
    fn a_full_disk_is_waited_for_and_a_broken_one_for_a_while() {
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            assert_eq!(attempts(&error(kind), 1_000_000), None);
        }
        for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other] {
            assert_eq!(attempts(&error(kind), ATTEMPTS_MAX - 1), None);
            assert_eq!(attempts(&error(kind), ATTEMPTS_MAX), Some("again".into()));
        }
    }

    #[test]
    fn retries_become_rarer_and_damage_is_repaired_at_once() {
        let mut trouble = Trouble::new(String::new(), true);
        assert!(trouble.retry_at().is_some_and(|at| at <= Instant::now()));
        for _ in 0..100 {
            trouble.goes_on(String::new());
            assert!(trouble.retry_at().is_some_and(|at| at <= Instant::now() + PAUSE_MAX));
        }
    }
}
