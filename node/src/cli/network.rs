//! What `host`, `watch` and `replicate` have in common: how many peers are let in, and what became of them.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use libvms::net::{Bootstrap, Metrics, Network, NetworkEvent, NetworkOptions, SwarmOptions, SwarmStatus};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tracing::{debug, info};

use super::output::Output;

/// What the commands that join a network say to programs while they run, beside their own events. Part of their help.
macro_rules! network_events {
    () => {
        "\n\nWith --json, one line for each thing that happens in the network, too:\n  dht           whether it is reached, through how many nodes; our UDP address\n  announced     we are found under this topic, which so many nodes keep\n  connected     a peer is there; its kind is tcp, direct or punched\n  disconnected  it is gone, and why\n  network       at the end: how much of everything there was\n-v tells people the same on stderr."
    };
}
pub(super) use network_events;

/// How often the log tells what the network has done.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// How many peers are let in.
#[derive(Debug, Args)]
#[command(next_help_heading = "Replication")]
pub(super) struct NetworkArguments {
    /// Most peers that may be connected; those of --peer and of the target come on top
    #[arg(long, value_name = "COUNT", default_value_t = NetworkOptions::default().connections_max)]
    peers_max: usize,
    /// Most of them from one address
    #[arg(long, value_name = "COUNT", default_value_t = NetworkOptions::default().connections_per_address_max)]
    peers_per_address_max: usize,
    #[command(flatten)]
    swarm: SwarmArguments,
}

/// How peers are found by key.
#[derive(Debug, Args)]
#[command(next_help_heading = "Replication")]
pub(super) struct SwarmArguments {
    /// A node of the DHT to begin with, instead of those of the public network; repeat for more
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "VMS_BOOTSTRAP",
        hide_env_values = true,
        value_delimiter = ','
    )]
    bootstrap: Vec<Bootstrap>,
    /// Do not use the DHT: only addresses that are given, and those that a service tells
    #[arg(long, env = "VMS_NO_SWARM", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    no_swarm: bool,
}

impl SwarmArguments {
    /// Lets a network find peers by key, unless it is not to.
    pub(super) async fn join(&self, network: &Network) -> anyhow::Result<()> {
        if self.no_swarm {
            return Ok(());
        }
        let bootstrap = match self.bootstrap.is_empty() {
            true => SwarmOptions::public(),
            false => self.bootstrap.clone(),
        };
        let options = SwarmOptions::new(bootstrap).context("no random numbers for a key")?;
        network.join_swarm(options).await?;
        Ok(())
    }
}

impl NetworkArguments {
    /// Lets a network find peers by key, unless it is not to.
    pub(super) async fn join_swarm(&self, network: &Network) -> anyhow::Result<()> {
        self.swarm.join(network).await
    }

    pub(super) fn options(&self) -> NetworkOptions {
        NetworkOptions {
            connections_max: self.peers_max,
            connections_per_address_max: self.peers_per_address_max,
            ..NetworkOptions::default()
        }
    }
}

/// Tells what happens: programs as events, from the moment on when `events` was asked for; and the log, from time to
/// time, what the network has done, if that is anything new.
pub(super) async fn tell(
    network: &Network,
    events: broadcast::Receiver<NetworkEvent>,
    output: &Output,
) -> Infallible {
    tokio::join!(tell_programs(events, output), tell_log(network)).1
}

async fn tell_programs(mut events: broadcast::Receiver<NetworkEvent>, output: &Output) {
    loop {
        match events.recv().await {
            Ok(event) if output.is_json() => {
                // Whoever started us may have stopped listening long ago.
                let _unheard = output.line(String::new, || json!(event));
            }
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => debug!(missed, "events of the network were not told"),
            Err(RecvError::Closed) => return,
        }
    }
}

async fn tell_log(network: &Network) -> Infallible {
    let mut told = Metrics::default();
    loop {
        tokio::time::sleep(TELL_INTERVAL).await;
        let now = network.metrics();
        if now != told {
            log(&now);
            told = now;
        }
    }
}

/// Tells at the end what the network has done: programs as an event, people in the log.
pub(super) fn tell_at_end(network: &Network, output: &Output) {
    let metrics = network.metrics();
    log(&metrics);
    if output.is_json() {
        // Whoever started us may have stopped listening long ago.
        let _unheard = output.line(String::new, || event(&metrics, network.swarm()));
    }
}

fn event(metrics: &Metrics, swarm: Option<SwarmStatus>) -> Value {
    let mut event = json!(metrics);
    event["swarm"] = json!(swarm);
    event["event"] = json!("network");
    event
}

fn log(metrics: &Metrics) {
    let Metrics { connections, buffered_bytes, accepted, refused, opened, closed, .. } = metrics;
    let Metrics { bytes_in, bytes_out, blocks_in, blocks_out, .. } = metrics;
    let Metrics { requests_served, requests_refused, proofs_refused, .. } = metrics;
    info!(
        connections,
        buffered_bytes,
        accepted,
        refused,
        opened,
        ?closed,
        bytes_in,
        bytes_out,
        blocks_in,
        blocks_out,
        requests_served,
        requests_refused,
        proofs_refused,
        "network"
    );
}
