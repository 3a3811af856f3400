//! The engine's built-in functions, made to ask before they run.
//!
//! A script could detect a wrapper object around a built-in: by its identity, by its behaviour as a constructor, as a
//! species, in a stack trace. So there are none. The function object stays as it is, and only the entry inside it is
//! exchanged: the engine jumps to [`metered`] where it would have jumped to its own code, and the number of the row in the
//! table takes the place of the private number ("magic") with which one piece of C serves several functions. A script can
//! read none of that.
//!
//! The engine has no interface for this, so `object.rs` knows the layout of an object in one version. [`verify_layout`]
//! compares that with objects of chosen content, before anything is changed.
#![expect(unsafe_code, reason = "entries of functions inside the engine's objects")]

use std::ffi::c_int;
use std::ptr;
use std::sync::OnceLock;

use rquickjs::{Ctx, Value, qjs};

use super::object::{
    Function, Kind, array_length, dense_count, limbs, object_of, property_count, text_length,
};
use super::operand::Operands;
use super::table::TABLE;
use super::{Charge, Metering, Rule};

const GENERIC: Kind = qjs::JSCFunctionEnum_JS_CFUNC_generic as Kind;
const GENERIC_MAGIC: Kind = qjs::JSCFunctionEnum_JS_CFUNC_generic_magic as Kind;
const CONSTRUCTOR: Kind = qjs::JSCFunctionEnum_JS_CFUNC_constructor as Kind;
const CONSTRUCTOR_MAGIC: Kind = qjs::JSCFunctionEnum_JS_CFUNC_constructor_magic as Kind;
const EITHER: Kind = qjs::JSCFunctionEnum_JS_CFUNC_constructor_or_func as Kind;
const EITHER_MAGIC: Kind = qjs::JSCFunctionEnum_JS_CFUNC_constructor_or_func_magic as Kind;
const GETTER: Kind = qjs::JSCFunctionEnum_JS_CFUNC_getter as Kind;
const SETTER: Kind = qjs::JSCFunctionEnum_JS_CFUNC_setter as Kind;
const ITERATOR_NEXT: Kind = qjs::JSCFunctionEnum_JS_CFUNC_iterator_next as Kind;

/// The original entry of a function, and its calling convention.
#[derive(Clone, Copy)]
pub(super) struct Original {
    entry: qjs::JSCFunctionType,
    kind: Kind,
    magic: i16,
}

/// The data for each call of an exchanged function.
struct Exchanged {
    original: Original,
    rule: Rule,
}

/// All rows. The originals are functions of the linked engine, the same for every heap of this process.
static EXCHANGED: OnceLock<Vec<Exchanged>> = OnceLock::new();

