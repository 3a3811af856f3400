//! Makes the engine count its recursion depth.
//!
//! As delivered, the engine takes the depth of its recursion from the address of the topmost frame. The size of frames depends
//! on the compiler, and the address of the first one on the thread and its environment. A script can
//! catch the overflow and report it: it would not be deterministic. Here each function through which the engine can recurse
//! adds a fixed number of bytes to a count from its beginning to its end, and the engine's own checks,
//! at their old places, compare that count with the limit.
//!
//! The numbers are about the frame sizes of an optimised build on x86-64, so that a limit keeps its meaning. The call graph
//! determines the functions: without those below, its only cycles are those that the length of a list of
//! ours bounds (levels of operators, halves of a rope, which is at most 60 deep, an error while creating an error).
//! Most of the checks are in functions that all cycles of their kind run through: reading a token, reading a value, a call.

use super::text::Text;

/// How a function reaches the runtime.
const CONTEXT: &str = "ctx->rt";
const PARSER: &str = "s->ctx->rt";

/// The counted functions: the name, how it reaches the runtime, and the bytes counted for its frame and those of its
/// helpers.
const COUNTED: &[(&str, &str, usize)] = &[
    // Calls. The function's own variables come on top.
    ("JS_CallInternal", "caller_ctx->rt", 640),
    ("js_call_c_function", CONTEXT, 256),
    ("js_call_c_function_data", CONTEXT, 192),
    ("js_call_c_closure", CONTEXT, 224),
    ("js_call_bound_function", CONTEXT, 128),
    ("async_func_resume", CONTEXT, 64),
    ("JS_IteratorNext2", CONTEXT, 320),
    ("JS_IsInstanceOf", CONTEXT, 128),
    ("JS_AutoInitProperty", CONTEXT, 128),
    ("JS_EvalInternal", CONTEXT, 512),
    // Proxies.
    ("js_proxy_call", CONTEXT, 192),
    ("js_proxy_call_constructor", CONTEXT, 192),
    ("js_proxy_define_own_property", CONTEXT, 192),
    ("js_proxy_delete_property", CONTEXT, 128),
    ("js_proxy_get", CONTEXT, 384),
    ("js_proxy_getPrototypeOf", CONTEXT, 80),
    ("js_proxy_get_own_property", CONTEXT, 192),
    ("js_proxy_get_own_property_names", CONTEXT, 176),
    ("js_proxy_has", CONTEXT, 128),
    ("js_proxy_isArray", CONTEXT, 48),
    ("js_proxy_isExtensible", CONTEXT, 64),
    ("js_proxy_preventExtensions", CONTEXT, 64),
    ("js_proxy_set", CONTEXT, 448),
    ("js_proxy_setPrototypeOf", CONTEXT, 80),
    // JSON, `flat`, and the engine's own format.
    ("json_parse_value", PARSER, 96),
    ("json_free_parse_record", CONTEXT, 64),
    ("internalize_json_property", CONTEXT, 288),
    ("js_json_to_str", CONTEXT, 320),
    ("JS_FlattenIntoArray", CONTEXT, 320),
    ("JS_WriteObjectRec", PARSER, 320),
    ("JS_ReadObjectRec", PARSER, 384),
    // Programs: the parser, and its later passes. A function inside a function costs the parser more than the later
    // passes, so that they need no check of their own.
    ("js_parse_statement_or_decl", PARSER, 384),
    ("js_parse_assign_expr2", PARSER, 144),
    ("js_parse_expr_binary", PARSER, 96),
    ("js_parse_unary", PARSER, 104),
    ("js_parse_postfix_expr", PARSER, 144),
    ("js_parse_destructuring_element", PARSER, 256),
    ("js_parse_class", PARSER, 288),
    ("js_parse_function_decl2", PARSER, 256),
    ("js_create_function", CONTEXT, 192),
    ("js_free_function_def", CONTEXT, 64),
    ("get_closure_var", CONTEXT, 96),
    // Modules.
    ("js_resolve_module", CONTEXT, 96),
    ("js_create_module_function", CONTEXT, 96),
    ("js_inner_module_linking", CONTEXT, 288),
    ("js_inner_module_evaluation", CONTEXT, 96),
    ("gather_available_ancestors", CONTEXT, 96),
    ("js_async_module_execution_rejected", CONTEXT, 160),
];

/// The same in the compiler of regular expressions, which knows the engine by a pointer.
const COUNTED_IN_PATTERNS: &[(&str, usize)] =
    &[("re_parse_disjunction", 296), ("re_parse_nested_class", 192), ("parse_class_string_disjunction", 160)];

/// Functions that put their arguments or variables on the stack, and pass their size to their checks: these count as well.
const WITH_VARIABLES: [(&str, &str, &str); 5] = [
    ("JS_CallInternal", "rt", "alloca_size"),
    ("js_call_c_function", "rt", "sizeof(arg_buf[0]) * arg_count"),
    ("js_call_c_function_data", "rt", "stack_size"),
    ("js_call_c_closure", "rt", "stack_size"),
    ("js_call_bound_function", "ctx->rt", "sizeof(JSValue) * arg_count"),
];

/// The number of occurrences of the engine's check: its definition, and its uses.
const CHECKS: usize = 22;

