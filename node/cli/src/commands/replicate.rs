//! `vms replicate`: keeps copies and serves them to peers.

mod copying;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use libvms::net::{Network, Standing};
use libvms::storage::DataDirectory;
use tokio::time::{Instant, interval, interval_at};

use crate::exit::Exit;
use crate::network::{NetworkArguments, listen, network_events, tell_at_end, tell_seeking};
use crate::output::Output;
use crate::peer::{PeerName, connect_peers};
use crate::seeking::Seeking;
use crate::stop::shutdown_signal;
use crate::target::Target;
use copying::Copying;

/// Interval at which copies are checked for completeness.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval at which progress is printed.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(60);

/// Copy logs and archives and serve them to peers, without executing anything
#[derive(Debug, Args)]
#[command(
    after_help = concat!(
        "Examples:\n  vms replicate ws://127.0.0.1:5555/ --peer-listen 0.0.0.0:4444\n  vms replicate hyper://KEY --peer 127.0.0.1:4444 --dir /srv/copies",
        network_events!(seeking),
        "\n\nEvents of a copy with --json, one line each:\n  copying       the copy is kept and served\n  progress      blocks here and blocks known, once a minute while any are missing or new\n  complete      all known blocks are here\n  suspicion     evidence against the writer; only a watcher keeps it\n  damaged       a part of the copy is damaged, and the reason\n  stalled       the disk cannot store the copy, and the reason\n  resumed       the copy continues\n  failed        the copy cannot be kept, and the reason\n  waiting       the service does not say which log it writes\n  back          the service answers again\n  replaced      the service names another log"
    )
)]
pub(super) struct Arguments {
    /// What to copy, each by the URL of a service (ws://HOST:PORT/PATH) or the key of a log or an archive
    #[arg(value_name = "URL|KEY", required = true)]
    targets: Vec<String>,
    /// Directory for the copies
    #[arg(long, default_value = "replicated")]
    dir: PathBuf,
    /// Peer to copy from; repeat for more
    #[arg(long = "peer", value_name = "HOST:PORT")]
    peers: Vec<PeerName>,
    /// Address on which the copies are served to peers (TCP); default: 127.0.0.1 with the port of the last run
    #[arg(long, value_name = "ADDRESS:PORT")]
    peer_listen: Option<SocketAddr>,
    #[command(flatten)]
    network: NetworkArguments,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    crate::runtime()?.block_on(replicate(arguments, output))
}

async fn replicate(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    Target::check_all(&arguments.targets)?;
    let lock = DataDirectory::lock(&arguments.dir)?;
    let network = Arc::new(Network::new(arguments.network.options()));
    let network_events = network.events();
    let mut seeking = Seeking::start(&arguments.targets, lock.path(), &network)?;
    let shutdown_signal = shutdown_signal()?;
    let standing = Standing::of(lock.path());
    let local = Ipv4Addr::LOCALHOST.into();
    let address = listen(&network, &standing, arguments.peer_listen, local, output).await?;
    arguments.network.join_swarm(&network, &standing).await?;
    connect_peers(&network, &arguments.peers);
    let (mut copying, mut events) = Copying::new(network.clone(), lock.path(), address);
    let copied = async {
        let mut looks = interval(LOOK_INTERVAL);
        let mut summaries = interval_at(Instant::now() + SUMMARY_INTERVAL, SUMMARY_INTERVAL);
        loop {
            tokio::select! {
                news = seeking.next() => copying.take(&news, output),
                Some((key, event)) = events.recv() => copying.tell(key, &event, output),
                _ = looks.tick() => copying.look(output),
                _ = summaries.tick() => copying.summarise(output),
            }
            if copying.is_over() && !seeking.is_waiting() {
                output.message("no copy is left to keep");
                return Ok::<_, anyhow::Error>(());
            }
        }
    };
    let ended = tokio::select! {
        signal = shutdown_signal => signal,
        ended = copied => ended,
        never = tell_seeking(&network, network_events, output) => match never {},
    };
    network.shutdown().await;
    while let Ok((key, event)) = events.try_recv() {
        copying.tell(key, &event, output);
    }
    copying.summarise(output);
    tell_at_end(&network, output);
    ended.map(|()| copying.exit())
}
