//! The interface between an RPC server and the service at a mount path: [`Service`].

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::value::RawValue;

use super::files::Files;
use crate::error::RpcError;

/// A service that callers reach under one mount path.
pub trait Service: Send + Sync + 'static {
    /// Returns the members of the result of `handshake`: `methods`, `callLogUrl`, `filesArchiveUrl` and any others of the
    /// service.
    fn handshake(&self) -> serde_json::Map<String, serde_json::Value>;

    /// Returns the names of a method's parameters, for callers that pass arguments by name.
    fn parameters(&self, method: &str) -> Parameters {
        let _unknown = method;
        Parameters::NotPlain
    }

    /// Handles any other method. `Ok(None)` is an `undefined` result, which JSON-RPC answers with `null`.
    ///
    /// Dropping the future discards the answer; the call goes on.
    fn call(&self, call: RpcCall) -> BoxFuture<'static, Result<Option<Box<RawValue>>, RpcError>>;

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
    /// The caller's name: the `user` parameter of the connection's URL.
    pub user_id: Option<String>,
    /// The method's name as the caller sent it.
    pub method: String,
    /// The `params` member as the text of a JSON array; `[]` when the caller sent none.
    pub args: Box<RawValue>,
}
