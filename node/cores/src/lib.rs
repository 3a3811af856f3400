//! Cores on disk and on the network: what has been signed is kept, served, fetched and checked.
//!
//! Start from [`storage::Core`] for cores of one's own, from [`net::Network`] to serve and copy them. The rules of both stand in
//! `libvms_hypercore` and `libvms_hyperswarm`, as machines without I/O; this crate has the files and the sockets. It knows of
//! no log and of no script, so that who only keeps copies builds no engine.
//!
//! Its public interface is that of the crate `libvms`, as `libvms::storage` and `libvms::net`; for itself this crate promises no
//! stability.

#![forbid(unsafe_code)]

pub mod net;
pub mod storage;
