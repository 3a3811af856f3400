//! Running a script: QuickJS without clock, chance, files or network of its own.
//!
//! Start from [Worker`]: it takes [`message::Request`]s and gives [`message::Report`]s, so that the engine can
//! live in a thread or in a process of its own without its user seeing a difference.

pub mod message;
