//! Scripts, metered and confined: QuickJS without clock, chance, files or network of its own.
//!
//! The public interface is that of the crate `libvms`, as `libvms::engine`. This crate by itself promises no stability. All
//! of LibVMS that is unsafe or written in C is here, except what a program asks of the system about itself.
//!
//! Start from [`Worker`]: it takes [`message::Request`]s and returns [`message::Report`]s, so that the engine can
//! run in a thread or in a process of its own with no difference to its user. [`EngineSettings`] choose
//! one of them; a program that wants processes calls [`run_if_worker`] first.
//!
//! ```text
//! worker      the thread or process of the engine, and the messages in and out
//! isolation   thread or process
//! sandbox     the process from inside, and its lockdown
//! serve       the loop of a script's thread, the same in both
//! ipc         the messages as bytes on the socket between the two
//! spawner     starts worker processes, from a thread that lives as long as the program
//! system      the system calls that no crate wraps
//! script      one script: load it, call it, report how that ended
//! meter       fuel and output, and the stop that a script cannot prevent
//! metering    fuel for built-ins that the engine does not count
//! context     the engine's internals that we use: its compilers and its interrupt counter
//! depth       the engine's recursion depth, and the stack that it needs
//! host_functions the functions behind the prelude: time, chance, files, the world, console, texts, URLs, signatures
//! prelude/    the globals that scripts have beside the language, in JavaScript; `v4/` is what only logs of version 4 have
//! globals     those of them that are made at their first use
//! stack       where a script threw
//! surrogates  halves of letters, which JSON data has none of
//! integer     fuel for long integers, computed from the memory that holds them
//! allocator, math, random     all that must not depend on the machine
//! identity    all that a result depends on, by name and version
//! ```

mod allocator;
mod context;
mod depth;
mod error;
mod globals;
mod host_functions;
mod identity;
mod integer;
#[cfg(target_os = "linux")]
mod ipc;
mod isolation;
mod math;
pub mod message;
mod meter;
mod metering;
mod parameters;
mod prelude;
mod random;
mod sandbox;
mod script;
mod serve;
#[cfg(target_os = "linux")]
mod spawner;
mod stack;
mod surrogates;
#[cfg(target_os = "linux")]
mod system;
#[cfg(feature = "test-support")]
mod test_support;
mod worker;

pub use error::{ExitReason, STACK_BYTES_MAX, WorkerError};
pub use identity::{Api, identity};
#[cfg(all(target_os = "linux", debug_assertions, feature = "test-support"))]
pub use ipc::EscapeAttempt;
pub use isolation::{EngineSettings, Sandbox};
pub use sandbox::run_if_worker;
pub use stack::{SCRIPT, place_in};
#[cfg(feature = "test-support")]
pub use test_support::{LoadingCost, loading_costs, metering_outcomes, metering_overhead};
pub use worker::Worker;
#[cfg(all(target_os = "linux", debug_assertions, feature = "test-support"))]
pub use worker::panic_in_calls_of;

/// What a script finds beside the language, as TypeScript declares it.
pub const TYPES: &str = include_str!("../types/libvms.d.ts");

#[cfg(test)]
mod closed;
#[cfg(test)]
mod sweep;
#[cfg(test)]
mod tests;
