//! Where a script threw: what the engine has written into an error when it was made.
//!
//! It is read for the operator alone, so nothing of the script's may run for it, and nothing is paid: neither getters nor
//! traps are asked, only an own property of a real error that is text.
#![expect(unsafe_code, reason = "an error's own property, read where it stands")]

use std::mem::MaybeUninit;
use std::slice;

use rquickjs::{Value, qjs};

use super::engine::SCRIPT;

/// Bytes of a stack that are looked at.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Letters of a stack that is looked at. The engine's own are far shorter; a script may put any text in their place.
const LETTERS_MAX: i64 = 64 * 1024;

/// The frames of an error's stack that are the script's, one a line, and those built-ins that the script called. Our
/// prelude stands in between and at the end; it is nobody's concern.
pub(super) fn of_script(error: &Value<'_>) -> Option<String> {
    let stack = text_of(error)?;
    let stack = &stack[..stack.floor_char_boundary(TEXT_BYTES_MAX)];
    let place = format!("{SCRIPT}:");
    let (mut kept, mut built_ins) = (vec![], vec![]);
    for frame in stack.lines().map(str::trim) {
        if frame.contains(&place) {
            kept.append(&mut built_ins);
            kept.push(frame);
        } else if frame.ends_with("(native)") {
            built_ins.push(frame);
        } else {
            built_ins.clear();
        }
    }
    (!kept.is_empty()).then(|| kept.join("\n"))
}

fn text_of(error: &Value<'_>) -> Option<String> {
    let (ctx, raw) = (error.ctx().as_raw().as_ptr(), error.as_raw());
    let mut property = MaybeUninit::<qjs::JSPropertyDescriptor>::uninit();
    // SAFETY: the value is alive. An error is no proxy, so its own property is read without a trap. What the engine gives is
    // released, and taken over where it is the value.
    unsafe {
        if !qjs::JS_IsError(raw) {
            return None;
        }
        let name = qjs::JS_NewAtomLen(ctx, c"stack".as_ptr(), 5);
        if name == qjs::JS_ATOM_NULL {
            let _no_room = error.ctx().catch();
            return None;
        }
        let found = qjs::JS_GetOwnProperty(ctx, property.as_mut_ptr(), raw, name);
        qjs::JS_FreeAtom(ctx, name);
        if found != 1 {
            if found < 0 {
                let _no_room = error.ctx().catch();
            }
            return None;
        }
        let property = property.assume_init();
        qjs::JS_FreeValue(ctx, property.getter);
        qjs::JS_FreeValue(ctx, property.setter);
        text(&Value::from_raw(error.ctx().clone(), property.value))
    }
}

fn text(value: &Value<'_>) -> Option<String> {
    if !value.is_string() {
        return None;
    }
    let (ctx, raw) = (value.ctx().as_raw().as_ptr(), value.as_raw());
    let (mut letters, mut length) = (0, 0);
    // SAFETY: the context and the text are alive; the copy is released after its last use. A text's length is no property that
    // a script could replace.
    unsafe {
        if qjs::JS_GetLength(ctx, raw, &raw mut letters) < 0 || letters > LETTERS_MAX {
            return None;
        }
        let copy = qjs::JS_ToCStringLen(ctx, &raw mut length, raw);
        if copy.is_null() {
            let _no_room = value.ctx().catch();
            return None;
        }
        let length = usize::try_from(length).unwrap_or_default();
        let read = String::from_utf8_lossy(slice::from_raw_parts(copy.cast::<u8>(), length)).into_owned();
        qjs::JS_FreeCString(ctx, copy);
        Some(read)
    }
}
