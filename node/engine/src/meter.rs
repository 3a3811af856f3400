//! The usage of a call, and the stop when it exceeds a limit.
//!
//! The engine calls its interrupt handler, the meter, once per 10,000 polls (a call or a jump is a poll), so the count is the
//! same on every machine. [`super::metering`] counts work that the engine does in one piece, and the meter itself large
//! allocations. A stop is final: `new Promise` can turn the engine's own interrupt into an ordinary rejection, so a meter
//! that has stopped a request says so at every later interrupt, and takes the stack away, without which no function can be
//! called. Whatever such a call returns, it has ended by its fault.
#![expect(unsafe_code, reason = "the engine's stack limit can only be set through its C interface")]

use std::cell::Cell;
use std::ptr::NonNull;

use libvms_protocol::entry::Limits;
use libvms_protocol::limits::RESULT_BYTES_MAX;
use rquickjs::{Ctx, qjs};

use super::context::{ContextLayout, POLLS_PER_QUESTION};
use super::identity::Api;
use super::message::Fault;

/// Polls between two interrupts of the engine, and so the unit of a fuel limit.
const STEPS_PER_UNIT: u64 = POLLS_PER_QUESTION as u64;
/// The engine's blocks of small objects are half as large.
const LARGE_BYTES_MIN: usize = 8 * 1024;
/// Bytes of a large allocation that cost one step.
const BYTES_PER_STEP: usize = 32;

/// A stack limit with which no function can be called: each call counts more. Zero would mean no limit.
const NO_STACK: usize = 1;

/// Counts the usage of one request at a time.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Limits,
    engine: Cell<Option<NonNull<qjs::JSRuntime>>>,
    inside: Cell<Option<ContextLayout>>,
    /// The largest number of steps that is not yet a unit more than the limit of the running request.
    steps_max: Cell<u64>,
    steps: Cell<u64>,
    /// Allocated bytes that are not yet a whole number of steps.
    bytes: Cell<usize>,
    output: Cell<u64>,
    result: Cell<u64>,
    was_memory_refused: Cell<bool>,
    /// Whether a stopped request is interrupted at every poll. Otherwise it is at one in 10,000, and that one may be swallowed
    /// each time: the engine ignores what happens while it writes an error's stack trace. Logs of version 4 were made so.
    insists: bool,
    state: Cell<State>,
    /// Steps that a request starts with as used: a test can stop requests anywhere.
    #[cfg(test)]
    pub(super) head_start: Cell<u64>,
    /// Steps of the last request, including its head start.
    #[cfg(test)]
    pub(super) last_steps: Cell<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between requests: our own code runs, uncounted.
    Idle,
    Running,
    Stopped(Fault),
}

impl Meter {
    pub(super) fn new(limits: Limits, api: Api) -> Self {
        let (steps, bytes, output, result) = (Cell::new(0), Cell::new(0), Cell::new(0), Cell::new(0));
        Self {
            limits,
            engine: Cell::new(None),
            inside: Cell::new(None),
            steps_max: Cell::new(steps_max(limits.fuel)),
            steps,
            bytes,
            output,
            result,
            was_memory_refused: Cell::new(false),
            insists: api >= Api::V5,
            state: Cell::new(State::Idle),
            #[cfg(test)]
            head_start: Cell::new(0),
            #[cfg(test)]
            last_steps: Cell::new(0),
        }
    }

