//! `vms replicate`: keep copies, for others.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use libvms::net::Network;
use libvms::storage::{DataDirectory, SharedReplica};
use libvms_protocol::identity::PublicKey;
use serde_json::json;
use tokio::task::JoinSet;

use super::Exit;
use super::network::{NetworkArguments, network_events, tell_at_end, tell_seeking};
use super::output::Output;
use super::stop::asked_to_stop;
use super::target::{Target, linked};

/// Copy logs and archives and serve them to others, without executing anything
#[derive(Debug, Args)]
#[command(
    after_help = concat!(
        "Examples:\n  vms replicate ws://127.0.0.1:5555/ --peer-listen 0.0.0.0:4444\n  vms replicate hyper://KEY --peer 127.0.0.1:4444 --dir /srv/copies",
        network_events!(seeking)
    )
)]
pub(super) struct Arguments {
    /// What to copy: ws://HOST:PORT/PATH of a service, or the key of a log or of an archive
    #[arg(value_name = "URL|KEY", required = true)]
    targets: Vec<String>,
    /// Where copies are kept
    #[arg(long, default_value = "replicated")]
    dir: PathBuf,
    /// Somebody who may have them; repeat for more
    #[arg(long = "peer", value_name = "ADDRESS:PORT")]
    peers: Vec<SocketAddr>,
    /// Where to serve the copies to others
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    peer_listen: SocketAddr,
    #[command(flatten)]
    network: NetworkArguments,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    super::runtime()?.block_on(replicate(arguments, output))
}

async fn replicate(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let targets = Target::find_all(&arguments.targets).await?;
    let lock = DataDirectory::lock(&arguments.dir)?;
    let network = Arc::new(Network::new(arguments.network.options()));
    let happenings = network.events();
    let asked_to_stop = asked_to_stop()?;
    let address = network.listen(arguments.peer_listen).await?;
    arguments.network.join_swarm(&network).await?;
    arguments.peers.iter().for_each(|peer| network.connect(*peer));
    let mut followers = JoinSet::new();
    for (target, Target { log, addresses, .. }) in arguments.targets.iter().zip(targets) {
        addresses.into_iter().for_each(|address| network.connect(address));
        let replica = hold(&network, lock.path(), log).with_context(|| format!("cannot copy {target}"))?;
        followers.spawn(follow(network.clone(), lock.path().to_owned(), replica));
        output.line(
            || format!("copying {target}, serving it on tcp://{address}"),
            || json!({ "event": "copying", "key": log.to_string(), "address": format!("tcp://{address}") }),
        )?;
    }
    tokio::select! {
        signal = asked_to_stop => signal?,
        never = tell_seeking(&network, happenings, output) => match never {},
    }
    followers.shutdown().await;
    network.shutdown().await;
    tell_at_end(&network, output);
    Ok(Exit::Done)
}

fn hold(network: &Network, directory: &Path, key: PublicKey) -> anyhow::Result<SharedReplica> {
    Ok(network.copy(&directory.join(key.to_string()), key)?)
}

/// Copies what block 0 of a core leads to as well: the archive of a log, the contents of an archive.
async fn follow(network: Arc<Network>, directory: PathBuf, replica: SharedReplica) {
    let mut lengths = replica.lengths();
    if lengths.wait_for(|length| *length > 0).await.is_err() {
        return;
    }
    let Ok(block) = replica.block(0) else { return };
    for key in linked(&block) {
        if let Err(error) = hold(&network, &directory, key) {
            tracing::warn!(%key, %error, "a core that belongs to another cannot be copied");
        }
    }
}
