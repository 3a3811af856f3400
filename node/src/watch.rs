//! The watcher role: follows hosts over the network, executes their logged calls as they arrive, and reports verdicts.
//!
//! Start from [`Watcher`]. For each host there is a copy of its log and of its archive, kept complete by the
//! [`Network`], and a thread that audits them and sends [`Event`]s. A host that deviates is reported and no longer
//! executed, while its log is still kept; the other hosts go on. Evidence that lag, a crash or a lying peer could explain
//! does not accuse a host. Neither does a damaged copy of our own, or a full disk: the audit rests until peers have
//! delivered the lost blocks again, or there is room.
//!
//! ```text
//! DIR/lock                    the lock of the process that owns the directory
//! DIR/KEY/log|files|blobs/    copies of the host's cores (see storage/replica.rs)
//! DIR/KEY/state.json          how far the audit got, and what the host is convicted of
//! DIR/KEY/report-*.json       reports of findings (see report.rs)
//! DIR/KEY/report-*.proof      the proof files of findings, which convict the host for anybody
//! ```

mod event;
mod evidence;
mod followed_host;
mod offence;
mod proof;
mod report;
mod thread;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use libvms_cores::net::{CoreEvent, Network};
use libvms_cores::storage::layout::{BLOBS, FILES, LOG};
use libvms_cores::storage::{DataDirectory, SharedReplica, StorageError};
use libvms_engine::WorkerError;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::replication::Evidence;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::replay::AuditOptions;

pub use event::Event;
use evidence::Claims;
pub use evidence::EvidenceLog;
pub use followed_host::{Followed, SUSPICION_DELAY_MS};
pub use offence::Offence;
pub use report::FoundOut;
use thread::{Wakers, Work};

/// The channel of events to the operator of the watcher, each with the key of its host's log.
pub type Events = mpsc::UnboundedReceiver<(PublicKey, Event)>;

/// A watcher: audits any number of hosts until it is shut down.
///
/// Dropping it stops its audits after their current step; [`Watcher::shutdown`] waits until everything is saved, too.
#[derive(Debug)]
pub struct Watcher {
    directory: DataDirectory,
    network: Arc<Network>,
    settings: AuditOptions,
    events: mpsc::UnboundedSender<(PublicKey, Event)>,
    followed: Vec<JoinHandle<()>>,
    logs: BTreeSet<PublicKey>,
    /// Ends the threads and the tasks.
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
    /// The tasks that wake the threads, and those that judge evidence.
    tasks: TaskTracker,
}

/// Why a host cannot be followed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WatcherError {
    /// The host's copy cannot be stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Scripts must be confined, and cannot be confined here.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The system cannot start a thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl Watcher {
    /// Returns a watcher that keeps its copies in `directory`, and gets them from `network`.
    ///
    /// # Errors
    /// When the directory is in use or cannot be used, or scripts cannot be confined: see
    /// [`EngineSettings`](libvms_engine::EngineSettings).
    pub fn new(
        directory: &Path,
        network: Arc<Network>,
        settings: AuditOptions,
    ) -> Result<(Self, Events), WatcherError> {
        settings.engine.check()?;
        let directory = DataDirectory::lock(directory)?;
        let (events, receiver) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let watcher = Self {
            directory,
            network,
            settings,
            events,
            followed: vec![],
            logs: BTreeSet::new(),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
            tasks: TaskTracker::new(),
        };
        Ok((watcher, receiver))
    }

    /// Returns whether a host is already followed.
    pub fn is_following(&self, log: &PublicKey) -> bool {
        self.logs.contains(log)
    }

    /// Follows a host by the key of its log. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the host's copy cannot be opened.
    pub fn follow(&mut self, log: PublicKey) -> Result<(), WatcherError> {
        let directory = self.directory.path().join(log.to_string());
        let (grown, receiver) = sync_channel(1);
        let wakers = Wakers { grown, stop: self.stop.clone(), tasks: self.tasks.clone() };
        let events = self.events.clone();
        let tell = move |event| {
            let _closed = events.send((log, event));
        };
        let place = HostStore {
            directory: directory.clone(),
            network: self.network.clone(),
            wakers,
            tell: Arc::new(tell.clone()),
            held: Mutex::default(),
        };
        let replica = place.hold(LOG, log)?;
        let runtime = tokio::runtime::Handle::current();
        let open_archive = move |[files, blobs]: [PublicKey; 2]| {
            let _runtime = runtime.enter();
            Ok([place.hold(FILES, files)?, place.hold(BLOBS, blobs)?])
        };
        let work = Work {
            directory,
            log: replica,
            open_archive: Box::new(open_archive),
            archive: None,
            grown: receiver,
            stop: self.stop.clone(),
            settings: self.settings.clone(),
        };
        self.logs.insert(log);
        self.followed.push(thread::start(work, tell).map_err(WatcherError::Thread)?);
        Ok(())
    }

    /// Stops all audits, and returns once everything is saved.
    pub async fn shutdown(self) {
        self.stop.cancel();
        let threads = self.followed;
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ended = thread.join();
            }
        });
        let _joined = joined.await;
        self.network.shutdown().await;
        // Evidence from the network's last moments is judged, too.
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The copies of one host's cores, with the network that completes them and the channel for their events.
struct HostStore {
    directory: PathBuf,
    network: Arc<Network>,
    wakers: Wakers,
    tell: Arc<dyn Fn(Event) + Send + Sync>,
    /// The copies already held: a copy has one owner.
    held: Mutex<BTreeMap<&'static str, SharedReplica>>,
}

