//! A path between two sockets that is long, narrow and lossy: [`Relay`].
//!
//! Each direction has two threads: one takes datagrams from a socket and decides what becomes of each, the other sends
//! those that survive once their time has come.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use libvms_hypercore::random::Dice;

use crate::streams::{local, socket};

const DELAY: Duration = Duration::from_millis(50);
/// 100 Mbit/s.
const BYTES_PER_SECOND: f64 = 12_500_000.0;
/// How much may wait for its turn; what comes on top is dropped. A product of rate and round trip, nearly.
const QUEUE_BYTES: f64 = 1_000_000.0;
/// What headers of IP and UDP cost on a real link.
const HEADER_BYTES: usize = 28;
const DATAGRAM_BYTES_MAX: usize = 4096;
/// How soon a relay that nothing comes through any more notices that it is to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is different from path to path.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) loss_percent: u64,
}

/// The path, until it is dropped.
pub(crate) struct Relay {
    /// Where either end finds it, in the order in which the ends were given.
    pub(crate) ports: [u16; 2],
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// A path between the sockets at two ports. What is lost follows from the seed and the order of datagrams.
    pub(crate) fn start(ends: [u16; 2], link: Link, seed: u64) -> Self {
        let sockets = ends.map(|end| {
            let socket = socket();
            socket.connect(local(end)).expect("an address");
            socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
            Arc::new(socket)
        });
        let ports = sockets.each_ref().map(|socket| socket.local_addr().expect("a port").port());
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = vec![];
        for (from, to) in [(0, 1), (1, 0)] {
            let (sender, receiver) = channel();
            let direction = Direction {
                link,
                dice: Dice::for_purpose(seed, from as u64),
                free_at: Instant::now(),
                under_way: sender,
            };
            let (source, stopped) = (sockets[from].clone(), stop.clone());
            threads.push(std::thread::spawn(move || direction.take(&source, &stopped)));
            let target = sockets[to].clone();
            threads.push(std::thread::spawn(move || deliver(&receiver, &target)));
        }
        Self { ports, stop, threads }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

/// A datagram, and when it arrives.
type Late = (Instant, Vec<u8>);

/// What happens to datagrams one way.
struct Direction {
    link: Link,
    dice: Dice,
    /// When all that waits for its turn will have been sent.
    free_at: Instant,
    under_way: Sender<Late>,
}

impl Direction {
    fn take(mut self, source: &UdpSocket, stop: &AtomicBool) {
        let mut datagram = [0; DATAGRAM_BYTES_MAX];
        while !stop.load(Ordering::Relaxed) {
            // An error says that nothing came, or that an end is not there: no reason to stop.
            let Ok(length) = source.recv(&mut datagram) else { continue };
            if let Some(arrival) = self.arrival(Instant::now(), length + HEADER_BYTES) {
                let _closed = self.under_way.send((arrival, datagram[..length].to_vec()));
            }
        }
    }

    /// When a datagram of so many bytes arrives; `None` if it is lost.
    fn arrival(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let is_lost = self.dice.below(100) < self.link.loss_percent;
        let waiting = self.free_at.saturating_duration_since(now).as_secs_f64() * BYTES_PER_SECOND;
        if is_lost || waiting + bytes as f64 > QUEUE_BYTES {
            return None;
        }
        let turn = Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND);
        self.free_at = self.free_at.max(now) + turn;
        Some(self.free_at + DELAY)
    }
}

/// Sends what survived, each at its time. Ends with the thread that takes.
fn deliver(under_way: &Receiver<Late>, target: &UdpSocket) {
    for (arrival, datagram) in under_way {
        std::thread::sleep(arrival.saturating_duration_since(Instant::now()));
        // An end that is not there any more misses nothing.
        let _closed = target.send(&datagram);
    }
}
