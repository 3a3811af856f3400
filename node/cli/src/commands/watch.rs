//! `vms watch`: audits hosts for ever.

pub(super) mod teller;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use libvms::net::{Network, Standing};
use libvms::printable::Printable;
use libvms::replay::AuditOptions;
use libvms::watch::Watcher;
use serde_json::json;
use tokio::time::{Instant, interval_at};

use crate::exit::Exit;
use crate::network::{NetworkArguments, listen, network_events, tell_at_end, tell_seeking};
use crate::output::Output;
use crate::peer::{PeerName, connect_peers};
use crate::sandbox::SandboxArguments;
use crate::seeking::{News, Seeking};
use crate::stop::shutdown_signal;
use crate::target::{Target, short};
use teller::{SUMMARY_INTERVAL, Teller, time};

/// Follow hosts and re-execute their calls as they are logged
///
/// Copies each host's log and archive, re-executes every call, and reports a deviation at once. Keeps each finding as a
/// report in the data directory, with a proof file beside it where the finding has a kind of proof. Runs until it is stopped; a restart continues the audits. Serves its copies to other
/// peers.
#[derive(Debug, Args)]
#[command(
    after_help = concat!(
        "Examples:\n  vms watch ws://127.0.0.1:5555/\n  vms watch hyper://KEY --peer 127.0.0.1:4444 --dir /srv/audits\n  vms watch ws://127.0.0.1:5555/ --json | jq 'select(.event == \"finding\")'\n\nExit codes: 0 no deviation was found, 1 a host deviated, in this run or an earlier one, 3 a host could not be audited\n\nEvents of a host with --json, one line each:\n  finding       the host deviated: class, place, report, and the proof file if there is one\n  suspicion     an unproved deviation, which may be lag: no accusation\n  ended         the log cannot be verified from here on, and the reason\n  agrees        entries that were re-executed and agree so far\n  damaged       a part of the copy is damaged and is fetched again\n  stalled       the audit waits for the disk or for a block\n  resumed       the audit continues\n  failed        the audit was given up, and the reason\n  following     a host is followed\n  found         its first block is here: title, and keys of its archive\n  waiting       the service does not say which log it writes\n  back          the service answers again\n  replaced      the service names another log",
        network_events!(seeking)
    )
)]
pub(super) struct Arguments {
    /// Hosts to follow, each by the URL of a service (ws://HOST:PORT/PATH) or the key of its log
    #[arg(value_name = "URL|KEY", required = true)]
    targets: Vec<String>,
    /// Directory for copies and reports
    #[arg(long, default_value = "watched")]
    dir: PathBuf,
    /// Peer to copy from; repeat for more
    #[arg(long = "peer", value_name = "HOST:PORT")]
    peers: Vec<PeerName>,
    /// Address on which the copies are served to peers (TCP); default: 127.0.0.1 with the port of the last run
    #[arg(long, value_name = "ADDRESS:PORT")]
    peer_listen: Option<SocketAddr>,
    #[command(flatten)]
    sandbox: SandboxArguments,
    #[command(flatten)]
    network: NetworkArguments,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let options = AuditOptions { engine: arguments.sandbox.settings()?, ..AuditOptions::default() };
    crate::runtime()?.block_on(watch(arguments, options, output))
}

async fn watch(arguments: Arguments, options: AuditOptions, output: &Output) -> anyhow::Result<Exit> {
    Target::check_all(&arguments.targets)?;
    let network = Arc::new(Network::new(arguments.network.options()));
    let network_events = network.events();
    let directory = &arguments.dir;
    let watcher = Watcher::new(directory, network.clone(), options);
    let (mut watcher, mut events) =
        watcher.with_context(|| format!("cannot watch in {}", directory.display()))?;
    let mut seeking = Seeking::start(&arguments.targets, directory, &network)?;
    let shutdown_signal = shutdown_signal()?;
    let standing = Standing::of(directory);
    let local = Ipv4Addr::LOCALHOST.into();
    let address = listen(&network, &standing, arguments.peer_listen, local, output).await?;
    arguments.network.join_swarm(&network, &standing).await?;
    connect_peers(&network, &arguments.peers);
    let mut teller = Teller::new(output);
    let told = async {
        let mut summaries = interval_at(Instant::now() + SUMMARY_INTERVAL, SUMMARY_INTERVAL);
        loop {
            tokio::select! {
                news = seeking.next() => take(&news, &mut watcher, address, &mut teller, output)?,
                event = events.recv() => match event {
                    Some((log, event)) => teller.tell(log, &event)?,
                    None => return Ok::<_, anyhow::Error>(()),
                },
                _ = summaries.tick() => teller.summarise()?,
            }
            if teller.is_over() && !seeking.is_waiting() {
                output.message("no host is left to audit");
                return Ok(());
            }
        }
    };
    let ended = tokio::select! {
        signal = shutdown_signal => signal,
        told = told => told,
        never = tell_seeking(&network, network_events, output) => match never {},
    };
    watcher.shutdown().await;
    // Findings during the shutdown count, too.
    while let Ok((log, event)) = events.try_recv() {
        teller.tell(log, &event)?;
    }
    teller.summarise()?;
    tell_at_end(&network, output);
    ended.map(|()| teller.exit())
}

/// Follows the log that a target names, and prints changes of targets. A log that cannot be followed does not stop the
/// others.
fn take(
    news: &News,
    watcher: &mut Watcher,
    address: SocketAddr,
    teller: &mut Teller<'_>,
    output: &Output,
) -> anyhow::Result<()> {
    let News::Log { target, log } = news else {
        return output.line(|| format!("{} {}", time(), Printable(&news.text())), || news.json());
    };
    if watcher.is_following(log) {
        return Ok(());
    }
    let followed = watcher.follow(*log).with_context(|| format!("cannot follow {target}"));
    if let Err(error) = followed {
        return teller.cannot_follow(*log, &error);
    }
    teller.follows(*log);
    output.line(
        || format!("{} {} following {target}, serving copies on tcp://{address}", time(), short(log)),
        || json!({ "event": "following", "log": log.to_string(), "address": format!("tcp://{address}") }),
    )
}
