//! What a call has used, and the stop when that is too much.
//!
//! The engine asks the meter whether to go on once per 10,000 polls (a call or a jump is a poll), so the count is the
//! same on every machine; what it does in one piece is counted by [`super::metering`], and large allocations here. A stop is final: the engine's own interruption can be turned into an ordinary rejection by
//! `new Promise`, so once the meter has said stop it says so at every later question and takes the stack away, with
//! which no function can be called any more. Whatever such a call returns, it has ended by its fault.
#![expect(unsafe_code, reason = "the engine's stack limit can only be set through its C interface")]

use std::cell::Cell;
use std::ptr::NonNull;

use libvms_protocol::entry::Limits;
use libvms_protocol::limits::RESULT_BYTES_MAX;
use rquickjs::{Ctx, qjs};

use super::context::{ContextLayout, POLLS_PER_QUESTION};
use super::message::Fault;

/// Polls between two questions of the engine, and so the unit of a fuel limit.
const STEPS_PER_UNIT: u64 = POLLS_PER_QUESTION as u64;
/// The engine's blocks of small objects are half as large.
const LARGE_BYTES_MIN: usize = 8 * 1024;
/// Bytes of large allocations that are a step.
const BYTES_PER_STEP: usize = 32;

/// With so many bytes, no function can be called: each call counts more. Zero would be no limit.
const NO_STACK: usize = 1;

/// Counts one request at a time.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Limits,
    engine: Cell<Option<NonNull<qjs::JSRuntime>>>,
    inside: Cell<Option<ContextLayout>>,
    /// The most steps that are not yet a unit more than the limit of the request in hand.
    steps_max: Cell<u64>,
    steps: Cell<u64>,
    /// Bytes that are allocated and not yet a whole number of steps.
    bytes: Cell<usize>,
    output: Cell<u64>,
    result: Cell<u64>,
    was_memory_refused: Cell<bool>,
    state: Cell<State>,
    /// Steps that a request begins with as used: a test stops requests wherever it likes.
    #[cfg(test)]
    pub(super) head_start: Cell<u64>,
    /// Steps of the last request, its head start among them.
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
    pub(super) fn new(limits: Limits) -> Self {
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
            state: Cell::new(State::Idle),
            #[cfg(test)]
            head_start: Cell::new(0),
            #[cfg(test)]
            last_steps: Cell::new(0),
        }
    }

    /// Takes charge of the engine behind `ctx`, which must outlive the meter's use.
    pub(super) fn attach(&self, ctx: &Ctx<'_>, inside: ContextLayout) {
        self.inside.set(Some(inside));
        // SAFETY: the context is alive.
        self.engine.set(NonNull::new(unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) }));
        self.end();
    }

    /// A request begins with nothing used, and may use so much fuel.
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

    /// As if the request had polled so often already.
    #[cfg(test)]
    fn begin_late(&self) {
        let polls = self.head_start.get() % STEPS_PER_UNIT;
        self.steps.set(self.head_start.get() - polls);
        if let Some(inside) = self.inside.get() {
            inside.count_from(polls);
        }
    }

    /// The most steps that a request may take.
    #[cfg(test)]
    pub(super) fn steps_max(&self) -> u64 {
        self.steps_max.get()
    }

    /// The request is over; what comes is ours.
    pub(super) fn end(&self) {
        #[cfg(test)]
        self.last_steps.set(self.used());
        self.state.set(State::Idle);
        self.limit_stack(usize::try_from(self.limits.stack).unwrap_or(usize::MAX).max(NO_STACK));
    }

    /// Answers the engine's question: whether to stop.
    pub(super) fn poll(&self) -> bool {
        !self.pay(STEPS_PER_UNIT)
    }

    /// Counts work that is done for the script where the engine does not see it.
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

    /// Stops a request that is about to end with more steps than it may take: those since the last question are not told yet.
    pub(super) fn settle(&self) {
        self.spend(0);
    }

    /// Counts such work before it is done; says whether it may be.
    #[inline]
    pub(super) fn pay(&self, steps: u64) -> bool {
        self.spend(steps);
        self.fault().is_none()
    }

    /// Counts memory that the engine takes in one piece: filling it takes time, whoever asked for it. Small pieces are
    /// free. They come in blocks that many objects share, and when the engine needs another block depends on its past.
    pub(super) fn allocate(&self, bytes: usize) {
        if bytes < LARGE_BYTES_MIN || self.state.get() == State::Idle {
            return;
        }
        let bytes = self.bytes.get().saturating_add(bytes);
        self.bytes.set(bytes % BYTES_PER_STEP);
        self.spend((bytes / BYTES_PER_STEP) as u64);
    }

    /// An allocation of so many bytes is beyond the limit, or comes too late: what a stopped request is in the middle of ends
    /// sooner without large pieces of memory.
    pub(super) fn refuses_memory(&self, bytes: usize, is_beyond_limit: bool) -> bool {
        let is_refused = is_beyond_limit || (bytes >= LARGE_BYTES_MIN && self.fault().is_some());
        if is_refused {
            self.was_memory_refused.set(true);
        }
        is_refused
    }

    /// Whether memory was asked for in vain since the request began.
    pub(super) fn was_memory_refused(&self) -> bool {
        self.was_memory_refused.get()
    }

    /// Counts bytes that the script writes; says whether it may.
    pub(super) fn write(&self, bytes: usize) -> bool {
        self.output.set(self.output.get().saturating_add(bytes as u64));
        if self.output.get() > self.limits.output {
            self.stop(Fault::Output);
        }
        self.fault().is_none()
    }

    /// Counts the bytes of the result; says whether it may be handed over.
    pub(super) fn hand_over(&self, bytes: usize) -> bool {
        self.result.set(bytes as u64);
        if bytes > RESULT_BYTES_MAX {
            self.stop(Fault::Output);
        }
        self.write(bytes)
    }

    /// Bytes that the request has written and returned.
    pub(super) fn output(&self) -> u64 {
        self.output.get()
    }

    /// Bytes of the request's result.
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

    /// Steps since the request began, those that the engine has not told of among them.
    fn used(&self) -> u64 {
        self.steps.get().saturating_add(self.inside.get().map_or(0, ContextLayout::polls))
    }

    /// Why the request was stopped, if it was.
    pub(super) fn fault(&self) -> Option<Fault> {
        match self.state.get() {
            State::Stopped(fault) => Some(fault),
            State::Idle | State::Running => None,
        }
    }

    /// Fuel that the request has used, in the unit of the limit.
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
