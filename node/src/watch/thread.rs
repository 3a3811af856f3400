//! The thread of one host: runs a step of the audit whenever a copy has grown, until the watcher ends.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libvms_cores::storage::{SharedReplica, StorageError};
use libvms_hypercore::identity::PublicKey;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::event::Event;
use super::followed_host::Followed;
use crate::audit::VerifyError;
use crate::replay::AuditOptions;

/// The longest wait for new blocks before the next step runs anyway.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The same while a block of a copy is being fetched again.
const LOST_INTERVAL: Duration = Duration::from_millis(100);
/// The first rest after a failure; each further one doubles.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest rest: room on a disk may become free at any time.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Failures in a row after which an audit is abandoned, unless the disk is full: about half a minute.
const FAILURES_MAX: u32 = 10;

/// Starts the download of an archive's cores.
pub(super) type OpenArchive =
    Box<dyn FnMut([PublicKey; 2]) -> Result<[SharedReplica; 2], StorageError> + Send>;

/// The state of a host's thread.
pub(super) struct Work {
    pub(super) directory: PathBuf,
    pub(super) log: SharedReplica,
    pub(super) open_archive: OpenArchive,
    /// The archive's cores, once they are open.
    pub(super) archive: Option<[SharedReplica; 2]>,
    /// Gets a message whenever one of the cores has grown, or the watcher ends.
    pub(super) grown: Receiver<()>,
    pub(super) stop: CancellationToken,
    pub(super) settings: AuditOptions,
}

/// The wakers of a thread: for a core that has grown, or the end.
#[derive(Clone, Debug)]
pub(super) struct Wakers {
    pub(super) grown: SyncSender<()>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Work {
    /// Audits until the watcher ends. Saves the state of the audit.
    fn run(mut self, tell: &mut dyn FnMut(Event)) {
        let (start, mut rest) = (Instant::now(), Rest::default());
        while let Err(error) = self.follow(start, &mut rest, tell) {
            if !self.is_whole() {
                // Fetched blocks change the data already read: the audit begins anew then.
                rest.begin(error.to_string(), tell);
                self.wait_until_whole();
            } else if rest.is_over(&error) {
                return tell(Event::Failed { why: error.to_string() });
            } else {
                rest.begin(error.to_string(), tell);
                self.wait(rest.pause());
            }
            if self.stop.is_cancelled() {
                return;
            }
        }
    }

    fn follow(
        &mut self,
        start: Instant,
        rest: &mut Rest,
        tell: &mut dyn FnMut(Event),
    ) -> Result<(), VerifyError> {
        let mut followed = Followed::new(self.directory.clone(), self.log.clone(), self.settings.clone())?;
        loop {
            let (archive, open_archive) = (&mut self.archive, &mut self.open_archive);
            // The audit may begin anew; the network holds the copies all the while.
            let mut open = |keys| match archive {
                Some(archive) => Ok(archive.clone()),
                None => Ok(archive.insert(open_archive(keys)?).clone()),
            };
            followed.step(start.elapsed().as_millis() as u64, &mut open, tell)?;
            rest.end(tell);
            if self.stop.is_cancelled() {
                return Ok(());
            }
            // Check without a message, too: the end may have found the channel full.
            let _woken = self.grown.recv_timeout(LOOK_INTERVAL);
        }
    }

    fn is_whole(&self) -> bool {
        self.log.is_whole() && self.archive.iter().flatten().all(SharedReplica::is_whole)
    }

    fn wait_until_whole(&self) {
        while !self.is_whole() && !self.stop.is_cancelled() {
            let _woken = self.grown.recv_timeout(LOST_INTERVAL);
        }
    }

    fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.stop.is_cancelled() {
            let left = until.saturating_duration_since(Instant::now());
            let _woken = self.grown.recv_timeout(left.min(LOOK_INTERVAL));
        }
    }
}

/// The rests of an audit that could not go on.
#[derive(Debug, Default)]
struct Rest {
    why: Option<String>,
    failures: u32,
}

impl Rest {
    /// Begins a rest; reports the reason, if that is new.
    fn begin(&mut self, why: String, tell: &mut dyn FnMut(Event)) {
        self.failures += 1;
        if self.why.as_ref() != Some(&why) {
            tell(Event::Stalled { why: why.clone() });
            self.why = Some(why);
        }
    }

    /// Ends the rests: the audit went on.
    fn end(&mut self, tell: &mut dyn FnMut(Event)) {
        self.failures = 0;
        if self.why.take().is_some() {
            tell(Event::Resumed);
        }
    }

    fn pause(&self) -> Duration {
        (PAUSE_MIN * (1 << self.failures.min(8))).min(PAUSE_MAX)
    }

    /// Returns whether to stop retrying; never while the disk is full, because waiting helps there.
    fn is_over(&self, error: &VerifyError) -> bool {
        !is_full(error) && self.failures >= FAILURES_MAX
    }
}

/// Returns whether the disk is full, in any part of the audit.
fn is_full(error: &VerifyError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let system = error.downcast_ref::<io::Error>().or(match error.downcast_ref::<StorageError>() {
            Some(StorageError::Io { source, .. }) => Some(source),
            _ => None,
        });
        let kind = system.map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Starts the thread.
pub(super) fn start(work: Work, mut tell: impl FnMut(Event) + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("watcher".into()).spawn(move || work.run(&mut tell))
}

impl Wakers {
    /// Wakes the thread whenever a copy has grown, and at the end. Must be called within a Tokio runtime.
    pub(super) fn watch(&self, replica: &SharedReplica) {
        let (mut lengths, grown, stop) = (replica.lengths(), self.grown.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            let mut is_over = false;
            while !is_over {
                is_over = tokio::select! {
                    () = stop.cancelled() => true,
                    changed = lengths.changed() => changed.is_err(),
                };
                // When the channel is full, the thread is about to run a step anyway.
                let _full = grown.try_send(());
            }
        });
    }
}
