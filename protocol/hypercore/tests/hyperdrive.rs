//! Every file of `fixtures/hyperdrive`, written and read, and `fixtures/json.json`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use libvms_hypercore::bee::{Blocks, Cache, Header, NoBlock, NodeBlock};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::drive::{
    Batch, Drive, DriveError, DriveLength, FileEntry, Folder, Found, Metadata, Options, Path, Writer,
    Written, content,
};
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::manifest::{Manifest, blobs_key, signable};
use libvms_hypercore::tree::Roots;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::golden::{check_heads, read_all};
use crate::vector::{array, fixtures, hex, items, number, read};
use crate::xorshift::Xorshift32;

/// JSON that keeps the order of members, which matters for entries.
type Raw = Box<RawValue>;
type Core = Vec<Vec<u8>>;
type Done = Result<(), DriveError<NoBlock>>;

/// The two cores of a drive as they grow.
#[derive(Default)]
struct Cores {
    files: Core,
    blobs: Core,
}

impl Cores {
    fn length(&self) -> DriveLength {
        DriveLength {
            files: Length(self.files.len() as u64),
            blobs: Length(self.blobs.len() as u64),
            blob_bytes: self.blobs.iter().map(|block| block.len() as u64).sum(),
        }
    }

    fn append(&mut self, written: Written) {
        self.blobs.extend(written.blobs);
        self.files.extend(written.files);
    }

