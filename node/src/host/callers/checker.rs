//! Checking signatures before the queue, on all cores and never on the script's thread.
//!
//! Connections take turns, by address first, so that a flood of bad signatures from one of them holds up that one. The
//! calls of a connection leave in the order in which they came: a key's calls are worth nothing in another order.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use libvms_hypercore::identity::PublicKey;
use libvms_protocol::refusal::Reason;
use libvms_rpc::CallOrigin;

use super::fair::{Lane, NestedLanes};
use super::quota::QuotaBook;
use super::refusal::Refused;
use super::turns::{NotQueued, Turns};
use crate::host::CallError;
use crate::host::queued::QueuedCall;

/// Calls of one connection that a thread checks in a row: enough that taking them costs little beside checking them.
const CHECKED_AT_ONCE: usize = 8;

/// The threads that check signatures. Dropping it ends them.
#[derive(Debug)]
pub(in crate::host) struct Checker {
    inner: Arc<Inner>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Inner {
    log: PublicKey,
    turns: Arc<Turns>,
    quotas: Arc<QuotaBook>,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// One turn for each call that nobody checks yet.
    unchecked: NestedLanes<Option<IpAddr>, u64, CallOrigin>,
    connections: BTreeMap<CallOrigin, Connection>,
    is_closed: bool,
}

/// The calls of a connection, in the order in which they came.
#[derive(Debug, Default)]
struct Connection {
    calls: VecDeque<Checked>,
    /// The number of the first of `calls`, counted from the connection's first call.
    first: u64,
    /// The number of the first call that nobody checks yet.
    next: u64,
}

/// Calls that a thread has taken. They stay in their boxes, which go on to the queue.
type Calls = Vec<Box<QueuedCall>>;

#[derive(Debug)]
enum Checked {
    Waiting(Box<QueuedCall>),
    /// A thread has it.
    InHand,
    Done {
        call: Box<QueuedCall>,
        is_good: bool,
    },
}

impl Checker {
    /// Starts a thread for each core.
    pub(in crate::host) fn start(
        log: PublicKey,
        turns: Arc<Turns>,
        quotas: Arc<QuotaBook>,
    ) -> std::io::Result<Self> {
        let (state, arrived) = Default::default();
        let inner = Arc::new(Inner { log, turns, quotas, state, arrived });
        let mut checker = Self { inner: inner.clone(), threads: vec![] };
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let inner = inner.clone();
            let run = move || while inner.check_some() {};
            checker.threads.push(thread::Builder::new().name("signatures".into()).spawn(run)?);
        }
        Ok(checker)
    }

    /// Takes a call. Its replies are answered with a refusal if its signature is bad; otherwise it joins the queue.
    pub(in crate::host) fn push(&self, call: Box<QueuedCall>) {
        let origin = call.request.origin;
        let mut state = self.inner.lock();
        if state.is_closed {
            drop(state);
            return self.inner.release(call, true);
        }
        // A call that nobody signs has nothing to check, and only waits for those before it.
        let is_signed = call.request.caller.authorization().is_some();
        if !is_signed && !state.connections.contains_key(&origin) {
            return self.inner.release(call, true);
        }
        state.connections.entry(origin).or_default().calls.push_back(Checked::Waiting(call));
        state.unchecked.push((origin.address, (origin.connection, origin)));
        drop(state);
        self.inner.arrived.notify_one();
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.inner.lock().is_closed = true;
        self.inner.arrived.notify_all();
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks some calls of the connection whose turn it is. Returns `false` when the checker is closed.
    fn check_some(&self) -> bool {
        let mut state = self.lock();
        let (origin, first, mut calls) = loop {
            if state.is_closed {
                return false;
            }
            match state.take_some() {
                Some(taken) => break taken,
                None => state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(state);
        let verdicts: Vec<bool> = calls.iter().map(|call| self.is_good(call)).collect();
        let mut state = self.lock();
        for (number, (call, is_good)) in (first..).zip(calls.drain(..).zip(verdicts)) {
            state.set_done(origin, number, call, is_good);
        }
        // While the lock is held: the calls of a connection stay in their order.
        for (call, is_good) in state.take_done(origin) {
            self.release(call, is_good);
        }
        true
    }

    fn is_good(&self, call: &QueuedCall) -> bool {
        let request = &call.request;
        let by = request.caller.authorization();
        by.is_none_or(|by| by.verifies(&self.log, &request.method, &request.args))
    }

    fn release(&self, call: Box<QueuedCall>, is_good: bool) {
        if !is_good {
            return call.refuse(&CallError::Refused(Refused::new(Reason::BadSignature)));
        }
        if let Some(by) = call.request.caller.authorization()
            && let Err(refused) = self.quotas.admit_key(Instant::now(), by.key, call.argument_bytes)
        {
            return call.refuse(&CallError::Refused(refused));
        }
        match self.turns.push(call) {
            Ok(()) => {}
            // Dropping the replies tells the callers.
            Err(NotQueued::Closed(call)) => drop(call),
            Err(NotQueued::OtherCall(call)) => {
                call.refuse(&CallError::Refused(Refused::new(Reason::RepeatedNonce)));
            }
        }
    }
}

impl State {
    /// Takes calls of the connection whose turn it is: where they come from, the number of the first, and they.
    fn take_some(&mut self) -> Option<(CallOrigin, u64, Calls)> {
        loop {
            let origin = self.unchecked.pop()?;
            let Some(connection) = self.connections.get_mut(&origin) else { continue };
            let (first, calls) = connection.take_some();
            // The turns of calls that were taken along are empty.
            if !calls.is_empty() {
                return Some((origin, first, calls));
            }
        }
    }

    fn set_done(&mut self, origin: CallOrigin, number: u64, call: Box<QueuedCall>, is_good: bool) {
        let Some(connection) = self.connections.get_mut(&origin) else { return };
        let place = usize::try_from(number - connection.first).unwrap_or(usize::MAX);
        if let Some(checked) = connection.calls.get_mut(place) {
            *checked = Checked::Done { call, is_good };
        }
    }

    /// Takes the calls of a connection up to the first that is not checked.
    fn take_done(&mut self, origin: CallOrigin) -> Vec<(Box<QueuedCall>, bool)> {
        let Some(connection) = self.connections.get_mut(&origin) else { return vec![] };
        let mut done = vec![];
        while matches!(connection.calls.front(), Some(Checked::Done { .. })) {
            let Some(Checked::Done { call, is_good }) = connection.calls.pop_front() else { break };
            connection.first += 1;
            done.push((call, is_good));
        }
        if connection.calls.is_empty() {
            self.connections.remove(&origin);
        }
        done
    }
}

impl Connection {
    fn take_some(&mut self) -> (u64, Calls) {
        let first = self.next.max(self.first);
        let place = usize::try_from(first - self.first).unwrap_or(usize::MAX);
        let mut taken = vec![];
        for checked in self.calls.iter_mut().skip(place).take(CHECKED_AT_ONCE) {
            if let Checked::Waiting(call) = std::mem::replace(checked, Checked::InHand) {
                taken.push(call);
            }
        }
        self.next = first + taken.len() as u64;
        (first, taken)
    }
}
