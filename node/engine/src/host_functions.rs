//! The host functions behind the prelude: time, chance, text encodings, the console, the driver's files and its world.
//!
//! Scripts reach these functions only through the prelude, but a script may have changed the language under the
//! prelude. So each function checks its arguments, and the worst result of a change is an error in that script.

mod values;
mod web;
mod world;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use rquickjs::function::{IntoJsFunc, ParamRequirement, Params};
use rquickjs::{Ctx, Exception, Function, Object, Result, Value};

use self::values::{Answer, Bytes, Nullable, Numbers, Octets, Text};
use super::message::{Console, Fault, FileAnswer, FileReply, FileRequest, WorldReply, WorldRequest};
use super::meter::Meter;
use super::random::Random;

/// Bytes that a request may write to the console; the rest is dropped.
const CONSOLE_BYTES_MAX: usize = 64 * 1024;
/// Steps of a file operation: the host's work for it takes about as long.
const STEPS_PER_OPERATION: u64 = 500;
/// Steps for each byte of a path: the host looks up each folder on the way.
const STEPS_PER_PATH_BYTE: u64 = 16;
/// Steps for each name or change in an answer.
const STEPS_PER_ITEM: u64 = 50;
/// Bytes that are copied or converted in one step.
const BYTES_PER_STEP: usize = 16;

/// The channel from a worker to its driver.
pub(super) trait Driver {
    /// Sends a request to the driver and waits for its reply. `None` if the driver is gone.
    fn file(&self, request: FileRequest) -> Option<FileReply>;
    /// Does the same with a request to the world outside.
    fn world(&self, request: WorldRequest) -> Option<WorldReply>;
    /// Forwards a line of the console.
    fn console(&self, line: Console);
}

/// Serves the prelude during one request at a time.
pub(super) struct HostFunctions {
    meter: Rc<Meter>,
    port: Box<dyn Driver>,
    now: Cell<f64>,
    /// When the script was loaded.
    origin: Cell<f64>,
    random: RefCell<Random>,
    /// The caller's id. It is kept here and not in the prelude: no function that a script might reach can change it.
    caller: RefCell<Option<String>>,
    console_bytes: Cell<usize>,
    /// Questions of the running call whose answers were not fetched yet.
    questions: Cell<usize>,
    /// The panic of one of our functions.
    panic: RefCell<Option<Box<dyn Any + Send>>>,
}

impl HostFunctions {
    pub(super) fn new(meter: Rc<Meter>, port: Box<dyn Driver>) -> Self {
        let random = RefCell::new(Random::new(&[0; 32]));
        let (now, origin) = (Cell::new(0.0), Cell::new(0.0));
        let (console_bytes, questions) = (Cell::new(0), Cell::new(0));
        Self {
            meter,
            port,
            now,
            origin,
            random,
            caller: RefCell::default(),
            console_bytes,
            questions,
            panic: RefCell::default(),
        }
    }

    /// Starts the life of a script, which is loaded now.
    pub(super) fn start(&self, at: u64) {
        self.origin.set(at as f64);
    }

    /// Starts a request at its time, with its own seed, for this caller.
    pub(super) fn begin(&self, at: u64, seed: &[u8; 32], caller: Option<&str>) {
        self.now.set(at as f64);
        *self.random.borrow_mut() = Random::new(seed);
        *self.caller.borrow_mut() = caller.map(str::to_owned);
        self.console_bytes.set(0);
        self.questions.set(0);
    }

    /// Resumes a panic of one of our functions, now that no frame of the engine is above us any more. A panic is a
    /// defect of ours: it must not become the end of a call.
    pub(super) fn resume_panic(&self) {
        if let Some(panic) = self.panic.take() {
            panic::resume_unwind(panic);
        }
    }

