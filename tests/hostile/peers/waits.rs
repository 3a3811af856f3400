//! Peers that are slow on purpose, or only seem to be there. The waits are short here; what counts is that they end.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use libvms::net::{Metrics, Network, NetworkOptions, SharedCore};
use libvms::storage::{Core, Durability};
use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::wire::message::{Message, Request, RequestBlock};

use super::peer::{Peer, is_cut_off};
use crate::support::run;

const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(10);

/// A network in this process that serves a core, and waits for nobody for long.
struct Served {
    network: Network,
    address: SocketAddr,
    key: PublicKey,
    _core: Core,
    _directory: tempfile::TempDir,
}

impl Served {
    async fn new(options: NetworkOptions, blocks: &[Vec<u8>]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let core = core(directory.path(), blocks);
        let network = Network::new(options);
        network.add_core(SharedCore::Writer(core.follow()), None);
        let address = network.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        Self { network, address, key: core.key(), _core: core, _directory: directory }
    }

    async fn end(self) -> Metrics {
        self.network.shutdown().await;
        self.network.metrics()
    }
}

fn core(directory: &Path, blocks: &[Vec<u8>]) -> Core {
    let key = SecretKey::from_seed(&[8; 32]);
    let mut core = Core::create(directory, key, Durability::Relaxed).expect("an empty directory");
    core.append(blocks).expect("a disk");
    core
}

/// Runs something blocking beside the network.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the test goes on")
}

/// Writes a byte from time to time until the other side ends the connection; how long that took.
fn trickle(mut socket: &TcpStream, byte: impl Fn(usize) -> u8) -> Duration {
    let begin = Instant::now();
    for count in 0.. {
        if begin.elapsed() > LONG || is_cut_off(socket, Duration::from_millis(20)) {
            break;
        }
        let _may_be_over = socket.write(&[byte(count)]);
    }
    begin.elapsed()
}

#[test]
fn a_handshake_that_trickles_is_given_up() {
    run(async {
        let options = NetworkOptions { handshake_timeout: SHORT, ..NetworkOptions::default() };
        let served = Served::new(options, &[vec![1]]).await;
        let address = served.address;
        let took = aside(move || {
            let socket = TcpStream::connect(address).expect("it listens");
            trickle(&socket, |count| if count == 0 { 32 } else { 0 })
        });
        let took = took.await;
        assert!((SHORT..LONG).contains(&took), "{took:?}");
        assert_eq!(served.end().await.closed.handshake, 1);
    });
}

#[test]
fn a_frame_that_trickles_is_given_up_and_signs_of_life_are_enough_to_stay() {
    run(async {
        let options = NetworkOptions { idle_timeout: SHORT, ..NetworkOptions::default() };
        let served = Served::new(options, &[vec![1]]).await;
        let address = served.address;
        aside(move || {
            let mut alive = Peer::connect(address);
            for _ in 0..10 {
                std::thread::sleep(SHORT / 4);
                alive.say_plain(vec![]);
            }
            assert!(alive.is_connected(), "after more than twice the limit");
            let peer = Peer::connect(address);
            let took = trickle(&peer.socket, |count| [0xff, 0xff, 0xff].get(count).copied().unwrap_or(7));
            assert!((SHORT..LONG).contains(&took), "{took:?}");
        })
        .await;
        assert!(served.end().await.closed.idle >= 1);
    });
}

#[test]
fn a_peer_that_is_gone_without_a_word_is_noticed() {
    run(async {
        let options = NetworkOptions {
            idle_timeout: SHORT,
            keep_alive_interval: SHORT / 4,
            ..NetworkOptions::default()
        };
        let served = Served::new(options, &[vec![1]]).await;
        let (address, key) = (served.address, served.key);
        aside(move || {
            let mut silent = Peer::open(address, key);
            assert!(silent.is_cut_off(), "nothing comes from it");
            // Half open: it reads on, and says that it will never write again.
            let mut half = Peer::open(address, key);
            half.socket.shutdown(Shutdown::Write).expect("a socket");
            assert!(half.is_cut_off());
        })
        .await;
        let metrics = served.end().await;
        assert_eq!((metrics.closed.idle, metrics.closed.ended), (1, 1));
    });
}

#[test]
fn a_peer_that_takes_next_to_nothing_is_given_up() {
    run(async {
        let options = NetworkOptions { write_timeout: SHORT, ..NetworkOptions::default() };
        let served = Served::new(options, &vec![vec![5; 1 << 20]; 20]).await;
        let (address, key) = (served.address, served.key);
        aside(move || {
            let mut peer = Peer::open(address, key);
            for id in 1..=20 {
                let block = Some(RequestBlock { index: BlockIndex(id - 1), nodes: 0 });
                peer.queue(&key, &Message::Request(Request { id, block, ..Request::default() }));
            }
            peer.flush();
            // A byte from time to time is no reading.
            let (begin, mut byte) = (Instant::now(), [0]);
            while begin.elapsed() < 4 * SHORT {
                std::thread::sleep(Duration::from_millis(20));
                peer.socket.read_exact(&mut byte).expect("there is more");
            }
        })
        .await;
        let metrics = served.end().await;
        assert_eq!(metrics.closed.stalled, 1, "{metrics:?}");
    });
}

#[test]
fn a_host_that_never_answers_the_handshake_is_asked_again_and_others_are_not_held_up() {
    run(async {
        let served = Served::new(NetworkOptions::default(), &[vec![1], vec![2]]).await;
        let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
        let options = NetworkOptions {
            handshake_timeout: SHORT,
            reconnect_delay: Duration::from_millis(10),
            ..NetworkOptions::default()
        };
        let network = Network::new(options);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let copy = super::siege::hold(&network, directory.path(), served.key);
        network.connect(mute.local_addr().expect("bound"));
        network.connect(served.address);
        super::siege::reach(&copy, 2).await;
        tokio::time::sleep(3 * SHORT).await;
        let metrics = network.metrics();
        assert!(metrics.opened >= 3 && metrics.closed.handshake >= 2, "{metrics:?}");
        network.shutdown().await;
        served.end().await;
    });
}
