//! One connection: the task between a socket and the cores.

mod error;
mod progress;
mod write_buffer;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::replication::PeerId;
use libvms_hypercore::secret_stream::{RANDOM_BYTES, SecretStream};
use libvms_hypercore::wire::mux::Limits;
use libvms_hypercore::wire::session::{Session, SessionError, SessionEvent};
use libvms_hypercore::wire::{Message, Role};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep_until, timeout};

use self::progress::ProgressTimer;
use self::write_buffer::WriteBuffer;
use super::admission::{FREE_BYTES, QuotaExceeded};
use super::byte_budget::ByteBudget;
use super::core_task::Input;
use super::metrics::Counters;
use super::options::NetworkOptions;
use super::outbound::{LinkEnd, OutboundMessage, OutboundReceiver};
use super::shared::Context;

pub(super) use error::ConnectionError;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Encrypted bytes that may wait for the socket before encryption pauses. One message may exceed it.
const WRITE_AHEAD_BYTES: usize = 256 * 1024;

/// Divides timeouts while memory is short; also, how often in one timeout connections are checked.
const PRESSURE_DIVISOR: u32 = 10;

/// Runs a connection over TCP to its end.
pub(super) async fn run_tcp(socket: TcpStream, role: Role, context: Context) -> Result<(), ConnectionError> {
    socket.set_nodelay(true)?;
    let (reader, writer) = socket.into_split();
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(ConnectionError::Random)?;
    run(reader, writer, SecretStream::new(role, &random), context).await
}

/// Runs a connection to its end.
pub(super) async fn run(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    mut stream: SecretStream,
    context: Context,
) -> Result<(), ConnectionError> {
    let patience = context.options.handshake_timeout;
    let shaking = shake_hands(&mut reader, &mut writer, &mut stream, &context.counters);
    timeout(patience, shaking).await.map_err(|_| ConnectionError::HandshakeTimeout(patience))??;
    let role = stream.role();
    let hash = stream.handshake_hash().expect("the handshake is over");
    let (outbound, ends) = OutboundReceiver::new();
    let mut connection = Connection {
        stream,
        session: Session::new(role, hash, Limits::default()),
        context,
        peers: BTreeMap::new(),
        outbound,
        ends,
        budget: ByteBudget::new(),
        unwritten: WriteBuffer::default(),
        unflushed: vec![],
        heard: ProgressTimer::new(),
        written: ProgressTimer::new(),
    };
    let ended = connection.serve(reader, writer).await;
    connection.close_peers().await;
    if let Err(error) = &ended {
        connection.context.presence.leaves(error.reason());
    }
    ended
}

async fn shake_hands(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    stream: &mut SecretStream,
    counters: &Counters,
) -> Result<(), ConnectionError> {
    let mut bytes = vec![];
    loop {
        stream.transmit(&mut bytes);
        writer.write_all(&bytes).await?;
        counters.bytes_out.add(bytes.len() as u64);
        bytes.clear();
        if stream.is_established() {
            return Ok(());
        }
        let mut buffer = [0; 4096];
        match reader.read(&mut buffer).await? {
            0 => return Err(ConnectionError::Refused),
            count => {
                counters.bytes_in.add(count as u64);
                stream.receive(&buffer[..count])?;
            }
        }
    }
}

struct Connection {
    stream: SecretStream,
    session: Session,
    context: Context,
    /// Cores with an open channel.
    peers: BTreeMap<PublicKey, (PeerId, mpsc::Sender<Input>)>,
    outbound: OutboundReceiver,
    ends: mpsc::Receiver<LinkEnd>,
    budget: ByteBudget,
    unwritten: WriteBuffer,
    /// Cores whose sent messages are not written yet.
    unflushed: Vec<PublicKey>,
    heard: ProgressTimer,
    written: ProgressTimer,
}

impl Connection {
    async fn serve(
        &mut self,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
    ) -> Result<(), ConnectionError> {
        let NetworkOptions { idle_timeout, keep_alive_interval, write_timeout, .. } = self.context.options;
        let mut looks =
            interval((idle_timeout.min(write_timeout) / PRESSURE_DIVISOR).max(Duration::from_millis(1)));
        let mut cores = self.context.registry.changes();
        let mut buffer = vec![0; READ_BYTES];
        self.open_cores()?;
        self.read_frames().await?;
        loop {
            self.encrypt();
            if self.unwritten.is_empty() {
                self.flushed().await;
            }
            self.report_memory()?;
            let is_writing = !self.unwritten.is_empty();
            tokio::select! {
                count = reader.read(&mut buffer) => {
                    let count = count?;
                    if count == 0 {
                        return Ok(());
                    }
                    self.read(&buffer[..count]).await?;
                }
                written = writer.write(self.unwritten.waiting()), if is_writing => {
                    let written = written?;
                    self.context.counters.bytes_out.add(written as u64);
                    self.unwritten.wrote(written);
                    self.written.moved(written);
                    if self.unwritten.is_empty() {
                        self.written.done();
                    }
                }
                // A core sends in bursts: a whole burst goes into few frames.
                outgoing = self.outbound.next(), if self.unwritten.waiting().len() < WRITE_AHEAD_BYTES => {
                    self.send(&outgoing);
                    while self.session.transmit_bytes() < WRITE_AHEAD_BYTES
                        && let Some(outgoing) = self.outbound.try_next()
                    {
                        self.send(&outgoing);
                    }
                }
                Some(why) = self.ends.recv() => return Err(why.into()),
                changed = cores.changed() => {
                    if changed.is_err() {
                        return Ok(()); // The network shuts down.
                    }
                    self.open_cores()?;
                    self.read_frames().await?;
                }
                () = sleep_until(self.written.deadline(keep_alive_interval)), if !is_writing => {
                    self.stream.send(vec![]);
                    self.written.done();
                }
                _ = looks.tick() => self.check_timeouts()?,
            }
        }
    }

