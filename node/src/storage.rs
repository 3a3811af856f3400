//! Durable cores.
