//! The engine's recursion depth, which it counts since `node/engine/build/depth.rs` has changed it.
//!
//! The limit `stack` is a number of counted bytes: each function that can recurse takes a fixed number, whatever
//! its frame takes on this machine. So a recursion ends at the same depth everywhere, and the real stack only has to
//! be large enough. Its necessary size depends on the compiler, and affects no result.
#![expect(unsafe_code, reason = "a function that the engine has for us")]

use libvms_protocol::entry::Limits;
use rquickjs::{Ctx, Function, qjs};

unsafe extern "C" {
    /// Exists only in the engine that we have compiled: a program with another engine cannot be linked.
    fn vms_stack_used(runtime: *mut qjs::JSRuntime) -> usize;
}

/// Bytes of real stack for each counted byte. An optimised engine takes 1 to 2; one that is compiled without
/// optimisation, under our own code in a debug build, up to 5.
const REAL_BYTES_PER_COUNTED: u64 = 8;

/// Real stack for the frames below the engine, and for functions that it calls without recursion, at any depth.
const REAL_BYTES_BESIDE: u64 = 16 << 20;

/// The least counted bytes of one call.
const CALL_BYTES_MIN: usize = 256;

/// The engine does not count its depth.
#[derive(Debug, thiserror::Error)]
#[error(
    "the engine does not count its depth: {0} bytes outside of it, {1} in a function, {2} in one below that"
)]
pub(super) struct DepthError(usize, usize, usize);

/// Returns the stack that the thread of an engine with these limits needs. The machine commits only the part that is used.
pub(super) fn real_bytes(limits: &Limits) -> u64 {
    limits.stack.saturating_mul(REAL_BYTES_PER_COUNTED).saturating_add(REAL_BYTES_BESIDE)
}

/// Returns the counted bytes in use.
fn used(ctx: &Ctx<'_>) -> usize {
    // SAFETY: the context and its runtime are alive; the function reads one number.
    unsafe { vms_stack_used(qjs::JS_GetRuntime(ctx.as_raw().as_ptr())) }
}

/// Checks that the engine counts, upwards and downwards.
pub(super) fn verify(ctx: &Ctx<'_>) -> rquickjs::Result<Result<(), DepthError>> {
    let ask = Function::new(ctx.clone(), |ctx: Ctx<'_>| used(&ctx) as f64)?;
    let below = ctx.eval::<Function<'_>, _>("ask => ask()")?;
    let (one, two) = (ask.call::<_, f64>(())? as usize, below.call::<_, f64>((ask,))? as usize);
    let outside = used(ctx);
    let is_counted = outside == 0 && one >= CALL_BYTES_MIN && two >= one + CALL_BYTES_MIN;
    Ok(if is_counted { Ok(()) } else { Err(DepthError(outside, one, two)) })
}
