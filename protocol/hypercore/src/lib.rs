//! Hypercore, Hyperbee and Hyperdrive without I/O: signed append-only logs of blocks, and files stored in two of them.
//!
//! Formats and protocol are those of the JavaScript packages `hypercore` 11, `hyperbee` 2 and `hyperdrive` 13; golden
//! bytes that these wrote are under `fixtures/`. A core is a list of blocks under a Merkle tree ([`tree`]) whose head
//! its owner signs ([`signed_head`]). A drive is a key-value tree ([`bee`]) of names in one core and their contents in
//! another ([`drive`]). Peers exchange cores ([`replication`]) by messages ([`wire`])
//! in an encrypted stream ([`secret_stream`]).
//!
//! The crate does no I/O, reads no clock, draws no random numbers and starts no threads: bytes in, bytes and verdicts
//! out.
//! This crate changes with LibVMS and promises no stability of its own.
//!
//! The modules are listed in the order in which they depend on each other.
//!
//! ```
//! use libvms_hypercore::signed_head::SignedHead;
//! use libvms_hypercore::identity::SecretKey;
//! use libvms_hypercore::tree::Roots;
//!
//! let key = SecretKey::from_seed(&[7; 32]);
//! let mut roots = Roots::default();
//! roots.append(b"the first block");
//! let head = SignedHead::sign(&key, roots.length(), roots.tree_hash());
//! assert_eq!(head.length(), 1);
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod address;
pub mod encoding;
pub mod hash;
pub mod limits;
pub mod random;
pub mod ranges;
pub mod time;

pub mod identity;
pub mod manifest;
pub mod tree;

mod bytes;
pub mod signed_head;

pub mod bee;
pub mod drive;

pub mod secret_stream;
pub mod wire;

pub mod replication;
