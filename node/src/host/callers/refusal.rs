//! Why a call was not executed, as its caller is told.

use std::time::Duration;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_protocol::audit::Violation;
use libvms_protocol::refusal::Reason;

/// A call that was not executed and is not in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason, for programs.
    pub reason: Reason,
    /// A description for people.
    pub why: String,
    /// The durable block of the call that stands in its way.
    pub block: Option<BlockIndex>,
    /// When it may be sent again.
    pub retry_after: Option<Duration>,
    /// The time of the log by which the call was judged, in milliseconds since 1970; `None` where no time matters.
    pub now: Option<u64>,
}

impl Refused {
    /// Returns a refusal that the reason alone explains.
    pub(in crate::host) fn new(reason: Reason) -> Self {
        let why = match reason {
            Reason::BadSignature => "the signature is not the caller's of this call to this log",
            Reason::RepeatedNonce => "another call with this nonce, or a greater one, is known",
            Reason::StaleCall => "the call was signed too long ago",
            Reason::StaleInstead => {
                "a call that this one replaces is too old to tell whether it was executed"
            }
            Reason::Early => "the call is signed for a later time",
            Reason::UnknownHead => "the head that the caller has seen is not this log's",
            Reason::OldHead => "the head that the caller has seen is too old to compare",
            Reason::Busy => "too many calls wait",
            Reason::Rate => "too many calls in a minute",
            Reason::NoMethod => "there is no such method",
            Reason::Invalid => "the call cannot be understood",
            Reason::Suspended => "the method is quarantined",
            Reason::Closing => "the service is closing",
        };
        Self { reason, why: why.into(), block: None, retry_after: None, now: None }
    }

    /// Returns the refusal of a call that would break a rule of the log. `length` is the number of durable blocks: a caller
    /// cannot be shown any other.
    pub(in crate::host) fn from_violation(violation: &Violation, length: Length) -> Self {
        let why = violation.to_string();
        let refused = |reason| Self { why: why.clone(), ..Self::new(reason) };
        match violation {
            Violation::RepeatedNonce { block, .. } | Violation::RepeatedCall { block, .. } => Self {
                block: Some(*block).filter(|block| length.has(*block)),
                ..refused(Reason::RepeatedNonce)
            },
            Violation::StaleCall { nonce, at, .. } if nonce / 1000 > *at => refused(Reason::Early),
            Violation::StaleCall { .. } => refused(Reason::StaleCall),
            Violation::StaleInstead { .. } => refused(Reason::StaleInstead),
            Violation::UnknownHead { is_old: true, .. } => refused(Reason::OldHead),
            Violation::UnknownHead { .. } => refused(Reason::UnknownHead),
            Violation::TooManyCalls { .. } => refused(Reason::Busy),
            Violation::BadSignature => refused(Reason::BadSignature),
            _ => refused(Reason::Invalid),
        }
    }
}
