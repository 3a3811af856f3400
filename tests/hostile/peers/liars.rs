//! Peers that serve a log and lie about it: what they say is not taken, and the log comes from somebody honest.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use libvms::net::{Metrics, Network, NetworkOptions, SharedCore};
use libvms::storage::{Core, Durability};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::replication::answer;
use libvms_hypercore::wire::Role;
use libvms_hypercore::wire::message::{
    Data, DataHash, Message, NoData, Range, Reason, Request, RequestBlock, Sync,
};
use serde_json::{Value, json};

use super::peer::{PATIENCE, Peer};
use super::siege::{Siege, Victim, copy, hold, reach};
use crate::support::run;

const LENGTH: u64 = 60;

/// What a liar says where an honest peer would answer a request with `Data`.
type Lie = fn(&SharedCore, Request, Data) -> Vec<Message>;

/// A peer that serves a core, and lies to whoever connects.
struct Liar {
    address: SocketAddr,
    lies: Arc<AtomicUsize>,
}

impl Liar {
    fn start(truth: SharedCore, claim: u64, lie: Lie) -> Self {
        Self::start_under(truth.key(), truth, claim, lie)
    }

    /// Serves something under the key of something else.
    fn start_under(key: PublicKey, truth: SharedCore, claim: u64, lie: Lie) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let lies = Arc::new(AtomicUsize::new(0));
        let counter = lies.clone();
        // It listens until the test's process ends; nothing waits for it.
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (truth, counter) = (truth.clone(), counter.clone());
                std::thread::spawn(move || {
                    let peer = Peer::shake_hands(socket, Role::Responder)?;
                    serve(peer, key, &truth, claim, lie, &counter)
                });
            }
        });
        Self { address, lies }
    }

    fn lies(&self) -> usize {
        self.lies.load(Ordering::Relaxed)
    }
}

fn serve(
    mut peer: Peer,
    core: PublicKey,
    truth: &SharedCore,
    claim: u64,
    lie: Lie,
    lies: &AtomicUsize,
) -> Option<()> {
    peer.try_open_core(core)?;
    let mut sync = Sync {
        length: Length(claim),
        can_upgrade: true,
        uploading: true,
        downloading: true,
        ..Sync::default()
    };
    peer.say(&core, &Message::Sync(sync));
    peer.say(&core, &Message::Range(Range { drop: false, start: BlockIndex(0), length: claim }));
    loop {
        match peer.hear()? {
            Message::Sync(theirs) => {
                sync.remote_length = theirs.length;
                peer.say(&core, &Message::Sync(sync));
            }
            Message::Request(request) => {
                let honest =
                    answer(truth, &request).unwrap_or(Data { request: request.id, ..Data::default() });
                lies.fetch_add(1, Ordering::Relaxed);
                for message in lie(truth, request, honest) {
                    peer.say(&core, &message);
                }
            }
            _ => {}
        }
    }
}

fn core(directory: &Path) -> Core {
    let blocks: Vec<Vec<u8>> = (0..LENGTH).map(|block| vec![block as u8; 50 + 37 * block as usize]).collect();
    let key = SecretKey::from_seed(&[6; 32]);
    let mut core = Core::create(directory, key, Durability::Relaxed).expect("an empty directory");
    core.append(&blocks).expect("a disk");
    core
}

fn changed(mut data: Data, change: impl FnOnce(&mut Data)) -> Vec<Message> {
    change(&mut data);
    vec![Message::Data(data)]
}

/// A true proof, of the block behind the one that was asked for.
fn of_the_next(truth: &SharedCore, request: Request) -> Option<Data> {
    let node = request.block?;
    let block = Some(RequestBlock { index: BlockIndex((node.index.0 + 1) % LENGTH), ..node });
    answer(truth, &Request { block, ..request }).ok()
}

