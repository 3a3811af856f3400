//! The engine's context from inside: its compilers, and its interrupt counter.
//!
//! The engine has no interface for either, so this file knows the layout of a context in one version.
//! [`ContextLayout::of`] compares that layout with values from the engine's own functions, before anything is changed; the
//! version is pinned in `Cargo.toml` and part of every log.
//!
//! ```text
//! counter           counts down with each poll, a call or a backward jump; at zero the engine calls its interrupt handler
//! compile_pattern   compiles each regular expression literal of a program
//! evaluate          compiles and runs each program: the script itself, `eval` of both kinds, `Function` and its like
//! ```
#![expect(unsafe_code, reason = "fields of the engine's context")]

use std::ffi::{c_char, c_int, c_void};
use std::ptr::NonNull;

use rquickjs::{Ctx, Value, qjs};

/// Compiles a pattern with these flags.
pub(super) type CompilePattern =
    unsafe extern "C" fn(*mut qjs::JSContext, qjs::JSValue, qjs::JSValue) -> qjs::JSValue;

/// Evaluates a program: context, `this`, text and its bytes, file name and first line, flags, and the scope of a direct `eval`
/// (-1 for any other).
pub(super) type Evaluate = unsafe extern "C" fn(
    *mut qjs::JSContext,
    qjs::JSValue,
    *const c_char,
    usize,
    *const c_char,
    c_int,
    c_int,
    c_int,
) -> qjs::JSValue;

/// The initial value of the interrupt counter.
pub(super) const POLLS_PER_QUESTION: c_int = 10_000;

/// `struct JSContext` of quickjs-ng 0.16.2.
#[repr(C)]
struct Context {
    link: [*mut c_void; 2],
    runtime: *mut qjs::JSRuntime,
    contexts: [*mut c_void; 2],
    /// Two counts, and a flag for whether arrays inherit as the language defines.
    small: [u8; 8],
    shapes: [*mut c_void; 5],
    prototypes: *mut qjs::JSValue,
    function_prototype: qjs::JSValue,
    functions: [qjs::JSValue; 4],
    error_prototypes: [qjs::JSValue; 9],
    /// The constructor of errors, the last stack trace, and how a trace is prepared.
    errors: [qjs::JSValue; 4],
    iterators: [qjs::JSValue; 5],
    throw_type_error: qjs::JSValue,
    eval: qjs::JSValue,
    global: qjs::JSValue,
    global_names: qjs::JSValue,
    time_origin: f64,
    random_state: u64,
    hash_seed: u32,
    counter: c_int,
    modules: [*mut c_void; 2],
    compile_pattern: Option<CompilePattern>,
    evaluate: Option<Evaluate>,
    opaque: *mut c_void,
}

