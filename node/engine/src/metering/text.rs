//! The costs of built-ins on texts, patterns and numbers in text form.
//!
//! Each rule expects operands that are texts already. The prelude converts other operands to texts first, in the built-in's own
//! order, and comes back with the results.

use super::operand::{Data, Name, Operand, Operands, Property};
use super::price::{UNITS_PER_STEP, printing, square};
use super::search;
use super::{Charge, Known};

/// Units that a built-in reads one by one in one step.
const SCANNED_PER_STEP: u64 = 8;
/// Units that are converted in one step: case, escaping, unescaping.
const TURNED_PER_STEP: u64 = 4;
/// A product of lengths up to which trying each place is as fast as anything.
const PRODUCT_MAX: u64 = 1 << 16;
/// A pattern up to this length is tried at each place.
const NEEDLE_UNITS_MAX: u64 = 16;
/// The number of digits read, divided by this and squared, is the number of steps.
const READ_DIGITS_PER_STEP: u64 = 96;
/// Steps for a number's digits if they must be computed one by one.
const STEPS_PER_PRINT: u64 = 128;
/// Units of a JSON text that are read in one step.
const JSON_UNITS_PER_STEP: u64 = 2;
/// Compiling a pattern takes time that grows with its square, from about this length on.
const PATTERN_UNITS_PER_STEP: u64 = 1024;
/// Steps for one use of a regular expression, beside the matcher's own count: the matcher counts each use from zero, so
/// ten thousand turns of each are never seen.
const STEPS_PER_MATCH: u64 = 8;

/// Charges for the text that the function is called on, each unit once.
pub(super) fn scan(call: &Operands, _: &Known) -> Charge {
    on_text(call, |length| length / SCANNED_PER_STEP)
}

/// Charges for converting each unit of that text.
pub(super) fn turn(call: &Operands, _: &Known) -> Charge {
    on_text(call, |length| length / TURNED_PER_STEP)
}

/// Charges for the first argument's text, each unit once, if it is a text already: otherwise the engine counts a part of its
/// printing, and the allocator the copy.
pub(super) fn argument(call: &Operands, _: &Known) -> Charge {
    if call.argument(0).is_object() {
        return Charge::Script;
    }
    Charge::Steps(call.argument(0).text_length().unwrap_or(0) / TURNED_PER_STEP)
}

/// Charges for the first argument, which must be a text.
pub(super) fn subject(call: &Operands, _: &Known) -> Charge {
    Charge::Steps(call.argument(0).text_length().unwrap_or(0) / TURNED_PER_STEP)
}

fn on_text(call: &Operands, steps: impl FnOnce(u64) -> u64) -> Charge {
    let this = call.this();
    match this.text_length() {
        Some(length) => Charge::Steps(steps(length)),
        None if this.is_nullish() => Charge::Steps(0),
        None => Charge::Script,
    }
}

/// Charges for the result of `repeat`, `padStart` and `padEnd`.
pub(super) fn repeat(call: &Operands, _: &Known) -> Charge {
    let Some(count) = call.argument(0).number() else {
        return if call.this().is_nullish() || !call.argument(0).is_object() {
            Charge::Steps(0)
        } else {
            Charge::Script
        };
    };
    on_text(call, |length| possible((count.max(0.0) as u64).saturating_mul(length)) / UNITS_PER_STEP)
}

/// Returns a length that a text can have; 0 for a longer one, which is refused at once, and free.
fn possible(length: u64) -> u64 {
    const TEXT_UNITS_MAX: u64 = (1 << 30) - 1;
    if length > TEXT_UNITS_MAX { 0 } else { length }
}

/// Charges for a result whose length is an argument.
pub(super) fn pad(call: &Operands, known: &Known) -> Charge {
    match call.argument(0).number() {
        Some(length) => on_text(call, |_| possible(length.max(0.0) as u64) / UNITS_PER_STEP),
        None => repeat(call, known),
    }
}

/// Charges for a normal form: it sorts runs of combining marks by insertion, which takes the square of a run.
pub(super) fn normalize(call: &Operands, _: &Known) -> Charge {
    let Some(units) = call.this().text_units() else { return on_text(call, |length| length) };
    // One letter can become eighteen.
    Charge::After(marks(&units), |result: Operand| result.text_length().unwrap_or(0))
}

/// Charges for putting both texts into a normal form.
pub(super) fn compare(call: &Operands, _: &Known) -> Charge {
    let other = call.argument(0);
    if call.this().text_length().is_none() || other.is_object() {
        return if call.this().is_nullish() { Charge::Steps(0) } else { Charge::Script };
    }
    let steps = |text: Operand| text.text_units().map_or(0, |units| marks(&units));
    Charge::Steps(steps(call.this()).saturating_add(steps(other)))
}

/// Returns one step for each unit, and half the square of each run of possible combining marks.
fn marks(units: &[u16]) -> u64 {
    let runs = units.split(|unit| !may_be_mark(*unit));
    let squares = runs.map(|run| (run.len() as u64).pow(2) / 2);
    squares.fold(units.len() as u64, u64::saturating_add)
}

