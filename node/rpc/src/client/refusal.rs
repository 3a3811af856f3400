//! Why a host has not executed a call, as its answer says it: [`Declined`].

use std::time::Duration;

use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::{PublicKey, Signature};
use libvms_protocol::refusal::{Reason, Refusal};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::CallRefusal;
use super::wire::{self, HeadForm, Nodes};
use crate::error::RpcError;

/// Characters of a reason and of a description that are kept.
const WHY_CHARS_MAX: usize = 500;

/// A refusal, and what comes with it to act on.
#[derive(Debug)]
pub(super) struct Declined {
    pub(super) refusal: CallRefusal,
    /// A head of the log, not checked, and the nodes that show how it has grown out of the one that the caller has seen.
    pub(super) head: Option<HeadForm>,
    pub(super) nodes: Nodes,
    /// The receipt of the latest entry, not checked.
    pub(super) latest: Option<String>,
}

#[derive(Deserialize)]
struct Form {
    reason: String,
    #[serde(default)]
    now: Option<u64>,
    #[serde(default)]
    block: Option<BlockIndex>,
    #[serde(default, rename = "retryAfter")]
    retry_after: Option<u64>,
    #[serde(default)]
    head: Option<HeadForm>,
    #[serde(default)]
    nodes: Option<Nodes>,
    #[serde(default)]
    latest: Option<String>,
    #[serde(default, deserialize_with = "signature")]
    sig: Option<Signature>,
}

fn signature<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Signature>, D::Error> {
    wire::fixed(deserializer).map(Signature).map(Some)
}

impl Declined {
    /// Reads the refusal that comes with an error, of the call that `call` names in this log.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn read(
        refusal: &RawValue,
        error: &RpcError,
        log: &PublicKey,
        call: &[u8; 32],
    ) -> Result<Self, String> {
        let form: Form = serde_json::from_str(refusal.get()).map_err(|error| error.to_string())?;
        let Form { reason, now, block, retry_after, head, nodes, latest, sig } = form;
        let signed =
            sig.zip(now).map(|(sig, now)| Refusal { log: *log, reason: reason.clone(), now, block, sig });
        let said = error.data.as_ref().map_or_else(String::new, |data| format!(": {data}"));
        let why = format!("{} ({}{said})", cut(&reason), error.message);
        let refusal = CallRefusal {
            reason: reason.parse().ok(),
            why: cut(&why),
            now,
            block,
            retry_after: retry_after.map(Duration::from_millis),
            signed: signed.filter(|signed| signed.is_signed(call)),
        };
        Ok(Self { refusal, head, nodes: nodes.unwrap_or_default(), latest })
    }

    /// Returns the reason, if this version knows it.
    pub(super) fn reason(&self) -> Option<Reason> {
        self.refusal.reason
    }
}

fn cut(text: &str) -> String {
    text.chars().take(WHY_CHARS_MAX).collect()
}
