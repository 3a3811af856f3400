//! Calls a service from Rust: what it offers, calls that are under way together, and whose fault an error is.
//!
//! ```text
//! vms host examples/counter.js
//! cargo run --example call -- ws://127.0.0.1:5555/
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use libvms::rpc::{ClientError, ClientOptions, RpcClient};
use serde_json::value::RawValue;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: call URL, the URL of examples/counter.js")?;
    // A service with `--auth debug` believes this name, and its log holds it.
    let options = ClientOptions { user: Some("alice".into()), ..ClientOptions::default() };
    let client = RpcClient::connect(&url, options).await?;

    let told = client.handshake().await?;
    println!("methods: {}", told.get("methods").ok_or("no methods are told")?);

    // Both are under way at once. They reach the service, and are answered, in this order.
    let (first, second) = tokio::join!(client.call("increment", &[1]), client.call("increment", &[41]));
    println!("results: {}, {}", shown(first?), shown(second?));

    match client.call("increment", &["many"]).await {
        Ok(result) => println!("result: {}", shown(result)),
        // The service answered: the call is in its log. `error.details` is the script's own data.
        Err(ClientError::Rpc(error)) => {
            println!("refused: {} ({})", error.data.unwrap_or_default(), error.message);
        }
        // Nobody knows whether the call was made: look into the log before it is made again.
        Err(lost) => return Err(lost.into()),
    }
    client.close().await;
    Ok(())
}

/// The JSON text of a result; a method that returns nothing has `null`.
fn shown(result: Option<Box<RawValue>>) -> String {
    result.map_or("null".into(), |json| json.get().to_owned())
}