/// The engine does not have the layout that this file knows.
#[derive(Debug, thiserror::Error)]
#[error("the engine's context has no {0} at the expected offset")]
pub(super) struct ContextError(&'static str);

/// A pointer to a context's fields. It must not be used after the context's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct ContextLayout(NonNull<Context>);

impl ContextLayout {
    /// Compares the layout with values that the engine returns for this context.
    pub(super) fn of(ctx: &Ctx<'_>) -> Result<Self, ContextError> {
        let inside = Self(ctx.as_raw().cast());
        // SAFETY: the context is alive, and larger than the fields that are read if the version is the pinned one.
        let context = unsafe { inside.0.as_ref() };
        let raw = ctx.as_raw().as_ptr();
        // SAFETY: the context is alive; the functions return a reference, which is released.
        let error: Value<'_> = ctx.globals().get("Error").map_err(|_| ContextError("memory"))?;
        // SAFETY: as above.
        let (runtime, opaque, function_prototype, global) = unsafe {
            let owned = |value| Value::from_raw(ctx.clone(), value);
            (
                qjs::JS_GetRuntime(raw),
                qjs::JS_GetContextOpaque(raw),
                owned(qjs::JS_GetFunctionProto(raw)),
                owned(qjs::JS_GetGlobalObject(raw)),
            )
        };
        let is = |one: qjs::JSValue, other: &Value<'_>| {
            // SAFETY: only compares the addresses, which both have if both are objects.
            unsafe {
                qjs::JS_VALUE_GET_TAG(one) == qjs::JS_TAG_OBJECT
                    && qjs::JS_VALUE_GET_PTR(one) == qjs::JS_VALUE_GET_PTR(other.as_raw())
            }
        };
        let known = [
            (context.runtime == runtime, "runtime"),
            (is(context.function_prototype, &function_prototype), "prototype of functions"),
            (is(context.global, &global), "global object"),
            (is(context.errors[0], &error), "constructor of errors"),
            (context.opaque == opaque, "value of its user"),
            (context.compile_pattern.is_some() && context.evaluate.is_some(), "compiler"),
            ((1..=POLLS_PER_QUESTION).contains(&context.counter), "counter"),
        ];
        if let Some((_, what)) = known.iter().find(|(is_known, _)| !is_known) {
            return Err(ContextError(what));
        }
        inside.verify_counter(ctx)?;
        Ok(inside)
    }

    /// Checks the counter: each turn of a loop is two polls, its condition and the jump back.
    fn verify_counter(self, ctx: &Ctx<'_>) -> Result<(), ContextError> {
        let polls = |turns: u32| {
            self.count_from_start();
            let program = format!("for (let turn = 0; turn < {turns}; turn++);");
            ctx.eval::<(), _>(program).map_err(|_| ContextError("memory"))?;
            Ok(self.polls())
        };
        let (few, many) = (polls(10)?, polls(1_010)?);
        if many.checked_sub(few) == Some(2_000) { Ok(()) } else { Err(ContextError("counter")) }
    }

    /// Returns the polls since the last interrupt, or since the counter was set.
    #[inline]
    pub(super) fn polls(self) -> u64 {
        // SAFETY: the context is alive.
        let counter = unsafe { (*self.0.as_ptr()).counter };
        u64::from((POLLS_PER_QUESTION - counter).unsigned_abs())
    }

    /// Drops the stack trace of the last throw. The engine keeps it until something is caught, and as long as it exists
    /// creates none for values that are not errors: a call would observe what the call before it has left.
    pub(super) fn forget_trace(self) {
        // SAFETY: the context is alive, and owns the value until it is taken out.
        unsafe {
            let context = self.0.as_ptr();
            let trace = std::mem::replace(&mut (*context).errors[1], qjs::JS_UNDEFINED);
            qjs::JS_FreeValueRT((*context).runtime, trace);
        }
    }

    /// Sets the counter as if the engine had just called its interrupt handler.
    pub(super) fn count_from_start(self) {
        self.count_down_from(POLLS_PER_QUESTION);
    }

    /// Makes the engine call its interrupt handler at its next poll.
    pub(super) fn ask_next(self) {
        self.count_down_from(1);
    }

    /// Sets the counter as if so many polls had passed since the last interrupt.
    #[cfg(test)]
    pub(super) fn count_from(self, polls: u64) {
        self.count_down_from(
            POLLS_PER_QUESTION - c_int::try_from(polls).expect("fewer than between two questions"),
        );
    }

    fn count_down_from(self, polls: c_int) {
        // SAFETY: the context is alive; the engine reads and writes the number at a poll and nowhere else.
        unsafe { (*self.0.as_ptr()).counter = polls }
    }

    /// Replaces the engine's own compilers by these, and returns the old ones.
    pub(super) fn exchange_compilers(
        self,
        pattern: CompilePattern,
        program: Evaluate,
    ) -> (CompilePattern, Evaluate) {
        // SAFETY: the context is alive, and a script does not run now: nothing is being compiled.
        let context = unsafe { &mut *self.0.as_ptr() };
        let (old_pattern, old_program) =
            (context.compile_pattern.replace(pattern), context.evaluate.replace(program));
        (old_pattern.expect("verified"), old_program.expect("verified"))
    }
}
