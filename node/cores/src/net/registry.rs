//! The cores of a network, where its connections look them up.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use libvms_hypercore::identity::PublicKey;
use tokio::sync::watch;

use super::core_task::CoreHandle;
use super::sync::lock;

/// The cores that connections look up.
#[derive(Debug)]
pub(super) struct Registry {
    cores: Mutex<BTreeMap<[u8; 32], CoreHandle>>,
    changed: Mutex<Option<watch::Sender<()>>>,
    changes: watch::Receiver<()>,
    /// The number of the next peer of a core.
    pub(super) peers: AtomicU64,
}

impl Registry {
    pub(super) fn new() -> Self {
        let (changed, changes) = watch::channel(());
        Self {
            cores: Mutex::default(),
            changed: Mutex::new(Some(changed)),
            changes,
            peers: AtomicU64::new(1),
        }
    }

    pub(super) fn insert(&self, handle: CoreHandle) {
        lock(&self.cores).insert(handle.key.discovery_key(), handle);
        if let Some(changed) = &*lock(&self.changed) {
            changed.send_replace(());
        }
    }

    /// Drops all cores, so that their tasks end.
    pub(super) fn close(&self) {
        lock(&self.changed).take();
        lock(&self.cores).clear();
    }

    pub(super) fn keys(&self) -> Vec<PublicKey> {
        lock(&self.cores).values().map(|core| core.key).collect()
    }

    pub(super) fn get(&self, key: &PublicKey) -> Option<CoreHandle> {
        self.find(&key.discovery_key())
    }

    pub(super) fn find(&self, discovery_key: &[u8; 32]) -> Option<CoreHandle> {
        lock(&self.cores).get(discovery_key).cloned()
    }

    /// Returns a receiver that is notified when a core was added, and fails when there will be no more.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.clone()
    }
}
