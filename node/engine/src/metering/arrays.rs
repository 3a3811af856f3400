//! The costs of built-ins on arrays.
//!
//! The engine counts built-ins that call a function of the script for each element, and searches through
//! anything but a dense array. This file covers the loops that it does not see. On a dense array they cost by the elements
//! that they touch; on another array, where each index is looked up in the prototypes too, eight times as much; on any other
//! object by its length if that can be known beforehand. Otherwise the prelude's version runs, loop by loop in the engine.

use super::operand::{LENGTH_MAX, Name, Operand, Operands, Property};
use super::price::{UNITS_PER_STEP, printing as printing_of};
use super::{Charge, Known};

/// Elements of a dense array that are moved or compared in one step.
const ELEMENTS_PER_STEP: u64 = 8;
/// Elements that one step moves together, as one piece of memory.
const SHIFTED_PER_STEP: u64 = 32;
/// Steps that are charged at once for elements that may not exist. More than a call has by default.
const CLAIMED_STEPS_MAX: u64 = 1 << 24;
/// Limbs of an integer that are compared in one step.
const LIMBS_PER_STEP: u64 = 16;

/// A receiver: its number of elements, and the steps for a number of them.
struct Receiver {
    length: u64,
    is_dense: bool,
}

impl Receiver {
    fn of(this: Operand) -> Option<Self> {
        if let Some(length) = this.dense_length() {
            return Some(Self { length, is_dense: true });
        }
        if let Some(length) = this.text_length() {
            return Some(Self { length, is_dense: false });
        }
        if !this.is_object() {
            return None;
        }
        Some(Self { length: this.ordinary_length()?, is_dense: false })
    }

    fn steps(&self, elements: u64) -> u64 {
        if self.is_dense { elements.div_ceil(ELEMENTS_PER_STEP) } else { elements }
    }

    /// Returns a relative index as the built-ins read it. An object in its place could be anything: then `worst`.
    fn index(&self, argument: Operand, default: u64, worst: u64) -> u64 {
        if argument.is_undefined() {
            return default;
        }
        match argument.number() {
            Some(index) if index < 0.0 => self.length.saturating_sub((-index) as u64),
            Some(index) => (index as u64).min(self.length),
            None => worst,
        }
    }

    /// Returns the number of elements between two relative indices.
    fn range(&self, start: Operand, end: Operand) -> u64 {
        let start = self.index(start, 0, 0);
        self.index(end, self.length, self.length).saturating_sub(start)
    }
}

fn on_receiver(call: &Operands, steps: impl FnOnce(&Receiver) -> u64) -> Charge {
    if call.this().is_nullish() {
        return Charge::Steps(0);
    }
    match Receiver::of(call.this()) {
        Some(receiver) => match steps(&receiver) {
            // A receiver that claims more elements than it can mean to have touched may end early, by a getter that throws.
            // The prelude's version pays loop by loop for the work done, and not for the claim.
            claimed if claimed > CLAIMED_STEPS_MAX && !receiver.is_dense => Charge::Script,
            steps => Charge::Steps(steps),
        },
        None => Charge::Script,
    }
}

/// Charges for every element once.
pub(super) fn whole(call: &Operands, _: &Known) -> Charge {
    on_receiver(call, |receiver| receiver.steps(receiver.length))
}

/// Charges for every element's text, and a separator each time.
pub(super) fn join(call: &Operands, _: &Known) -> Charge {
    let separator = call.argument(0);
    if separator.is_object() {
        return if call.this().is_nullish() { Charge::Steps(0) } else { Charge::Script };
    }
    let units = separator.text_length().unwrap_or(1);
    on_receiver(call, |receiver| {
        let digits = if receiver.is_dense { printing(call.this(), receiver.length) } else { 0 };
        receiver
            .steps(receiver.length.saturating_mul(2))
            .saturating_add(receiver.length.saturating_mul(units / UNITS_PER_STEP))
            .saturating_add(digits)
    })
}

/// Charges for the elements from one index to another.
pub(super) fn slice(call: &Operands, _: &Known) -> Charge {
    on_receiver(call, |receiver| receiver.steps(possible(receiver.range(call.argument(0), call.argument(1)))))
}

/// Returns the number of elements for a new array; 0 for a longer one, which is refused at once, and free.
fn possible(elements: u64) -> u64 {
    if elements > u64::from(u32::MAX) { 0 } else { elements }
}

/// Charges for the elements from one index to another, one argument later.
pub(super) fn fill(call: &Operands, _: &Known) -> Charge {
    on_receiver(call, |receiver| receiver.steps(receiver.range(call.argument(1), call.argument(2))))
}

/// Charges for at most as many elements as are between the source's indices.
pub(super) fn copy_within(call: &Operands, _: &Known) -> Charge {
    on_receiver(call, |receiver| receiver.steps(receiver.range(call.argument(1), call.argument(2))))
}

/// Charges for the removed elements, and the tail if it moves.
pub(super) fn splice(call: &Operands, _: &Known) -> Charge {
    on_receiver(call, |receiver| {
        if call.count() == 0 {
            return 0;
        }
        let tail = receiver.length.saturating_sub(receiver.index(call.argument(0), 0, 0));
        let removed = match (call.count(), call.argument(1).number()) {
            (1, _) => tail,
            (_, Some(count)) => (count as u64).min(tail),
            (_, None) => tail,
        };
        let added = call.count().saturating_sub(2) as u64;
        if possible(removed) < removed || receiver.length - removed + added > LENGTH_MAX {
            return 0;
        }
        let is_moving = removed != added || call.argument(1).is_object() || call.argument(0).is_object();
        receiver.steps(if is_moving { tail.saturating_add(added) } else { removed.saturating_add(added) })
    })
}

