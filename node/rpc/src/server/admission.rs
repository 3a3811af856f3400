//! Decision control: how many callers may be connected, and how much memory all of them together can make a server
//! hold. Start from [`Admission`].
//!
//! Each connection has a [`ConnectionPermit`], and the bytes held for a connection have [`Charge`]s. Half-read messages,
//! calls in flight and unread answers all count, so there is one bound for all callers, in all cases:
//!
//! > `connections_max` × [`FREE_BYTES`], and `callers_bytes_max` beyond that.
//!
//! **Bytes.** A small message is free: no caller can keep others from making ordinary calls. Larger ones are charged to
//! `callers_bytes_max`; one address may use a quarter of it. When the limit is reached, a message waits; messages of the
//! addresses that hold least go first. To make room, the connections without progress for longest are ended: those of
//! the same address if it has used its share. An answer cannot wait, since it already exists: it is charged at once, and
//! the connections in its way are ended.
//!
//! **Connections.** An address may have all places as long as no other address wants them. When all are taken, the
//! address with the most gives one up: its oldest connection that has never sent a request, else the connection that has
//! been idle for longest, and, when that address has more than a quarter, any connection.

mod account;
mod permit;
mod state;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libvms_hypercore::address::prefix;
use thiserror::Error;

use super::RpcOptions;
use account::Account;
use permit::Issued;
pub(super) use permit::{Charge, ConnectionPermit};
use state::{Entry, State};

/// Bytes that each connection may always hold, however much others hold: ordinary messages, and buffers of the HTTP
/// library.
pub(super) const FREE_BYTES: usize = 64 << 10;
/// One address may have 1/`ADDRESS_SHARE` of all bytes and, when places are scarce, of all places.
const ADDRESS_SHARE: usize = 4;
/// Bytes are counted in steps of this many, so that most messages need no lock.
const GRANULE_BYTES: usize = 16 << 10;
/// How long a connection that holds bytes may make no progress while others need the bytes.
const STALLED_MAX: Duration = Duration::from_secs(1);
/// The same for the sake of an answer, which already exists and cannot wait.
const STALLED_MAX_FOR_ANSWERS: Duration = Duration::from_millis(100);
/// How long a connection that has made a request may be idle before others may take its place.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// The byte limit of all callers, or the share of this address, is reached.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the server holds too much for other callers to take {bytes} bytes; try again in a moment")]
pub(super) struct QuotaExceeded {
    pub(super) bytes: usize,
}

/// All places and charges of one server.
#[derive(Debug)]
pub(super) struct Admission {
    connections_max: usize,
    bytes_max: usize,
    wait_max: Duration,
    state: Mutex<State>,
}

/// The decision about a new connection.
#[derive(Debug)]
pub(super) enum Decision {
    Admitted(ConnectionPermit),
    /// No connection can make room: refuse the new one.
    Full,
    /// A connection will make room once its own grace has passed.
    Wait(Duration),
}

impl Admission {
    pub(super) fn new(options: &RpcOptions) -> Arc<Self> {
        Arc::new(Self {
            connections_max: options.connections_max,
            bytes_max: options.callers_bytes_max,
            wait_max: options.room_timeout,
            state: Mutex::default(),
        })
    }

    /// Gives a place to a new connection, if need be that of another. `None` is the address of a trusted proxy. A
    /// connection of the same address keeps its place for at least `grace`.
    pub(super) fn admit(self: &Arc<Self>, address: Option<IpAddr>, grace: Duration) -> Decision {
        let address = address.map(prefix);
        let mut state = self.lock();
        if state.all.connections >= self.connections_max {
            let Some(account) = state.whose_place(address, self.connections_max / ADDRESS_SHARE) else {
                return Decision::Full;
            };
            let (id, left) = (account.id, grace.saturating_sub(account.idle()));
            let is_own = state.accounts.get(&id).is_some_and(|entry| entry.address == address);
            if is_own && !left.is_zero() {
                return Decision::Wait(left);
            }
            state.end(id);
            state.leave(id);
        }
        state.last_id += 1;
        let account = Arc::new(Account::new(state.last_id));
        state.all.connections += 1;
        if let Some(address) = address {
            state.addresses.entry(address).or_default().connections += 1;
        }
        let entry = Entry { address, has_place: true, is_ended: false, billed: 0, account: account.clone() };
        state.accounts.insert(account.id, entry);
        Decision::Admitted(ConnectionPermit { issued: Arc::new(Issued { admission: self.clone(), account }) })
    }

    /// Returns the number of connections.
    pub(super) fn connections(&self) -> usize {
        self.lock().all.connections
    }

    /// Returns whether far more was held than is held now: then memory should be returned to the system.
    pub(super) fn has_shrunk(&self) -> bool {
        const WORTH_IT_BYTES: usize = 8 << 20;
        let mut state = self.lock();
        let held = state.all.bytes + state.all.connections * FREE_BYTES;
        let has_shrunk = state.peak > WORTH_IT_BYTES && held < state.peak / 2;
        if has_shrunk {
            state.peak = held;
        }
        has_shrunk
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds this lock; even if something did, the counts are still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Charges `bytes` to the account if there is room; returns whether there was.
    fn try_take(&self, account: &Account, bytes: usize) -> bool {
        let held = account.held.load(Ordering::SeqCst);
        if account.due(held + bytes) == account.due(held) {
            account.held.fetch_add(bytes, Ordering::SeqCst);
            return true;
        }
        let mut state = self.lock();
        // No message overtakes the waiting ones.
        let has_room =
            state.waiting.is_empty() && !state.over(account, bytes, self.bytes_max).but_alone().is_any();
        if has_room {
            state.take(account, bytes);
        }
        has_room
    }

    /// Gives free room to waiting messages, and ends stalled connections to make more.
    pub(super) fn serve_waiting(&self) {
        let mut state = self.lock();
        while let Some(number) = state.whose_turn() {
            let Some(waiting) = state.waiting.get(&number) else { return };
            let (account, bytes) = (waiting.account.clone(), waiting.bytes);
            let over = state.over(&account, bytes, self.bytes_max).but_alone();
            if over.is_any() {
                state.end_stalled(over, STALLED_MAX);
                return;
            }
            state.grant(number);
        }
    }

    fn give(&self, account: &Account, bytes: usize) {
        let before = account.held.fetch_add(bytes, Ordering::SeqCst);
        if account.due(before) == account.due(before + bytes) {
            return;
        }
        let mut state = self.lock();
        state.bill(account);
        // Bytes that already exist count, with or without room for them.
        let over = state.over(account, 0, self.bytes_max);
        state.end_stalled(over, STALLED_MAX_FOR_ANSWERS);
    }

    fn release(&self, account: &Account, bytes: usize) {
        let before = account.held.fetch_sub(bytes, Ordering::SeqCst);
        // A connection that has left has no free bytes, so its last release does not return here.
        if account.due(before) == account.due(before - bytes) {
            return;
        }
        let mut state = self.lock();
        state.bill(account);
        state.forget(account.id);
        let is_waited_for = !state.waiting.is_empty();
        drop(state);
        if is_waited_for {
            self.serve_waiting();
        }
    }
}
