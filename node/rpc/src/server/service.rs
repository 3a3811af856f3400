//! The interface between an RPC server and the service at a mount path: [`Service`].

use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use libvms_hypercore::blocks::Length;
use libvms_protocol::entry::Caller;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::files::Files;
use crate::error::RpcError;

/// A service that callers reach under one mount path.
pub trait Service: Send + Sync + 'static {
    /// Returns the members of the result of `handshake`: `methods`, `callLogUrl`, `filesArchiveUrl` and any others of the
    /// service, and what the caller has asked for beside them.
    fn handshake(&self, asked: HandshakeRequest) -> serde_json::Map<String, serde_json::Value>;

    /// Returns whether callers may claim a name with the parameter `user` of a URL.
    fn accepts_names(&self) -> bool {
        true
    }

    /// Returns the names of a method's parameters, for callers that pass arguments by name.
    fn parameters(&self, method: &str) -> Parameters {
        let _unknown = method;
        Parameters::NotPlain
    }

    /// Handles any other method.
    ///
    /// Dropping the future discards the answer; the call goes on.
    fn call(&self, call: RpcCall) -> BoxFuture<'static, RpcAnswer>;

    /// Returns the files that all callers may read with `GET`, as answered calls have left them; `None` when the service
    /// shows no files.
    fn files(&self) -> Option<Arc<dyn Files>> {
        None
    }
}

/// The parameters of a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// There is no such method.
    NoMethod,
    /// All of them are plain names, in this order.
    Named(Vec<String>),
    /// Some of them are patterns, without names that a caller could use.
    NotPlain,
}

/// A caller's request, checked only as far as JSON-RPC defines it.
#[derive(Debug)]
pub struct RpcCall {
    /// The caller: the `user` parameter of the connection's URL, or the key and signature in the request, not checked yet.
    pub caller: Caller,
    /// Where the request comes from.
    pub origin: CallOrigin,
    /// The method's name as the caller sent it.
    pub method: String,
    /// The `params` member as the text of a JSON array; `[]` when the caller sent none.
    pub args: Box<RawValue>,
    /// Whether the caller asks for a proof that its call stands in the log.
    pub wants_receipt: bool,
}

/// Where a request comes from, so that a service can give each caller its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallOrigin {
    /// The caller's address, or that of its network where each caller has a whole one (IPv6); `None` where it is unknown.
    pub address: Option<IpAddr>,
    /// A number of the connection; 0 for calls of this process.
    pub connection: u64,
}

/// The answer to a call.
#[derive(Debug)]
pub struct RpcAnswer {
    /// The result, as JSON text; `Ok(None)` is an `undefined` one, which JSON-RPC answers with `null`.
    pub outcome: Result<Option<Box<RawValue>>, RpcError>,
    /// The proof that the call stands in the log: base64url without padding.
    pub receipt: Option<String>,
}

impl From<Result<Option<Box<RawValue>>, RpcError>> for RpcAnswer {
    fn from(outcome: Result<Option<Box<RawValue>>, RpcError>) -> Self {
        Self { outcome, receipt: None }
    }
}

/// What a caller asks for in `handshake`, beside the service's description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct HandshakeRequest {
    /// The nodes that show how the log has grown out of its first so many blocks.
    pub consistency: Option<Length>,
    /// The receipt of the latest entry with a time.
    #[serde(default)]
    pub latest: bool,
}
