//! The Merkle tree over a log, as Hypercore builds it.
//!
//! Nodes are numbered in the flat order ([`index`]): block `n` is leaf `2n`, and a parent stands halfway between
//! its children. A log of any length is a few complete subtrees, its [`Roots`]; their hash is the log's tree hash,
//! which a host signs (see [`crate::signed_head`]). An [`Inclusion`] leads from one block to the roots.

pub mod hash;
pub mod inclusion;
pub mod index;
pub mod roots;

pub use hash::{Hash, Node, TreeHash};
pub use inclusion::{Inclusion, InclusionError};
pub use roots::Roots;
