//! Hosts JavaScript services whose users can check every result, and audits such hosts.
//!
//! A host executes a script's exported functions and writes each call with its result to a signed append-only log; an
//! auditor executes the same calls and finds where the host deviated. The crate [`protocol`] has the rules on which both
//! must agree to the bit; this crate has the parts that need a machine.
//!
//! Start from [`Vm`] to host a service in a program of your own (`examples/embed.rs`), from [`Auditor`] to audit one.
//! Scripts run in confined processes, which execute your program again: `main` calls [`engine::run_if_worker`] first, or
//! the program chooses [`engine::EngineSettings::unconfined`]. Without either no script runs.
//!
//! ```text
//! host        a service: its queue of calls, its log, its archive
//! audit       one audit                   replay      executing a log again and judging it
//! execution   a running script            archive     its files
//! call_log    reading a log               stored      opening the cores in a directory
//! watch       audits for ever             diagnostics a script's errors and console, for the operator
//! oracle      what scripts ask of the world
//! proofs      files that convict a host for anybody
//! source_map  positions in the files that a bundle was made of
//! ```
//!
//! The rest is in crates of their own, re-exported here under short names, so that a program depends on one crate:
//! [`engine`] (`libvms-engine`) runs scripts, [`storage`] and [`net`] (`libvms-cores`) keep cores and exchange them with
//! peers, [`rpc`] (`libvms-rpc`) serves callers, [`printable`] makes untrusted text safe for a terminal, and [`protocol`]
//! (`libvms-protocol`) defines a log.

#![forbid(unsafe_code)]

pub mod archive;
pub mod audit;
pub mod call_log;
pub mod diagnostics;
pub mod execution;
pub mod host;
pub mod oracle;
pub mod proofs;
pub mod replay;
mod source_map;
pub mod stored;
pub mod watch;

pub use archive::FilesArchive;
pub use audit::Auditor;
pub use call_log::CallLog;
pub use host::Vm;
pub use libvms_cores::{net, storage};
pub use libvms_engine as engine;
pub use libvms_protocol as protocol;
pub use libvms_rpc as rpc;
pub use libvms_rpc::printable;
pub use watch::Watcher;
