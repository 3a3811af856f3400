//! Makes a property that the engine initialises at its first use survive a first use that fails.
//!
//! The engine creates most built-ins, and the `prototype` of a function, at their first use. As delivered, it drops the
//! initialiser before it knows whether that succeeded: a call that runs out of memory there would leave `undefined` behind, for
//! all later calls. Here the property stays as it was, and the next call creates it.

use super::text::Text;

pub(crate) fn keep(text: &mut Text) {
    text.replace_in(
        "JS_AutoInitProperty",
        "    js_autoinit_free(ctx->rt, pr);\n",
        "    if (JS_IsException(val))\n        return -1;\n    js_autoinit_free(ctx->rt, pr);\n",
    );
}
