//! Every file of `fixtures/hyperbee`, written and read.

use libvms_hypercore::bee::{Batch, Cache, Header, Item, NodeBlock, Reader};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::hash::blake2b;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::golden::{check_heads, read_all};
use crate::vector::{hex, items, number, read};
use crate::xorshift::Xorshift32;

/// Applies one call of `flush`: a put, a delete, or several of them.
fn apply(core: &mut Vec<Vec<u8>>, cache: &Cache, operation: &Value) {
    let own = std::slice::from_ref(operation);
    let operations = if operation[0] == "batch" { items(&operation[1]) } else { own };
    if operations.is_empty() {
        return;
    }
    let mut batch =
        Batch::new(core, cache, Length(core.len() as u64), &Header::plain()).expect("our own blocks");
    for operation in operations {
        match operation[0].as_str() {
            Some("put") => batch.put(&hex(&operation[1]), hex(&operation[2])),
            _ => batch.delete(&hex(&operation[1])),
        }
        .expect("our own blocks");
    }
    let appended = batch.finish();
    core.extend(appended);
}

fn write(operations: &[Value]) -> Vec<Vec<u8>> {
    let cache = Cache::new(64);
    let mut core = vec![];
    operations.iter().for_each(|operation| apply(&mut core, &cache, operation));
    core
}

fn items_of(reader: &Reader<'_, Vec<Vec<u8>>>) -> Vec<Item> {
    reader.range(b"", None).and_then(Iterator::collect).expect("a good map")
}

#[test]
fn operations_give_the_blocks_and_heads_of_the_reference() {
    let vectors = read_all("hyperbee");
    assert_eq!(vectors.len(), 26);
    for (name, vector) in vectors {
        let operations = match vector.get("ops") {
            Some(operations) => items(operations).to_vec(),
            None => generated(20_000),
        };
        let core = write(&operations);
        assert_eq!(core.len() as u64, number(&vector["length"]), "{name}");
        for (index, (ours, theirs)) in
            core.iter().zip(vector["blocks"].as_array().into_iter().flatten()).enumerate()
        {
            assert_eq!(*ours, hex(theirs), "{name}, block {index}");
            if index > 0 {
                assert_eq!(NodeBlock::decode(ours).expect("a node").encode(), *ours, "{name}, block {index}");
            }
        }
        check_heads(&name, &vector["seed"], &core, &vector["heads"]);
    }
}

/// Generates the operations of `mixed-20000-hash`: see `fixtures/README.md`.
fn generated(count: usize) -> Vec<Value> {
    let encode = |text: String| data_encoding::HEXLOWER.encode(text.as_bytes());
    let mut xorshift = Xorshift32(71);
    (0..count)
        .map(|index| {
            let key = encode(format!("k{:04}", xorshift.draw() % 5000));
            if xorshift.draw() % 10 < 3 {
                json!(["del", key])
            } else {
                json!(["put", key, encode(format!("v{index}"))])
            }
        })
        .collect()
}

#[test]
fn the_blocks_of_the_reference_are_read_as_it_reads_them() {
    for (name, vector) in read_all("hyperbee") {
        let Some(blocks) = vector.get("blocks") else { continue };
        let core: Vec<Vec<u8>> = items(blocks).iter().map(hex).collect();
        let cache = Cache::new(64);
        let version = |version| Reader::new(&core, &cache, version);
        let latest = version(Length(core.len() as u64));
        let expected: Vec<Item> = items(&vector["final"])
            .iter()
            .map(|item| Item {
                key: hex(&item[0]),
                value: Some(hex(&item[1])),
                block: BlockIndex(number(&item[2])),
            })
            .collect();
        assert_eq!(items_of(&latest), expected, "{name}");
        for item in &expected {
            assert_eq!(latest.get(&item.key).expect("a good map").as_ref(), Some(item), "{name}");
        }
        assert_eq!(latest.get(b"not there").expect("a good map"), None, "{name}");
        let history = latest.history(BlockIndex(0)).map(|change| {
            change.map(|change| json!([change.block, if change.is_delete { "del" } else { "put" }]))
        });
        assert_eq!(
            Value::Array(history.collect::<Result<_, _>>().expect("a good map")),
            vector["history"],
            "{name}"
        );
        for checkout in items(&vector["checkouts"]) {
            let found: Vec<BlockIndex> =
                items_of(&version(Length(number(&checkout[0])))).iter().map(|item| item.block).collect();
            assert_eq!(json!(found), checkout[1], "{name}, version {}", checkout[0]);
        }
        for diff in items(&vector["diffs"]) {
            let found = version(Length(number(&diff[1])))
                .diff(Length(number(&diff[0])), b"", None)
                .expect("a good map");
            let blocks = |item: &Option<Item>| item.as_ref().map(|item| item.block);
            let found: Vec<_> = found.iter().map(|diff| (blocks(&diff.newer), blocks(&diff.older))).collect();
            assert_eq!(json!(found), diff[2], "{name}, {} to {}", diff[0], diff[1]);
        }
    }
}