/// Lies that do not verify: each costs the liar its connection.
const FALSE: &[(&str, Lie)] = &[
    ("wrong bytes", |_, _, data| {
        changed(data, |data| {
            if let Some(block) = &mut data.block {
                block.value[0] ^= 1;
            }
        })
    }),
    ("a valid proof for the wrong block", |truth, request, data| {
        vec![Message::Data(of_the_next(truth, request).unwrap_or(data))]
    }),
    ("another block under the right number", |truth, request, data| {
        let index = request.block.map(|node| node.index).unwrap_or_default();
        changed(of_the_next(truth, request).unwrap_or(data), |data| {
            if let Some(block) = &mut data.block {
                block.index = index;
            }
        })
    }),
    ("wrong nodes", |_, _, data| {
        changed(data, |data| {
            if let Some(node) = data.block.as_mut().and_then(|block| block.nodes.first_mut()) {
                node.hash.0[5] ^= 4;
            }
            if let Some(node) = data.upgrade.as_mut().and_then(|upgrade| upgrade.nodes.first_mut()) {
                node.size += 1;
            }
        })
    }),
    ("too many nodes", |_, _, data| {
        changed(data, |data| {
            if let Some(upgrade) = &mut data.upgrade {
                upgrade.additional_nodes = upgrade.nodes.iter().cycle().take(1000).copied().collect();
            }
        })
    }),
    ("a signature of somebody else", |_, _, data| {
        changed(data, |data| {
            if let Some(upgrade) = &mut data.upgrade {
                upgrade.signature = vec![3; 64];
            }
        })
    }),
    ("a signature that is none", |_, _, data| {
        changed(data, |data| {
            if let Some(upgrade) = &mut data.upgrade {
                upgrade.signature.truncate(9);
            }
        })
    }),
    ("more than was asked for", |_, _, data| {
        changed(data, |data| data.hash = Some(DataHash { index: 1, nodes: vec![] }))
    }),
    ("nothing where something is due", |_, request, _| {
        vec![Message::Data(Data { request: request.id, ..Data::default() })]
    }),
    ("another fork", |_, _, data| changed(data, |data| data.fork = 7)),
];

/// Lies that may be mishaps: they cost time at most.
const IDLE: &[(&str, Lie)] = &[
    ("silence after claiming everything", |_, _, _| vec![]),
    ("the head, and silence about the blocks", |_, request, data| match request.upgrade {
        Some(_) => vec![Message::Data(data)],
        None => vec![],
    }),
    ("refusals of everything", |_, request, _| {
        vec![Message::NoData(NoData { request: request.id, reason: Reason::NOT_AVAILABLE })]
    }),
    ("every answer three times, and one that nobody asked for", |_, request, data| {
        let other = Data { request: request.id + 1000, ..data.clone() };
        vec![other, data.clone(), data.clone(), data].into_iter().map(Message::Data).collect()
    }),
    ("everything taken back and claimed again", |_, _, _| {
        let range = |drop| Message::Range(Range { drop, start: BlockIndex(0), length: LENGTH });
        vec![range(true), range(false)]
    }),
];

/// Downloads from a liar that is there first, and from somebody honest; gives what the network has counted.
fn download(name: &str, claim: u64, lie: Lie) -> Metrics {
    let (home, place) =
        (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let core = core(home.path());
    let liar = Liar::start(SharedCore::Writer(core.follow()), claim, lie);
    run(async {
        let honest = Network::new(NetworkOptions::default());
        honest.add_core(SharedCore::Writer(core.follow()), None);
        let address = honest.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let network =
            Network::new(NetworkOptions { reconnect_delay: Duration::from_millis(20), ..Default::default() });
        let copy = hold(&network, place.path(), core.key());
        network.connect(liar.address);
        while liar.lies() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        network.connect(address);
        reach(&copy, LENGTH).await;
        assert_eq!(copy.signed_head(), core.signed_head(), "{name}");
        for block in 0..LENGTH {
            assert_eq!(
                copy.block(BlockIndex(block)).expect("stored"),
                core.block(BlockIndex(block)).expect("stored"),
                "{name}"
            );
        }
        network.shutdown().await;
        honest.shutdown().await;
        network.metrics()
    })
}

#[test]
fn what_does_not_verify_is_not_taken_and_costs_the_liar_its_connection() {
    for (name, lie) in FALSE {
        let metrics = download(name, LENGTH, *lie);
        assert!(metrics.proofs_refused > 0 && metrics.closed.faulty > 0, "{name}: {metrics:?}");
    }
}

#[test]
fn silence_refusals_and_repetitions_do_not_hold_up_what_others_give() {
    for (name, lie) in IDLE {
        let metrics = download(name, LENGTH, *lie);
        assert_eq!(metrics.proofs_refused, 0, "{name}: {metrics:?}");
    }
}

#[test]
fn a_claim_of_an_endless_log_is_asked_for_and_not_waited_for() {
    let endless = (1 << 53) - 1;
    download("true answers to an endless claim", endless, |_, _, data| vec![Message::Data(data)]);
    download("silence after an endless claim", endless, |_, _, _| vec![]);
}

#[test]
fn a_block_longer_than_any_ends_the_connection() {
    let metrics = download("a block of 15 MiB and a byte", LENGTH, |_, _, data| {
        changed(data, |data| {
            if let Some(block) = &mut data.block {
                block.value = vec![1; (15 << 20) + 1];
            }
        })
    });
    assert!(metrics.closed.malformed > 0, "{metrics:?}");
}

#[test]
fn hosts_whose_handshakes_go_wrong_are_left_for_one_that_is_right() {
    let siege = Siege::new();
    let answers: [Vec<u8>; 7] = [
        vec![],
        vec![0xff; 200],
        [&[96, 0, 0][..], &[7; 96]].concat(),
        [&[200, 4, 0][..], &[7; 1224]].concat(),
        [&[0, 0, 0][..], &[0, 0, 0], &[0, 0, 0]].concat(),
        [&[56, 0, 0][..], &[7; 56]].concat(),
        [&[95, 0, 0][..], &[7; 95], &[56, 0, 0], &[7; 56]].concat(),
    ];
    let mut peers: Vec<SocketAddr> = answers.map(answering).into();
    // One that shakes hands as it should, up to the name of its stream.
    peers.push(proxied(siege.address, |bytes| {
        if let Some(header) = bytes.windows(3).position(|prefix| prefix == [56, 0, 0]) {
            bytes[header + 3] ^= 1;
        }
    }));
    peers.push(siege.address);
    let directory = tempfile::tempdir().expect("a directory");
    let (log, place) = (siege.log.url(), directory.path().display().to_string());
    let peers: Vec<String> = peers.iter().map(|address| format!("--peer={address}")).collect();
    let arguments = ["replicate", &log, "--dir", &place, "--peer-listen", "127.0.0.1:0"];
    let mut replicator = Victim::start(arguments.into_iter().chain(peers.iter().map(String::as_str)));
    let copying = replicator.event("copying");
    let address = copying["address"].as_str().expect("an address").trim_start_matches("tcp://").to_owned();
    let address = address.parse().expect("an address");
    assert_eq!(copy(siege.log, &[address], siege.length).length, siege.length);
    let network = replicator.terminate();
    assert!(network["closed"]["malformed"].as_u64() > Some(0), "{network}");
    siege.end();
}

/// Answers everybody with these bytes.
fn answering(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut first = [0; 35];
            let _heard = socket.read_exact(&mut first);
            let _answered = socket.write_all(&bytes);
        }
    });
    address
}

