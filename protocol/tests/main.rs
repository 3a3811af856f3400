//! The formats against golden bytes (see `fixtures/README.md`), and proof files against honest and dishonest hosts.

mod callers;
mod format;
mod proofs;
