//! `vms call`: one call of a hosted service.

mod argument;
mod receipt;

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use libvms::printable::{Printable, PrintableJson};
use libvms::rpc::{CallRefusal, ClientError, ClientOptions, RpcClient, RpcError};
use libvms_protocol::entry::call::is_own_code;
use libvms_protocol::refusal::Reason;
use serde_json::json;
use serde_json::value::RawValue;

use crate::caller::CallerArguments;
use crate::exit::Exit;
use crate::output::Output;
use receipt::ReceiptFile;

/// Call a method and print its result as JSON
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vms call ws://127.0.0.1:5555/ increment\n  vms call ws://127.0.0.1:5555/ increment 41\n  vms call ws://127.0.0.1:5555/ write /notes.txt @notes.txt\n  ssh-add -L | vms call ws://127.0.0.1:5555/ set - --user alice\n  vms call ws://127.0.0.1:5555/ increment --key alice.key --receipt increment.proof\n\nAn argument that is not JSON is passed as text: `get alice` is `get '\"alice\"'`. `@FILE` is the content of a file, `-` the content of standard input, `@@x` the text `@x`. Content is passed unchanged, including a final line end."
)]
pub(super) struct Arguments {
    /// URL of the service: ws://HOST:PORT/PATH, or ws://HOST:PORT/PATH#KEY to accept only the log with this key
    url: String,
    /// Method to call
    method: String,
    /// Arguments of the call, each as JSON or plain text, @FILE, or - for standard input
    #[arg(value_name = "JSON_ARG", allow_negative_numbers = true)]
    args: Vec<String>,
    #[command(flatten)]
    caller: CallerArguments,
    /// File for the proof that the log holds the call, by convention NAME.proof; must not exist yet; only with a key
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let Arguments { url, method, args, caller, receipt } = arguments;
    let args = argument::read_all(args)?;
    let options = caller.client_options()?;
    if receipt.is_some() && options.key.is_none() {
        bail!("--receipt has no effect: only a caller with a --key gets one");
    }
    let receipt = receipt.map(ReceiptFile::create).transpose()?;
    let called = crate::runtime()?.block_on(call(&url, options, &method, &args, receipt));
    match called {
        Ok(Called { result, remembered }) => {
            output.json(result.as_deref().map_or("null", RawValue::get))?;
            remembered?;
            Ok(Exit::Done)
        }
        Err(error) => failed(error, output),
    }
}

/// A call that the service has answered.
struct Called {
    result: Option<Box<RawValue>>,
    /// Whether the newest head of the log is remembered: a failure that must not hide the result.
    remembered: Result<(), ClientError>,
}

async fn call(
    url: &str,
    options: ClientOptions,
    method: &str,
    args: &[Box<RawValue>],
    receipt: Option<ReceiptFile>,
) -> anyhow::Result<Called> {
    let has_key = options.key.is_some();
    let client = RpcClient::connect(url, options).await?;
    let outcome = if has_key {
        let answer = client.call_proved(method, args).await?;
        if let Some(receipt) = receipt {
            receipt.write(&answer.receipt)?;
        }
        answer.outcome.map_err(ClientError::Rpc)
    } else {
        client.call(method, args).await
    };
    let remembered = client.remember().await;
    client.close().await;
    Ok(Called { result: outcome?, remembered })
}

/// Prints why a service could not be called, or that the call failed.
pub(super) fn failed(error: anyhow::Error, output: &Output) -> anyhow::Result<Exit> {
    match error.downcast::<ClientError>() {
        Ok(ClientError::Rpc(answered)) => Ok(answered_with(&answered, output)),
        Ok(ClientError::CallRefused(refused)) => Ok(refused_with(&refused, output)),
        Ok(other) => Err(other.into()),
        Err(other) => Err(other),
    }
}

fn answered_with(answered: &RpcError, output: &Output) -> Exit {
    let error = ClientError::Rpc(answered.clone());
    if !output.is_json() {
        output.message(&error_text(&error));
        return Exit::Diverges;
    }
    let mut object = json!({
        "event": "error", "name": answered.message, "message": error.to_string(), "code": answered.code,
    });
    if let Some(details) = &answered.details {
        object["details"] = details.clone();
    }
    if let Some(stack) = &answered.stack {
        object["stack"] = json!(stack);
    }
    if let Some(refusal) = &answered.refusal {
        object["reason"] = refusal.get("reason").cloned().unwrap_or_default();
    }
    output.event(&object);
    Exit::Diverges
}

fn refused_with(refused: &CallRefusal, output: &Output) -> Exit {
    if !output.is_json() {
        output.message(&format!("error: {}", Printable(&refused.to_string())));
        return Exit::Diverges;
    }
    let reason = refused.reason.map(Reason::name);
    let mut object = json!({ "event": "error", "message": refused.to_string(), "reason": reason });
    if let Some(after) = refused.retry_after {
        object["retryAfter"] = json!(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
    }
    output.event(&object);
    Exit::Diverges
}

/// Returns the error as text for people; its message comes from the script or the server.
pub(super) fn error_text(error: &ClientError) -> String {
    let mut text = format!("error: {}", Printable(&error.to_string()));
    if let ClientError::Rpc(answered) = error {
        if is_own_code(answered.code) {
            text.push_str(&format!(" [code {}]", answered.code));
        }
        if let Some(details) = &answered.details {
            text.push_str(&format!(" [data {}]", PrintableJson(&details.to_string())));
        }
        for frame in answered.stack.iter().flat_map(|stack| stack.lines()) {
            text.push_str(&format!("\n  {}", Printable(frame)));
        }
    }
    text
}
