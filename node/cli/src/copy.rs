//! Temporary copies of a remote log or archive, for commands that only read: [`log`], [`archive`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use libvms::archive::FilesArchive;
use libvms::call_log::CallLog;
use libvms::net::{CopyError, Network, NetworkOptions};
use libvms::storage::SharedReplica;
use libvms::stored::linked;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::PublicKey;

use super::error::{NoPeerToAsk, advised};
use super::network::SwarmArguments;
use super::peer::{PeerName, connect_peers};
use super::progress;
use super::target::Target;

/// Options for copying from peers.
#[derive(Debug, Args)]
pub(super) struct PeerArguments {
    /// Peer to copy from; repeat for more
    #[arg(long = "peer", value_name = "HOST:PORT")]
    peers: Vec<PeerName>,
    #[command(flatten)]
    swarm: SwarmArguments,
}

impl PeerArguments {
    /// Checks that a peer can be asked for the target: without one, the command would wait for ever.
    pub(super) fn check_has_peer(&self, target: &Target) -> anyhow::Result<()> {
        if self.swarm.is_joined() || !self.peers.is_empty() || !target.addresses.is_empty() {
            return Ok(());
        }
        Err(NoPeerToAsk { log: target.log }.into())
    }

    /// Returns a network that connects to these peers, to `addresses`, and to peers from the DHT.
    pub(super) async fn network(&self, addresses: &[SocketAddr]) -> anyhow::Result<Network> {
        let network = Network::new(NetworkOptions::default());
        self.swarm.join(&network, None).await?;
        connect_peers(&network, &self.peers);
        addresses.iter().for_each(|peer| network.connect(*peer));
        Ok(network)
    }
}

/// Refuses options for copying from peers when the target is a local directory.
pub(super) fn check_local(target: &str, peers: &PeerArguments) -> anyhow::Result<()> {
    let option = if peers.peers.is_empty() { peers.swarm.given() } else { Some("--peer") };
    // A missing directory is reported by the code that opens it.
    match option.filter(|_| Path::new(target).is_dir()) {
        None => Ok(()),
        Some(option) => {
            let what =
                format!("{option} does not apply: {target} is a local directory, and no peer is asked");
            Err(advised(
                anyhow::Error::msg(what),
                &format!("leave out {option}, or name a service by its URL or key"),
            ))
        }
    }
}

/// How much of an archive is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The names and sizes of its files.
    Names,
    /// The contents of the files, too.
    Contents,
}

/// Copies the call log of a service.
pub(super) fn log(target: &str, peers: &PeerArguments) -> anyhow::Result<CallLog> {
    super::runtime()?.block_on(async {
        let copies = Copies::of(target, peers).await?;
        let log = copies.start(copies.key)?;
        copies.download(&log, copies.length).await?;
        copies.network.shutdown().await;
        Ok(CallLog::from_core(log))
    })
}

/// Copies the archive of a service. The target's key may be that of the log or of the archive itself.
pub(super) fn archive(target: &str, peers: &PeerArguments, wanted: Wanted) -> anyhow::Result<FilesArchive> {
    super::runtime()?.block_on(async {
        let copies = Copies::of(target, peers).await?;
        let first = copies.start(copies.key)?;
        first.first_block().await?;
        let (files, blobs) = match linked(&first.block(BlockIndex::FIRST)?)[..] {
            [files, blobs] => (copies.start(files)?, blobs),
            [blobs] => (first, blobs),
            _ => anyhow::bail!("{target} is neither a call log nor a files archive"),
        };
        copies.download(&files, Length(1)).await?;
        let blobs = copies.start(blobs)?;
        // Version 1 is an archive without files, whose contents have no block to wait for.
        if wanted == Wanted::Contents && files.length() > Length(1) {
            match copies.download(&blobs, Length::ZERO).await {
                // Other files can still be read.
                Err(error) if matches!(error.downcast_ref(), Some(CopyError::Unreachable { .. })) => {
                    tracing::warn!("{error}: files with missing blocks cannot be read");
                }
                ended => ended?,
            }
        }
        copies.network.shutdown().await;
        Ok(FilesArchive::from_cores(files, blobs))
    })
}

/// The network and the directory of copies in progress.
struct Copies {
    network: Network,
    directory: Temporary,
    key: PublicKey,
    /// Length of the log that the service named.
    length: Length,
}

impl Copies {
    async fn of(target: &str, arguments: &PeerArguments) -> anyhow::Result<Self> {
        let target = Target::find(target).await?;
        arguments.check_has_peer(&target)?;
        let Target { log, addresses, length } = target;
        let network = arguments.network(&addresses).await?;
        Ok(Self { network, directory: Temporary::new()?, key: log, length })
    }

    fn start(&self, key: PublicKey) -> anyhow::Result<SharedReplica> {
        Ok(self.network.copy(&self.directory.0.join(key.to_string()), key)?)
    }

    async fn download(&self, copy: &SharedReplica, length: Length) -> anyhow::Result<()> {
        let bar = progress::bar("copying");
        let ended = copy.downloaded(length, progress::report(&bar)).await;
        bar.finish_and_clear();
        Ok(ended.map(drop)?)
    }
}

/// A directory that is removed when its owner is dropped. Open files in it stay readable.
pub(super) struct Temporary(pub(super) PathBuf);

impl Temporary {
    pub(super) fn new() -> anyhow::Result<Self> {
        let chance = getrandom::u64().context("cannot get random numbers for a directory's name")?;
        let path = std::env::temp_dir().join(format!("vms-copy-{chance:016x}"));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A directory that cannot be removed is left to the system's cleaning of temporary files.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}
