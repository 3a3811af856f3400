//! The mounted services by path, and the services that are starting.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::Service;
use super::files::{self, Files};

/// Paths named in the answer to a request for a path without a service.
const PATHS_TOLD_MAX: usize = 20;
/// The longest `Retry-After` that callers are given.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Services by path, without a `/` at the end.
#[derive(Default)]
pub(super) struct Mounts {
    by_path: RwLock<BTreeMap<String, Mounted>>,
}

#[derive(Clone)]
enum Mounted {
    Service(Arc<dyn Service>),
    Starting(Starting),
}

/// Files of a service, and the part of a path below their prefix.
type FilesAt<'a> = Result<(Arc<dyn Files>, &'a str), NoService>;

/// A path whose service is starting: callers are answered with 503 and `Retry-After` until the service is mounted.
#[derive(Clone, Debug)]
pub struct Starting {
    progress: Arc<Progress>,
}

#[derive(Debug)]
struct Progress {
    begun: Instant,
    done: AtomicU64,
    all: AtomicU64,
}

/// Why no service answers at a path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoService {
    #[error("{why}; try again in {seconds} s")]
    NotYet { why: String, seconds: u64 },
    #[error("no service is mounted at {path:?}; there is one at {others}")]
    NotHere { path: String, others: String },
}

impl Mounts {
    pub(super) fn mount(&self, path: &str, service: Arc<dyn Service>) {
        self.insert(path, Mounted::Service(service));
    }

    pub(super) fn prepare(&self, path: &str) -> Starting {
        let progress = Progress { begun: Instant::now(), done: AtomicU64::new(0), all: AtomicU64::new(0) };
        let starting = Starting { progress: Arc::new(progress) };
        self.insert(path, Mounted::Starting(starting.clone()));
        starting
    }

    fn insert(&self, path: &str, mounted: Mounted) {
        let mut by_path = self.by_path.write().unwrap_or_else(PoisonError::into_inner);
        by_path.insert(mount_path(path).to_owned(), mounted);
    }

    pub(super) fn service_at(&self, path: &str) -> Result<Arc<dyn Service>, NoService> {
        let by_path = self.by_path.read().unwrap_or_else(PoisonError::into_inner);
        match by_path.get(mount_path(path)) {
            Some(Mounted::Service(service)) => Ok(service.clone()),
            Some(Mounted::Starting(starting)) => Err(starting.not_yet()),
            None if by_path.is_empty() => {
                Err(NoService::NotYet { why: "nothing is served here yet".into(), seconds: 1 })
            }
            None => Err(NoService::NotHere { path: shown(path), others: list(by_path.keys()) }),
        }
    }

    /// Returns the files that a path names, and the part of the path below their prefix; `None` when it names no files.
    /// When the paths of two services are prefixes of `path`, the longer one counts.
    pub(super) fn files_at<'a>(&self, path: &'a str) -> Option<FilesAt<'a>> {
        let by_path = self.by_path.read().unwrap_or_else(PoisonError::into_inner);
        let (mounted, name) = path.rmatch_indices(files::PLACE).find_map(|(at, _)| {
            let mount = &path[..at];
            Some((by_path.get(mount)?.clone(), files::below(path, mount)?))
        })?;
        drop(by_path);
        match mounted {
            Mounted::Service(service) => Some(Ok((service.files()?, name))),
            Mounted::Starting(starting) => Some(Err(starting.not_yet())),
        }
    }
}

impl fmt::Debug for Mounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_path = self.by_path.read().unwrap_or_else(PoisonError::into_inner);
        formatter.debug_set().entries(by_path.keys()).finish()
    }
}

impl Starting {
    /// Records that `done` of `all` entries of the log have been replayed.
    pub fn replayed(&self, done: u64, all: u64) {
        self.progress.done.store(done, Ordering::Relaxed);
        self.progress.all.store(all, Ordering::Relaxed);
    }

    fn not_yet(&self) -> NoService {
        let Progress { begun, done, all } = &*self.progress;
        let (done, all) = (done.load(Ordering::Relaxed), all.load(Ordering::Relaxed));
        let why = match all {
            0 => "the service is starting".to_owned(),
            _ => format!("the service is starting: it has replayed {done} of {all} entries of its log"),
        };
        NoService::NotYet { why, seconds: seconds_left(begun.elapsed(), done, all) }
    }
}

/// Estimates the seconds for the remaining entries from the time elapsed so far, within bounds.
fn seconds_left(elapsed: Duration, done: u64, all: u64) -> u64 {
    let left = elapsed.as_secs_f64() * all.saturating_sub(done) as f64 / done.max(1) as f64;
    (left.ceil() as u64).clamp(1, RETRY_MAX.as_secs())
}

fn mount_path(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

fn shown(path: &str) -> String {
    path.chars().take(100).collect()
}

fn list<'a>(paths: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = paths.len().saturating_sub(PATHS_TOLD_MAX);
    let named = paths.take(PATHS_TOLD_MAX).map(|path| if path.is_empty() { "/" } else { path.as_str() });
    let named = named.collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_a_starting_service_get_a_retry_time() {
        let seconds = |elapsed, done, all| seconds_left(Duration::from_secs(elapsed), done, all);
        assert_eq!(seconds(0, 0, 0), 1);
        assert_eq!(seconds(10, 50, 100), 10);
        assert_eq!(seconds(1, 99, 100), 1);
        assert_eq!(seconds(100, 1, 1_000_000), 30);
        assert_eq!(seconds(5, 100, 100), 1);
        assert_eq!(seconds(0, 10, u64::MAX), 1);
    }

    #[test]
    fn paths_are_named_up_to_a_number() {
        let mounts = Mounts::default();
        let nothing = mounts.service_at("/").err().expect("nothing").to_string();
        assert_eq!(nothing, "nothing is served here yet; try again in 1 s");
        for number in 0..22 {
            mounts.prepare(&format!("/{number:02}/"));
        }
        let error = mounts.service_at("/x\u{1b}").err().expect("nothing").to_string();
        assert!(
            error.starts_with(r#"no service is mounted at "/x\u{1b}"; there is one at /00, /01, "#),
            "{error}"
        );
        assert!(error.ends_with("/19 and 2 more"), "{error}");
        let starting = mounts.prepare("/");
        starting.replayed(3, 7);
        let error = mounts.service_at("").err().expect("it starts").to_string();
        assert!(
            error.starts_with("the service is starting: it has replayed 3 of 7 entries of its log"),
            "{error}"
        );
    }
}
