//! Datagrams that broke others, against a host that is found by key, while an honest watcher goes on.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::random::Dice;
use libvms_hyperswarm::dht_rpc::{Address, Command, Message, Request, Response, Target};
use libvms_hyperswarm::hyperdht::envelope::{HandshakeEnvelope, HolepunchEnvelope, Mode};
use serde_json::json;

use super::insider::Insider;
use super::{Dht, Hosting, Running, local};
use crate::support::{TestService, memory, processor_time, run, variable};

const PEER_HANDSHAKE: Command = Command::External(0);
const PEER_HOLEPUNCH: Command = Command::External(1);
const MUTABLE_PUT: Command = Command::External(6);
const MIB: u64 = 1 << 20;

/// A host, somebody who follows it, and somebody who attacks it from several addresses.
struct Siege {
    dht: Dht,
    host: Hosting,
    watching: Running,
    /// All sockets of the host.
    targets: Vec<SocketAddr>,
    attackers: Vec<UdpSocket>,
    length: u64,
    _place: TestService,
    _directory: tempfile::TempDir,
}

impl Siege {
    fn new() -> Self {
        let dht = Dht::rust(3);
        let place = TestService::of_example("counter.js");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut host = dht.host(&place);
        host.running.until_announced(3);
        let watching = dht.watch(&host.log(), directory.path());
        let targets = udp_sockets(host.running.process.id());
        assert_eq!(targets.len(), 2, "one that others know, and one that asks");
        let bind = |ip| UdpSocket::bind((ip, 0)).expect("a port");
        let attackers = ["127.0.0.1", "127.0.0.2", "127.8.9.10"].map(bind).into();
        let mut siege =
            Self { dht, host, watching, targets, attackers, length: 1, _place: place, _directory: directory };
        siege.assert_unharmed();
        siege
    }

    /// Sends a datagram to every socket of the host from every address.
    fn send(&self, datagram: &[u8]) {
        for attacker in &self.attackers {
            for target in &self.targets {
                attacker.send_to(datagram, target).expect("a socket");
            }
        }
    }

    fn request(&self, command: Command, target: [u8; 32], value: Option<Vec<u8>>) {
        let (to, target) = (address(self.targets[0]), Some(Target(target)));
        let request = Request { tid: 7, to, id: None, token: None, command, target, value };
        self.send(&Message::Request(request).encode());
    }

    fn log(&self) -> PublicKey {
        self.host.log().parse().expect("a key")
    }

    /// A call is answered, and reaches the watcher.
    fn assert_unharmed(&mut self) {
        run(async { self.host.client().await.call("increment", json!([])).await });
        self.length += 1;
        self.watching.until_agrees(self.length);
    }

    /// Asserts that it is unharmed, for those who know it and for somebody new, and ends in order.
    fn end(mut self) {
        self.assert_unharmed();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut newcomer = self.dht.watch(&self.host.log(), directory.path());
        newcomer.until_agrees(self.length);
        newcomer.terminate();
        self.watching.terminate();
        let said = self.host.running.terminate();
        assert_eq!(said["closed"]["faulty"], json!(0), "{said}");
    }
}

/// Where a process has UDP sockets, as others on this machine reach them.
fn udp_sockets(process: u32) -> Vec<SocketAddr> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).expect("it runs");
    let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let inode = |link: &Path| Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned());
    let inodes: BTreeSet<String> = links.filter_map(|link| inode(&link)).collect();
    let table = std::fs::read_to_string("/proc/net/udp").expect("a table of sockets");
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let ports = rows.filter(|row| inodes.contains(row[9])).filter_map(|row| row[1].split_once(':'));
    ports.map(|(_, port)| local(u64::from_str_radix(port, 16).expect("a port"))).collect()
}

fn address(address: SocketAddr) -> Address {
    Address::try_from(address).expect("IPv4")
}

/// A packet of a stream.
fn packet(kind: u8, stream: u32, [window, sequence, acknowledged]: [u32; 3], rest: &[u8]) -> Vec<u8> {
    let numbers = [stream, window, sequence, acknowledged].map(u32::to_le_bytes).concat();
    [&[0xff, 1, kind, 0], numbers.as_slice(), rest].concat()
}

