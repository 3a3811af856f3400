//! A core whose every write is recorded, and the disks that a crash at any moment could leave of it.
//!
//! Start from [`every_crash_leaves_the_acknowledged_blocks`]. A crash of the process leaves a prefix of the recorded
//! steps, the last one perhaps partial. A loss of power may also lose, per file, any steps since its last sync.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::tree::{Roots, TreeHash};

use super::create;
use super::file::Medium;
use super::journal::Files;
use super::oplog::Oplog;
use super::{Core, Durability, StorageError};

/// Small, so that a short run has many flushes.
const FLUSH_BYTES: u64 = 1024;

const DATA: usize = 0;
const OPLOG: usize = 3;

/// The bytes of the four files: data, tree, bitfield, oplog.
type Disk = [Vec<u8>; 4];

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLength(u64),
    Sync,
}

/// One recorded call, and the number of its file.
type Step = (usize, Change);

#[derive(Clone, Debug)]
struct RecordedFile {
    file: usize,
    disk: Arc<Mutex<Disk>>,
    steps: Arc<Mutex<Vec<Step>>>,
    /// Bytes that can still be written before the disk is full.
    space: Arc<AtomicU64>,
}

impl RecordedFile {
    fn record(&self, change: Change) {
        let mut disk = self.disk.lock().expect("no test panics while it holds the lock");
        apply(&mut disk[self.file], &change);
        self.steps.lock().expect("as above").push((self.file, change));
    }
}

impl Medium for RecordedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let disk = self.disk.lock().expect("as above");
        let bytes = disk[self.file].get(offset as usize..).and_then(|bytes| bytes.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let space = self.space.load(Ordering::Relaxed);
        let fits = space.min(bytes.len() as u64);
        self.space.store(space - fits, Ordering::Relaxed);
        self.record(Change::Write { offset, bytes: bytes[..fits as usize].to_vec() });
        if fits < bytes.len() as u64 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.record(Change::SetLength(length));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.lock().expect("as above")[self.file].len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        self.record(Change::Sync);
        Ok(())
    }
}

/// A recorded disk on which cores are opened.
struct World {
    file: RecordedFile,
}

impl World {
    fn new(disk: Disk) -> Self {
        let (disk, steps) = (Arc::new(Mutex::new(disk)), Arc::default());
        Self { file: RecordedFile { file: DATA, disk, steps, space: Arc::new(AtomicU64::new(u64::MAX)) } }
    }

    fn files(&self) -> Files {
        let file = |file| Box::new(RecordedFile { file, ..self.file.clone() });
        Files { path: PathBuf::from("core"), data: file(0), tree: file(1), bitfield: file(2), oplog: file(3) }
    }

    fn oplog(&self) -> Oplog {
        Oplog::parse(&self.disk()[OPLOG]).expect("a whole oplog")
    }

    fn open(&self, durability: Durability) -> Core {
        Core::resume(self.files(), self.oplog(), durability, FLUSH_BYTES).expect("a core")
    }

    fn view(&self) -> Core {
        Core::view(self.files(), self.oplog(), Durability::Relaxed, FLUSH_BYTES).expect("a core")
    }

    fn disk(&self) -> Disk {
        self.file.disk.lock().expect("as above").clone()
    }

    fn steps(&self) -> Vec<Step> {
        self.file.steps.lock().expect("as above").clone()
    }
}

fn apply(file: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => {
            let end = *offset as usize + bytes.len();
            file.resize(file.len().max(end), 0);
            file[*offset as usize..end].copy_from_slice(bytes);
        }
        Change::SetLength(length) => file.resize(*length as usize, 0),
        Change::Sync => {}
    }
}

fn empty_core() -> Disk {
    let header = create::header(&PathBuf::from("core"), &SecretKey::from_seed(&[5; 32])).expect("a header");
    [vec![], vec![], vec![], header]
}

fn block(index: u64) -> Vec<u8> {
    vec![index as u8; (index as usize * 37) % 211]
}

fn blocks(from: u64, count: u64) -> Vec<Vec<u8>> {
    (from..from + count).map(block).collect()
}

/// Returns the tree hash of each length.
fn tree_hashes(length: u64) -> Vec<TreeHash> {
    let mut roots = Roots::default();
    let mut hashes = vec![roots.tree_hash()];
    for index in 0..length {
        roots.append(&block(index));
        hashes.push(roots.tree_hash());
    }
    hashes
}

