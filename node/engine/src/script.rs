//! One script in its engine: loading it, calling it, and reporting how that ended.
//!
//! All that a script does ends as an [`Outcome`]. The engine's own code parses arguments and prints results, whatever the
//! script may have put in place of `JSON`; promises are followed by their state, not by their
//! `then`; and a stop by the [`Meter`] outweighs any other end of a call.

use std::cell::RefCell;
use std::rc::Rc;

use libvms_protocol::entry::{Limits, call::is_own_code};
use libvms_protocol::limits::{ERROR_TEXT_BYTES_MAX, METHOD_NAME_BYTES_MAX};
use rquickjs::context::EvalOptions;
use rquickjs::function::IntoArgs;
use rquickjs::promise::PromiseState;
use rquickjs::{
    Context, Ctx, Exception, FromJs, Function, Module, Object, Persistent, Promise, Runtime, Value,
};

use super::allocator::Accounted;
use super::context::{ContextError, ContextLayout};
use super::depth;
use super::globals::Globals;
use super::host_functions::{Driver, HostFunctions};
use super::identity::Api;
use super::message::{Call, Done, Fault, Load, LoadFailure, Loaded, Outcome, Thrown};
use super::meter::Meter;
use super::metering::Metering;
use super::parameters;
use super::prelude;
use super::stack::{self, SCRIPT, place_in};
use super::surrogates::without_lone_surrogates;

/// Bytes of arguments or of a result that are read or written in one step.
const JSON_BYTES_PER_STEP: usize = 2;

/// Steps of a job, beside the calls in it: taking it from its queue, and settling the promise that it answers, takes
/// longer than those.
const STEPS_PER_JOB: u64 = 8;

/// A loaded script and its heap.
pub(super) struct Script {
    // Before the runtime: they point into its heap, and fields are dropped in this order.
    hooks: Hooks,
    globals: Option<Box<Globals>>,
    metering: Option<Box<Metering>>,
    context: Context,
    _runtime: Runtime,
    pub(super) memory: Accounted,
    pub(super) meter: Rc<Meter>,
    functions: Rc<HostFunctions>,
    api: Api,
    limits: Limits,
    /// The script's frames in the last error that was described.
    stack: RefCell<Option<String>>,
}

/// Functions of the prelude that we call.
struct Hooks {
    methods: Hook,
    invoke: Hook,
    describe: Hook,
    stack: Hook,
    fire_timer: Hook,
    drop_timers: Hook,
    /// Since version 5.
    questions: Option<QuestionHooks>,
}

struct QuestionHooks {
    deliver: Hook,
    drop: Hook,
}

/// Whether built-ins pay for work that they do in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtins {
    Metered,
    /// The unmodified built-ins of the engine, for comparison.
    #[cfg(any(test, feature = "test-support"))]
    Plain,
}

type Hook = Persistent<Function<'static>>;

/// Why a request has no result.
enum Stop {
    Threw(Thrown),
    /// The meter knows the reason.
    Fault,
}

impl Script {
    /// Returns an engine with the language and the prelude of this version.
    ///
    /// # Errors
    /// Only if the prelude itself is broken.
    pub(super) fn new(api: Api, limits: Limits, port: Box<dyn Driver>) -> rquickjs::Result<Self> {
        Self::with(api, limits, port, Builtins::Metered)
    }

