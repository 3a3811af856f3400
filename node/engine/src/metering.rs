//! Fuel for work that the engine does in one piece.
//!
//! The engine counts the calls and jumps of a script, and the meter with it. A built-in that loops in C makes neither:
//! `join` of an array that only claims to have four thousand million elements would run for minutes and cost nothing.
//! So each built-in that can take long pays for the size of its work before it starts. [`TABLE`] has these built-ins and
//! their costs; start there.
//!
//! ```text
//! table       which built-ins, and the rule of each
//! arrays, bytes, keys, text     the rules
//! price       prices that several rules share
//! operand     the properties that a rule may read: lengths and kinds, never anything that a script could notice
//! object      the same, where the engine has no function for it
//! json        fuel for writing JSON, value by value
//! search      the one algorithm that replaces one of the engine
//! builtin     how a built-in is made to ask before it runs
//! backtrace   fuel for thrown errors
//! compiler    how the compilers of programs and of regular expressions are made to ask
//! compiler::cost an upper bound on the cost of compiling a program, computed from its source
//! ../prelude/exotic.js    built-ins for operands whose size only a script can tell, in JavaScript, which the engine counts
//! ```
//!
//! A step is meant to be some 30 ns, the duration of a turn of a plain loop. Large objects are also paid for when they are
//! allocated (see [`super::meter::Meter::allocate`]), and long integers by their size ([`super::integer`]); that covers
//! operators and syntax, which no table can. A stop takes effect at the engine's next poll.
//!
//! # Remaining gaps
//! In an unmodified engine, operators have no entry to exchange, and some of their work allocates nothing or little.
//! Nor does the engine poll where nothing is called and nothing jumps: a row of statements is free, however long, and only its
//! compilation was paid for. Measured on a shared core, each for one step or two:
//!
//! | operation | takes | bound |
//! |---|---|---|
//! | two thousand times `x = x + 1` in a row, in a loop | 25 us | what compiling it costs |
//! | `===` of two equal texts of 32 million units | 6 ms | memory |
//! | a text of a million units as the name of a property | 1 ms | memory |
//! | a property that 100,000 prototypes, or proxies in proxies, do not have | 2 ms | memory |
//! | giving an object a prototype that has as many above it | 2 ms | memory |
//! | a product of integers of 2,000 bits, or one of 4,000 bits in decimal in a template | 4 us, 40 us | shared blocks |
//! | an integer of 500,000 bits in decimal in a template | 0.7 s | what longer ones cost |
//! | one use of a regular expression, before its matcher begins to count | 0.13 ms | 10,000 steps of the matcher |
//! | setting down the length of an array of 100,000 elements far apart | 10 ms | memory |
//! | a call of a function with 60,000 variables, or with as many bound arguments | 50 us | the stack |
//! | an object among 10,000 that are written as JSON with a list of 2,000 names | 60 us | memory |
//!
//! Only the watchdog's clock limits how often. A call that the clock ends is `killed`, without effect, and no watcher accuses
//! anybody for it; its cost for the host is bounded as well.

mod arrays;
mod backtrace;
mod builtin;
mod bytes;
mod compiler;
mod json;
mod keys;
mod object;
mod operand;
mod price;

mod search;
mod table;
mod text;

use std::cell::Cell;
use std::ptr;
use std::rc::Rc;

use rquickjs::{Ctx, Exception, Function, Object, Persistent, Value, qjs};

use self::operand::{Operand, Operands};
use self::table::TABLE;
use super::context::ContextLayout;
use super::meter::Meter;
use super::prelude;

/// A rule's verdict on one call of a built-in.
enum Charge {
    /// So many steps, then the built-in.
    Steps(u64),
    /// So many steps, the built-in, then steps by its result. Only where memory bounds the work.
    After(u64, fn(Operand) -> u64),
    /// The built-in writes JSON, and our replacer pays for each value.
    Inspected,
    /// So many steps; the answer is known.
    Known(u64, qjs::JSValue),
    /// The cost is unknown without running the script: runs the prelude's version, which the engine counts.
    Script,
}

/// A rule: the cost of one call, from its operands.
type Rule = fn(&Operands, &Known) -> Charge;

/// Objects of the language that a rule must recognise. They are alive as long as the [`Metering`].
struct Known {
    array: qjs::JSValue,
    array_prototype: qjs::JSValue,
    object_prototype: qjs::JSValue,
    /// The getter of `Array[Symbol.species]`.
    species: qjs::JSValue,
    /// The getter of a regular expression's source.
    source: qjs::JSValue,
    /// The getter of a set's size.
    set_size: qjs::JSValue,
}

/// The metering of one heap's built-ins.
pub(super) struct Metering {
    meter: Rc<Meter>,
    known: Known,
    /// The prelude's version for each row of the table that has one.
    scripted: Vec<Option<qjs::JSValue>>,
    /// Pays for each value that is written as JSON.
    replacer: qjs::JSValue,
    /// The object that replaces `Error.stackTraceLimit` in the engine.
    trace_limit: qjs::JSValue,
    /// The most names that any program of this heap may declare.
    names_max: Cell<u64>,
    _kept: Vec<Persistent<Value<'static>>>,
}

