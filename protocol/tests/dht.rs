//! `fixtures/swarm`: what the nodes of the network send each other.

mod codecs;
mod listener;
mod network;
mod noise;
mod router;
mod storage;
