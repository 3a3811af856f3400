//! The engine's two compilers, made to ask before they run: for programs, and for the regular expressions in them.
//!
//! All programs of a script go through these two: its own text when it is loaded, `eval` of either kind, `Function` and its
//! like. Patterns that `RegExp` compiles have a row in the table.
#![expect(unsafe_code, reason = "entries that the engine calls")]

use std::ffi::{c_char, c_int};
use std::sync::OnceLock;

use rquickjs::qjs;

use super::super::context::{CompilePattern, ContextLayout, Evaluate};
use super::operand::Operands;
mod cost;

use super::{Metering, builtin, text};

/// Steps for any program, however short.
const STEPS_PER_PROGRAM: u64 = 64;

/// The engine's own compilers. They are functions of the linked engine, the same for every heap of this process.
static ORIGINALS: OnceLock<(CompilePattern, Evaluate)> = OnceLock::new();

/// Makes the compilers of a context ask.
pub(super) fn exchange(inside: ContextLayout) {
    let originals = inside.exchange_compilers(compile_pattern, evaluate);
    let _the_same_in_all_contexts = ORIGINALS.set(originals);
}

fn originals() -> &'static (CompilePattern, Evaluate) {
    ORIGINALS.get().expect("set when the first context's compilers were exchanged")
}

/// Charges for a regular expression, then compiles it.
///
/// # Safety
/// For the engine only, which passes a pattern and flags that are alive.
unsafe extern "C" fn compile_pattern(
    ctx: *mut qjs::JSContext,
    pattern: qjs::JSValue,
    flags: qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: the arguments are the engine's.
    unsafe {
        if let Some(metering) = Metering::current() {
            let operands = Operands::new(ctx, pattern, 0, std::ptr::null_mut());
            let units = operands.this().text_length().unwrap_or(0);
            if !metering.pay(text::compiling(units)) {
                return builtin::interrupted(ctx, qjs::JS_UNDEFINED);
            }
        }
        (originals().0)(ctx, pattern, flags)
    }
}

/// Charges for a program, then compiles and runs it.
///
/// # Safety
/// For the engine only, which passes a text that is readable for its length.
unsafe extern "C" fn evaluate(
    ctx: *mut qjs::JSContext,
    this: qjs::JSValue,
    text: *const c_char,
    length: usize,
    file: *const c_char,
    line: c_int,
    flags: c_int,
    scope: c_int,
) -> qjs::JSValue {
    // SAFETY: the arguments are the engine's.
    unsafe {
        if let Some(metering) = Metering::current()
            && !metering.pay_for_program(std::slice::from_raw_parts(text.cast(), length), scope >= 0)
        {
            return builtin::interrupted(ctx, qjs::JS_UNDEFINED);
        }
        (originals().1)(ctx, this, text, length, file, line, flags, scope)
    }
}

impl Metering {
    /// Takes the fuel for compiling a program. Returns whether there was enough.
    fn pay_for_program(&self, text: &[u8], is_direct: bool) -> bool {
        // First for each byte: computing the estimate takes time, too.
        if !self.pay(STEPS_PER_PROGRAM.saturating_add(text.len() as u64)) {
            return false;
        }
        let cost = cost::cost(text);
        let names = self.names_max.get();
        self.names_max.set(names.max(cost.names));
        // A direct eval sees all names around it: they are passed one by one, and each word is looked up among them.
        let eval_scope_cost = if is_direct { cost::eval_scope_cost(names, cost.words) } else { 0 };
        self.pay(cost.steps.saturating_add(eval_scope_cost))
    }
}
