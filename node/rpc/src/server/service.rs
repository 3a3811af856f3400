//! What an RPC server asks of the service behind a mount path.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::value::RawValue;

use super::files::Files;
use crate::error::RpcError;

/// A service that callers reach under one mount path.
pub trait Service: Send + Sync + 'static {
    /// The members of the result of `handshake`: `methods`, `callLogUrl`, `filesArchiveUrl` and whatever else the service tells.
    fn handshake(&self) -> serde_json::Map<String, serde_json::Value>;

    /// The names of a method's parameters, for callers who pass arguments by name.
    fn parameters(&self, method: &str) -> Parameters {
        let _unknown = method;
        Parameters::NotPlain
    }

    /// Handles any other method. `Ok(None)` is an `undefined` result, which JSON-RPC answers with `null`.
    ///
    /// Dropping the future gives up the answer, not the call.
    fn call(&self, call: RpcCall) -> BoxFuture<'static, Result<Option<Box<RawValue>>, RpcError>>;

    /// The files that anybody may read with `GET`, as answered calls have left them; `None` where there are none to be
    /// shown.
    fn files(&self) -> Option<Arc<dyn Files>> {
        None
    }
}

/// What is known of a method's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// There is no such method.
    NoMethod,
    /// All of them are plain names, in this order.
    Named(Vec<String>),
    /// They have no names that a caller could use.
    NotPlain,
}

/// A request of a caller, checked no further than JSON-RPC goes.
#[derive(Debug)]
pub struct RpcCall {
    /// Who calls: the `user` parameter of the connection's URL.
    pub user_id: Option<String>,
    /// The method's name as the caller gave it.
    pub method: String,
    /// The `params` member as it came: the text of a JSON array; `[]` when the caller gave none.
    pub args: Box<RawValue>,
}
