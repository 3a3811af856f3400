//! The system calls around a worker process that no crate wraps.
#![expect(unsafe_code, reason = "the C library's functions are unsafe to call")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use libc::{c_int, rlim_t};

/// Sends as many bytes as the socket takes at once; `WouldBlock` if that is none.
pub(super) fn send_now(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the descriptor is open while it is borrowed, and the bytes are readable for their length.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Waits until the socket can be read or written, or the time is over. Returns which: (read, write); an end of file counts as
/// readable.
pub(super) fn wait_ready(socket: BorrowedFd<'_>, time: Duration) -> io::Result<(bool, bool)> {
    let milliseconds = c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX);
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN | libc::POLLOUT, revents: 0 };
    loop {
        // SAFETY: one descriptor, which is open while it is borrowed.
        if unsafe { libc::poll(&raw mut poll, 1, milliseconds) } >= 0 {
            return Ok((poll.revents & !libc::POLLOUT != 0, poll.revents & libc::POLLOUT != 0));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Limits a resource of this process, for good (`setrlimit`).
pub(super) fn set_limit(resource: libc::__rlimit_resource_t, most: rlim_t) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the structure is readable.
    checked(unsafe { libc::setrlimit(resource, &raw const limit) })
}

/// Requests SIGKILL at the end of the thread that started this process.
pub(super) fn die_with_parent() -> io::Result<()> {
    // SAFETY: this option takes a number.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })
}

/// Sets `PR_SET_NO_NEW_PRIVS`: no program that this process starts can gain rights. The kernel requires it before a filter.
pub(super) fn give_up_new_privileges() -> io::Result<()> {
    // SAFETY: this option takes numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// Closes this process to debuggers of the same user, and its memory to `/proc`.
pub(super) fn hide_memory() -> io::Result<()> {
    // SAFETY: this option takes numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
}

/// Returns the process that started this one; 1 if that has ended.
pub(super) fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

/// Ignores termination signals, and leaves the end of this process to its parent: signals to all processes of a terminal or a
/// service must not end a call that the host wants to finish.
pub(super) fn ignore_requests_to_end() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Makes the C library allocate all memory from one heap (arena). For further heaps it looks into `/proc` when it
/// releases memory, which the lock would punish.
pub(super) fn use_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number, before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Makes the C library read the machine's time zone now: it does so at the first date that it breaks down, even one
/// in UTC.
pub(super) fn read_time_zone() {
    unsafe extern "C" {
        fn tzset();
    }
    // SAFETY: there is no second thread that could change the environment meanwhile.
    unsafe { tzset() }
}

/// Closes all descriptors from `first` on.
pub(super) fn close_from(first: RawFd) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: called before anything owns a descriptor beyond the standard ones.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ends this process without running anything more.
pub(super) fn exit(code: c_int) -> ! {
    // SAFETY: nothing of this process is used afterwards.
    unsafe { libc::_exit(code) }
}

fn checked(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
