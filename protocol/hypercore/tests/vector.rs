//! Reading golden files.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::Value;

pub(crate) fn fixtures() -> PathBuf {
    // The fixtures are as many folders up as the tested crate is deep.
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    crates
        .map(|directory| directory.join("fixtures"))
        .find(|fixtures| fixtures.is_dir())
        .expect("golden files")
}

pub(crate) fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(fixtures().join(name)).expect("a fixture");
    serde_json::from_str(&text).expect("JSON")
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
