//! Hosts JavaScript services whose users can check every result, and audits such hosts.
//!
//! A host executes a script's exported functions and writes each call with its result to a signed append-only log; an
//! auditor executes the same calls and finds where the host deviated. What both must agree on to the bit is in the
//! crate [`protocol`]; this crate has what needs a machine.
//!
//! Start from [`Vm`] to host a service in a program of your own (`examples/embed.rs`), from [`Auditor`] to audit one.
//! Scripts run in locked-down processes, which are that program again: it calls [`engine::run_if_worker`] first in its
//! `main`, or chooses [`engine::EngineSettings::unconfined`]. Without either no script runs.
//!
//! ```text
//! host        a service: its queue of calls, its log, its archive
//! audit       one audit                   replay      the log executed again and judged
//! execution   a script at work            archive     what it has written
//! call_log    reading a log               stored      what a directory has
//! watch       audits for ever             diagnostics what a script says and throws, for its operator
//! ```
//!
//! The rest is in crates of its own, each of which stands here under a short name, so that a program depends on one:
//! [`engine`] (`libvms-engine`) runs scripts, [`storage`] and [`net`] (`libvms-cores`) keep cores and exchange them with peers,
//! [`rpc`] (`libvms-rpc`) serves callers, [`printable`] shows what strangers have written, and [`protocol`] (`libvms-protocol`)
//! says what a log must say.

#![forbid(unsafe_code)]

pub mod archive;
pub mod audit;
pub mod call_log;
pub mod diagnostics;
pub mod execution;
pub mod host;
pub mod replay;
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