    /// Checks the timeouts. A connection that uses much memory while little is left has less time.
    fn check_timeouts(&self) -> Result<(), ConnectionError> {
        let NetworkOptions { idle_timeout, write_timeout, .. } = self.context.options;
        let hurry = if self.context.place.is_over_soft_limit() { PRESSURE_DIVISOR } else { 1 };
        if !self.unwritten.is_empty() && self.written.rest() >= write_timeout / hurry {
            return Err(ConnectionError::Stalled(write_timeout / hurry));
        }
        let hurry = if self.stream.memory_bytes() > FREE_BYTES { hurry } else { 1 };
        match self.heard.rest() >= idle_timeout / hurry {
            true => Err(ConnectionError::Idle(idle_timeout / hurry)),
            false => Ok(()),
        }
    }

    async fn read(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        self.context.counters.bytes_in.add(bytes.len() as u64);
        self.stream.receive(bytes)?;
        if self.read_frames().await? {
            self.heard.done();
        } else if self.heard.moved(bytes.len()) {
            for (peer, inputs) in self.peers.values() {
                let _closed = inputs.send(Input::Progress { peer: *peer }).await;
            }
        }
        Ok(())
    }

    /// Reports this connection's memory to its permit, which bounds the sum of all connections.
    fn report_memory(&mut self) -> Result<(), QuotaExceeded> {
        let incoming = self.stream.memory_bytes() + self.session.event_bytes() + self.budget.bytes();
        let outgoing = self.outbound.bytes() + self.session.transmit_bytes() + self.unwritten.memory_bytes();
        self.context.place.hold(incoming + outgoing)
    }

    /// Opens a channel for each core that we hold.
    fn open_cores(&mut self) -> Result<(), SessionError> {
        self.context.registry.keys().into_iter().try_for_each(|key| self.session.open(key))
    }

    /// Handles the frames received; returns whether there was a complete message.
    async fn read_frames(&mut self) -> Result<bool, ConnectionError> {
        let mut has_come = false;
        while let Some(frame) = self.stream.poll_message()? {
            has_come = true;
            self.context.presence.arrived();
            let received = self.session.handle_frame(&frame);
            // The events own copies. A frame may be long, and handling it takes time.
            drop(frame);
            received?;
            self.report_memory()?;
            self.handle_events().await?;
        }
        self.handle_events().await?;
        Ok(has_come)
    }

    async fn handle_events(&mut self) -> Result<(), ConnectionError> {
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
            // The peer may open the core itself a moment later.
            SessionEvent::Rejected { .. } => {}
            SessionEvent::Requested { discovery_key } => match self.context.registry.find(&discovery_key) {
                Some(core) => self.session.serve(core.key)?,
                None => self.session.refuse(&discovery_key),
            },
        }
        Ok(())
    }

    async fn opened(&mut self, core: PublicKey) {
        let Some(handle) = self.context.registry.get(&core) else {
            return self.session.close(&core);
        };
        let peer = PeerId(self.context.registry.peers.fetch_add(1, Ordering::Relaxed));
        let link = self.outbound.link();
        let _closed = handle.inputs.send(Input::Opened { peer, link }).await;
        self.peers.insert(core, (peer, handle.inputs));
    }

    async fn received(&mut self, core: &PublicKey, message: Box<Message>) {
        let Some((peer, inputs)) = self.peers.get(core) else { return };
        let _permit = self.budget.acquire(message.memory_bytes()).await;
        let _closed = inputs.send(Input::Message { peer: *peer, message, _permit }).await;
    }

    async fn closed(&mut self, core: &PublicKey) {
        if let Some((peer, inputs)) = self.peers.remove(core) {
            let _closed = inputs.send(Input::Closed { peer }).await;
        }
    }

    async fn close_peers(&mut self) {
        for (_, (peer, inputs)) in std::mem::take(&mut self.peers) {
            let _closed = inputs.send(Input::Closed { peer }).await;
        }
    }

    fn send(&mut self, OutboundMessage { core, message }: &OutboundMessage) {
        // The channel may have closed meanwhile; then nobody waits for the message.
        if self.session.send(core, message).is_ok() && !self.unflushed.contains(core) {
            self.unflushed.push(*core);
        }
    }

    /// Encrypts pending messages into the write buffer, up to its limit.
    fn encrypt(&mut self) {
        let was_idle = self.unwritten.is_empty();
        while self.unwritten.waiting().len() < WRITE_AHEAD_BYTES {
            let frame = self.session.poll_transmit();
            let is_over = frame.is_none();
            frame.into_iter().for_each(|frame| self.stream.send(frame));
            self.stream.transmit(self.unwritten.end());
            if is_over {
                break;
            }
        }
        if was_idle && !self.unwritten.is_empty() {
            self.written.done();
        }
    }

    /// Tells the cores that everything is written: they may send more.
    async fn flushed(&mut self) {
        for core in std::mem::take(&mut self.unflushed) {
            if let Some((peer, inputs)) = self.peers.get(&core) {
                let _closed = inputs.send(Input::Flushed { peer: *peer }).await;
            }
        }
    }
}
