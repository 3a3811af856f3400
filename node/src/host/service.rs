//! The RPC service of a VM: implements [`Service`] for [`Vm`].

use std::sync::Arc;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use futures::future::BoxFuture;
use libvms_cores::storage::CoreView;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::tree::Node;
use libvms_protocol::entry::call::SCRIPT_ERROR_CODE;
use libvms_protocol::entry::{Auth, Caller, Thrown};
use libvms_protocol::refusal::{Reason, Refusal};
use libvms_protocol::value::Value;
use libvms_rpc::files::Files;
use libvms_rpc::{HandshakeRequest, Parameters, RpcAnswer, RpcCall, RpcError, Service};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

use super::callers::receipt;
use super::callers::refusal::Refused;
use super::{Answer, CallError, CallRequest, CallResponse, Shared, Vm};

/// Bytes of the receipt of the latest entry in a refusal. Anybody can be refused at any time; who needs the receipt of a larger
/// entry asks for it by `handshake`.
const LATEST_BYTES_MAX: usize = 64 << 10;

impl Service for Vm {
    fn handshake(&self, asked: HandshakeRequest) -> Map<String, Json> {
        let view = CoreView::clone(&self.log_view);
        let (init, engine) = (self.init(), &self.init().engine);
        let auth = match init.auth {
            Auth::Debug => "debug",
            Auth::Signed => "signed",
        };
        let members = [
            ("methods", json!(self.methods().collect::<Vec<_>>())),
            ("callLogUrl", json!(self.log_key().url())),
            ("filesArchiveUrl", json!(init.files.url())),
            ("title", json!(init.title)),
            ("auth", json!(auth)),
            ("callLogLength", json!(self.log_length())),
            ("addresses", json!(self.addresses())),
            ("log", json!(self.log_key().to_string())),
            ("now", json!(self.now_micros())),
            ("head", head_json(&view)),
            ("limits", json!(init.limits)),
            ("owner", json!([])),
            (
                "engine",
                json!({ "name": engine.name, "version": engine.version, "build": engine.build, "api": engine.api }),
            ),
        ];
        let mut members: Map<_, _> = members.into_iter().map(|(name, value)| (name.into(), value)).collect();
        if let Some(consistency) = asked.consistency.and_then(|length| consistency_json(&view, length)) {
            members.insert("consistency".into(), consistency);
        }
        if asked.latest {
            members.insert("latest".into(), json!(latest(&view)));
        }
        members
    }

    fn accepts_names(&self) -> bool {
        self.init().auth == Auth::Debug
    }

    fn parameters(&self, method: &str) -> Parameters {
        match Self::parameters(self, method) {
            _ if !self.methods().any(|known| known == method) => Parameters::NoMethod,
            Some(names) => Parameters::Named(names.to_vec()),
            None => Parameters::NotPlain,
        }
    }

    fn call(&self, call: RpcCall) -> BoxFuture<'static, RpcAnswer> {
        let RpcCall { caller, origin, method, args, wants_receipt } = call;
        let args = match read_args(&args) {
            Ok(args) => args,
            Err(error) => return Box::pin(std::future::ready(Err(error).into())),
        };
        let refuser = Refuser::new(self, &caller, &method, &args, wants_receipt);
        // Call before the first await: the order of calls is the order of arrival.
        let answer = self.request(CallRequest { caller, method, args, origin, wants_receipt });
        Box::pin(async move {
            let Answer { result, receipt } = answer.await;
            let outcome = result.map_err(|error| refuser.rpc_error(error)).and_then(raw);
            RpcAnswer { outcome, receipt: receipt.map(|receipt| BASE64URL_NOPAD.encode(&receipt)) }
        })
    }

    fn files(&self) -> Option<Arc<dyn Files>> {
        Some(Arc::new(self.shown()))
    }
}

fn head_json(view: &CoreView) -> Json {
    view.signed_head().map_or(Json::Null, |head| {
        json!({
            "length": head.length(),
            "hash": head.tree_hash().to_string(),
            "sig": HEXLOWER.encode(&head.signature().0),
        })
    })
}

/// Returns the nodes that show how the log has grown out of its first `length` blocks. `None` where it cannot have.
fn consistency_json(view: &CoreView, length: Length) -> Option<Json> {
    let nodes = receipt::consistency(view, length).ok().flatten()?;
    let node = |node: &Node| json!({ "index": node.index, "hash": node.hash.to_string(), "size": node.size });
    Some(json!({ "length": length, "nodes": nodes.iter().map(node).collect::<Vec<_>>() }))
}

