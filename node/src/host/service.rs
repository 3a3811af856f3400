//! The RPC service of a VM: implements [`Service`] for [`Vm`].

use std::sync::Arc;

use futures::future::BoxFuture;
use libvms_protocol::entry::call::SCRIPT_ERROR_CODE;
use libvms_protocol::entry::{Auth, Thrown};
use libvms_protocol::value::Value;
use libvms_rpc::files::Files;
use libvms_rpc::{Parameters, RpcCall, RpcError, Service};
use serde_json::value::RawValue;
use serde_json::{Map, json};

use super::{CallError, CallResponse, Vm};

impl Service for Vm {
    fn handshake(&self) -> Map<String, serde_json::Value> {
        let auth = match self.init().auth {
            Auth::Debug => "debug",
            Auth::Signed => "signed",
        };
        let members = [
            ("methods", json!(self.methods().collect::<Vec<_>>())),
            ("callLogUrl", json!(self.log_key().url())),
            ("filesArchiveUrl", json!(self.init().files.url())),
            ("title", json!(self.init().title)),
            ("auth", json!(auth)),
            ("callLogLength", json!(self.log_length())),
            ("addresses", json!(self.addresses())),
        ];
        members.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    fn parameters(&self, method: &str) -> Parameters {
        match Self::parameters(self, method) {
            _ if !self.methods().any(|known| known == method) => Parameters::NoMethod,
            Some(names) => Parameters::Named(names.to_vec()),
            None => Parameters::NotPlain,
        }
    }

    fn call(&self, call: RpcCall) -> BoxFuture<'static, Result<Option<Box<RawValue>>, RpcError>> {
        let args = match read_args(&call.args) {
            Ok(args) => args,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        // Call before the first await: the order of calls is the order of arrival.
        let answer = Self::call(self, call.user_id, &call.method, args);
        Box::pin(async move { raw(answer.await.map_err(of_call)?) })
    }

    fn files(&self) -> Option<Arc<dyn Files>> {
        Some(Arc::new(self.shown()))
    }
}

fn read_args(args: &RawValue) -> Result<Vec<Value>, RpcError> {
    match Value::from_json(args.get()) {
        Ok(Value::Array(args)) => Ok(args),
        Ok(_) => Err(RpcError::invalid_params("params must be an array".into())),
        Err(error) => Err(RpcError::invalid_params(error.to_string())),
    }
}

fn raw(answer: CallResponse) -> Result<Option<Box<RawValue>>, RpcError> {
    let raw = answer.json.map(RawValue::from_string).transpose();
    raw.map_err(|error| RpcError::of_script("InternalError".into(), error.to_string()))
}

/// Converts an error of a call. An error of the script keeps its name, as LibVMS's clients expect; so do our own errors,
/// which have the same form.
fn of_call(error: CallError) -> RpcError {
    match error {
        CallError::Threw { thrown: Thrown { name, message, code, details }, stack } => RpcError {
            stack,
            code: code.unwrap_or(SCRIPT_ERROR_CODE),
            details: details.map(|details| json!(details)),
            ..RpcError::of_script(name, message)
        },
        CallError::MethodNotFound => RpcError::method_not_found(),
        CallError::InvalidArguments { why } => RpcError::invalid_params(why),
        CallError::Stopped { .. } => RpcError::of_script("Fault".into(), error.to_string()),
        CallError::Defect => RpcError::internal(error.to_string()),
        CallError::Quarantined { .. } => RpcError::of_script("Quarantined".into(), error.to_string()),
        CallError::TooManyCalls | CallError::Closing | CallError::Failed { .. } => {
            RpcError::of_script("Error".into(), error.to_string())
        }
    }
}
