//! The protocols against each other in simulated networks, and against golden bytes of the JavaScript packages.

mod dht;
mod swarm;
mod udx;
#[path = "../../hypercore/tests/vector.rs"]
mod vector;
