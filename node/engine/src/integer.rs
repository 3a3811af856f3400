//! Fuel for long integers, told from the memory that holds them.
//!
//! An operator on a `BigInt` has no entry to exchange, and works in one piece for a time that grows with the square of its
//! operands. But what it makes it must put somewhere: each integer of more than some thousand bits is an allocation of its own, and
//! so is each that it needs on the way. So the allocator looks, when it is called next, whether its last allocation
//! holds one by now: its first word then counts the words that follow, and fits the size of the allocation. Nothing else looks like
//! that but by a script's own doing, who pays for it. What is not written yet is zero, and so no integer.
//!
//! Shorter ones lie in blocks that many objects share, and cost one step like anything else. Nor is it known what an integer was
//! made by: a product of this length takes less than what is paid here, a print in decimal some six times as much.
#![expect(unsafe_code, reason = "reads what the engine has written into its memory")]

/// Bytes of the engine's own before each allocation, and then `struct JSBigInt` of quickjs-ng 0.16.2: a count, and limbs of 32
/// bits.
const BLOCK_HEADER: usize = 8;
const COUNT: usize = 4;
const LIMB: usize = 4;
/// What is smaller lies in shared blocks.
const BYTES_MIN: usize = 520;
/// The longest integer has 1,048,576 bits.
const BYTES_MAX: usize = BLOCK_HEADER + COUNT + LIMB * (1 << 15) + 8;
/// Limbs whose square is a step, times that square.
const SQUARED_LIMBS_PER_STEP: u64 = 64;

/// Whether an allocation of this size can hold a long integer.
pub(super) fn may_be(holds: usize) -> bool {
    (BYTES_MIN..=BYTES_MAX).contains(&holds)
}

/// Makes the count zero, so that what was here before is not taken for an integer.
///
/// # Safety
/// The pointer is to an allocation of at least [`BYTES_MIN`] bytes, aligned to 8.
pub(super) unsafe fn clear(pointer: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { pointer.add(BLOCK_HEADER).cast::<u32>().write(0) }
}

/// Steps for making the integer in an allocation that holds so many bytes; 0 if there is none in it.
///
/// # Safety
/// The pointer is to such an allocation, which [`may_be`] one and has been cleared, aligned to 8.
pub(super) unsafe fn steps(pointer: *const u8, holds: usize) -> u64 {
    // SAFETY: the caller's promise.
    let limbs = unsafe { pointer.add(BLOCK_HEADER).cast::<u32>().read() } as usize;
    let room = (holds - BLOCK_HEADER - COUNT) / LIMB;
    // Room for a number in decimal digits is estimated, a sixtieth too large.
    if limbs > room || limbs < room - room / 32 - 2 {
        return 0;
    }
    let limbs = limbs as u64;
    limbs * limbs / SQUARED_LIMBS_PER_STEP
}
