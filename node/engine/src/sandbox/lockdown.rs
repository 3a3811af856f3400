//! The lockdown: the rights that a worker process gives up before it sees a script.
//!
//! Two layers would each be enough: landlock denies files and the network, the seccomp filter denies all but a
//! dozen system calls. Resource limits (rlimits) come on top, for resources that the allowed calls can still use up. A system
//! may lack a part; the worker then reports it and goes on with the others.

use std::io;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use libvms_protocol::entry::Limits;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::ipc::Guard;
use crate::{depth, system};

/// Address space beside the heap and the script's stack: the program itself and the C library's reserve.
const ADDRESSES_BESIDE_HEAP: u64 = 1 << 30;
/// Address space for each byte of the script's heap: an allocation of a few bytes takes twice the bytes that the engine
/// counts, and holes between allocations as much again. Exceeding this limit is not an outcome
/// of a call but the end of the worker, so a script that keeps to its limit must not reach it.
const ADDRESSES_PER_HEAP_BYTE: u64 = 4;
/// The newest landlock ABI that we know; older kernels enforce as much as they can.
const LANDLOCK: ABI = ABI::V6;

/// The parts of the lockdown that this system lacks.
#[derive(Debug, Default)]
pub(super) struct Lockdown {
    missing: Vec<Guard>,
}

impl Lockdown {
    /// Closes descriptors that a parent may have left open. Only the standard ones stay.
    pub(super) fn drop_inheritance(&mut self) {
        self.note(Guard::Descriptors, system::close_from(3));
    }

    /// Gives up files, network and memory beyond the needs of a script with such limits. Threads that start later are
    /// bound as well.
    pub(super) fn confine(&mut self, limits: &Limits) {
        self.note(Guard::HiddenMemory, system::hide_memory());
        self.note(Guard::Landlock, confine_with_landlock());
        // After landlock, which needs a descriptor.
        self.note(Guard::Limits, bound_resources(limits));
    }

    /// Gives up threads and system calls, for all existing threads. Returns the missing parts.
    pub(super) fn seal(mut self) -> Vec<Guard> {
        self.note(Guard::Limits, system::set_limit(libc::RLIMIT_NPROC, 0));
        self.note(Guard::Seccomp, filter_calls());
        self.missing
    }

    fn note(&mut self, guard: Guard, done: io::Result<()>) {
        if done.is_err() && !self.missing.contains(&guard) {
            self.missing.push(guard);
        }
    }
}

fn bound_resources(limits: &Limits) -> io::Result<()> {
    let heap = limits.memory.saturating_mul(ADDRESSES_PER_HEAP_BYTE);
    // Bytes that a call writes or returns are copied on their way out.
    let copies = limits.output.saturating_mul(ADDRESSES_PER_HEAP_BYTE);
    let stack = depth::real_bytes(limits);
    let addresses = [copies, stack, ADDRESSES_BESIDE_HEAP].into_iter().fold(heap, u64::saturating_add);
    system::set_limit(libc::RLIMIT_CORE, 0)?;
    system::set_limit(libc::RLIMIT_FSIZE, 0)?;
    system::set_limit(libc::RLIMIT_NOFILE, 0)?;
    system::set_limit(libc::RLIMIT_AS, addresses)
}

/// Denies all that landlock can deny: no rule allows anything.
fn confine_with_landlock() -> io::Result<()> {
    let confine = || {
        Ruleset::default()
            .handle_access(AccessFs::from_all(LANDLOCK))?
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .scope(Scope::from_all(LANDLOCK))?
            .create()?
            .restrict_self()
    };
    let status = confine().map_err(io::Error::other)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(io::ErrorKind::Unsupported.into()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

fn filter_calls() -> io::Result<()> {
    system::give_up_new_privileges()?;
    let program = program().map_err(io::Error::other)?;
    seccompiler::apply_filter_all_threads(&program).map_err(io::Error::other)
}

/// Returns the seccomp filter: a list of allowed calls; the kernel kills the process for any other.
fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: Vec<(i64, Vec<SeccompRule>)> = ALLOWED.iter().map(|call| (*call, vec![])).collect();
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.push((call, vec![SeccompRule::new(vec![without_execution()?])?]));
    }
    let architecture = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(
        rules.into_iter().collect(),
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        architecture,
    )?;
    filter.try_into()
}

/// Returns the condition that memory is never executable, so that no code can be brought along.
fn without_execution() -> Result<SeccompCondition, seccompiler::BackendError> {
    const PROTECTION: u8 = 2;
    let execution = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
    SeccompCondition::new(PROTECTION, SeccompCmpArgLen::Dword, execution, 0)
}

/// The system calls that computing needs: for the socket, memory, one thread waking the other, and the end. The clock is for
/// kernels that cannot tell the time without a system call; the prelude keeps it from scripts.
const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];
