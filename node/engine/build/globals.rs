//! Lets us make a global at its first use, as the engine makes most of its own: to a script it is a plain property from the
//! beginning, and a heap that never asks for it has neither its code nor its objects.
//!
//! The engine's initialiser for what it keeps as bytecode takes a number. Numbers from [`FIRST`] on are ours.

use super::text::Text;

const FIRST: usize = 1000;

pub(crate) fn make(text: &mut Text) {
    text.begin(
        "js_bytecode_autoinit",
        &format!(
            "extern JSValue vms_global(JSContext *ctx, size_t which);
    if ((uintptr_t)opaque >= {FIRST})
        return vms_global(ctx, (uintptr_t)opaque - {FIRST});"
        ),
    );
    text.replace(
        "bool JS_DetectModule(const char *input, size_t input_len)\n",
        &format!(
            "/* Defines a property of 'object' that vms_global() makes; -1 for lack of memory. */
int vms_define_global(JSContext *ctx, JSValueConst object, const char *name, size_t which)
{{
    JSAtom atom = JS_NewAtom(ctx, name);
    int result;
    if (atom == JS_ATOM_NULL)
        return -1;
    result = JS_DefineAutoInitProperty(ctx, object, atom, JS_AUTOINIT_ID_BYTECODE,
                                       (void *)(uintptr_t)({FIRST} + which),
                                       JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
    JS_FreeAtom(ctx, atom);
    return result;
}}

bool JS_DetectModule(const char *input, size_t input_len)
"
        ),
        1,
    );
}
