//! Globals that are made at their first use: `Buffer` and those of the web, which most scripts need none of.
//!
//! To a script such a global is a plain property from the beginning; the engine asks for its value when that is read for the first
//! time (`node/engine/build/globals.rs`). A part of the prelude makes it then. By that time the script may have changed the
//! language, so the parts use what `prelude/language.js` has kept before. Compiling a part costs a step for each byte, whatever
//! the engine takes for it; running it is counted as anything is. One that fails, for lack of fuel, memory or stack, leaves
//! nothing behind, and is made anew at the next use.
#![expect(unsafe_code, reason = "the engine asks for a global through its C interface")]

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_int};
use std::ptr;
use std::rc::Rc;

use rquickjs::object::Property;
use rquickjs::{Ctx, Error, Exception, Function, Object, Persistent, Result, Value, qjs};

use super::host_functions::HostFunctions;
use super::metering;
use super::prelude;

unsafe extern "C" {
    /// Exists only in the engine that we have compiled. Returns -1 for lack of memory.
    fn vms_define_global(
        ctx: *mut qjs::JSContext,
        object: qjs::JSValue,
        name: *const c_char,
        which: usize,
    ) -> c_int;
}

/// The parts of the prelude that make globals. Each is a function of the language, of our functions, and of the first part.
const PARTS: [&str; 9] = [
    include_str!("prelude/web/tools.js"),
    include_str!("prelude/web/encoding.js"),
    include_str!("prelude/web/url.js"),
    include_str!("prelude/web/events.js"),
    include_str!("prelude/web/clone.js"),
    include_str!("prelude/web/crypto.js"),
    include_str!("prelude/web/performance.js"),
    include_str!("prelude/web/system-crypto.js"),
    include_str!("prelude/node/buffer.js"),
];
const TOOLS: usize = 0;
const ENCODING: usize = 1;
const URL: usize = 2;
const EVENTS: usize = 3;
const CLONE: usize = 4;
const CRYPTO: usize = 5;
const PERFORMANCE: usize = 6;
const SYSTEM_CRYPTO: usize = 7;
const BUFFER: usize = 8;

/// Each global, and the part that makes it.
const GLOBALS: [(&str, usize); 12] = [
    ("AbortController", EVENTS),
    ("AbortSignal", EVENTS),
    ("Buffer", BUFFER),
    ("Event", EVENTS),
    ("EventTarget", EVENTS),
    ("TextDecoder", ENCODING),
    ("TextEncoder", ENCODING),
    ("URL", URL),
    ("URLSearchParams", URL),
    ("crypto", CRYPTO),
    ("performance", PERFORMANCE),
    ("structuredClone", CLONE),
];

type Kept = Persistent<Object<'static>>;

/// The globals of one heap.
pub(super) struct Globals {
    functions: Rc<HostFunctions>,
    language: Kept,
    host: RefCell<Option<Kept>>,
    /// What each part has returned: an object with its globals.
    parts: RefCell<[Option<Kept>; PARTS.len()]>,
}

thread_local! {
    /// The globals of the script that runs on this thread, if one does.
    static CURRENT: Cell<*const Globals> = const { Cell::new(ptr::null()) };
}

