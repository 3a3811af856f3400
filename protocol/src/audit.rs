//! Audit of a host: the rules for the order of a log, and the comparison of a replayed outcome with the logged one.
//!
//! [`Order`] takes the entries of one log in order and reports those that no honest host writes there, [`callers`] has
//! its rules for signed calls, [`Recorded`] answers a replay's questions, and [`compare`] judges one outcome. All return a [`Violation`], which names the fault and
//! its values.

pub mod callers;
mod compare;
mod order;
mod recorded;
mod violation;

pub use compare::{compare, compare_effects, compare_files};
pub use order::{Order, check_place};
pub use recorded::Recorded;
pub use violation::{ArchiveCore, Finding, Mismatch, PerCore, Violation};
