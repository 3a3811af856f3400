//! JSON-RPC 2.0 over WebSocket and HTTP, as LibVMS and its clients speak it.
//!
//! Start from [`RpcServer`] and [`RpcClient`]; a server mounts any number of [`Service`]s.

pub mod service;

pub use service::{RpcCall, RpcError, Service};
