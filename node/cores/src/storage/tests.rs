//! Whole cores on a real disk: content, damage, and several readers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use hypercore::{HypercoreBuilder, PartialKeypair, SigningKey, Storage};
use libvms_hypercore::blocks::{BlockIndex, Length, each};
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::limits::BLOCK_BYTES_MAX;
use libvms_hypercore::tree::{Node, inclusion};
use tempfile::TempDir;

use super::{BATCH_BLOCKS_MAX, Core, Durability, StorageError};

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn key() -> SecretKey {
    SecretKey::from_seed(&[9; 32])
}

fn create(directory: &Path) -> Core {
    Core::create(directory, key(), Durability::Relaxed).expect("no core yet")
}

fn open(directory: &Path) -> Core {
    Core::open(directory, Durability::Relaxed).expect("a core")
}

fn block(index: u64) -> Vec<u8> {
    format!("block {index}").into_bytes()
}

fn append(core: &mut Core, count: u64) {
    for index in each((core.length() + count).blocks_since(core.length())) {
        core.append(&[block(index.0)]).expect("appended");
    }
}

fn assert_holds(core: &Core, length: u64) {
    assert_eq!(core.length(), Length(length));
    let mut index = 0;
    for found in core.blocks(Length(length).blocks()) {
        assert_eq!(found.expect("readable"), block(index));
        index += 1;
    }
    assert_eq!(index, length);
}

#[test]
fn a_core_returns_the_appended_blocks() {
    let root = temporary();
    let path = root.path().join("deep/core");
    let mut core = Core::create(&path, key(), Durability::Sync).expect("no core yet");
    assert_eq!((core.length(), core.signed_head(), core.key()), (Length(0), None, key().public_key()));
    assert!(matches!(core.append(&[] as &[&[u8]]), Err(StorageError::Empty { .. })));
    let first = core.append(&["a", "", "bcd"]).expect("appended");
    assert_eq!((first.length(), core.byte_length(), core.signed_head()), (Length(3), 4, Some(first)));
    assert_eq!(core.append(&[] as &[&[u8]]).expect("the present head"), first);
    let second = core.append(&[b"e"]).expect("appended");
    assert_eq!(core.roots().tree_hash(), second.tree_hash());
    drop(core);
    let core = Core::open(&path, Durability::Sync).expect("a core");
    assert_eq!((core.length(), core.signed_head()), (Length(4), Some(second)));
    assert_eq!(core.secret_key().expect("stored").seed(), key().seed());
    assert_eq!(core.block(BlockIndex(2)).expect("in range"), b"bcd");
    assert!(matches!(
        core.block(BlockIndex(4)),
        Err(StorageError::OutOfRange { block: BlockIndex(4), length: Length(4), .. })
    ));
    assert!(matches!(core.inclusion(BlockIndex(u64::MAX)), Err(StorageError::OutOfRange { .. })));
    let mut beyond = core.blocks(BlockIndex(3)..BlockIndex(9));
    assert_eq!(beyond.next().expect("a block").expect("in range"), b"e");
    assert!(matches!(beyond.next(), Some(Err(StorageError::OutOfRange { block: BlockIndex(4), .. }))));
    assert!(beyond.next().is_none());
}

#[test]
fn a_core_can_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Core>();
    is_send::<super::TempCore>();
}

#[test]
fn ten_thousand_appends_are_there_after_reopening() {
    let root = temporary();
    let mut core = create(root.path());
    append(&mut core, 10_000);
    assert_holds(&core, 10_000);
    drop(core);
    let mut core = open(root.path());
    assert_holds(&core, 10_000);
    // In an order that no cache of the last offset helps with.
    for index in 0..10_000 {
        let index = index * 7919 % 10_000;
        assert_eq!(core.block(BlockIndex(index)).expect("in range"), block(index));
    }
    append(&mut core, 3);
    assert_holds(&open(root.path()), 10_003);
    assert!(fs::metadata(root.path().join("oplog")).expect("there").len() < 100_000);
}

#[test]
fn more_blocks_than_a_page_of_the_bitfield_reopen() {
    let root = temporary();
    let mut core = create(root.path());
    for _ in 0..2 {
        let blocks: Vec<Vec<u8>> = (core.length().0..core.length().0 + 33_000).map(block).collect();
        core.append(&blocks).expect("appended");
        append(&mut core, 2);
        drop(core);
        core = open(root.path());
    }
    assert_holds(&core, 66_004);
    assert_eq!(core.block(BlockIndex(40_000)).expect("in range"), block(40_000));
    let bits = fs::read(root.path().join("bitfield")).expect("there");
    assert!(bits.len() >= 8192 && bits[..8192].iter().all(|byte| *byte == 0xff));
}