/// Passes on what a host answers, changed. Only the beginning of a connection passes.
fn proxied(target: SocketAddr, change: fn(&mut [u8])) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let Ok(mut host) = TcpStream::connect(target) else { continue };
            let mut bytes = [0; 4096];
            for _ in 0..2 {
                let Ok(count) = client.read(&mut bytes) else { break };
                let _may_be_over = host.write_all(&bytes[..count]);
                let Ok(count) = host.read(&mut bytes) else { break };
                change(&mut bytes[..count]);
                let _may_be_over = client.write_all(&bytes[..count]);
            }
        }
    });
    address
}

#[test]
fn a_replicator_with_a_liar_among_its_peers_copies_and_serves_the_truth() {
    let siege = Siege::new();
    let lies: [Lie; 3] = [FALSE[0].1, FALSE[5].1, IDLE[0].1];
    // The liars know nothing of the log but its key: their truth is another log under their own.
    let home = tempfile::tempdir().expect("a directory");
    let core = core(home.path());
    let liars = lies.map(|lie| Liar::start_under(siege.log, SharedCore::Writer(core.follow()), LENGTH, lie));
    let directory = tempfile::tempdir().expect("a directory");
    let (log, place) = (siege.log.url(), directory.path().display().to_string());
    let peers = liars.iter().map(|liar| liar.address).chain([siege.address]);
    let peers: Vec<String> = peers.map(|address| format!("--peer={address}")).collect();
    let arguments = ["replicate", &log, "--dir", &place, "--peer-listen", "127.0.0.1:0"];
    let mut replicator = Victim::start(arguments.into_iter().chain(peers.iter().map(String::as_str)));
    let copying = replicator.event("copying");
    let address = copying["address"].as_str().expect("an address").trim_start_matches("tcp://").to_owned();
    let address = address.parse().expect("an address");
    assert_eq!(copy(siege.log, &[address], siege.length).length, siege.length);
    let arguments = ["watch", &log, "--dir", &format!("{place}/watched"), "--sandbox", "off"];
    let mut watcher = Victim::start(arguments.into_iter().chain(peers.iter().map(String::as_str)));
    loop {
        let agrees = watcher.event("agrees");
        if agrees["length"] == json!(siege.length) {
            break;
        }
    }
    // The longer log that they claim is asked for, and what they give for it is refused, at one of the two at least.
    let end = Instant::now() + PATIENCE;
    while liars[0].lies() < 6 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let refused = |network: Value| network["proofsRefused"].as_u64().expect("a count");
    assert!(refused(watcher.terminate()) + refused(replicator.terminate()) > 0);
    siege.end();
}
