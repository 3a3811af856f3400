//! Reading golden files.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use libvms_protocol::checkpoint::Checkpoint;
use libvms_protocol::identity::SecretKey;
use libvms_protocol::tree::Roots;
use serde_json::Value;

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

pub(crate) fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(fixtures().join(name)).expect("a fixture");
    serde_json::from_str(&text).expect("JSON")
}

/// All golden files in a folder, with their names.
pub(crate) fn read_all(folder: &str) -> Vec<(String, Value)> {
    let entries = std::fs::read_dir(fixtures().join(folder)).expect("a folder of fixtures");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), read(&format!("{folder}/{name}")))).collect()
}

pub(crate) fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().expect("text").as_bytes()).expect("hexadecimal digits")
}

pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex(value).try_into().expect("as many bytes as a key")
}

pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

/// The heads that the reference signed: lengths, tree hashes and signatures must be ours too.
pub(crate) fn check_heads(name: &str, seed: &Value, blocks: &[Vec<u8>], heads: &Value) {
    let key = SecretKey::from_seed(&array(seed));
    let mut roots = Roots::default();
    let mut expected = items(heads).iter().peekable();
    for block in blocks {
        roots.append(block);
        let Some(head) = expected.next_if(|head| number(&head["length"]) == roots.length()) else { continue };
        let checkpoint = Checkpoint::sign(&key, roots.length(), roots.tree_hash());
        assert_eq!(number(&head["byteLength"]), roots.byte_length(), "{name}");
        assert_eq!(head["treeHash"], roots.tree_hash().to_string(), "{name} at {}", roots.length());
        assert_eq!(hex(&head["signature"]), checkpoint.signature().0, "{name} at {}", roots.length());
    }
    assert!(expected.next().is_none(), "{name}: heads that were not reached");
}

/// The generator that some golden files share with their makers: xorshift32.
pub(crate) struct Dice(pub(crate) u32);

impl Dice {
    pub(crate) fn draw(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}
