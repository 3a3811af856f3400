//! The formats against golden bytes; see `fixtures/README.md`.

mod callers;
mod format;