#[test]
fn the_large_map_has_the_content_of_the_reference() {
    let vector = read("hyperbee/mixed-20000-hash.json");
    let core = write(&generated(20_000));
    let cache = Cache::default();
    let found = items_of(&Reader::new(&core, &cache, Length(core.len() as u64)));
    let line = |item: &Item| {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        format!("{}={}@{}\n", hex(&item.key), hex(item.value.as_deref().unwrap_or_default()), item.block)
    };
    let lines: String = found.iter().map(line).collect();
    assert_eq!(found.len() as u64, number(&vector["finalCount"]));
    assert_eq!(blake2b(&[lines.as_bytes()]).to_vec(), hex(&vector["finalHash"]));
}

#[test]
fn ranges_begin_and_end_where_they_are_told() {
    let core = write(&generated(2_000));
    let cache = Cache::default();
    let reader = Reader::new(&core, &cache, Length(core.len() as u64));
    let all = items_of(&reader);
    for (from, to) in
        [("k0100", "k4000"), ("", "k0500"), ("k2500", "k2500"), ("k2500x", "k2600"), ("z", "zz")]
    {
        let found: Vec<Item> = reader
            .range(from.as_bytes(), Some(to.as_bytes()))
            .and_then(Iterator::collect)
            .expect("a good map");
        let within =
            |item: &&Item| item.key.as_slice() >= from.as_bytes() && item.key.as_slice() < to.as_bytes();
        assert_eq!(found, all.iter().filter(within).cloned().collect::<Vec<_>>(), "{from}..{to}");
    }
}

/// Reads everything that can be read, whatever the blocks hold.
fn read_everything(core: &Vec<Vec<u8>>) -> usize {
    let cache = Cache::new(64);
    let latest = Reader::new(core, &cache, Length(core.len() as u64));
    let listed = latest.range(b"", None).map(Iterator::count).unwrap_or_default();
    let _ = latest.get(b"key-0042");
    let _ = latest.history(BlockIndex(0)).count();
    let _ = latest.diff(Length(core.len() as u64 / 2), b"", None);
    for change in [&b"key-0042"[..], b"new", b"key-0000", b"key-0099"] {
        if let Ok(mut batch) = Batch::new(core, &cache, Length(core.len() as u64), &Header::plain()) {
            let _ = batch.put(change, vec![]);
            let _ = batch.delete(change);
            let _ = batch.delete(b"key-0050");
            let _ = batch.finish();
        }
    }
    listed
}

#[test]
fn a_tree_that_contains_itself_is_refused() {
    let vector = read("hyperbee/put-10-sequential.json");
    let mut core: Vec<Vec<u8>> = items(&vector["blocks"]).iter().map(hex).collect();
    let last = BlockIndex(core.len() as u64 - 1);
    let first = BlockIndex::FIRST;
    for children in [vec![(last, 0), (last, 0)], vec![(last + 1, 0), (last, 1)], vec![(first, 0), (last, 1)]]
    {
        let mut node = NodeBlock::decode(&core[core.len() - 1]).expect("a node");
        node.levels[0].children = children;
        *core.last_mut().expect("blocks") = node.encode();
        let cache = Cache::default();
        let found: Result<Vec<Item>, _> =
            Reader::new(&core, &cache, Length((last + 1).0)).range(b"", None).and_then(Iterator::collect);
        assert!(found.is_err());
        read_everything(&core);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_blocks_are_read_to_an_end(changes in prop::collection::vec((0..101_usize, any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let vector = read("hyperbee/put-100-sequential.json");
        let mut core: Vec<Vec<u8>> = items(&vector["blocks"]).iter().map(hex).collect();
        for (block, position, byte) in changes {
            let block = &mut core[block];
            let position = position.index(block.len());
            block[position] = byte;
        }
        // Keys must ascend, so that no walk lists more than there are blocks.
        prop_assert!(read_everything(&core) <= core.len() + 1);
    }

    #[test]
    fn any_bytes_decode_or_do_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(node) = NodeBlock::decode(&bytes) {
            prop_assert_eq!(NodeBlock::decode(&node.encode()), Ok(node));
        }
        let _ = Header::decode(&bytes);
    }
}
