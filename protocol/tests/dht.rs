//! `fixtures/swarm`: what the nodes of the network send each other.

mod codecs;
mod noise;
mod router;
mod storage;
