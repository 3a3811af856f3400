//! Calls a service whose callers sign: the call is executed once, and its receipt proves to anybody what the log holds.
//!
//! ```text
//! vms host examples/counter.js --auth signed
//! vms keygen alice.key
//! cargo run --example signed_call -- ws://127.0.0.1:5555/ alice.key increment.proof
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::fs;

use data_encoding::HEXLOWER;
use libvms::rpc::{ClientOptions, KnownLogs, RpcClient};
use libvms_hypercore::identity::SecretKey;
use libvms_protocol::proof::Proof;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, key, receipt] = &arguments[..] else {
        return Err("usage: signed_call URL KEY_FILE RECEIPT".into());
    };
    let seed = HEXLOWER.decode(fs::read_to_string(key)?.trim().as_bytes())?;
    let key = SecretKey::from_seed(seed.as_slice().try_into()?);

    // The file remembers which log the service writes, and its newest head: another log or another history is refused.
    let known_logs = KnownLogs::for_user();
    let options = ClientOptions { key: Some(key), known_logs, ..ClientOptions::default() };
    let client = RpcClient::connect(url, options).await?;

    // A call whose answer is lost is sent again, and executed once. An error of the script is an answer, too.
    let answer = client.call_proved("increment", &[1]).await?;
    match &answer.outcome {
        Ok(Some(result)) => println!("block {}: {result}", answer.block),
        Ok(None) => println!("block {}: nothing", answer.block),
        Err(error) => println!("block {}: threw {}", answer.block, error.message),
    }

    // Whoever has the file needs neither the service nor us to check it.
    fs::write(receipt, &answer.receipt)?;
    let proof = Proof::decode(&fs::read(receipt)?)?;
    println!("{}: {}", receipt, proof.check());
    client.remember().await?;
    client.close().await;
    Ok(())
}
