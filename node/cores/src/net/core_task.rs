//! One core on the network: the task that owns its replicator and its storage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::{PublicKey, Signature};
use libvms_hypercore::ranges::Ranges;
use libvms_hypercore::replication::{
    self, Action, CheckError, Download, Evidence, PeerFault, PeerId, Replicator, Store, Verified,
};
use libvms_hypercore::time;
use libvms_hypercore::tree::Node;
use libvms_hypercore::wire::message::Message;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use super::byte_budget::BytePermit;
use super::metrics::Counters;
use super::outbound::{LinkEnd, OutboundMessage, OutboundSender};
use super::trouble::Trouble;
use crate::storage::{CoreView, EARLY_BYTES_MAX, SharedReplica, StorageError};

/// Inputs that may be queued for a core. A connection waits while the queue is full, and reads nothing meanwhile.
const INPUTS_WAITING: usize = 1024;
/// Inputs processed in one batch.
const INPUTS_AT_ONCE: usize = 256;
/// Interval at which downloaded blocks are synced to disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How often a proof that does not verify may make us check our own tree.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// A core that the network serves.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each core, not one for each message")]
pub enum SharedCore {
    /// A whole core, held by its writer.
    Writer(CoreView),
    /// A copy that the network completes.
    Replica(SharedReplica),
}

/// An event of a copy, for the program that asked for it.
#[derive(Clone, Debug)]
pub enum CoreEvent {
    /// There is evidence against the core's writer.
    Evidence(Box<Evidence>),
    /// A part of the copy on disk is damaged. Its blocks are fetched from peers again.
    Damaged {
        /// The damaged part, and the reason.
        why: String,
    },
    /// The copy cannot be stored now. Storing is tried again.
    Stalled {
        /// The reason.
        why: String,
    },
    /// The copy can be stored again.
    Resumed,
    /// The core's kind, which follows from its key, cannot be copied.
    Foreign {
        /// The kind.
        why: String,
    },
    /// The copy cannot be stored, and will not grow any more.
    Failed {
        /// The reason.
        why: String,
    },
}

/// A core's input.
#[derive(Debug)]
pub(super) enum Input {
    /// A peer has opened a channel, and its capability is valid.
    Opened { peer: PeerId, link: OutboundSender },
    /// A peer has sent a message. `_permit` is given back when the message was processed.
    Message { peer: PeerId, message: Box<Message>, _permit: BytePermit },
    /// More bytes of a peer's long message have arrived.
    Progress { peer: PeerId },
    /// Everything sent to a peer has been written.
    Flushed { peer: PeerId },
    /// A peer's channel is closed.
    Closed { peer: PeerId },
}

/// The options of a core's task, and its counters.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) request_timeout: Duration,
    pub(super) counters: Arc<Counters>,
}

/// A handle to a core's task.
#[derive(Clone, Debug)]
pub(super) struct CoreHandle {
    pub(super) key: PublicKey,
    pub(super) inputs: mpsc::Sender<Input>,
}

/// Starts a core's task. The task ends when all handles are dropped, with everything on disk.
pub(super) fn start(
    held: SharedCore,
    events: Option<mpsc::UnboundedSender<CoreEvent>>,
    config: Config,
    tasks: &mut tokio::task::JoinSet<()>,
) -> CoreHandle {
    let (inputs, receiver) = mpsc::channel(INPUTS_WAITING);
    let key = held.key();
    tasks.spawn(CoreTask::new(held, events, config).run(receiver));
    CoreHandle { key, inputs }
}

struct CoreTask {
    held: SharedCore,
    replicator: Replicator,
    links: BTreeMap<PeerId, OutboundSender>,
    events: Option<mpsc::UnboundedSender<CoreEvent>>,
    start: Instant,
    counters: Arc<Counters>,
    /// Blocks that arrived too early to be kept, to be requested again.
    dropped: Ranges<BlockIndex>,
    sync_at: Option<Instant>,
    /// The sync to disk in progress.
    flushing: Option<Flushing>,
    /// Set while the copy cannot be stored.
    trouble: Option<Trouble>,
    /// Notifies when a stored block was found to be lost.
    losses: Option<watch::Receiver<()>>,
    /// When the copy's tree was last checked because a peer's proof did not match it.
    checked_at: Option<Instant>,
    machine: replication::Config,
    /// Whether the event that the core cannot be copied was sent.
    is_foreign: bool,
}

type Flushing = JoinHandle<Result<(), StorageError>>;

