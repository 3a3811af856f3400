//! Connections that break at the worst moment: at every message boundary in turn, and with a process that is killed.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use libvms::net::{Network, NetworkOptions, SharedCore};
use libvms::storage::{Core, Durability, Replica};
use libvms_hypercore::blocks::each;
use libvms_hypercore::identity::SecretKey;

use super::peer::PATIENCE;
use super::siege::{Victim, hold, reach};
use crate::support::run;

/// What happens to a connection behind so many frames.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Cut,
    /// As `Cut`, in the middle of the next frame.
    Tear,
    Stall,
    /// From there on, 64 KiB every 40 ms.
    Crawl,
}

/// A way to a peer that breaks its first connection, or each one a little later than the one before.
struct Proxy {
    address: SocketAddr,
    /// Connections that were broken.
    broken: Arc<AtomicUsize>,
}

impl Proxy {
    /// `frames` says how many frames the connection with this number may have, in both directions together.
    fn start(target: SocketAddr, after: After, frames: impl Fn(usize) -> usize + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let broken = Arc::new(AtomicUsize::new(0));
        let counter = broken.clone();
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().map_while(Result::ok).enumerate() {
                let Ok(server) = TcpStream::connect(target) else { continue };
                let left = Arc::new(AtomicUsize::new(frames(number)));
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    let (left, broken) = (left.clone(), counter.clone());
                    std::thread::spawn(move || {
                        let _ended = pass_on(&from, &to, after, &left, &broken);
                        if matches!(after, After::Cut | After::Tear) {
                            let _may_be_over = [&from, &to].map(|socket| socket.shutdown(Shutdown::Both));
                        }
                    });
                }
            }
        });
        Self { address, broken }
    }

    fn broken(&self) -> usize {
        self.broken.load(Ordering::Relaxed)
    }
}

/// Passes frames on, as long as any are left, or else until the connection ends.
fn pass_on(
    mut from: &TcpStream,
    mut to: &TcpStream,
    after: After,
    left: &AtomicUsize,
    broken: &AtomicUsize,
) -> std::io::Result<()> {
    loop {
        let mut frame = vec![0; 3];
        from.read_exact(&mut frame)?;
        let length = u32::from_le_bytes([frame[0], frame[1], frame[2], 0]) as usize;
        frame.resize(3 + length, 0);
        from.read_exact(&mut frame[3..])?;
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            broken.fetch_add(1, Ordering::Relaxed);
            match after {
                After::Cut => return Ok(()),
                After::Tear => return to.write_all(&frame[..frame.len() / 2]),
                // The connection stays, and nothing moves any more.
                After::Stall => {
                    std::thread::sleep(3 * PATIENCE);
                    return Ok(());
                }
                After::Crawl => {
                    for bytes in frame.chunks(64 << 10) {
                        std::thread::sleep(Duration::from_millis(40));
                        to.write_all(bytes)?;
                    }
                    continue;
                }
            }
        }
        to.write_all(&frame)?;
    }
}

/// A core that is served in this process.
struct Source {
    core: Core,
    network: Network,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Source {
    async fn new(sizes: impl IntoIterator<Item = usize>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let key = SecretKey::from_seed(&[4; 32]);
        let mut core = Core::create(directory.path(), key, Durability::Relaxed).expect("an empty directory");
        let blocks: Vec<Vec<u8>> =
            sizes.into_iter().enumerate().map(|(number, bytes)| vec![number as u8; bytes]).collect();
        core.append(&blocks).expect("a disk");
        let network = Network::new(NetworkOptions::default());
        network.add_core(SharedCore::Writer(core.follow()), None);
        let address = network.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        Self { core, network, address, _directory: directory }
    }

    /// Copies the core from there, and checks it against what was written.
    async fn assert_copied_from(&self, address: SocketAddr) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let options =
            NetworkOptions { reconnect_delay: Duration::from_millis(1), ..NetworkOptions::default() };
        let network = Network::new(options);
        let copy = hold(&network, directory.path(), self.core.key());
        network.connect(address);
        reach(&copy, self.core.length().0).await;
        network.shutdown().await;
        drop(copy);
        self.assert_copied_to(directory.path());
    }

