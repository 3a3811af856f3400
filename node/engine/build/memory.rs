//! Makes the compiler stop when its memory ends, or when it reaches one of its limits.
//!
//! As delivered, most of the compiler goes on when an allocation fails: with a scope, a label or a constant whose index is -1,
//! with half an instruction, with a table that is smaller than its mask. The result reads and writes beyond its tables.
//! Here the runtime remembers that an allocation failed since the compilation began. The parser checks that with each token,
//! the later passes with each instruction: none of them goes on, and the compilation ends as one that runs out of memory. In
//! between, the few places that could do harm at once are made safe.
//!
//! Limits are the other reason why an addition fails. Of the numbers that instructions and functions hold in 16 bits,
//! those of scopes, of captured variables, and of the variables that a direct `eval` sees had no limit at all.

use super::text::Text;

/// Changes the engine.
pub(crate) fn end(text: &mut Text) {
    remember(text);
    end_the_parser(text);
    end_the_passes(text);
    limit(text);
    // Of all objects created in two steps, only a bound function was treated as complete before its second step.
    for function in ["js_bound_function_finalizer", "js_bound_function_mark"] {
        let first = "    int i;\n";
        text.replace_in(function, first, &format!("{first}\n    if (!bf)\n        return;\n"));
    }
}

/// Keeps a buffer that could not grow from accepting more bytes: a shorter piece would fit, behind half an instruction.
pub(crate) fn end_buffers(text: &mut Text) {
    text.replace("            s->error = true;\n", "            dbuf_set_error(s);\n", 1);
    text.replace_in(
        "dbuf_set_error",
        "    s->error = true;",
        "    s->error = true;\n    s->allocated_size = s->size;",
    );
}

/// Records each failed allocation, and forgets those from before a compilation. A compilation can begin during another one: an
/// error's stack trace may be a function of the script.
fn remember(text: &mut Text) {
    // The flags lie in the structure's padding: the engine takes as much memory as before.
    text.replace(FLAG, &format!("{FLAG}{FLAGS}"), 1);
    for function in ["js_calloc_rt", "js_malloc_rt", "js_realloc_rt"] {
        text.replace_in(function, "    if (!ptr)\n        return NULL;\n", REFUSED);
    }
    text.replace(CHECK, &format!("{COMPILATION}{CHECK}"), 1);
    text.begin("__JS_EvalInternal", "VMS_COMPILATION(ctx->rt);");
}

fn end_the_parser(text: &mut Text) {
    text.begin("next_token", "if (vms_has_ended(s->ctx))\n        return -1;");
    // A token that is missing for lack of memory is no mistake of the program.
    let failed = "        free_token(s, &s->token);\n";
    text.replace_in("__JS_EvalInternal", failed, &format!("        vms_has_ended(ctx);\n{failed}"));
    // A scope that was not pushed must not be popped off the others.
    text.replace(
        SCOPE,
        &format!("        if (fd->scopes[fd->scope_level].parent < 0)\n            return;\n{SCOPE}"),
        1,
    );
    // A variable that is not in the table of names would make look-ups go beyond the table.
    text.replace_in(
        "add_var",
        "    if (update_var_htab(ctx, fd))\n        return -1;\n",
        "    if (update_var_htab(ctx, fd)) {\n        JS_FreeAtom(ctx, name);\n        fd->var_count--;\n        \
         return -1;\n    }\n",
    );
    // No token is read between a class's instructions and the places where they are amended.
    for place in [
        "    put_u32(fd->byte_code.buf + ctor_cpool_offset",
        "            cf->fields_init_fd->byte_code.buf[",
    ] {
        text.replace_in(
            "js_parse_class",
            place,
            &format!("    if (vms_has_ended(ctx))\n        goto fail;\n{place}"),
        );
    }
}

fn end_the_passes(text: &mut Text) {
    text.begin(
        "js_create_function",
        "if (vms_has_ended(ctx)) {\n        js_free_function_def(ctx, fd);\n        return JS_EXCEPTION;\n    }",
    );
    text.replace_in("js_create_function", "        add_eval_variables(ctx, fd);\n", EVAL_VARIABLES);
    for pass in ["resolve_variables(ctx, fd)", "resolve_labels(ctx, fd)"] {
        text.replace_in(
            "js_create_function",
            &format!("if ({pass})"),
            &format!("if ({pass} || vms_has_ended(ctx))"),
        );
    }
    let (first, next) = (
        "    for (pos = 0; pos < bc_len; pos = pos_next) {\n",
        "        if (vms_has_ended(ctx))\n            goto fail;\n",
    );
    text.replace_in("resolve_variables", first, &format!("{first}{next}"));
    // An instruction reads the variable of a closure that it has just added.
    let found = "                goto has_idx;\n";
    text.replace_in(
        "resolve_scope_var",
        found,
        &format!("                if (idx < 0)\n                    goto done;\n{found}"),
    );
    // Names that the copy has no room for would never be released.
    let copy = "    for (; pos < bc_len; pos = pos_next) {\n";
    text.replace_in("resolve_variables", copy, &format!("{FREE_VARIABLES}{copy}"));
    text.replace_in("resolve_labels", first, &format!("{first}        pos_next = pos;\n{next}"));
    let missing = "    /* check that there were no missing labels */\n";
    text.replace_in(
        "resolve_labels",
        missing,
        &format!("    pos_next = pos;\n    if (vms_has_ended(ctx))\n        goto fail;\n{missing}"),
    );
    text.replace_in("resolve_labels", "    /* XXX: not safe */\n    dbuf_free(&bc_out);\n", FREE_LABELS);
}

