//! Requests in flight or queued: [`Requests`].
//!
//! Each has a random number that no other waiting request has; an answer counts only with that number *and* from the
//! asked address. A request that is not answered in time is sent again, byte for byte, and fails after the last try.
//! Beyond the rate that [`CongestionWindow`] allows, requests wait in a queue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::dht_rpc::address::Address;
use crate::dht_rpc::congestion_window::CongestionWindow;
use crate::dht_rpc::incoming::Socket;
use libvms_hypercore::random::Random;
use libvms_hypercore::time::Instant;

/// Requests in the queue and in flight. Of the 65,536 numbers most stay free, so that a free one is found quickly and
/// one in use is guessed rarely.
const WAITING_MAX: usize = 4_096;

/// The number and the timeout of tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Number of tries: 1 or more.
    pub tries: u32,
    /// How long each try waits for an answer.
    pub timeout: Duration,
}

impl RetryPolicy {
    /// For one node that matters: fails after 4 s, as in the reference.
    pub const PERSISTENT: Self = Self { tries: 4, timeout: Duration::from_secs(1) };
    /// For one node among many: fails after 2 s. The reference waits for 6 s, and its queries for their slowest node.
    pub const QUICK: Self = Self { tries: 4, timeout: Duration::from_millis(500) };
    /// Sends once, for requests whose answer nobody waits for.
    pub const ONCE: Self = Self { tries: 1, timeout: Duration::from_secs(1) };
}

/// A waiting request and its purpose.
#[derive(Debug)]
pub(crate) struct Waiting<P> {
    pub(crate) purpose: P,
    pub(crate) socket: Socket,
    pub(crate) to: Address,
    /// When it was first sent.
    pub(crate) sent_at: Option<Instant>,
    ttl: Option<u8>,
    bytes: Vec<u8>,
    tries_left: u32,
    timeout: Duration,
    /// When the last try is over; `None` while it is in the queue.
    deadline: Option<Instant>,
}

/// An event caused by time.
#[derive(Debug)]
pub(crate) enum Due<P> {
    /// Send this datagram.
    Send { purpose: P, socket: Socket, to: Address, bytes: Vec<u8>, ttl: Option<u8> },
    /// A try had no answer; there will be another.
    Late { purpose: P, to: Address },
    /// No try had an answer. The request is forgotten.
    Failed(Waiting<P>),
}

/// All waiting requests.
#[derive(Debug)]
pub(crate) struct Requests<P> {
    waiting: BTreeMap<u16, Waiting<P>>,
    /// Numbers of requests to be sent when the rate allows, repetitions in front.
    queue: VecDeque<u16>,
    deadlines: BTreeSet<(Instant, u16)>,
    window: CongestionWindow,
}

impl<P: Copy> Requests<P> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            queue: VecDeque::new(),
            deadlines: BTreeSet::new(),
            window: CongestionWindow::default(),
        }
    }

    /// Returns a free number for the next request, or `None` if too many wait.
    pub(crate) fn free_tid(&self, random: &mut Random) -> Option<u16> {
        if self.waiting.len() >= WAITING_MAX {
            return None;
        }
        // At most one in 16 is taken, so that many draws in a row do not fail.
        (0..64).map(|_| random.number()).find(|tid| !self.waiting.contains_key(tid))
    }

    /// Queues a request under a free number. [`Self::next_due`] sends it.
    pub(crate) fn add(
        &mut self,
        tid: u16,
        purpose: P,
        (socket, to): (Socket, Address),
        (bytes, ttl): (Vec<u8>, Option<u8>),
        patience: RetryPolicy,
    ) {
        let RetryPolicy { tries, timeout } = patience;
        let waiting = Waiting {
            purpose,
            socket,
            to,
            sent_at: None,
            ttl,
            bytes,
            tries_left: tries.max(1),
            timeout,
            deadline: None,
        };
        self.waiting.insert(tid, waiting);
        self.queue.push_back(tid);
    }

    /// Takes the request that an answer with this number from this address belongs to.
    pub(crate) fn answered(&mut self, now: Instant, tid: u16, from: Address) -> Option<Waiting<P>> {
        let waiting = self.waiting.get(&tid)?;
        if waiting.to != from || waiting.sent_at.is_none() {
            return None;
        }
        self.window.answered(now);
        self.forget(tid)
    }

    /// Forgets the requests with matching purposes; late answers find nothing.
    pub(crate) fn cancel(&mut self, is_cancelled: impl Fn(&P) -> bool) {
        let tids = self.waiting.iter().filter(|(_, waiting)| is_cancelled(&waiting.purpose));
        let tids: Vec<u16> = tids.map(|(tid, _)| *tid).collect();
        tids.into_iter().for_each(|tid| _ = self.forget(tid));
    }

    /// Returns the next event that is due at `now`. Call it until there is none.
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<Due<P>> {
        if let Some(tid) = self.next_expired(now) {
            return Some(self.expire(tid));
        }
        if self.queue.is_empty() || !self.window.has_room(now) {
            return None;
        }
        self.queue.pop_front().map(|tid| self.send(now, tid))
    }

    /// Returns when [`Self::next_due`] has an event again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        let slot = (!self.queue.is_empty()).then(|| self.window.next_slot());
        deadline.into_iter().chain(slot).min()
    }

    fn next_expired(&self, now: Instant) -> Option<u16> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, tid)| *tid)
    }

    fn expire(&mut self, tid: u16) -> Due<P> {
        let waiting = &self.waiting[&tid];
        if waiting.tries_left == 0 {
            return Due::Failed(self.forget(tid).expect("what expires waits"));
        }
        let late = Due::Late { purpose: waiting.purpose, to: waiting.to };
        self.set_deadline(tid, None);
        self.queue.push_front(tid);
        late
    }

    fn send(&mut self, now: Instant, tid: u16) -> Due<P> {
        self.window.sent(now);
        let waiting = self.waiting.get_mut(&tid).expect("what is queued waits");
        waiting.tries_left -= 1;
        waiting.sent_at.get_or_insert(now);
        let deadline = now + waiting.timeout;
        let Waiting { purpose, socket, to, ttl, .. } = *waiting;
        let bytes = waiting.bytes.clone();
        self.set_deadline(tid, Some(deadline));
        Due::Send { purpose, socket, to, bytes, ttl }
    }

    fn set_deadline(&mut self, tid: u16, deadline: Option<Instant>) {
        let waiting = self.waiting.get_mut(&tid).expect("a deadline is of what waits");
        if let Some(before) = std::mem::replace(&mut waiting.deadline, deadline) {
            self.deadlines.remove(&(before, tid));
        }
        deadline.into_iter().for_each(|at| _ = self.deadlines.insert((at, tid)));
    }

    fn forget(&mut self, tid: u16) -> Option<Waiting<P>> {
        let waiting = self.waiting.remove(&tid)?;
        match waiting.deadline {
            Some(at) => _ = self.deadlines.remove(&(at, tid)),
            None => self.queue.retain(|queued| *queued != tid),
        }
        Some(waiting)
    }
}
