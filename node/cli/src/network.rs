//! The network options and events that `host`, `watch` and `replicate` share: [`NetworkArguments`], [`tell`].

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use libvms::net::{
    Bootstrap, Listening, Metrics, Network, NetworkEvent, NetworkOptions, Standing, SwarmOptions, SwarmStatus,
};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::error::advised;
use super::output::Output;

/// The part of a command's help that lists the network events; with `seeking`, also the event `alone` of commands that
/// need peers.
macro_rules! network_events {
    () => {
        network_events!(and "")
    };
    (seeking) => {
        network_events!(and "\n  alone         no peer is connected: after 20 s, then every 10 minutes")
    };
    (and $more:literal) => {
        concat!(
            "\n\nEvents of the network with --json, one line each:",
            "\n  dht           how many nodes of the DHT are reached, and the UDP address of this node",
            "\n  announced     a topic under which this node is found, and how many nodes store it",
            "\n  connected     a peer connected; its kind is tcp, direct or punched",
            "\n  disconnected  a peer disconnected, and the reason",
            "\n  unreachable   a peer was found and cannot be reached, no other is connected, and the reason",
            $more,
            "\n  traffic       bytes and blocks per second, once a minute unless there were none",
            "\n  network       totals, at the end",
            "\nWith -v instead of --json, stderr shows them as text."
        )
    };
}
pub(super) use network_events;

/// Interval at which the traffic is logged.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// Time without peers until the first warning, and the interval of further ones.
const ALONE_AFTER: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(600)];

/// Limits on incoming connections, and the options of the DHT.
#[derive(Debug, Args)]
#[command(next_help_heading = "Replication")]
pub(super) struct NetworkArguments {
    /// Incoming connections of peers, at most; connections that vms opens itself do not count
    #[arg(long, value_name = "COUNT", default_value_t = NetworkOptions::default().connections_max)]
    peers_max: usize,
    /// Incoming connections from one address, at most; from one /64 in IPv6
    #[arg(long, value_name = "COUNT", default_value_t = NetworkOptions::default().connections_per_address_max)]
    peers_per_address_max: usize,
    #[command(flatten)]
    swarm: SwarmArguments,
}

/// Options for finding peers in the DHT by key.
#[derive(Debug, Args)]
#[command(next_help_heading = "Replication")]
pub(super) struct SwarmArguments {
    /// Node through which to join the DHT, instead of those of the public network; repeat for more
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "VMS_BOOTSTRAP",
        hide_env_values = true,
        value_delimiter = ','
    )]
    bootstrap: Vec<Bootstrap>,
    /// Do not use the DHT: connect only to the peers of --peer and to the addresses that a service names
    #[arg(long, env = "VMS_NO_SWARM", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    no_swarm: bool,
    /// UDP port on which peers reach this node; open it in the firewall; default: any free one
    #[arg(
        long,
        value_name = "PORT",
        env = "VMS_SWARM_PORT",
        hide_env_values = true,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    swarm_port: Option<u16>,
}

impl SwarmArguments {
    /// Returns whether the DHT is used.
    pub(super) fn is_joined(&self) -> bool {
        !self.no_swarm
    }

    /// Returns the first of these options that is given on the command line.
    pub(super) fn given(&self) -> Option<&'static str> {
        let is_typed = |variable: &str| std::env::var_os(variable).is_none();
        if !self.bootstrap.is_empty() && is_typed("VMS_BOOTSTRAP") {
            return Some("--bootstrap");
        }
        if self.no_swarm && is_typed("VMS_NO_SWARM") {
            return Some("--no-swarm");
        }
        self.swarm_port.filter(|_| is_typed("VMS_SWARM_PORT")).map(|_| "--swarm-port")
    }

    /// Refuses other options of the DHT together with `--no-swarm`.
    fn check(&self) -> anyhow::Result<()> {
        let is_typed = std::env::var_os("VMS_NO_SWARM").is_none();
        match self.given() {
            Some(option) if self.no_swarm && is_typed && option != "--no-swarm" => {
                let what = format!("{option} does not apply with --no-swarm: the DHT is not used");
                Err(advised(anyhow::Error::msg(what), "leave out one of the two options"))
            }
            _ => Ok(()),
        }
    }

    /// Joins the DHT, unless `--no-swarm` is given. `standing` holds the node's key in the DHT across runs.
    pub(super) async fn join(&self, network: &Network, standing: Option<&Standing>) -> anyhow::Result<()> {
        self.check()?;
        if self.no_swarm {
            return Ok(());
        }
        let bootstrap = match self.bootstrap.is_empty() {
            true => SwarmOptions::public(),
            false => self.bootstrap.clone(),
        };
        let mut options = SwarmOptions::new(bootstrap).context("cannot get random numbers for a key")?;
        if let Some(standing) = standing {
            options.key = standing.swarm_key().context("cannot get random numbers for a key")?;
        }
        let port = self.swarm_port.unwrap_or(options.port);
        let joined = network.join_swarm(SwarmOptions { port, ..options }).await;
        match self.swarm_port {
            Some(port) => joined.map_err(|error| {
                let error = anyhow!("cannot listen on UDP port {port}: {error}");
                advised(error, "choose another port with --swarm-port")
            })?,
            None => joined?,
        };
        Ok(())
    }
}

