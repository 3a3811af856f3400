//! Prices that several rules share.

use super::operand::Operand;

/// Units of text that are compared or copied in one step.
pub(super) const UNITS_PER_STEP: u64 = 64;
/// The number of printed hexadecimal digits, divided by this and squared, is the number of steps.
const PRINTED_DIGITS_PER_STEP: u64 = 32;
/// Hexadecimal digits of an integer's limb.
const HEXADECIMALS_PER_LIMB: u64 = 8;

/// Returns the steps for printing a long integer in decimal.
pub(super) fn printing(value: Operand) -> u64 {
    square(value.limbs().saturating_mul(HEXADECIMALS_PER_LIMB) / PRINTED_DIGITS_PER_STEP)
}

pub(super) fn square(digits: u64) -> u64 {
    digits.saturating_mul(digits)
}
