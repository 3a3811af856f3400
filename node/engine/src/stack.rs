//! Where a script threw: the stack that the engine has written into an error when it was created.
//!
//! It is read for the operator alone, so reading it must not run any code of the script: we call the language's own getter,
//! which the prelude has kept, and on real errors only. A property that the script has put over it is ignored.
#![expect(unsafe_code, reason = "a text's length, before it is copied")]

use std::slice;

use rquickjs::function::This;
use rquickjs::{Ctx, Function, Value, qjs};

/// The script's file name in positions and stack traces.
pub const SCRIPT: &str = "script.js";

/// Bytes of a stack that are read.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Letters of a stack that is read. The engine's own stacks are far shorter; a script may put any text in their place.
const LETTERS_MAX: i64 = 64 * 1024;

/// Returns the script's frames in an error's stack, one per line, and those of built-ins that the script called. Frames of our
/// prelude in between and at the end are left out. `getter` is that of `Error.prototype.stack`.
pub(super) fn script_frames<'js>(
    ctx: &Ctx<'js>,
    getter: rquickjs::Result<Function<'js>>,
    error: &Value<'js>,
) -> Option<String> {
    if !error.is_error() {
        return None;
    }
    let Ok(stack) = getter.and_then(|getter| getter.call::<_, Value<'js>>((This(error.clone()),))) else {
        // The call is being stopped; the exception must not be mistaken for another.
        let _stopped = ctx.catch();
        return None;
    };
    let stack = text(&stack)?;
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

/// Returns the first `script.js:LINE:COLUMN` in a stack.
pub fn place_in(stack: &str) -> Option<&str> {
    let rest = &stack[stack.find(&format!("{SCRIPT}:"))?..];
    let is_part = |letter: char| letter.is_ascii_digit() || letter == ':';
    let length = rest[SCRIPT.len()..].find(|letter| !is_part(letter)).unwrap_or(rest.len() - SCRIPT.len());
    Some(rest[..SCRIPT.len() + length].trim_end_matches(':'))
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
        let read = String::from_utf8_lossy(slice::from_raw_parts(copy.cast::<u8>(), length)).into_owned();
        qjs::JS_FreeCString(ctx, copy);
        Some(read)
    }
}
