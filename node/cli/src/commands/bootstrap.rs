//! `vms bootstrap`: a node of the DHT, for a private network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, bail};
use clap::Args;
use libvms::net::{Bootstrap, Network, NetworkOptions, SwarmMode, SwarmOptions};
use serde_json::json;

use crate::exit::Exit;
use crate::network::{network_events, tell, tell_at_end};
use crate::output::Output;
use crate::stop::shutdown_signal;

/// The port that hyperdht's own nodes listen on.
const PORT: u16 = 49_737;

/// Run a node of the DHT through which peers find each other
///
/// A private network needs at least one such node, and every program in it names them with --bootstrap. A node stores the
/// peers that announce a topic, and small values of hyperdht programs, in memory and for a limited time. It relays no
/// connections. JavaScript programs that use Hyperswarm can join, too.
#[derive(Debug, Args)]
#[command(
    after_help = concat!(
        "Examples:\n  vms bootstrap --public 192.0.2.7\n  vms bootstrap --listen 127.0.0.1:49737          a network on this machine\n  vms host counter.js --bootstrap 192.0.2.7:49737",
        network_events!()
    )
)]
pub(super) struct Arguments {
    /// Address and port to listen on (UDP), instead of --port on all addresses
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "port")]
    listen: Option<SocketAddr>,
    /// UDP port on all addresses
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// IPv4 address at which other nodes reach this one; without it, the node learns the address from other nodes
    #[arg(long, value_name = "ADDRESS")]
    public: Option<Ipv4Addr>,
    /// Node of the network to join, none for the first node; repeat for more
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "VMS_BOOTSTRAP",
        hide_env_values = true,
        value_delimiter = ','
    )]
    bootstrap: Vec<Bootstrap>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    crate::runtime()?.block_on(serve(arguments, output))
}

async fn serve(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let listen =
        arguments.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, arguments.port)));
    let public = match (arguments.public, listen.ip()) {
        (Some(public), _) => Some(public),
        (None, IpAddr::V4(ip)) => Some(ip).filter(|ip| !ip.is_unspecified()),
        (None, IpAddr::V6(_)) => {
            bail!("the DHT supports IPv4 only: choose an IPv4 address instead of {listen}")
        }
    };
    let options = SwarmOptions {
        bind: listen.ip(),
        port: listen.port(),
        mode: SwarmMode::Persistent { public },
        ..SwarmOptions::new(arguments.bootstrap).context("cannot get random numbers for a key")?
    };
    let shutdown_signal = shutdown_signal()?;
    let network = Network::new(NetworkOptions::default());
    let network_events = network.events();
    let local = network.join_swarm(options).await?;
    // A node on all addresses does not know which of them peers can reach.
    let known = public.map(|public| SocketAddr::new(public.into(), local.port()));
    let others = known.map_or_else(
        || format!("ADDRESS:{}, where ADDRESS is this machine's address as they reach it", local.port()),
        |known| known.to_string(),
    );
    output.line(
        || format!("a node of the DHT listens on {local}\n  peers use      --bootstrap {others}"),
        || json!({ "event": "listening", "address": local, "bootstrap": known }),
    )?;
    tokio::select! {
        signal = shutdown_signal => signal?,
        never = tell(&network, network_events, output) => match never {},
    }
    network.shutdown().await;
    tell_at_end(&network, output);
    Ok(Exit::Done)
}
