//! One end of a raw stream: a stock one in a process, or our machine in a thread. Start from [`End`].

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use libvms_hypercore::time;
use libvms_hyperswarm::udx::{Config, Endpoint, Firewall, Path};
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use crate::javascript::Js;
use crate::streams::{PATIENCE, local, socket};

/// The ids under which the two ends know each other.
pub(crate) const SENDER: u32 = 1;
pub(crate) const RECEIVER: u32 = 2;
/// As much is written and read at once, by either kind.
const PIECE_BYTES: usize = 64 << 10;
/// As many datagrams are received or sent before the other is looked at.
const BATCH: usize = 32;
const DATAGRAM_BYTES_MAX: usize = 4096;

/// Who wrote the stream's code.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Rust,
    Js,
}

/// What an end does.
#[derive(Clone, Copy)]
pub(crate) struct Duty {
    pub(crate) id: u32,
    pub(crate) remote_id: u32,
    pub(crate) remote_port: u16,
    pub(crate) writes: u64,
    pub(crate) reads: u64,
}

/// One end, until it is dropped.
pub(crate) enum End {
    Rust(Machine),
    Js(Js, u16),
}

impl End {
    /// An end that has a socket and does nothing yet.
    pub(crate) fn start(kind: Kind) -> Self {
        match kind {
            Kind::Rust => Self::Rust(Machine::new()),
            Kind::Js => {
                let mut process = Js::start("swarm/stream.js", &[]);
                let port = Js::port(&process.line());
                Self::Js(process, port)
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Rust(machine) => machine.port,
            Self::Js(_, port) => *port,
        }
    }

    pub(crate) fn begin(&mut self, duty: Duty) {
        match self {
            Self::Rust(machine) => machine.begin(duty),
            Self::Js(process, _) => {
                let Duty { id, remote_id, remote_port, writes, reads } = duty;
                let duty = json!({
                    "id": id, "remoteId": remote_id, "remotePort": remote_port, "writes": writes, "reads": reads,
                    "pieceBytes": PIECE_BYTES, "patienceMs": PATIENCE.as_millis() as u64,
                });
                writeln!(process.process.stdin.as_mut().expect("a pipe"), "{duty}").expect("it listens");
            }
        }
    }

    /// Waits until everything has come, or for so long; gives how many bytes came.
    pub(crate) fn received(&mut self) -> u64 {
        match self {
            Self::Rust(machine) => machine.received.recv().expect("it goes on until it is stopped"),
            Self::Js(process, _) => process.line()["received"].as_u64().expect("a number"),
        }
    }
}

/// Our machine on a socket of its own.
pub(crate) struct Machine {
    port: u16,
    /// Until it begins.
    idle: Option<(std::net::UdpSocket, Sender<u64>)>,
    received: Receiver<u64>,
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Machine {
    fn new() -> Self {
        let socket = socket();
        socket.set_nonblocking(true).expect("a socket");
        let port = socket.local_addr().expect("a port").port();
        let (sender, received) = channel();
        Self { port, idle: Some((socket, sender)), received, thread: None }
    }

    fn begin(&mut self, duty: Duty) {
        let (socket, done) = self.idle.take().expect("it begins once");
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let work = async move {
            let socket = UdpSocket::from_std(socket).expect("a runtime");
            tokio::select! {
                () = Driver::new(socket, duty, done).run() => {}
                _ = stopped => {}
            }
        };
        self.thread = Some((stop, std::thread::spawn(move || runtime.block_on(work))));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            let _panicked = stop.send(());
            let _panicked = thread.join();
        }
    }
}

/// Moves datagrams between the machine and the socket, as the swarm does.
struct Driver {
    endpoint: Endpoint,
    socket: UdpSocket,
    start: Instant,
    duty: Duty,
    read: u64,
    /// Until it was told.
    done: Option<Sender<u64>>,
    piece: Vec<u8>,
}

impl Driver {
    fn new(socket: UdpSocket, duty: Duty, done: Sender<u64>) -> Self {
        let mut endpoint = Endpoint::new(Config::default());
        let start = Instant::now();
        endpoint.open(time::Instant::START, duty.id, Firewall::Closed).expect("a free id");
        let path = Path::of(local(duty.remote_port));
        endpoint.connect(time::Instant::START, duty.id, path, duty.remote_id).expect("not connected");
        let done = (duty.reads > 0).then_some(done);
        Self { endpoint, socket, start, duty, read: 0, done, piece: vec![0; PIECE_BYTES] }
    }

    /// Goes on for ever: what was sent last may have to be sent again.
    async fn run(mut self) {
        loop {
            let received = self.receive();
            self.work();
            if self.send().await + received == 0 {
                self.wait().await;
            }
        }
    }

    /// Returns the time of the machine.
    fn now(&self) -> time::Instant {
        time::Instant::after(self.start.elapsed())
    }

    fn receive(&mut self) -> usize {
        let mut datagram = [0; DATAGRAM_BYTES_MAX];
        for count in 0..BATCH {
            let Ok((length, from)) = self.socket.try_recv_from(&mut datagram) else { return count };
            self.endpoint.handle_datagram(self.now(), Path::of(from), &datagram[..length]);
        }
        BATCH
    }

    /// What a program does with its stream.
    fn work(&mut self) {
        while self.endpoint.poll_event().is_some() {}
        while self.duty.writes > 0 {
            let bytes = self.duty.writes.min(PIECE_BYTES as u64) as usize;
            let written = self.endpoint.write(self.duty.id, &self.piece[..bytes]).expect("a stream");
            self.duty.writes -= written as u64;
            if written < bytes {
                break;
            }
        }
        loop {
            match self.endpoint.read(self.duty.id, &mut self.piece).expect("a stream") {
                0 => break,
                bytes => self.read += bytes as u64,
            }
        }
        if self.read >= self.duty.reads || self.start.elapsed() >= PATIENCE {
            self.done.take().into_iter().for_each(|done| done.send(self.read).expect("somebody waits"));
        }
    }

    async fn send(&mut self) -> usize {
        let mut datagram = vec![];
        for count in 0..BATCH {
            let polled = self.endpoint.poll_transmit(self.now(), &mut datagram);
            let Some(path) = polled else { return count };
            // A datagram that cannot be sent is lost, as others are on the way.
            let _lost = self.socket.send_to(&datagram, path.remote).await;
        }
        BATCH
    }

    /// Waits for a datagram or for the machine's time.
    async fn wait(&self) {
        let timeout = self.endpoint.poll_timeout().map_or(PATIENCE, |at| at.since_start().min(PATIENCE));
        let next = self.start + timeout.max(self.start.elapsed());
        tokio::select! {
            _ = self.socket.readable() => {}
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }
}
