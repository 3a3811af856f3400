//! Values between the prelude and us: texts and bytes in, answers out.
//!
//! A stop takes effect in the middle of anything: no function of the engine that may call one of the script can be relied on
//! to return its usual result. So values are read by the engine's plain getters alone (no `length` of an array, which
//! is a getter that a script can replace). They are written by defining properties, never by assigning to them, which would
//! call setters that a script may have put on `Object.prototype`.
#![expect(unsafe_code, reason = "values of the engine, read where they stand")]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::slice;

use rquickjs::object::Property;
use rquickjs::{Array, ArrayBuffer, Ctx, Error, FromJs, IntoJs, Object, Result, Value, qjs};

use crate::message::{Change, FileAnswer, FileReply, Info, Stat, Thrown, WorldError, WorldReply};

/// A text of the script.
pub(super) struct Text(pub(super) String);

impl<'js> FromJs<'js> for Text {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        if !value.is_string() {
            return Err(Error::new_from_js(value.type_name(), "string"));
        }
        let mut length = 0;
        // SAFETY: the context and the value are alive; the text is released after its last use.
        let read = unsafe {
            let text = qjs::JS_ToCStringLen(ctx.as_raw().as_ptr(), &raw mut length, value.as_raw());
            if text.is_null() {
                // The engine has thrown, for lack of memory.
                return Err(Error::Exception);
            }
            let bytes = slice::from_raw_parts(text.cast::<u8>(), length);
            let read = std::str::from_utf8(bytes).map(str::to_owned);
            qjs::JS_FreeCString(ctx.as_raw().as_ptr(), text);
            read
        };
        Ok(Self(read?))
    }
}

/// The bytes of an `ArrayBuffer` or of any typed array. They are the engine's, and stay in place as long as the engine does
/// nothing.
pub(super) struct Octets<'js> {
    value: Value<'js>,
    length: usize,
}

impl Octets<'_> {
    /// Returns the number of bytes.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Calls `use_them` with the bytes; `use_them` must not call the engine.
    pub(super) fn with<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
        // SAFETY: nothing of the engine runs while the bytes are borrowed.
        use_them(unsafe { borrow(&self.value) }.unwrap_or_default())
    }

    /// Returns a copy of the present bytes.
    pub(super) fn copy(&self) -> Vec<u8> {
        self.with(<[u8]>::to_vec)
    }
}

impl<'js> FromJs<'js> for Octets<'js> {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        // SAFETY: nothing of the engine runs while the bytes are borrowed.
        match unsafe { borrow(&value) } {
            Some(bytes) => {
                let length = bytes.len();
                Ok(Self { value, length })
            }
            None => {
                let _detached = ctx.catch();
                Err(Error::new_from_js(value.type_name(), "bytes"))
            }
        }
    }
}

/// Returns the bytes of a buffer or an array; `None` for any other value, and for a detached buffer.
///
/// # Safety
/// The engine does nothing while the bytes are in use.
unsafe fn borrow<'a>(value: &'a Value<'_>) -> Option<&'a [u8]> {
    let (ctx, raw) = (value.ctx().as_raw().as_ptr(), value.as_raw());
    // SAFETY: the value is alive, and so are its buffer and the memory of that; the offset and the length of an array lie
    // in its buffer, or else the engine throws.
    unsafe {
        if qjs::JS_IsArrayBuffer(raw) {
            return memory(ctx, raw);
        }
        if qjs::JS_GetTypedArrayType(raw) < 0 {
            return None;
        }
        let (mut offset, mut length, mut element) = (0, 0, 0);
        let buffer =
            qjs::JS_GetTypedArrayBuffer(ctx, raw, &raw mut offset, &raw mut length, &raw mut element);
        if qjs::JS_IsException(buffer) {
            return None;
        }
        // The array holds a reference as well.
        qjs::JS_FreeValue(ctx, buffer);
        memory(ctx, buffer)?.get(size(offset)..size(offset).checked_add(size(length))?)
    }
}

/// Returns the memory of a buffer; `None` if it is detached.
///
/// # Safety
/// `buffer` is an `ArrayBuffer` that is alive.
unsafe fn memory<'a>(ctx: *mut qjs::JSContext, buffer: qjs::JSValue) -> Option<&'a [u8]> {
    let mut length = MaybeUninit::zeroed();
    // SAFETY: as the caller says; a buffer without a byte may have no memory.
    unsafe {
        let start = qjs::JS_GetArrayBuffer(ctx, length.as_mut_ptr(), buffer);
        let length = size(length.assume_init());
        match (start.is_null(), length) {
            (false, _) => Some(slice::from_raw_parts(start, length)),
            (true, 0) if !qjs::JS_HasException(ctx) => Some(&[]),
            (true, _) => None,
        }
    }
}

/// Returns whether the value was created as an `ArrayBuffer`, whatever it looks like now.
pub(super) fn is_buffer(value: &Value<'_>) -> bool {
    // SAFETY: the value is alive.
    unsafe { qjs::JS_IsArrayBuffer(value.as_raw()) }
}

/// Converts a size of the engine's binding to the machine's own type.
fn size(of_engine: qjs::size_t) -> usize {
    usize::try_from(of_engine).unwrap_or(usize::MAX)
}

/// Bytes as an `ArrayBuffer` in the script's own memory, counted against its limit.
pub(super) struct Bytes(pub(super) Vec<u8>);

impl<'js> IntoJs<'js> for Bytes {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        Ok(ArrayBuffer::new_copy(ctx.clone(), &self.0)?.into_value())
    }
}

/// Bytes as an array of numbers.
pub(super) struct Numbers(pub(super) Vec<u8>);

