//! A peer that can be made to do anything: the library's own handshake and messages over a blocking socket, and at
//! every layer a way to send what no honest peer would.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use libvms_hypercore::encoding::Writer;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::secret_stream::{RANDOM_BYTES, SecretStream};
use libvms_hypercore::wire::message::Message;
use libvms_hypercore::wire::mux::Limits;
use libvms_hypercore::wire::{Role, Session, SessionEvent};

/// How long a test waits for what must happen at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait in order to say that nothing comes.
const SILENCE: Duration = Duration::from_millis(300);

/// One end of an encrypted stream with channels.
pub(super) struct Peer {
    pub(super) socket: TcpStream,
    stream: SecretStream,
    session: Session,
    is_over: bool,
}

impl Peer {
    /// Connects, and shakes hands as an honest peer does.
    pub(super) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("it listens");
        Self::shake_hands(socket, Role::Initiator).expect("it shakes hands")
    }

    /// As [`Peer::connect`], with a channel for a core.
    pub(super) fn open(address: SocketAddr, core: PublicKey) -> Self {
        let mut peer = Self::connect(address);
        peer.open_core(core);
        peer
    }

    /// Shakes hands; `None` when the other side ends the connection instead.
    pub(super) fn shake_hands(mut socket: TcpStream, role: Role) -> Option<Self> {
        socket.set_nodelay(true).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
        let mut stream = SecretStream::new(role, &[7; RANDOM_BYTES]);
        while !stream.is_established() {
            let mut bytes = vec![];
            stream.transmit(&mut bytes);
            socket.write_all(&bytes).ok()?;
            let mut buffer = [0; 4096];
            let count = socket.read(&mut buffer).ok().filter(|count| *count > 0)?;
            stream.receive(&buffer[..count]).expect("the victim is honest");
        }
        let hash = stream.handshake_hash().expect("the handshake is over");
        Some(Self { socket, stream, session: Session::new(role, hash, Limits::default()), is_over: false })
    }

    /// Opens the channel of a core, and waits until the other side has.
    pub(super) fn open_core(&mut self, core: PublicKey) {
        self.try_open_core(core).expect("the core is served");
    }

    /// As [`Peer::open_core`]; `None` when the connection ends first.
    pub(super) fn try_open_core(&mut self, core: PublicKey) -> Option<()> {
        self.begin_open(core);
        self.flush();
        self.until(|event| matches!(event, SessionEvent::Opened { .. })).map(drop)
    }

    /// Opens the channel of a core together with whatever is sent next.
    pub(super) fn begin_open(&mut self, core: PublicKey) {
        self.session.open(core).expect("the victim is honest");
    }

    /// Sends a message about a core. What a closed connection does not take is lost.
    pub(super) fn say(&mut self, core: &PublicKey, message: &Message) {
        self.queue(core, message);
        self.flush();
    }

    /// Sends a message with others that follow.
    pub(super) fn queue(&mut self, core: &PublicKey, message: &Message) {
        self.session.send(core, message).expect("the channel is open");
    }

    pub(super) fn flush(&mut self) {
        while let Some(frame) = self.session.poll_transmit() {
            self.say_plain(frame);
        }
    }

    /// Sends an encrypted frame with these bytes in it, which should be one of the multiplexer.
    pub(super) fn say_plain(&mut self, plaintext: Vec<u8>) {
        self.stream.send(plaintext);
        let mut bytes = vec![];
        self.stream.transmit(&mut bytes);
        self.say_bytes(&bytes);
    }

    /// The bytes that an encrypted frame with these bytes in it becomes.
    pub(super) fn encrypt(&mut self, plaintext: Vec<u8>) -> Vec<u8> {
        self.stream.send(plaintext);
        let mut bytes = vec![];
        self.stream.transmit(&mut bytes);
        bytes
    }

    /// Sends these bytes as they are.
    pub(super) fn say_bytes(&mut self, bytes: &[u8]) {
        self.is_over |= self.socket.write_all(bytes).is_err();
    }

    /// The next message, whatever core it is about; `None` when the connection ends or nothing comes.
    pub(super) fn hear(&mut self) -> Option<Message> {
        match self.until(|event| matches!(event, SessionEvent::Message { .. }))? {
            SessionEvent::Message { message, .. } => Some(*message),
            _ => None,
        }
    }

    /// The next message that is wanted.
    pub(super) fn hear_until(&mut self, is_wanted: impl Fn(&Message) -> bool) -> Option<Message> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let message = self.hear()?;
            if is_wanted(&message) {
                return Some(message);
            }
        }
        None
    }

    /// The next event that is wanted; `None` when the connection ends or nothing comes.
    pub(super) fn until(&mut self, is_wanted: impl Fn(&SessionEvent) -> bool) -> Option<SessionEvent> {
        let end = Instant::now() + PATIENCE;
        loop {
            while let Some(event) = self.session.poll_event() {
                if let SessionEvent::Requested { discovery_key } = &event {
                    self.session.refuse(discovery_key);
                }
                if is_wanted(&event) {
                    return Some(event);
                }
            }
            if Instant::now() > end || !self.listen() {
                return None;
            }
        }
    }

    /// Reads once. False when there is nothing more.
    fn listen(&mut self) -> bool {
        let mut buffer = [0; 65_536];
        match self.socket.read(&mut buffer) {
            Ok(0) | Err(_) => {
                self.is_over = true;
                return false;
            }
            Ok(count) => self.stream.receive(&buffer[..count]).expect("the victim is honest"),
        }
        while let Some(frame) = self.stream.poll_message().expect("the victim is honest") {
            self.session.handle_frame(&frame).expect("the victim is honest");
        }
        true
    }

    /// Whether something that was sent or awaited showed that the connection has ended, or stands still.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether the other side ends the connection, as it must after the worst.
    pub(super) fn is_cut_off(&mut self) -> bool {
        self.is_over || is_cut_off(&self.socket, PATIENCE)
    }

    /// Whether the other side still holds the connection.
    pub(super) fn is_connected(&mut self) -> bool {
        !self.is_over && !is_cut_off(&self.socket, SILENCE)
    }
}

/// Whether the other side ends a connection within this time. What it sends meanwhile is thrown away.
pub(super) fn is_cut_off(mut socket: &TcpStream, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    let mut buffer = [0; 65_536];
    while let Some(rest) = end.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
        socket.set_read_timeout(Some(rest)).expect("a socket");
        match socket.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(_) => return true,
        }
    }
    false
}

/// A connection from another address of this machine: all of 127.0.0.0/8 is ours.
pub(super) fn connect_from(source: Ipv4Addr, address: SocketAddr) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let socket = socket.connect(address).await?.into_std()?;
        socket.set_nonblocking(false)?;
        Ok(socket)
    })
}

/// The body of a message of the multiplexer: `channel`, `kind`, then these bytes.
pub(super) fn frame(channel: u64, kind: u64, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.uint(channel).uint(kind).raw(body);
    writer.finish()
}
