//! The replicator: proofs against the reference's, machines against one another, and against liars.

mod core;
mod hostile;
mod simulation;
mod transcripts;
mod vectors;
mod world;