    /// Does the same, with or without the metering of built-ins.
    pub(super) fn with(
        api: Api,
        limits: Limits,
        port: Box<dyn Driver>,
        builtins: Builtins,
    ) -> rquickjs::Result<Self> {
        let meter = Rc::new(Meter::new(limits, api));
        let functions = Rc::new(HostFunctions::new(meter.clone(), port));
        let memory = Accounted::new(meter.clone());
        let runtime = Runtime::new_with_alloc(memory.clone())?;
        let question = meter.clone();
        runtime.set_interrupt_handler(Some(Box::new(move || question.poll())));
        let context = Context::full(&runtime)?;
        let hooks = context.with(|ctx| Hooks::install(&ctx, api, &functions))?;
        let globals = match api {
            Api::V4 => None,
            Api::V5 => Some(context.with(|ctx| Globals::install(&ctx, &functions))?),
        };
        let metering = context.with(|ctx| {
            depth::verify(&ctx)?.map_err(|error| Exception::throw_internal(&ctx, &error.to_string()))?;
            let refused = |error: ContextError| Exception::throw_internal(&ctx, &error.to_string());
            let inside = ContextLayout::of(&ctx).map_err(refused)?;
            let metering = match builtins {
                Builtins::Metered => Some(Metering::install(&ctx, inside, meter.clone())?),
                #[cfg(any(test, feature = "test-support"))]
                Builtins::Plain => None,
            };
            meter.attach(&ctx, inside);
            Ok::<_, rquickjs::Error>(metering)
        })?;
        // Only now: the prelude needs its memory whatever the limit.
        memory.limit(limits.memory);
        let stack = RefCell::default();
        Ok(Self {
            hooks,
            globals,
            metering,
            context,
            _runtime: runtime,
            memory,
            meter,
            functions,
            api,
            limits,
            stack,
        })
    }

    /// Evaluates the script.
    pub(super) fn load(&self, load: &Load) -> Result<Loaded, LoadFailure> {
        self.functions.start(load.at);
        self.begin(load.at, &load.seed, None, self.limits.load_fuel());
        let loaded = self.context.with(|ctx| {
            let loaded = self.evaluate(&ctx, load);
            self.run_jobs(&ctx);
            loaded
        });
        self.meter.settle();
        let outcome = match (self.meter.fault(), loaded) {
            (None, Ok(loaded)) => {
                self.end();
                return Ok(loaded);
            }
            (None, Err(Stop::Threw(thrown))) => Outcome::Threw(thrown),
            (fault, _) => Outcome::Fault(fault.unwrap_or(Fault::Fuel)),
        };
        self.end();
        let stack = self.stack_of(&outcome);
        let position = stack.as_deref().and_then(place_in).map(Box::from);
        Err(LoadFailure { outcome, position, stack: stack.map(String::into) })
    }

    /// Calls an exported function and follows it to its end.
    pub(super) fn call(&self, call: &Call) -> Done {
        self.begin(call.at, &call.seed, call.user_id.as_deref(), self.limits.fuel);
        let result = self.context.with(|ctx| {
            let result = self.invoke(&ctx, call).and_then(|value| self.print(&ctx, value));
            // Jobs that the call has left behind run now, at its own expense and not at the next caller's.
            self.run_jobs(&ctx);
            result
        });
        self.meter.settle();
        let outcome = match (self.meter.fault(), result) {
            (None, Ok(json)) => Outcome::Returned(json),
            (None, Err(Stop::Threw(thrown))) => Outcome::Threw(thrown),
            (fault, _) => Outcome::Fault(fault.unwrap_or(Fault::Fuel)),
        };
        let (fuel, output, result) = (self.meter.fuel(), self.meter.output(), self.meter.result());
        self.end();
        let stack = self.stack_of(&outcome);
        Done { outcome, fuel, output, result, stack }
    }

    fn stack_of(&self, outcome: &Outcome) -> Option<String> {
        let stack = self.stack.take();
        stack.filter(|_| matches!(outcome, Outcome::Threw(_)))
    }

    fn begin(&self, at: u64, seed: &[u8; 32], caller: Option<&str>, fuel: u64) {
        self.functions.begin(at, seed, caller);
        self.meter.begin(fuel);
        self.stack.take();
        if let Some(globals) = &self.globals {
            globals.begin();
        }
        if let Some(metering) = &self.metering {
            metering.begin();
        }
    }

    fn end(&self) {
        if self.meter.fault().is_some() {
            self.context.with(|ctx| self.drain(&ctx));
        }
        self.meter.end();
        if let Some(metering) = &self.metering {
            metering.end();
        }
        // Our own code, which a heap that the script has filled must not stop.
        let limit = self.memory.limit(u64::MAX);
        let mut drops = self.hooks.questions.iter().map(|hooks| &hooks.drop).chain([&self.hooks.drop_timers]);
        let dropped = self.context.with(|ctx| {
            let run = |drop: &Hook| drop.clone().restore(&ctx).and_then(|drop| drop.call::<_, ()>(()));
            drops.try_for_each(run)
        });
        self.memory.limit(limit);
        self.functions.resume_panic();
        dropped.expect("nothing stands in the way of our own code");
    }

