//! Hyperswarm: the choices of a swarm, and whole nodes on a simulated network.

mod attacks;
mod choices;
mod growth;
mod lookup;
mod nodes;
mod router;
mod routers;
mod storms;
mod talk;
mod world;
