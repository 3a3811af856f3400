//! Memory for the engine, accounted alike on every machine.
//!
//! The engine counts what an allocation can really hold, and the C library rounds as it likes: the same script would
//! run out of memory at another call on another system. Here an allocation holds what was asked for, rounded up to 8
//! bytes, and a header in front remembers that.
#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error, realloc};
use std::cell::Cell;
use std::ptr::null_mut;
use std::rc::Rc;

use rquickjs::allocator::Allocator;

use super::meter::Meter;

/// Bytes in front of each allocation; keeps what follows aligned for anything.
const HEADER: usize = 16;

/// Hands out the machine's memory. If there is none the process aborts: an engine that saw a null pointer would give
/// a result that depends on how busy the machine is.
#[derive(Clone, Debug)]
pub(super) struct Accounted {
    used: Rc<Cell<usize>>,
    meter: Rc<Meter>,
}

/// Bytes that the engine adds to each allocation in its own account.
const OVERHEAD: usize = 8;

impl Accounted {
    /// Memory whose large pieces are counted by this meter.
    pub(super) fn new(meter: Rc<Meter>) -> Self {
        Self { used: Rc::default(), meter }
    }

    /// Bytes in use, as the engine counts them against its limit. Clones share the count.
    pub(super) fn used(&self) -> u64 {
        self.used.get() as u64
    }

    fn allocate(&self, size: usize, allocate: unsafe fn(Layout) -> *mut u8) -> *mut u8 {
        let Some((holds, layout)) = layout(size) else { return null_mut() };
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
            start.add(HEADER)
        }
    }
}

/// What an allocation for `size` bytes holds, and its layout with the header; `None` if no machine has so much.
fn layout(size: usize) -> Option<(usize, Layout)> {
    let holds = size.checked_next_multiple_of(8)?;
    let layout = Layout::from_size_align(holds.checked_add(HEADER)?, HEADER).ok()?;
    Some((holds, layout))
}

/// # Safety
/// `pointer` comes from this allocator.
unsafe fn held(pointer: *mut u8) -> usize {
    // SAFETY: each of our allocations has its header in front.
    unsafe { pointer.sub(HEADER).cast::<usize>().read() }
}

// SAFETY: pointers are aligned to 16 and valid for what `usable_size` says, which never exceeds the allocation.
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
        // SAFETY: the caller's pointer is ours; its layout was valid when it was made.
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
        let Some((holds, new)) = layout(size) else { return null_mut() };
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
