//! Fuel for what the engine does in one piece.
//!
//! The engine counts the calls and jumps of a script, and the meter with it. A built-in that loops in C makes neither:
//! `join` of an array that only claims to have four thousand million elements would run for minutes and cost nothing.
//! So each built-in that can take long pays for the size of its work before it begins. [`TABLE`] says which and how much; start there.
//!
//! ```text
//! table       which built-ins, and the rule of each
//! arrays, bytes, keys, text     the rules
//! price       what several of them ask for the same work
//! operand     what a rule may look at: lengths and kinds, never anything that a script could notice
//! object      the same, where the engine has no function for it
//! json        what is written as JSON pays value by value
//! search      the one piece of work that is done here in place of the engine
//! builtin     how a built-in comes to ask before it runs
//! backtrace   how what is thrown pays
//! compiler    how the compilers of programs and of regular expressions come to ask
//! compiler::cost what a program costs, told from its text
//! ../prelude/exotic.js    built-ins for operands whose size only a script can tell, in JavaScript, which the engine counts
//! ```
//!
//! A step is meant to be some 30 ns, what a turn of a plain loop takes. What is large is besides paid for when it is allocated
//! (see [`super::meter::Meter::allocate`]), and long integers by what they hold ([`super::integer`]); that reaches operators and
//! syntax, which no table can. A stop takes effect at the engine's next poll.
//!
//! # What stays
//! On an engine as it is delivered, operators have no entry to exchange, and some of their work allocates nothing or little.
//! Nor does the engine poll where nothing is called and nothing jumps: a row of statements is free, however long, and only its
//! compilation was paid for. Measured on a shared core, each for one step or two:
//!
//! | what | takes | bound |
//! |---|---|---|
//! | two thousand times `x = x + 1` in a row, in a loop | 25 us | what compiling it costs |
//! | `===` of two equal texts of 32 million units | 6 ms | memory |
//! | a text of a million units as the name of a property | 1 ms | memory |
//! | a property that 100,000 prototypes, or proxies in proxies, do not have | 2 ms | memory |
//! | giving an object a prototype that has as many above it | 2 ms | memory |
//! | a product of integers of 2,000 bits, or one of 4,000 bits in decimal in a template | 4 us, 40 us | they lie in shared blocks |
//! | an integer of 500,000 bits in decimal in a template | 0.7 s | what longer ones cost |
//! | one use of a regular expression, before its matcher begins to count | 0.13 ms | 10,000 steps of the matcher |
//! | setting down the length of an array of 100,000 elements far apart | 10 ms | memory |
//! | a call of a function with 60,000 variables, or with as many bound arguments | 50 us | the stack |
//! | an object among 10,000 that are written as JSON with a list of 2,000 names | 60 us | memory |
//!
//! Nothing but the clock bounds how often. A call that the clock ends is `killed`, without effect, and no watcher accuses
//! anybody for it; what that costs the host is bounded as well.

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

/// What a rule says about one call of a built-in.
enum Charge {
    /// So many steps, then the built-in.
    Steps(u64),
    /// So many steps, the built-in, then steps by what it made. Only where memory bounds the work.
    After(u64, fn(Operand) -> u64),
    /// The built-in writes JSON, and a replacer of ours pays for each value.
    Inspected,
    /// So many steps; the answer is known.
    Known(u64, qjs::JSValue),
    /// Nobody can say without running the script: the prelude's version, which the engine counts.
    Script,
}

/// A rule: what one call costs, from its operands.
type Rule = fn(&Operands, &Known) -> Charge;

/// Objects of the language that a rule must know from others. They are alive as long as the [`Metering`].
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
    /// What the engine has in the place of `Error.stackTraceLimit`.
    trace_limit: qjs::JSValue,
    /// The most names that any program of this heap may declare.
    names_max: Cell<u64>,
    _kept: Vec<Persistent<Value<'static>>>,
}

thread_local! {
    /// Of the script that runs on this thread, if one does.
    static CURRENT: Cell<*const Metering> = const { Cell::new(ptr::null()) };
}

impl Metering {
    /// Makes the built-ins of `ctx` pay, as soon as [`Self::begin`] says so.
    ///
    /// # Errors
    /// If the engine is not the one that this was written for, or its memory is full.
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

    /// The replacer that pays for each value which is written as JSON.
    pub(super) fn replacer<'js>(&self, ctx: &Ctx<'js>) -> Value<'js> {
        // SAFETY: it is kept as long as this, and the value has a reference of its own.
        #[expect(unsafe_code, reason = "a value of the engine's")]
        unsafe {
            Value::from_raw(ctx.clone(), qjs::JS_DupValue(ctx.as_raw().as_ptr(), self.replacer))
        }
    }

    /// The script runs now, and pays.
    pub(super) fn begin(&self) {
        CURRENT.set(self);
    }

    /// What runs now is ours.
    pub(super) fn end(&self) {
        CURRENT.set(ptr::null());
    }

    /// Of the script that runs on this thread.
    #[inline]
    fn current<'a>() -> Option<&'a Self> {
        let current = CURRENT.get();
        // SAFETY: `begin` has set it, `end` or `drop` takes it away; a metering does not move out of its box.
        #[expect(unsafe_code, reason = "the engine gives its functions no room for a pointer of ours")]
        unsafe {
            current.as_ref()
        }
    }

    /// Whether the script may go on after so many steps.
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

/// The built-ins of which the prelude has a version of its own.
#[cfg(test)]
pub(super) fn scripted_places() -> Vec<&'static str> {
    TABLE.iter().filter(|row| row.is_scripted).map(|row| row.place).collect()
}

#[cfg(test)]
mod tests;
