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
//! DIR/KEY/report-*.json       what was found
//! ```

mod follow;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use libvms_protocol::identity::PublicKey;
use libvms_protocol::replication::Evidence;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::host::{BLOBS, FILES, LOG};
use crate::net::{CoreEvent, Held, Network};
use crate::replay::Settings;
use crate::storage::{DataDirectory, Replica, SharedReplica, StorageError};

pub use follow::Event;
use follow::Followed;

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
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// The thread of one host, and the tasks that wake it.
#[derive(Debug)]
struct Thread {
    thread: JoinHandle<()>,
    wakers: Wakers,
}

/// What wakes a thread: a core that has grown, or the end.
#[derive(Clone, Debug)]
struct Wakers {
    grown: SyncSender<()>,
    is_stopped: Arc<AtomicBool>,
    tasks: Arc<std::sync::Mutex<tokio::task::JoinSet<()>>>,
}

impl Watcher {
    /// A watcher that keeps its copies in `directory`, and gets them from `network`.
    ///
    /// # Errors
    /// Where the directory is in use or can not be used.
    pub fn new(
        directory: &Path,
        network: Arc<Network>,
        settings: Settings,
    ) -> Result<(Self, Events), WatcherError> {
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
        let wakers = Wakers { grown, is_stopped: Arc::default(), tasks: Arc::default() };
        let place =
            Place { directory: directory.clone(), network: self.network.clone(), wakers: wakers.clone() };
        let replica = place.hold(LOG, log, Some(self.listen_to(log, &directory)))?;
        let runtime = tokio::runtime::Handle::current();
        let open_archive = move |[files, blobs]: [PublicKey; 2]| {
            let _runtime = runtime.enter();
            Ok([place.hold(FILES, files, None)?, place.hold(BLOBS, blobs, None)?])
        };
        let open_archive = Box::new(open_archive);
        let is_stopped = wakers.is_stopped.clone();
        let followed = Followed {
            directory,
            log: replica,
            open_archive,
            grown: receiver,
            is_stopped,
            settings: self.settings,
        };
        let events = self.events.clone();
        let run = move || {
            followed.run(&mut |event| {
                let _nobody_listens = events.send((log, event));
            });
        };
        let thread =
            thread::Builder::new().name("watcher".into()).spawn(run).map_err(WatcherError::Thread)?;
        self.followed.push(Thread { thread, wakers });
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

    /// Turns what the network tells about a log into events.
    fn listen_to(&self, log: PublicKey, directory: &Path) -> mpsc::UnboundedSender<CoreEvent> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (events, directory) = (self.events.clone(), directory.to_owned());
        tokio::spawn(async move {
            while let Some(event) = receiver.recv().await {
                let _nobody_listens = events.send((log, of_core(event, &directory)));
            }
        });
        sender
    }
}

impl Thread {
    /// Ends the thread after the step that it is at.
    fn stop(self) -> JoinHandle<()> {
        if let Ok(mut tasks) = self.wakers.tasks.lock() {
            tasks.abort_all();
        }
        self.wakers.is_stopped.store(true, Ordering::Release);
        let _is_awake = self.wakers.grown.try_send(());
        self.thread
    }
}

/// Where the copies of one host's cores are, and how they are kept complete.
struct Place {
    directory: PathBuf,
    network: Arc<Network>,
    wakers: Wakers,
}

impl Place {
    fn hold(
        &self,
        name: &str,
        key: PublicKey,
        events: Option<mpsc::UnboundedSender<CoreEvent>>,
    ) -> Result<SharedReplica, StorageError> {
        let replica = SharedReplica::new(Replica::open(&self.directory.join(name), key)?);
        self.network.hold(Held::Copy(replica.clone()), events);
        self.wakers.watch(&replica);
        Ok(replica)
    }
}

impl Wakers {
    fn watch(&self, replica: &SharedReplica) {
        let (mut lengths, grown) = (replica.lengths(), self.grown.clone());
        let wake = async move {
            while lengths.changed().await.is_ok() {
                // Full: the thread is about to look anyway.
                let _full = grown.try_send(());
            }
        };
        self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).spawn(wake);
    }
}

fn of_core(event: CoreEvent, directory: &Path) -> Event {
    let evidence = match event {
        CoreEvent::Failed { why } => return Event::Failed { why },
        CoreEvent::Evidence(evidence) => evidence,
    };
    let (class, theirs, why) = match &*evidence {
        Evidence::ForkClaimed { fork, length, .. } => (
            "fork",
            None,
            format!("a peer says that the log was cut off {fork} times, and has {length} entries"),
        ),
        Evidence::ShrinkClaimed { before, after, .. } => (
            "truncation",
            None,
            format!("a peer says that the log has {after} entries, and said {before} before"),
        ),
        Evidence::ForkSigned { theirs, .. } => (
            "fork",
            Some(theirs),
            format!("the host has signed a log that was cut off {} times", theirs.fork()),
        ),
        Evidence::ShorterSigned { theirs, .. } => (
            "truncation",
            None,
            format!(
                "a peer shows a signed log of {} entries, an old one or one that was cut off",
                theirs.length()
            ),
        ),
        Evidence::Conflict { theirs, length, .. } => (
            "equivocation",
            Some(theirs),
            format!("the host has signed two logs that differ in their first {length} entries"),
        ),
    };
    let report =
        theirs.and_then(|theirs| report::write_evidence(directory, class, theirs, &evidence, &why).ok());
    Event::Evidence { class, is_signed: theirs.is_some(), why, report }
}
