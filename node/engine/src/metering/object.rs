//! Objects inside the engine, as far as they must be read where the engine has no function for that.
//!
//! This file knows their layout in one version of the engine. [`super::builtin::verify_layout`] compares that with
//! objects of chosen content, before anything relies on it; the version itself is pinned in `Cargo.toml` and part of
//! every log.
#![expect(unsafe_code, reason = "the engine's objects, as they lie in memory")]

use std::ffi::{c_int, c_void};

use rquickjs::qjs;

/// The calling convention of a function in C.
pub(super) type Kind = u8;

/// `JS_CLASS_ARRAY`.
const ARRAY: u16 = 2;

/// The bit of `flags` for an array whose elements are contiguous, each an ordinary property, without a hole.
const DENSE: u8 = 1 << 4;

/// `struct JSObject` of quickjs-ng 0.16.2.
#[repr(C)]
pub(super) struct Object {
    link: [*mut c_void; 2],
    flags: u8,
    more_flags: u8,
    pub(super) class: u16,
    shape: *const Shape,
    properties: *const qjs::JSValue,
    weak: *mut c_void,
    pub(super) body: Body,
}

/// `struct JSShape`, up to its counts.
#[repr(C)]
pub(super) struct Shape {
    link: [*mut c_void; 2],
    is_hashed: u8,
    hash: u32,
    hash_mask: u32,
    room: c_int,
    properties: c_int,
}

#[repr(C)]
pub(super) union Body {
    pub(super) function: Function,
    elements: Elements,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Function {
    pub(super) realm: *mut qjs::JSContext,
    pub(super) entry: qjs::JSCFunctionType,
    pub(super) length: u8,
    pub(super) kind: Kind,
    pub(super) magic: i16,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Elements {
    size: *mut c_void,
    values: *mut c_void,
    count: u32,
}

/// Returns the number of elements of a dense array: no holes, no accessors, nothing that could run a script when it is read.
pub(super) fn dense_count(value: qjs::JSValue) -> Option<u32> {
    let array = array(value)?;
    // SAFETY: the bit says which member of the union is valid.
    unsafe { (array.flags & DENSE != 0).then_some(array.body.elements.count) }
}

/// Returns an array's length, which is its first property and a number.
pub(super) fn array_length(value: qjs::JSValue) -> Option<qjs::JSValue> {
    // SAFETY: every array has this property, and nothing removes it.
    array(value).map(|array| unsafe { *array.properties })
}

fn array<'a>(value: qjs::JSValue) -> Option<&'a Object> {
    // SAFETY: every object has this head, whose class says which body it has; the layout has been verified. Operands are
    // alive for the call.
    unsafe {
        if qjs::JS_VALUE_GET_TAG(value) != qjs::JS_TAG_OBJECT {
            return None;
        }
        let object = &*object_of(value);
        (object.class == ARRAY).then_some(object)
    }
}

/// Returns the UTF-16 units of a string that is in one piece.
///
/// # Safety
/// The value is such a string.
pub(super) unsafe fn text_length(value: qjs::JSValue) -> u32 {
    // SAFETY: such a value points to its string, whose first word is the length below a bit for its width.
    unsafe { *qjs::JS_VALUE_GET_PTR(value).cast::<u32>() & (u32::MAX >> 1) }
}

/// Returns the 32-bit words in an integer that has more than one.
///
/// # Safety
/// The value is such an integer.
pub(super) unsafe fn limbs(value: qjs::JSValue) -> u32 {
    // SAFETY: such a value points to its integer, whose first word is their number.
    unsafe { *qjs::JS_VALUE_GET_PTR(value).cast::<u32>() }
}

/// Returns the properties in an object's shape, including deleted ones until the engine compacts it; 0 for any other value.
pub(super) fn property_count(value: qjs::JSValue) -> u32 {
    // SAFETY: every object has a shape; the layout has been verified. Operands are alive for the call.
    unsafe {
        if qjs::JS_VALUE_GET_TAG(value) != qjs::JS_TAG_OBJECT {
            return 0;
        }
        u32::try_from((*(*object_of(value)).shape).properties).unwrap_or(0)
    }
}

/// Returns the elements of a typed array, whose body counts them at the same place; 0 when its buffer is detached.
pub(super) fn typed_count(value: qjs::JSValue) -> Option<u32> {
    // SAFETY: only objects of the typed arrays' classes have such a type, and with it this body.
    unsafe { (qjs::JS_GetTypedArrayType(value) >= 0).then(|| (*object_of(value)).body.elements.count) }
}

pub(super) fn object_of(value: qjs::JSValue) -> *mut Object {
    // SAFETY: only takes a number out of the value; a caller that follows the pointer must know that the value is an object.
    unsafe { qjs::JS_VALUE_GET_PTR(value).cast() }
}
