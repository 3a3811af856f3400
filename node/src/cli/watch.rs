//! `vms watch`: audit for ever.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use libvms::net::Network;
use libvms::printable::Printable;
use libvms::replay::Settings;
use libvms::verifier::Verdict;
use libvms::watcher::{Event, Watcher};
use libvms_protocol::identity::PublicKey;
use serde_json::{Value, json};

use super::Exit;
use super::network::{NetworkArguments, network_events, tell_at_end, tell_seeking};
use super::output::Output;
use super::sandbox::SandboxArguments;
use super::stop::asked_to_stop;
use super::target::Target;

/// Follow hosts and execute what they log as it comes
///
/// Copies each host's log and archive, executes every call again, and says at once where a host deviates; what was found
/// is kept as a report in the data directory. Goes on until it is stopped, and after a restart where it was. Serves its
/// copies to others.
#[derive(Debug, Args)]
#[command(
    after_help = concat!(
        "Examples:\n  vms watch ws://127.0.0.1:5555/\n  vms watch hyper://KEY --peer 127.0.0.1:4444 --dir /srv/audits\n  vms watch ws://127.0.0.1:5555/ --json | jq 'select(.event == \"ended\")'",
        network_events!(seeking)
    )
)]
pub(super) struct Arguments {
    /// Hosts to follow: ws://HOST:PORT/PATH of a service, or the key of a log
    #[arg(value_name = "URL|KEY", required = true)]
    targets: Vec<String>,
    /// Where copies and reports are kept
    #[arg(long, default_value = "watched")]
    dir: PathBuf,
    /// Somebody who may have the logs; repeat for more
    #[arg(long = "peer", value_name = "ADDRESS:PORT")]
    peers: Vec<SocketAddr>,
    /// Where to serve the copies to others
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    peer_listen: SocketAddr,
    #[command(flatten)]
    sandbox: SandboxArguments,
    #[command(flatten)]
    network: NetworkArguments,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    arguments.sandbox.choose();
    super::runtime()?.block_on(watch(arguments, output))
}

async fn watch(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let targets = Target::find_all(&arguments.targets).await?;
    let network = Arc::new(Network::new(arguments.network.options()));
    let happenings = network.events();
    let directory = &arguments.dir;
    let watcher = Watcher::new(directory, network.clone(), Settings::default());
    let (mut watcher, mut events) =
        watcher.with_context(|| format!("cannot watch in {}", directory.display()))?;
    let asked_to_stop = asked_to_stop()?;
    let address = network.listen(arguments.peer_listen).await?;
    arguments.network.join_swarm(&network).await?;
    arguments.peers.iter().for_each(|peer| network.connect(*peer));
    for (target, Target { log, addresses, .. }) in arguments.targets.iter().zip(targets) {
        addresses.into_iter().for_each(|address| network.connect(address));
        watcher.follow(log).with_context(|| format!("cannot follow {target}"))?;
        output.line(
            || format!("{} following {target}, serving copies on tcp://{address}", short(&log)),
            || json!({ "event": "following", "log": log.to_string(), "address": format!("tcp://{address}") }),
        )?;
    }
    let told = async {
        while let Some((log, event)) = events.recv().await {
            output
                .line(|| format!("{} {}", short(&log), Printable(&text(&event))), || as_json(&log, &event))?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let ended = tokio::select! {
        signal = asked_to_stop => signal,
        told = told => told,
        never = tell_seeking(&network, happenings, output) => match never {},
    };
    watcher.shutdown().await;
    tell_at_end(&network, output);
    ended.map(|()| Exit::Done)
}

/// Enough of a key for a person to tell a few hosts apart.
fn short(log: &PublicKey) -> String {
    log.to_string().chars().take(8).collect()
}

fn text(event: &Event) -> String {
    match event {
        Event::Found { title, .. } => format!("is \"{}\"", title),
        Event::Agrees { length } => format!("agrees: {length} entries"),
        Event::Ended { verdict, report } => {
            let report = report.as_ref().map(|path| format!(" (see {})", path.display())).unwrap_or_default();
            format!("{verdict}{report}")
        }
        Event::Evidence { class, is_signed: true, why, .. } => format!("diverges: {class}: {why}"),
        Event::Evidence { class, why, .. } => format!("suspicious: {class}: {why}"),
        Event::Failed { why } => format!("the audit failed: {why}"),
    }
}

fn as_json(log: &PublicKey, event: &Event) -> Value {
    let mut object = match event {
        Event::Found { title, archive } => json!({
            "event": "found", "title": title, "files": archive[0].to_string(), "blobs": archive[1].to_string(),
        }),
        Event::Agrees { length } => json!({ "event": "agrees", "length": length }),
        Event::Ended { verdict, report } => {
            let mut object = json!({ "event": "ended", "verdict": verdict.name(), "report": report });
            match verdict {
                Verdict::Diverges(finding) => {
                    object["block"] = json!(finding.block);
                    object["class"] = json!(finding.violation.class());
                    object["field"] = json!(finding.violation.field());
                    object["why"] = json!(finding.violation.to_string());
                }
                Verdict::CannotVerify { block, why } | Verdict::NotDeterministic { block, why } => {
                    object["block"] = json!(block);
                    object["why"] = json!(why);
                }
                Verdict::Agrees | Verdict::ArchiveAhead { .. } => {}
            }
            object
        }
        Event::Evidence { core, class, is_signed, why, report } => json!({
            "event": "evidence", "core": core, "class": class, "signed": is_signed, "why": why, "report": report,
        }),
        Event::Failed { why } => json!({ "event": "failed", "why": why }),
    };
    object["log"] = json!(log.to_string());
    object
}
