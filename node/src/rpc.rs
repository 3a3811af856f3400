//! JSON-RPC 2.0 over WebSocket and HTTP, as LibVMS and its clients speak it.
//!
//! Start from [`RpcServer`] and [`RpcClient`]; a server mounts any number of [`Service`]s. A connection is one task:
//! `connection` hands it from HTTP to `session`, and both hand texts to `caller`. What all of them hold in memory is
//! counted in `places`. What is read with GET is in [`files`].

mod authority;
mod body;
mod caller;
pub mod client;
mod connection;
mod cost;
mod encoding;
pub mod files;
mod forwarded;
mod frames;
mod http;
mod linger;
mod mounts;
mod named;
mod options;
mod origin;
mod outbox;
mod outgoing;
mod places;
mod progress;
mod query;
pub mod repl;
mod request;
mod response;
mod server;
pub mod service;
mod session;
mod shared;
mod stall;
mod system;
#[cfg(test)]
mod tests;
pub mod url;

pub use authority::AuthorityError;
pub use client::{ClientError, ClientOptions, RpcClient};
pub use mounts::Starting;
pub use options::RpcOptions;
pub use origin::{AllowedOrigin, OriginError};
pub use query::escaped;
pub use server::RpcServer;
pub use service::{Parameters, RpcCall, RpcError, Service};
pub use url::{ServiceUrl, UrlError};
