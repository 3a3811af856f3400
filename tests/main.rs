//! Tests of the whole program: real binaries, real sockets, real disks.
//!
//! ```text
//! support    what all of them use: hosts to call, kill and audit, their processes, chance out of a seed
//! service    a service, its operator's commands and its documents: what they promise, also when disks and processes fail
//! honesty    hosts that deviate and auditors that must see it; one log, one outcome, on every machine
//! network    copies and peers: JavaScript's, behind routers, and hosts that go and come back
//! hostile    scripts, callers, peers and workers that mean harm
//! ```

mod architecture;
mod support;

mod service {
    mod answers;
    mod behaviour;
    mod bundles;
    pub(crate) mod callers;
    mod cli;
    #[cfg(target_os = "linux")]
    mod clock;
    mod crash;
    mod damage;
    mod documents;
    mod embedding;
    mod errors;
    mod examples;
    mod export;
    mod file_calls;
    mod formats;
    #[cfg(target_os = "linux")]
    mod full_disk;
    mod independent;
    pub(crate) mod interop;
    #[cfg(target_os = "linux")]
    mod javascript;
    mod limits;
    mod messages;
    mod oracles;
    mod proof_files;
    mod reading;
    mod readme;
    mod refused;
    mod setup;
    mod signed_examples;
    #[cfg(target_os = "linux")]
    mod signing;
    mod terminal;
}

mod honesty {
    mod ahead;
    mod cheater;
    pub(crate) mod determinism;
    mod findings;
    pub(crate) mod framing;
    mod guarded;
    mod refusals;
    pub(crate) mod signed;
    mod simulation;
    pub(crate) mod tamper;
    pub(crate) mod violations;
    pub(crate) mod watch;
}

mod network {
    mod absence;
    #[cfg(target_os = "linux")]
    mod nat;
    mod replication;
    mod swarm;
    mod worn;
}

mod hostile {
    #[cfg(target_os = "linux")]
    mod callers;
    #[cfg(target_os = "linux")]
    mod peers;
    mod probes;
    #[cfg(target_os = "linux")]
    mod sandbox;
    mod scripts;
    #[cfg(target_os = "linux")]
    mod worker;
}
