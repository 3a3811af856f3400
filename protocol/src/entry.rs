//! The call log: one block, one entry.

pub mod limits;

pub use limits::Limits;