impl CoreTask {
    fn new(held: SharedCore, events: Option<mpsc::UnboundedSender<CoreEvent>>, config: Config) -> Self {
        let download = match &held {
            SharedCore::Writer(_) => Download::Heads,
            SharedCore::Replica(_) => Download::All,
        };
        let request_timeout = config.request_timeout;
        let machine = replication::Config { download, request_timeout, ..replication::Config::default() };
        let losses = match &held {
            SharedCore::Writer(_) => None,
            SharedCore::Replica(copy) => Some(copy.losses()),
        };
        let mut task = Self {
            replicator: Replicator::new(held.key(), machine.clone()),
            held,
            links: BTreeMap::new(),
            events,
            start: Instant::now(),
            counters: config.counters,
            dropped: Ranges::new(usize::MAX),
            sync_at: None,
            flushing: None,
            trouble: None,
            losses,
            checked_at: None,
            machine,
            is_foreign: false,
        };
        task.emit_damage();
        task.fetch_lost();
        task
    }

    async fn run(mut self, mut receiver: mpsc::Receiver<Input>) {
        let mut inputs = Vec::with_capacity(INPUTS_AT_ONCE);
        loop {
            let deadline = self.deadline();
            let sleep = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                count = receiver.recv_many(&mut inputs, INPUTS_AT_ONCE) => {
                    if count == 0 {
                        break;
                    }
                    inputs.drain(..).for_each(|input| self.handle_input(input));
                }
                () = self.held.grown() => {
                    self.held.refresh();
                    self.local_changed();
                }
                flushed = over(&mut self.flushing) => self.flushed(flushed),
                () = loss(&mut self.losses) => self.fetch_lost(),
                () = sleep => self.tick(),
            }
        }
        self.finish().await;
    }

    fn deadline(&self) -> Option<Instant> {
        let due = self.replicator.poll_timeout().map(|at| self.start + at.since_start());
        match &self.trouble {
            Some(trouble) => trouble.retry_at(),
            None => due.into_iter().chain(self.sync_at).min(),
        }
    }

    /// Returns the time of the machine.
    fn now(&self) -> time::Instant {
        time::Instant::after(self.start.elapsed())
    }

    fn handle_input(&mut self, input: Input) {
        let now = self.now();
        if self.trouble.is_some() {
            return self.note(input);
        }
        match input {
            Input::Opened { peer, link } => {
                self.links.insert(peer, link);
                self.replicator.handle_peer_opened(now, peer, &self.held);
            }
            Input::Progress { peer } => {
                self.replicator.handle_progress(now, peer);
                if let SharedCore::Replica(copy) = &self.held {
                    copy.chunk_arrived();
                }
            }
            Input::Message { peer, message, .. } => {
                if let Err(why) = self.replicator.handle_message(now, peer, *message, &self.held) {
                    self.blame(peer, why);
                }
            }
            Input::Flushed { peer } => self.replicator.handle_flushed(now, peer, &self.held),
            Input::Closed { peer } => {
                self.links.remove(&peer);
                self.replicator.handle_peer_closed(now, peer, &self.held);
            }
        }
        self.run_actions();
    }

    /// Records which peers are connected while nothing can be stored.
    fn note(&mut self, input: Input) {
        match input {
            Input::Opened { peer, link } => drop(self.links.insert(peer, link)),
            Input::Closed { peer } => drop(self.links.remove(&peer)),
            Input::Message { .. } | Input::Progress { .. } | Input::Flushed { .. } => {}
        }
    }

    fn tick(&mut self) {
        if self.trouble.is_some() {
            return self.retry();
        }
        if self.sync_at.is_some_and(|at| at <= Instant::now()) {
            self.begin_flush();
        }
        self.replicator.handle_timeout(self.now(), &self.held);
        self.run_actions();
    }

    fn local_changed(&mut self) {
        self.replicator.handle_store_changed(self.now(), &self.held);
        self.run_actions();
    }

    /// Performs the replicator's actions.
    fn run_actions(&mut self) {
        while let Some(action) = self.replicator.poll_action() {
            match action {
                Action::Send { peer, message } => self.send(peer, message),
                Action::Store(verified) => self.store(verified),
                Action::Evidence(evidence) => self.emit(CoreEvent::Evidence(Box::new(evidence))),
                Action::Fault { peer, why } => self.blame(peer, why),
            }
        }
    }

    fn send(&self, peer: PeerId, message: Message) {
        self.count(&message);
        if let Some(link) = self.links.get(&peer) {
            link.send(OutboundMessage { core: self.held.key(), message: Box::new(message) });
        }
    }

    fn count(&self, message: &Message) {
        match message {
            Message::Data(data) => {
                self.counters.requests_served.add(1);
                self.counters.blocks_out.add(u64::from(data.block.is_some()));
            }
            Message::NoData(_) => self.counters.requests_refused.add(1),
            _ => {}
        }
    }

    /// Ends the connection to a peer at fault, unless our own copy is damaged: then valid proofs look false.
    fn blame(&mut self, peer: PeerId, why: PeerFault) {
        if why == PeerFault::Invalid(CheckError::HasManifest)
            && !std::mem::replace(&mut self.is_foreign, true)
        {
            self.emit(CoreEvent::Foreign { why: why.to_string() });
        }
        let is_suspicious = matches!(why, PeerFault::Invalid(_)) && self.is_check_due();
        if is_suspicious && self.is_own_tree_damaged() {
            self.suspend("the tree of the copy on disk is damaged".into(), true);
        } else {
            self.end(peer, why);
        }
    }

    /// Returns whether our tree may be checked again: a peer that lies all day must not keep us busy.
    fn is_check_due(&self) -> bool {
        self.checked_at.is_none_or(|at| at.elapsed() >= CHECK_INTERVAL)
    }

    fn is_own_tree_damaged(&mut self) -> bool {
        let SharedCore::Replica(replica) = &self.held else { return false };
        let is_sound = replica.lock().is_sound();
        self.checked_at = Some(Instant::now());
        // A tree that cannot be read is not sound either.
        !is_sound.unwrap_or(false)
    }

    fn end(&mut self, peer: PeerId, why: PeerFault) {
        debug!(core = %self.held.key(), peer = peer.0, %why, "a peer is at fault");
        self.counters.proofs_refused.add(u64::from(matches!(why, PeerFault::Invalid(_))));
        if let Some(link) = self.links.remove(&peer) {
            link.end(LinkEnd::Fault(why));
        }
    }

    fn store(&mut self, verified: Verified) {
        let SharedCore::Replica(replica) = &self.held else { return };
        if self.trouble.is_some() {
            return;
        }
        self.counters.blocks_in.add(u64::from(verified.block.is_some()));
        let dropped = &mut self.dropped;
        let stored = replica.change(|replica| {
            replica.add_nodes(&verified.nodes);
            if let Some(upgrade) = &verified.upgrade {
                replica.set_head(upgrade.head, &upgrade.roots);
            }
            match verified.block {
                Some((block, bytes)) => {
                    let is_early = block > replica.length().next_block();
                    if is_early && replica.early_bytes() + bytes.len() > EARLY_BYTES_MAX {
                        dropped.insert(block..block + 1);
                        return Ok(());
                    }
                    replica.add_block(block, bytes)
                }
                None => Ok(()),
            }
        });
        if let Err(error) = stored {
            return self.suspend_for(&error);
        }
        self.sync_at.get_or_insert_with(|| Instant::now() + SYNC_INTERVAL);
        self.ask_again();
        self.replicator.handle_store_changed(self.now(), &self.held);
    }

    /// Requests blocks again that arrived too early, once the blocks before them are stored.
    fn ask_again(&mut self) {
        let SharedCore::Replica(replica) = &self.held else { return };
        if self.dropped.is_empty() || replica.lock().early_bytes() > EARLY_BYTES_MAX / 2 {
            return;
        }
        let dropped: Vec<_> = self.dropped.iter().collect();
        self.dropped.clear();
        for blocks in dropped {
            self.replicator.download(self.now(), blocks, &self.held);
        }
    }

    /// Starts to sync downloaded blocks to disk while peers are served: a disk can take longer than peers wait.
    fn begin_flush(&mut self) {
        self.sync_at = None;
        let SharedCore::Replica(replica) = &self.held else { return };
        match &self.flushing {
            // One at a time.
            Some(_) => self.sync_at = Some(Instant::now() + SYNC_INTERVAL),
            None => {
                let flush = replica.lock().begin_flush();
                self.flushing = flush.map(|flush| tokio::task::spawn_blocking(|| flush.run()));
            }
        }
    }

    fn flushed(&mut self, flushed: Result<Result<(), StorageError>, JoinError>) {
        self.flushing = None;
        match flushed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.suspend_for(&error),
            Err(panicked) if panicked.is_panic() => std::panic::resume_unwind(panicked.into_panic()),
            Err(_) => debug!("the runtime ends before a copy is on disk; it will be completed again"),
        }
    }

    /// Syncs everything to disk.
    async fn finish(mut self) {
        if let Some(flushing) = self.flushing.take() {
            self.flushed(flushing.await);
        }
        let SharedCore::Replica(replica) = &self.held else { return };
        let synced = if self.trouble.is_some() { Ok(()) } else { replica.lock().sync() };
        if let Err(error) = synced {
            error!(core = %self.held.key(), %error, "a copy cannot be stored");
            self.emit(CoreEvent::Failed { why: error.to_string() });
        }
    }

    fn suspend_for(&mut self, error: &StorageError) {
        self.suspend(error.to_string(), matches!(error, StorageError::Damaged { .. }));
    }

    /// Stops storing until the copy is reopened: after a failed write the state on disk is unknown.
    fn suspend(&mut self, why: String, is_damage: bool) {
        if let Some(trouble) = &mut self.trouble {
            return trouble.goes_on(why);
        }
        warn!(core = %self.held.key(), why, "a copy cannot be stored for now");
        let event = if is_damage {
            CoreEvent::Damaged { why: why.clone() }
        } else {
            CoreEvent::Stalled { why: why.clone() }
        };
        self.emit(event);
        self.sync_at = None;
        self.trouble = Some(Trouble::new(why, is_damage));
    }

    /// Reopens the copy and goes on with the blocks on disk.
    fn retry(&mut self) {
        let SharedCore::Replica(replica) = &self.held else { return };
        // A sync in progress ends soon.
        let Some(trouble) = self.trouble.as_mut().filter(|_| self.flushing.is_none()) else { return };
        if let Err(error) = replica.reopen() {
            trouble.goes_on(error.to_string());
            if let Some(why) = trouble.is_lasting(&error) {
                error!(core = %self.held.key(), why, "a copy cannot be stored");
                self.emit(CoreEvent::Failed { why });
            }
            return;
        }
        self.trouble = None;
        self.dropped.clear();
        self.replicator = Replicator::new(self.held.key(), self.machine.clone());
        // The old machine received what these peers said; the new one has to hear it again.
        std::mem::take(&mut self.links).into_values().for_each(|link| link.end(LinkEnd::Anew));
        self.emit_damage();
        self.emit(CoreEvent::Resumed);
        self.fetch_lost();
    }

    fn emit_damage(&self) {
        let SharedCore::Replica(replica) = &self.held else { return };
        let damage = replica.lock().damage().to_vec();
        damage.into_iter().for_each(|why| self.emit(CoreEvent::Damaged { why }));
    }

    /// Requests lost blocks again.
    fn fetch_lost(&mut self) {
        let SharedCore::Replica(replica) = &self.held else { return };
        let lost = replica.lock().lost();
        for blocks in lost {
            self.replicator.download(self.now(), blocks, &self.held);
        }
        self.run_actions();
    }

    fn emit(&self, event: CoreEvent) {
        if let CoreEvent::Evidence(evidence) = &event {
            warn!(core = %self.held.key(), evidence = evidence.name(), "something speaks against the writer of a core");
        }
        if let Some(events) = &self.events {
            let _closed = events.send(event);
        }
    }
}