    /// Returns the object through which the prelude reaches these functions.
    pub(super) fn object<'js>(self: &Rc<Self>, ctx: &Ctx<'js>) -> Result<Object<'js>> {
        let host = Host { object: Object::new(ctx.clone())?, functions: self.clone() };
        self.define_basics(&host)?;
        self.define_texts(&host)?;
        self.define_files(&host)?;
        Ok(host.object)
    }

    fn define_basics(self: &Rc<Self>, host: &Host<'_>) -> Result<()> {
        let functions = || self.clone();
        let this = functions();
        host.define("now", move || this.now.get())?;
        let this = functions();
        host.define("advance", move |time: f64| this.now.set(time.max(this.now.get())))?;
        let this = functions();
        host.define("random", move || this.random.borrow_mut().next())?;
        let this = functions();
        host.define("caller", move || Nullable(this.caller.borrow().clone()))?;
        let this = functions();
        host.define("console", move |Text(level): Text, Text(text): Text| this.console(level, text))
    }

    fn define_texts(self: &Rc<Self>, host: &Host<'_>) -> Result<()> {
        let functions = || self.clone();
        let this = functions();
        host.define("toBytes", move |ctx: Ctx<'_>, Text(text): Text, Text(encoding): Text| {
            this.to_bytes(&ctx, text, &encoding)
        })?;
        let this = functions();
        host.define("toText", move |ctx: Ctx<'_>, bytes: Octets<'_>, Text(encoding): Text| {
            this.to_text(&ctx, &bytes, &encoding)
        })?;
        let this = functions();
        host.define("toNumbers", move |ctx: Ctx<'_>, bytes: Octets<'_>| this.to_numbers(&ctx, &bytes))?;
        let this = functions();
        host.define("isEqual", move |ctx: Ctx<'_>, one: Octets<'_>, other: Octets<'_>| {
            this.is_equal(&ctx, &one, &other)
        })?;
        host.define("isBuffer", |value: Value<'_>| values::is_buffer(&value))
    }

    fn define_files(self: &Rc<Self>, host: &Host<'_>) -> Result<()> {
        let functions = || self.clone();
        let this = functions();
        host.define("info", move |ctx: Ctx<'_>| this.ask(&ctx, FileRequest::Info))?;
        let this = functions();
        host.define("stat", move |ctx: Ctx<'_>, Text(path): Text| {
            this.ask(&ctx, FileRequest::Stat { path })
        })?;
        let this = functions();
        host.define("read", move |ctx: Ctx<'_>, Text(path): Text| {
            this.ask(&ctx, FileRequest::Read { path })
        })?;
        let this = functions();
        let list =
            move |ctx: Ctx<'_>, Text(path): Text, recursive: bool, offset: f64, limit: f64, reverse: bool| {
                let (offset, limit) = (count(offset).unwrap_or(0), count(limit));
                this.ask(&ctx, FileRequest::List { path, recursive, offset, limit, reverse })
            };
        host.define("list", list)?;
        let this = functions();
        host.define("write", move |ctx: Ctx<'_>, Text(path): Text, content: Octets<'_>| {
            this.write(&ctx, path, &content)
        })?;
        let this = functions();
        host.define("makeDirectory", move |ctx: Ctx<'_>, Text(path): Text| {
            this.ask(&ctx, FileRequest::MakeDirectory { path })
        })?;
        let this = functions();
        host.define("remove", move |ctx: Ctx<'_>, Text(path): Text| {
            this.ask(&ctx, FileRequest::Remove { path })
        })?;
        let this = functions();
        host.define("removeDirectory", move |ctx: Ctx<'_>, Text(path): Text, recursive: bool| {
            this.ask(&ctx, FileRequest::RemoveDirectory { path, recursive })
        })?;
        let this = functions();
        host.define("history", move |ctx: Ctx<'_>, start: f64, end: f64, reverse: bool, limit: f64| {
            let (start, end, limit) = (count(start), count(end), count(limit));
            this.ask(&ctx, FileRequest::History { start, end, reverse, limit })
        })
    }

    fn write(&self, ctx: &Ctx<'_>, path: String, content: &Octets<'_>) -> Result<Answer> {
        let may_go_on = self.meter.pay(content.len().div_ceil(BYTES_PER_STEP) as u64);
        if !may_go_on || !self.meter.write(content.len().saturating_add(path.len())) {
            return Err(stopped(ctx));
        }
        self.ask(ctx, FileRequest::Write { path, content: content.copy() })
    }

    fn ask(&self, ctx: &Ctx<'_>, request: FileRequest) -> Result<Answer> {
        // A stopped call sends no more requests: its writes would be dropped, and nobody would see its reads.
        if !self.meter.pay(STEPS_PER_OPERATION + STEPS_PER_PATH_BYTE * request.path_length()) {
            return Err(stopped(ctx));
        }
        let Some(reply) = self.port.file(request) else {
            self.meter.stop(Fault::Fuel);
            return Err(stopped(ctx));
        };
        if self.meter.pay(reply.as_ref().map_or(0, steps)) { Ok(Answer(reply)) } else { Err(stopped(ctx)) }
    }

    fn console(&self, level: String, mut text: String) {
        let left = CONSOLE_BYTES_MAX.saturating_sub(self.console_bytes.get());
        if left == 0 {
            return;
        }
        text.truncate(text.floor_char_boundary(left));
        // A line break costs as well, or empty lines would be free.
        self.console_bytes.set(self.console_bytes.get().saturating_add(text.len() + 1));
        self.port.console(Console { level, text });
    }

    fn to_bytes(&self, ctx: &Ctx<'_>, text: String, encoding: &str) -> Result<Bytes> {
        if !self.pay(text.len()) {
            return Err(stopped(ctx));
        }
        match from_text(text, encoding) {
            Some(bytes) => Ok(Bytes(bytes)),
            None => Err(Exception::throw_type(ctx, &format!("the text is not {encoding}"))),
        }
    }

    fn to_text(&self, ctx: &Ctx<'_>, bytes: &Octets<'_>, encoding: &str) -> Result<String> {
        if !self.pay(bytes.len()) {
            return Err(stopped(ctx));
        }
        let text = bytes.with(|bytes| match encoding {
            "utf8" => Some(String::from_utf8_lossy(bytes).into_owned()),
            "hex" => Some(HEXLOWER.encode(bytes)),
            "base64" => Some(BASE64.encode(bytes)),
            "binary" => Some(bytes.iter().copied().map(char::from).collect()),
            _ => None,
        });
        text.ok_or_else(|| Exception::throw_type(ctx, "unknown encoding"))
    }

    fn to_numbers(&self, ctx: &Ctx<'_>, bytes: &Octets<'_>) -> Result<Numbers> {
        // Each number takes as much memory as the bytes converted in one step.
        if self.meter.pay(bytes.len() as u64) { Ok(Numbers(bytes.copy())) } else { Err(stopped(ctx)) }
    }

    fn is_equal(&self, ctx: &Ctx<'_>, one: &Octets<'_>, other: &Octets<'_>) -> Result<bool> {
        if one.len() != other.len() {
            return Ok(false);
        }
        if !self.pay(one.len()) {
            return Err(stopped(ctx));
        }
        Ok(one.with(|one| other.with(|other| one == other)))
    }

    /// Pays so many steps; returns whether the request may go on.
    pub(super) fn pay_steps(&self, steps: u64) -> bool {
        self.meter.pay(steps)
    }

    /// Pays for copying or converting so many bytes; returns whether the request may go on.
    fn pay(&self, bytes: usize) -> bool {
        self.meter.pay(bytes.div_ceil(BYTES_PER_STEP) as u64)
    }
}