    /// Attaches to the engine of `ctx`, which must outlive the meter's use.
    pub(super) fn attach(&self, ctx: &Ctx<'_>, inside: ContextLayout) {
        self.inside.set(Some(inside));
        // SAFETY: the context is alive.
        self.engine.set(NonNull::new(unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) }));
        self.end();
    }

    /// Starts a request with nothing used, and `fuel` as its limit.
    pub(super) fn begin(&self, fuel: u64) {
        self.steps_max.set(steps_max(fuel));
        self.steps.set(0);
        self.bytes.set(0);
        self.output.set(0);
        self.result.set(0);
        self.was_memory_refused.set(false);
        if let Some(inside) = self.inside.get() {
            inside.forget_trace();
            inside.count_from_start();
        }
        #[cfg(test)]
        self.begin_late();
        self.state.set(State::Running);
    }

    /// Makes the running request look as if it had polled so often already.
    #[cfg(test)]
    fn begin_late(&self) {
        let polls = self.head_start.get() % STEPS_PER_UNIT;
        self.steps.set(self.head_start.get() - polls);
        if let Some(inside) = self.inside.get() {
            inside.count_from(polls);
        }
    }

    /// Returns the largest number of steps that a request may take.
    #[cfg(test)]
    pub(super) fn steps_max(&self) -> u64 {
        self.steps_max.get()
    }

    /// Ends the request; our own code follows.
    pub(super) fn end(&self) {
        #[cfg(test)]
        self.last_steps.set(self.used());
        self.state.set(State::Idle);
        self.limit_stack(usize::try_from(self.limits.stack).unwrap_or(usize::MAX).max(NO_STACK));
    }

    /// Answers the engine's interrupt: returns whether to stop.
    pub(super) fn poll(&self) -> bool {
        if self.insists && self.fault().is_some() {
            self.steps.set(self.steps.get().saturating_add(1));
            if let Some(inside) = self.inside.get() {
                inside.ask_next();
            }
            return true;
        }
        !self.pay(STEPS_PER_UNIT)
    }

    /// Counts work for the script that the engine does not count.
    #[inline]
    pub(super) fn spend(&self, steps: u64) {
        if self.state.get() == State::Idle {
            return;
        }
        self.steps.set(self.steps.get().saturating_add(steps));
        if self.used() > self.steps_max.get() {
            self.stop(Fault::Fuel);
        }
    }

    /// Stops a request that is about to end with too many steps: those since the last interrupt are not checked yet.
    pub(super) fn settle(&self) {
        self.spend(0);
    }

    /// Counts such work before it is done; returns whether it may be done.
    #[inline]
    pub(super) fn pay(&self, steps: u64) -> bool {
        self.spend(steps);
        self.fault().is_none()
    }

    /// Counts memory that the engine allocates in one piece: filling it takes time, whether the
    /// script or the engine requested it. Small pieces are free.
    /// They come in blocks that many objects share, and when the engine needs another block depends on its past.
    pub(super) fn allocate(&self, bytes: usize) {
        if bytes < LARGE_BYTES_MIN || self.state.get() == State::Idle {
            return;
        }
        let bytes = self.bytes.get().saturating_add(bytes);
        self.bytes.set(bytes % BYTES_PER_STEP);
        self.spend((bytes / BYTES_PER_STEP) as u64);
    }

    /// Returns whether to refuse an allocation: it is beyond the limit, or its request was stopped. A stopped request ends
    /// sooner without large allocations.
    pub(super) fn refuses_memory(&self, bytes: usize, is_beyond_limit: bool) -> bool {
        let is_refused = is_beyond_limit || (bytes >= LARGE_BYTES_MIN && self.fault().is_some());
        if is_refused {
            self.was_memory_refused.set(true);
        }
        is_refused
    }

    /// Returns whether an allocation was refused since the request started.
    pub(super) fn was_memory_refused(&self) -> bool {
        self.was_memory_refused.get()
    }

    /// Counts bytes that the script writes; returns whether it may write them.
    pub(super) fn write(&self, bytes: usize) -> bool {
        self.output.set(self.output.get().saturating_add(bytes as u64));
        if self.output.get() > self.limits.output {
            self.stop(Fault::Output);
        }
        self.fault().is_none()
    }

    /// Counts the bytes of the result; returns whether it may be returned.
    pub(super) fn hand_over(&self, bytes: usize) -> bool {
        self.result.set(bytes as u64);
        if bytes > RESULT_BYTES_MAX {
            self.stop(Fault::Output);
        }
        self.write(bytes)
    }

    /// Returns the bytes that the request has written and returned.
    pub(super) fn output(&self) -> u64 {
        self.output.get()
    }

    /// Returns the bytes of the request's result.
    pub(super) fn result(&self) -> u64 {
        self.result.get()
    }

    /// Stops the request. The first reason stays.
    #[cold]
    pub(super) fn stop(&self, fault: Fault) {
        if self.state.get() == State::Running {
            self.state.set(State::Stopped(fault));
            self.limit_stack(NO_STACK);
            if let Some(inside) = self.inside.get() {
                inside.ask_next();
            }
        }
    }

    /// Returns the steps since the request started, including those since the last interrupt.
    fn used(&self) -> u64 {
        self.steps.get().saturating_add(self.inside.get().map_or(0, ContextLayout::polls))
    }

    /// Returns the reason if the request was stopped.
    pub(super) fn fault(&self) -> Option<Fault> {
        match self.state.get() {
            State::Stopped(fault) => Some(fault),
            State::Idle | State::Running => None,
        }
    }

    /// Returns the fuel that the request has used, in the unit of the limit.
    pub(super) fn fuel(&self) -> u64 {
        self.used() / STEPS_PER_UNIT
    }

    fn limit_stack(&self, bytes: usize) {
        if let Some(engine) = self.engine.get() {
            // SAFETY: `attach` got the engine from a living context. The function sets two numbers.
            unsafe { qjs::JS_SetMaxStackSize(engine.as_ptr(), bytes as qjs::size_t) };
        }
    }
}

fn steps_max(fuel: u64) -> u64 {
    fuel.saturating_add(1).saturating_mul(STEPS_PER_UNIT) - 1
}
