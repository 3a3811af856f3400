//! What an RPC server asks of the service behind a mount path.

use std::sync::Arc;

use futures::future::BoxFuture;
use libvms_protocol::entry::call::SCRIPT_ERROR_CODE;
use serde_json::value::RawValue;

use super::files::Files;

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

/// An error as JSON-RPC carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// JSON-RPC's code. `-32000` is an error of the script that has no code of its own; an integer outside -32768 to
    /// -32000 is the code of the script's error.
    pub code: i64,
    /// For an error of the script: its name. Otherwise what is wrong.
    pub message: String,
    /// For an error of the script: its message.
    pub data: Option<String>,
    /// For an error of the script: its own `data`. It has a member of its own in the answer, since clients of LibVMS
    /// read the message out of `data`.
    pub details: Option<serde_json::Value>,
    /// For an error of the script: its frames of the stack, one a line, where the host shows them to callers.
    pub stack: Option<String>,
}

impl RpcError {
    /// The script threw.
    pub fn of_script(name: String, message: String) -> Self {
        Self { code: SCRIPT_ERROR_CODE, message: name, data: Some(message), details: None, stack: None }
    }

    /// There is no such method, or callers may not use it.
    pub fn method_not_found() -> Self {
        Self { code: -32601, message: "Method not found".into(), data: None, details: None, stack: None }
    }

    /// The call has failed by a fault of ours.
    pub fn internal(why: String) -> Self {
        Self { code: -32603, message: "Internal error".into(), data: Some(why), details: None, stack: None }
    }

    /// The arguments cannot be passed on.
    pub fn invalid_params(why: String) -> Self {
        Self { code: -32602, message: "Invalid params".into(), data: Some(why), details: None, stack: None }
    }
}
