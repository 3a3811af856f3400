//! Comparing the heads that a service shows: those of receipts must belong to the one history that is known.

use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Node;
use serde_json::value::RawValue;

use super::{STALE_PAUSE, STALE_TRIES, Session, Way};
use crate::client::compare::{Comparison, compare};
use crate::client::error::{ClientError, TrustError};
use crate::client::greeting::{Asked, Greeting};
use crate::client::line::Line;
use crate::client::receipt::{Receipt, ReceiptFault};

/// Heads that are compared at a time.
const HEADS_AT_ONCE: usize = 8;

/// How often heads are compared again because the log has grown between two answers.
const ROUNDS_MAX: u32 = 50;

impl Session {
    /// Reads a receipt of this log.
    pub(in crate::client) async fn read_receipt(&self, member: &RawValue) -> Result<Receipt, ClientError> {
        match Receipt::read(member, &self.log) {
            Ok(receipt) => Ok(receipt),
            Err(ReceiptFault::Invalid { why }) => Err(ClientError::Unproved { why }),
            Err(ReceiptFault::Fork(proof)) => Err(self.distrust(proof).await.into()),
        }
    }

    /// Checks that the head of a receipt is a part of the history that is known, or goes on from it.
    pub(in crate::client) async fn check_receipt(
        &self,
        receipt: &Receipt,
        line: &Line,
    ) -> Result<(), ClientError> {
        self.show(receipt);
        let compared = {
            let mut state = self.lock();
            let compared = receipt.compare_with(&state.newest);
            if compared == Some(Comparison::GoesOn) {
                state.newest = receipt.head;
            }
            compared
        };
        match compared {
            Some(Comparison::GoesOn) => Ok(()),
            Some(Comparison::Fork(proof)) => Err(self.distrust(proof).await.into()),
            Some(Comparison::Stale) | None => self.check_head(receipt.head, line).await,
        }
    }

    /// Compares a head that was seen with the one by which a call was signed, if the service shows how they stand to each
    /// other. Fails where they are a fork.
    pub(in crate::client) async fn compare_shown(
        &self,
        seen: &SignedHead,
        shown: &SignedHead,
        nodes: &[Node],
    ) -> Result<(), ClientError> {
        match compare(seen, shown, nodes) {
            Comparison::Fork(proof) => Err(self.distrust(proof).await.into()),
            Comparison::GoesOn | Comparison::Stale => Ok(()),
        }
    }

    /// Checks a head by asking how it stands to the newest one. Calls that wait for that are answered together.
    pub(super) async fn check_head(&self, head: SignedHead, line: &Line) -> Result<(), ClientError> {
        {
            let mut state = self.lock();
            if !state.open.contains(&head) {
                state.open.push(head);
            }
        }
        let _turn = self.comparing.lock().await;
        let mut stale = 0;
        let mut shown = head;
        for _ in 0..ROUNDS_MAX {
            let Some((known, heads)) = self.to_compare(head)? else { return Ok(()) };
            let greetings = self.ask_about(&known, &heads, line).await?;
            match self.take_comparisons(&known, &heads, &greetings).await? {
                Some(head) if stale == STALE_TRIES => {
                    shown = head;
                    break;
                }
                Some(_) => {
                    tokio::time::sleep(STALE_PAUSE * 2_u32.pow(stale)).await;
                    stale += 1;
                }
                None => {}
            }
        }
        Err(TrustError::stale(&self.url, &head, &shown).into())
    }

    /// Returns the newest head and those to compare with it, of which `head` is the first; `None` if that one is compared.
    fn to_compare(&self, head: SignedHead) -> Result<Option<(SignedHead, Vec<SignedHead>)>, TrustError> {
        let mut state = self.lock();
        if let Some(why) = &state.distrust {
            return Err(why.clone());
        }
        let newest = state.newest;
        state.open.retain(|open| *open != newest);
        if !state.open.contains(&head) {
            return Ok(None);
        }
        let others = state.open.iter().filter(|open| **open != head).copied();
        Ok(Some((newest, [head].into_iter().chain(others).take(HEADS_AT_ONCE).collect())))
    }

    /// Asks how the log has grown out of `known` and out of each of `heads`, all at once: the service's head is then most
    /// likely the same in all answers.
    async fn ask_about(
        &self,
        known: &SignedHead,
        heads: &[SignedHead],
        line: &Line,
    ) -> Result<Vec<Greeting>, ClientError> {
        let ask = |head: &SignedHead| {
            let asked = Asked { consistency: Some(head.length()), latest: false };
            async move { Way::Line(line).ask(self, asked).await }
        };
        // In this order: each request is queued when it is polled first.
        futures::future::try_join_all([known].into_iter().chain(heads).map(ask)).await
    }

    /// Takes the answers to [`Session::ask_about`]. Returns the service's head if it is stale.
    async fn take_comparisons(
        &self,
        known: &SignedHead,
        heads: &[SignedHead],
        greetings: &[Greeting],
    ) -> Result<Option<SignedHead>, ClientError> {
        let Some((first, others)) = greetings.split_first() else { return Ok(None) };
        greetings.iter().try_for_each(|greeting| self.check_service(greeting))?;
        let mut stale = None;
        match compare(known, &first.head, &first.nodes) {
            Comparison::Fork(proof) => return Err(self.distrust(proof).await.into()),
            Comparison::Stale => stale = Some(first.head),
            Comparison::GoesOn => {
                let mut state = self.lock();
                // Another call may have got further meanwhile.
                if state.newest == *known {
                    state.newest = first.head;
                }
            }
        }
        for (head, greeting) in heads.iter().zip(others) {
            match compare(head, &greeting.head, &greeting.nodes) {
                Comparison::Fork(proof) => return Err(self.distrust(proof).await.into()),
                Comparison::Stale => stale = Some(greeting.head),
                Comparison::GoesOn => {
                    let mut state = self.lock();
                    if state.newest == greeting.head {
                        state.open.retain(|open| open != head);
                    }
                }
            }
        }
        Ok(stale)
    }
}