impl<'js> IntoJs<'js> for Numbers {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let numbers: Vec<_> =
            self.0.iter().map(|byte| qjs::JS_MKVAL(qjs::JS_TAG_INT, i32::from(*byte))).collect();
        let count = c_int::try_from(numbers.len()).map_err(|_| Error::Allocation)?;
        // SAFETY: the context is alive, and there are so many numbers; nobody else owns the result.
        unsafe {
            let array = qjs::JS_NewArrayFrom(ctx.as_raw().as_ptr(), count, numbers.as_ptr());
            if qjs::JS_IsException(array) {
                return Err(Error::Exception);
            }
            Ok(Value::from_raw(ctx.clone(), array))
        }
    }
}

/// A text, or `null`.
pub(super) struct Nullable(pub(super) Option<String>);

impl<'js> IntoJs<'js> for Nullable {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        match self.0 {
            Some(text) => text.into_js(ctx),
            None => Ok(Value::new_null(ctx.clone())),
        }
    }
}

/// `{ value }` or `{ failure: { name, message } }`, for the prelude alone: without a prototype, so that a property that a
/// script has put on one is not mistaken for the answer.
pub(super) struct Answer(pub(super) FileReply);

impl<'js> IntoJs<'js> for Answer {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let answer = bare(ctx)?;
        match self.0 {
            Ok(value) => put(&answer, "value", into_value(ctx, value)?)?,
            Err(Thrown { name, message, .. }) => {
                let failure = bare(ctx)?;
                put(&failure, "name", name)?;
                put(&failure, "message", message)?;
                put(&answer, "failure", failure)?;
            }
        }
        Ok(answer.into_value())
    }
}

/// `{ value }` or `{ failure: { name, message, code } }`, for the prelude alone, as [`Answer`] is.
pub(super) struct WorldAnswer(pub(super) WorldReply);

impl<'js> IntoJs<'js> for WorldAnswer {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let answer = bare(ctx)?;
        match self.0 {
            Ok(text) => put(&answer, "value", Nullable(text))?,
            Err(error) => put(&answer, "failure", Refusal(Some(error)))?,
        }
        Ok(answer.into_value())
    }
}

/// `{ name, message, code }`, or `undefined` where nothing was refused.
pub(super) struct Refusal(pub(super) Option<WorldError>);

impl<'js> IntoJs<'js> for Refusal {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let Some(WorldError { name, message, code }) = self.0 else {
            return Ok(Value::new_undefined(ctx.clone()));
        };
        let failure = bare(ctx)?;
        put(&failure, "name", name)?;
        put(&failure, "message", message)?;
        put(&failure, "code", Nullable(code))?;
        Ok(failure.into_value())
    }
}

/// Texts as an array.
pub(super) struct Texts(pub(super) Vec<String>);

impl<'js> IntoJs<'js> for Texts {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        list(ctx, self.0)
    }
}

/// Returns what kind of object the engine has made, whatever it looks like now: as `prelude/web/clone.js` tells them apart.
pub(super) fn kind_of(value: &Value<'_>) -> &'static str {
    // SAFETY: the value is alive.
    let class = unsafe { qjs::JS_GetClassID(value.as_raw()) };
    match class {
        _ if value.is_function() => "Function",
        // `arguments`, of either kind, is one as well.
        1 | 8 | 9 => "Object",
        2 => "Array",
        3 => "Error",
        4 => "Number",
        5 => "String",
        6 => "Boolean",
        10 => "Date",
        19 => "RegExp",
        20 => "ArrayBuffer",
        22..=34 => "View",
        35 => "BigInt",
        36 => "Map",
        37 => "Set",
        64 => "DOMException",
        _ => "Other",
    }
}

fn into_value<'js>(ctx: &Ctx<'js>, answer: FileAnswer) -> Result<Value<'js>> {
    match answer {
        FileAnswer::Ok => Ok(Value::new_undefined(ctx.clone())),
        FileAnswer::Content(content) => Bytes(content).into_js(ctx),
        FileAnswer::Names { names, .. } => list(ctx, names),
        FileAnswer::History(changes) => list(ctx, changes),
        FileAnswer::Info(Info { url, key, title, version }) => {
            let object = Object::new(ctx.clone())?;
            put(&object, "url", url)?;
            put(&object, "key", key)?;
            put(&object, "title", title)?;
            put(&object, "version", version as f64)?;
            Ok(object.into_value())
        }
        FileAnswer::Stat(Stat { is_directory, size, blocks, offset }) => {
            let object = bare(ctx)?;
            put(&object, "isDirectory", is_directory)?;
            put(&object, "size", size as f64)?;
            put(&object, "blocks", blocks as f64)?;
            put(&object, "offset", offset as f64)?;
            Ok(object.into_value())
        }
    }
}

fn bare<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    Object::new_proto(ctx.clone(), None)
}

/// Defines what an assignment would create on an object that inherits nothing.
fn put<'js>(object: &Object<'js>, name: &str, value: impl IntoJs<'js>) -> Result<()> {
    object.prop(name, Property::from(value).writable().enumerable().configurable())
}

fn list<'js>(ctx: &Ctx<'js>, items: Vec<impl IntoJs<'js>>) -> Result<Value<'js>> {
    let list = Array::new(ctx.clone())?;
    for (index, item) in items.into_iter().enumerate() {
        let index = u32::try_from(index).map_err(|_| Error::Allocation)?;
        let element = Property::from(item).writable().enumerable().configurable();
        list.as_object().prop(index, element)?;
    }
    Ok(list.into_value())
}

impl<'js> IntoJs<'js> for Change {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let object = Object::new(ctx.clone())?;
        put(&object, "version", self.version as f64)?;
        put(&object, "type", if self.deleted { "del" } else { "put" })?;
        put(&object, "path", self.path)?;
        Ok(object.into_value())
    }
}
