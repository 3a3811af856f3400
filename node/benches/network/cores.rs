//! Cores to replicate.

use std::path::Path;

use libvms::storage::{Core, Durability};
use libvms_hypercore::identity::SecretKey;
use tempfile::TempDir;

/// A core of so many blocks of so many bytes.
pub(crate) fn written(directory: &Path, count: u64, bytes: usize) -> Core {
    let key = SecretKey::from_seed(&[9; 32]);
    let mut core = Core::create(&directory.join("core"), key, Durability::Relaxed).expect("a new core");
    let many = (1_000_000 / bytes as u64).max(1);
    for first in (0..count).step_by(many as usize) {
        let blocks: Vec<Vec<u8>> =
            (first..count.min(first + many)).map(|block| vec![block as u8; bytes]).collect();
        core.append(&blocks).expect("room on the disk");
    }
    core
}

pub(crate) fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}
