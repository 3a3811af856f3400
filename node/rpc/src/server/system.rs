//! What a server asks of the system: descriptors for its connections, and to take memory back.
#![expect(unsafe_code, reason = "the C library has no other interface for either")]

/// Raises the number of descriptors that the process may have to `count`, or as far as its user may.
pub(super) fn allow_descriptors(count: u64) {
    #[cfg(unix)]
    {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: writes into `limit`, which is there.
        let is_known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
        if !is_known || limit.rlim_cur >= count {
            return;
        }
        limit.rlim_cur = count.min(limit.rlim_max);
        // SAFETY: reads `limit`. A higher limit takes nothing from anybody.
        let raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
        tracing::debug!(limit = limit.rlim_cur, is_raised = raised == 0, "descriptors");
    }
}

/// Makes the C library return what lies free between allocations: it does so by itself only at the end of a heap, so a
/// flood of requests would stay in the figures of the process for ever.
pub(super) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function may be called at any time, by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