/// A run of 42 appends in several sessions, and the lengths acknowledged after each number of steps.
struct Run {
    steps: Vec<Step>,
    acknowledged: Vec<(usize, u64)>,
    hashes: Vec<TreeHash>,
}

impl Run {
    fn record(durability: Durability) -> Self {
        let world = World::new(empty_core());
        let mut acknowledged = Vec::new();
        for session in 0..5 {
            let mut core = world.open(durability);
            for append in 0..[5, 14, 1, 3, 19][session] {
                let count = [1, 1, 3, 1, 7, 2][append % 6];
                let signed_head = core.append(&blocks(core.length().0, count)).expect("appended");
                acknowledged.push((world.steps().len(), signed_head.length().0));
            }
        }
        let length = acknowledged.last().expect("appended").1;
        // Space for the appends of the checks.
        Self { steps: world.steps(), acknowledged, hashes: tree_hashes(length + 3) }
    }

    fn flushes(&self) -> usize {
        let is_flush = |step: &&Step| matches!(step, (OPLOG, Change::Write { offset, .. }) if *offset < 8192);
        self.steps.iter().filter(is_flush).count()
    }

    /// Returns the length acknowledged and the length requested after some steps.
    fn lengths(&self, steps: usize) -> (u64, u64) {
        let acknowledged = self.acknowledged.iter().take_while(|(at, _)| *at <= steps);
        let (count, length) = acknowledged.fold((0, 0), |(count, _), (_, length)| (count + 1, *length));
        (length, self.acknowledged.get(count).map_or(length, |(_, length)| *length))
    }

    /// Opens the disk that a crash left, and appends to it.
    fn check(&self, disk: &Disk, steps: usize, crash: &str) {
        let (acknowledged, asked) = self.lengths(steps);
        let world = World::new(disk.clone());
        let length = world.view().length();
        assert_eq!(world.steps().len(), 0, "opening for reading wrote, after {steps} steps, {crash}");
        let mut core = world.open(Durability::Sync);
        assert_eq!(core.length(), length, "after {steps} steps, {crash}");
        assert!((acknowledged..=asked).contains(&length.0), "{length} blocks after {steps} steps, {crash}");
        self.check_blocks(&core);
        for _ in 0..2 {
            core.append(&blocks(core.length().0, 1)).expect("appended");
        }
        self.check_blocks(&world.view());
        drop(core);
        assert_eq!(world.open(Durability::Sync).length(), length + 2);
    }

    fn check_blocks(&self, core: &Core) {
        let found: Vec<Vec<u8>> =
            core.blocks(core.length().blocks()).collect::<Result<_, _>>().expect("readable");
        assert!(found == blocks(0, core.length().0));
        let hash = self.hashes[core.length().0 as usize];
        assert_eq!(core.roots().tree_hash(), hash);
        assert_eq!(
            core.signed_head().map(|head| (head.length(), head.tree_hash())).unwrap_or((Length(0), hash)).1,
            hash
        );
    }
}

#[test]
fn every_crash_leaves_the_acknowledged_blocks() {
    let run = Run::record(Durability::Sync);
    assert!(run.flushes() >= 6, "{} flushes", run.flushes());
    let mut seen = HashSet::new();
    let mut synced = empty_core();
    let mut unsynced: [Vec<Change>; 4] = Default::default();
    for (index, (file, change)) in run.steps.iter().enumerate() {
        for disk in torn(&synced, &unsynced, *file, change) {
            check_once(&run, &mut seen, &disk, index, "the next one torn");
        }
        unsynced[*file].push(change.clone());
        if matches!(change, Change::Sync) {
            let done = std::mem::take(&mut unsynced[*file]);
            done.iter().for_each(|change| apply(&mut synced[*file], change));
        }
        for disk in power_losses(&synced, &unsynced) {
            check_once(&run, &mut seen, &disk, index + 1, "power lost");
        }
    }
    assert!(seen.len() > 500, "only {} disks", seen.len());
}

