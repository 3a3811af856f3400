//! Cores on disk and on the network: signed append-only logs, stored, served, fetched and verified.
//!
//! Start from [`storage::Core`] for your own cores, and from [`net::Network`] to serve and copy cores. The rules of both are
//! machines without I/O in `libvms_hypercore` and `libvms_hyperswarm`; this crate adds the files and the sockets. It knows
//! nothing of entries and scripts, so a program that only replicates builds no engine.
//!
//! The public interface is that of the crate `libvms`, as `libvms::storage` and `libvms::net`. This crate by itself promises
//! no stability.

#![forbid(unsafe_code)]

pub mod net;
pub mod storage;