    fn evaluate(&self, ctx: &Ctx<'_>, load: &Load) -> Result<Loaded, Stop> {
        let mut found: Vec<Vec<String>> = if load.module {
            let namespace = self.evaluate_module(ctx, &load.code)?;
            self.hook(ctx, &self.hooks.methods, (namespace,))?
        } else {
            let mut options = EvalOptions::default();
            options.strict = false;
            options.filename = Some(SCRIPT.into());
            if let Err(error) = ctx.eval_with_options::<Value<'_>, _>(load.code.as_str(), options) {
                return Err(self.thrown(ctx, &error));
            }
            self.hook(ctx, &self.hooks.methods, ())?
        };
        // From the last list to the first.
        let mut next = || found.pop().unwrap_or_default();
        let (kinds, others, sources, methods) = (next(), next(), next(), next());
        let cut = |text: &str| text[..text.floor_char_boundary(METHOD_NAME_BYTES_MAX)].to_owned();
        let others = others.iter().zip(&kinds).map(|(name, kind)| (cut(name), cut(kind))).collect();
        Ok(Loaded { others, ..loaded(methods, &sources) })
    }

    /// Evaluates an ES module, follows its own `await`s to their end, and returns its exports.
    fn evaluate_module<'js>(&self, ctx: &Ctx<'js>, code: &str) -> Result<Object<'js>, Stop> {
        if self.api < Api::V5 {
            return Err(Stop::threw("SyntaxError", "modules came with a later version of the engine"));
        }
        let thrown = |error: rquickjs::Error| self.thrown(ctx, &error);
        // As elsewhere, a module has neither: packages recognise by them where they are.
        for name in ["module", "exports"] {
            ctx.globals().remove(name).map_err(thrown)?;
        }
        let (module, evaluated) =
            Module::declare(ctx.clone(), SCRIPT, code).and_then(Module::eval).map_err(thrown)?;
        self.settle(ctx, &evaluated, "the module")?;
        module.namespace().map_err(thrown)
    }

    fn invoke<'js>(&self, ctx: &Ctx<'js>, call: &Call) -> Result<Value<'js>, Stop> {
        self.meter.spend((call.args.len() / JSON_BYTES_PER_STEP) as u64);
        let args = ctx.json_parse(call.args.as_str()).map_err(|error| self.thrown(ctx, &error))?;
        let value: Value<'_> = self.hook(ctx, &self.hooks.invoke, (call.method.as_str(), args))?;
        match value.as_promise() {
            Some(promise) => self.settle(ctx, promise, "the call"),
            None => Ok(value),
        }
    }

    /// Runs jobs, then delivers answers, then runs timers, until the promise of `what` is settled or nothing can settle it any
    /// more. Each answer is delivered when no job is left, and each timer when no answer is due: so a replay needs to know the
    /// answers, and not when they came.
    fn settle<'js>(&self, ctx: &Ctx<'js>, promise: &Promise<'js>, what: &str) -> Result<Value<'js>, Stop> {
        loop {
            self.run_jobs(ctx);
            if self.meter.fault().is_some() {
                return Err(Stop::Fault);
            }
            if promise.state() != PromiseState::Pending {
                let settled = promise.result().expect("a settled promise has a result");
                return settled.map_err(|error| self.thrown(ctx, &error));
            }
            if let Some(hooks) = self.hooks.questions.as_ref().filter(|_| self.functions.has_question()) {
                self.hook::<_, ()>(ctx, &hooks.deliver, ())?;
                continue;
            }
            if !self.hook(ctx, &self.hooks.fire_timer, ())? {
                let never = format!("{what} never settled: nothing is left that could end it");
                return Err(Stop::threw("Error", &never));
            }
        }
    }

    /// Returns the result as JSON text; `None` for `undefined`.
    fn print<'js>(&self, ctx: &Ctx<'js>, value: Value<'js>) -> Result<Option<String>, Stop> {
        for (is_it, what) in [(value.is_function(), "function"), (value.is_symbol(), "symbol")] {
            if is_it {
                return Err(Stop::threw(
                    "TypeError",
                    &format!("a {what} cannot be a result: it has no JSON form"),
                ));
            }
        }
        let json = self.stringify(ctx, value).map_err(|error| self.thrown(ctx, &error))?;
        if self.meter.fault().is_some() { Err(Stop::Fault) } else { Ok(json) }
    }

    /// Returns an error's data as JSON text; `None` if it has no such form. That raises no further error: the error that
    /// was thrown is the one that matters.
    fn details<'js>(&self, ctx: &Ctx<'js>, data: Value<'js>) -> Option<String> {
        if data.is_undefined() || data.is_function() || data.is_symbol() {
            return None;
        }
        self.stringify(ctx, data).unwrap_or_else(|_| {
            // The exception of data that failed; it must not be mistaken for another.
            let _unprinted = ctx.catch();
            None
        })
    }

    /// Returns JSON text for the log, and pays for it. A text that is too long for the log stops the call.
    fn stringify<'js>(&self, ctx: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<Option<String>> {
        let replacer = self.metering.as_ref().map(|metering| metering.replacer(ctx));
        let Some(json) = ctx.json_stringify_replacer(value, replacer)? else { return Ok(None) };
        let json = json.to_cstring()?;
        self.meter.spend((json.len() / JSON_BYTES_PER_STEP) as u64);
        if !self.meter.hand_over(json.len()) {
            return Ok(None);
        }
        Ok(Some(without_lone_surrogates(json.as_str())))
    }

    fn run_jobs(&self, ctx: &Ctx<'_>) {
        while self.meter.fault().is_none() && ctx.execute_pending_job() {
            self.meter.spend(STEPS_PER_JOB);
        }
    }

    /// Ends the jobs of a stopped request: no function can be called any more, so each job fails at once. A
    /// script can create more jobs than can be ended for the fuel of one request; the next request pays for the rest.
    fn drain(&self, ctx: &Ctx<'_>) {
        let end = self.meter.fuel().saturating_mul(2).saturating_add(2);
        while self.meter.fuel() < end && ctx.execute_pending_job() {}
    }

    fn hook<'js, A, R>(&self, ctx: &Ctx<'js>, hook: &Hook, arguments: A) -> Result<R, Stop>
    where
        A: IntoArgs<'js>,
        R: FromJs<'js>,
    {
        let called = hook.clone().restore(ctx).and_then(|hook| hook.call(arguments));
        called.map_err(|error| self.thrown(ctx, &error))
    }

    /// Describes a thrown value. The script's own getters may run for that, and are metered.
    fn thrown(&self, ctx: &Ctx<'_>, error: &rquickjs::Error) -> Stop {
        if !error.is_exception() {
            // The glue between the engine and us failed, for lack of memory or of well-formed text.
            return Stop::threw("InternalError", &error.to_string());
        }
        let thrown = ctx.catch();
        if self.meter.fault().is_some() {
            return Stop::Fault;
        }
        // Without memory for an error object, the engine throws null.
        if thrown.is_null() && self.meter.was_memory_refused() {
            return Stop::threw("InternalError", "out of memory");
        }
        let getter = self.hooks.stack.clone().restore(ctx);
        self.stack.replace(stack::script_frames(ctx, getter, &thrown));
        let described =
            self.hooks.describe.clone().restore(ctx).and_then(|describe| describe.call((thrown,)));
        match described {
            Ok(Described { name, message, code, data }) => {
                let details = self.details(ctx, data);
                // Reading code and data may have run the script, and used up the remaining fuel.
                if self.meter.fault().is_some() {
                    Stop::Fault
                } else {
                    Stop::threw_with(&name, &message, code, details)
                }
            }
            Err(_) => {
                // The exception of a description that failed; it must not be mistaken for another.
                let _undescribed = ctx.catch();
                Stop::threw("InternalError", "what was thrown cannot be described")
            }
        }
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Script").field("memory", &self.memory.used()).finish_non_exhaustive()
    }
}

