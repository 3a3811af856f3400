//! The prelude's JavaScript, part by part.
//!
//! A part is compiled, written as the engine's bytecode without its text, and read again: `toString` of its functions returns
//! `[native code]`, as for those of the language, and no script depends on our source text. Positions stay, because the
//! engine treats a program without them as one without a file name, and turns that name into an invalid text.
#![expect(unsafe_code, reason = "bytecode is written and read through the engine's C interface")]

use std::ffi::{CString, c_int};

use rquickjs::{Ctx, Error, Function, Result, Value, qjs};

/// The prelude's file name in a stack trace.
const FILE: &std::ffi::CStr = c"libvms";

/// Evaluates a part, which is a function of the parts that it needs.
pub(super) fn part<'js>(ctx: &Ctx<'js>, source: &str) -> Result<Function<'js>> {
    let text = CString::new(source)?;
    let flags = qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_STRICT | qjs::JS_EVAL_FLAG_COMPILE_ONLY;
    let (raw, bytes) = (ctx.as_raw().as_ptr(), source.len() as qjs::size_t);
    // SAFETY: the context is alive, and both texts end with zero; the compiled function and all results are owned.
    let evaluated = unsafe {
        let compiled = qjs::JS_Eval(raw, text.as_ptr(), bytes, FILE.as_ptr(), flags as c_int);
        let compiled = owned(ctx, compiled)?;
        let read = without_text(ctx, &compiled)?;
        qjs::JS_EvalFunction(raw, read)
    };
    // SAFETY: as above.
    let function = unsafe { owned(ctx, evaluated) }?;
    function.into_function().ok_or(Error::Unknown)
}

/// Writes bytecode without its text and reads it back; for `JS_EvalFunction`, which takes it over.
fn without_text(ctx: &Ctx<'_>, compiled: &Value<'_>) -> Result<qjs::JSValue> {
    const WRITE: c_int = (qjs::JS_WRITE_OBJ_BYTECODE | qjs::JS_WRITE_OBJ_STRIP_SOURCE) as c_int;
    let (raw, mut length) = (ctx.as_raw().as_ptr(), 0);
    // SAFETY: the context and the value are alive; the bytes are the engine's own and are returned to it.
    unsafe {
        let bytes = qjs::JS_WriteObject(raw, &raw mut length, compiled.as_raw(), WRITE);
        if bytes.is_null() {
            return Err(Error::Exception);
        }
        let read = qjs::JS_ReadObject(raw, bytes, length, qjs::JS_READ_OBJ_BYTECODE as c_int);
        qjs::js_free(raw, bytes.cast());
        if qjs::JS_IsException(read) { Err(Error::Exception) } else { Ok(read) }
    }
}

/// Takes ownership of a value; fails if it is an exception.
///
/// # Safety
/// Nobody else owns the value.
unsafe fn owned<'js>(ctx: &Ctx<'js>, value: qjs::JSValue) -> Result<Value<'js>> {
    // SAFETY: as the caller says; an exception needs no release.
    unsafe {
        if qjs::JS_IsException(value) {
            Err(Error::Exception)
        } else {
            Ok(Value::from_raw(ctx.clone(), value))
        }
    }
}
