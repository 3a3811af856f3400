//! The costs of built-ins on typed arrays and buffers. Their lengths are always known; the allocator counts their
//! results.

use super::operand::{Operand, Operands};
use super::{Charge, Known};

/// Elements that are compared, set or copied unconverted in one step.
const PLAIN_ELEMENTS_PER_STEP: u64 = 32;
/// Elements that are read, converted and written in one step.
const ELEMENTS_PER_STEP: u64 = 8;
/// Bytes that are set or copied as one piece of memory in one step.
const BYTES_PER_STEP: u64 = 256;
/// Elements that are taken out of any object, one by one, in one step.
const COLLECTED_PER_STEP: u64 = 2;

/// Charges for every element once.
pub(super) fn whole(call: &Operands, _: &Known) -> Charge {
    Charge::Steps(length(call) / PLAIN_ELEMENTS_PER_STEP)
}

/// Charges for `n log n` comparisons; the engine counts calls of a comparator in addition.
pub(super) fn sort(call: &Operands, _: &Known) -> Charge {
    let length = length(call);
    let rounds = u64::from(length.checked_ilog2().unwrap_or(0)) + 1;
    Charge::Steps((length / ELEMENTS_PER_STEP).saturating_mul(rounds))
}

/// Charges for every element's text and a separator, which is any text.
pub(super) fn join(call: &Operands, _: &Known) -> Charge {
    Charge::Steps(length(call))
}

/// Charges for as many elements as fit into the target.
pub(super) fn set(call: &Operands, _: &Known) -> Charge {
    let source = call.argument(0);
    let elements = match (source.typed_length(), source.dense_length()) {
        (Some(typed), _) => typed / ELEMENTS_PER_STEP,
        (None, Some(dense)) => dense / ELEMENTS_PER_STEP,
        (None, None) => length(call) / COLLECTED_PER_STEP,
    };
    Charge::Steps(elements.min(length(call) / COLLECTED_PER_STEP))
}

fn length(call: &Operands) -> u64 {
    call.this().typed_length().unwrap_or(0)
}

/// Charges for a new array: of zeros, over a buffer, or of the elements of another object.
pub(super) fn construct(call: &Operands, known: &Known) -> Charge {
    let source = call.argument(0);
    if !source.is_object() || source.is_buffer() {
        return Charge::Steps(0);
    }
    match source.typed_length() {
        Some(length) => Charge::Steps(length / ELEMENTS_PER_STEP),
        None => collected(call, known),
    }
}

/// Charges for a new array by its result: the number of collected elements is unknown before, and memory bounds it.
pub(super) fn collected(_: &Operands, _: &Known) -> Charge {
    Charge::After(0, |result: Operand| result.typed_length().unwrap_or(0) / COLLECTED_PER_STEP)
}

/// Charges for resizing a buffer.
pub(super) fn resize(call: &Operands, _: &Known) -> Charge {
    match call.argument(0).number() {
        // No buffer is larger than this; such a size is refused at once.
        Some(size) if size > f64::from(i32::MAX) => Charge::Steps(0),
        Some(size) => Charge::Steps(size.max(0.0) as u64 / BYTES_PER_STEP),
        None if call.argument(0).is_object() && call.this().is_buffer() => Charge::Script,
        None => Charge::Steps(0),
    }
}
