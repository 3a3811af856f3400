//! UDX, the distributed hash table and Hyperswarm without I/O: packets come in with the time, packets and events go out.
//!
//! Protocols are those of the JavaScript packages `udx-native`, `dht-rpc`, `hyperdht` and `hyperswarm`, whose nodes and
//! ours find and reach each other. A stream carries bytes over datagrams ([`udx`]); nodes of the table keep who announced
//! a topic ([`dht_rpc`]), and help two peers behind routers to meet ([`hyperdht`]); a swarm keeps connections to those who share a topic
//! ([`swarm`]).
//!
//! Nothing here does I/O, reads a clock, draws random numbers or starts a thread.
//! This crate changes with LibVMS and promises no stability of its own.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod udx;

pub mod dht_rpc;

pub mod hyperdht;

pub mod swarm;
