//! How deep the engine is, which it counts itself since `node/engine/build/depth.rs` has changed it.
//!
//! The limit `stack` is a number of counted bytes: each function that can come back to itself takes a fixed number, whatever
//! its frame takes on this machine. So a recursion ends at the same depth everywhere, and the real stack only has to
//! be large enough. How large that is depends on the compiler, and is a matter of no result.
#![expect(unsafe_code, reason = "a function that the engine has for us")]

use libvms_protocol::entry::Limits;
use rquickjs::{Ctx, Function, qjs};

unsafe extern "C" {
    /// Only in the engine that we have compiled: a program with another one in its place cannot be linked.
    fn vms_stack_used(runtime: *mut qjs::JSRuntime) -> usize;
}

/// Bytes of a real stack for each that is counted. An optimised engine takes 1 to 2; one that is compiled without
/// optimisation, beneath our own code in a debug build, up to 5.
const REAL_BYTES_PER_COUNTED: u64 = 8;

/// Real stack for what is below the engine, and for what it calls without coming back, at whatever depth.
const REAL_BYTES_BESIDE: u64 = 16 << 20;

/// Counted bytes that no two calls have in common, at the least.
const CALL_BYTES_MIN: usize = 256;

/// The engine does not count.
#[derive(Debug, thiserror::Error)]
#[error(
    "the engine does not count how deep it is: {0} bytes outside of it, {1} in a function, {2} in one below that"
)]
pub(super) struct DepthError(usize, usize, usize);

/// The stack that a thread needs whose engine has these limits. Taken from the machine only as far as it is used.
pub(super) fn real_bytes(limits: &Limits) -> u64 {
    limits.stack.saturating_mul(REAL_BYTES_PER_COUNTED).saturating_add(REAL_BYTES_BESIDE)
}

/// Counted bytes in use.
fn used(ctx: &Ctx<'_>) -> usize {
    // SAFETY: the context and its runtime are alive; the function reads one number.
    unsafe { vms_stack_used(qjs::JS_GetRuntime(ctx.as_raw().as_ptr())) }
}

/// Makes sure that the engine counts, upwards and downwards.
pub(super) fn verify(ctx: &Ctx<'_>) -> rquickjs::Result<Result<(), DepthError>> {
    let ask = Function::new(ctx.clone(), |ctx: Ctx<'_>| used(&ctx) as f64)?;
    let below = ctx.eval::<Function<'_>, _>("ask => ask()")?;
    let (one, two) = (ask.call::<_, f64>(())? as usize, below.call::<_, f64>((ask,))? as usize);
    let outside = used(ctx);
    let is_counted = outside == 0 && one >= CALL_BYTES_MIN && two >= one + CALL_BYTES_MIN;
    Ok(if is_counted { Ok(()) } else { Err(DepthError(outside, one, two)) })
}
