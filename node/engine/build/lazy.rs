//! Makes a property that the engine fills in when it is first used survive a first use that fails.
//!
//! The engine makes most built-ins, and the `prototype` of a function, when they are first asked for. As delivered, it forgets
//! how before it knows whether that went well: a call that runs out of memory there would leave `undefined` behind, for
//! all later calls. Here the property stays as it was, and the next call makes it.

use super::text::Text;

pub(crate) fn keep(text: &mut Text) {
    text.replace_in(
        "JS_AutoInitProperty",
        "    js_autoinit_free(ctx->rt, pr);\n",
        "    if (JS_IsException(val))\n        return -1;\n    js_autoinit_free(ctx->rt, pr);\n",
    );
}
