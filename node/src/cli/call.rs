//! `vms call`: one call of a hosted service.

use clap::Args;
use libvms::printable::{Printable, PrintableJson};
use libvms::rpc::{ClientError, ClientOptions, RpcClient};
use libvms_protocol::entry::call::is_own_code;
use serde_json::json;
use serde_json::value::RawValue;

use super::Exit;
use super::output::Output;

/// Call a method and print its result as JSON
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vms call ws://127.0.0.1:5555/ inc\n  vms call ws://127.0.0.1:5555/ add 1 2\n  vms call ws://127.0.0.1:5555/ register '\"bob\"' '{\"age\": 7}' --user bob\n\nAn argument that is not JSON is passed as text: `register bob` is `register '\"bob\"'`."
)]
pub(super) struct Arguments {
    /// Where the service is: ws://HOST:PORT/PATH
    url: String,
    /// The method
    method: String,
    /// Its arguments, each as JSON or as plain text
    #[arg(value_name = "JSON_ARG", allow_negative_numbers = true)]
    args: Vec<String>,
    /// Who calls (believed by services with `--auth debug`)
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let Arguments { url, method, args, user } = arguments;
    let args: Vec<Box<RawValue>> = args.into_iter().map(argument).collect();
    let called = super::runtime()?.block_on(async {
        let client = RpcClient::connect(&url, ClientOptions { user, ..ClientOptions::default() }).await?;
        let result = client.call(&method, &args).await;
        client.close().await;
        result
    });
    match called {
        Ok(result) => {
            output.json(result.as_deref().map_or("null", RawValue::get))?;
            Ok(Exit::Done)
        }
        Err(error) => Ok(failed(&error, output)),
    }
}

/// An argument as JSON; what is not JSON is meant as text.
fn argument(text: String) -> Box<RawValue> {
    let as_text = || serde_json::value::to_raw_value(&text).expect("any text can be written as JSON");
    RawValue::from_string(text.clone()).unwrap_or_else(|_| as_text())
}

pub(super) fn failed(error: &ClientError, output: &Output) -> Exit {
    let (exit, answered) = match error {
        ClientError::Rpc(error) => (Exit::Diverges, Some(error)),
        _ => (Exit::CannotVerify, None),
    };
    if output.is_json() {
        let name = answered.map(|error| &error.message);
        let mut object = json!({ "event": "error", "name": name, "message": error.to_string() });
        if let Some(answered) = answered {
            object["code"] = json!(answered.code);
        }
        if let Some(details) = answered.and_then(|error| error.details.as_ref()) {
            object["details"] = details.clone();
        }
        output.event(&object);
    } else {
        output.message(&error_text(error));
    }
    exit
}

/// What people are told: the message is the script's, or the server's.
pub(super) fn error_text(error: &ClientError) -> String {
    let mut text = format!("error: {}", Printable(&error.to_string()));
    if let ClientError::Rpc(answered) = error {
        if is_own_code(answered.code) {
            text.push_str(&format!(" [code {}]", answered.code));
        }
        if let Some(details) = &answered.details {
            text.push_str(&format!(" [data {}]", PrintableJson(&details.to_string())));
        }
    }
    text
}