/// The engine does not have the layout that this file knows.
#[derive(Debug, thiserror::Error)]
#[error("the engine's {0} is not what the metering of its built-ins expects")]
pub(super) struct LayoutError(pub(super) &'static str);

/// Compares the layout with objects of known content.
pub(super) fn verify_layout(ctx: &Ctx<'_>) -> Result<(), LayoutError> {
    const LENGTH: u8 = 7;
    const MAGIC: i16 = 0x1234;
    let raw = ctx.as_raw().as_ptr();
    let entry = qjs::JSCFunctionType { generic_magic: Some(metered) };
    // SAFETY: the context is alive and the name ends with zero; the value is owned, and released with `probe`.
    let probe = unsafe {
        let name = c"probe".as_ptr();
        let kind = qjs::JSCFunctionEnum_JS_CFUNC_generic_magic;
        let probe = qjs::JS_NewCFunction2(raw, entry.generic, name, LENGTH.into(), kind, MAGIC.into());
        Value::from_raw(ctx.clone(), probe)
    };
    if !probe.is_function() {
        return Err(LayoutError("memory"));
    }
    // SAFETY: a function was created, so there is an object of at least the size of the pinned version.
    let (object, function) =
        unsafe { (&*object_of(probe.as_raw()), (*object_of(probe.as_raw())).body.function) };
    // SAFETY: the value is alive.
    let class = unsafe { qjs::JS_GetClassID(probe.as_raw()) };
    // SAFETY: all members of the union are pointers to functions.
    let is_entry = unsafe {
        ptr::fn_addr_eq(function.entry.generic_magic.unwrap_or(metered_elsewhere), metered as MagicEntry)
    };
    let is_known = u32::from(object.class) == class
        && function.realm == raw
        && is_entry
        && (function.length, function.kind, function.magic) == (LENGTH, GENERIC_MAGIC, MAGIC);
    if !is_known {
        return Err(LayoutError("function"));
    }
    let evaluate = |text: &str| ctx.eval::<Value<'_>, _>(text).map_err(|_| LayoutError("memory"));
    for (text, expected) in
        [("[1, 2, 3]", Some(3)), ("[]", Some(0)), ("[1, , 3]", None), ("({ length: 1 })", None)]
    {
        if dense_count(evaluate(text)?.as_raw()) != expected {
            return Err(LayoutError("array"));
        }
    }
    for (text, expected) in [("[1, , 3]", 3.0), ("[].length = 0, Array(4294967295)", 4_294_967_295.0)] {
        let length = array_length(evaluate(text)?.as_raw()).ok_or(LayoutError("array"))?;
        // SAFETY: a number needs no release.
        let length = unsafe { Value::from_raw(ctx.clone(), length) };
        if length.as_number() != Some(expected) {
            return Err(LayoutError("array"));
        }
    }
    for (text, expected) in [("({})", 0), ("({ a: 1, b: 2, get c () {} })", 3), ("[1, 2]", 1)] {
        if property_count(evaluate(text)?.as_raw()) != expected {
            return Err(LayoutError("shape"));
        }
    }
    for (text, expected) in [("1n << 100n", 4), ("-(1n << 1000n)", 32)] {
        let integer = evaluate(text)?;
        // SAFETY: the type says that it is one.
        if integer.type_of() != rquickjs::Type::BigInt || unsafe { limbs(integer.as_raw()) } != expected {
            return Err(LayoutError("integer"));
        }
    }
    for (text, expected) in [("''", 0), ("'text'", 4), ("'\\u{1f600}\\u0394'", 3)] {
        let text = evaluate(text)?;
        // SAFETY: a literal is in one piece; otherwise its type would differ.
        if !text.is_string() || unsafe { text_length(text.as_raw()) } != expected {
            return Err(LayoutError("string"));
        }
    }
    Ok(())
}

type MagicEntry =
    unsafe extern "C" fn(*mut qjs::JSContext, qjs::JSValue, c_int, *mut qjs::JSValue, c_int) -> qjs::JSValue;

/// Stands only for "another entry than [`metered`]".
unsafe extern "C" fn metered_elsewhere(
    _: *mut qjs::JSContext,
    _: qjs::JSValue,
    _: c_int,
    _: *mut qjs::JSValue,
    _: c_int,
) -> qjs::JSValue {
    qjs::JS_UNDEFINED
}

/// Exchanges the entries of these functions, which are the rows of the table in its order.
pub(super) fn exchange(functions: &[Value<'_>]) -> Result<(), LayoutError> {
    let originals: Option<Vec<Original>> = functions.iter().map(original).collect();
    let originals = originals.ok_or(LayoutError("set of built-ins"))?;
    let rules = TABLE.iter().map(|row| row.rule);
    let exchanged =
        || originals.iter().zip(rules).map(|(&original, rule)| Exchanged { original, rule }).collect();
    let known = EXCHANGED.get_or_init(exchanged);
    let is_known =
        known.len() == originals.len() && known.iter().zip(&originals).all(|(a, b)| a.original.is(b));
    if !is_known {
        return Err(LayoutError("set of built-ins"));
    }
    for (row, function) in functions.iter().enumerate() {
        let row = i16::try_from(row).map_err(|_| LayoutError("number of built-ins"))?;
        // SAFETY: `original` has found each of them to be a function in C of a kind that `redirect` knows.
        unsafe { redirect(&mut (*object_of(function.as_raw())).body.function, row) };
    }
    Ok(())
}

/// Returns the content of a function object, if it is a function in C.
fn native(function: &Value<'_>) -> Option<Function> {
    let raw = function.as_raw();
    // SAFETY: the value is alive.
    let class = unsafe { qjs::JS_GetClassID(raw) };
    let is_native = function.is_function() && class == NATIVE_FUNCTION;
    // SAFETY: the class says which member of the union is there, and the layout has been verified.
    is_native.then(|| unsafe { (*object_of(raw)).body.function })
}

/// Returns the original entry of a function, if its kind can be metered.
fn original(function: &Value<'_>) -> Option<Original> {
    let Function { entry, kind, magic, .. } = native(function)?;
    matches!(kind, GENERIC..=EITHER_MAGIC | ITERATOR_NEXT).then_some(Original { entry, kind, magic })
}

/// The two functions of an accessor.
#[derive(Clone, Copy)]
pub(super) struct Accessor {
    pub(super) get: unsafe extern "C" fn(*mut qjs::JSContext, qjs::JSValue) -> qjs::JSValue,
    pub(super) set: unsafe extern "C" fn(*mut qjs::JSContext, qjs::JSValue, qjs::JSValue) -> qjs::JSValue,
}

/// Exchanges the entries of an accessor's functions; returns the engine's own.
pub(super) fn exchange_accessor(
    getter: &Value<'_>,
    setter: &Value<'_>,
    with: &Accessor,
) -> Result<Accessor, LayoutError> {
    let kind_of = |function: &Value<'_>| native(function).map(|function| function.kind);
    if (kind_of(getter), kind_of(setter)) != (Some(GETTER), Some(SETTER)) {
        return Err(LayoutError("accessor"));
    }
    // SAFETY: both are functions in C of kinds that determine the member of the union.
    unsafe {
        let get = &mut (*object_of(getter.as_raw())).body.function.entry;
        let set = &mut (*object_of(setter.as_raw())).body.function.entry;
        let (Some(old_get), Some(old_set)) = (get.getter, set.setter) else {
            return Err(LayoutError("accessor"));
        };
        *get = qjs::JSCFunctionType { getter: Some(with.get) };
        *set = qjs::JSCFunctionType { setter: Some(with.set) };
        Ok(Accessor { get: old_get, set: old_set })
    }
}

/// `JS_CLASS_C_FUNCTION`.
const NATIVE_FUNCTION: qjs::JSClassID = 12;

/// Exchanges the entry of a function.
///
/// # Safety
/// The function is of one of the kinds in [`original`].
unsafe fn redirect(function: &mut Function, row: i16) {
    function.magic = row;
    if function.kind == ITERATOR_NEXT {
        function.entry = qjs::JSCFunctionType { iterator_next: Some(metered_next) };
        return;
    }
    function.entry = qjs::JSCFunctionType { generic_magic: Some(metered) };
    function.kind = match function.kind {
        GENERIC => GENERIC_MAGIC,
        CONSTRUCTOR => CONSTRUCTOR_MAGIC,
        EITHER => EITHER_MAGIC,
        with_magic => with_magic,
    };
}

impl Original {
    fn is(&self, other: &Self) -> bool {
        // SAFETY: each member of the union is a pointer to a function, and only addresses are compared.
        let address = |original: &Self| unsafe { original.entry.generic.map(|entry| entry as usize) };
        address(self) == address(other) && (self.kind, self.magic) == (other.kind, other.magic)
    }

    /// Calls the original entry.
    ///
    /// # Safety
    /// The arguments are those with which the engine called the entry that replaced this one.
    unsafe fn call(
        &self,
        ctx: *mut qjs::JSContext,
        this: qjs::JSValue,
        count: c_int,
        arguments: *mut qjs::JSValue,
    ) -> qjs::JSValue {
        // SAFETY: the kind determines the member of the union; the arguments are the caller's.
        unsafe {
            match self.kind {
                GENERIC | CONSTRUCTOR | EITHER => {
                    let entry = self.entry.generic.expect("the engine called it, so it is there");
                    entry(ctx, this, count, arguments)
                }
                _ => {
                    let entry = self.entry.generic_magic.expect("the engine called it, so it is there");
                    entry(ctx, this, count, arguments, self.magic.into())
                }
            }
        }
    }
}

/// Charges for a call, then runs the built-in: the entry of every function of the table.
///
/// # Safety
/// For the engine only, which passes `arguments` that hold `count` values and `this` that is alive.
unsafe extern "C" fn metered(
    ctx: *mut qjs::JSContext,
    this: qjs::JSValue,
    count: c_int,
    arguments: *mut qjs::JSValue,
    row: c_int,
) -> qjs::JSValue {
    let Exchanged { original, rule } = exchanged(row);
    // SAFETY: the arguments are the engine's.
    unsafe {
        let Some(metering) = Metering::current() else { return original.call(ctx, this, count, arguments) };
        let operands = Operands::new(ctx, this, count, arguments);
        match rule(&operands, &metering.known) {
            Charge::Steps(steps) if metering.pay(steps) => original.call(ctx, this, count, arguments),
            charge => metering.settle(charge, row, original, &operands),
        }
    }
}

impl Metering {
    /// Continues a call whose charge is not just a number of steps, or more than is left.
    ///
    /// # Safety
    /// As for [`metered`], with the engine's arguments.
    #[cold]
    unsafe fn settle(
        &self,
        charge: Charge,
        row: c_int,
        original: &Original,
        operands: &Operands,
    ) -> qjs::JSValue {
        let (ctx, this, count, arguments) = operands.raw();
        // SAFETY: the caller's promise. All that is called or returned was created in this context, or lives as long as it.
        unsafe {
            match charge {
                Charge::Inspected if self.pay(0) => {
                    let mut inspected =
                        [operands.argument(0).value(), self.replacer, operands.argument(2).value()];
                    original.call(ctx, this, 3, inspected.as_mut_ptr())
                }
                Charge::Known(steps, answer) if self.pay(steps) => answer,
                Charge::After(steps, more) if self.pay(steps) => {
                    let result = original.call(ctx, this, count, arguments);
                    if self.pay(more(operands.with(&result))) { result } else { interrupted(ctx, result) }
                }
                Charge::Script if self.pay(0) => match self.scripted(row) {
                    Some(version) => qjs::JS_Call(ctx, version, this, count, arguments),
                    None => original.call(ctx, this, count, arguments),
                },
                _ => interrupted(ctx, qjs::JS_UNDEFINED),
            }
        }
    }

    fn scripted(&self, row: c_int) -> Option<qjs::JSValue> {
        usize::try_from(row).ok().and_then(|row| self.scripted[row])
    }
}

/// Charges for a step of a built-in iterator: the entry of `next`, which has a calling convention of its own.
///
/// # Safety
/// As for [`metered`]; `done` is for writing.
unsafe extern "C" fn metered_next(
    ctx: *mut qjs::JSContext,
    this: qjs::JSValue,
    count: c_int,
    arguments: *mut qjs::JSValue,
    done: *mut c_int,
    row: c_int,
) -> qjs::JSValue {
    let original = &exchanged(row).original;
    // SAFETY: the arguments are the engine's; the entry of this kind is of this type.
    unsafe {
        if let Some(metering) = Metering::current()
            && !metering.pay(1)
        {
            *done = 0;
            return interrupted(ctx, qjs::JS_UNDEFINED);
        }
        let entry = original.entry.iterator_next.expect("the engine called it, so it is there");
        entry(ctx, this, count, arguments, done, original.magic.into())
    }
}

#[inline]
fn exchanged(row: c_int) -> &'static Exchanged {
    let exchanged = EXCHANGED.get().expect("set before the first entry was exchanged");
    &exchanged[usize::try_from(row).expect("rows count from zero")]
}

/// Ends a script in the engine's own way; replaces `result`.
///
/// # Safety
/// The context is alive, and `result` is ours.
pub(super) unsafe fn interrupted(ctx: *mut qjs::JSContext, result: qjs::JSValue) -> qjs::JSValue {
    // SAFETY: the caller's promise; the exception is taken and put back.
    unsafe {
        qjs::JS_FreeValue(ctx, result);
        qjs::JS_ThrowInternalError(ctx, c"interrupted".as_ptr());
        let exception = qjs::JS_GetException(ctx);
        qjs::JS_SetUncatchableError(ctx, exception);
        qjs::JS_Throw(ctx, exception)
    }
}
