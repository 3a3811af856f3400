//! The formats against golden bytes that the JavaScript packages wrote; see `fixtures/README.md`.

mod golden;
mod hyperbee;
mod hyperdrive;
mod keys;
mod merkle;
mod replication;
mod secret_stream;
mod signatures;
mod vector;
mod wire;
mod xorshift;
