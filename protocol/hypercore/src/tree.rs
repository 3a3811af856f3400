//! The Merkle tree over a log, as Hypercore builds it (after RFC 7574, section 5).
//!
//! Nodes are numbered in the flat order ([`index`]): block `n` is leaf `2n`, and a parent is halfway between its
//! children. A log of any length is a few complete subtrees, its [`Roots`]; their hash is the log's tree hash, which a
//! host signs (see [`crate::signed_head`]). An [`Inclusion`] proves that one block is under the roots.

pub mod hash;
pub mod inclusion;
pub mod index;
pub mod roots;

pub use hash::{Hash, Node, TreeHash};
pub use inclusion::{Inclusion, InclusionError};
pub use roots::Roots;
