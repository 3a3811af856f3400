//! Fuel for writing JSON: a replacer of ours sees each value on its way, as a script's own would, and pays for it.
//!
//! The duration of `JSON.stringify` cannot be computed from its operand: parts may be shared, getters and `toJSON` may create
//! more. A replacer that returns each value unchanged has no effect that a script could see.
#![expect(unsafe_code, reason = "a function that the engine calls")]

use std::ffi::c_int;

use rquickjs::{Ctx, Value, qjs};

use super::operand::Operands;
use super::{Metering, builtin};

/// Steps for each value.
const STEPS_PER_VALUE: u64 = 8;
/// Additional steps for an object, which the engine looks for among all around it.
const STEPS_PER_OBJECT: u64 = 32;
/// Units of text that are put into quotes in one step.
const UNITS_PER_STEP: u64 = 4;

/// Returns the replacer.
pub(super) fn replacer<'js>(ctx: &Ctx<'js>) -> Value<'js> {
    // SAFETY: the context is alive and the name ends with zero; the result owns the value.
    unsafe {
        let (name, kind) = (c"replacer".as_ptr(), qjs::JSCFunctionEnum_JS_CFUNC_generic);
        Value::from_raw(
            ctx.clone(),
            qjs::JS_NewCFunction2(ctx.as_raw().as_ptr(), Some(pass), name, 2, kind, 0),
        )
    }
}

/// Charges for a value, and returns it unchanged.
///
/// # Safety
/// For the engine only, which passes two arguments.
unsafe extern "C" fn pass(
    ctx: *mut qjs::JSContext,
    this: qjs::JSValue,
    count: c_int,
    arguments: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: the arguments are the engine's; the result is a reference of its own.
    unsafe {
        let operands = Operands::new(ctx, this, count, arguments);
        let (key, value) = (operands.argument(0), operands.argument(1));
        let units = key.text_length().unwrap_or(0).saturating_add(value.text_length().unwrap_or(0));
        let object = if value.is_object() { STEPS_PER_OBJECT } else { 0 };
        let steps = (STEPS_PER_VALUE + object).saturating_add(units / UNITS_PER_STEP);
        match Metering::current() {
            Some(metering) if !metering.pay(steps) => builtin::interrupted(ctx, qjs::JS_UNDEFINED),
            _ => qjs::JS_DupValue(ctx, *arguments.add(1)),
        }
    }
}
