//! A network that fails: it stands between a client and a server, and loses what a test wants it to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes connections on to a server.
pub(super) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    _task: JoinSet<()>,
}

struct State {
    /// Raised to cut all connections.
    cuts: watch::Sender<u64>,
    loses_answers: AtomicBool,
    refuses: AtomicBool,
    connections: AtomicUsize,
}

impl Proxy {
    pub(super) async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            cuts: watch::Sender::new(0),
            loses_answers: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        });
        let mut task = JoinSet::new();
        let shared = state.clone();
        task.spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                if shared.refuses.load(Ordering::SeqCst) {
                    continue;
                }
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(server).await else { continue };
                passing.spawn(pass(client, server, shared.clone()));
            }
        });
        Self { address, state, _task: task }
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Cuts all connections that there are.
    pub(super) fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Passes requests on, and no answers.
    pub(super) fn lose_answers(&self, is_so: bool) {
        self.state.loses_answers.store(is_so, Ordering::SeqCst);
    }

    /// Takes no new connections.
    pub(super) fn refuse(&self, is_so: bool) {
        self.state.refuses.store(is_so, Ordering::SeqCst);
    }

    /// Connections that were passed on.
    pub(super) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, state: Arc<State>) {
    let mut cut = state.cuts.subscribe();
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let there = tokio::io::copy(&mut from_client, &mut to_server);
    let back = async {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match from_server.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) if state.loses_answers.load(Ordering::SeqCst) => {}
                Ok(read) => {
                    if to_client.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
            }
        }
    };
    tokio::select! {
        _ = there => {}
        () = back => {}
        _ = cut.changed() => {}
    }
}
