//! Values that anybody may store in the network: [`Items`], forgotten after 32 to 64 hours unless they are stored
//! again.
//!
//! As with records there are two generations. If a host exceeds its share, nothing more of it is stored, and the rest
//! of the network is still served.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::dht_rpc::address::Target;
use crate::hyperdht::mutable::MutableItem;
use libvms_hypercore::time::Instant;

/// A generation is young for two thirds of the 48 hours that the reference keeps an item.
const GENERATION_TIME: Duration = Duration::from_secs(48 * 60 * 60 * 2 / 3);

/// Items of one generation: about 10 MB at the longest value.
const GENERATION_ITEMS_MAX: usize = 8_192;

/// Items of one host in both generations.
const HOST_ITEMS_MAX: usize = 512;

// One host is a small part of the whole.
const _: () = assert!(HOST_ITEMS_MAX * 16 <= GENERATION_ITEMS_MAX);

/// The value under a target. The target of an immutable value is its own hash, that of a mutable one the hash of its
/// owner's key: neither can be made to collide with the other, so both share one map.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A value that never changes.
    Immutable(Vec<u8>),
    /// A value that its owner replaces.
    Mutable(MutableItem),
}

/// The items of one node.
#[derive(Debug, Default)]
pub(super) struct Items {
    young: Generation,
    old: Generation,
    /// When the young one began.
    since: Instant,
}

#[derive(Debug, Default)]
struct Generation {
    items: BTreeMap<Target, (Ipv4Addr, Content)>,
    hosts: BTreeMap<Ipv4Addr, usize>,
}

impl Items {
    /// Drops generations that are too old by now.
    pub(super) fn advance(&mut self, now: Instant) {
        let age = now - self.since;
        if age >= 2 * GENERATION_TIME {
            *self = Self { since: now, ..Self::default() };
        } else if age >= GENERATION_TIME {
            self.since += GENERATION_TIME;
            self.old = std::mem::take(&mut self.young);
        }
    }

    pub(super) fn immutable(&self, target: &Target) -> Option<&[u8]> {
        match self.get(target)? {
            Content::Immutable(value) => Some(value),
            Content::Mutable(_) => None,
        }
    }

    pub(super) fn mutable(&self, target: &Target) -> Option<&MutableItem> {
        match self.get(target)? {
            Content::Mutable(item) => Some(item),
            Content::Immutable(_) => None,
        }
    }

    /// Stores an item for as long as a new one, in place of the one before. Returns false if the host has used up its
    /// share: then the one before stays.
    pub(super) fn put(&mut self, target: Target, host: Ipv4Addr, content: Content) -> bool {
        let of_host = |generation: &Generation| generation.hosts.get(&host).copied().unwrap_or(0);
        let is_own = self.owner(&target) == Some(host);
        if of_host(&self.young) + of_host(&self.old) >= HOST_ITEMS_MAX + usize::from(is_own) {
            return false;
        }
        self.young.remove(&target);
        self.old.remove(&target);
        if self.young.items.len() >= GENERATION_ITEMS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.items.insert(target, (host, content));
        *self.young.hosts.entry(host).or_default() += 1;
        true
    }

    pub(super) fn count(&self) -> usize {
        self.young.items.len() + self.old.items.len()
    }

    fn owner(&self, target: &Target) -> Option<Ipv4Addr> {
        self.young.items.get(target).or_else(|| self.old.items.get(target)).map(|(host, _)| *host)
    }

    fn get(&self, target: &Target) -> Option<&Content> {
        self.young.items.get(target).or_else(|| self.old.items.get(target)).map(|(_, content)| content)
    }
}

impl Generation {
    fn remove(&mut self, target: &Target) {
        let Some((host, _)) = self.items.remove(target) else { return };
        let of_host = self.hosts.get_mut(&host).expect("each item's host is counted");
        *of_host -= 1;
        if *of_host == 0 {
            self.hosts.remove(&host);
        }
    }
}
