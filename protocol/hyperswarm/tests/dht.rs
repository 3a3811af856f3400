//! The DHT: its datagrams against the reference's, its nodes and peers against each other, hostile ones and bad
//! networks.

mod behaviour;
mod codecs;
mod dialer;
mod hostile;
mod joining;
mod listener;
mod network;
mod puncher;
mod query;
mod router;
mod simulation;
mod storage;
mod stream_ids;
mod values;
mod vectors;
mod world;