/// Charges for moving each element one place to the front: one piece of memory when the array is dense.
pub(super) fn shift(call: &Operands, _: &Known) -> Charge {
    on_receiver(call, |receiver| {
        if receiver.is_dense { receiver.length / SHIFTED_PER_STEP } else { receiver.length.saturating_mul(2) }
    })
}

/// Charges for moving the elements to the back, if any must make room.
pub(super) fn unshift(call: &Operands, _: &Known) -> Charge {
    on_receiver(call, |receiver| {
        let is_refused = receiver.length + call.count() as u64 > LENGTH_MAX;
        if call.count() == 0 || is_refused { 0 } else { receiver.steps(receiver.length) }
    })
}

/// Charges for comparing with each element, and long text with text. The engine counts searches in other arrays itself.
pub(super) fn search(call: &Operands, _: &Known) -> Charge {
    let Some(length) = call.this().dense_length() else { return Charge::Steps(0) };
    let wanted = call.argument(0);
    let units = wanted.text_length().unwrap_or(0) / UNITS_PER_STEP + wanted.limbs() / LIMBS_PER_STEP;
    Charge::Steps((length / ELEMENTS_PER_STEP).saturating_add(length.saturating_mul(units)))
}

/// Charges for `n log n` comparisons. The engine counts calls of a comparator; without one they compare texts, whose length
/// can only be known if no element is an object with a `toString` of its own.
pub(super) fn sort(call: &Operands, _: &Known) -> Charge {
    let (this, comparator) = (call.this(), call.argument(0));
    let is_refused = !comparator.is_undefined() && !comparator.is_function();
    if this.is_nullish() || is_refused {
        return Charge::Steps(0);
    }
    if comparator.is_function() {
        return on_receiver(call, |receiver| receiver.steps(receiver.length.saturating_mul(4)));
    }
    let Some(length) = this.dense_length() else { return Charge::Script };
    match texts(this, length) {
        Some(units) => {
            let rounds = u64::from(length.checked_ilog2().unwrap_or(0)) + 1;
            let compared = (length / 2 + units / UNITS_PER_STEP).saturating_mul(rounds);
            Charge::Steps(compared.saturating_add(printing(this, length)))
        }
        None => Charge::Script,
    }
}

/// Returns the steps for the digits of all integers in a dense array.
fn printing(array: Operand, length: u64) -> u64 {
    (0..length).map(|index| array.element(index, printing_of)).fold(0, u64::saturating_add)
}

/// Returns the units of all texts in a dense array, if it contains no object.
fn texts(array: Operand, length: u64) -> Option<u64> {
    let mut units = 0_u64;
    for index in 0..length {
        let own = array
            .element(index, |element| (!element.is_object()).then(|| element.text_length().unwrap_or(0)))?;
        units = units.saturating_add(own);
    }
    Some(units)
}

/// Charges for all elements of all arrays, if creating the result and reading each length certainly runs no script: one
/// getter could make another array endless after it was counted.
pub(super) fn concat(call: &Operands, known: &Known) -> Charge {
    if call.this().is_nullish() {
        return Charge::Steps(0);
    }
    let mut elements = 0_u64;
    let parts = (0..call.count()).map(|index| call.argument(index)).filter(|part| part.is_object());
    for part in std::iter::once(call.this()).chain(parts) {
        match part.dense_length() {
            Some(length) if known.is_plain(part) => elements = elements.saturating_add(length),
            _ => return Charge::Script,
        }
    }
    if known.is_pristine(call) { Charge::Steps(elements / ELEMENTS_PER_STEP) } else { Charge::Script }
}

/// Charges for the elements, and those of the arrays among them.
pub(super) fn flat(call: &Operands, known: &Known) -> Charge {
    let (this, depth) = (call.this(), call.argument(0));
    if this.is_nullish() {
        return Charge::Steps(0);
    }
    let is_one = depth.is_undefined() || depth.number().is_some_and(|depth| (1.0..2.0).contains(&depth));
    let Some(length) = this.dense_length().filter(|_| is_one && known.is_plain(this)) else {
        return Charge::Script;
    };
    let mut elements = length;
    for index in 0..length {
        let inner = this.element(index, |element| match element.dense_length() {
            Some(length) => Some(length),
            None => (!element.is_object()).then_some(0),
        });
        match inner {
            Some(inner) => elements = elements.saturating_add(inner),
            None => return Charge::Script,
        }
    }
    if known.is_pristine(call) { Charge::Steps(elements / ELEMENTS_PER_STEP) } else { Charge::Script }
}

/// Always runs the prelude's version: the script's function can return an array of any length.
pub(super) fn scripted(call: &Operands, _: &Known) -> Charge {
    if call.this().is_nullish() { Charge::Steps(0) } else { Charge::Script }
}

impl Known {
    /// Returns whether an array is of no subclass, and overrides neither its constructor nor how it is spread.
    fn is_plain(&self, array: Operand) -> bool {
        array.prototype(|prototype| prototype.is(self.array_prototype))
            && matches!(array.own(Name::Constructor), Property::Absent)
            && matches!(array.own(Name::IsConcatSpreadable), Property::Absent)
    }

    /// Returns whether the properties that all arrays inherit are as the language defines them.
    fn is_pristine(&self, call: &Operands) -> bool {
        let (array, object) = (call.with(&self.array_prototype), call.with(&self.object_prototype));
        array.own_is(Name::Constructor, self.array)
            && call.with(&self.array).own_is(Name::Species, self.species)
            && array.prototype(|prototype| prototype.is(self.object_prototype))
            && [array, object]
                .iter()
                .all(|each| matches!(each.own(Name::IsConcatSpreadable), Property::Absent))
    }
}
