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
    /// For a call that the host has not executed: its reason, as an object. It stands in `data` where the code is
    /// [`REFUSED_CODE`], and in a member of its own beside the codes that JSON-RPC has for some reasons.
    pub refusal: Option<Box<serde_json::Map<String, serde_json::Value>>>,
}

/// The code of a call that the host has not executed, for a reason that JSON-RPC has no code for.
pub const REFUSED_CODE: i64 = -32_001;

impl RpcError {
    /// Returns an error with a code, a message and text as data.
    pub(crate) fn new(code: i64, message: String, data: Option<String>) -> Self {
        Self { code, message, data, details: None, stack: None, refusal: None }
    }

    /// Returns the error of a call that the host has not executed. `refusal` says why, for programs.
    pub fn refused(why: String, refusal: serde_json::Map<String, serde_json::Value>) -> Self {
        Self { refusal: Some(Box::new(refusal)), ..Self::new(REFUSED_CODE, why, None) }
    }

    /// Returns an error for an exception of the script.
    pub fn from_script(name: String, message: String) -> Self {
        Self::new(SCRIPT_ERROR_CODE, name, Some(message))
    }

    /// Returns "Method not found": the method does not exist, or callers may not use it.
    pub fn method_not_found() -> Self {
        Self::new(-32601, "Method not found".into(), None)
    }

    /// Returns "Internal error": the call failed because of the server.
    pub fn internal(why: String) -> Self {
        Self::new(-32603, "Internal error".into(), Some(why))
    }

    /// Returns "Invalid params": the arguments cannot be passed to the method.
    pub fn invalid_params(why: String) -> Self {
        Self::new(-32602, "Invalid params".into(), Some(why))
    }
}
