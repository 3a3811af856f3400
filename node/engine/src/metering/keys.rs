//! What maps, sets and objects with many properties cost.

use super::operand::{Operand, Operands};
use super::{Charge, Known};

/// Steps for putting an entry into a map or a set, which are several allocations.
const STEPS_PER_ENTRY: u64 = 8;
/// Steps for looking one up.
const STEPS_PER_LOOKUP: u64 = 2;
/// Steps for each property of an object that is listed or copied.
const STEPS_PER_PROPERTY: u64 = 8;
/// Units of a text that are hashed and compared in a step.
const UNITS_PER_STEP: u64 = 32;
/// Limbs of an integer that are hashed and compared in a step.
const LIMBS_PER_STEP: u64 = 16;
/// Arguments that are copied or compared in a step.
const ARGUMENTS_PER_STEP: u64 = 4;

/// A key's hash goes over all of it.
fn hashing(call: &Operands) -> u64 {
    let key = call.argument(0);
    key.text_length().unwrap_or(0) / UNITS_PER_STEP + key.limbs() / LIMBS_PER_STEP
}

/// A key to look for.
pub(super) fn find(call: &Operands, _: &Known) -> Charge {
    Charge::Steps(STEPS_PER_LOOKUP + hashing(call))
}

/// A key to put in.
pub(super) fn add(call: &Operands, _: &Known) -> Charge {
    Charge::Steps(STEPS_PER_ENTRY + hashing(call))
}

/// A text as a key.
pub(super) fn text(call: &Operands, _: &Known) -> Charge {
    Charge::Steps(hashing(call))
}

/// Each entry of two sets is looked up in the other, and may come into a new one.
pub(super) fn sets(call: &Operands, known: &Known) -> Charge {
    let size = |operand: Operand| operand.number_of(known.set_size).unwrap_or(0);
    let entries = size(call.this()).saturating_add(size(call.argument(0)));
    Charge::Steps(entries.saturating_mul(STEPS_PER_ENTRY))
}

/// Each element goes into a group.
pub(super) fn group(call: &Operands, _: &Known) -> Charge {
    let elements = call.argument(0).dense_length().or(call.argument(0).text_length()).unwrap_or(0);
    Charge::Steps(elements.saturating_mul(STEPS_PER_ENTRY))
}

/// Each property of the object, or of all objects, that are given.
pub(super) fn properties(call: &Operands, _: &Known) -> Charge {
    let counts = (0..call.count()).map(|index| call.argument(index).property_count());
    let count = counts.fold(0_u64, u64::saturating_add);
    Charge::Steps(count.saturating_mul(STEPS_PER_PROPERTY))
}

/// As many arguments as there are.
pub(super) fn arguments(call: &Operands, _: &Known) -> Charge {
    Charge::Steps(call.count() as u64 / ARGUMENTS_PER_STEP)
}

/// As many as the second one lists.
pub(super) fn second_lists(call: &Operands, _: &Known) -> Charge {
    listed(call.argument(1))
}

/// As many as the third one lists.
pub(super) fn third_lists(call: &Operands, _: &Known) -> Charge {
    listed(call.argument(2))
}

fn listed(list: Operand) -> Charge {
    /// More are refused.
    const ARGUMENTS_MAX: u64 = 1 << 16;
    Charge::Steps(list.ordinary_length().unwrap_or(0).min(ARGUMENTS_MAX) / ARGUMENTS_PER_STEP)
}