thread_local! {
    /// The metering of the script that runs on this thread, if one does.
    static CURRENT: Cell<*const Metering> = const { Cell::new(ptr::null()) };
}

impl Metering {
    /// Makes the built-ins of `ctx` pay, as soon as [`Self::begin`] is called.
    ///
    /// # Errors
    /// If the engine is not the version that this was written for, or its memory is full.
    pub(super) fn install<'js>(
        ctx: &Ctx<'js>,
        inside: ContextLayout,
        meter: Rc<Meter>,
    ) -> rquickjs::Result<Box<Self>> {
        let refused = |error: builtin::LayoutError| Exception::throw_internal(ctx, &error.to_string());
        builtin::verify_layout(ctx).map_err(refused)?;
        let mut kept = vec![];
        let mut keep = |value: Value<'js>| {
            let raw = value.as_raw();
            kept.push(Persistent::save(ctx, value));
            raw
        };
        let part = prelude::part(ctx, include_str!("prelude/exotic.js"))?;
        let is_regexp =
            Function::new(ctx.clone(), |value: Value<'_>| value.as_object().is_some_and(operand::is_regexp))?;
        let versions: Object<'_> = part.call((ctx.globals(), is_regexp))?;
        let mut scripted = vec![];
        let mut functions = vec![];
        for row in TABLE {
            functions.push(ctx.eval::<Value<'_>, _>(row.place)?);
            let version = versions.get::<_, Value<'_>>(row.place)?;
            let is_there = version.is_function();
            if is_there != row.is_scripted {
                return Err(Exception::throw_internal(ctx, row.place));
            }
            scripted.push(is_there.then(|| keep(version)));
        }
        let mut find = |place: &str| ctx.eval::<Value<'_>, _>(place).map(&mut keep);
        let known = Known {
            array: find("Array")?,
            array_prototype: find("Array.prototype")?,
            object_prototype: find("Object.prototype")?,
            species: find("Object.getOwnPropertyDescriptor(Array, Symbol.species).get")?,
            source: find("Object.getOwnPropertyDescriptor(RegExp.prototype, 'source').get")?,
            set_size: find("Object.getOwnPropertyDescriptor(Set.prototype, 'size').get")?,
        };
        builtin::exchange(&functions).map_err(refused)?;
        let replacer = keep(json::replacer(ctx));
        let trace_limit = keep(backtrace::install(ctx)?.map_err(refused)?);
        compiler::exchange(inside);
        Ok(Box::new(Self {
            meter,
            known,
            scripted,
            replacer,
            trace_limit,
            names_max: Cell::new(0),
            _kept: kept,
        }))
    }

    /// Returns the replacer that pays for each value that is written as JSON.
    pub(super) fn replacer<'js>(&self, ctx: &Ctx<'js>) -> Value<'js> {
        // SAFETY: it is kept as long as this, and the value has a reference of its own.
        #[expect(unsafe_code, reason = "a value of the engine's")]
        unsafe {
            Value::from_raw(ctx.clone(), qjs::JS_DupValue(ctx.as_raw().as_ptr(), self.replacer))
        }
    }

    /// Starts charging: the script runs now.
    pub(super) fn begin(&self) {
        CURRENT.set(self);
    }

    /// Stops charging: our own code runs now.
    pub(super) fn end(&self) {
        CURRENT.set(ptr::null());
    }

    /// Returns the metering of the script that runs on this thread.
    #[inline]
    fn current<'a>() -> Option<&'a Self> {
        let current = CURRENT.get();
        // SAFETY: `begin` has set it, `end` or `drop` removes it; a metering does not move out of its box.
        #[expect(unsafe_code, reason = "the engine gives its functions no room for a pointer of ours")]
        unsafe {
            current.as_ref()
        }
    }

    /// Pays so many steps; returns whether the script may go on.
    #[inline]
    fn pay(&self, steps: u64) -> bool {
        self.meter.pay(steps)
    }
}

impl Drop for Metering {
    fn drop(&mut self) {
        if ptr::eq(CURRENT.get(), self) {
            CURRENT.set(ptr::null());
        }
    }
}

/// Runs our own code in the midst of a script's, uncharged.
pub(super) fn uncharged<R>(run: impl FnOnce() -> R) -> R {
    let current = CURRENT.replace(ptr::null());
    let result = run();
    CURRENT.set(current);
    result
}

/// Returns the built-ins that have a version in the prelude.
#[cfg(test)]
pub(super) fn scripted_places() -> Vec<&'static str> {
    TABLE.iter().filter(|row| row.is_scripted).map(|row| row.place).collect()
}

#[cfg(test)]
mod tests;
