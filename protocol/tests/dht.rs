//! The DHT: its datagrams against the reference's, its nodes against each other, hostile ones and a bad network.

mod behaviour;
mod hostile;
mod joining;
mod query;
mod simulation;
mod vectors;
mod world;
