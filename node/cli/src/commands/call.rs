//! `vms call`: one call of a hosted service.

mod argument;

use clap::Args;
use libvms::printable::{Printable, PrintableJson};
use libvms::rpc::{ClientError, ClientOptions, RpcClient};
use libvms_protocol::entry::call::is_own_code;
use serde_json::json;
use serde_json::value::RawValue;

use crate::exit::Exit;
use crate::output::{Output, exit_from_client_error};

/// Call a method and print its result as JSON
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vms call ws://127.0.0.1:5555/ increment\n  vms call ws://127.0.0.1:5555/ increment 41\n  vms call ws://127.0.0.1:5555/ write /notes.txt @notes.txt\n  ssh-add -L | vms call ws://127.0.0.1:5555/ set - --user alice\n\nAn argument that is not JSON is passed as text: `get alice` is `get '\"alice\"'`. `@FILE` is the content of a file, `-` the content of standard input, `@@x` the text `@x`. Content is passed unchanged, including a final line end."
)]
pub(super) struct Arguments {
    /// URL of the service: ws://HOST:PORT/PATH
    url: String,
    /// Method to call
    method: String,
    /// Arguments of the call, each as JSON or plain text, @FILE, or - for standard input
    #[arg(value_name = "JSON_ARG", allow_negative_numbers = true)]
    args: Vec<String>,
    /// Name of the caller; services with `--auth debug` accept any
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let Arguments { url, method, args, user } = arguments;
    let args = argument::read_all(args)?;
    let called = crate::runtime()?.block_on(async {
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

pub(super) fn failed(error: &ClientError, output: &Output) -> Exit {
    let (exit, answered) = match error {
        ClientError::Rpc(error) => (Exit::Diverges, Some(error)),
        other => (exit_from_client_error(other), None),
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
        if let Some(stack) = answered.and_then(|error| error.stack.as_ref()) {
            object["stack"] = json!(stack);
        }
        output.event(&object);
    } else {
        output.message(&error_text(error));
    }
    exit
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
