//! The state of all places: the counts, and the decisions based on them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use super::account::Account;
use super::{ADDRESS_SHARE, FREE_BYTES, GRANULE_BYTES, IDLE_MAX};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) last_id: u64,
    pub(super) all: Share,
    pub(super) addresses: BTreeMap<IpAddr, Share>,
    /// The connections that have a place, oldest first, and those that have left while bytes are still held for them.
    pub(super) accounts: BTreeMap<u64, Entry>,
    /// Messages that wait for room, in the order of their arrival.
    pub(super) waiting: BTreeMap<u64, Waiting>,
    pub(super) last_ticket: u64,
    /// The most bytes held since memory was last returned to the system.
    pub(super) peak: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub(super) connections: usize,
    pub(super) bytes: usize,
    /// The ticket of the address's message that got room last.
    pub(super) served: u64,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) account: Arc<Account>,
    pub(super) bytes: usize,
    pub(super) granted: oneshot::Sender<()>,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// `None` for a connection of a trusted proxy that has not named a caller yet.
    pub(super) address: Option<IpAddr>,
    pub(super) has_place: bool,
    pub(super) is_ended: bool,
    /// Bytes charged to the common limit.
    pub(super) billed: usize,
    pub(super) account: Arc<Account>,
}

/// The bytes by which the bounds are exceeded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Over {
    address: Option<IpAddr>,
    of_address: usize,
    of_all: usize,
    is_alone_of_address: bool,
    is_alone: bool,
}

impl Over {
    /// Drops the excess over a bound that nothing else uses: one message larger than the bound is admitted alone.
    pub(super) fn but_alone(mut self) -> Self {
        if self.is_alone_of_address {
            self.of_address = 0;
        }
        if self.is_alone {
            self.of_all = 0;
        }
        self
    }

    pub(super) fn is_any(self) -> bool {
        self.of_address > 0 || self.of_all > 0
    }
}

impl State {
    /// Returns by how much the bounds are exceeded if the account holds `bytes` more.
    pub(super) fn over(&self, account: &Account, bytes: usize, bytes_max: usize) -> Over {
        let Some(entry) = self.accounts.get(&account.id) else { return Over::default() };
        let due = account.due(account.held.load(Ordering::SeqCst) + bytes);
        let more = due.saturating_sub(entry.billed);
        let of_address = entry.address.map_or(entry.billed, |address| self.share(address).bytes);
        Over {
            address: entry.address,
            of_address: (of_address + more).saturating_sub(bytes_max / ADDRESS_SHARE),
            of_all: (self.all.bytes + more).saturating_sub(bytes_max),
            is_alone_of_address: of_address == entry.billed,
            is_alone: self.all.bytes == entry.billed,
        }
    }

    pub(super) fn take(&mut self, account: &Account, bytes: usize) {
        account.held.fetch_add(bytes, Ordering::SeqCst);
        self.bill(account);
    }

    /// Returns the message that gets room next: of the address that holds least, in turn; of its messages the shortest.
    pub(super) fn whose_turn(&self) -> Option<u64> {
        let rank = |(number, waiting): &(&u64, &Waiting)| {
            let entry = self.accounts.get(&waiting.account.id);
            let share = entry
                .and_then(|entry| entry.address)
                .map_or_else(Share::default, |address| self.share(address));
            (share.bytes, share.served, waiting.bytes, **number)
        };
        self.waiting.iter().min_by_key(rank).map(|(number, _)| *number)
    }

    pub(super) fn grant(&mut self, number: u64) {
        let Some(waiting) = self.waiting.remove(&number) else { return };
        self.take(&waiting.account, waiting.bytes);
        self.last_ticket += 1;
        let served = self.last_ticket;
        let address = self.accounts.get(&waiting.account.id).and_then(|entry| entry.address);
        if let Some(share) = address.and_then(|address| self.addresses.get_mut(&address)) {
            share.served = served;
        }
        // A waiter that gave up has already returned its ticket: both need the lock.
        let _received = waiting.granted.send(());
    }

    /// Ends connections that hold bytes and make no progress, longest first, until enough bytes will be freed.
    pub(super) fn end_stalled(&mut self, over: Over, stalled_max: Duration) {
        let mut wanted = if over.of_address > 0 { over.of_address } else { over.of_all };
        let is_meant = |entry: &Entry| over.of_address == 0 || entry.address == over.address;
        let mut stalled = vec![];
        for entry in self.accounts.values().filter(|entry| entry.billed > 0 && is_meant(entry)) {
            let account = &entry.account;
            if entry.is_ended {
                wanted = wanted.saturating_sub(entry.billed);
            } else if entry.has_place && account.buffered.load(Ordering::SeqCst) >= GRANULE_BYTES {
                stalled.push((account.progress.stalled(), account.id, entry.billed));
            }
        }
        stalled.retain(|(time, ..)| *time >= stalled_max);
        stalled.sort_unstable_by(|one, other| other.cmp(one));
        for (_, id, billed) in stalled {
            if wanted == 0 {
                return;
            }
            wanted = wanted.saturating_sub(billed);
            self.end(id);
        }
    }

