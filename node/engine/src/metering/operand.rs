//! The operands of a built-in, read without side effects.
//!
//! A script can observe nearly everything: a length may be a getter, an array a proxy. The functions of this file never run
//! a line of the script; where an answer would need that there is no answer, and the caller must take another way.
#![expect(unsafe_code, reason = "values of the engine, borrowed for the time of one call")]

use std::ffi::c_int;
use std::mem::MaybeUninit;

use rquickjs::{Object, qjs};

use super::object;

/// The largest length that an object can have.
pub(super) const LENGTH_MAX: u64 = (1 << 53) - 1;

/// Names of properties that the rules read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name {
    Length,
    Constructor,
    Species,
    IsConcatSpreadable,
    Replace,
    Split,
}

/// `this` and the arguments of one call, alive as long as it lasts.
pub(super) struct Operands {
    ctx: *mut qjs::JSContext,
    this: qjs::JSValue,
    count: c_int,
    arguments: *mut qjs::JSValue,
}

/// One value among the operands, or an element of one, in place: a copy costs more than most queries.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    ctx: *mut qjs::JSContext,
    value: &'a qjs::JSValue,
}

/// A property, as far as it can be read without the script.
pub(super) enum Property {
    /// Neither the object nor its prototypes have it.
    Absent,
    Data(Data),
    /// Reading it would call the script: it is an accessor or a proxy.
    Opaque,
}

/// The value of an ordinary property.
pub(super) enum Data {
    Undefined,
    Number(f64),
    Function,
    Other,
}

impl Operands {
    /// Returns the operands of one call.
    ///
    /// # Safety
    /// All of it is alive while the result is used; `arguments` holds `count` values.
    pub(super) unsafe fn new(
        ctx: *mut qjs::JSContext,
        this: qjs::JSValue,
        count: c_int,
        arguments: *mut qjs::JSValue,
    ) -> Self {
        Self { ctx, this, count, arguments }
    }

    /// Returns the parts that were passed to `new`.
    pub(super) fn raw(&self) -> (*mut qjs::JSContext, qjs::JSValue, c_int, *mut qjs::JSValue) {
        (self.ctx, self.this, self.count, self.arguments)
    }

    /// Returns `this` of the call; for a constructor, the target of `new`.
    pub(super) fn this(&self) -> Operand<'_> {
        self.with(&self.this)
    }

    /// Returns the number of arguments.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    /// Returns an argument; `undefined` if there are not so many.
    pub(super) fn argument(&self, index: usize) -> Operand<'_> {
        if index < self.count() {
            // SAFETY: the index is within the values that were passed to `new`.
            self.with(unsafe { &*self.arguments.add(index) })
        } else {
            self.with(&qjs::JS_UNDEFINED)
        }
    }

    /// Returns another value of the same heap, alive as long, as an operand.
    pub(super) fn with<'a>(&self, value: &'a qjs::JSValue) -> Operand<'a> {
        Operand { ctx: self.ctx, value }
    }

    /// Returns a number for the script.
    pub(super) fn number(value: i32) -> qjs::JSValue {
        qjs::JS_MKVAL(qjs::JS_TAG_INT, value)
    }

    /// Returns a boolean for the script.
    pub(super) fn truth(value: bool) -> qjs::JSValue {
        if value { qjs::JS_TRUE } else { qjs::JS_FALSE }
    }
}

