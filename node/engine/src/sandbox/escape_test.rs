//! Attacks that native code might try after breaking out of the engine: a test makes a worker try one and expects the
//! worker's end. No program has it that is built without the feature `test-support`.
#![expect(unsafe_code, reason = "native code calls the kernel itself")]

use std::io;

use crate::ipc::EscapeAttempt;

impl EscapeAttempt {
    /// Tries it. Returns only if nothing prevents it, with the kernel's error.
    pub(super) fn make(&self) -> String {
        // SAFETY: the effect on the process is what the test wants to see.
        let result = unsafe { self.call() };
        if result >= 0 { "no error".into() } else { io::Error::last_os_error().to_string() }
    }

    unsafe fn call(&self) -> i64 {
        // SAFETY: as at the caller.
        unsafe {
            match self {
                Self::Nothing => 0,
                Self::OpenFile => libc::open(c"/proc/self/status".as_ptr(), libc::O_RDONLY).into(),
                Self::CreateFile => {
                    libc::open(c"/tmp/escaped".as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600).into()
                }
                Self::Socket => libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0).into(),
                Self::Fork => libc::fork().into(),
                Self::Execute => {
                    libc::execve(c"/bin/true".as_ptr(), &std::ptr::null(), &std::ptr::null()).into()
                }
                Self::Signal(process) => libc::kill(*process, libc::SIGTERM).into(),
                Self::Trace(process) => libc::ptrace(libc::PTRACE_ATTACH, *process, 0, 0),
                Self::ReadMemory(process) => read_memory(*process),
                Self::ExecutableMemory => executable_memory(),
                Self::Say(bytes) => libc::write(0, bytes.as_ptr().cast(), bytes.len()) as i64,
                Self::Panic => panic!("as asked"),
                Self::ExhaustMemory => exhaust_memory(),
            }
        }
    }
}

unsafe fn read_memory(process: i32) -> i64 {
    let mut byte = 0_u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(0x1000), iov_len: 1 };
    // SAFETY: the local part is writable; the kernel checks the remote one.
    unsafe { libc::process_vm_readv(process, &raw const local, 1, &raw const remote, 1, 0) as i64 }
}

unsafe fn executable_memory() -> i64 {
    let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping anywhere.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    if memory == libc::MAP_FAILED { -1 } else { 0 }
}

/// Maps memory until the limit. The address space is limited, so no page needs to be touched.
unsafe fn exhaust_memory() -> i64 {
    const PIECE: usize = 64 << 20;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    for _ in 0..1 << 20 {
        // SAFETY: a new mapping anywhere.
        let memory = unsafe { libc::mmap(std::ptr::null_mut(), PIECE, libc::PROT_READ, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return -1;
        }
    }
    0
}