#[test]
fn a_block_has_at_most_eight_mebibytes() {
    let root = temporary();
    let mut core = create(root.path());
    let largest = vec![3; BLOCK_BYTES_MAX];
    core.append(&[largest.as_slice(), b"small"]).expect("appended");
    let error = core.append(&[vec![3; BLOCK_BYTES_MAX + 1]]).expect_err("too large");
    assert!(matches!(error, StorageError::TooLarge { .. }), "{error}");
    let error = core.append(&[[0_u8; 0]; BATCH_BLOCKS_MAX + 1]).expect_err("too many");
    assert!(matches!(error, StorageError::TooLarge { .. }), "{error}");
    core.append(&["after"]).expect("the errors changed nothing");
    let core = open(root.path());
    assert!(core.block(BlockIndex(0)).expect("in range") == largest);
    let rest: Vec<Vec<u8>> =
        core.blocks(BlockIndex(1)..BlockIndex(3)).collect::<Result<_, _>>().expect("in range");
    assert_eq!(rest, [b"small", b"after"]);
}

#[test]
fn every_block_has_the_proof_that_the_protocol_makes() {
    let root = temporary();
    let mut core = create(root.path());
    let mut leaves = Vec::new();
    for length in 0..70 {
        leaves.push(Node::leaf(BlockIndex(length), &block(length)));
        append(&mut core, 1);
        for index in [0, length / 2, length] {
            let proof = core.inclusion(BlockIndex(index)).expect("in range");
            assert_eq!(Some(&proof), inclusion::prove(&leaves, BlockIndex(index)).as_ref());
            proof.verify(&block(index)).expect("holds");
        }
    }
}

#[test]
fn an_empty_directory_is_no_core_and_garbage_is_damage() {
    let root = temporary();
    let path = root.path();
    assert!(matches!(Core::open(&path.join("missing"), Durability::Sync), Err(StorageError::NoCore { .. })));
    assert!(matches!(Core::open(path, Durability::Sync), Err(StorageError::NoCore { .. })));
    assert!(matches!(Core::open_read_only(path), Err(StorageError::NoCore { .. })));
    for name in ["oplog", "data", "tree"] {
        let foreign = temporary();
        fs::write(foreign.path().join(name), "This is not the file that it should be.").expect("written");
        let error = Core::open(foreign.path(), Durability::Sync).expect_err("foreign");
        assert!(matches!(error, StorageError::Damaged { .. }), "{name}: {error}");
        let error = Core::create(foreign.path(), key(), Durability::Sync).expect_err("foreign");
        assert!(matches!(error, StorageError::Damaged { .. }), "{name}: {error}");
    }
    drop(create(path));
    let error = Core::create(path, key(), Durability::Sync).expect_err("there is one");
    assert!(matches!(error, StorageError::Exists { .. }), "{error}");
}

#[test]
fn a_creation_cut_short_is_no_core_and_can_be_repeated() {
    let whole = temporary();
    drop(create(whole.path()));
    let oplog = fs::read(whole.path().join("oplog")).expect("there");
    for length in [0, 1, 5, 8, 9, 10, 100, 200] {
        for padding in [0, 4096, 8192] {
            let root = temporary();
            let mut torn = oplog[..length].to_vec();
            torn.resize(length.max(padding), 0);
            fs::write(root.path().join("oplog"), &torn).expect("written");
            assert!(matches!(Core::open_read_only(root.path()), Err(StorageError::NoCore { .. })));
            append(&mut create(root.path()), 1);
            assert_holds(&open(root.path()), 1);
        }
    }
}

#[test]
fn changed_files_are_found_out() {
    let root = temporary();
    // Enough for a flush, so that the tree is read from its file.
    append(&mut create(root.path()), 500);
    for (name, offset) in [("data", 0), ("tree", 3), ("tree", 20)] {
        let path = root.path().join(name);
        let intact = fs::read(&path).expect("there");
        let mut changed = intact.clone();
        changed[offset] ^= 0x41;
        fs::write(&path, &changed).expect("written");
        assert!(
            matches!(open(root.path()).block(BlockIndex(0)), Err(StorageError::Damaged { .. })),
            "{name}"
        );
        let first = open(root.path()).blocks(BlockIndex(0)..BlockIndex(1)).next().expect("a block");
        assert!(matches!(first, Err(StorageError::Damaged { .. })), "{name}");
        fs::write(&path, &intact[..intact.len() / 2]).expect("written");
        assert!(
            matches!(Core::open(root.path(), Durability::Sync), Err(StorageError::Damaged { .. })),
            "{name}"
        );
        fs::write(&path, &intact).expect("written");
    }
    fs::remove_file(root.path().join("tree")).expect("there");
    assert!(matches!(Core::open_read_only(root.path()), Err(StorageError::Damaged { .. })));
}

