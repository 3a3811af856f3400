//! Keeps a copy of a log and of the archive that it leads to, and serves both to others. Executes nothing.
//!
//! ```text
//! vms host examples/persisted-counter.js
//! cargo run --example replicate -- KEY ADDRESS:PORT copies
//! ```
//!
//! `KEY` is what the host prints as its call log, `ADDRESS:PORT` what it prints as its peers. Ends at Ctrl-C. The copies are read as
//! a host's own data is: `vms verify copies/KEY`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;

use libvms::FilesArchive;
use libvms::net::{Network, NetworkOptions};
use libvms::stored::linked;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::drive::Folder;
use libvms_hypercore::identity::PublicKey;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [key, peer, directory] = &arguments[..] else {
        return Err("usage: replicate KEY ADDRESS:PORT DIRECTORY".into());
    };
    let peer: SocketAddr = peer.trim_start_matches("tcp://").parse()?;
    replicate(key.parse()?, peer, Path::new(directory)).await
}

async fn replicate(key: PublicKey, peer: SocketAddr, directory: &Path) -> Result<(), Box<dyn Error>> {
    // One process for each directory: the library holds a lock for hosts and watchers, and leaves it to us here.
    let _lock = libvms::storage::DataDirectory::lock(directory)?;
    let network = Network::new(NetworkOptions::default());
    network.connect(peer);

    // Each block is verified against the head that the host has signed, before it is stored.
    let log = network.copy(&directory.join(key.to_string()), key)?;
    println!("log: {} blocks", log.downloaded(Length(1), |_here, _known| {}).await?);

    // The first block of a log names the two cores of its archive.
    let [files, blobs] = linked(&log.block(BlockIndex(0))?)[..] else {
        return Err("the key is no log's".into());
    };
    let files = network.copy(&directory.join(files.to_string()), files)?;
    let blobs = network.copy(&directory.join(blobs.to_string()), blobs)?;
    println!("files: {} blocks", files.downloaded(Length(1), |_here, _known| {}).await?);
    println!("blobs: {} blocks", blobs.downloaded(Length(0), |_here, _known| {}).await?);

    // What is here can be read, while more comes.
    let archive = FilesArchive::from_cores(files, blobs);
    for entry in archive.list(&Folder::ROOT, true, archive.version())? {
        let entry = entry?;
        println!("{} ({} bytes)", entry.path, entry.size.unwrap_or(0));
    }

    // Port 0 is any free one. `Standing` keeps the port for the next run.
    let address = network.listen(([127, 0, 0, 1], 0).into()).await?;
    // Listens for Ctrl-C before it says that it serves: a reader of that line may stop it at once.
    let mut stop = signal(SignalKind::interrupt())?;
    println!("serving on tcp://{address}");
    stop.recv().await;
    network.shutdown().await;
    Ok(())
}