fn limit(text: &mut Text) {
    for function in ["add_var", "add_arg", "add_closure_var"] {
        let throw = "        JS_ThrowSyntaxError(ctx, \"too many";
        text.replace_in(function, throw, &format!("        ctx->rt->vms_is_over_limit = true;\n{throw}"));
    }
    text.replace("        /* XXX: should check for scope overflow */\n", SCOPES, 1);
    let last = "JS_DupAtom(ctx, cv0->var_name);\n    }\n";
    text.replace_in("add_closure_variables", last, &format!("{last}{SEEN_BY_EVAL}"));
    let size = "    function_size = sizeof(*b);\n";
    text.replace_in("js_create_function", size, &format!("{CAPTURED}{size}"));
}

/// The code that is replaced.
const FLAG: &str = "    bool in_out_of_memory;\n";
const CHECK: &str = "static inline bool js_check_stack_overflow(JSRuntime *rt, size_t alloca_size)\n{";
const SCOPE: &str = "        int scope = fd->scope_level;\n        emit_op(s, OP_leave_scope);\n";

const FLAGS: &str = "    /* since the compilation began: memory was refused, a limit was reached */
    bool vms_is_starved;
    bool vms_is_over_limit;
";

const REFUSED: &str = "    if (!ptr) {
        rt->vms_is_starved = true;
        return NULL;
    }
";

const COMPILATION: &str = r"typedef struct VmsCompilation {
    JSRuntime *rt;
    bool was_starved;
    bool was_over_limit;
} VmsCompilation;

static inline VmsCompilation vms_begin_compilation(JSRuntime *rt)
{
    VmsCompilation outer = { rt, rt->vms_is_starved, rt->vms_is_over_limit };
    rt->vms_is_starved = rt->vms_is_over_limit = false;
    return outer;
}

static inline void vms_end_compilation(VmsCompilation *outer)
{
    outer->rt->vms_is_starved = outer->was_starved;
    outer->rt->vms_is_over_limit = outer->was_over_limit;
}

#define VMS_COMPILATION(rt) \
    __attribute__((cleanup(vms_end_compilation))) VmsCompilation vms_compilation = vms_begin_compilation(rt)

static no_inline void vms_throw_starved(JSContext *ctx)
{
    JS_ThrowOutOfMemory(ctx);
}

/* Whether the compilation must end. The error is thrown: that of a limit was where it was reached. */
static inline bool vms_has_ended(JSContext *ctx)
{
    if (unlikely(ctx->rt->vms_is_starved))
        vms_throw_starved(ctx);
    return unlikely(ctx->rt->vms_is_starved || ctx->rt->vms_is_over_limit);
}

";

const EVAL_VARIABLES: &str = "    {
        add_eval_variables(ctx, fd);
        if (vms_has_ended(ctx))
            goto fail;
    }
";

const FREE_VARIABLES: &str = "    free_bytecode_atoms(ctx->rt, bc_buf + pos, bc_len - pos, false);
    bc_len = pos;
";

/// The finished part refers to the names of the copy, the rest still to those of the original.
const FREE_LABELS: &str = "    for (i = 0; i < s->label_count; i++) {
        for (re = label_slots[i].first_reloc; re != NULL; re = re_next) {
            re_next = re->next;
            js_free(ctx, re);
        }
        label_slots[i].first_reloc = NULL;
    }
    free_bytecode_atoms(ctx->rt, bc_buf + pos_next, bc_len - pos_next, false);
    dbuf_free(&s->byte_code);
    s->byte_code = bc_out;
    s->use_short_opcodes = true;
";

/// Instructions hold the number of a scope in 16 bits.
const SCOPES: &str = "        if (scope > UINT16_MAX) {
            js_parse_error(s, \"too many scopes (only %d allowed)\", UINT16_MAX);
            s->ctx->rt->vms_is_over_limit = true;
            return -1;
        }
";

const SEEN_BY_EVAL: &str = "    if (s->closure_var_count > JS_MAX_LOCAL_VARS) {
        JS_ThrowSyntaxError(ctx, \"too many variables in scope of eval (only %d allowed)\", JS_MAX_LOCAL_VARS);
        return -1;
    }
";

const CAPTURED: &str = "    if (fd->var_ref_count > UINT16_MAX) {
        JS_ThrowSyntaxError(ctx, \"too many variables captured (only %d allowed)\", UINT16_MAX);
        goto fail;
    }
";
