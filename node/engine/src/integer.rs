//! Fuel for long integers, computed from the memory that holds them.
//!
//! An operator on a `BigInt` has no entry to exchange, and runs uninterrupted for a time that grows with the square of its
//! operands. But it must store its result: each integer of more than some thousand bits is an allocation of its own, and
//! so is each intermediate one. So the allocator looks, at its next call, whether its last allocation
//! holds an integer by now: its first word then counts the words that follow, and matches the size of the allocation. Only a
//! script can create anything else that looks like that, and then pays for it. Unwritten memory is zero, and so no integer.
//!
//! Shorter integers lie in blocks that many objects share, and cost one step like anything else. The operation behind an
//! integer is unknown: a product of this length takes less time than is paid here, a print in decimal some six times as much.
#![expect(unsafe_code, reason = "reads what the engine has written into its memory")]

/// Bytes that the engine puts before each allocation, then `struct JSBigInt` of quickjs-ng 0.16.2: a count, and limbs of 32
/// bits.
const BLOCK_HEADER: usize = 8;
const COUNT: usize = 4;
const LIMB: usize = 4;
/// Smaller integers lie in shared blocks.
const BYTES_MIN: usize = 520;
/// The longest integer has 1,048,576 bits.
const BYTES_MAX: usize = BLOCK_HEADER + COUNT + LIMB * (1 << 15) + 8;
/// The square of the number of limbs, divided by this, is the number of steps.
const SQUARED_LIMBS_PER_STEP: u64 = 64;

/// Returns whether an allocation of this size can hold a long integer.
pub(super) fn may_be(holds: usize) -> bool {
    (BYTES_MIN..=BYTES_MAX).contains(&holds)
}

/// Sets the count to zero, so that the previous content is not mistaken for an integer.
///
/// # Safety
/// The pointer is to an allocation of at least [`BYTES_MIN`] bytes, aligned to 8.
pub(super) unsafe fn clear(pointer: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { pointer.add(BLOCK_HEADER).cast::<u32>().write(0) }
}

/// Returns the steps for computing the integer in an allocation of size `holds`; 0 if it holds no integer.
///
/// # Safety
/// The pointer is to such an allocation, which [`may_be`] one and has been cleared, aligned to 8.
pub(super) unsafe fn steps(pointer: *const u8, holds: usize) -> u64 {
    // SAFETY: the caller's promise.
    let limbs = unsafe { pointer.add(BLOCK_HEADER).cast::<u32>().read() } as usize;
    let room = (holds - BLOCK_HEADER - COUNT) / LIMB;
    // The engine estimates the space for decimal digits, a sixtieth too large.
    if limbs > room || limbs < room - room / 32 - 2 {
        return 0;
    }
    let limbs = limbs as u64;
    limbs * limbs / SQUARED_LIMBS_PER_STEP
}
