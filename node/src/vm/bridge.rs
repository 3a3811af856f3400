//! What the prelude asks of us: time, chance, text encodings, the console and the files of the driver.
//!
//! Scripts reach these functions only through the prelude, but a script may have changed the language under the
//! prelude's feet; so each checks what it gets, and the worst that can come of it is an error in that script.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use rquickjs::function::IntoJsFunc;
use rquickjs::{Array, ArrayBuffer, Ctx, Exception, Function, IntoJs, Object, Result, TypedArray, Value};

use super::message::{Change, Console, Fault, FileAnswer, FileReply, FileRequest, Info, Stat, Thrown};
use super::meter::Meter;
use super::random::Random;

/// Bytes that a request may write to the console; the rest is left out.
const CONSOLE_BYTES_MAX: usize = 64 * 1024;
/// Steps that a file operation costs: what the host does for it takes about as long.
const STEPS_PER_OPERATION: u64 = 500;
/// Steps for each byte of a path: the host looks at each folder on the way.
const STEPS_PER_PATH_BYTE: u64 = 16;
/// Steps for each name or change in an answer.
const STEPS_PER_ITEM: u64 = 50;
/// Bytes that are copied or converted in one step.
const BYTES_PER_STEP: usize = 16;

/// Where a worker's questions go.
pub(super) trait Port {
    /// Asks the driver. `None` if there is no driver any more.
    fn file(&self, request: FileRequest) -> Option<FileReply>;
    /// Passes on a line of the console.
    fn console(&self, line: Console);
}

/// Serves the prelude during one request at a time.
pub(super) struct Bridge {
    meter: Rc<Meter>,
    port: Box<dyn Port>,
    now: Cell<f64>,
    random: RefCell<Random>,
    console_bytes: Cell<usize>,
}

impl Bridge {
    pub(super) fn new(meter: Rc<Meter>, port: Box<dyn Port>) -> Self {
        let random = RefCell::new(Random::new(&[0; 32]));
        Self { meter, port, now: Cell::new(0.0), random, console_bytes: Cell::new(0) }
    }

    /// A request begins, at its time and with its own chance.
    pub(super) fn begin(&self, at: u64, seed: &[u8; 32]) {
        self.now.set(at as f64);
        *self.random.borrow_mut() = Random::new(seed);
        self.console_bytes.set(0);
    }

    /// The object through which the prelude reaches us.
    pub(super) fn object<'js>(self: &Rc<Self>, ctx: &Ctx<'js>) -> Result<Object<'js>> {
        let host = Object::new(ctx.clone())?;
        let bridge = || self.clone();
        let this = bridge();
        define(&host, "now", move || this.now.get())?;
        let this = bridge();
        define(&host, "advance", move |time: f64| this.now.set(time.max(this.now.get())))?;
        let this = bridge();
        define(&host, "random", move || this.random.borrow_mut().next())?;
        let this = bridge();
        define(&host, "console", move |level: String, text: String| this.console(level, text))?;
        let this = bridge();
        define(&host, "toBytes", move |ctx: Ctx<'_>, text: String, encoding: String| {
            this.to_bytes(&ctx, text, &encoding)
        })?;
        let this = bridge();
        define(&host, "toText", move |ctx: Ctx<'_>, bytes: TypedArray<'_, u8>, encoding: String| {
            this.to_text(&ctx, &copy(&bytes), &encoding)
        })?;
        self.define_files(&host)?;
        Ok(host)
    }

    fn define_files<'js>(self: &Rc<Self>, host: &Object<'js>) -> Result<()> {
        let bridge = || self.clone();
        let this = bridge();
        define(host, "info", move |ctx: Ctx<'_>| this.ask(&ctx, FileRequest::Info))?;
        let this = bridge();
        define(host, "stat", move |ctx: Ctx<'_>, path: String| this.ask(&ctx, FileRequest::Stat { path }))?;
        let this = bridge();
        define(host, "read", move |ctx: Ctx<'_>, path: String| this.ask(&ctx, FileRequest::Read { path }))?;
        let this = bridge();
        define(host, "list", move |ctx: Ctx<'_>, path: String, recursive: bool| {
            this.ask(&ctx, FileRequest::List { path, recursive })
        })?;
        let this = bridge();
        define(host, "write", move |ctx: Ctx<'_>, path: String, content: TypedArray<'_, u8>| {
            this.write(&ctx, path, &content)
        })?;
        let this = bridge();
        define(host, "makeDirectory", move |ctx: Ctx<'_>, path: String| {
            this.ask(&ctx, FileRequest::MakeDirectory { path })
        })?;
        let this = bridge();
        define(host, "remove", move |ctx: Ctx<'_>, path: String| {
            this.ask(&ctx, FileRequest::Remove { path })
        })?;
        let this = bridge();
        define(host, "removeDirectory", move |ctx: Ctx<'_>, path: String, recursive: bool| {
            this.ask(&ctx, FileRequest::RemoveDirectory { path, recursive })
        })?;
        let this = bridge();
        define(host, "history", move |ctx: Ctx<'_>, start: f64, end: f64, reverse: bool, limit: f64| {
            let (start, end, limit) = (count(start), count(end), count(limit));
            this.ask(&ctx, FileRequest::History { start, end, reverse, limit })
        })
    }

    fn write(&self, ctx: &Ctx<'_>, path: String, content: &TypedArray<'_, u8>) -> Result<Answer> {
        self.meter.spend(content.len().div_ceil(BYTES_PER_STEP) as u64);
        if !self.meter.write(content.len().saturating_add(path.len())) {
            return Err(Exception::throw_internal(ctx, "the call has written more than its limit"));
        }
        self.ask(ctx, FileRequest::Write { path, content: copy(content) })
    }

    fn ask(&self, ctx: &Ctx<'_>, request: FileRequest) -> Result<Answer> {
        self.meter.spend(STEPS_PER_OPERATION + STEPS_PER_PATH_BYTE * request.path_length());
        // A stopped call asks for nothing any more: its writes would be dropped, and its reads seen by nobody.
        if self.meter.fault().is_some() {
            return Err(Exception::throw_internal(ctx, "the call was stopped"));
        }
        let Some(reply) = self.port.file(request) else {
            self.meter.stop(Fault::Fuel);
            return Err(Exception::throw_internal(ctx, "nobody waits for this call any more"));
        };
        self.meter.spend(reply.as_ref().map_or(0, steps));
        Ok(Answer(reply))
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
        self.meter.spend(text.len().div_ceil(BYTES_PER_STEP) as u64);
        match from_text(text, encoding) {
            Some(bytes) => Ok(Bytes(bytes)),
            None => Err(Exception::throw_type(ctx, &format!("the text is not {encoding}"))),
        }
    }

    fn to_text(&self, ctx: &Ctx<'_>, bytes: &[u8], encoding: &str) -> Result<String> {
        self.meter.spend(bytes.len().div_ceil(BYTES_PER_STEP) as u64);
        match encoding {
            "utf8" => Ok(String::from_utf8_lossy(bytes).into_owned()),
            "hex" => Ok(HEXLOWER.encode(bytes)),
            "base64" => Ok(BASE64.encode(bytes)),
            "binary" => Ok(bytes.iter().copied().map(char::from).collect()),
            _ => Err(Exception::throw_type(ctx, "unknown encoding")),
        }
    }
}

