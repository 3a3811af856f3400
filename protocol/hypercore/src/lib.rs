//! Hypercore, Hyperbee and Hyperdrive without I/O: signed append-only logs of blocks, and files stored in two of them.
//!
//! Formats and protocol are those of the JavaScript packages `hypercore` 11, `hyperbee` 2 and `hyperdrive` 13; golden
//! bytes that these wrote are under `fixtures/`. A core is a list of blocks under a Merkle tree ([`tree`]) whose head
//! its owner signs ([`signed_head`]). A drive is a key-value tree ([`bee`]) of names in one core and their contents in
//! another ([`drive`]). Peers exchange cores ([`replication`]) by messages ([`wire`])
//! in an encrypted stream ([`secret_stream`]).
//!
//! # Machines
//!
//! Everything that talks to a peer, here and in `libvms-hyperswarm`, is a machine without I/O: one struct that holds the
//! state, and that its caller drives. All machines have one contract, of which each uses the parts that it needs:
//!
//! - `handle_*(now, ..)` takes one input: a datagram, a frame, a message, or a result that the caller owes. Other
//!   methods, such as `open`, `join` or `write`, are the caller's own wishes, and inputs too.
//! - `poll_transmit` returns the next datagram or frame to send, `poll_action` the next [`Action`](replication::Action):
//!   something that the caller *must* do. `poll_event` returns the next event: something that the caller *may* know.
//! - `poll_timeout() -> Option<Instant>` returns when to call `handle_timeout(now)`, which acts on all deadlines that
//!   have passed. `None` means that time alone changes nothing.
//!
//! After each input, poll until nothing is left, do all actions in order, then ask for the timeout and wait for it or
//! for the next input. A timeout may be in the past, and an early call of `handle_timeout` is harmless.
//!
//! `now` is a [`time::Instant`] on a clock of the caller that never goes back; a machine sees one clock only. Random
//! numbers come from a seed given at the start. So a machine that is given the same inputs does the same again, and a
//! whole network runs in one test from one seed. No input from a peer makes a machine panic; methods that return an
//! error name whose fault it is.
//!
//! The crate does no I/O, reads no clock, draws no random numbers and starts no threads: bytes in, bytes and verdicts
//! out.
//! This crate changes with LibVMS and promises no stability of its own.
//!
//! The modules are listed in the order in which they depend on each other.
//!
//! ```
//! use libvms_hypercore::blocks::Length;
//! use libvms_hypercore::signed_head::SignedHead;
//! use libvms_hypercore::identity::SecretKey;
//! use libvms_hypercore::tree::Roots;
//!
//! let key = SecretKey::from_seed(&[7; 32]);
//! let mut roots = Roots::default();
//! roots.append(b"the first block");
//! let head = SignedHead::sign(&key, roots.length(), roots.tree_hash());
//! assert_eq!(head.length(), Length(1));
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod address;
pub mod blocks;
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