/// Covers the disks that a loss of power leaves of a core whose appends are made durable later.
/// Blocks that a flush counts are there, and each core that opens is whole.
#[test]
fn appends_made_durable_later_open_after_a_loss_of_power() {
    let world = World::new(empty_core());
    let mut core =
        Core::resume(world.files(), world.oplog(), Durability::Later, FLUSH_BYTES).expect("a core");
    let mut durable = vec![(0, 0)];
    for append in 0..40 {
        core.append(&blocks(core.length().0, [1, 3, 1, 2][append % 4])).expect("appended");
        let before = world.steps().len();
        core.bring_to_disk(append == 25).expect("a disk");
        if append == 25 || world.steps().len() > before + 4 {
            durable.push((world.steps().len(), core.length().0));
        }
    }
    assert!(durable.len() > 5, "{durable:?}");
    let hashes = tree_hashes((core.length() + 2).0);
    let (mut synced, mut unsynced): (Disk, [Vec<Change>; 4]) = (empty_core(), Default::default());
    let mut seen = HashSet::new();
    for (index, (file, change)) in world.steps().iter().enumerate() {
        unsynced[*file].push(change.clone());
        if matches!(change, Change::Sync) {
            let done = std::mem::take(&mut unsynced[*file]);
            done.iter().for_each(|change| apply(&mut synced[*file], change));
        }
        let least = durable.iter().rev().find(|(steps, _)| *steps <= index + 1).expect("the first").1;
        for disk in power_losses(&synced, &unsynced) {
            let mut hasher = DefaultHasher::new();
            (&disk, least).hash(&mut hasher);
            if !seen.insert(hasher.finish()) {
                continue;
            }
            let lost = World::new(disk);
            let oplog = Oplog::parse_beginning(&lost.disk()[OPLOG]).expect("a whole header");
            let mut core =
                Core::resume_derived(lost.files(), oplog, Durability::Later, FLUSH_BYTES).expect("a core");
            let length = core.length();
            assert!(length >= Length(least), "{length} of {least} blocks after {index} steps");
            let found: Vec<Vec<u8>> =
                core.blocks(length.blocks()).collect::<Result<_, _>>().expect("readable");
            assert!(found == blocks(0, length.0));
            core.append(&blocks(length.0, 1)).expect("appended");
            assert_eq!(core.roots().tree_hash(), hashes[length.0 as usize + 1]);
        }
    }
    assert!(seen.len() > 200, "only {} disks", seen.len());
}

#[test]
fn an_append_made_durable_later_waits_for_no_sync() {
    let world = World::new(empty_core());
    let mut core =
        Core::resume(world.files(), world.oplog(), Durability::Later, FLUSH_BYTES).expect("a core");
    let syncs =
        |world: &World| world.steps().iter().filter(|(_, change)| matches!(change, Change::Sync)).count();
    for _ in 0..60 {
        let before = syncs(&world);
        core.append(&["one", "two"]).expect("appended");
        assert_eq!(syncs(&world), before);
        core.bring_to_disk(false).expect("a disk");
    }
    assert!(syncs(&world) > 0, "the oplog was flushed");
}

#[test]
fn without_syncs_the_end_of_the_process_still_loses_nothing() {
    let run = Run::record(Durability::Relaxed);
    assert!(run.steps.iter().all(|(_, change)| !matches!(change, Change::Sync)));
    let mut disk = empty_core();
    for (index, (file, change)) in run.steps.iter().enumerate() {
        for torn in torn(&disk, &Default::default(), *file, change) {
            run.check(&torn, index, "the next one torn");
        }
        apply(&mut disk[*file], change);
        run.check(&disk, index + 1, "the process ended");
    }
}

fn check_once(run: &Run, seen: &mut HashSet<u64>, disk: &Disk, steps: usize, crash: &str) {
    let mut hasher = DefaultHasher::new();
    (disk, run.lengths(steps)).hash(&mut hasher);
    if seen.insert(hasher.finish()) {
        run.check(disk, steps, crash);
    }
}

/// Returns everything written so far, and a part of the next write: its beginning, or all but its beginning.
fn torn(synced: &Disk, unsynced: &[Vec<Change>; 4], file: usize, change: &Change) -> Vec<Disk> {
    let Change::Write { offset, bytes } = change else { return Vec::new() };
    let mut whole = synced.clone();
    for (file, changes) in unsynced.iter().enumerate() {
        changes.iter().for_each(|change| apply(&mut whole[file], change));
    }
    let mut cuts = vec![1, 3, 4, 7, 8, 9, bytes.len() / 2, bytes.len().saturating_sub(1)];
    cuts.retain(|cut| *cut < bytes.len());
    cuts.dedup();
    let part = |offset: u64, bytes: &[u8]| {
        let mut disk = whole.clone();
        apply(&mut disk[file], &Change::Write { offset, bytes: bytes.to_vec() });
        disk
    };
    let beginnings = cuts.iter().map(|cut| part(*offset, &bytes[..*cut]));
    let ends = cuts.iter().map(|cut| part(*offset + *cut as u64, &bytes[*cut..]));
    beginnings.chain(ends).collect()
}

