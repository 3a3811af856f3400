//! Who may be connected, and how much memory all callers together can make a server hold: [`Places`].
//!
//! Each connection has a [`ConnectionPermit`], each run of bytes that is held for it a [`Charge`]. Half-read messages, calls on their
//! way and unread answers all count, so there is one bound for all callers, whatever they do:
//!
//! > `connections_max` × [`FREE_BYTES`], and `callers_bytes_max` beyond that.
//!
//! **Bytes.** A small message is free: nobody can keep others from making ordinary calls. What goes beyond is taken from
//! `callers_bytes_max`, of which one address has a quarter. Where that is used up, a message waits, those of addresses that
//! hold least first; and the connections that have made no progress for longest are ended to make room, of the same
//! address if that has its share. An answer cannot wait, since it exists: it is charged at once, and ends those that are
//! in its way.
//!
//! **Connections.** An address may have all places as long as nobody else wants them. When all are taken, the address
//! with the most gives one up: its oldest connection that has never said anything, else the one that has been idle for
//! longest, and, where that address has more than a quarter, any.

mod account;
mod place;
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
use place::Taken;
pub(super) use place::{Charge, ConnectionPermit};
use state::{Entry, State};

/// Bytes that each connection may hold whatever others do: ordinary messages, and buffers of the HTTP library.
pub(super) const FREE_BYTES: usize = 64 << 10;
/// The part of all bytes and, where places are scarce, of all places that one address may have.
const ADDRESS_SHARE: usize = 4;
/// Bytes are counted in steps of this size, so that most messages need no lock.
const GRANULE_BYTES: usize = 16 << 10;
/// How long a connection that holds bytes may make no progress when others need them.
const STALLED_MAX: Duration = Duration::from_secs(1);
/// The same where an answer exists already and cannot wait.
const STALLED_MAX_FOR_ANSWERS: Duration = Duration::from_millis(100);
/// How long a connection that has spoken before is left alone although others want its place.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Too much is held for all callers, or for those of this address.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the server holds too much for other callers to take {bytes} bytes; try again in a moment")]
pub(super) struct Crowded {
    pub(super) bytes: usize,
}

/// All places of one server.
#[derive(Debug)]
pub(super) struct Places {
    connections_max: usize,
    bytes_max: usize,
    wait_max: Duration,
    state: Mutex<State>,
}

/// What becomes of a newcomer.
#[derive(Debug)]
pub(super) enum Admission {
    Admitted(ConnectionPermit),
    /// Nobody makes room.
    Full,
    /// Somebody will, who has only just come itself.
    Wait(Duration),
}

impl Places {
    pub(super) fn new(options: &RpcOptions) -> Arc<Self> {
        Arc::new(Self {
            connections_max: options.connections_max,
            bytes_max: options.callers_bytes_max,
            wait_max: options.room_timeout,
            state: Mutex::default(),
        })
    }

    /// A place for a caller, if need be that of another. `None` is the address of a trusted proxy. One of the same
    /// address keeps its place for `grace` at least.
    pub(super) fn admit(self: &Arc<Self>, address: Option<IpAddr>, grace: Duration) -> Admission {
        let address = address.map(prefix);
        let mut state = self.lock();
        if state.all.connections >= self.connections_max {
            let Some(account) = state.whose_place(address, self.connections_max / ADDRESS_SHARE) else {
                return Admission::Full;
            };
            let (id, left) = (account.id, grace.saturating_sub(account.idle()));
            let is_own = state.accounts.get(&id).is_some_and(|entry| entry.address == address);
            if is_own && !left.is_zero() {
                return Admission::Wait(left);
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
        Admission::Admitted(ConnectionPermit { taken: Arc::new(Taken { places: self.clone(), account }) })
    }

    /// How many connections there are.
    pub(super) fn connections(&self) -> usize {
        self.lock().all.connections
    }

    /// Whether far more was held than is now: then the system should get its memory back.
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
        // Nothing panics while it holds this; were it so, the counts are still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `bytes` for the account if there is room.
    fn try_take(&self, account: &Account, bytes: usize) -> bool {
        let held = account.held.load(Ordering::SeqCst);
        if account.due(held + bytes) == account.due(held) {
            account.held.fetch_add(bytes, Ordering::SeqCst);
            return true;
        }
        let mut state = self.lock();
        // Nobody gets ahead of those who wait.
        let has_room =
            state.waiting.is_empty() && !state.over(account, bytes, self.bytes_max).but_alone().is_any();
        if has_room {
            state.take(account, bytes);
        }
        has_room
    }

    /// Gives room to those who wait, as far as there is any, and ends those that have stalled to make some.
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
        // What exists counts, whether there is room or not.
        let over = state.over(account, 0, self.bytes_max);
        state.end_stalled(over, STALLED_MAX_FOR_ANSWERS);
    }

    fn release(&self, account: &Account, bytes: usize) {
        let before = account.held.fetch_sub(bytes, Ordering::SeqCst);
        // One that has left has no free bytes, so its last release passes here.
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
