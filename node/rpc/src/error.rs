//! An error of a call, as both ends have it.

use libvms_protocol::entry::call::SCRIPT_ERROR_CODE;

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