/// Returns the disks that a loss of power may leave: per file all, none, or some of the steps since its last sync.
fn power_losses(synced: &Disk, unsynced: &[Vec<Change>; 4]) -> Vec<Disk> {
    let mut disks = vec![synced.clone()];
    for (file, changes) in unsynced.iter().enumerate().filter(|(_, changes)| !changes.is_empty()) {
        let versions: Vec<Vec<u8>> = survivors(changes)
            .iter()
            .map(|survivors| {
                let mut bytes = synced[file].clone();
                survivors.iter().for_each(|change| apply(&mut bytes, change));
                bytes
            })
            .collect();
        let with_version = |disk: &Disk, version: &Vec<u8>| {
            let mut disk = disk.clone();
            disk[file].clone_from(version);
            disk
        };
        disks =
            disks.iter().flat_map(|disk| versions.iter().map(|bytes| with_version(disk, bytes))).collect();
    }
    disks
}

/// Returns none, all, all in reverse order, all but one, only one.
fn survivors(changes: &[Change]) -> Vec<Vec<&Change>> {
    let mut survivors = vec![vec![], changes.iter().collect(), changes.iter().rev().collect()];
    // A flush writes run after run of nodes; the first and the last stand for all.
    for index in [0, changes.len() - 1] {
        survivors.push(vec![&changes[index]]);
        survivors
            .push(changes.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, c)| c).collect());
    }
    survivors
}

#[test]
fn a_full_disk_fails_the_append_and_poisons_the_core() {
    for space in (0..6000).step_by(41) {
        let world = World::new(empty_core());
        let mut core = world.open(Durability::Sync);
        world.file.space.store(space, Ordering::Relaxed);
        let mut acknowledged = 0;
        let error = loop {
            match core.append(&blocks(core.length().0, 2)) {
                Ok(signed_head) => acknowledged = signed_head.length().0,
                Err(error) => break error,
            }
        };
        assert!(
            matches!(&error, StorageError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
        );
        assert!(matches!(core.append(&["more"]), Err(StorageError::Poisoned { .. })));
        assert_eq!(core.length(), Length(acknowledged));
        assert!(core.block(BlockIndex(acknowledged)).is_err());
        world.file.space.store(u64::MAX, Ordering::Relaxed);
        let mut core = world.open(Durability::Sync);
        assert!([acknowledged, acknowledged + 2].contains(&core.length().0));
        core.append(&blocks(core.length().0, 1)).expect("appended");
        assert_eq!(world.view().length(), core.length());
    }
}

#[test]
fn an_append_is_durable_by_two_syncs() {
    let world = World::new(empty_core());
    let mut core = Core::resume(world.files(), world.oplog(), Durability::Sync, 1 << 20).expect("a core");
    for _ in 0..20 {
        let before = world.steps().len();
        core.append(&["one", "two"]).expect("appended");
        let steps: Vec<(usize, bool)> = world.steps()[before..]
            .iter()
            .map(|(file, change)| (*file, matches!(change, Change::Sync)))
            .collect();
        assert_eq!(steps, [(DATA, false), (DATA, true), (OPLOG, false), (OPLOG, true)]);
    }
}

#[test]
fn a_broken_entry_before_whole_ones_is_damage() {
    let world = World::new(empty_core());
    let mut core = Core::resume(world.files(), world.oplog(), Durability::Sync, 1 << 20).expect("a core");
    let mut ends = vec![];
    for _ in 0..4 {
        core.append(&["block"]).expect("appended");
        ends.push(world.disk()[OPLOG].len());
    }
    let mut oplog = world.disk()[OPLOG].clone();
    oplog[ends[1] + 30] ^= 1;
    assert!(Oplog::parse(&oplog).is_err());
    oplog.truncate(ends[2]);
    assert_eq!(Oplog::parse(&oplog).expect("a torn append").length(), Length(2));
}

#[test]
fn a_lost_newer_header_is_damage() {
    let world = World::new(empty_core());
    let mut core = Core::resume(world.files(), world.oplog(), Durability::Sync, 1).expect("a core");
    core.append(&["block"]).expect("appended");
    let mut oplog = world.disk()[OPLOG].clone();
    assert_eq!((world.oplog().slot, world.oplog().length()), (1, Length(1)));
    oplog[4096 + 20] ^= 1;
    assert!(Oplog::parse(&oplog).is_err());
}