impl NetworkArguments {
    /// Joins the DHT with the key of the last run, unless `--no-swarm` is given.
    pub(super) async fn join_swarm(&self, network: &Network, standing: &Standing) -> anyhow::Result<()> {
        self.swarm.join(network, Some(standing)).await
    }

    /// Returns whether the DHT is used.
    pub(super) fn is_joined(&self) -> bool {
        self.swarm.is_joined()
    }

    pub(super) fn options(&self) -> NetworkOptions {
        NetworkOptions {
            connections_max: self.peers_max,
            connections_per_address_max: self.peers_per_address_max,
            ..NetworkOptions::default()
        }
    }
}

/// Listens for peers on the `given` address, or else on `ip` with the port of the last run.
pub(super) async fn listen(
    network: &Network,
    standing: &Standing,
    given: Option<SocketAddr>,
    ip: IpAddr,
    output: &Output,
) -> anyhow::Result<SocketAddr> {
    if let Some(given) = given {
        return Ok(network.listen(given).await?);
    }
    let Listening { address, instead_of } = standing.listen(network, ip).await?;
    if let Some(port) = instead_of {
        output.message(&format!(
            "another program has port {port}, on which peers reached this node before: port {} is used instead; --peer-listen sets one",
            address.port()
        ));
    }
    Ok(address)
}

/// Prints network events for programs, and logs the traffic once a minute when it has changed.
pub(super) async fn tell(
    network: &Network,
    events: broadcast::Receiver<NetworkEvent>,
    output: &Output,
) -> Infallible {
    tokio::join!(tell_programs(events, output), tell_traffic(network, output)).1
}

/// Does the same as [`tell`] for commands that need peers, and warns when none is connected. Silence would look like a
/// service without calls.
pub(super) async fn tell_seeking(
    network: &Network,
    events: broadcast::Receiver<NetworkEvent>,
    output: &Output,
) -> Infallible {
    tokio::join!(tell(network, events, output), tell_solitude(network, output)).0
}

async fn tell_solitude(network: &Network, output: &Output) -> Infallible {
    let [mut patience, again] = ALONE_AFTER;
    let mut company_until = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = Instant::now();
        if network.metrics().connections > 0 {
            (company_until, patience) = (now, ALONE_AFTER[0]);
        } else if now.duration_since(company_until) >= patience {
            patience += again;
            warn!("no peer is connected: the search continues");
            tell_program(output, || json!({ "event": "alone" }));
        }
    }
}

/// Prints an event when the output is JSON.
fn tell_program(output: &Output, event: impl FnOnce() -> Value) {
    if output.is_json() {
        // The reader of stdout may be gone, which must not end the command.
        let _closed = output.line(String::new, event);
    }
}

async fn tell_programs(mut events: broadcast::Receiver<NetworkEvent>, output: &Output) {
    loop {
        match events.recv().await {
            Ok(event) => tell_program(output, || json!(event)),
            Err(RecvError::Lagged(missed)) => debug!(missed, "network events were skipped"),
            Err(RecvError::Closed) => return,
        }
    }
}

async fn tell_traffic(network: &Network, output: &Output) -> Infallible {
    let mut told = Metrics::default();
    loop {
        tokio::time::sleep(TELL_INTERVAL).await;
        let now = network.metrics();
        if now != told {
            log(&now);
            tell_program(output, || traffic(&told, &now, TELL_INTERVAL));
            told = now;
        }
    }
}

/// Returns the event `traffic`: bytes and blocks per second, averaged over the interval between two readings.
fn traffic(before: &Metrics, now: &Metrics, interval: Duration) -> Value {
    let rate = |count: fn(&Metrics) -> u64| {
        let rate = count(now).saturating_sub(count(before)) as f64 / interval.as_secs_f64();
        (rate * 10.0).round() / 10.0
    };
    json!({
        "event": "traffic",
        "connections": now.connections,
        "bytesInPerSecond": rate(|metrics| metrics.bytes_in),
        "bytesOutPerSecond": rate(|metrics| metrics.bytes_out),
        "blocksInPerSecond": rate(|metrics| metrics.blocks_in),
        "blocksOutPerSecond": rate(|metrics| metrics.blocks_out),
    })
}

/// Prints the totals at the end: as an event for programs, in the log for people.
pub(super) fn tell_at_end(network: &Network, output: &Output) {
    let metrics = network.metrics();
    log(&metrics);
    tell_program(output, || event(&metrics, network.swarm()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_told_by_the_second() {
        let before = Metrics { bytes_in: 1_000, blocks_out: 5, ..Metrics::default() };
        let now = Metrics { connections: 2, bytes_in: 61_000, blocks_out: 8, ..before };
        let said = traffic(&before, &now, Duration::from_secs(60));
        let rates = ["bytesInPerSecond", "bytesOutPerSecond", "blocksInPerSecond", "blocksOutPerSecond"];
        assert_eq!(rates.map(|rate| said[rate].as_f64()), [1_000.0, 0.0, 0.0, 0.1].map(Some));
        assert_eq!((&said["event"], &said["connections"]), (&json!("traffic"), &json!(2)));
    }
}
