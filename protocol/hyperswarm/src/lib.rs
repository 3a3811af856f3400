//! UDX, the distributed hash table and Hyperswarm without I/O: packets and the time come in, packets and events go out.
//!
//! Protocols are those of the JavaScript packages `udx-native`, `dht-rpc`, `hyperdht` and `hyperswarm`; nodes of both
//! find and reach each other. A stream carries bytes over datagrams ([`udx`]); nodes of the table store announcements
//! of topics ([`dht_rpc`]), and help two peers behind firewalls to connect ([`hyperdht`]); a swarm keeps connections to
//! the peers of a topic ([`swarm`]).
//!
//! Each is a machine with the [contract](libvms_hypercore#machines) of `libvms-hypercore`.
//!
//! The crate does no I/O, reads no clock, draws no random numbers and starts no threads.
//! This crate changes with LibVMS and promises no stability of its own.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod udx;

pub mod dht_rpc;

pub mod hyperdht;

pub mod swarm;
