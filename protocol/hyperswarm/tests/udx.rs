//! Streams over datagrams: against the reference's packets, against each other over bad links, and against forgers.

mod attacks;
mod link;
mod streams;
mod throughput;
mod vectors;