#[test]
fn requests_and_answers_that_nobody_expects_do_no_harm() {
    let mut siege = Siege::new();
    let holepunch = HolepunchEnvelope { mode: Mode::FromClient, id: 0, payload: vec![1; 80], peer: None };
    let own = *siege.log().discovery_key().first_chunk().expect("32 bytes");
    for target in [[9; 32], own] {
        for mode in [Mode::FromClient, Mode::FromRelay, Mode::FromSecondRelay] {
            let holepunch = HolepunchEnvelope { mode, ..holepunch.clone() };
            siege.request(PEER_HOLEPUNCH, target, Some(holepunch.encode()));
        }
        for mode in [Mode::FromClient, Mode::FromServer, Mode::FromRelay, Mode::FromSecondRelay, Mode::Reply]
        {
            for somebody in [None, Some(address(siege.targets[1])), Some(address(siege.dht.nodes[0]))] {
                let envelope =
                    HandshakeEnvelope { mode, noise: vec![3; 200], peer: somebody, relay: somebody };
                siege.request(PEER_HANDSHAKE, target, Some(envelope.encode()));
            }
        }
        siege.request(MUTABLE_PUT, target, Some(vec![5; 300]));
    }
    for command in [PEER_HANDSHAKE, PEER_HOLEPUNCH, MUTABLE_PUT, Command::External(1 << 52)] {
        siege.request(command, [9; 32], None);
        siege.request(command, [9; 32], Some(vec![]));
    }
    for tid in [0, 1, u16::MAX] {
        let to = address(siege.targets[0]);
        let closer = vec![address(siege.targets[1]); 20];
        let response = Response { tid, to, id: None, token: None, closer, error: None, value: Some(vec![1]) };
        siege.send(&Message::Response(response).encode());
    }
    siege.assert_unharmed();
    siege.end();
}

/// Datagrams by chance: a third begin as requests, a third as answers, and of the others half as packets of streams.
struct Noise(Dice);

impl Noise {
    fn next(&mut self) -> Vec<u8> {
        let length = self.0.index(300);
        let mut datagram = self.0.bytes(length);
        let begin: &[u8] = match self.0.below(6) {
            0 | 1 => &[0x03],
            2 | 3 => &[0x13],
            4 => &[0xff, 1],
            _ => &[],
        };
        datagram.splice(..begin.len().min(length), begin.iter().copied());
        datagram
    }
}

#[test]
fn two_thousand_random_datagrams_do_no_harm() {
    let mut siege = Siege::new();
    let mut noise = Noise(Dice::new(variable("VMS_SEED", 1)));
    for _ in 0..2_000 / siege.attackers.len() {
        siege.send(&noise.next());
    }
    siege.assert_unharmed();
    siege.end();
}

#[test]
fn packets_from_elsewhere_neither_stop_nor_stall_a_stream() {
    let mut siege = Siege::new();
    let mut insider = Insider::new(&siege.dht.bootstrap, &siege.log());
    insider.until(|insider| insider.heard > 100);
    insider.rest(Duration::from_millis(500));
    let (_, to, stream) = insider.stream();
    let spent = processor_time(siege.host.running.process.id());
    let everything = [0_u32, u32::MAX].map(u32::to_le_bytes).concat();
    for sequence in [0, 1, 2, 1 << 31, u32::MAX] {
        for acknowledged in [0, 1, 2, 1 << 31, u32::MAX] {
            let numbers = [4 << 20, sequence, acknowledged];
            for datagram in [
                packet(0, stream, numbers, &[]),
                packet(4, stream, numbers, &everything),
                packet(4, stream, numbers, &everything.repeat(60)),
                packet(2, stream, numbers, &[]),
                packet(3, stream, numbers, b"over"),
                packet(1, stream, numbers, b"something else"),
                packet(16, stream, numbers, &[]),
                packet(32, stream, numbers, &[]),
                packet(63, stream, numbers, &everything),
            ] {
                for attacker in &siege.attackers {
                    attacker.send_to(&datagram, to).expect("a socket");
                }
            }
        }
    }
    insider.rest(Duration::from_millis(500));
    let heard = insider.heard;
    // The host gives a sign of life every five seconds, and says nothing else to this peer.
    insider.rest(Duration::from_secs(7));
    assert!(insider.closed == 0 && insider.heard > heard, "the stream goes on");
    let spent = processor_time(siege.host.running.process.id()) - spent;
    assert!(spent < Duration::from_secs(5), "{spent:?}");
    siege.assert_unharmed();
    assert!(siege.host.running.lines.try_iter().all(|said| said["event"] != "disconnected"));
    // The number was the right one: from the peer itself, such a packet ends it.
    let (own, to, stream) = insider.stream();
    own.send_to(&packet(16, stream, [4 << 20, 1 << 20, 0], &[]), to).expect("a socket");
    let address = own.local_addr().expect("an address").to_string();
    siege.host.running.until_that("disconnected", |gone| gone["address"] == address.as_str());
    siege.end();
}

