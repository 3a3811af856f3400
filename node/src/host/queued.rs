//! A call on its way to the script, and those who wait for its answer.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libvms_protocol::entry::Auth;
use tokio::sync::oneshot;

use super::{Answer, CallError, CallRequest, CallResponse};

/// Calls that may wait at a time; further calls are refused. LibVMS has the same bound.
pub const CALLS_WAITING_MAX: usize = 1_000;

/// Calls of one address that may wait where callers sign: a quarter, so that no address fills the queue.
const OF_ADDRESS_MAX: usize = CALLS_WAITING_MAX / 4;

/// Replies that wait for one call.
pub(super) type Replies = VecDeque<Reply>;

/// A call admitted to the queue.
#[derive(Debug)]
pub(super) struct QueuedCall {
    pub(super) request: CallRequest,
    /// Those who wait for its answer: more than one where callers have repeated it.
    pub(super) replies: Replies,
    /// Bytes of its arguments, where bytes are counted (see `callers::quota`).
    pub(super) argument_bytes: u64,
}

impl QueuedCall {
    /// Tells those who wait that the call is not executed.
    pub(super) fn refuse(self, why: &CallError) {
        refuse(self.replies, why);
    }
}

/// Tells all that wait for a call why it is not executed.
pub(super) fn refuse(replies: Replies, why: &CallError) {
    for reply in replies {
        reply.send(Err(why.clone()), None);
    }
}

/// The sender of a call's answer. Dropping it tells the caller that the call will not be answered.
#[derive(Debug)]
pub(super) struct Reply {
    sender: oneshot::Sender<Answer>,
    permit: QueuePermit,
    pub(super) wants_receipt: bool,
}

impl Reply {
    pub(super) fn new(sender: oneshot::Sender<Answer>, permit: QueuePermit, wants_receipt: bool) -> Self {
        Self { sender, permit, wants_receipt }
    }

    /// Sends the answer; ignores a caller that has discarded it.
    pub(super) fn send(self, result: Result<CallResponse, CallError>, receipt: Option<Vec<u8>>) {
        let Self { sender, permit, .. } = self;
        // Drop the permit first: a caller may call again as soon as it has the answer, and must find the place free.
        drop(permit);
        let _closed = sender.send(Answer { result, receipt });
    }
}

/// The room in the queue, for all calls and for those of each address.
#[derive(Debug)]
pub(super) struct QueueRoom {
    of_address_max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    calls: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// A permit for a place in the queue. It belongs to the call, not to the caller: callers that come and go must not fill
/// the queue.
#[derive(Debug)]
pub(super) struct QueuePermit {
    room: Arc<QueueRoom>,
    address: Option<IpAddr>,
}

impl QueueRoom {
    /// Where callers do not sign, one address may have the whole queue, as in LibVMS.
    pub(super) fn new(auth: Auth) -> Self {
        let of_address_max = match auth {
            Auth::Debug => CALLS_WAITING_MAX,
            Auth::Signed => OF_ADDRESS_MAX,
        };
        Self { of_address_max, waiting: Mutex::default() }
    }

    /// Takes a place for a call from an address. `None` if there is none left for it.
    pub(super) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<QueuePermit> {
        let mut waiting = self.lock();
        let of_address = address.and_then(|address| waiting.by_address.get(&address)).copied().unwrap_or(0);
        if waiting.calls >= CALLS_WAITING_MAX || of_address >= self.of_address_max {
            return None;
        }
        waiting.calls += 1;
        if let Some(address) = address {
            waiting.by_address.insert(address, of_address + 1);
        }
        Some(QueuePermit { room: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        let mut waiting = self.room.lock();
        waiting.calls -= 1;
        let Some(address) = self.address else { return };
        match waiting.by_address.get_mut(&address) {
            Some(1) | None => {
                waiting.by_address.remove(&address);
            }
            Some(calls) => *calls -= 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    #[test]
    fn an_address_holds_a_quarter_of_the_queue_where_callers_sign() {
        let room = Arc::new(QueueRoom::new(Auth::Signed));
        let mut permits: Vec<_> = std::iter::from_fn(|| room.take(ADDRESS)).collect();
        assert_eq!(permits.len(), 250);
        permits.pop();
        let again = room.take(ADDRESS);
        assert!(again.is_some() && room.take(ADDRESS).is_none());
        let others: Vec<_> = std::iter::from_fn(|| room.take(None)).collect();
        assert_eq!(others.len(), 750);
        drop((permits, again, others));
        assert!(room.lock().calls == 0 && room.lock().by_address.is_empty());
    }

    #[test]
    fn an_address_may_have_the_whole_queue_where_callers_do_not_sign() {
        let room = Arc::new(QueueRoom::new(Auth::Debug));
        assert_eq!(std::iter::from_fn(|| room.take(ADDRESS)).collect::<Vec<_>>().len(), 1_000);
    }
}
