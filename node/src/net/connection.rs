//! One connection: the task between a socket and the cores.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libvms_protocol::identity::PublicKey;
use libvms_protocol::replication::{PeerFault, PeerId};
use libvms_protocol::wire::mux::Limits;
use libvms_protocol::wire::session::{Session, SessionError, SessionEvent};
use libvms_protocol::wire::{Message, Role};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::core::{Input, Link, Outgoing};
use super::network::Registry;
use super::secret::{SecretError, SecretStream};

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that sends nothing for so long is gone: JavaScript peers give a sign of life every 5 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often we give a sign of life.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a peer may take nothing of what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Encrypted bytes that wait for the socket before more are made. One message may come on top.
const WRITE_AHEAD_BYTES: usize = 256 * 1024;

/// Why a connection ended, other than by its own end.
#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    #[error("the socket failed: {0}")]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the peer broke the rules: {0}")]
    Fault(#[from] PeerFault),
    #[error("no handshake within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    HandshakeTimeout,
    #[error("no sign of life for {} s", IDLE_TIMEOUT.as_secs())]
    Idle,
    #[error("nothing was taken of what was written for {} s", WRITE_TIMEOUT.as_secs())]
    Stalled,
}

/// Runs a connection to its end.
pub(super) async fn run(
    mut socket: TcpStream,
    role: Role,
    registry: Arc<Registry>,
) -> Result<(), ConnectionError> {
    socket.set_nodelay(true)?;
    let mut stream = SecretStream::new(role)?;
    let shaken = timeout(HANDSHAKE_TIMEOUT, shake_hands(&mut socket, &mut stream)).await;
    if !shaken.map_err(|_| ConnectionError::HandshakeTimeout)?? {
        return Ok(());
    }
    let hash = stream.handshake_hash().expect("the handshake is over");
    let session = Session::new(role, hash, Limits::default());
    let (outbox, outgoing) = mpsc::unbounded_channel();
    let mut connection = Connection {
        stream,
        session,
        registry,
        peers: BTreeMap::new(),
        outbox,
        outgoing,
        unwritten: Vec::new(),
        unflushed: vec![],
        heard_at: Instant::now(),
        written_at: Instant::now(),
    };
    let ended = connection.serve(socket).await;
    connection.close_peers().await;
    ended
}

/// Whether there is a stream afterwards; not if the other side has hung up.
async fn shake_hands(socket: &mut TcpStream, stream: &mut SecretStream) -> Result<bool, ConnectionError> {
    let mut bytes = vec![];
    loop {
        stream.transmit(&mut bytes)?;
        socket.write_all(&bytes).await?;
        bytes.clear();
        if stream.is_established() {
            return Ok(true);
        }
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer).await? {
            0 => return Ok(false),
            count => stream.receive(&buffer[..count])?,
        }
    }
}

struct Connection {
    stream: SecretStream,
    session: Session,
    registry: Arc<Registry>,
    /// Cores whose channel is open.
    peers: BTreeMap<PublicKey, (PeerId, mpsc::Sender<Input>)>,
    outbox: mpsc::UnboundedSender<Outgoing>,
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
    /// Encrypted bytes on their way to the socket.
    unwritten: Vec<u8>,
    /// Peers for whom something is on its way.
    unflushed: Vec<PublicKey>,
    heard_at: Instant,
    written_at: Instant,
}

impl Connection {
    async fn serve(&mut self, socket: TcpStream) -> Result<(), ConnectionError> {
        let (mut reader, mut writer) = socket.into_split();
        let mut cores = self.registry.changes();
        let mut buffer = vec![0; READ_BYTES];
        self.open_cores()?;
        self.take_in().await?;
        loop {
            self.encrypt()?;
            if self.unwritten.is_empty() {
                self.flushed().await;
            }
            let (idle, alive) = (self.heard_at + IDLE_TIMEOUT, self.written_at + KEEP_ALIVE_INTERVAL);
            let is_writing = !self.unwritten.is_empty();
            tokio::select! {
                count = reader.read(&mut buffer) => {
                    let count = count?;
                    if count == 0 {
                        return Ok(());
                    }
                    self.heard_at = Instant::now();
                    self.stream.receive(&buffer[..count])?;
                    self.take_in().await?;
                }
                written = writer.write(&self.unwritten), if is_writing => {
                    let written = written?;
                    self.unwritten.drain(..written);
                    self.written_at = Instant::now();
                }
                // What a core has sent comes in bursts: all of it goes into few frames.
                outgoing = self.outgoing.recv(), if self.unwritten.len() < WRITE_AHEAD_BYTES => {
                    let outgoing = outgoing.expect("we hold a sender ourselves");
                    self.send(outgoing)?;
                    while self.session.transmit_bytes() < WRITE_AHEAD_BYTES
                        && let Ok(outgoing) = self.outgoing.try_recv()
                    {
                        self.send(outgoing)?;
                    }
                }
                changed = cores.changed() => {
                    if changed.is_err() {
                        return Ok(()); // The network shuts down.
                    }
                    self.open_cores()?;
                    self.take_in().await?;
                }
                () = tokio::time::sleep_until(alive), if !is_writing => {
                    self.stream.send(vec![]);
                    self.written_at = Instant::now();
                }
                () = tokio::time::sleep_until(self.written_at + WRITE_TIMEOUT), if is_writing => {
                    return Err(ConnectionError::Stalled);
                }
                () = tokio::time::sleep_until(idle) => return Err(ConnectionError::Idle),
            }
        }
    }