impl HostStore {
    fn hold(&self, name: &'static str, key: PublicKey) -> Result<SharedReplica, StorageError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(replica) = held.get(name) {
            return Ok(replica.clone());
        }
        let replica =
            self.network.copy_and_tell(&self.directory.join(name), key, Some(self.listen_to(name)))?;
        self.wakers.watch(&replica);
        held.insert(name, replica.clone());
        Ok(replica)
    }

    /// Returns a channel that turns the network's events of a core into [`Event`]s.
    fn listen_to(&self, name: &'static str) -> mpsc::UnboundedSender<CoreEvent> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut judge = EvidenceLog::new(self.directory.clone(), name);
        let tell = self.tell.clone();
        let stop = self.wakers.stop.clone();
        self.wakers.tasks.spawn(async move {
            judge.load().into_iter().for_each(&*tell);
            let mut claims = Claims::default();
            loop {
                let evidence = tokio::select! {
                    event = receiver.recv() => match event {
                        Some(CoreEvent::Evidence(evidence)) => claims.take(evidence),
                        Some(event) => {
                            tell(event_from_copy(name, event));
                            None
                        }
                        None => return,
                    },
                    claim = claims.unproved() => Some(claim),
                };
                let Some(evidence) = evidence else { continue };
                let told = judge_at_last(&mut judge, &evidence, &*tell, &stop).await;
                told.into_iter().for_each(&*tell);
            }
        });
        sender
    }
}

/// Converts an event about a copy of our own.
fn event_from_copy(core: &'static str, event: CoreEvent) -> Event {
    match event {
        CoreEvent::Damaged { why } => Event::Damaged { core, why },
        CoreEvent::Stalled { why } => Event::Stalled { why },
        CoreEvent::Resumed => Event::Resumed,
        CoreEvent::Failed { why } | CoreEvent::Foreign { why } => Event::Failed { why },
        CoreEvent::Evidence(evidence) => Event::Stalled { why: evidence.name().into() },
    }
}

/// The pause before writing a report is retried.
const REPORT_PAUSE: Duration = Duration::from_secs(2);

/// Judges evidence, and retries until the disk takes its report, or the watcher ends: peers may not show the evidence
/// again.
async fn judge_at_last(
    judge: &mut EvidenceLog,
    evidence: &Evidence,
    tell: &(dyn Fn(Event) + Send + Sync),
    stop: &CancellationToken,
) -> Option<Event> {
    let mut is_told = false;
    loop {
        match judge.judge(evidence) {
            Ok(event) => {
                if is_told {
                    tell(Event::Resumed);
                }
                return event;
            }
            Err(error) if !is_told => {
                is_told = true;
                tell(Event::Stalled { why: error.to_string() });
            }
            Err(_) => {}
        }
        stop.run_until_cancelled(tokio::time::sleep(REPORT_PAUSE)).await?;
    }
}
