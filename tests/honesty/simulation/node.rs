//! A node in the simulation: the cores that it has, each with its real replicator, and what it makes of them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use libvms::net::SharedCore;
use libvms::storage::{CoreView, Replica, SharedReplica};
use libvms::watch::{Event, EvidenceLog, Followed};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::random::Dice;
use libvms_hypercore::replication::{Config as Replication, Download, Replicator, Store, Verified};
use libvms_hypercore::time::Instant;
use libvms_protocol::audit::ArchiveCore;
use libvms_protocol::entry::Entry;

use super::host::CORES;
use crate::support::auditing;

/// How often a copy is brought to disk, in milliseconds.
const SYNC_INTERVAL_MS: u64 = 1000;

/// A core at a node.
pub(super) struct NodeCore {
    pub(super) key: PublicKey,
    pub(super) held: SharedCore,
    pub(super) replicator: Replicator,
    pub(super) judge: EvidenceLog,
    pub(super) sync_at: Option<u64>,
}

/// A node that is up.
pub(super) struct Node {
    pub(super) cores: Vec<NodeCore>,
    pub(super) watcher: Option<Followed>,
    /// When the watcher looks at its copies next.
    pub(super) look_at: Option<u64>,
    directory: PathBuf,
}

impl Node {
    /// The host, as peers see it.
    pub(super) fn of_host(views: [CoreView; 3], directory: &Path) -> Self {
        let cores = views
            .into_iter()
            .zip(CORES)
            .map(|(view, name)| NodeCore::new(SharedCore::Writer(view), directory, name, Download::Nothing));
        Self { cores: cores.collect(), watcher: None, look_at: None, directory: directory.into() }
    }

    /// A node that copies a log and what belongs to it, and executes it if it is to watch.
    pub(super) fn of_copies(directory: &Path, log: PublicKey, watches: bool) -> Self {
        let mut node = Self { cores: vec![], watcher: None, look_at: Some(0), directory: directory.into() };
        let copy = node.copy(CORES[0], log);
        node.watcher = watches
            .then(|| Followed::new(directory.into(), copy, auditing()).expect("room for working files"));
        node
    }

    fn copy(&mut self, name: &'static str, key: PublicKey) -> SharedReplica {
        let replica = Replica::open(&self.directory.join(name), key).expect("what a crash leaves");
        let copy = SharedReplica::new(replica);
        let held = SharedCore::Replica(copy.clone());
        self.cores.push(NodeCore::new(held, &self.directory, name, Download::All));
        copy
    }

    pub(super) fn position(&self, is_it: impl Fn(&NodeCore) -> bool) -> Option<usize> {
        self.cores.iter().position(is_it)
    }

    /// Stores what a peer has brought for a core.
    pub(super) fn store(&mut self, core: usize, verified: Verified, now: u64, dice: &mut Dice) {
        let core = &mut self.cores[core];
        let SharedCore::Replica(copy) = &core.held else { panic!("a host downloads nothing") };
        let stored = copy.change(|replica| {
            replica.add_nodes(&verified.nodes);
            if let Some(upgrade) = &verified.upgrade {
                replica.set_head(upgrade.head, &upgrade.roots);
            }
            verified.block.map_or(Ok(()), |(block, bytes)| replica.add_block(block, bytes))
        });
        stored.expect("a disk");
        core.sync_at.get_or_insert(now + SYNC_INTERVAL_MS);
        core.replicator.handle_store_changed(Instant::from_millis(now), &core.held);
        self.look_at.get_or_insert(now + dice.below(60));
    }

