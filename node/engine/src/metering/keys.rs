//! The costs of built-ins on maps, sets and objects with many properties.

use super::operand::{Operand, Operands};
use super::{Charge, Known};

/// Steps for putting an entry into a map or a set, which takes several allocations.
const STEPS_PER_ENTRY: u64 = 8;
/// Steps for a look-up.
const STEPS_PER_LOOKUP: u64 = 2;
/// Steps for each property of an object that is listed or copied.
const STEPS_PER_PROPERTY: u64 = 8;
/// Units of a text that are hashed and compared in one step.
const UNITS_PER_STEP: u64 = 32;
/// Limbs of an integer that are hashed and compared in one step.
const LIMBS_PER_STEP: u64 = 16;
/// Arguments that are copied or compared in one step.
const ARGUMENTS_PER_STEP: u64 = 4;

/// Returns the steps for hashing a key, all of it.
fn hashing(call: &Operands) -> u64 {
    let key = call.argument(0);
    key.text_length().unwrap_or(0) / UNITS_PER_STEP + key.limbs() / LIMBS_PER_STEP
}

/// Charges for looking up a key.
pub(super) fn find(call: &Operands, _: &Known) -> Charge {
    Charge::Steps(STEPS_PER_LOOKUP + hashing(call))
}

/// Charges for inserting a key.
pub(super) fn add(call: &Operands, _: &Known) -> Charge {
    Charge::Steps(STEPS_PER_ENTRY + hashing(call))
}

/// Charges for a text as a key.
pub(super) fn text(call: &Operands, _: &Known) -> Charge {
    Charge::Steps(hashing(call))
}

/// Charges for two sets: each entry is looked up in the other one, and may be put into a new one.
pub(super) fn sets(call: &Operands, known: &Known) -> Charge {
    let size = |operand: Operand| operand.number_of(known.set_size).unwrap_or(0);
    let entries = size(call.this()).saturating_add(size(call.argument(0)));
    Charge::Steps(entries.saturating_mul(STEPS_PER_ENTRY))
}

/// Charges for putting each element into a group.
pub(super) fn group(call: &Operands, _: &Known) -> Charge {
    let elements = call.argument(0).dense_length().or(call.argument(0).text_length()).unwrap_or(0);
    Charge::Steps(elements.saturating_mul(STEPS_PER_ENTRY))
}

/// Charges for each property of the object, or of all objects, that are given.
pub(super) fn properties(call: &Operands, _: &Known) -> Charge {
    let counts = (0..call.count()).map(|index| call.argument(index).property_count());
    let count = counts.fold(0_u64, u64::saturating_add);
    Charge::Steps(count.saturating_mul(STEPS_PER_PROPERTY))
}

/// Charges for all arguments.
pub(super) fn arguments(call: &Operands, _: &Known) -> Charge {
    Charge::Steps(call.count() as u64 / ARGUMENTS_PER_STEP)
}

/// Charges for as many arguments as the second one lists.
pub(super) fn second_lists(call: &Operands, _: &Known) -> Charge {
    listed(call.argument(1))
}

/// Charges for as many arguments as the third one lists.
pub(super) fn third_lists(call: &Operands, _: &Known) -> Charge {
    listed(call.argument(2))
}

fn listed(list: Operand) -> Charge {
    /// Calls with more arguments are refused.
    const ARGUMENTS_MAX: u64 = 1 << 16;
    Charge::Steps(list.ordinary_length().unwrap_or(0).min(ARGUMENTS_MAX) / ARGUMENTS_PER_STEP)
}
