//! The distributed table in which peers find each other, wire-compatible with npm hyperdht 6.

pub mod namespaces;
pub mod noise;