    /// Opens the channels of all cores that are held here.
    fn open_cores(&mut self) -> Result<(), SessionError> {
        self.registry.keys().into_iter().try_for_each(|key| self.session.open(key))
    }

    /// Hands on what has come.
    async fn take_in(&mut self) -> Result<(), ConnectionError> {
        while let Some(frame) = self.stream.poll_message()? {
            self.session.receive(&frame)?;
            while let Some(event) = self.session.poll_event() {
                self.handle(event).await?;
            }
        }
        while let Some(event) = self.session.poll_event() {
            self.handle(event).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, event: SessionEvent) -> Result<(), ConnectionError> {
        match event {
            SessionEvent::Opened { core } => self.opened(core).await,
            SessionEvent::Message { core, message } => self.received(&core, message).await,
            SessionEvent::Closed { core } => self.closed(&core).await,
            // It may open the core itself a moment later.
            SessionEvent::Rejected { .. } => {}
            SessionEvent::Requested { discovery_key } => match self.registry.find(&discovery_key) {
                Some(core) => self.session.serve(core.key)?,
                None => self.session.refuse(&discovery_key),
            },
        }
        Ok(())
    }

    async fn opened(&mut self, core: PublicKey) {
        let Some(handle) = self.registry.get(&core) else {
            return self.session.close(&core);
        };
        let peer = PeerId(self.registry.peers.fetch_add(1, Ordering::Relaxed));
        let link = Link { outbox: self.outbox.clone() };
        let _gone = handle.inputs.send(Input::Opened { peer, link }).await;
        self.peers.insert(core, (peer, handle.inputs));
    }

    async fn received(&mut self, core: &PublicKey, message: Box<Message>) {
        if let Some((peer, inputs)) = self.peers.get(core) {
            let _gone = inputs.send(Input::Message { peer: *peer, message }).await;
        }
    }

    async fn closed(&mut self, core: &PublicKey) {
        if let Some((peer, inputs)) = self.peers.remove(core) {
            let _gone = inputs.send(Input::Closed { peer }).await;
        }
    }

    async fn close_peers(&mut self) {
        for (_, (peer, inputs)) in std::mem::take(&mut self.peers) {
            let _gone = inputs.send(Input::Closed { peer }).await;
        }
    }

    fn send(&mut self, outgoing: Outgoing) -> Result<(), ConnectionError> {
        match outgoing {
            Outgoing::Fault { why } => Err(why.into()),
            Outgoing::Message { core, message } => {
                // The channel may have closed meanwhile; then nobody waits for the message.
                if self.session.send(&core, &message).is_ok() && !self.unflushed.contains(&core) {
                    self.unflushed.push(core);
                }
                Ok(())
            }
        }
    }

    /// Makes bytes for the socket of what waits, as far as it may.
    fn encrypt(&mut self) -> Result<(), ConnectionError> {
        let was_idle = self.unwritten.is_empty();
        while self.unwritten.len() < WRITE_AHEAD_BYTES {
            let frame = self.session.poll_transmit();
            let is_over = frame.is_none();
            frame.into_iter().for_each(|frame| self.stream.send(frame));
            self.stream.transmit(&mut self.unwritten)?;
            if is_over {
                break;
            }
        }
        if was_idle && !self.unwritten.is_empty() {
            self.written_at = Instant::now();
        }
        Ok(())
    }

    /// Everything is written: the cores may hand out more.
    async fn flushed(&mut self) {
        for core in std::mem::take(&mut self.unflushed) {
            if let Some((peer, inputs)) = self.peers.get(&core) {
                let _gone = inputs.send(Input::Flushed { peer: *peer }).await;
            }
        }
    }
}