impl Globals {
    /// Defines the globals of `ctx`. They can be used as soon as [`Self::begin`] is called.
    pub(super) fn install<'js>(ctx: &Ctx<'js>, functions: &Rc<HostFunctions>) -> Result<Box<Self>> {
        let global = ctx.globals();
        let language: Object<'js> =
            prelude::part(ctx, include_str!("prelude/language.js"))?.call((global.clone(),))?;
        for (which, (name, _)) in GLOBALS.iter().enumerate() {
            let name = CString::new(*name)?;
            // SAFETY: the context and the object are alive, and the name ends with zero.
            let defined = unsafe {
                vms_define_global(ctx.as_raw().as_ptr(), global.as_value().as_raw(), name.as_ptr(), which)
            };
            if defined < 0 {
                return Err(Error::Exception);
            }
        }
        global.prop("self", Property::from(global.clone()).writable().configurable())?;
        let language = Persistent::save(ctx, language);
        let (host, parts) = (RefCell::default(), RefCell::default());
        Ok(Box::new(Self { functions: functions.clone(), language, host, parts }))
    }

    /// Lets scripts use the globals: one runs now.
    pub(super) fn begin(&self) {
        CURRENT.set(self);
    }

    /// Adds to the functions that the prelude reaches one that returns `System.crypto`, and one that makes a `Buffer` over a
    /// file's content.
    pub(super) fn lend_to<'js>(host: &Object<'js>) -> Result<()> {
        let crypto = |ctx: Ctx<'js>| -> Result<Value<'js>> {
            Self::current(&ctx)?.part(&ctx, SYSTEM_CRYPTO)?.get("crypto")
        };
        host.set("systemCrypto", Function::new(host.ctx().clone(), crypto)?.with_name("systemCrypto")?)?;
        let buffer = |ctx: Ctx<'js>, content: Value<'js>| -> Result<Value<'js>> {
            let over: Function<'js> = Self::current(&ctx)?.part(&ctx, BUFFER)?.get("over")?;
            over.call((content,))
        };
        host.set("toBuffer", Function::new(host.ctx().clone(), buffer)?.with_name("toBuffer")?)
    }

    fn current<'a>(ctx: &Ctx<'_>) -> Result<&'a Self> {
        // SAFETY: `begin` has set it, `drop` removes it; it does not move out of its box, and only scripts ask.
        let current = unsafe { CURRENT.get().as_ref() };
        current.ok_or_else(|| Exception::throw_internal(ctx, "no script runs"))
    }

    fn global<'js>(&self, ctx: &Ctx<'js>, which: usize) -> Result<Value<'js>> {
        let (name, part) = GLOBALS[which];
        self.part(ctx, part)?.get(name)
    }

    /// Returns the object that a part has made.
    fn part<'js>(&self, ctx: &Ctx<'js>, part: usize) -> Result<Object<'js>> {
        let known = self.parts.borrow()[part].clone();
        if let Some(known) = known {
            return known.restore(ctx);
        }
        let source = PARTS[part];
        if !self.functions.pay_steps(source.len() as u64) {
            return Err(super::host_functions::stopped(ctx));
        }
        let function = metering::uncharged(|| prelude::part(ctx, source))?;
        let (language, host) = (self.language.clone().restore(ctx)?, self.host(ctx)?);
        let made: Object<'js> = match part {
            TOOLS => function.call((language, host))?,
            _ => function.call((language, host, self.part(ctx, TOOLS)?))?,
        };
        self.parts.borrow_mut()[part] = Some(Persistent::save(ctx, made.clone()));
        Ok(made)
    }

    fn host<'js>(&self, ctx: &Ctx<'js>) -> Result<Object<'js>> {
        let known = self.host.borrow().clone();
        if let Some(known) = known {
            return known.restore(ctx);
        }
        let host = self.functions.web_object(ctx)?;
        *self.host.borrow_mut() = Some(Persistent::save(ctx, host.clone()));
        Ok(host)
    }
}

impl Drop for Globals {
    fn drop(&mut self) {
        if ptr::eq(CURRENT.get(), self) {
            CURRENT.set(ptr::null());
        }
    }
}

/// Makes a global. The engine calls this when its value is read for the first time.
///
/// # Safety
/// For the engine only, with a context that is alive.
// SAFETY: no other function of the program has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn vms_global(ctx: *mut qjs::JSContext, which: usize) -> qjs::JSValue {
    let ctx = ptr::NonNull::new(ctx).expect("the engine's own context");
    // SAFETY: the context is alive; the result is a reference of its own.
    unsafe {
        let ctx = Ctx::from_raw(ctx);
        match Globals::current(&ctx).and_then(|globals| globals.global(&ctx, which)) {
            Ok(value) => qjs::JS_DupValue(ctx.as_raw().as_ptr(), value.as_raw()),
            Err(Error::Exception) => qjs::JS_EXCEPTION,
            Err(error) => {
                let _thrown = Exception::throw_internal(&ctx, &error.to_string());
                qjs::JS_EXCEPTION
            }
        }
    }
}
