//! Golden files of a kind, and the heads in them.

use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Roots;
use serde_json::Value;

use crate::vector::{array, fixtures, hex, items, number, read};

/// Reads all golden files in a folder, with their names.
pub(crate) fn read_all(folder: &str) -> Vec<(String, Value)> {
    let entries = std::fs::read_dir(fixtures().join(folder)).expect("a folder of fixtures");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), read(&format!("{folder}/{name}")))).collect()
}

/// Checks the heads that the reference signed: lengths, tree hashes and signatures must be ours too.
pub(crate) fn check_heads(name: &str, seed: &Value, blocks: &[Vec<u8>], heads: &Value) {
    let key = SecretKey::from_seed(&array(seed));
    let mut roots = Roots::default();
    let mut expected = items(heads).iter().peekable();
    for block in blocks {
        roots.append(block);
        let Some(head) = expected.next_if(|head| Length(number(&head["length"])) == roots.length()) else {
            continue;
        };
        let signed_head = SignedHead::sign(&key, roots.length(), roots.tree_hash());
        assert_eq!(number(&head["byteLength"]), roots.byte_length(), "{name}");
        assert_eq!(head["treeHash"], roots.tree_hash().to_string(), "{name} at {}", roots.length());
        assert_eq!(hex(&head["signature"]), signed_head.signature().0, "{name} at {}", roots.length());
    }
    assert!(expected.next().is_none(), "{name}: heads that were not reached");
}
