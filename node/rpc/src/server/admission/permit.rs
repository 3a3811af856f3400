//! A connection's side: its permit, and the charges for the bytes it holds.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use libvms_hypercore::address::prefix;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::state::Waiting;
use super::{ADDRESS_SHARE, Admission, QuotaExceeded};
use crate::progress::Progress;
use crate::server::CallOrigin;

/// Permission for one connection. Dropping the last copy frees the place.
#[derive(Clone, Debug)]
pub(in crate::server) struct ConnectionPermit {
    pub(super) issued: Arc<Issued>,
}

#[derive(Debug)]
pub(super) struct Issued {
    pub(super) admission: Arc<Admission>,
    pub(super) account: Arc<Account>,
}

/// Bytes held for a connection; dropping the charge frees them. A charge outlives the connection when its call does.
#[derive(Debug)]
pub(in crate::server) struct Charge {
    pub(super) admission: Arc<Admission>,
    pub(super) account: Arc<Account>,
    pub(super) bytes: usize,
    pub(super) is_buffered: bool,
}

/// A message's place in the queue for room. Dropping the ticket gives up the turn, or the room already granted.
pub(super) struct Ticket {
    pub(super) permit: ConnectionPermit,
    pub(super) number: u64,
    pub(super) bytes: usize,
    pub(super) granted: oneshot::Receiver<()>,
    pub(super) is_used: bool,
}

impl ConnectionPermit {
    /// Records that the connection has made a complete request, and is busy with it or idle again.
    pub(in crate::server) fn heard(&self, is_busy: bool) {
        let account = &self.issued.account;
        account.has_spoken.store(true, Ordering::SeqCst);
        account.is_busy.store(is_busy, Ordering::SeqCst);
        *account.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns where calls of this connection come from.
    pub(in crate::server) fn origin(&self) -> CallOrigin {
        let id = self.issued.account.id;
        let address = self.issued.admission.lock().accounts.get(&id).and_then(|entry| entry.address);
        CallOrigin { address, connection: id }
    }

    /// Counts the connection for the caller's `address`, which its proxy named.
    pub(in crate::server) fn speaks_for(&self, address: IpAddr) {
        self.issued.admission.lock().move_to(self.issued.account.id, prefix(address));
    }

    pub(in crate::server) fn progress(&self) -> Arc<Progress> {
        self.issued.account.progress.clone()
    }

    /// Returns the token that is cancelled when the place is needed for others.
    pub(in crate::server) fn ended(&self) -> &CancellationToken {
        &self.issued.account.ended
    }

    /// Returns whether little room is left: then the connection should read no more.
    pub(in crate::server) fn is_tight(&self) -> bool {
        let Issued { admission, account } = &*self.issued;
        let state = admission.lock();
        let Some(entry) = state.accounts.get(&account.id) else { return false };
        let of_address = entry.address.map_or(0, |address| state.share(address).bytes);
        let max = admission.bytes_max;
        state.all.bytes > max / 2 || of_address > max / ADDRESS_SHARE / 2
    }

    /// Reserves `bytes` for a message before it is read, if there is room now.
    pub(in crate::server) fn try_reserve(&self, bytes: usize) -> Option<Charge> {
        let has_room = self.issued.admission.try_take(&self.issued.account, bytes);
        has_room.then(|| self.charge(bytes))
    }

    /// Waits until there is room for a message, and reserves it before the message is read.
    ///
    /// # Errors
    /// When others hold the room for too long.
    pub(in crate::server) fn reserve(
        &self,
        bytes: usize,
    ) -> impl Future<Output = Result<Charge, QuotaExceeded>> + Send + use<> {
        let ready = self.try_reserve(bytes);
        let permit = self.clone();
        async move {
            if let Some(charge) = ready {
                return Ok(charge);
            }
            let wait_max = permit.issued.admission.wait_max;
            let mut ticket = Ticket::draw(permit, bytes);
            match tokio::time::timeout(wait_max, &mut ticket.granted).await {
                Ok(Ok(())) => Ok(ticket.redeem()),
                _ => Err(QuotaExceeded { bytes }),
            }
        }
    }

    /// Charges bytes that already exist.
    pub(in crate::server) fn hold(&self, bytes: usize) -> Charge {
        let mut charge = self.charge(0);
        charge.resize(bytes);
        charge
    }

    /// Returns a charge for bytes that are already counted as held.
    pub(super) fn charge(&self, bytes: usize) -> Charge {
        let Issued { admission, account } = &*self.issued;
        account.buffer(bytes);
        Charge { admission: admission.clone(), account: account.clone(), bytes, is_buffered: true }
    }
}

impl Drop for Issued {
    fn drop(&mut self) {
        self.admission.lock().leave(self.account.id);
        self.admission.serve_waiting();
    }
}

impl Ticket {
    pub(super) fn draw(permit: ConnectionPermit, bytes: usize) -> Self {
        let (sender, granted) = oneshot::channel();
        let Issued { admission, account } = &*permit.issued;
        let mut state = admission.lock();
        state.last_ticket += 1;
        let number = state.last_ticket;
        state.waiting.insert(number, Waiting { account: account.clone(), bytes, granted: sender });
        drop(state);
        admission.serve_waiting();
        Self { permit, number, bytes, granted, is_used: false }
    }

    /// Returns the charge for the room granted.
    fn redeem(mut self) -> Charge {
        self.is_used = true;
        // The wait was for others and must not count as a stall of this connection.
        self.permit.issued.account.progress.step();
        self.permit.charge(self.bytes)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let waited = self.permit.issued.admission.lock().waiting.remove(&self.number);
        if waited.is_none() && !self.is_used {
            drop(self.permit.charge(self.bytes));
        }
    }
}

impl Charge {
    /// Sets the number of bytes held to `bytes`.
    pub(in crate::server) fn resize(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes > before {
            self.buffer(bytes - before, true);
            self.admission.give(&self.account, bytes - before);
        } else if bytes < before {
            self.buffer(before - bytes, false);
            self.admission.release(&self.account, before - bytes);
        }
    }

    /// Adds another charge of the same connection to this one.
    pub(in crate::server) fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Moves the bytes from the caller to calls: the caller cannot influence how long calls hold them.
    pub(in crate::server) fn pass_on(&mut self) {
        self.buffer(self.bytes, false);
        self.is_buffered = false;
    }

    fn buffer(&self, bytes: usize, is_more: bool) {
        match (self.is_buffered, is_more) {
            (false, _) => (),
            (true, true) => self.account.buffer(bytes),
            (true, false) => {
                self.account.buffered.fetch_sub(bytes, Ordering::SeqCst);
            }
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.resize(0);
    }
}