impl Operand<'_> {
    /// Returns the engine's value.
    pub(super) fn value(self) -> qjs::JSValue {
        *self.value
    }

    fn tag(self) -> i32 {
        // SAFETY: reads the tag, which every value has.
        unsafe { qjs::JS_VALUE_GET_TAG(*self.value) }
    }

    pub(super) fn is_undefined(self) -> bool {
        self.tag() == qjs::JS_TAG_UNDEFINED
    }

    /// Returns whether the value is `null` or `undefined`.
    pub(super) fn is_nullish(self) -> bool {
        self.is_undefined() || self.tag() == qjs::JS_TAG_NULL
    }

    pub(super) fn is_object(self) -> bool {
        self.tag() == qjs::JS_TAG_OBJECT
    }

    pub(super) fn is_function(self) -> bool {
        // SAFETY: the value is alive.
        self.is_object() && unsafe { qjs::JS_IsFunction(self.ctx, *self.value) }
    }

    /// Returns whether the value was created as a regular expression, whatever it looks like now.
    pub(super) fn is_regexp(self) -> bool {
        // SAFETY: the value is alive.
        self.is_object() && unsafe { qjs::JS_IsRegExp(*self.value) }
    }

    /// Returns whether the value is an `ArrayBuffer`.
    pub(super) fn is_buffer(self) -> bool {
        // SAFETY: the value is alive.
        self.is_object() && unsafe { qjs::JS_IsArrayBuffer(*self.value) }
    }

    /// Returns whether the value is a BigInt that does not fit into a machine word.
    pub(super) fn is_long_integer(self) -> bool {
        self.tag() == qjs::JS_TAG_BIG_INT
    }

    /// Returns the 32-bit words in a long integer; 0 for any other value.
    pub(super) fn limbs(self) -> u64 {
        // SAFETY: the kind says that the value points to an integer.
        if self.is_long_integer() { u64::from(unsafe { object::limbs(*self.value) }) } else { 0 }
    }

    /// Returns the number of an object's own properties, elements included, or of a text's units. Deleted properties may count.
    pub(super) fn property_count(self) -> u64 {
        if !self.is_object() {
            return self.text_length().unwrap_or(0);
        }
        let elements = self.dense_length().or(self.typed_length()).unwrap_or(0);
        elements.saturating_add(u64::from(object::property_count(*self.value)))
    }

    /// Returns the number that a built-in function computes from this value; the function must run no script on it.
    pub(super) fn number_of(self, function: qjs::JSValue) -> Option<u64> {
        // SAFETY: function and value are alive; a number needs no release, and an exception is taken away.
        unsafe {
            let value = qjs::JS_Call(self.ctx, function, *self.value, 0, std::ptr::null_mut());
            if qjs::JS_IsException(value) {
                qjs::JS_FreeValue(self.ctx, qjs::JS_GetException(self.ctx));
                return None;
            }
            Operand { ctx: self.ctx, value: &value }.number().map(|number| number as u64)
        }
    }

    /// Returns the value of a number.
    pub(super) fn number(self) -> Option<f64> {
        // SAFETY: the tag says which member of the union is there.
        unsafe {
            match self.tag() {
                qjs::JS_TAG_INT => Some(f64::from(qjs::JS_VALUE_GET_INT(*self.value))),
                tag if qjs::JS_TAG_IS_FLOAT64(tag) => Some(qjs::JS_VALUE_GET_FLOAT64(*self.value)),
                _ => None,
            }
        }
    }

    /// Returns the UTF-16 units of a string; `None` for a string object.
    #[inline]
    pub(super) fn text_length(self) -> Option<u64> {
        match self.tag() {
            // SAFETY: the tag says so.
            qjs::JS_TAG_STRING => Some(u64::from(unsafe { object::text_length(*self.value) })),
            qjs::JS_TAG_STRING_ROPE => {
                let mut length = 0;
                // SAFETY: the value is alive. The length of a string is its own and cannot be redefined.
                let status = unsafe { qjs::JS_GetLength(self.ctx, *self.value, &raw mut length) };
                (status == 0).then(|| u64::try_from(length).unwrap_or(0))
            }
            _ => None,
        }
    }

    /// Returns a copy of a string's UTF-16 units.
    pub(super) fn text_units(self) -> Option<Vec<u16>> {
        self.text_length()?;
        let mut length = 0;
        // SAFETY: the value is a living string; the units are released after they are copied.
        unsafe {
            let units = qjs::JS_ToCStringLenUTF16(self.ctx, &raw mut length, *self.value);
            if units.is_null() {
                // For lack of memory. The built-in will fail on that itself.
                qjs::JS_FreeValue(self.ctx, qjs::JS_GetException(self.ctx));
                return None;
            }
            let copied = std::slice::from_raw_parts(units, usize::try_from(length).unwrap_or(0)).to_vec();
            qjs::JS_FreeCStringUTF16(self.ctx, units);
            Some(copied)
        }
    }

    /// Returns the length of an array that is no proxy.
    pub(super) fn array_length(self) -> Option<u64> {
        if !self.is_object() {
            return None;
        }
        let length = object::array_length(*self.value)?;
        // SAFETY: the tag says which member of the union is valid. It is a whole number, and not negative.
        unsafe {
            match qjs::JS_VALUE_GET_TAG(length) {
                qjs::JS_TAG_INT => Some(u64::from(qjs::JS_VALUE_GET_INT(length).unsigned_abs())),
                _ => Some(qjs::JS_VALUE_GET_FLOAT64(length) as u64),
            }
        }
    }

    /// Returns the length of an array if each element is an ordinary property: reading them runs no script.
    pub(super) fn dense_length(self) -> Option<u64> {
        if !self.is_object() {
            return None;
        }
        let count = u64::from(object::dense_count(*self.value)?);
        (self.array_length() == Some(count)).then_some(count)
    }

    /// Returns the elements of a typed array; none if its buffer is detached.
    pub(super) fn typed_length(self) -> Option<u64> {
        if self.is_object() { object::typed_count(*self.value).map(u64::from) } else { None }
    }

    /// Returns the length of any object, if it can be known: its own or inherited, and an ordinary number.
    pub(super) fn ordinary_length(self) -> Option<u64> {
        if let Some(length) = self.array_length() {
            return Some(length);
        }
        match self.property(Name::Length) {
            Property::Absent | Property::Data(Data::Undefined) => Some(0),
            // NaN counts as 0, and so do negative numbers.
            Property::Data(Data::Number(length)) => Some((length as u64).min(LENGTH_MAX)),
            Property::Data(_) | Property::Opaque => None,
        }
    }

    /// Passes the value of a dense array's element to `look`.
    pub(super) fn element<T>(self, index: u64, look: impl FnOnce(Operand<'_>) -> T) -> T {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        // SAFETY: the array is alive; elements of a dense array are ordinary properties. The element is released.
        unsafe {
            let value = qjs::JS_GetPropertyUint32(self.ctx, *self.value, index);
            let seen = look(Operand { ctx: self.ctx, value: &value });
            qjs::JS_FreeValue(self.ctx, value);
            seen
        }
    }

    /// Returns a property of an object, looked up as the script would, through its prototypes.
    pub(super) fn property(self, name: Name) -> Property {
        if !self.is_object() {
            return Property::Opaque;
        }
        // SAFETY: each object on the way is held while it is read, and released after.
        unsafe {
            let mut object = qjs::JS_DupValue(self.ctx, *self.value);
            loop {
                let found = Operand { ctx: self.ctx, value: &object }.own(name);
                if !matches!(found, Property::Absent) {
                    qjs::JS_FreeValue(self.ctx, object);
                    return found;
                }
                let next = qjs::JS_GetPrototype(self.ctx, object);
                qjs::JS_FreeValue(self.ctx, object);
                if qjs::JS_VALUE_GET_TAG(next) != qjs::JS_TAG_OBJECT {
                    return Property::Absent;
                }
                object = next;
            }
        }
    }

    /// Returns a property of this object alone.
    pub(super) fn own(self, name: Name) -> Property {
        let mut found = MaybeUninit::<qjs::JSPropertyDescriptor>::uninit();
        // SAFETY: the object is alive and no proxy, for which the engine would call the script. The descriptor is only
        // read if the engine has filled it, and its values are released.
        unsafe {
            if qjs::JS_IsProxy(*self.value) {
                return Property::Opaque;
            }
            match qjs::JS_GetOwnProperty(self.ctx, found.as_mut_ptr(), *self.value, atom(name)) {
                0 => return Property::Absent,
                1 => {}
                _ => {
                    qjs::JS_FreeValue(self.ctx, qjs::JS_GetException(self.ctx));
                    return Property::Opaque;
                }
            }
            let found = found.assume_init();
            let value = Operand { ctx: self.ctx, value: &found.value };
            let property = match found.flags & qjs::JS_PROP_GETSET as c_int {
                0 => Property::Data(value.kind()),
                _ => Property::Opaque,
            };
            for part in [found.value, found.getter, found.setter] {
                qjs::JS_FreeValue(self.ctx, part);
            }
            property
        }
    }

    /// Returns whether this object itself has a property whose value, or whose getter, is that object.
    pub(super) fn own_is(self, name: Name, expected: qjs::JSValue) -> bool {
        let mut found = MaybeUninit::<qjs::JSPropertyDescriptor>::uninit();
        // SAFETY: as in `own`.
        unsafe {
            if qjs::JS_IsProxy(*self.value) {
                return false;
            }
            if qjs::JS_GetOwnProperty(self.ctx, found.as_mut_ptr(), *self.value, atom(name)) != 1 {
                qjs::JS_FreeValue(self.ctx, qjs::JS_GetException(self.ctx));
                return false;
            }
            let found = found.assume_init();
            let is_accessor = found.flags & qjs::JS_PROP_GETSET as c_int != 0;
            let part = if is_accessor { found.getter } else { found.value };
            let is_expected = Operand { ctx: self.ctx, value: &part }.is(expected);
            for part in [found.value, found.getter, found.setter] {
                qjs::JS_FreeValue(self.ctx, part);
            }
            is_expected
        }
    }

    fn kind(self) -> Data {
        match self.number() {
            Some(number) => Data::Number(number),
            None if self.is_undefined() => Data::Undefined,
            None if self.is_function() => Data::Function,
            None => Data::Other,
        }
    }

    /// Returns whether both are the same object.
    pub(super) fn is(self, other: qjs::JSValue) -> bool {
        // SAFETY: compares addresses, which both have if both are objects.
        unsafe {
            self.is_object()
                && qjs::JS_VALUE_GET_TAG(other) == qjs::JS_TAG_OBJECT
                && qjs::JS_VALUE_GET_PTR(*self.value) == qjs::JS_VALUE_GET_PTR(other)
        }
    }

    /// Passes the prototype of an object that is no proxy to `look`.
    pub(super) fn prototype<T>(self, look: impl FnOnce(Operand<'_>) -> T) -> T {
        // SAFETY: the object is alive; the prototype is released.
        unsafe {
            let value = qjs::JS_GetPrototype(self.ctx, *self.value);
            let seen = look(Operand { ctx: self.ctx, value: &value });
            qjs::JS_FreeValue(self.ctx, value);
            seen
        }
    }

    /// Returns the units of the text that a built-in function computes from this value; the function must run no script on it.
    pub(super) fn length_of(self, function: qjs::JSValue, argument: i32) -> Option<u64> {
        // SAFETY: function and value are alive; the result is released, and an exception taken away.
        unsafe {
            let mut argument = Operands::number(argument);
            let value = qjs::JS_Call(self.ctx, function, *self.value, 1, &raw mut argument);
            if qjs::JS_IsException(value) {
                qjs::JS_FreeValue(self.ctx, qjs::JS_GetException(self.ctx));
                return None;
            }
            let length = Operand { ctx: self.ctx, value: &value }.text_length();
            qjs::JS_FreeValue(self.ctx, value);
            length
        }
    }
}

/// Returns whether the object was created as a regular expression.
pub(super) fn is_regexp(object: &Object<'_>) -> bool {
    // SAFETY: the object is alive.
    unsafe { qjs::JS_IsRegExp(object.as_value().as_raw()) }
}

fn atom(name: Name) -> qjs::JSAtom {
    match name {
        Name::Length => qjs::JS_ATOM_length,
        Name::Constructor => qjs::JS_ATOM_constructor,
        Name::Species => qjs::JS_ATOM_Symbol_species,
        Name::IsConcatSpreadable => qjs::JS_ATOM_Symbol_isConcatSpreadable,
        Name::Replace => qjs::JS_ATOM_Symbol_replace,
        Name::Split => qjs::JS_ATOM_Symbol_split,
    }
}
