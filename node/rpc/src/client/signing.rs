//! Signed calls: each intention is executed once, and its answer is what the log says. Start from [`call`].
//!
//! A call is sent again as it is while the service cannot be reached, closes, fails, is busy, or has not come to the call's time: a
//! host executes the same call once. It is signed again where it can no longer be executed as it is, in the place of all that
//! were signed for the intention before.

use std::io;
use std::time::{Duration, Instant};

use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_protocol::entry::Authorization;
use libvms_protocol::entry::call::SCRIPT_ERROR_CODE;
use libvms_protocol::limits::ARGUMENTS_BYTES_MAX;
use libvms_protocol::refusal::Reason;
use libvms_protocol::value::Value;
use serde::de::Error;
use serde_json::value::RawValue;

use super::error::{CallRefusal, ClientError};
use super::intention::{Intention, Whose};
use super::line::{Answered, Line};
use super::receipt::{self, Receipt};
use super::refusal::Declined;
use super::reply::Reply;
use super::session::Session;
use super::wire;
use crate::error::RpcError;

/// The least time before a call is sent again as it is, so that no host makes us send without end.
const AGAIN_MIN: Duration = Duration::from_millis(20);

/// The longest time between two attempts while a host closes or is busy.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// The least time before a call that was overtaken a second time is signed again. A log's time has a millisecond's steps.
const OVERTAKEN_MIN: Duration = Duration::from_millis(1);

/// The answer to a call, with the proof that the log holds it.
#[derive(Clone, Debug)]
pub struct ProvedAnswer {
    /// The outcome as the log has it: the result, `None` for `undefined`; or the error of the script.
    pub outcome: Result<Option<Box<RawValue>>, RpcError>,
    /// The block of the call's entry.
    pub block: BlockIndex,
    /// The receipt: a proof file of the kind `inclusion`.
    pub receipt: Vec<u8>,
}

/// A call on its way.
struct Sent {
    by: Authorization,
    /// The head in it.
    seen: SignedHead,
    answered: Answered,
}

/// What follows from an answer.
enum Next {
    Done(ProvedAnswer),
    /// The same call is sent again.
    Send {
        after: Duration,
        why: ClientError,
    },
    /// Another call is signed.
    Sign {
        after: Duration,
        why: ClientError,
    },
}

/// One call of a client with a key.
struct Calling<'a> {
    session: &'a Session,
    line: &'a Line,
    key: &'a SecretKey,
    intention: Intention,
    begun: Instant,
    /// Whether it was signed again by itself, which happens once.
    was_signed_again: bool,
    pause: Duration,
    overtaken_pause: Duration,
}

/// Makes a signed call, and returns the answer that the log holds.
pub(super) async fn call(
    session: &Session,
    line: &Line,
    method: &str,
    args: Vec<Value>,
) -> Result<ProvedAnswer, ClientError> {
    let key = session.key().ok_or(ClientError::NoKey)?;
    let calling = Calling {
        session,
        line,
        key,
        intention: Intention::new(method.into(), args),
        begun: Instant::now(),
        was_signed_again: false,
        pause: AGAIN_MIN,
        overtaken_pause: Duration::ZERO,
    };
    let answer = calling.run().await?;
    session.store_sometimes(line).await?;
    Ok(answer)
}

