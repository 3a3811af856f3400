//! The thread of one host: it looks whenever a copy has grown, until the watcher ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libvms_protocol::identity::PublicKey;

use super::follow::{Event, Followed};
use crate::replay::Settings;
use crate::storage::{SharedReplica, StorageError};
use crate::verifier::VerifyError;

/// How long to wait for something new before looking anyway.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Starts the download of an archive's cores.
pub(super) type OpenArchive =
    Box<dyn FnMut([PublicKey; 2]) -> Result<[SharedReplica; 2], StorageError> + Send>;

/// What a host's thread works with.
pub(super) struct Work {
    pub(super) directory: PathBuf,
    pub(super) log: SharedReplica,
    pub(super) open_archive: OpenArchive,
    /// One message whenever one of the cores has grown, or the watcher ends.
    pub(super) grown: Receiver<()>,
    pub(super) is_stopped: Arc<AtomicBool>,
    pub(super) settings: Settings,
}

/// A running thread, and the tasks that wake it.
#[derive(Debug)]
pub(super) struct Thread {
    thread: JoinHandle<()>,
    wakers: Wakers,
}

/// What wakes a thread: a core that has grown, or the end.
#[derive(Clone, Debug)]
pub(super) struct Wakers {
    pub(super) grown: SyncSender<()>,
    pub(super) is_stopped: Arc<AtomicBool>,
    tasks: Arc<Mutex<tokio::task::JoinSet<()>>>,
}

impl Work {
    /// Audits until the watcher ends. Saves how far it got.
    fn run(mut self, tell: &mut dyn FnMut(Event)) {
        if let Err(error) = self.follow(tell) {
            tell(Event::Failed { why: error.to_string() });
        }
    }

    fn follow(&mut self, tell: &mut dyn FnMut(Event)) -> Result<(), VerifyError> {
        let start = Instant::now();
        let mut followed = Followed::new(self.directory.clone(), self.log.clone(), self.settings)?;
        loop {
            followed.step(start.elapsed().as_millis() as u64, &mut self.open_archive, tell)?;
            if self.is_stopped.load(Ordering::Acquire) {
                return Ok(());
            }
            // Without a message too: a stop may have found the channel full.
            let _woken = self.grown.recv_timeout(LOOK_INTERVAL);
        }
    }
}

impl Thread {
    pub(super) fn start(
        work: Work,
        wakers: Wakers,
        mut tell: impl FnMut(Event) + Send + 'static,
    ) -> std::io::Result<Self> {
        let thread = thread::Builder::new().name("watcher".into()).spawn(move || work.run(&mut tell))?;
        Ok(Self { thread, wakers })
    }

    /// Ends the thread after the step that it is at.
    pub(super) fn stop(self) -> JoinHandle<()> {
        self.wakers.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        self.wakers.is_stopped.store(true, Ordering::Release);
        let _is_awake = self.wakers.grown.try_send(());
        self.thread
    }
}

impl Wakers {
    pub(super) fn new(grown: SyncSender<()>) -> Self {
        Self { grown, is_stopped: Arc::default(), tasks: Arc::default() }
    }

    /// Wakes the thread whenever a copy has grown. Must be called within a Tokio runtime.
    pub(super) fn watch(&self, replica: &SharedReplica) {
        let (mut lengths, grown) = (replica.lengths(), self.grown.clone());
        let wake = async move {
            while lengths.changed().await.is_ok() {
                // Full: the thread is about to look anyway.
                let _full = grown.try_send(());
            }
        };
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(wake);
    }
}