/// Returns the receipt of the latest entry, as text.
fn latest(view: &CoreView) -> Option<String> {
    let receipt = view.length().last().and_then(|block| receipt::from_view(view, block))?;
    Some(BASE64URL_NOPAD.encode(&receipt))
}

/// Words the refusals of one call, and signs them for a caller that asks for a receipt.
struct Refuser {
    log: Arc<CoreView>,
    shared: Arc<Shared>,
    /// The log's key and the name of the call, where refusals of it are signed.
    signing: Option<(SecretKey, [u8; 32])>,
    seen_length: Option<Length>,
    is_key: bool,
}

impl Refuser {
    fn new(vm: &Vm, caller: &Caller, method: &str, args: &[Value], wants_receipt: bool) -> Self {
        let by = caller.authorization();
        let signing = by
            .filter(|_| wants_receipt)
            .and_then(|by| Some((vm.secret_key.clone()?, by.call_hash(&vm.log_key(), method, args))));
        Self {
            log: vm.log_view.clone(),
            shared: vm.shared.clone(),
            signing,
            seen_length: by.and_then(|by| by.seen).map(|seen| seen.length),
            is_key: by.is_some(),
        }
    }

    fn rpc_error(self, error: CallError) -> RpcError {
        let reason = match &error {
            CallError::Refused(refused) => {
                let refused = refused.clone();
                let members = self.members(&refused);
                return RpcError::refused(refused.why, members);
            }
            CallError::MethodNotFound => Reason::NoMethod,
            CallError::InvalidArguments { .. } => Reason::Invalid,
            CallError::Quarantined { .. } => Reason::Suspended,
            CallError::Closing => Reason::Closing,
            _ => return rpc_error_from_call(error),
        };
        let refusal = self.is_key.then(|| Box::new(self.members(&Refused::new(reason))));
        RpcError { refusal, ..rpc_error_from_call(error) }
    }

    fn members(&self, refused: &Refused) -> Map<String, Json> {
        // Only here, since few calls are refused: a clone sees the log as it is now.
        let view = CoreView::clone(&self.log);
        let now = refused.now.map_or_else(|| self.shared.now_micros(), |now| now.saturating_mul(1000));
        let mut members = Map::new();
        members.insert("reason".into(), json!(refused.reason.name()));
        members.insert("now".into(), json!(now));
        if let Some(block) = refused.block {
            members.insert("block".into(), json!(block));
        }
        if let Some(after) = refused.retry_after {
            members.insert("retryAfter".into(), json!(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)));
        }
        match refused.reason {
            Reason::UnknownHead | Reason::OldHead => {
                members.insert("head".into(), head_json(&view));
                let consistency = self.seen_length.and_then(|length| consistency_json(&view, length));
                if let Some(Json::Object(mut consistency)) = consistency {
                    members.extend(consistency.remove("nodes").map(|nodes| ("nodes".into(), nodes)));
                }
            }
            Reason::Early | Reason::StaleCall => {
                let latest = latest(&view).filter(|receipt| receipt.len() <= LATEST_BYTES_MAX);
                members.insert("latest".into(), json!(latest));
            }
            _ => {}
        }
        if let Some((key, call)) = &self.signing
            && refused.reason != Reason::BadSignature
            && self.shared.may_sign_refusal()
        {
            let refusal = Refusal::sign(key, call, refused.reason, now, refused.block);
            members.insert("sig".into(), json!(HEXLOWER.encode(&refusal.sig.0)));
        }
        members
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
    raw.map_err(|error| RpcError::from_script("InternalError".into(), error.to_string()))
}

/// Converts an error of a call. An error of the script keeps its name, as LibVMS's clients expect; so do our own errors,
/// which have the same form.
fn rpc_error_from_call(error: CallError) -> RpcError {
    match error {
        CallError::Threw { thrown: Thrown { name, message, code, details }, stack } => RpcError {
            stack,
            code: code.unwrap_or(SCRIPT_ERROR_CODE),
            details: details.map(|details| json!(details)),
            ..RpcError::from_script(name, message)
        },
        CallError::MethodNotFound => RpcError::method_not_found(),
        CallError::InvalidArguments { why } => RpcError::invalid_params(why),
        CallError::Stopped { .. } => RpcError::from_script("Fault".into(), error.to_string()),
        CallError::Defect => RpcError::internal(error.to_string()),
        CallError::Quarantined { .. } => RpcError::from_script("Quarantined".into(), error.to_string()),
        CallError::Refused(_) | CallError::TooManyCalls | CallError::Closing | CallError::Failed { .. } => {
            RpcError::from_script("Error".into(), error.to_string())
        }
    }
}