fn define<'js, P, F: IntoJsFunc<'js, P> + 'js>(host: &Object<'js>, name: &str, function: F) -> Result<()> {
    host.set(name, Function::new(host.ctx().clone(), function)?.with_name(name)?)
}

/// The bytes of an array, as they are now.
#[expect(unsafe_code, reason = "the engine lends its memory without a lifetime")]
fn copy(array: &TypedArray<'_, u8>) -> Vec<u8> {
    // SAFETY: nothing of the engine runs while the bytes are copied, so they stay where they are.
    unsafe { array.as_bytes() }.unwrap_or_default().to_vec()
}

/// The prelude says -1 for a number that the script left out.
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
        FileAnswer::Names(names) => names.len() as u64 * STEPS_PER_ITEM,
        FileAnswer::History(changes) => changes.len() as u64 * STEPS_PER_ITEM,
        FileAnswer::Ok | FileAnswer::Info(_) | FileAnswer::Stat(_) => 0,
    }
}

/// Bytes as an `ArrayBuffer` in the script's own memory, counted against its limit.
struct Bytes(Vec<u8>);

impl<'js> IntoJs<'js> for Bytes {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        Ok(ArrayBuffer::new_copy(ctx.clone(), &self.0)?.into_value())
    }
}

/// `{ value }` or `{ failure: { name, message } }`.
struct Answer(FileReply);

impl<'js> IntoJs<'js> for Answer {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let answer = Object::new(ctx.clone())?;
        match self.0 {
            Ok(value) => answer.set("value", into_value(ctx, value)?)?,
            Err(Thrown { name, message, .. }) => {
                let failure = Object::new(ctx.clone())?;
                failure.set("name", name)?;
                failure.set("message", message)?;
                answer.set("failure", failure)?;
            }
        }
        Ok(answer.into_value())
    }
}

fn into_value<'js>(ctx: &Ctx<'js>, answer: FileAnswer) -> Result<Value<'js>> {
    match answer {
        FileAnswer::Ok => Ok(Value::new_undefined(ctx.clone())),
        FileAnswer::Content(content) => Bytes(content).into_js(ctx),
        FileAnswer::Names(names) => list(ctx, names),
        FileAnswer::History(changes) => list(ctx, changes),
        FileAnswer::Info(Info { url, key, title, version }) => {
            let object = Object::new(ctx.clone())?;
            object.set("url", url)?;
            object.set("key", key)?;
            object.set("title", title)?;
            object.set("version", version as f64)?;
            Ok(object.into_value())
        }
        FileAnswer::Stat(Stat { is_directory, size, blocks, offset }) => {
            let object = Object::new(ctx.clone())?;
            object.set("isDirectory", is_directory)?;
            object.set("size", size as f64)?;
            object.set("blocks", blocks as f64)?;
            object.set("offset", offset as f64)?;
            Ok(object.into_value())
        }
    }
}

fn list<'js>(ctx: &Ctx<'js>, items: Vec<impl IntoJs<'js>>) -> Result<Value<'js>> {
    let list = Array::new(ctx.clone())?;
    for (index, item) in items.into_iter().enumerate() {
        list.set(index, item)?;
    }
    Ok(list.into_value())
}

impl<'js> IntoJs<'js> for Change {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let object = Object::new(ctx.clone())?;
        object.set("version", self.version as f64)?;
        object.set("type", if self.deleted { "del" } else { "put" })?;
        object.set("path", self.path)?;
        Ok(object.into_value())
    }
}
