//! Tests of the whole program: real binaries, real sockets, real disks.

mod harness;

mod behaviour;
mod cli;
mod crash;
mod hostile;
mod interop;
mod probes;
mod readme;
mod replication;
#[cfg(target_os = "linux")]
mod sandbox;
mod tamper;
mod watch;