#[test]
fn handshakes_that_are_played_again_connect_nobody() {
    let mut siege = Siege::new();
    let mut insider = Insider::new(&siege.dht.bootstrap, &siege.log());
    insider.until(|insider| insider.heard > 100);
    siege.host.running.until("connected");
    siege.host.running.until("connected");
    let is_handshake = |bytes: &[u8]| match Message::decode(bytes) {
        Ok(Message::Request(request)) => request.command == PEER_HANDSHAKE,
        _ => false,
    };
    let handshakes = insider.sent.iter().filter(|(_, _, bytes)| is_handshake(bytes));
    let handshakes: Vec<_> = handshakes.map(|(_, relay, bytes)| (*relay, bytes.clone())).collect();
    assert!(!handshakes.is_empty());
    for _ in 0..50 {
        for (relay, handshake) in &handshakes {
            for attacker in &siege.attackers {
                attacker.send_to(handshake, relay).expect("a socket");
            }
            siege.send(handshake);
        }
        insider.until(|_| true);
    }
    let heard = insider.heard;
    insider.until(|insider| insider.heard > heard || insider.closed > 0);
    assert_eq!(insider.closed, 0, "its own connection goes on");
    siege.assert_unharmed();
    let others = siege.host.running.lines.try_iter().filter(|said| said["event"] == "connected").count();
    assert_eq!(others, 0, "nobody else was let in");
    siege.end();
}

/// The long form of `two_thousand_random_datagrams_do_no_harm`: as many as the machine sends, up to 100,000 a second.
#[test]
#[ignore = "takes a minute, and the whole machine"]
fn a_minute_of_random_datagrams_at_full_rate_does_no_harm() {
    let mut siege = Siege::new();
    let mut noise = Noise(Dice::new(variable("VMS_SEED", 1)));
    let datagrams: Vec<Vec<u8>> = (0..50_000).map(|_| noise.next()).collect();
    let (seconds, rate) = (variable("VMS_FLOOD_SECONDS", 60), variable("VMS_FLOOD_RATE", 100_000));
    let host = siege.host.running.process.id();
    let before = memory(host, "VmRSS:");
    let started = Instant::now();
    let (mut sent, mut waits, mut most) = (0_u64, vec![], before);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (attackers, targets) = (&siege.attackers, &siege.targets);
        let attackers: Vec<UdpSocket> =
            attackers.iter().map(|one| one.try_clone().expect("a socket")).collect();
        let (targets, is_over) = (targets.clone(), &is_over);
        let flood = scope.spawn(move || {
            let mut sent = 0_u64;
            for (at, datagram) in datagrams.iter().cycle().enumerate() {
                if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                if let Some(early) = due.checked_sub(started.elapsed()) {
                    std::thread::sleep(early);
                }
                // A full buffer of the system loses it, as it loses those of honest peers.
                let target = targets[at % targets.len()];
                sent += u64::from(attackers[at % attackers.len()].send_to(datagram, target).is_ok());
            }
            sent
        });
        while started.elapsed() < Duration::from_secs(seconds) {
            let asked = Instant::now();
            siege.assert_unharmed();
            waits.push(asked.elapsed());
            most = most.max(memory(host, "VmRSS:"));
            std::thread::sleep(Duration::from_millis(200));
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        sent = flood.join().expect("it sends on");
    });
    waits.sort_unstable();
    let figures = json!({
        "datagrams": sent, "perSecond": sent as f64 / started.elapsed().as_secs_f64(),
        "calls": waits.len(), "callToWatcherP50Ms": waits[waits.len() / 2].as_millis(),
        "callToWatcherMaxMs": waits[waits.len() - 1].as_millis(),
        "residentBeforeMib": before / MIB, "residentMostMib": most / MIB,
        "hostProcessorSeconds": processor_time(host).as_secs_f64(),
    });
    writeln!(std::io::stdout(), "{figures}").expect("somebody reads");
    assert!(most < before + 64 * MIB, "{figures}");
    siege.end();
}