impl Hooks {
    /// Evaluates the prelude, part by part; each part is a function of the parts that it needs.
    fn install<'js>(ctx: &Ctx<'js>, api: Api, functions: &Rc<HostFunctions>) -> rquickjs::Result<Self> {
        let (global, host) = (ctx.globals(), functions.object(ctx)?);
        if api >= Api::V5 {
            Globals::lend_to(&host)?;
            functions.lend_world(&host)?;
        }
        let part = |source: &str| prelude::part(ctx, source);
        part(include_str!("prelude/sites.js"))?.call::<_, ()>((global.clone(),))?;
        part(include_str!("prelude/clock.js"))?.call::<_, ()>((global.clone(), host.clone()))?;
        part(include_str!("prelude/console.js"))?.call::<_, ()>((global.clone(), host.clone()))?;
        let timers: Object<'js> =
            part(include_str!("prelude/timers.js"))?.call((global.clone(), host.clone()))?;
        let (content, system) = match api {
            Api::V4 => (include_str!("prelude/v4/buffer.js"), include_str!("prelude/v4/system.js")),
            Api::V5 => (include_str!("prelude/content.js"), include_str!("prelude/system.js")),
        };
        let content: Object<'js> = part(content)?.call((global.clone(), host.clone()))?;
        let system: Value<'js> = part(system)?.call((global.clone(), host, content))?;
        let calls: Object<'js> = match api {
            Api::V4 => part(include_str!("prelude/v4/calls.js"))?.call((global,))?,
            Api::V5 => part(include_str!("prelude/calls.js"))?.call((global,))?,
        };
        let hook = |part: &Object<'js>, name: &str| {
            Ok::<_, rquickjs::Error>(Persistent::save(ctx, part.get::<_, Function<'js>>(name)?))
        };
        let questions = match system.as_object() {
            Some(system) => {
                Some(QuestionHooks { deliver: hook(system, "deliver")?, drop: hook(system, "drop")? })
            }
            None => None,
        };
        Ok(Self {
            questions,
            methods: hook(&calls, "methods")?,
            invoke: hook(&calls, "invoke")?,
            describe: hook(&calls, "describe")?,
            stack: hook(&calls, "stack")?,
            fire_timer: hook(&timers, "fire")?,
            drop_timers: hook(&timers, "drop")?,
        })
    }
}

