//! JSON-RPC 2.0 over WebSocket and HTTP, as LibVMS and its clients speak it.
//!
//! Start from [`RpcServer`] and [`RpcClient`]; a server mounts any number of [`Service`]s. A connection is one task:
//! `connection` hands it from HTTP to `session`, and both hand texts to `caller`.
//! What is read with GET is in [`files`].

mod authority;
mod caller;
pub mod client;
mod connection;
pub mod files;
mod http;
mod linger;
mod options;
mod origin;
mod outbox;
mod query;
pub mod repl;
mod request;
mod response;
mod server;
pub mod service;
mod session;
mod stall;
#[cfg(test)]
mod tests;
pub mod url;

pub use authority::AuthorityError;
pub use client::{ClientError, ClientOptions, RpcClient};
pub use options::RpcOptions;
pub use origin::{AllowedOrigin, OriginError};
pub use query::escaped;
pub use server::RpcServer;
pub use service::{RpcCall, RpcError, Service};
pub use url::{ServiceUrl, UrlError};
