//! A copy that cannot be stored for a while, because the disk is full or fails: when to try again, and when to give up.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::time::Instant;

use crate::storage::StorageError;

/// How long to wait before the first attempt; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest wait: room on a disk may come at any time.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Attempts after which a disk that is not simply full is given up: half a minute.
const ATTEMPTS_MAX: u32 = 10;

/// Why nothing can be stored, and since how many attempts.
#[derive(Debug)]
pub(super) struct Trouble {
    why: String,
    attempts: u32,
    retry_at: Instant,
    is_given_up: bool,
}

impl Trouble {
    /// Damage is mended by opening the copy: nothing has to be waited for.
    pub(super) fn new(why: String, is_damage: bool) -> Self {
        let pause = if is_damage { Duration::ZERO } else { PAUSE_MIN };
        Self { why, attempts: 0, retry_at: Instant::now() + pause, is_given_up: false }
    }

    /// When to try again; `None` after it was given up.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        (!self.is_given_up).then_some(self.retry_at)
    }

    /// Another attempt has failed.
    pub(super) fn goes_on(&mut self, why: String) {
        self.why = why;
        self.attempts += 1;
        let pause = PAUSE_MIN * (1 << self.attempts.min(8));
        self.retry_at = Instant::now() + pause.min(PAUSE_MAX);
    }

    /// Gives up where waiting does not help; then tells why.
    pub(super) fn is_lasting(&mut self, error: &StorageError) -> Option<String> {
        self.is_given_up = !is_full(error) && self.attempts >= ATTEMPTS_MAX;
        self.is_given_up.then(|| self.why.clone())
    }
}

/// Whether there is no room: somebody will make some.
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
    fn a_full_disk_is_waited_for_and_a_broken_one_only_for_a_while() {
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            assert_eq!(attempts(&error(kind), 1_000_000), None);
        }
        for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other] {
            assert_eq!(attempts(&error(kind), ATTEMPTS_MAX - 1), None);
            assert_eq!(attempts(&error(kind), ATTEMPTS_MAX), Some("again".into()));
        }
    }

    #[test]
    fn attempts_are_made_less_and_less_and_damage_is_mended_at_once() {
        let mut trouble = Trouble::new(String::new(), true);
        assert!(trouble.retry_at().is_some_and(|at| at <= Instant::now()));
        for _ in 0..100 {
            trouble.goes_on(String::new());
            assert!(trouble.retry_at().is_some_and(|at| at <= Instant::now() + PAUSE_MAX));
        }
    }
}
