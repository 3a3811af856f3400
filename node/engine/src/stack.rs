//! Where a script threw: what the engine has written into an error when it was made.
//!
//! It is read for the operator alone, so nothing of the script's may run for it: the language's own getter is asked, which the
//! prelude has kept, and of real errors only. What a script has put over it is not looked at.
#![expect(unsafe_code, reason = "a text's length, before it is copied")]

use std::slice;

use rquickjs::function::This;
use rquickjs::{Ctx, Function, Value, qjs};

/// What a script is called in positions and stack traces.
pub const SCRIPT: &str = "script.js";

/// Bytes of a stack that are looked at.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Letters of a stack that is looked at. The engine's own are far shorter; a script may put any text in their place.
const LETTERS_MAX: i64 = 64 * 1024;

/// The frames of an error's stack that are the script's, one a line, and those built-ins that the script called. Our
/// prelude stands in between and at the end; it is nobody's concern. `getter` is that of `Error.prototype.stack`.
pub(super) fn of_script<'js>(
    ctx: &Ctx<'js>,
    getter: rquickjs::Result<Function<'js>>,
    error: &Value<'js>,
) -> Option<String> {
    if !error.is_error() {
        return None;
    }
    let Ok(stack) = getter.and_then(|getter| getter.call::<_, Value<'js>>((This(error.clone()),))) else {
        // The call is being stopped; the exception must not be taken for another's.
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

/// The first `script.js:LINE:COLUMN` in a stack.
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