/// Returns whether a unit may have a combining class: the blocks of Unicode that hold a mark, and surrogates.
fn may_be_mark(unit: u16) -> bool {
    matches!(unit,
        0x0300..=0x036f | 0x0483..=0x0489 | 0x0591..=0x05c7 | 0x0610..=0x061a | 0x064b..=0x0670 | 0x06d6..=0x06ed
        | 0x0711 | 0x0730..=0x1fff | 0x20d0..=0x20ff | 0x2cef..=0x2cf1 | 0x2d7f | 0x2de0..=0x2dff | 0x302a..=0x302f
        | 0x3099..=0x309a | 0xa66f..=0xa6ff | 0xa800..=0xabff | 0xd800..=0xdfff | 0xfb1e | 0xfe20..=0xfe2f)
}

/// Charges for a search whose answer is an index.
pub(super) fn index_of(call: &Operands, _: &Known) -> Charge {
    find(call, |call, haystack, needle| {
        let from = clamp(call.argument(1), haystack.len());
        place(search::first(haystack, needle, from))
    })
}

/// Charges for a search from the end.
pub(super) fn last_index_of(call: &Operands, _: &Known) -> Charge {
    find(call, |call, haystack, needle| {
        let Some(end) = haystack.len().checked_sub(needle.len()) else { return place(None) };
        let until = match call.argument(1).number() {
            Some(until) if !until.is_nan() => (until.max(0.0) as usize).min(end),
            _ => end,
        };
        place(search::last(haystack, needle, until))
    })
}

/// Charges for a search whose answer is a boolean.
pub(super) fn includes(call: &Operands, _: &Known) -> Charge {
    find(call, |call, haystack, needle| {
        let from = clamp(call.argument(1), haystack.len());
        Operands::truth(search::first(haystack, needle, from).is_some())
    })
}

fn clamp(position: Operand, length: usize) -> usize {
    // NaN counts as 0, and so does a missing argument.
    (position.number().unwrap_or(0.0).max(0.0) as usize).min(length)
}

fn place(found: Option<usize>) -> rquickjs::qjs::JSValue {
    Operands::number(found.and_then(|at| i32::try_from(at).ok()).unwrap_or(-1))
}

/// Searches in the engine where that is fast, by our own algorithm where the engine would take the product of the lengths.
fn find(call: &Operands, answer: impl FnOnce(&Operands, &[u16], &[u16]) -> rquickjs::qjs::JSValue) -> Charge {
    let (this, needle, position) = (call.this(), call.argument(0), call.argument(1));
    if this.is_nullish() {
        return Charge::Steps(0);
    }
    let Some(length) = this.text_length() else { return Charge::Script };
    let Some(needle_length) = needle.text_length() else {
        // Numbers and the like print short; symbols are refused.
        return if needle.is_object() { Charge::Script } else { Charge::Steps(length / SCANNED_PER_STEP) };
    };
    let product = length.saturating_mul(needle_length);
    if needle_length <= NEEDLE_UNITS_MAX || product <= PRODUCT_MAX || needle_length > length {
        let tried = if needle_length > length { 0 } else { product / (2 * UNITS_PER_STEP) };
        return Charge::Steps((length / SCANNED_PER_STEP).saturating_add(tried));
    }
    if !position.is_undefined() && position.number().is_none() {
        return Charge::Script;
    }
    let steps = length.saturating_add(needle_length) / TURNED_PER_STEP;
    let (Some(haystack), Some(needle)) = (this.text_units(), needle.text_units()) else {
        return Charge::Steps(product);
    };
    Charge::Known(steps, answer(call, &haystack, &needle))
}

/// Charges for `startsWith` and `endsWith`: one place.
pub(super) fn starts(call: &Operands, _: &Known) -> Charge {
    if call.argument(0).is_object() {
        return if call.this().is_nullish() { Charge::Steps(0) } else { Charge::Script };
    }
    on_text(call, |length| call.argument(0).text_length().unwrap_or(0).min(length) / UNITS_PER_STEP)
}

/// Charges for splitting by a text. A pattern splits by itself, and pays for itself.
pub(super) fn split(call: &Operands, _: &Known) -> Charge {
    if let Some(charge) = delegated(call, Name::Split) {
        return charge;
    }
    let separator = call.argument(0);
    on_text(call, |length| {
        let tried = length.saturating_mul(separator.text_length().unwrap_or(1)) / (2 * UNITS_PER_STEP);
        // Each piece becomes a text of its own.
        let pieces = if separator.is_undefined() { 0 } else { length / TURNED_PER_STEP };
        pieces.saturating_add(tried)
    })
}

