//! The text of an answer. Ids and results are copied unchanged, never serialised again.

use serde_json::value::RawValue;

use super::{RpcAnswer, RpcOptions};
use crate::error::{REFUSED_CODE, RpcError};

/// Bytes that are left for the answers to one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// For all of them but their receipts.
    answers: usize,
    receipts: usize,
}

impl Room {
    pub(super) fn new(options: &RpcOptions) -> Self {
        Self { answers: options.answer_bytes_max, receipts: options.receipt_bytes_max }
    }

    /// Takes room for an answer and its receipt. One of a receipt alone may have more than what answers have.
    fn take(&mut self, answer: usize, receipt: usize) {
        let over = answer.saturating_sub(self.answers);
        self.answers = self.answers.saturating_sub(answer);
        self.receipts = self.receipts.saturating_sub(receipt + over);
    }
}

/// Returns the answer to the request `id`; `None` is a request whose id cannot be read.
///
/// A result for which there is no room is replaced by an error. A receipt without room is left out: a call that is sent
/// again alone gets it.
pub(super) fn text(id: Option<&RawValue>, answer: &RpcAnswer, room: &mut Room) -> String {
    let mut text = outcome_text(id, &answer.outcome, room.answers);
    let outcome_bytes = text.len();
    if let Some(receipt) = &answer.receipt
        && receipt.len() + RECEIPT_BYTES <= room.receipts
    {
        text.pop();
        for part in [r#","receipt":""#, receipt, r#""}"#] {
            text.push_str(part);
        }
    }
    // In a batch, `[` or `,` stands before it.
    room.take(1 + outcome_bytes, text.len() - outcome_bytes);
    text
}

/// As [`text`], for a result that may have a receipt inside.
pub(super) fn text_with_receipt(id: &RawValue, result: Box<RawValue>, room: &mut Room) -> String {
    let text = outcome_text(Some(id), &Ok(Some(result)), room.answers + room.receipts);
    room.take(1 + text.len(), 0);
    text
}

/// Bytes that a receipt adds to an answer, besides its own.
const RECEIPT_BYTES: usize = r#","receipt":"""#.len();

fn outcome_text(
    id: Option<&RawValue>,
    outcome: &Result<Option<Box<RawValue>>, RpcError>,
    bytes_max: usize,
) -> String {
    let id = id.map_or("null", RawValue::get);
    match outcome {
        Ok(result) => {
            let result = result.as_deref().map_or("null", RawValue::get);
            match result.len() + id.len() + ENVELOPE_BYTES > bytes_max {
                true => error_text(id, &too_large(result.len()), bytes_max),
                false => result_text(id, result),
            }
        }
        Err(error) => error_text(id, error, bytes_max),
    }
}

/// Bytes of an answer besides its id and its result.
const ENVELOPE_BYTES: usize = r#"{"jsonrpc":"2.0","id":,"result":}"#.len();

/// Bytes that details add to an error, besides their own.
const DETAILS_BYTES: usize = r#","details":}}"#.len();

fn result_text(id: &str, result: &str) -> String {
    let mut text = String::with_capacity(ENVELOPE_BYTES + id.len() + result.len());
    for part in [r#"{"jsonrpc":"2.0","id":"#, id, r#","result":"#, result, "}"] {
        text.push_str(part);
    }
    text
}

/// Returns the answer for an error. Details that would make the answer longer than `bytes_max` are left out: the rest
/// of the error is still useful.
fn error_text(id: &str, error: &RpcError, bytes_max: usize) -> String {
    let mut text = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{},"message":"#, error.code);
    text.push_str(&quoted(&error.message));
    if let Some(data) = &error.data {
        text.push_str(r#","data":"#);
        text.push_str(&quoted(data));
    }
    if let Some(refusal) = error.refusal.as_deref().and_then(|refusal| serde_json::to_string(refusal).ok()) {
        text.push_str(if error.code == REFUSED_CODE { r#","data":"# } else { r#","refusal":"# });
        text.push_str(&refusal);
    }
    if let Some(details) = &error.details {
        let details = details.to_string();
        if text.len() + details.len() + DETAILS_BYTES <= bytes_max {
            text.push_str(r#","details":"#);
            text.push_str(&details);
        }
    }
    if let Some(stack) = &error.stack {
        text.push_str(r#","stack":"#);
        text.push_str(&quoted(stack));
    }
    text.push_str("}}");
    text
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("any text can be written as JSON")
}

fn too_large(bytes: usize) -> RpcError {
    let why = format!("the call was made, but its result of {bytes} bytes does not fit into the answer");
    RpcError::internal(why)
}