/// Changes the engine.
pub(crate) fn count(text: &mut Text) {
    text.replace("js_check_stack_overflow(", "js_check_stack_overflow(", CHECKS);
    text.replace(
        LIMIT,
        &format!("{LIMIT} /* of the bytes that are counted */\n    size_t vms_stack_used;"),
        1,
    );
    text.replace("rt->stack_limit = 0; /* no limit */", "rt->stack_limit = SIZE_MAX;", 2);
    text.replace("rt->stack_limit = rt->stack_top - rt->stack_size;", "rt->stack_limit = rt->stack_size;", 1);
    text.replace(CHECK, &format!("{COUNT}\n{CHECK}"), 1);
    text.replace_in("js_check_stack_overflow", "sp < rt->stack_limit", "vms_is_too_deep(rt, alloca_size)");
    for (function, runtime, bytes) in WITH_VARIABLES {
        let check = format!("js_check_stack_overflow({runtime}, {bytes})");
        text.replace_in(function, &check, &format!("vms_take(&vms_frame, {bytes})"));
    }
    for (function, runtime, bytes) in COUNTED {
        text.begin(function, &format!("VMS_COUNT({runtime}, {bytes});"));
    }
    // The engine asks a function of ours how many calls an error writes down, see src/metering/backtrace.rs. An error that is
    // created where the stack has ended needs an answer, too, or it would not say where it was created.
    text.replace_in("build_backtrace", TRACE_LIMIT, TRACE_LIMIT_WITH_ROOM);
    // As delivered, an iterator over iterators calls each of them without a check.
    text.replace_in("JS_IteratorNext2", "            func = p->u.cfunc.c_function;\n", ITERATOR);
}

/// Changes the compiler of regular expressions.
pub(crate) fn count_patterns(text: &mut Text) {
    text.replace(PATTERN_STATE, &format!("{PATTERN_STATE}\n{COUNT_IN_PATTERNS}"), 1);
    for (function, bytes) in COUNTED_IN_PATTERNS {
        text.begin(function, &format!("VMS_COUNT(s->opaque, {bytes});"));
    }
}
/// The code that is replaced.
const LIMIT: &str = "uintptr_t stack_limit;";
const CHECK: &str = "static inline bool js_check_stack_overflow(JSRuntime *rt, size_t alloca_size)\n{";
const PATTERN_STATE: &str = "} REParseState;";

const TRACE_LIMIT: &str = "    JS_ToFloat64(ctx, &d, ctx->error_stack_trace_limit);\n";

/// Releases a part of the count meanwhile. An error that is created meanwhile writes down nothing, so this does not nest.
const TRACE_LIMIT_WITH_ROOM: &str = "    {
        size_t vms_room = rt->vms_stack_used < 4096 ? rt->vms_stack_used : 4096;
        rt->vms_stack_used -= vms_room;
        JS_ToFloat64(ctx, &d, ctx->error_stack_trace_limit);
        rt->vms_stack_used += vms_room;
    }
";

/// In an iterator's direct call of another.
const ITERATOR: &str = "            if (js_check_stack_overflow(ctx->rt, 0)) {
                JS_ThrowStackOverflow(ctx);
                goto fail;
            }
            func = p->u.cfunc.c_function;
";

/// The count, and the check that reads it.
const COUNT: &str = r#"
_Static_assert(sizeof(void *) == 8 && sizeof(JSValue) == 16, "the stack is counted on 64-bit machines only");

typedef struct VmsFrame {
    JSRuntime *rt;
    size_t bytes;
} VmsFrame;

static inline VmsFrame vms_enter(JSRuntime *rt, size_t bytes)
{
    rt->vms_stack_used += bytes;
    return (VmsFrame){ rt, bytes };
}

static inline void vms_leave(VmsFrame *frame)
{
    frame->rt->vms_stack_used -= frame->bytes;
}

#define VMS_COUNT(rt, bytes) \
    __attribute__((cleanup(vms_leave))) VmsFrame vms_frame = vms_enter(rt, bytes)

static inline bool vms_is_too_deep(JSRuntime *rt, size_t alloca_size)
{
    return unlikely(rt->vms_stack_used > rt->stack_limit ||
                    alloca_size > rt->stack_limit - rt->vms_stack_used);
}

/* As the check; counts the bytes if there is room for them. */
static inline bool vms_take(VmsFrame *frame, size_t alloca_size)
{
    if (vms_is_too_deep(frame->rt, alloca_size))
        return true;
    frame->bytes += alloca_size;
    frame->rt->vms_stack_used += alloca_size;
    return false;
}

size_t vms_stack_used(JSRuntime *rt)
{
    return rt->vms_stack_used;
}

void vms_enter_pattern(void *opaque, size_t bytes)
{
    ((JSContext *)opaque)->rt->vms_stack_used += bytes;
}

void vms_leave_pattern(void *opaque, size_t bytes)
{
    ((JSContext *)opaque)->rt->vms_stack_used -= bytes;
}

"#;

const COUNT_IN_PATTERNS: &str = r"
void vms_enter_pattern(void *opaque, size_t bytes);
void vms_leave_pattern(void *opaque, size_t bytes);

typedef struct VmsFrame {
    void *opaque;
    size_t bytes;
} VmsFrame;

static inline void vms_leave(VmsFrame *frame)
{
    vms_leave_pattern(frame->opaque, frame->bytes);
}

#define VMS_COUNT(engine, size) \
    __attribute__((cleanup(vms_leave))) VmsFrame vms_frame = { engine, size }; \
    vms_enter_pattern(vms_frame.opaque, vms_frame.bytes)
";
