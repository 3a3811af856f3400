//! What a text of a caller is read as: for a fuzzer, which has no service.

use libvms_protocol::entry::Authorization;

use super::RpcOptions;
use super::request::{self, Args, Incoming, Request};

/// A call that a text holds.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadCall {
    pub method: String,
    /// JSON text of an array or an object.
    pub args: String,
    pub caller: Option<Authorization>,
    pub wants_receipt: bool,
}

/// Reads a message of a caller, and returns the calls in it that a service would be passed.
pub fn read(text: &str, options: &RpcOptions) -> Vec<ReadCall> {
    let requests = match request::parse(text, options) {
        Incoming::One(request) => vec![request],
        Incoming::Batch(requests) => requests,
        Incoming::Refused(_) => vec![],
    };
    requests.into_iter().filter_map(call).collect()
}

fn call(request: Request) -> Option<ReadCall> {
    let Request::Call { call, .. } = request else { return None };
    let request::Call { method, args, authorization, wants_receipt } = *call;
    let (Args::Places(args) | Args::Names(args)) = args;
    Some(ReadCall { method, args: args.get().into(), caller: authorization.map(|by| *by), wants_receipt })
}