/// Returns the callable methods, and the parameters' names where they are plain.
fn loaded(methods: Vec<String>, sources: &[String]) -> Loaded {
    let mut loaded = Loaded::default();
    for (method, source) in methods.into_iter().zip(sources) {
        if method.len() > METHOD_NAME_BYTES_MAX {
            continue;
        }
        if let Some(names) = parameters::names(source) {
            loaded.parameters.insert(method.clone(), names);
        }
        loaded.methods.push(method);
    }
    loaded
}

impl Stop {
    /// Returns an error for the log, cut to the size of an entry.
    fn threw(name: &str, message: &str) -> Self {
        Self::threw_with(name, message, None, None)
    }

    fn threw_with(name: &str, message: &str, code: Option<i64>, details: Option<String>) -> Self {
        let cut = |text: &str| text[..text.floor_char_boundary(ERROR_TEXT_BYTES_MAX)].to_owned();
        Self::Threw(Thrown { name: cut(name), message: cut(message), code, details })
    }
}

/// The result of the prelude's `describe`.
struct Described<'js> {
    name: String,
    message: String,
    code: Option<i64>,
    /// `undefined` if there is none.
    data: Value<'js>,
}

impl<'js> FromJs<'js> for Described<'js> {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<Self> {
        let parts = rquickjs::Array::from_js(ctx, value)?;
        // A script may have changed the language under the prelude.
        let code = parts.get::<Option<f64>>(2)?.map(|code| code as i64).filter(|code| is_own_code(*code));
        Ok(Self { name: parts.get(0)?, message: parts.get(1)?, code, data: parts.get(3)? })
    }
}