/// Charges for replacing a text, once or everywhere: the search, and the replacement, which is scanned at each place.
pub(super) fn replace(call: &Operands, _: &Known) -> Charge {
    if let Some(charge) = delegated(call, Name::Replace) {
        return charge;
    }
    let (needle, replacement) = (call.argument(0), call.argument(1));
    if replacement.is_object() && !replacement.is_function() {
        return if call.this().is_nullish() { Charge::Steps(0) } else { Charge::Script };
    }
    on_text(call, |length| {
        let needle = needle.text_length().unwrap_or(1);
        let tried = length.saturating_mul(needle) / (2 * UNITS_PER_STEP);
        let looked = match replacement.text_length().unwrap_or(0) / UNITS_PER_STEP {
            0 => 0,
            each => each.saturating_mul(length / needle.max(1) + 1),
        };
        (length / SCANNED_PER_STEP).saturating_add(tried).saturating_add(looked)
    })
}

/// Charges for an object in place of a text: a method of its own does the work, or it has none.
fn delegated(call: &Operands, method: Name) -> Option<Charge> {
    let pattern = call.argument(0);
    if call.this().is_nullish() {
        return Some(Charge::Steps(0));
    }
    if !pattern.is_object() {
        return None;
    }
    match pattern.property(method) {
        Property::Data(Data::Function) => Some(Charge::Steps(0)),
        _ => Some(Charge::Script),
    }
}

/// Charges for compiling a pattern.
pub(super) fn pattern(call: &Operands, known: &Known) -> Charge {
    let pattern = call.argument(0);
    if pattern.is_regexp() {
        let units = pattern.length_of(known.source, 0).unwrap_or(0);
        return Charge::Steps(compiling(units));
    }
    if pattern.is_object() || call.argument(1).is_object() {
        return Charge::Script;
    }
    Charge::Steps(compiling(pattern.text_length().unwrap_or(0)))
}

/// Returns the steps for compiling a pattern of so many units.
pub(super) fn compiling(units: u64) -> u64 {
    units.saturating_add(units.saturating_mul(units) / PATTERN_UNITS_PER_STEP)
}

/// Charges for one use of a pattern.
pub(super) fn matching(_: &Operands, _: &Known) -> Charge {
    Charge::Steps(STEPS_PER_MATCH)
}

/// Charges for reading a BigInt, which takes the square of its digits.
pub(super) fn integer(call: &Operands, _: &Known) -> Charge {
    let is_function = call.this().is_undefined();
    if is_function && call.argument(0).is_object() {
        return Charge::Script;
    }
    Charge::Steps(square(call.argument(0).text_length().unwrap_or(0) / READ_DIGITS_PER_STEP))
}

/// Charges for printing a BigInt, which takes that too, except in a radix that is a power of two.
pub(super) fn digits(call: &Operands, _: &Known) -> Charge {
    let is_simple =
        call.argument(0).number().is_some_and(|radix| [2.0, 4.0, 8.0, 16.0, 32.0].contains(&radix));
    Charge::Steps(if is_simple { 0 } else { printing(call.this()) })
}

/// Charges for `String(value)`: only a BigInt takes long.
pub(super) fn print(call: &Operands, _: &Known) -> Charge {
    Charge::Steps(printing(call.argument(0)))
}

/// Charges for a number's text, a text's number, or an integer's.
pub(super) fn number(call: &Operands, _: &Known) -> Charge {
    let value = call.argument(0);
    Charge::Steps(value.text_length().unwrap_or(0) / TURNED_PER_STEP + value.limbs() / TURNED_PER_STEP)
}

/// Charges for printing a number other than a small whole one in decimal.
pub(super) fn printed(call: &Operands, _: &Known) -> Charge {
    let is_whole = call.this().number().is_some_and(|number| number.fract() == 0.0 && number.abs() < 1e15);
    let is_plain = call.argument(0).is_undefined() || call.argument(0).number() == Some(10.0);
    Charge::Steps(if is_plain && is_whole { 1 } else { STEPS_PER_PRINT })
}

/// Charges for reading a JSON text: each unit, and its value.
pub(super) fn read_json(call: &Operands, _: &Known) -> Charge {
    if call.argument(0).is_object() {
        return Charge::Script;
    }
    Charge::Steps(call.argument(0).text_length().unwrap_or(0) / JSON_UNITS_PER_STEP)
}

/// Charges for writing JSON: value by value, or by a replacer of the script, which the engine counts. With a list of names the
/// result's length counts, and each name is compared with all before it.
pub(super) fn write_json(call: &Operands, _: &Known) -> Charge {
    let by_length = |steps| Charge::After(steps, |result: Operand| result.text_length().unwrap_or(0));
    let names = call.argument(1);
    if names.is_function() {
        return by_length(0);
    }
    if !names.is_object() {
        return Charge::Inspected;
    }
    match names.dense_length() {
        Some(length) => by_length(length.saturating_mul(length) / UNITS_PER_STEP),
        None if names.array_length().is_none() && names.ordinary_length().is_some() => Charge::Inspected,
        None => Charge::Script,
    }
}

/// Charges for a template's texts.
pub(super) fn template(call: &Operands, _: &Known) -> Charge {
    if call.argument(0).is_nullish() { Charge::Steps(0) } else { Charge::Script }
}
