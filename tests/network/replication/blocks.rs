//! Blocks of every size, from Rust to JavaScript and back.

use serde_json::json;

use super::{JsPeer, Replicating, Serving, hashes};
use crate::support::run;

/// From the smallest block to the largest one that a log may have.
const SIZES: [usize; 6] = [1, 64 << 10, 1 << 20, 8 << 20, 0, 3];

#[test]
fn blocks_of_every_size_come_from_rust_to_javascript() {
    let blocks = SIZES.map(|size| (0..size).map(|at| (at * 31 + at / 251) as u8).collect::<Vec<u8>>());
    run(async {
        let serving = Serving::of(&blocks).await;
        let mut peer = JsPeer::hypercore();
        peer.read(&serving.key());
        peer.connect(serving.address);
        assert_eq!(peer.blocks(&serving.key(), SIZES.len() as u64), hashes(&blocks));
        serving.network.shutdown().await;
    });
}

#[test]
fn blocks_of_every_size_come_from_javascript_to_a_replicator_and_on() {
    let copies = tempfile::tempdir().expect("a temporary directory");
    let mut writer = JsPeer::hypercore();
    let key = writer.write(3, &SIZES);
    let written = writer.blocks(&key, SIZES.len() as u64);
    let replicating = Replicating::start(&key, &[writer.listen()], copies.path());
    let mut reader = JsPeer::corestore();
    reader.read(&key);
    reader.connect(replicating.address);
    assert_eq!(reader.blocks(&key, SIZES.len() as u64), written);
    // Live, through the replicator.
    writer.append(&key, &SIZES);
    let length = 2 * SIZES.len() as u64;
    assert_eq!(reader.blocks(&key, length), writer.blocks(&key, length));
    assert_eq!(reader.state(&key)["treeHash"], writer.state(&key)["treeHash"]);
    assert_eq!(reader.state(&key)["contiguous"], json!(length));
}
