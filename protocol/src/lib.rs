//! What a host's log must say, and how it is judged: everything that all machines of LibVMS must agree on to the bit.
//!
//! A **host** writes each call of a JavaScript service and its outcome to a signed append-only log; a **watcher**
//! executes the same calls and compares. This crate has the entries of that log ([`entry`]), the values in them
//! ([`value`]), their bounds ([`limits`]), the comparison of a replayed outcome with the logged one ([`audit`]), the
//! signed refusals of calls ([`refusal`]), and the files that prove to others what a host did ([`proof`]).
//! Logs and files themselves are Hypercores, see the crate `libvms_hypercore`.
//!
//! The crate does no I/O, reads no clock, draws no random numbers and starts no threads. `FORMAT.md` beside its
//! `Cargo.toml` shows every record with one worked example.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod audit;
pub mod entry;
pub mod limits;
pub mod proof;
pub mod refusal;
pub mod value;
