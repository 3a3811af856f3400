//! Tests of the whole program: real binaries, real sockets, real disks.

mod harness;

mod absence;
mod ahead;
mod answers;
mod architecture;
mod behaviour;
mod cheater;
mod cli;
#[cfg(target_os = "linux")]
mod clock;
mod crash;
mod damage;
mod determinism;
mod dice;
mod documents;
mod embedding;
mod errors;
mod examples;
mod export;
mod file_calls;
mod findings;
mod formats;
#[cfg(target_os = "linux")]
mod full_disk;
#[cfg(target_os = "linux")]
mod fuzz_worker;
mod guarded;
mod hostile;
#[cfg(target_os = "linux")]
mod hostile_net;
#[cfg(target_os = "linux")]
mod hostile_rpc;
mod interop;
mod limits;
mod messages;
#[cfg(target_os = "linux")]
mod nat;
mod probes;
#[cfg(target_os = "linux")]
mod processes;
mod reading;
mod readme;
mod refused;
mod replication;
#[cfg(target_os = "linux")]
mod sandbox;
mod setup;
mod simulation;
mod swarm;
mod tamper;
mod terminal;
mod violations;
mod watch;
mod worn;
