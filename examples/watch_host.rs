//! Watches a host: copies its log and archive, executes each call as it comes, and says when it deviates.
//!
//! ```text
//! vms host examples/counter.js
//! cargo run --example watch_host -- ws://127.0.0.1:5555/ watched
//! ```
//!
//! It ends at Ctrl-C, with 1 where the host was found to deviate. What proves it stands in the directory.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use libvms::net::{Network, NetworkOptions};
use libvms::replay::AuditOptions;
use libvms::rpc::{ClientOptions, RpcClient};
use libvms::watch::{Event, Watcher};
use libvms_hypercore::identity::PublicKey;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // The scripts of strangers run in processes of their own, locked up, which are this program again.
    libvms::engine::run_if_worker();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, directory] = &arguments[..] else { return Err("usage: watch_host URL DIRECTORY".into()) };
    tokio::runtime::Runtime::new()?.block_on(watch(url, Path::new(directory)))
}

async fn watch(url: &str, directory: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let (log, addresses) = ask(url).await?;
    let network = Arc::new(Network::new(NetworkOptions::default()));
    // Any peer that has the log will do: a lie is found, no matter which peer tells it. `join_swarm` finds peers by the key alone.
    addresses.into_iter().for_each(|address| network.connect(address));

    // The limits that we grant a log: one that asks for more cannot be verified.
    let (mut watcher, mut events) = Watcher::new(directory, network, AuditOptions::default())?;
    watcher.follow(log)?;
    // One listener for all of it: a signal that comes while an event is printed counts, too.
    let mut stop = signal(SignalKind::interrupt())?;
    let mut has_deviated = false;
    loop {
        tokio::select! {
            _ = stop.recv() => break,
            Some((_log, event)) = events.recv() => {
                has_deviated |= event.finding().is_some();
                tell(&event);
            }
        }
    }
    // Saves how far the audit got. A later run in this directory goes on there, and remembers what was found.
    watcher.shutdown().await;
    Ok(if has_deviated { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Asks a service for the key of its log, and where peers can copy it.
async fn ask(url: &str) -> Result<(PublicKey, Vec<SocketAddr>), Box<dyn Error>> {
    let client = RpcClient::connect(url, ClientOptions::default()).await?;
    let told = client.handshake().await?;
    client.close().await;
    let log = told.get("callLogUrl").and_then(|log| log.as_str()).ok_or("the service names no log")?;
    let addresses = told.get("addresses").and_then(|addresses| addresses.as_array());
    let addresses = addresses.into_iter().flatten().filter_map(|address| address.as_str());
    let addresses = addresses.filter_map(|address| address.strip_prefix("tcp://")?.parse().ok());
    Ok((log.parse()?, addresses.collect()))
}

fn tell(event: &Event) {
    match event {
        Event::Found { title, .. } => println!("follows {title:?}"),
        Event::Agrees { length } => println!("{length} entries agree"),
        Event::Ended { verdict, report, proof } => println!("{verdict}; see {report:?}, proof {proof:?}"),
        // Signed: the host is convicted. Otherwise somebody says so, or it may be lag.
        Event::Evidence { core, offence, is_signed, why, report, proof } => {
            let what = if *is_signed { "convicted" } else { "suspected" };
            println!("{what}: {offence} in {core}: {why}; see {report:?}, proof {proof:?}");
        }
        Event::Damaged { core, why } => println!("our copy of {core} is damaged: {why}"),
        Event::Stalled { why } => println!("the audit rests: {why}"),
        Event::Resumed => println!("the audit goes on"),
        Event::Failed { why } => println!("the audit is given up: {why}"),
    }
}
