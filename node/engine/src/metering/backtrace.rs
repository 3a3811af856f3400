//! Fuel for thrown errors: the engine first writes a stack trace into each.
//!
//! That takes longer than hundreds of steps, and calls no function that could be made to pay. But the engine reads
//! the length of the trace from `Error.stackTraceLimit`, and accepts any value that can be converted to a number. So this file
//! puts an object of ours there, whose conversion takes the fuel. The accessor that scripts see under that name reads
//! and writes the value that they would find without us.
#![expect(unsafe_code, reason = "functions that the engine calls")]

use std::ffi::{CStr, c_int};
use std::sync::OnceLock;

use rquickjs::{Ctx, Function, Object, Value, qjs};

use super::Metering;
use super::builtin::{self, Accessor, LayoutError};

/// Steps for any error.
const STEPS: u64 = 24;
/// Steps for each call that may be in the trace.
const STEPS_PER_CALL: u64 = 8;
/// The engine's limit of calls in a trace.
const CALLS_MAX: f64 = 64.0;

/// The property in which our object keeps the script's value.
const VALUE: &CStr = c"value";

/// The engine's accessor. Its functions are those of the linked engine, the same for every heap of this process.
static ORIGINAL: OnceLock<Accessor> = OnceLock::new();

/// Installs our object in place of the limit; returns it, to be kept alive.
pub(super) fn install<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Result<Value<'js>, LayoutError>> {
    // SAFETY: the context is alive and the name ends with zero; the result owns the value.
    let number = unsafe {
        let (name, kind) = (c"number".as_ptr(), qjs::JSCFunctionEnum_JS_CFUNC_generic);
        let raw = qjs::JS_NewCFunction2(ctx.as_raw().as_ptr(), Some(number), name, 0, kind, 0);
        Value::from_raw(ctx.clone(), raw)
    };
    let prepare: Function<'js> = ctx.eval(
        "(number) => {
            const limit = { __proto__: null, value: Error.stackTraceLimit, [Symbol.toPrimitive]: number }
            Error.stackTraceLimit = limit
            return { limit, accessor: Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit') }
        }",
    )?;
    let prepared: Object<'js> = prepare.call((number,))?;
    let accessor: Object<'js> = prepared.get("accessor")?;
    let (getter, setter): (Value<'js>, Value<'js>) = (accessor.get("get")?, accessor.get("set")?);
    let exchanged = builtin::exchange_accessor(&getter, &setter, &Accessor { get, set });
    let limit = prepared.get("limit")?;
    Ok(exchanged.map(|original| {
        let _the_same_in_all_heaps = ORIGINAL.set(original);
        limit
    }))
}

fn original() -> &'static Accessor {
    ORIGINAL.get().expect("set before the first accessor was exchanged")
}

/// Returns how many calls to write down; takes the fuel for it.
///
/// # Safety
/// For the engine only.
unsafe extern "C" fn number(
    ctx: *mut qjs::JSContext,
    this: qjs::JSValue,
    _: c_int,
    _: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: `this` is our object, as no other code has the function. The value read is released.
    let calls = unsafe {
        let value = qjs::JS_GetPropertyStr(ctx, this, VALUE.as_ptr());
        let mut calls = f64::NAN;
        if qjs::JS_ToFloat64(ctx, &raw mut calls, value) < 0 {
            qjs::JS_FreeValue(ctx, qjs::JS_GetException(ctx));
        }
        qjs::JS_FreeValue(ctx, value);
        calls
    };
    if let Some(metering) = Metering::current() {
        // NaN counts as none.
        let calls = calls.clamp(0.0, CALLS_MAX) as u64;
        metering.pay(STEPS + STEPS_PER_CALL * calls);
    }
    qjs::JS_NewFloat64(calls)
}

/// Reads the script's value of `Error.stackTraceLimit`.
///
/// # Safety
/// For the engine only.
unsafe extern "C" fn get(ctx: *mut qjs::JSContext, this: qjs::JSValue) -> qjs::JSValue {
    // SAFETY: the arguments are the engine's; the original's result is released.
    unsafe {
        let found = (original().get)(ctx, this);
        let Some(metering) = Metering::current().filter(|_| !qjs::JS_IsException(found)) else {
            return found;
        };
        qjs::JS_FreeValue(ctx, found);
        qjs::JS_GetPropertyStr(ctx, metering.trace_limit, VALUE.as_ptr())
    }
}

/// Sets the script's value of `Error.stackTraceLimit`.
///
/// # Safety
/// For the engine only.
unsafe extern "C" fn set(ctx: *mut qjs::JSContext, this: qjs::JSValue, value: qjs::JSValue) -> qjs::JSValue {
    // SAFETY: the arguments are the engine's; the property takes a reference of its own.
    unsafe {
        let is_nullish = matches!(qjs::JS_VALUE_GET_TAG(this), qjs::JS_TAG_NULL | qjs::JS_TAG_UNDEFINED);
        match Metering::current() {
            Some(metering) if !is_nullish => {
                let value = qjs::JS_DupValue(ctx, value);
                qjs::JS_SetPropertyStr(ctx, metering.trace_limit, VALUE.as_ptr(), value);
                qjs::JS_UNDEFINED
            }
            _ => (original().set)(ctx, this, value),
        }
    }
}