/// The object through which the prelude reaches us, while it is built.
struct Host<'js> {
    object: Object<'js>,
    functions: Rc<HostFunctions>,
}

impl<'js> Host<'js> {
    fn define<P, F: IntoJsFunc<'js, P> + 'js>(&self, name: &str, function: F) -> Result<()> {
        let guarded = Guarded { function, functions: self.functions.clone() };
        self.object.set(name, Function::new(self.object.ctx().clone(), guarded)?.with_name(name)?)
    }
}

/// A function of ours whose panic ends the request, and then the engine.
///
/// The binding would keep the panic as well, but only until something throws, which may be in another call, or never.
struct Guarded<F> {
    function: F,
    functions: Rc<HostFunctions>,
}

impl<'js, P, F: IntoJsFunc<'js, P>> IntoJsFunc<'js, P> for Guarded<F> {
    fn param_requirements() -> ParamRequirement {
        F::param_requirements()
    }

    fn call<'a>(&self, params: Params<'a, 'js>) -> Result<Value<'js>> {
        let ctx = params.ctx().clone();
        panic::catch_unwind(AssertUnwindSafe(|| self.function.call(params))).unwrap_or_else(|panic| {
            self.functions.panic.replace(Some(panic));
            self.functions.meter.stop(Fault::Fuel);
            Err(stopped(&ctx))
        })
    }
}

/// Returns the error that ends a stopped call's operation. Nobody reads its text: what a stopped call throws is ignored.
pub(super) fn stopped(ctx: &Ctx<'_>) -> rquickjs::Error {
    Exception::throw_internal(ctx, "the call was stopped")
}

/// Converts a number of the prelude, which passes -1 for a number that the script left out.
fn count(number: f64) -> Option<u64> {
    (number >= 0.0).then_some(number as u64)
}

fn from_text(text: String, encoding: &str) -> Option<Vec<u8>> {
    match encoding {
        "utf8" => Some(text.into_bytes()),
        "hex" => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
        "base64" => {
            // Both alphabets, padded or not, as Node.js reads them.
            let text = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
            BASE64_NOPAD.decode(text.as_bytes()).ok()
        }
        "binary" => Some(text.chars().map(|letter| letter as u32 as u8).collect()),
        _ => None,
    }
}

fn steps(answer: &FileAnswer) -> u64 {
    match answer {
        FileAnswer::Content(content) => content.len().div_ceil(BYTES_PER_STEP) as u64,
        FileAnswer::Names { names, passed } => {
            passed.saturating_add(names.len() as u64).saturating_mul(STEPS_PER_ITEM)
        }
        FileAnswer::History(changes) => changes.len() as u64 * STEPS_PER_ITEM,
        FileAnswer::Ok | FileAnswer::Info(_) | FileAnswer::Stat(_) => 0,
    }
}