    /// Looks at the copies: executes, compares, or finds out what else is to be copied. Gives what there is to tell.
    pub(super) fn look(&mut self, now: u64) -> Vec<Event> {
        self.look_at = None;
        let mut events = vec![];
        match self.watcher.take() {
            Some(mut watcher) => {
                let mut open = |[files, blobs]: [PublicKey; 2]| {
                    Ok([self.copy(CORES[1], files), self.copy(CORES[2], blobs)])
                };
                let stepped = watcher.step(now, &mut open, &mut |event| events.push(event));
                stepped.expect("the audit itself does not fail");
                self.watcher = Some(watcher);
            }
            None if self.cores.len() == 1 => {
                let SharedCore::Replica(log) = &self.cores[0].held else { return events };
                if let Some(Ok(Entry::Init(init))) =
                    log.block(BlockIndex(0)).ok().map(|block| Entry::decode(&block))
                {
                    self.copy(CORES[1], init.files);
                    self.copy(CORES[2], init.blobs);
                }
            }
            None => {}
        }
        events
    }

    /// Whether the watcher has seen a signed head of the archive that the log does not account for yet.
    pub(super) fn is_archive_ahead(&self) -> bool {
        let is_ahead = |watcher: &Followed| {
            let cores = ArchiveCore::ALL;
            cores.into_iter().any(|core| watcher.audit().unexplained(core).is_some())
        };
        self.watcher.as_ref().is_some_and(is_ahead)
    }

    /// Brings a copy to disk.
    pub(super) fn sync(&mut self, core: usize) {
        let core = &mut self.cores[core];
        core.sync_at = None;
        if let SharedCore::Replica(copy) = &core.held {
            copy.change(Replica::sync).expect("a disk");
        }
    }
}

impl NodeCore {
    fn new(held: SharedCore, directory: &Path, name: &'static str, download: Download) -> Self {
        let config = Replication { download, ..Replication::default() };
        let key = held.key();
        let judge = EvidenceLog::new(directory.into(), name);
        Self { key, replicator: Replicator::new(key, config), held, judge, sync_at: None }
    }

    /// Blocks that are here without a gap.
    pub(super) fn length(&self) -> Length {
        self.held.contiguous_length()
    }

    /// Sees what was appended to an own core.
    pub(super) fn refresh(&mut self, now: u64) {
        if let SharedCore::Writer(view) = &mut self.held {
            view.refresh();
            self.replicator.handle_store_changed(Instant::from_millis(now), &self.held);
        }
    }
}

/// What a crash may do to copies on disk: what was not synced is lost in part, and the write of a head is torn. Tells
/// what it did.
pub(super) fn tear_copies(directory: &Path, dice: &mut Dice) -> Vec<&'static str> {
    let places = CORES.map(|name| directory.join(name));
    places.iter().filter(|place| place.exists()).flat_map(|place| tear_copy(place, dice)).collect()
}

fn tear_copy(place: &Path, dice: &mut Dice) -> Vec<&'static str> {
    let mut torn = vec![];
    let open = |name: &str| File::options().read(true).write(true).open(place.join(name)).expect("a copy");
    let word = |file: &File, at: u64| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at).expect("it is that long");
        u64::from_le_bytes(bytes)
    };
    let (head, data, ends) = (open("head"), open("data"), open("ends"));
    // Two slots of 4 KiB: which write it was, the key, how many blocks are there.
    let slots = fs::metadata(place.join("head")).expect("a copy").len() / 4096;
    // A torn slot begins with noise.
    let is_whole = |slot: &u64| word(&head, 4096 * slot) < 1 << 32;
    let newest = (0..slots).filter(is_whole).max_by_key(|slot| word(&head, 4096 * slot));
    let stored = newest.map_or(0, |slot| word(&head, 4096 * slot + 40));
    let synced = stored.checked_sub(1).map_or(0, |last| word(&ends, 8 * last));
    let written = data.metadata().expect("a copy").len();
    if written > synced && dice.one_in(2) {
        torn.push("copy lost what was not synced");
        data.set_len(synced + dice.below(written - synced + 1)).expect("a disk");
    }
    if dice.one_in(3) {
        let next = newest.map_or(0, |slot| 1 - slot);
        torn.push("copy's head was torn");
        let length = 8 + dice.index(4088);
        let noise = dice.bytes(length);
        head.write_all_at(&noise, 4096 * next).expect("a disk");
    }
    torn
}
