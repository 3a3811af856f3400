//! Copies for one look: the log or the archive of a service elsewhere.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use libvms::archive::FilesArchive;
use libvms::call_log::CallLog;
use libvms::net::{CopyError, Network, NetworkOptions, begin, complete};
use libvms::storage::SharedReplica;
use libvms::stored::linked;
use libvms_hypercore::identity::PublicKey;

use super::error::{NobodyToAsk, advised};
use super::network::SwarmArguments;
use super::peer::{PeerName, connect_peers};
use super::progress;
use super::target::Target;

/// Whom to ask for what lies elsewhere.
#[derive(Debug, Args)]
pub(super) struct PeerArguments {
    /// Peer to copy from; repeat for more
    #[arg(long = "peer", value_name = "HOST:PORT")]
    peers: Vec<PeerName>,
    #[command(flatten)]
    swarm: SwarmArguments,
}

impl PeerArguments {
    /// Checks that there is somebody to ask for what a target names: waiting for nobody would never end.
    pub(super) fn check_somebody(&self, target: &Target) -> anyhow::Result<()> {
        if self.swarm.is_joined() || !self.peers.is_empty() || !target.addresses.is_empty() {
            return Ok(());
        }
        Err(NobodyToAsk { log: target.log }.into())
    }

    /// A network in which these, the peers at `addresses`, and whoever the swarm knows are asked.
    pub(super) async fn network(&self, addresses: &[SocketAddr]) -> anyhow::Result<Network> {
        let network = Network::new(NetworkOptions::default());
        self.swarm.join(&network, None).await?;
        connect_peers(&network, &self.peers);
        addresses.iter().for_each(|peer| network.connect(*peer));
        Ok(network)
    }
}

/// Refuses options for asking others where the target is a directory here.
pub(super) fn check_local(target: &str, peers: &PeerArguments) -> anyhow::Result<()> {
    let option = if peers.peers.is_empty() { peers.swarm.given() } else { Some("--peer") };
    // What is not there is said first, by those who look at it.
    match option.filter(|_| Path::new(target).is_dir()) {
        None => Ok(()),
        Some(option) => {
            let what =
                format!("{option} does not apply: {target} is a directory here, and nobody else is asked");
            Err(advised(anyhow::Error::msg(what), "leave it out, or name the URL or the key of a service"))
        }
    }
}

/// How much of an archive is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The names of its files, and their sizes.
    Names,
    /// What is in the files as well.
    Contents,
}

/// Copies the call log of a service.
pub(super) fn log(target: &str, peers: &PeerArguments) -> anyhow::Result<CallLog> {
    super::runtime()?.block_on(async {
        let copies = Copies::of(target, peers).await?;
        let log = copies.begin(copies.key)?;
        copies.complete(&log, copies.length).await?;
        copies.network.shutdown().await;
        Ok(CallLog::of(log))
    })
}

/// Copies the archive of a service, which the key of its log leads to as well as the archive's own.
pub(super) fn archive(target: &str, peers: &PeerArguments, wanted: Wanted) -> anyhow::Result<FilesArchive> {
    super::runtime()?.block_on(async {
        let copies = Copies::of(target, peers).await?;
        let first = copies.begin(copies.key)?;
        begin(&first).await?;
        let (files, blobs) = match linked(&first.block(0)?)[..] {
            [files, blobs] => (copies.begin(files)?, blobs),
            [blobs] => (first, blobs),
            _ => anyhow::bail!("{target} is neither a call log nor a files archive"),
        };
        copies.complete(&files, 1).await?;
        let blobs = copies.begin(blobs)?;
        // A version of 1 is an archive without files: its contents have no block that could come.
        if wanted == Wanted::Contents && files.length() > 1 {
            match copies.complete(&blobs, 0).await {
                // Other files can still be read.
                Err(error) if matches!(error.downcast_ref(), Some(CopyError::Unreachable { .. })) => {
                    tracing::warn!("{error}: what is missing cannot be read");
                }
                ended => ended?,
            }
        }
        copies.network.shutdown().await;
        Ok(FilesArchive::of(files, blobs))
    })
}

/// Copies in the making, and where they come from.
struct Copies {
    network: Network,
    directory: Temporary,
    key: PublicKey,
    /// Entries that the service said its log has.
    length: u64,
}

impl Copies {
    async fn of(target: &str, arguments: &PeerArguments) -> anyhow::Result<Self> {
        let target = Target::find(target).await?;
        arguments.check_somebody(&target)?;
        let Target { log, addresses, length } = target;
        let network = arguments.network(&addresses).await?;
        Ok(Self { network, directory: Temporary::new()?, key: log, length })
    }

    fn begin(&self, key: PublicKey) -> anyhow::Result<SharedReplica> {
        Ok(self.network.copy(&self.directory.0.join(key.to_string()), key)?)
    }

    async fn complete(&self, copy: &SharedReplica, length: u64) -> anyhow::Result<()> {
        let bar = progress::bar("copying");
        let ended = complete(copy, length, progress::report(&bar)).await;
        bar.finish_and_clear();
        Ok(ended.map(drop)?)
    }
}

/// A directory that goes with its owner. Whoever has files in it open can read on.
pub(super) struct Temporary(pub(super) PathBuf);

impl Temporary {
    pub(super) fn new() -> anyhow::Result<Self> {
        let chance = getrandom::u64().context("no random numbers for a directory's name")?;
        let path = std::env::temp_dir().join(format!("vms-copy-{chance:016x}"));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is the system's to remove.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}
