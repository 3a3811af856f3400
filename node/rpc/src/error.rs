//! An error of a call: [`RpcError`], the same type for client and server.

use libvms_protocol::entry::call::SCRIPT_ERROR_CODE;

/// The error object of JSON-RPC 2.0 (section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// JSON-RPC's code. `-32000` is an error of the script without a code of its own. An integer outside -32768 to
    /// -32000 is the code of the script's error.
    pub code: i64,
    /// For an error of the script: its name. Otherwise a description of the error.
    pub message: String,
    /// For an error of the script: its message.
    pub data: Option<String>,
    /// For an error of the script: its own `data`. These details have a member of their own in the answer, because clients
    /// of LibVMS read the message from `data`.
    pub details: Option<serde_json::Value>,
    /// For an error of the script: the frames of its stack, one a line, when the host shows stacks to callers.
    pub stack: Option<String>,
}

impl RpcError {
    /// Returns an error for an exception of the script.
    pub fn of_script(name: String, message: String) -> Self {
        Self { code: SCRIPT_ERROR_CODE, message: name, data: Some(message), details: None, stack: None }
    }

    /// Returns "Method not found": the method does not exist, or callers may not use it.
    pub fn method_not_found() -> Self {
        Self { code: -32601, message: "Method not found".into(), data: None, details: None, stack: None }
    }

    /// Returns "Internal error": the call failed because of the server.
    pub fn internal(why: String) -> Self {
        Self { code: -32603, message: "Internal error".into(), data: Some(why), details: None, stack: None }
    }

    /// Returns "Invalid params": the arguments cannot be passed to the method.
    pub fn invalid_params(why: String) -> Self {
        Self { code: -32602, message: "Invalid params".into(), data: Some(why), details: None, stack: None }
    }
}