    /// What is on disk is what was written.
    fn assert_copied_to(&self, directory: &Path) {
        let copy = Replica::open(directory, self.core.key()).expect("a copy");
        assert_eq!((copy.length(), copy.signed_head()), (self.core.length(), self.core.signed_head()));
        for block in each(copy.length().blocks()) {
            assert!(copy.block(block).expect("stored") == self.core.block(block).expect("stored"), "{block}");
        }
    }
}

fn mixed_sizes() -> impl Iterator<Item = usize> {
    (0..150).map(|block| match block % 50 {
        49 => 100_000,
        small => small * 7,
    })
}

#[test]
fn a_connection_that_is_cut_after_any_frame_is_made_again_and_the_copy_completed() {
    run(async {
        let source = Source::new(mixed_sizes()).await;
        let mut cuts = 0;
        for frames in 0.. {
            let proxy = Proxy::start(source.address, After::Cut, move |number| match number {
                0 => frames,
                _ => usize::MAX,
            });
            source.assert_copied_from(proxy.address).await;
            if proxy.broken() == 0 {
                break;
            }
            cuts += 1;
        }
        assert!(cuts > 15, "the handshake alone has five frames: {cuts}");
        source.network.shutdown().await;
    });
}

#[test]
fn a_copy_is_completed_over_connections_that_all_break() {
    run(async {
        let source = Source::new(mixed_sizes()).await;
        let proxy = Proxy::start(source.address, After::Tear, |number| 10 + number % 5);
        source.assert_copied_from(proxy.address).await;
        assert!(proxy.broken() > 3, "{} connections broke", proxy.broken());
        source.network.shutdown().await;
    });
}

#[test]
fn a_block_that_takes_longer_than_answers_are_waited_for_still_comes() {
    run(async {
        let source = Source::new([10, 3 << 20, 3 << 20]).await;
        let proxy = Proxy::start(source.address, After::Crawl, |_| 8);
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Each of the blocks is two seconds on its way.
        let options =
            NetworkOptions { request_timeout: Duration::from_millis(400), ..NetworkOptions::default() };
        let network = Network::new(options);
        let copy = hold(&network, directory.path(), source.core.key());
        network.connect(proxy.address);
        reach(&copy, 3).await;
        assert!(proxy.broken() > 0, "it was slow");
        network.shutdown().await;
        source.network.shutdown().await;
    });
}

#[test]
fn a_replicator_that_is_killed_in_mid_transfer_disturbs_nobody_and_goes_on_where_it_was() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    run(async {
        // Sizes around each limit of others' implementations, and the largest block that we write.
        let large = [1, 64 << 10, 65_537, 70_000, 1 << 20, 8 << 20, 0, 3];
        let source = Source::new(large.into_iter().cycle().take(24)).await;
        let proxy = Proxy::start(source.address, After::Stall, |_| 25);
        let key = source.core.key();
        let (log, place) = (key.url(), directory.path().display().to_string());
        let start = |peer: SocketAddr| {
            let arguments = ["replicate", &log, "--dir", &place, "--peer-listen", "127.0.0.1:0"];
            Victim::start(arguments.into_iter().chain([&*format!("--peer={peer}")]))
        };
        let mut replicator = start(proxy.address);
        replicator.event("copying");
        let end = Instant::now() + PATIENCE;
        while proxy.broken() == 0 && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(proxy.broken() > 0, "it is in the middle of it");
        replicator.kill();
        source.assert_copied_from(source.address).await;

        let mut replicator = start(source.address);
        let copying = replicator.event("copying");
        let address = copying["address"].as_str().expect("an address").trim_start_matches("tcp://");
        source.assert_copied_from(address.parse().expect("an address")).await;
        replicator.terminate();
        source.assert_copied_to(&directory.path().join(key.to_string()));
        source.network.shutdown().await;
    });
}