impl Calling<'_> {
    async fn run(mut self) -> Result<ProvedAnswer, ClientError> {
        let mut sent = self.sign().await?;
        loop {
            let reply = self.line.wait(sent.answered).await?;
            let (by, seen) = (sent.by, sent.seen);
            sent = match self.judge(reply, &by, &seen).await? {
                Next::Done(answer) => return Ok(answer),
                Next::Send { after, .. } if self.begun.elapsed() + after <= self.session.retry_timeout() => {
                    tokio::time::sleep(after.max(AGAIN_MIN)).await;
                    self.send_again(by, seen).await?
                }
                Next::Sign { after, .. } if self.intention.may_sign() => {
                    tokio::time::sleep(after).await;
                    self.sign().await?
                }
                Next::Send { why, .. } | Next::Sign { why, .. } => return Err(why),
            }
        }
    }

    /// Signs a call and sends it. Numbers leave in ascending order.
    async fn sign(&mut self) -> Result<Sent, ClientError> {
        match self.try_sign().await {
            Err(ClientError::Clock { .. }) => {
                self.session.ask_time(self.line).await?;
                self.try_sign().await
            }
            signed => signed,
        }
    }

    async fn try_sign(&mut self) -> Result<Sent, ClientError> {
        let Self { session, line, key, intention, .. } = self;
        let make = |id| {
            let (nonce, seen) = session.next_number()?;
            let by = intention.sign(key, &session.log(), nonce, &seen);
            let text = wire::signed_request(id, &intention.method, &intention.args, &by);
            Ok((text.map_err(ClientError::Arguments)?, (by, seen)))
        };
        let (answered, (by, seen)) = line.send(make).await?;
        Ok(Sent { by, seen, answered })
    }

    async fn send_again(&self, by: Authorization, seen: SignedHead) -> Result<Sent, ClientError> {
        let Intention { method, args, .. } = &self.intention;
        let make = |id| {
            let text = wire::signed_request(id, method, args, &by);
            Ok((text.map_err(ClientError::Arguments)?, ()))
        };
        let (answered, ()) = self.line.send(make).await?;
        Ok(Sent { by, seen, answered })
    }

    /// Decides by an answer. What stands beside a receipt is not read.
    async fn judge(
        &mut self,
        reply: Reply,
        by: &Authorization,
        seen: &SignedHead,
    ) -> Result<Next, ClientError> {
        if let Some(member) = &reply.receipt {
            let receipt = self.session.read_receipt(member).await?;
            self.session.check_receipt(&receipt, self.line).await?;
            return self.take(receipt);
        }
        let unproved = |why| Err(ClientError::Unproved { why });
        let error = match reply.outcome {
            Ok(_) => return unproved("it has a result and no receipt".into()),
            Err(error) => error,
        };
        let Some(refusal) = reply.refusal else { return self.act_on_error(error) };
        let call = by.call_hash(&self.session.log(), &self.intention.method, &self.intention.args);
        match Declined::read(&refusal, &error, &self.session.log(), &call) {
            Ok(declined) => self.act(declined, by, seen).await,
            Err(why) => unproved(format!("its refusal cannot be read: {why}")),
        }
    }

    /// Decides by an error that is neither proved nor a refusal. One with the code of scripts is not the script's, which would stand in
    /// the log: it is what a host says that has failed, with its disk for instance. Nobody knows what became of the call, so the
    /// same one is sent again.
    fn act_on_error(&mut self, RpcError { code, message, data, .. }: RpcError) -> Result<Next, ClientError> {
        let why = data.map_or_else(|| message.clone(), |data| format!("{message}: {data}"));
        let why = ClientError::Unproved { why };
        if code == SCRIPT_ERROR_CODE { Ok(Next::Send { after: self.next_pause(), why }) } else { Err(why) }
    }

    /// Takes the receipt of an entry, which may be that of any call that was signed for the intention.
    fn take(&mut self, receipt: Receipt) -> Result<Next, ClientError> {
        let block = receipt.block();
        let Some(entry) = receipt.call() else {
            return Err(ClientError::Unproved {
                why: format!("the receipt is of block {block}, which is no call"),
            });
        };
        match self.intention.compare(&self.session.log(), &entry.call) {
            Whose::Ours => {
                let outcome = receipt::outcome(block, entry);
                Ok(Next::Done(ProvedAnswer { outcome, block, receipt: receipt.bytes }))
            }
            Whose::OtherOfKey => {
                let why =
                    format!("repeated-nonce (another call of this key, in block {block}, has the number)");
                let why = CallRefusal {
                    reason: Some(Reason::RepeatedNonce),
                    why,
                    now: None,
                    block: Some(block),
                    retry_after: None,
                    signed: None,
                };
                Ok(Next::Sign { after: Duration::ZERO, why: Box::new(why).into() })
            }
            Whose::Foreign => Err(ClientError::Unproved {
                why: format!("the receipt is that of another call, in block {block}"),
            }),
        }
    }

    /// Decides by a refusal.
    async fn act(
        &mut self,
        declined: Declined,
        by: &Authorization,
        seen: &SignedHead,
    ) -> Result<Next, ClientError> {
        let reason = declined.reason();
        declined.refusal.now.into_iter().for_each(|now| self.session.tell(now));
        declined.latest.iter().for_each(|latest| self.session.show_latest(latest));
        if reason == Some(Reason::RepeatedNonce) {
            self.session.overtaken();
        }
        if let Some(Reason::UnknownHead | Reason::OldHead) = reason {
            self.compare_heads(&declined, seen).await?;
        }
        let why = ClientError::from(Box::new(declined.refusal));
        match reason {
            Some(Reason::Early) => Ok(Next::Send { after: self.session.wait_for(by.nonce), why }),
            Some(Reason::Closing | Reason::Busy) => Ok(Next::Send { after: self.next_pause(), why }),
            // The call that stands in the way has a greater number, or the same one. In the first case the next number is
            // greater, since the log's time has come to both. In the second the host answers the next call, which has that
            // number in `instead`, with the entry of the other.
            Some(Reason::RepeatedNonce) => Ok(Next::Sign { after: self.next_overtaken_pause(), why }),
            Some(Reason::StaleCall | Reason::UnknownHead | Reason::OldHead) if !self.was_signed_again => {
                self.was_signed_again = true;
                Ok(Next::Sign { after: Duration::ZERO, why })
            }
            _ => Err(why),
        }
    }

    /// Compares the head by which a call was signed with the one that the host shows instead, and asks for the newest.
    async fn compare_heads(&self, declined: &Declined, seen: &SignedHead) -> Result<(), ClientError> {
        let shown = declined.head.as_ref().and_then(|head| head.of(self.session.log()).verify().ok());
        if let Some(shown) = shown {
            self.session.compare_shown(seen, &shown, &declined.nodes.0).await?;
        }
        self.session.refresh(self.line).await
    }

    /// Returns how long to wait before an overtaken call is signed again: not at all, then ever longer.
    fn next_overtaken_pause(&mut self) -> Duration {
        let pause = self.overtaken_pause;
        self.overtaken_pause = 2 * pause + OVERTAKEN_MIN;
        pause
    }

    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (2 * pause).min(AGAIN_MAX);
        pause
    }
}

/// Reads the arguments of a call in the form in which they are signed and sent.
pub(super) fn arguments(json: &str) -> Result<Vec<Value>, ClientError> {
    let args = match serde_json::from_str(json).map_err(ClientError::Arguments)? {
        Value::Array(args) => args,
        _ => return Err(ClientError::Arguments(Error::custom("those of a signed call are an array"))),
    };
    let mut written = Counter(0);
    serde_json::to_writer(&mut written, &args).map_err(ClientError::Arguments)?;
    match written.0 {
        bytes if bytes > ARGUMENTS_BYTES_MAX => Err(ClientError::ArgumentsTooLong { bytes }),
        _ => Ok(args),
    }
}

/// Counts the bytes that are written to it.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