    /// Returns the connection whose place a new connection gets, if there is one.
    pub(super) fn whose_place(&self, newcomer: Option<IpAddr>, share: usize) -> Option<&Account> {
        let greatest = self.addresses.iter().max_by_key(|(_, share)| share.connections);
        let (greatest, most) = greatest.map(|(address, share)| (*address, share.connections)).unzip();
        let own = newcomer.map_or(0, |address| self.share(address).connections);
        let most = most.unwrap_or(0);
        // When the new connection's address has as many places as any other, it makes room for itself.
        let from = if own == most && own > 0 { newcomer } else { greatest };
        let candidates = || {
            let with_place = self.accounts.values().filter(|entry| entry.has_place);
            with_place.filter(move |entry| entry.address == from).map(|entry| &*entry.account)
        };
        let silent = candidates().find(|account| !account.has_spoken.load(Ordering::SeqCst));
        let idle = || {
            let quiet = candidates().filter(|account| !account.is_busy.load(Ordering::SeqCst));
            quiet.max_by_key(|account| account.idle()).filter(|account| account.idle() >= IDLE_MAX)
        };
        let any = || {
            let is_too_many = most > share && own + 1 < most;
            candidates().max_by_key(|account| account.idle()).filter(|_| is_too_many)
        };
        // A proxy keeps idle connections open that currently serve no caller.
        let of_proxy = || {
            let unnamed = self.accounts.values().filter(|entry| entry.has_place && entry.address.is_none());
            let quiet = unnamed
                .map(|entry| &*entry.account)
                .filter(|account| !account.is_busy.load(Ordering::SeqCst));
            quiet.max_by_key(|account| account.idle()).filter(|account| account.idle() >= IDLE_MAX)
        };
        silent.or_else(idle).or_else(any).or_else(of_proxy)
    }

    pub(super) fn share(&self, address: IpAddr) -> Share {
        self.addresses.get(&address).copied().unwrap_or_default()
    }

    pub(super) fn move_to(&mut self, id: u64, address: IpAddr) {
        let Some(entry) = self.accounts.get_mut(&id).filter(|entry| entry.address != Some(address)) else {
            return;
        };
        let (connections, bytes) = (usize::from(entry.has_place), entry.billed);
        if let Some(before) = entry.address.replace(address) {
            let share = self.addresses.entry(before).or_default();
            share.connections -= connections;
            share.bytes -= bytes;
            self.forget_address(before);
        }
        let share = self.addresses.entry(address).or_default();
        share.connections += connections;
        share.bytes += bytes;
    }

    pub(super) fn end(&mut self, id: u64) {
        if let Some(entry) = self.accounts.get_mut(&id) {
            entry.is_ended = true;
            entry.account.ended.cancel();
        }
    }

    /// Removes the connection from its place; its bytes are counted until they are freed.
    pub(super) fn leave(&mut self, id: u64) {
        let Some(entry) = self.accounts.get_mut(&id).filter(|entry| entry.has_place) else { return };
        entry.has_place = false;
        let (address, account) = (entry.address, entry.account.clone());
        self.all.connections -= 1;
        if let Some(share) = address.and_then(|address| self.addresses.get_mut(&address)) {
            share.connections -= 1;
        }
        account.free.store(0, Ordering::SeqCst);
        self.bill(&account);
        self.forget(id);
    }

    /// Charges the bytes that the account holds now.
    pub(super) fn bill(&mut self, account: &Account) {
        let Some(entry) = self.accounts.get_mut(&account.id) else { return };
        let due = account.due(account.held.load(Ordering::SeqCst));
        let before = std::mem::replace(&mut entry.billed, due);
        self.all.bytes = self.all.bytes + due - before;
        if let Some(share) = entry.address.and_then(|address| self.addresses.get_mut(&address)) {
            share.bytes = share.bytes + due - before;
        }
        self.peak = self.peak.max(self.all.bytes + self.all.connections * FREE_BYTES);
    }

    /// Removes an account that has neither place nor bytes, and an address that has no account.
    pub(super) fn forget(&mut self, id: u64) {
        let is_over = |entry: &Entry| !entry.has_place && entry.account.held.load(Ordering::SeqCst) == 0;
        let Some(entry) = self.accounts.get(&id).filter(|entry| is_over(entry)) else { return };
        let address = entry.address;
        self.accounts.remove(&id);
        if let Some(address) = address {
            self.forget_address(address);
        }
    }

    pub(super) fn forget_address(&mut self, address: IpAddr) {
        let share = self.share(address);
        if share.connections == 0 && share.bytes == 0 {
            self.addresses.remove(&address);
        }
    }
}
