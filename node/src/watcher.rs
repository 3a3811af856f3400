//! The watcher role: follow hosts over the network, execute what they log as it comes, and say what it comes to.
//!
//! Start from [`Watcher`]. For each host there is a copy of its log and of its archive, kept complete by the
//! [`Network`], and a thread that audits them ([`Event`]). A host that is found to deviate is reported and no longer
//! executed, while its log is still kept; the others go on. What cannot be told apart from lag, a crash or a lying
//! peer accuses nobody.
//!
//! ```text
//! DIR/lock                    who owns the directory
//! DIR/KEY/log|files|blobs/    copies of the host's cores (see storage/replica.rs)
//! DIR/KEY/state.json          how far the audit got
//! DIR/KEY/report-*.json       what was found (see report.rs)
//! ```

mod evidence;
mod follow;
mod report;
mod thread;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use libvms_protocol::identity::PublicKey;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::host::{BLOBS, FILES, LOG};
use crate::net::{CoreEvent, Held, Network};
use crate::replay::Settings;
use crate::storage::{DataDirectory, Replica, SharedReplica, StorageError};
use crate::vm::{Sandbox, WorkerError};

use evidence::Claims;
pub use evidence::EvidenceJudge;
pub use follow::{Event, Followed, SUSPICION_DELAY_MS};
use thread::{Thread, Wakers, Work};

/// Events on their way to whoever runs the watcher, each with the key of the log that it is about.
pub type Events = mpsc::UnboundedReceiver<(PublicKey, Event)>;

/// Audits any number of hosts for as long as it lives.
#[derive(Debug)]
pub struct Watcher {
    directory: DataDirectory,
    network: Arc<Network>,
    settings: Settings,
    events: mpsc::UnboundedSender<(PublicKey, Event)>,
    followed: Vec<Thread>,
}

/// A host cannot be followed.
#[derive(Debug, Error)]
pub enum WatcherError {
    /// Its copy cannot be kept.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Scripts are to be confined here, and can not be.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl Watcher {
    /// A watcher that keeps its copies in `directory`, and gets them from `network`.
    ///
    /// # Errors
    /// Where the directory is in use or can not be used, or scripts cannot be confined: see [`Sandbox`].
    pub fn new(
        directory: &Path,
        network: Arc<Network>,
        settings: Settings,
    ) -> Result<(Self, Events), WatcherError> {
        Sandbox::check()?;
        let directory = DataDirectory::lock(directory)?;
        let (events, receiver) = mpsc::unbounded_channel();
        Ok((Self { directory, network, settings, events, followed: vec![] }, receiver))
    }

    /// Follows a host by the key of its log. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// Where its copy cannot be opened.
    pub fn follow(&mut self, log: PublicKey) -> Result<(), WatcherError> {
        let directory = self.directory.path().join(log.to_string());
        let (grown, receiver) = sync_channel(1);
        let wakers = Wakers::new(grown);
        let events = self.events.clone();
        let tell = move |event| {
            let _nobody_listens = events.send((log, event));
        };
        let place = Place {
            directory: directory.clone(),
            network: self.network.clone(),
            wakers: wakers.clone(),
            tell: Arc::new(tell.clone()),
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
            grown: receiver,
            is_stopped: wakers.is_stopped.clone(),
            settings: self.settings,
        };
        self.followed.push(Thread::start(work, wakers, tell).map_err(WatcherError::Thread)?);
        Ok(())
    }

    /// Stops auditing, and returns when everything is saved.
    pub async fn shutdown(self) {
        let threads: Vec<JoinHandle<()>> = self.followed.into_iter().map(Thread::stop).collect();
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ended = thread.join();
            }
        });
        let _joined = joined.await;
        self.network.shutdown().await;
    }
}

/// Where the copies of one host's cores are, how they are kept complete, and who is told what comes of it.
struct Place {
    directory: PathBuf,
    network: Arc<Network>,
    wakers: Wakers,
    tell: Arc<dyn Fn(Event) + Send + Sync>,
}

impl Place {
    fn hold(&self, name: &'static str, key: PublicKey) -> Result<SharedReplica, StorageError> {
        let replica = SharedReplica::new(Replica::open(&self.directory.join(name), key)?);
        self.network.hold(Held::Copy(replica.clone()), Some(self.listen_to(name)));
        self.wakers.watch(&replica);
        Ok(replica)
    }

    /// Turns what the network tells about a core into events.
    fn listen_to(&self, name: &'static str) -> mpsc::UnboundedSender<CoreEvent> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut judge = EvidenceJudge::new(self.directory.clone(), name);
        let tell = self.tell.clone();
        tokio::spawn(async move {
            judge.recall().into_iter().for_each(&*tell);
            let mut claims = Claims::default();
            loop {
                let evidence = tokio::select! {
                    event = receiver.recv() => match event {
                        Some(CoreEvent::Evidence(evidence)) => claims.take(evidence),
                        Some(CoreEvent::Failed { why }) => {
                            tell(Event::Failed { why });
                            None
                        }
                        None => return,
                    },
                    claim = claims.unproved() => Some(claim),
                };
                let Some(evidence) = evidence else { continue };
                let judged = judge.judge(&evidence);
                let told = judged.unwrap_or_else(|error| Some(Event::Failed { why: error.to_string() }));
                told.into_iter().for_each(&*tell);
            }
        });
        sender
    }
}
