//! The engine's allocator, with the same accounting on every machine.
//!
//! The engine counts the usable size of an allocation, and C libraries round it differently: the same script would
//! run out of memory at another call on another system. Here an allocation has the requested size, rounded up to 8
//! bytes, and a header in front stores it.
#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error, realloc};
use std::cell::Cell;
use std::ptr::null_mut;
use std::rc::Rc;

use rquickjs::allocator::Allocator;

use super::integer;
use super::meter::Meter;

/// Bytes in front of each allocation; keeps the allocation aligned for any type.
const HEADER: usize = 16;

/// Allocates the machine's memory. If there is none the process aborts: an engine that received a null pointer would give
/// a result that depends on how busy the machine is.
#[derive(Clone, Debug)]
pub(super) struct Accounted {
    used: Rc<Cell<usize>>,
    limit: Rc<Cell<usize>>,
    /// The last allocation, if it may hold a long integer.
    young: Rc<Cell<*mut u8>>,
    meter: Rc<Meter>,
    /// Allocations that are refused, whatever the limit.
    #[cfg(test)]
    pub(super) refusal: Rc<Refusal>,
}

/// Counts allocations, to refuse some of them.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Refusal {
    /// Allocations since this was set to 0.
    pub(super) requests: Cell<u64>,
    /// The first allocation that is refused, and how many are.
    pub(super) refused: Cell<Option<(u64, u64)>>,
}

#[cfg(test)]
impl Refusal {
    fn is_due(&self) -> bool {
        let request = self.requests.replace(self.requests.get() + 1);
        self.refused
            .get()
            .is_some_and(|(first, count)| (first..first.saturating_add(count)).contains(&request))
    }
}

/// Bytes that the engine adds to each allocation in its own accounting.
const OVERHEAD: usize = 8;

impl Accounted {
    /// Returns an allocator whose large allocations this meter counts.
    pub(super) fn new(meter: Rc<Meter>) -> Self {
        let (limit, young) = (Rc::new(Cell::new(usize::MAX)), Rc::new(Cell::new(null_mut())));
        Self {
            used: Rc::default(),
            limit,
            young,
            meter,
            #[cfg(test)]
            refusal: Rc::default(),
        }
    }

    /// Sets the limit to `bytes`; returns the previous one. The engine has a limit of its own, but does not report
    /// that it was reached.
    pub(super) fn limit(&self, bytes: u64) -> u64 {
        self.limit.replace(usize::try_from(bytes).unwrap_or(usize::MAX)) as u64
    }

    /// Returns the bytes in use, as they count against the limit. Clones share the count.
    pub(super) fn used(&self) -> u64 {
        self.used.get() as u64
    }

    fn allocate(&self, size: usize, allocate: unsafe fn(Layout) -> *mut u8) -> *mut u8 {
        self.count_integer();
        let Some((holds, layout)) = layout(size) else { return null_mut() };
        if self.refuses(holds, holds + OVERHEAD) {
            return null_mut();
        }
        // SAFETY: the layout has a size of at least HEADER.
        let start = unsafe { allocate(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        self.used.set(self.used.get() + holds + OVERHEAD);
        self.meter.allocate(holds);
        // SAFETY: the allocation has HEADER bytes in front, aligned for usize.
        unsafe {
            start.cast::<usize>().write(holds);
            let pointer = start.add(HEADER);
            if integer::may_be(holds) {
                integer::clear(pointer);
                self.young.set(pointer);
            }
            pointer
        }
    }

    /// Returns whether an allocation of size `holds`, which adds `more` to the bytes in use, must be refused.
    fn refuses(&self, holds: usize, more: usize) -> bool {
        let is_beyond_limit = self.used.get().saturating_add(more) > self.limit.get();
        // Our own allocations are never refused.
        #[cfg(test)]
        let is_beyond_limit = is_beyond_limit || (self.limit.get() != usize::MAX && self.refusal.is_due());
        self.meter.refuses_memory(holds, is_beyond_limit)
    }

    /// Counts the work behind the last allocation, if that holds a long integer. The engine has written
    /// it by the time of its next allocation.
    fn count_integer(&self) {
        let pointer = self.young.replace(null_mut());
        if !pointer.is_null() {
            // SAFETY: it is an allocation of ours that has not been freed since.
            let steps = unsafe { integer::steps(pointer, held(pointer)) };
            self.meter.spend(steps);
        }
    }
}

/// Returns the size of an allocation for `size` bytes, and its layout with the header; `None` if no machine has so much.
fn layout(size: usize) -> Option<(usize, Layout)> {
    let holds = size.checked_next_multiple_of(8)?;
    let layout = Layout::from_size_align(holds.checked_add(HEADER)?, HEADER).ok()?;
    Some((holds, layout))
}

/// Returns the size of an allocation, from its header.
///
/// # Safety
/// `pointer` comes from this allocator.
unsafe fn held(pointer: *mut u8) -> usize {
    // SAFETY: each of our allocations has its header in front.
    unsafe { pointer.sub(HEADER).cast::<usize>().read() }
}

// SAFETY: pointers are aligned to 16 and valid for `usable_size` bytes, which never exceeds the allocation.
unsafe impl Allocator for Accounted {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        self.allocate(size, alloc)
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        count.checked_mul(size).map_or(null_mut(), |size| self.allocate(size, alloc_zeroed))
    }

    unsafe fn dealloc(&mut self, pointer: *mut u8) {
        if pointer.is_null() {
            return;
        }
        self.count_integer();
        // SAFETY: the caller's pointer is ours; its layout was valid at its allocation.
        unsafe {
            let (holds, layout) = layout(held(pointer)).expect("its layout was made before");
            self.used.set(self.used.get() - holds - OVERHEAD);
            dealloc(pointer.sub(HEADER), layout);
        }
    }

    unsafe fn realloc(&mut self, pointer: *mut u8, size: usize) -> *mut u8 {
        if pointer.is_null() {
            return self.alloc(size);
        }
        self.count_integer();
        let Some((holds, new)) = layout(size) else { return null_mut() };
        // SAFETY: the caller's pointer is ours.
        let grows = holds.saturating_sub(unsafe { held(pointer) });
        if grows > 0 && self.refuses(holds, grows) {
            return null_mut();
        }
        // SAFETY: the caller's pointer is ours; the new size is that of a valid layout.
        unsafe {
            let (held, old) = layout(held(pointer)).expect("its layout was made before");
            let start = realloc(pointer.sub(HEADER), old, new.size());
            if start.is_null() {
                handle_alloc_error(new);
            }
            self.used.set(self.used.get() - held + holds);
            if holds > held {
                self.meter.allocate(holds);
            }
            start.cast::<usize>().write(holds);
            start.add(HEADER)
        }
    }

    unsafe fn usable_size(pointer: *mut u8) -> usize {
        // SAFETY: the caller's pointer is ours.
        if pointer.is_null() { 0 } else { unsafe { held(pointer) } }
    }
}
