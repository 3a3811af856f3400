//! The queue of calls before the script: who is next.
//!
//! Turns go by address first and then by key within it, since keys cost nothing. Of the waiting calls of one key the one
//! with the smallest nonce goes first, wherever it came from: after a greater one the log could not take it any more. A
//! call that repeats one that waits joins it, and gets its answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use libvms_hypercore::identity::PublicKey;
use libvms_protocol::entry::Authorization;

use super::fair::{Lane, NestedLanes};
use crate::host::queued::QueuedCall;

/// The queue. The executor takes calls out of it; anybody puts calls in.
#[derive(Debug, Default)]
pub(in crate::host) struct Turns {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lanes: NestedLanes<Option<IpAddr>, Option<PublicKey>, Turn>,
    by_key: BTreeMap<PublicKey, KeyCalls>,
    is_closed: bool,
}

#[derive(Debug)]
enum Turn {
    /// The call itself: it is nobody's, or that of a name that anybody may claim.
    Call(Box<QueuedCall>),
    /// The call of this key with the smallest nonce.
    OfKey(PublicKey),
}

/// The waiting calls of one key.
#[derive(Debug, Default)]
struct KeyCalls {
    by_nonce: BTreeMap<u64, Box<QueuedCall>>,
    /// The nonces of waiting calls by each of their numbers.
    by_number: BTreeMap<u64, u64>,
}

/// Why the queue has not taken a call.
#[derive(Debug)]
pub(in crate::host) enum NotQueued {
    /// The service is closing.
    Closed(Box<QueuedCall>),
    /// Another call with the same nonce waits.
    OtherCall(Box<QueuedCall>),
}

impl Turns {
    /// Puts a call into the queue, or joins it to the one that it repeats.
    pub(in crate::host) fn push(&self, call: Box<QueuedCall>) -> Result<(), NotQueued> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(NotQueued::Closed(call));
        }
        state.push(call)?;
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Takes the next call, if there is one.
    pub(in crate::host) fn take(&self) -> Option<Box<QueuedCall>> {
        self.lock().take()
    }

    /// Waits for the next call. Returns `None` once the queue is closed.
    pub(in crate::host) fn wait(&self) -> Option<Box<QueuedCall>> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(call) = state.take() {
                return Some(call);
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes no more calls. Those that wait stay until [`Turns::clear`].
    pub(in crate::host) fn close(&self) {
        self.lock().is_closed = true;
        self.arrived.notify_all();
    }

    /// Closes the queue, and drops the waiting calls.
    pub(in crate::host) fn clear(&self) {
        let closed = State { is_closed: true, ..State::default() };
        // In one step: a call that came in between would wait for ever.
        let waiting = std::mem::replace(&mut *self.lock(), closed);
        self.arrived.notify_all();
        drop(waiting);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, call: Box<QueuedCall>) -> Result<(), NotQueued> {
        let address = call.request.origin.address;
        let Some(by) = call.request.caller.authorization() else {
            self.lanes.push((address, (None, Turn::Call(call))));
            return Ok(());
        };
        let key = by.key;
        let calls = self.by_key.entry(key).or_default();
        match calls.waiting(by) {
            Some(waiting) if waiting.request.is_other_with_same_nonce(Some(by.nonce), Some(by.sig)) => {
                Err(NotQueued::OtherCall(call))
            }
            Some(waiting) => {
                waiting.replies.extend(call.replies);
                Ok(())
            }
            None => {
                calls.insert(call);
                self.lanes.push((address, (Some(key), Turn::OfKey(key))));
                Ok(())
            }
        }
    }

    fn take(&mut self) -> Option<Box<QueuedCall>> {
        match self.lanes.pop()? {
            Turn::Call(call) => Some(call),
            Turn::OfKey(key) => {
                let calls = self.by_key.get_mut(&key)?;
                let call = calls.take();
                if calls.by_nonce.is_empty() {
                    self.by_key.remove(&key);
                }
                call
            }
        }
    }
}

impl KeyCalls {
    /// Returns the waiting call that has a number in common with this one.
    fn waiting(&mut self, by: &Authorization) -> Option<&mut QueuedCall> {
        let nonce = by.numbers().find_map(|number| self.by_number.get(&number).copied())?;
        self.by_nonce.get_mut(&nonce).map(|call| &mut **call)
    }

    fn insert(&mut self, call: Box<QueuedCall>) {
        let Some(by) = call.request.caller.authorization() else { return };
        let nonce = by.nonce;
        self.by_number.extend(by.numbers().map(|number| (number, nonce)));
        self.by_nonce.insert(nonce, call);
    }

    fn take(&mut self) -> Option<Box<QueuedCall>> {
        let (_, call) = self.by_nonce.pop_first()?;
        for number in call.request.caller.authorization()?.numbers() {
            self.by_number.remove(&number);
        }
        Some(call)
    }
}
