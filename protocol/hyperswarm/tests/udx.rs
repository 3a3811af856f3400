//! Streams over datagrams: against what the reference sent, against each other over bad links, and against forgers.

mod attacks;
mod link;
mod streams;
mod throughput;
mod vectors;
