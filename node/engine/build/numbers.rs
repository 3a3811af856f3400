//! Makes every NaN the same bytes.
//!
//! Arithmetic produces a NaN whose sign depends on the processor: x86-64 sets it, ARM does not. Operations on a NaN of a script's
//! own bytes pass on one operand's payload, and processors choose differently. JavaScript shows these bits in one place, the bytes
//! under typed arrays and `DataView`s. So whatever NaN is stored there, it is the one that JavaScript's `NaN` is
//! (ECMA-262, section 6.1.6.1, leaves the choice to the engine).

use super::text::Text;

/// Where the function for it goes: before everything that stores numbers.
const BEFORE: &str = "static inline bool double_is_int32(double d)\n{";

/// Returns the number; any NaN as the one without a sign and a payload.
const NUMBER: &str = "static inline double vms_number(double d)
{
    JSFloat64Union t;

    t.u64 = 0x7ff8000000000000;
    return unlikely(d != d) ? t.d : d;
}

";

/// What is stored into an element of a typed array.
const ELEMENTS: [(&str, &str); 3] = [
    ("p->u.array.u.fp16_ptr[idx] = tofp16(d);", "p->u.array.u.fp16_ptr[idx] = tofp16(vms_number(d));"),
    ("p->u.array.u.float_ptr[idx] = d;", "p->u.array.u.float_ptr[idx] = vms_number(d);"),
    ("p->u.array.u.double_ptr[idx] = d;", "p->u.array.u.double_ptr[idx] = vms_number(d);"),
];

/// What turns a number into bytes: the function, and where it does so.
const BYTES: [(&str, &str); 2] = [
    (
        "js_typed_array_fill",
        "        if (JS_ToFloat64(ctx, &d, argv[0]))\n            return JS_EXCEPTION;\n",
    ),
    ("js_dataview_setValue", "        if (JS_ToFloat64(ctx, &d, val))\n            return JS_EXCEPTION;\n"),
];

/// Changes the engine.
pub(crate) fn make_alike(text: &mut Text) {
    text.replace(BEFORE, &format!("{NUMBER}{BEFORE}"), 1);
    for (old, new) in ELEMENTS {
        text.replace(old, new, 1);
    }
    for (function, read) in BYTES {
        text.replace_in(function, read, &format!("{read}        d = vms_number(d);\n"));
    }
}
