//! A path between two sockets on this machine that is as long, as wide and as bad as one of the world: [`Path`].

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

/// How long a datagram is under way.
pub(super) const DELAY: Duration = Duration::from_millis(50);
/// What the path carries: a hundred megabits a second, a fraction of what one processor relays.
pub(super) const BYTES_PER_SECOND: u64 = 12_500_000;
/// So much later than if nothing else was under way a datagram may leave; more of them are dropped.
const QUEUE: Duration = Duration::from_millis(100);
/// Datagrams under way are bounded by delay and queue; this bounds small ones.
const DATAGRAMS_MAX: usize = 1 << 16;
const BUFFER_BYTES: usize = 4 << 20;
/// Of IP and UDP.
const HEADER_BYTES: u64 = 28;

/// Both directions between two ends.
pub(super) struct Path {
    /// Where each end finds the other.
    pub(super) doors: [SocketAddr; 2],
    stop: UdpSocket,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Path {
    /// Relays between two ends, and loses so many of a hundred datagrams by a chance that depends on the seed.
    pub(super) fn between(ends: [SocketAddr; 2], loss_percent: u64, seed: u64) -> Self {
        let sockets = [socket(), socket()];
        let doors = [0, 1].map(|end| sockets[end].local_addr().expect("it is bound"));
        let stop = socket();
        let stopper = stop.local_addr().expect("it is bound");
        let mut threads = vec![];
        for (near, far) in [(0, 1), (1, 0)] {
            let (sender, receiver) = sync_channel(DATAGRAMS_MAX);
            let clone = |end: usize| sockets[end].try_clone().expect("a socket");
            let (read, write, to) = (clone(near), clone(far), ends[far]);
            let direction = Direction {
                stopper,
                // Far from small numbers, of which the generator makes small ones, and with them losses, for a while.
                chance: (2 * seed + near as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                loss_percent,
                free_at: Instant::now(),
                sender,
            };
            threads.push(thread::spawn(move || direction.read(&read)));
            threads.push(thread::spawn(move || deliver(&receiver, &write, to)));
        }
        Self { doors, stop, threads }
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        for door in self.doors {
            self.stop.send_to(&[], door).expect("a socket");
        }
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let _less = SockRef::from(&socket).set_recv_buffer_size(BUFFER_BYTES);
    socket
}

struct Direction {
    stopper: SocketAddr,
    chance: u64,
    loss_percent: u64,
    free_at: Instant,
    sender: SyncSender<(Instant, Vec<u8>)>,
}

impl Direction {
    fn read(mut self, socket: &UdpSocket) {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if from == self.stopper {
                return;
            }
            let now = Instant::now();
            let starts_at = self.free_at.max(now);
            if self.is_lost() || starts_at > now + QUEUE {
                continue;
            }
            let nanoseconds = (length as u64 + HEADER_BYTES) * 1_000_000_000 / BYTES_PER_SECOND;
            self.free_at = starts_at + Duration::from_nanos(nanoseconds);
            // More than that many under way: the queue is full of small ones.
            let _dropped = self.sender.try_send((self.free_at + DELAY, buffer[..length].to_vec()));
        }
    }

    fn is_lost(&mut self) -> bool {
        // Marsaglia's xorshift: the same losses in every run.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 32) % 100 < self.loss_percent
    }
}

fn deliver(datagrams: &Receiver<(Instant, Vec<u8>)>, socket: &UdpSocket, to: SocketAddr) {
    for (due, datagram) in datagrams {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let _lost = socket.send_to(&datagram, to);
    }
}
