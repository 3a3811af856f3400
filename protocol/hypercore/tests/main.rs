//! The formats against golden bytes that the JavaScript packages wrote; `fixtures/README.md` tells how.

mod golden;
mod hyperbee;
mod hyperdrive;
mod keys;
mod merkle;
mod replication;
mod vector;
mod wire;