#[test]
fn errors_name_the_path() {
    let root = temporary();
    let path = root.path().join("log");
    let shown = Core::open(&path, Durability::Sync).expect_err("nothing there").to_string();
    assert_eq!(shown, format!("there is no core at `{}`", path.display()));
    fs::write(&path, "a file").expect("written");
    let error = Core::create(&path, key(), Durability::Sync).expect_err("a file in the way");
    assert!(matches!(error, StorageError::Io { .. }));
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

#[test]
fn reading_needs_no_permission_to_write_and_changes_nothing() {
    let root = temporary();
    let path = root.path().join("core");
    append(&mut create(&path), 450);
    let oplog = path.join("oplog");
    let mut torn = fs::read(&oplog).expect("there");
    torn.extend_from_slice(b"an append cut short");
    fs::write(&oplog, &torn).expect("written");
    set_modes(&path, 0o444, 0o555);
    let before = contents(&path);
    let mut core = Core::open_read_only(&path).expect("a core");
    assert_holds(&core, 450);
    core.inclusion(BlockIndex(7)).expect("in range").verify(&block(7)).expect("holds");
    assert!(matches!(core.append(&["x"]), Err(StorageError::ReadOnly { .. })));
    drop(core);
    assert!(contents(&path) == before);
    set_modes(&path, 0o644, 0o755);
    assert_holds(&open(&path), 450);
}

fn set_modes(directory: &Path, files: u32, itself: u32) {
    for file in fs::read_dir(directory).expect("there") {
        let path = file.expect("there").path();
        fs::set_permissions(path, fs::Permissions::from_mode(files)).expect("ours");
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(itself)).expect("ours");
}

fn contents(directory: &Path) -> Vec<(String, SystemTime, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("there")
        .map(|file| {
            let file = file.expect("there");
            let modified = file.metadata().and_then(|data| data.modified()).expect("known");
            (file.file_name().display().to_string(), modified, fs::read(file.path()).expect("readable"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_oplog_with_the_secret_key_is_for_its_owner_alone() {
    let root = temporary();
    drop(create(root.path()));
    let mode = fs::metadata(root.path().join("oplog")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn readers_see_every_acknowledged_block_while_another_appends() {
    let root = temporary();
    let mut core = create(root.path());
    let (acknowledged, is_done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..6000 {
                append(&mut core, 1);
                acknowledged.store(core.length().0, Ordering::SeqCst);
            }
            is_done.store(true, Ordering::SeqCst);
        });
        let mut views = 0;
        while !is_done.load(Ordering::SeqCst) || views < 5 {
            let before = acknowledged.load(Ordering::SeqCst);
            let view = Core::open_read_only(root.path()).expect("a core at any moment");
            assert!(view.length() >= Length(before), "{} of {before}", view.length());
            let latest = view.length().blocks_since(view.length().saturating_sub(50));
            for (found, index) in view.blocks(latest.clone()).zip(each(latest)) {
                assert_eq!(found.expect("readable"), block(index.0));
            }
            if let Some(first) = (view.length() > Length(0)).then(|| view.block(BlockIndex(0))) {
                assert_eq!(first.expect("readable"), block(0));
            }
            views += 1;
        }
    });
    assert_holds(&Core::open_read_only(root.path()).expect("a core"), 6000);
}

#[test]
fn the_library_reads_our_files_and_we_read_its() {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("a runtime");
    let root = temporary();
    let ours = root.path().join("ours");
    append(&mut create(&ours), 700);
    runtime.block_on(async {
        let storage = Storage::new_disk(&ours, false).await.expect("opened");
        let core = HypercoreBuilder::new(storage).open(true).build().await.expect("a core");
        assert_eq!(core.info().length, 700);
        for index in [0, 1, 400, 699] {
            assert_eq!(core.get(index).await.expect("readable"), Some(block(index)));
        }
    });
    let its = root.path().join("its");
    fs::create_dir(&its).expect("made");
    runtime.block_on(async {
        let storage = Storage::new_disk(&its, true).await.expect("opened");
        let secret = SigningKey::from_bytes(&key().seed());
        let key_pair = PartialKeypair { public: secret.verifying_key(), secret: Some(secret) };
        let core = HypercoreBuilder::new(storage).key_pair(key_pair).build().await.expect("a core");
        for index in 0..23 {
            core.append(&block(index)).await.expect("appended");
        }
    });
    let mut core = open(&its);
    assert_holds(&core, 23);
    append(&mut core, 500);
    assert_holds(&open(&its), 523);
}
