//! The known cores with their channels, and the unknown ones that the remote asks for.

use std::collections::BTreeMap;

use crate::identity::PublicKey;
use crate::wire::capability::CoreOpen;
use crate::wire::mux::Channel;

/// A known core.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) key: PublicKey,
    /// Its channel, from our Open on.
    pub(super) channel: Option<Channel>,
    /// Whether both sides have opened the channel, and the remote has shown that it knows the key.
    pub(super) is_open: bool,
    /// Name of the last extension that the remote has used on this channel.
    pub(super) extension: String,
}

/// An Open of a core that is not known.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) channel: Channel,
    pub(super) open: CoreOpen,
}

/// The cores of one stream.
#[derive(Debug, Default)]
pub(super) struct Cores {
    cores: BTreeMap<PublicKey, Core>,
    keys: BTreeMap<[u8; 32], PublicKey>,
    channels: BTreeMap<Channel, PublicKey>,
    requests: BTreeMap<[u8; 32], Request>,
}

impl Cores {
    pub(super) fn get(&self, key: &PublicKey) -> Option<&Core> {
        self.cores.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &PublicKey) -> Option<&mut Core> {
        self.cores.get_mut(key)
    }

    /// Returns the key of a known core, and whether the core has a channel.
    pub(super) fn find(&self, discovery_key: &[u8; 32]) -> Option<(PublicKey, bool)> {
        let core = self.cores.get(self.keys.get(discovery_key)?)?;
        Some((core.key, core.channel.is_some()))
    }

    pub(super) fn by_channel(&self, channel: Channel) -> Option<PublicKey> {
        self.channels.get(&channel).copied()
    }

    /// Makes a core known. A known one stays unchanged.
    pub(super) fn insert(&mut self, key: PublicKey) {
        self.keys.insert(key.discovery_key(), key);
        let unopened = || Core { key, channel: None, is_open: false, extension: String::new() };
        self.cores.entry(key).or_insert_with(unopened);
    }

    pub(super) fn remove(&mut self, key: &PublicKey) -> Option<Core> {
        self.keys.remove(&key.discovery_key());
        let core = self.cores.remove(key)?;
        core.channel.and_then(|channel| self.channels.remove(&channel));
        Some(core)
    }

    pub(super) fn set_channel(&mut self, key: &PublicKey, channel: Channel) {
        if let Some(core) = self.cores.get_mut(key) {
            core.channel = Some(channel);
            self.channels.insert(channel, *key);
        }
    }

    /// Removes a channel that has ended. Returns its core, which stays known.
    pub(super) fn end_channel(&mut self, channel: Channel) -> Option<&Core> {
        let key = self.channels.remove(&channel)?;
        let core = self.cores.get_mut(&key)?;
        core.channel = None;
        core.is_open = false;
        core.extension.clear();
        Some(core)
    }

    /// Keeps an Open of an unknown core. Returns false if one is kept already.
    pub(super) fn add_request(&mut self, discovery_key: [u8; 32], channel: Channel, open: CoreOpen) -> bool {
        let is_first = !self.requests.contains_key(&discovery_key);
        if is_first {
            self.requests.insert(discovery_key, Request { channel, open });
        }
        is_first
    }

    pub(super) fn take_request(&mut self, discovery_key: &[u8; 32]) -> Option<Request> {
        self.requests.remove(discovery_key)
    }

    /// Forgets a channel that the remote has closed before we answered.
    pub(super) fn forget_request(&mut self, channel: Channel) {
        self.requests.retain(|_, request| request.channel != channel);
    }
}
