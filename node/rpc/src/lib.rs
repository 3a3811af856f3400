//! A client and a server for services: JSON-RPC 2.0 over WebSocket and HTTP, as LibVMS and its clients use it.
//!
//! Start from [`RpcServer`] and [`RpcClient`]; a server mounts any number of [`Service`]s. Each of the two has a feature
//! of its own, `server` and `client`: a program that only calls builds no HTTP server. Neither depends on the engine.
//!
//! [`printable`] makes untrusted texts, such as the results of calls, safe for a terminal.

// One module has an exception, with its reason: `server::system`.
#![deny(unsafe_code)]

mod authority;
#[cfg(feature = "client")]
pub mod client;
mod error;
mod escape;
#[cfg(any(feature = "client", feature = "server"))]
mod lingering_close;
pub mod printable;
#[cfg(any(feature = "client", feature = "server"))]
mod progress;
#[cfg(feature = "server")]
mod server;
#[cfg(all(test, feature = "client", feature = "server"))]
mod tests;
pub mod url;
#[cfg(any(feature = "client", feature = "server"))]
mod write_timeout;

pub use authority::AuthorityError;
#[cfg(feature = "client")]
pub use client::known_logs::{KnownLogs, KnownLogsError};
#[cfg(feature = "client")]
pub use client::{CallRefusal, ClientError, ClientOptions, Fork, ProvedAnswer, RpcClient, TrustError};
pub use error::{REFUSED_CODE, RpcError};
pub use escape::escaped;
#[cfg(feature = "test-support")]
pub use server::probe;
#[cfg(feature = "server")]
pub use server::{
    AllowedOrigin, CallOrigin, HandshakeRequest, OriginError, Parameters, RpcAnswer, RpcCall, RpcOptions,
    RpcServer, Service, Starting, files, service,
};
pub use url::{ServiceUrl, UrlError};