    fn of(vector: &Value) -> Self {
        let blob = |block: &Value| match block.get("hex") {
            Some(_) => hex(&block["hex"]),
            None => vec![],
        };
        Self {
            files: items(&vector["dbBlocks"]).iter().map(hex).collect(),
            blobs: items(&vector["blobBlocks"]).iter().map(blob).collect(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Given {
    executable: bool,
    metadata: Option<Raw>,
}

#[derive(Deserialize)]
struct Listed {
    key: String,
    seq: BlockIndex,
    value: Raw,
    content: Option<Value>,
}

/// Reads a member of a golden file, with its JSON text unchanged.
fn raw<T: for<'de> Deserialize<'de>>(name: &str, member: &str) -> T {
    let text = std::fs::read_to_string(fixtures().join("hyperdrive").join(name)).expect("a fixture");
    let members: BTreeMap<String, Raw> = serde_json::from_str(&text).expect("JSON");
    parsed(&members[member])
}

fn parsed<T: for<'de> Deserialize<'de>>(raw: &RawValue) -> T {
    serde_json::from_str(raw.get()).expect("what stands in golden files")
}

fn path(name: &str) -> Path {
    Path::new(name).expect("a path")
}

fn folder(name: &str) -> Folder {
    Folder::new(name).expect("a folder")
}

/// Returns the content that an operation of a golden file describes.
fn described(content: &Value) -> Vec<u8> {
    if let Some(text) = content["utf8"].as_str() {
        return text.into();
    }
    let Some(length) = content["len"].as_u64() else { return hex(&content["hex"]) };
    match content["fill"].as_u64() {
        Some(byte) => vec![byte as u8; length as usize],
        None => {
            let mut xorshift = Xorshift32(number(&content["rng"]) as u32);
            (0..length).map(|_| xorshift.draw() as u8).collect()
        }
    }
}

fn apply(batch: &mut Batch<'_, Core>, operation: &[Raw]) {
    let path = path(&parsed::<String>(&operation[1]));
    let done = match parsed::<String>(&operation[0]).as_str() {
        "put" => {
            let given: Given = operation.get(3).map(|raw| parsed(raw)).unwrap_or_default();
            let metadata = given.metadata.and_then(|raw| Metadata::from_json(raw.get()).expect("metadata"));
            let options = Options { executable: given.executable, metadata };
            batch.put(&path, &described(&parsed(&operation[2])), options)
        }
        "putEntry" => {
            let entry = FileEntry::decode(operation[2].get().as_bytes()).expect("an entry");
            batch.put_entry(&path, &entry)
        }
        "symlink" => batch.symlink(&path, &parsed::<String>(&operation[2])),
        "del" => batch.delete(&path),
        other => panic!("no operation {other}"),
    };
    done.expect("our own blocks");
}

/// Returns the cores after the operations of a golden file.
fn write(name: &str, header: &Header) -> Cores {
    let cache = Cache::new(64);
    let writer = Writer::new(&cache, header);
    let mut cores = Cores { files: vec![header.encode()], blobs: vec![] };
    for operation in raw::<Vec<Vec<Raw>>>(name, "ops") {
        let is_batch = parsed::<String>(&operation[0]) == "batch";
        let operations = if is_batch { parsed(&operation[1]) } else { vec![operation] };
        let mut batch = writer.batch(&cores.files, cores.length()).expect("our own blocks");
        operations.iter().for_each(|operation| apply(&mut batch, operation));
        let written = batch.finish();
        cores.append(written);
    }
    cores
}

/// Checks bytes against a golden file, which has them in full, or their length and hash.
fn check_bytes(bytes: &[u8], expected: &Value, what: &str) {
    assert_eq!(bytes.len() as u64, number(&expected["len"]), "{what}");
    match expected.get("hex") {
        Some(expected) => assert_eq!(bytes, hex(expected), "{what}"),
        None => assert_eq!(blake2b(&[bytes]).to_vec(), hex(&expected["blake2b"]), "{what}"),
    }
}

#[test]
fn operations_give_the_blocks_and_heads_of_the_reference() {
    let vectors = read_all("hyperdrive");
    assert_eq!(vectors.len(), 6);
    for (name, vector) in vectors {
        let header = Header::decode(&hex(&vector["dbHeader"])).expect("a header");
        if name == "streams-and-dedup.json" {
            continue; // We write no streams.
        }
        let cores = write(&name, &header);
        assert_eq!(cores.files, Cores::of(&vector).files, "{name}");
        let blobs = items(&vector["blobBlocks"]);
        assert_eq!(cores.blobs.len(), blobs.len(), "{name}");
        for (block, expected) in cores.blobs.iter().zip(blobs) {
            check_bytes(block, expected, &name);
        }
        if name != "manifest-v1.json" {
            assert_eq!(header, Header::for_drive(&array(&vector["blobs"]["publicKey"])));
            check_heads(&name, &vector["db"]["seed"], &cores.files, &vector["dbHeads"]);
            check_heads(&name, &vector["blobs"]["seed"], &cores.blobs, &vector["blobHeads"]);
        }
    }
}

#[test]
fn single_operations_and_batches_of_one_write_the_same() {
    let (cache, header) = (Cache::default(), Header::for_drive(&[1; 32]));
    let (writer, cores) = (Writer::new(&cache, &header), Cores::default());
    let length = cores.length();
    let in_batch = |operate: &dyn Fn(&mut Batch<'_, Core>) -> Done| {
        let mut batch = writer.batch(&cores.files, length).expect("an empty drive");
        operate(&mut batch).map(|()| batch.finish())
    };
    let a = path("/a");
    let options = Options { executable: true, metadata: None };
    assert_eq!(
        writer.put(&cores.files, length, &a, b"x", options.clone()),
        in_batch(&|batch| batch.put(&a, b"x", options.clone()))
    );
    assert_eq!(
        writer.symlink(&cores.files, length, &a, "b"),
        in_batch(&|batch| batch.put_entry(&a, &FileEntry::link("b")))
    );
    let deleted = Written { files: vec![header.encode()], blobs: vec![] };
    assert_eq!(writer.delete(&cores.files, length, &a), Ok(deleted));
}

#[test]
fn the_drives_of_the_reference_are_read_as_it_reads_them() {
    for (name, vector) in read_all("hyperdrive") {
        let cores = match name.as_str() {
            // The large blocks of this one are in the file as hashes only.
            "big.json" => write(&name, &Header::decode(&hex(&vector["dbHeader"])).expect("a header")),
            _ => Cores::of(&vector),
        };
        let cache = Cache::new(64);
        let version = |version| Drive::new(&cores.files, &cache, version);
        let latest = version(Length(cores.files.len() as u64));
        assert_eq!(latest.version(), Length(number(&vector["reads_version"])), "{name}");
        check_list(&name, &latest, &cores.blobs);
        check_folders(&name, &latest, &vector["reads_readdir"]);
        for checkout in items(&vector["reads_checkouts"]) {
            let found: Vec<Value> = list(&version(Length(number(&checkout[0]))), "/")
                .iter()
                .map(|(path, found)| pair(path, found))
                .collect();
            assert_eq!(Value::Array(found), checkout[1], "{name}, version {}", checkout[0]);
        }
        for diff in items(&vector["reads_diffs"]) {
            let within = folder(diff[1].as_str().expect("a folder"));
            let found = latest.diff(Length(number(&diff[0])), &within).expect("a good drive");
            let block = |found: &Option<Found>| found.as_ref().map(|found| found.block);
            let found: Vec<_> = found
                .iter()
                .map(|diff| (diff.path.as_str(), block(&diff.newer), block(&diff.older)))
                .collect();
            assert_eq!(serde_json::json!(found), diff[2], "{name}, since {} in {}", diff[0], diff[1]);
        }
        for follow in vector["reads_follow"].as_array().into_iter().flatten() {
            let found = match latest.follow(&path(follow[0].as_str().expect("a path"))) {
                Ok(found) => found.map(|(path, _)| path.to_string()),
                Err(DriveError::RecursiveLink { .. }) => Some("error: Recursive symlink".into()),
                Err(error) => panic!("{name}: {error}"),
            };
            assert_eq!(serde_json::json!(found), follow[1], "{name}, {}", follow[0]);
        }
    }
}

fn list(drive: &Drive<'_, Core>, name: &str) -> Vec<(Path, Found)> {
    drive.list(&folder(name), true).collect::<Result<_, _>>().expect("a good drive")
}

fn pair(path: &Path, found: &Found) -> Value {
    serde_json::json!([path.as_str(), found.block])
}

/// Checks entries both ways, and contents.
fn check_list(name: &str, drive: &Drive<'_, Core>, blobs: &Core) {
    let expected: Vec<Listed> = raw(name, "reads_list");
    let found = list(drive, "/");
    assert_eq!(found.len(), expected.len(), "{name}");
    for ((path, found), listed) in found.iter().zip(expected) {
        let what = format!("{name}, {path}");
        assert_eq!((path.as_str(), found.block), (listed.key.as_str(), listed.seq), "{what}");
        let entry = FileEntry::decode(listed.value.get().as_bytes()).expect("an entry");
        assert_eq!(found.entry, entry, "{what}");
        assert_eq!(String::from_utf8(entry.encode()).as_deref(), Ok(listed.value.get()), "{what}");
        assert_eq!(drive.entry(path).expect("a good drive").as_ref(), Some(found), "{what}");
        assert_eq!(found.entry.blob.is_some(), listed.content.is_some(), "{what}");
        if let (Some(blob), Some(expected)) = (&found.entry.blob, listed.content) {
            let bytes_max = number(&expected["len"]);
            check_bytes(&content(blobs, blob, bytes_max).expect("a content"), &expected, &what);
            if let Some(less) = bytes_max.checked_sub(1) {
                assert!(matches!(content(blobs, blob, less), Err(DriveError::TooLarge { .. })), "{what}");
            }
        }
    }
}

fn check_folders(name: &str, drive: &Drive<'_, Core>, expected: &Value) {
    for expected in items(expected) {
        let within = expected[0].as_str().expect("a folder");
        let names: Result<Vec<_>, _> = drive.readdir(&folder(within)).collect();
        assert_eq!(serde_json::json!(names.expect("a good drive")), expected[1], "{name}, {within}");
        let listed = list(drive, within);
        let paths: Vec<_> = listed.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(serde_json::json!(paths), expected[2], "{name}, {within}");
        check_folder(drive, &folder(within), &paths.iter().copied().map(path).collect::<Vec<_>>());
    }
}

/// Checks a folder against a plain filter of all paths.
fn check_folder(drive: &Drive<'_, Core>, within: &Folder, all: &[Path]) {
    let inside: Vec<&Path> = all.iter().filter(|path| within.contains(path)).collect();
    let below = |path: &Path| path.as_str()[within.as_str().len() + 1..].to_owned();
    let names: BTreeSet<String> =
        inside.iter().filter_map(|path| below(path).split('/').next().map(str::to_owned)).collect();
    let children: Vec<String> = drive.children(within).collect::<Result<_, _>>().expect("a good drive");
    let names: Vec<String> = names.into_iter().collect();
    assert_eq!(children, names, "children of {within}");
    for (at, after) in names.iter().enumerate() {
        let rest: Result<Vec<_>, _> = drive.children_after(within, after).collect();
        assert_eq!(rest.expect("a good drive"), names[at + 1..], "children of {within} after {after}");
    }
    let direct = drive.list(within, false).map(|item| item.map(|(path, _)| path));
    let direct: Vec<Path> = direct.collect::<Result<_, _>>().expect("a good drive");
    let expected: Vec<Path> =
        inside.iter().filter(|path| path.parent() == *within).copied().cloned().collect();
    assert_eq!(direct, expected, "files of {within}");
    assert_eq!(drive.has_below(within), Ok(!inside.is_empty()), "{within}");
}

#[test]
fn the_history_is_what_the_versions_say() {
    for name in ["basic.json", "many-300.json"] {
        let cores = Cores::of(&read(&format!("hyperdrive/{name}")));
        let cache = Cache::default();
        let latest = Drive::new(&cores.files, &cache, Length(cores.files.len() as u64));
        let mut replayed = BTreeMap::new();
        let mut expected_block = 1;
        for change in latest.history(BlockIndex(0)) {
            let change = change.expect("a good drive");
            assert_eq!(change.block, BlockIndex(expected_block));
            expected_block += 1;
            match change.is_delete {
                true => replayed.remove(&change.path),
                false => replayed.insert(change.path, change.block),
            };
            let listed = list(&Drive::new(&cores.files, &cache, Length(expected_block)), "/");
            let listed: BTreeMap<Path, BlockIndex> =
                listed.into_iter().map(|(path, found)| (path, found.block)).collect();
            assert_eq!(listed, replayed, "{name}, version {expected_block}");
        }
        assert_eq!(Length(expected_block), latest.version());
        assert_eq!(latest.history(BlockIndex(expected_block - 1)).count(), 1);
        assert_eq!(latest.history(BlockIndex(expected_block)).count(), 0);
    }
}

#[test]
fn a_drive_with_manifests_names_its_blobs_and_verifies() {
    let vector = read("hyperdrive/manifest-v1.json");
    let files = Manifest::decode(&hex(&vector["db"]["manifestBytes"])).expect("a manifest");
    let blobs = files.for_blobs();
    assert_eq!(blobs, Manifest::decode(&hex(&vector["blobs"]["manifestBytes"])).expect("a manifest"));
    let header = Header::decode(&hex(&vector["dbHeader"])).expect("a header");
    assert_eq!(blobs_key(&header, Some(&files)), Ok(blobs.key()));
    let cores = Cores::of(&vector);
    for (side, heads, manifest, core) in
        [("db", "dbHeads", &files, &cores.files), ("blobs", "blobHeads", &blobs, &cores.blobs)]
    {
        assert_eq!(manifest.key().0.to_vec(), hex(&vector[side]["key"]));
        assert_eq!(manifest.encode(), hex(&vector[side]["manifestBytes"]));
        let mut roots = Roots::default();
        for (block, head) in core.iter().zip(items(&vector[heads])) {
            roots.append(block);
            let (length, hash, signature) = (roots.length(), roots.tree_hash(), hex(&head["signature"]));
            assert_eq!(length, Length(number(&head["length"])));
            assert_eq!(signable(&manifest.key(), length, 0, &hash).to_vec(), hex(&head["signable"]));
            assert!(manifest.verifies(length, 0, &hash, &signature));
            assert!(!manifest.verifies(length, 1, &hash, &signature));
            assert!(!manifest.verifies(length + 1, 0, &hash, &signature));
        }
    }
}

#[test]
fn entries_are_the_json_text_of_the_reference() {
    for value in items(&read("json.json")["values"]) {
        let (bytes, text) = (hex(&value["hex"]), value["text"].as_str().expect("text"));
        assert_eq!(bytes, text.as_bytes());
        let entry = FileEntry::decode(&bytes).expect("an entry");
        if entry.linkname.as_deref() == Some("\u{fffd}") {
            // A lone surrogate, which our text cannot hold: it is read as JavaScript reads it in a path.
            assert!(text.contains(r#""linkname":"\ud800""#));
            continue;
        }
        assert_eq!(entry.encode(), bytes, "{text}");
        let metadata = entry.metadata.as_ref().map(Metadata::as_json);
        assert_eq!(
            metadata.map(|json| Metadata::from_json(json).expect("JSON")),
            metadata.map(|_| entry.metadata.clone())
        );
    }
}

/// Creates a drive of these files, each with its own path as content.
fn drive_of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Cores {
    let (cache, header) = (Cache::default(), Header::for_drive(&[0; 32]));
    let mut cores = Cores::default();
    for path in paths {
        let content = path.as_str().as_bytes();
        let written =
            Writer::new(&cache, &header).put(&cores.files, cores.length(), path, content, Options::default());
        cores.append(written.expect("our own blocks"));
    }
    cores
}

#[test]
fn links_are_followed_up_to_a_bound() {
    let (cache, header) = (Cache::default(), Header::for_drive(&[0; 32]));
    let end = path("/0");
    let mut cores = drive_of([&end]);
    for link in 1..=16 {
        let target = format!("/{}", link - 1);
        let path = path(&format!("/{link}"));
        let written = Writer::new(&cache, &header).symlink(&cores.files, cores.length(), &path, &target);
        cores.append(written.expect("our own blocks"));
    }
    for (link, target) in [("/empty", ""), ("/out", "../.."), ("/root", "/"), ("/nowhere", "x")] {
        let written = Writer::new(&cache, &header).symlink(&cores.files, cores.length(), &path(link), target);
        cores.append(written.expect("our own blocks"));
    }
    let drive = Drive::new(&cores.files, &cache, Length(cores.files.len() as u64));
    let follow = |name| drive.follow(&path(name)).map(|found| found.map(|(path, _)| path));
    assert_eq!(follow("/0"), Ok(Some(end.clone())));
    assert_eq!(follow("/15"), Ok(Some(end)));
    assert_eq!(follow("/16"), Err(DriveError::RecursiveLink { link: path("/16") }));
    assert_eq!(follow("/empty"), Ok(Some(path("/empty"))));
    assert_eq!(follow("/nowhere"), Ok(None));
    assert!(matches!(follow("/out"), Err(DriveError::WrongLink { .. })));
    assert!(matches!(follow("/root"), Err(DriveError::WrongLink { .. })));
}

/// A core that remembers which blocks were asked for.
struct Counted<'a> {
    blocks: &'a Core,
    asked: RefCell<BTreeSet<BlockIndex>>,
}

impl Blocks for Counted<'_> {
    type Error = NoBlock;

    fn block(&self, index: BlockIndex) -> Result<Cow<'_, [u8]>, NoBlock> {
        self.asked.borrow_mut().insert(index);
        self.blocks.block(index)
    }
}

#[test]
fn entries_of_a_subfolder_are_skipped_not_read() {
    let below = (0..3000).map(|file| path(&format!("/a/{file:04}/x")));
    let paths: Vec<Path> =
        [path("/0"), path("/a"), path("/a-")].into_iter().chain(below).chain([path("/b")]).collect();
    let cores = drive_of(&paths);
    let counted = Counted { blocks: &cores.files, asked: RefCell::default() };
    let cache = Cache::default();
    let drive = Drive::new(&counted, &cache, Length(cores.files.len() as u64));
    let names: Result<Vec<_>, _> = drive.children(&Folder::ROOT).collect();
    assert_eq!(names.expect("a good drive"), ["0", "a", "a-", "b"]);
    assert_eq!(drive.list(&Folder::ROOT, false).count(), 4);
    assert_eq!(drive.readdir(&Folder::ROOT).count(), 5);
    assert_eq!(drive.has_below(&folder("/a")), Ok(true));
    assert!(counted.asked.borrow().len() < 100, "{}", counted.asked.borrow().len());
}

/// Reads everything that can be read, whatever the blocks hold. Returns how many files were listed.
fn read_everything(cores: &Cores) -> usize {
    let cache = Cache::new(64);
    let version = cores.files.len() as u64;
    let drive = Drive::new(&cores.files, &cache, Length(version));
    let mut listed = 0;
    for found in drive.list(&Folder::ROOT, true) {
        listed += 1;
        if let Ok((path, found)) = found {
            let _ = drive.follow(&path);
            if let Some(blob) = found.entry.blob {
                let bytes = content(&cores.blobs, &blob, 100_000).unwrap_or_default();
                assert!(bytes.len() <= 100_000);
            }
        }
    }
    for name in ["/", "/dir", "/nope"] {
        let within = folder(name);
        listed = listed.max(drive.children(&within).count());
        listed = listed.max(drive.list(&within, false).count());
        listed = listed.max(drive.readdir(&within).count());
        let _ = drive.has_below(&within);
        let _ = drive.diff(Length(version / 2), &within);
    }
    let _ = drive.history(BlockIndex(0)).count();
    let header = Header::for_drive(&[0; 32]);
    let writer = Writer::new(&cache, &header);
    let _ = writer.put(&cores.files, cores.length(), &path("/dir/a.txt"), b"x", Options::default());
    let _ = writer.delete(&cores.files, cores.length(), &path("/link"));
    listed
}

#[test]
fn keys_and_values_that_are_no_entries_are_errors() {
    let mut cores = drive_of([&path("/a"), &path("/b")]);
    let mut change = |changed: &dyn Fn(&mut NodeBlock)| {
        let last = cores.files.last_mut().expect("blocks");
        let before = last.clone();
        let mut node = NodeBlock::decode(last).expect("a node");
        changed(&mut node);
        *last = node.encode();
        let cache = Cache::default();
        let found: Result<Vec<_>, _> =
            Drive::new(&cores.files, &cache, Length(3)).list(&Folder::ROOT, true).collect();
        *cores.files.last_mut().expect("blocks") = before;
        found.map(|found| found.len())
    };
    assert_eq!(change(&|_| ()), Ok(2));
    assert_eq!(change(&|node| node.key = b"filet".to_vec()), Ok(1));
    assert_eq!(
        change(&|node| node.key = b"files\0/b/".to_vec()),
        Err(DriveError::MalformedKey { block: BlockIndex(2) })
    );
    for value in [None, Some(vec![]), Some(b"null".to_vec())] {
        let found = change(&|node| node.value.clone_from(&value));
        assert!(matches!(found, Err(DriveError::MalformedEntry { block: BlockIndex(2), .. })), "{value:?}");
    }
}

fn any_path() -> impl Strategy<Value = Path> {
    // Bytes around `/`, so that folders and files of like names come in every order.
    "(/[-!.0a]{1,3}){1,4}".prop_filter_map("no path", |name| Path::new(&name).ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn folders_agree_with_a_plain_filter_of_all_paths(paths in prop::collection::btree_set(any_path(), 0..40)) {
        let cores = drive_of(&paths);
        let cache = Cache::default();
        let drive = Drive::new(&cores.files, &cache, Length(cores.files.len() as u64));
        let all: Vec<Path> = paths.into_iter().collect();
        let listed: Vec<Path> = list(&drive, "/").into_iter().map(|(path, _)| path).collect();
        prop_assert_eq!(&listed, &all);
        let mut folders: BTreeSet<Folder> = all.iter().flat_map(|path| [path.parent(), path.folder()]).collect();
        folders.insert(Folder::ROOT);
        for within in folders {
            check_folder(&drive, &within, &all);
        }
    }

    #[test]
    fn changed_blocks_are_read_to_an_end(
        name in prop::sample::select(&["basic", "batch", "streams-and-dedup"][..]),
        changes in prop::collection::vec((0..4_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut cores = Cores::of(&read(&format!("hyperdrive/{name}.json")));
        for (which, block, position, byte) in changes {
            let core = if which == 0 { &mut cores.blobs } else { &mut cores.files };
            let block = block.get_mut(core);
            if !block.is_empty() {
                let position = position.index(block.len());
                block[position] = byte;
            }
        }
        // Keys must ascend, so that no walk yields more than there are blocks, and one error.
        prop_assert!(read_everything(&cores) <= cores.files.len() + 1);
    }

    #[test]
    fn any_bytes_decode_or_do_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = FileEntry::decode(&bytes);
        if let Ok(manifest) = Manifest::decode(&bytes) {
            let _ = manifest.verifies(Length(1), 0, &Roots::default().tree_hash(), &bytes);
        }
    }

    #[test]
    fn written_files_are_read_back(path in any_path(), bytes in prop::collection::vec(any::<u8>(), 0..100), linkname in any::<String>()) {
        let (cache, header) = (Cache::default(), Header::for_drive(&[0; 32]));
        let writer = Writer::new(&cache, &header);
        let mut cores = Cores::default();
        cores.append(writer.put(&cores.files, cores.length(), &path, &bytes, Options::default()).expect("our own blocks"));
        cores.append(writer.symlink(&cores.files, cores.length(), &path, &linkname).expect("our own blocks"));
        let file = Drive::new(&cores.files, &cache, Length(2)).entry(&path).expect("our own blocks").expect("a file");
        prop_assert_eq!(content(&cores.blobs, &file.entry.blob.expect("a content"), 100), Ok(bytes));
        let link = Drive::new(&cores.files, &cache, Length(3)).entry(&path).expect("our own blocks").expect("a link");
        prop_assert_eq!(link.entry, FileEntry::link(&linkname));
    }
}
