//! What every machine of LibVMS must agree on: bytes, proofs and state machines.
//!
//! A **host** writes each call of a JavaScript service and its outcome to a signed append-only log; a **watcher**
//! executes the same calls and compares. This crate holds what both need to agree to the bit: the Merkle tree
//! under a log ([`tree`]), the signed head of a log ([`checkpoint`]), the entries of the call log ([`entry`]), the
//! files archive ([`bee`], [`drive`]) and the comparison of a replayed outcome with the logged one ([`audit`]). Peers
//! exchange logs ([`wire`], [`replication`]), find each other in a distributed hash table ([`dht`]), and connect to those who share a topic ([`swarm`]).
//!
//! Below all of these stand [`hash`], [`encoding`], [`ranges`], [`random`], [`address`] and [`core_limits`].
//!
//! Nothing here does I/O, reads a clock, draws random numbers or starts a thread: bytes come in, bytes and
//! verdicts go out. `FORMAT.md` beside this crate's `Cargo.toml` shows every record with one worked example.
//!
//! The modules stand in the order in which they are best read.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod address;
pub mod audit;
pub mod bee;
mod bytes;
pub mod checkpoint;
pub mod core_limits;
pub mod dht;
pub mod drive;
pub mod encoding;
pub mod entry;
pub mod hash;
pub mod identity;
pub mod limits;
pub mod random;
pub mod ranges;
pub mod replication;
pub mod swarm;
pub mod tree;
pub mod udx;
pub mod value;
pub mod wire;
