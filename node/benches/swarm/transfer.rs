//! Single streams over bad paths: ours is the machine with a socket of its own, that of JavaScript is udx-native.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libvms_protocol::udx::{self, Endpoint, Firewall, Settings};
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::javascript::Js;
use super::path::{BYTES_PER_SECOND, DELAY, Path};
use super::{Extent, compare};

const BYTES: usize = 32 << 20;
const PART_MAX: usize = 4;
const PIECE_BYTES: usize = 65_536;
const LOSS_PERCENTS: [u64; 3] = [0, 1, 5];
const BUFFER_BYTES: usize = 1 << 20;
/// The ids of the sending and of the receiving stream.
const IDS: [u32; 2] = [1, 2];

pub(super) async fn measure(extent: Extent) -> Value {
    // Less says nothing about a path on which an answer takes a tenth of a second.
    let bytes = BYTES / extent.part.min(PART_MAX);
    let mut report = json!({ "delayMs": DELAY.as_millis(), "pathCarries": BYTES_PER_SECOND, "bytes": bytes });
    for loss in LOSS_PERCENTS {
        let mut rates = [const { vec![] }; 4];
        for run in 0..extent.runs {
            for (way, rates) in
                [(true, true), (false, false), (true, false), (false, true)].iter().zip(&mut rates)
            {
                let ends = [End::new(way.0).await, End::new(way.1).await];
                rates.push(transfer(ends, bytes, loss, run as u64).await);
            }
        }
        report[format!("lost{loss}Percent")] = compare(rates);
    }
    report
}

/// Bytes a second.
async fn transfer(ends: [End; 2], bytes: usize, loss_percent: u64, seed: u64) -> f64 {
    let path = Path::between([ends[0].address(), ends[1].address()], loss_percent, seed);
    let [sender, receiver] = ends;
    let receiver = receiver.start(path.doors[1], 1, 0, bytes);
    let start = Instant::now();
    let sender = sender.start(path.doors[0], 0, bytes, 0);
    receiver.finished().await;
    let rate = bytes as f64 / start.elapsed().as_secs_f64();
    drop(sender);
    rate
}

/// One end of a stream.
enum End {
    Rust(Arc<UdpSocket>),
    Js { process: Js, port: u16 },
}

/// An end at work, until it is dropped.
enum Working {
    Rust { received: oneshot::Receiver<()>, task: JoinHandle<()> },
    Js(Js),
}

impl End {
    async fn new(is_rust: bool) -> Self {
        if is_rust {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
            let _less = SockRef::from(&socket).set_recv_buffer_size(BUFFER_BYTES);
            return Self::Rust(Arc::new(socket));
        }
        let mut process = Js::start("stream", &[]);
        let port = process.line()["port"].as_u64().expect("a port") as u16;
        Self::Js { process, port }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Rust(socket) => socket.local_addr().expect("it is bound"),
            Self::Js { port, .. } => (Ipv4Addr::LOCALHOST, *port).into(),
        }
    }

    fn start(self, remote: SocketAddr, own: usize, send: usize, receive: usize) -> Working {
        let (id, remote_id) = (IDS[own], IDS[1 - own]);
        match self {
            Self::Rust(socket) => {
                let (done, received) = oneshot::channel();
                let stream = RustStream::new(socket, id, remote, remote_id);
                Working::Rust { received, task: tokio::spawn(stream.run(send, receive, done)) }
            }
            Self::Js { mut process, .. } => {
                let port = remote.port();
                process.tell(&json!({ "id": id, "remoteId": remote_id, "port": port, "send": send, "receive": receive }));
                Working::Js(process)
            }
        }
    }
}

impl Working {
    async fn finished(mut self) {
        match &mut self {
            Self::Rust { received, .. } => received.await.expect("all bytes"),
            Self::Js(process) => drop(process.line()),
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if let Self::Rust { task, .. } = self {
            task.abort();
        }
    }
}

struct RustStream {
    socket: Arc<UdpSocket>,
    endpoint: Endpoint,
    start: Instant,
    id: u32,
}

impl RustStream {
    fn new(socket: Arc<UdpSocket>, id: u32, remote: SocketAddr, remote_id: u32) -> Self {
        let mut endpoint = Endpoint::new(Settings::default());
        endpoint.open(Duration::ZERO, id, Firewall::Closed).expect("a new id");
        endpoint.connect(Duration::ZERO, id, udx::Path::of(remote), remote_id).expect("a new stream");
        Self { socket, endpoint, start: Instant::now(), id }
    }

    async fn run(mut self, mut send: usize, mut receive: usize, done: oneshot::Sender<()>) {
        let mut done = Some(done).filter(|_| receive > 0);
        let mut piece = vec![7; PIECE_BYTES];
        loop {
            send -= self.endpoint.write(self.id, &piece[..send.min(PIECE_BYTES)]).expect("it is open");
            loop {
                let read = self.endpoint.read(self.id, &mut piece).expect("it is open");
                receive -= read;
                if read == 0 {
                    break;
                }
            }
            if receive == 0
                && let Some(done) = done.take()
            {
                let _nobody_waits = done.send(());
            }
            self.send().await;
            while self.endpoint.poll_event().is_some() {}
            self.wait().await;
        }
    }

    async fn send(&mut self) {
        let mut datagram = vec![];
        while let Some(path) = self.endpoint.poll_datagram(self.start.elapsed(), &mut datagram) {
            let _lost = self.socket.send_to(&datagram, path.remote).await;
        }
    }

    /// Waits for datagrams, or until something else is due.
    async fn wait(&mut self) {
        const ENDLESS: Duration = Duration::from_secs(3600);
        let due = self.start + self.endpoint.next_timeout().unwrap_or(ENDLESS);
        let _due = tokio::time::timeout_at(due.into(), self.socket.readable()).await;
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = self.socket.try_recv_from(&mut buffer) {
            self.endpoint.receive(self.start.elapsed(), udx::Path::of(from), &buffer[..length]);
        }
    }
}
