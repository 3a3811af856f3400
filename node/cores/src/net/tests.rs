//! Tests of networks over real sockets.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::SecretKey;
use tempfile::TempDir;

use super::{Network, NetworkOptions, SharedCore};
use crate::storage::{Core, Durability, Replica, SharedReplica};

const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

fn core(directory: &Path, blocks: &[Vec<u8>]) -> Core {
    let key = SecretKey::from_seed(&[9; 32]);
    let mut core = Core::create(directory, key, Durability::Relaxed).expect("an empty directory");
    if !blocks.is_empty() {
        core.append(blocks).expect("a disk");
    }
    core
}

/// Serves a core; returns its network and address.
async fn serve(core: &Core) -> (Network, SocketAddr) {
    let network = Network::new(NetworkOptions::default());
    network.add_core(SharedCore::Writer(core.follow()), None);
    let address = network.listen(LOCAL.into()).await.expect("a port");
    (network, address)
}

/// Copies a core from an address; returns the network and the copy.
fn copy_from(address: SocketAddr, directory: &TempDir, core: &Core) -> (Network, SharedReplica) {
    let replica = Replica::open(directory.path(), core.key()).expect("an empty directory");
    let (network, copy) = (Network::new(NetworkOptions::default()), SharedReplica::new(replica));
    network.add_core(SharedCore::Replica(copy.clone()), None);
    network.connect(address);
    (network, copy)
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

async fn wait_for(copy: &SharedReplica, length: u64) {
    let mut lengths = copy.lengths();
    let waited =
        tokio::time::timeout(Duration::from_secs(20), lengths.wait_for(|known| *known >= Length(length)))
            .await;
    waited
        .unwrap_or_else(|_| panic!("{} of {length} blocks have come", copy.length()))
        .expect("the replica is there");
}

fn blocks(count: usize, bytes: usize) -> Vec<Vec<u8>> {
    (0..count).map(|block| vec![block as u8; bytes + block % 7]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_completed_follows_and_serves_others() {
    let (home, first, second) = (temporary(), temporary(), temporary());
    let blocks = blocks(5000, 100);
    let mut core = core(home.path(), &blocks);
    let (host, address) = serve(&core).await;

    let (replicator, middle) = copy_from(address, &first, &core);
    let address = replicator.listen(LOCAL.into()).await.expect("a port");

    let (watcher, last) = copy_from(address, &second, &core);

    wait_for(&last, 5000).await;
    for live in 0..50_u8 {
        core.append(&[vec![live; 1000]]).expect("a disk");
        wait_for(&last, 5001 + u64::from(live)).await;
    }
    assert_eq!(last.signed_head(), core.signed_head());
    for block in [0, 1, 4999, 5000, 5049] {
        assert_eq!(
            last.block(BlockIndex(block)).expect("stored"),
            core.block(BlockIndex(block)).expect("stored")
        );
    }
    for network in [&watcher, &replicator, &host] {
        network.shutdown().await;
    }
    drop((middle, last));
    assert_eq!(
        Replica::open(second.path(), core.key()).expect("ours").length(),
        Length(5050),
        "it is on disk"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn large_blocks_arrive_whole() {
    let (home, place) = (temporary(), temporary());
    let blocks: Vec<Vec<u8>> = [1, 64 << 10, 1 << 20, 8 << 20, 0, 3].map(|bytes| vec![7; bytes]).into();
    let core = core(home.path(), &blocks);
    let (host, address) = serve(&core).await;
    let (watcher, copy) = copy_from(address, &place, &core);
    wait_for(&copy, 6).await;
    for (number, block) in (0..).zip(&blocks) {
        assert!(copy.block(BlockIndex(number)).expect("stored") == *block, "block {number}");
    }
    watcher.shutdown().await;
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_goes_and_comes_back_is_found_again() {
    let (home, place) = (temporary(), temporary());
    let mut core = core(home.path(), &blocks(10, 10));
    let (host, address) = serve(&core).await;
    let (watcher, copy) = copy_from(address, &place, &core);
    wait_for(&copy, 10).await;
    host.shutdown().await;
    core.append(&blocks(5, 10)).expect("a disk");
    let host = Network::new(NetworkOptions::default());
    host.add_core(SharedCore::Writer(core.follow()), None);
    host.listen(address).await.expect("the same port");
    wait_for(&copy, 15).await;
    watcher.shutdown().await;
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_end_their_own_connections_only() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (home, place) = (temporary(), temporary());
    let core = core(home.path(), &blocks(2000, 2000));
    let host = Network::new(NetworkOptions { connections_per_address_max: 40, ..NetworkOptions::default() });
    host.add_core(SharedCore::Writer(core.follow()), None);
    let address = host.listen(LOCAL.into()).await.expect("a port");
    let mut silent = vec![];
    for stranger in 0..60_u8 {
        let mut socket = tokio::net::TcpStream::connect(address).await.expect("it listens");
        match stranger % 3 {
            0 => silent.push(socket),
            1 => {
                // Refused or not, the connection must end: garbage is no handshake.
                let _refused = socket.write_all(&[stranger; 5000]).await;
                let mut rest = vec![];
                let _ended = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut rest))
                    .await
                    .expect("the connection ends");
            }
            _ => drop(socket),
        }
    }
    let (watcher, copy) = copy_from(address, &place, &core);
    wait_for(&copy, 2000).await;
    watcher.shutdown().await;
    host.shutdown().await;
    drop(silent);
}