/// Waits until the sync in progress ends; for ever if there is none.
async fn over(flushing: &mut Option<Flushing>) -> Result<Result<(), StorageError>, JoinError> {
    match flushing {
        Some(flushing) => flushing.await,
        None => std::future::pending().await,
    }
}

/// Waits until a block was found to be lost; for ever if there is no copy.
async fn loss(losses: &mut Option<watch::Receiver<()>>) {
    if let Some(losses) = losses
        && losses.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

impl SharedCore {
    /// Returns the core's key.
    pub fn key(&self) -> PublicKey {
        match self {
            Self::Writer(view) => view.key(),
            Self::Replica(replica) => replica.key(),
        }
    }

    async fn grown(&mut self) {
        match self {
            Self::Writer(view) => view.grown().await,
            Self::Replica(_) => std::future::pending().await,
        }
    }

    fn refresh(&mut self) {
        if let Self::Writer(view) = self {
            view.refresh();
        }
    }
}

/// Turns a read error into `None`: peers are told that the block is missing, and the log has the error.
fn readable<T>(read: Result<Option<T>, StorageError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        error!(%error, "a core cannot be read");
        None
    })
}

impl Store for SharedCore {
    fn length(&self) -> Length {
        match self {
            Self::Writer(view) => view.length(),
            Self::Replica(replica) => replica.signed_head().map(|head| head.length()).unwrap_or_default(),
        }
    }

    fn signature(&self) -> Option<Signature> {
        match self {
            Self::Writer(view) => view.signed_head().map(|head| head.signature()),
            Self::Replica(replica) => replica.signed_head().map(|head| head.signature()),
        }
    }

    fn contiguous_length(&self) -> Length {
        match self {
            Self::Writer(view) => view.length(),
            Self::Replica(replica) => replica.length(),
        }
    }

    fn has(&self, block: BlockIndex) -> bool {
        match self {
            Self::Writer(view) => view.length().has(block),
            Self::Replica(replica) => replica.lock().has(block),
        }
    }

    fn block(&self, block: BlockIndex) -> Option<Vec<u8>> {
        match self {
            Self::Writer(view) => readable(view.block(block).map(Some)),
            Self::Replica(replica) if self.has(block) => readable(replica.block(block).map(Some)),
            Self::Replica(_) => None,
        }
    }

    fn node(&self, node: u64) -> Option<Node> {
        match self {
            Self::Writer(view) => readable(view.node(node)),
            Self::Replica(replica) => readable(replica.lock().node(node)),
        }
    }
}
