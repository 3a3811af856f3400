//! The encrypted stream and its handshakes against the reference's bytes, and against peers that break them.

mod noise_ik;
mod streams;
