//! System calls of the server: raises the limit of descriptors, and returns unused memory.
#![expect(unsafe_code, reason = "the C library has no other interface for either")]

/// Raises the limit of descriptors (`RLIMIT_NOFILE`) to `count`, or as far as the hard limit permits.
pub(super) fn allow_descriptors(count: u64) {
    #[cfg(unix)]
    {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: writes into `limit`, which is valid for the call.
        let is_known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
        if !is_known || limit.rlim_cur >= count {
            return;
        }
        limit.rlim_cur = count.min(limit.rlim_max);
        // SAFETY: reads `limit`, which is valid for the call. Raising the limit affects no memory.
        let raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
        tracing::debug!(limit = limit.rlim_cur, is_raised = raised == 0, "descriptors");
    }
}

/// Makes the C library return free memory between allocations (`malloc_trim`). By itself it returns memory only at the
/// end of a heap, so the process would keep the memory of a flood of requests for ever.
pub(super) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function may be called at any time and from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
