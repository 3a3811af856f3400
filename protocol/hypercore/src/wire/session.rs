//! The cores of one stream: [`Session`].
//!
//! The session opens and answers channels of `hypercore/alpha`, one for each core, and lets no message of a core in or
//! out before the remote has proved that it knows the core's key. It does not interpret the messages.
//!
//! A core is **known** from [`Session::open`] or [`Session::serve`] to [`Session::close`]. If the remote rejects or
//! closes the channel of a known core, the core stays known: JavaScript peers reject cores that they have not attached
//! yet and open them a moment later, and that Open is then answered.

mod cores;

use std::collections::VecDeque;

use thiserror::Error;

use self::cores::{Core, Cores};
use super::capability::{CoreOpen, capability, is_capability};
use super::message::{Extension, Message};
use super::mux::{Channel, Event, Limits, Mux, MuxError, Name, SendError};
use crate::encoding::DecodeError;
use crate::identity::PublicKey;
use crate::secret_stream::{HandshakeHash, Role};

/// The protocol of a core's channel.
pub const PROTOCOL: &str = "hypercore/alpha";
/// The other name of the protocol that peers may use.
const PROTOCOL_ALIAS: &str = "hypercore";

/// Capacity for events that is kept while there are none.
const EVENTS_KEPT: usize = 64;

/// An event caused by the remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The remote has opened a known core's channel, and has proved that it knows the key: messages may be sent.
    Opened {
        /// The core.
        core: PublicKey,
    },
    /// The remote sent a message.
    Message {
        /// The core.
        core: PublicKey,
        /// The message.
        message: Box<Message>,
    },
    /// The remote rejected a channel that we had opened. The core stays known.
    Rejected {
        /// The core.
        core: PublicKey,
    },
    /// The remote closed an open channel. The core stays known.
    Closed {
        /// The core.
        core: PublicKey,
    },
    /// The remote asks for a core that is not known: answer with [`Session::serve`] or [`Session::refuse`].
    Requested {
        /// The discovery key of the core; its key is not sent.
        discovery_key: [u8; 32],
    },
}

/// The remote broke the protocol: close the stream.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SessionError {
    /// The multiplexer refused a frame.
    #[error(transparent)]
    Mux(#[from] MuxError),
    /// A message of a core, or an Open, is not in the format.
    #[error("the remote sent a malformed message of a core: {0}")]
    Malformed(#[from] DecodeError),
    /// The remote does not know the key of a core that it asks for, or is not the other end of this stream.
    #[error("the remote has not proved that it knows the key of core {0}")]
    WrongCapability(PublicKey),
    /// A discovery key must have 32 bytes.
    #[error("the remote opened a core by {0} bytes instead of 32")]
    WrongDiscoveryKey(usize),
}

/// All cores of one stream, on one side of it.
///
/// A [machine](crate#machines) without a clock: pass it decrypted frames by [`Session::handle_frame`], and send the
/// frames from [`Session::poll_transmit`] one after another. After an error, close the stream.
#[derive(Debug)]
pub struct Session {
    role: Role,
    hash: HandshakeHash,
    mux: Mux,
    cores: Cores,
    events: VecDeque<SessionEvent>,
    /// Bytes of memory that the messages in `events` take.
    message_bytes: usize,
}

impl Session {
    /// Creates a stream without cores. `role` is ours.
    pub fn new(role: Role, hash: HandshakeHash, limits: Limits) -> Self {
        let mut mux = Mux::new(limits);
        mux.add_alias(PROTOCOL_ALIAS, PROTOCOL);
        Self { role, hash, mux, cores: Cores::default(), events: VecDeque::new(), message_bytes: 0 }
    }

    /// Makes a core known, and opens its channel unless that is open, or opened, already.
    ///
    /// # Errors
    /// If the remote had asked for this core and does not know its key.
    pub fn open(&mut self, key: PublicKey) -> Result<(), SessionError> {
        self.serve(key)?;
        if self.cores.get(&key).is_some_and(|core| core.channel.is_none()) {
            let channel = self.mux.open(name(&key), &self.own_open(&key));
            self.cores.set_channel(&key, channel);
        }
        Ok(())
    }

    /// Makes a core known, so that the remote's Open of it is answered. A waiting Open is answered now.
    ///
    /// # Errors
    /// If the remote had asked for this core and does not know its key.
    pub fn serve(&mut self, key: PublicKey) -> Result<(), SessionError> {
        self.cores.insert(key);
        match self.cores.take_request(&key.discovery_key()) {
            Some(request) => {
                self.answer(key, request.channel, &request.open)?;
                self.drain()
            }
            None => Ok(()),
        }
    }

    /// Answers [`SessionEvent::Requested`]: we do not have that core.
    pub fn refuse(&mut self, discovery_key: &[u8; 32]) {
        if let Some(request) = self.cores.take_request(discovery_key) {
            self.mux.reject(request.channel);
        }
    }

    /// Closes a core's channel; the core is no longer known.
    pub fn close(&mut self, key: &PublicKey) {
        if let Some(Core { channel: Some(channel), .. }) = self.cores.remove(key) {
            self.mux.close(channel);
        }
        self.events.retain(|event| event.core() != Some(key));
        self.message_bytes = self.events.iter().map(SessionEvent::message_bytes).sum();
    }

    /// Returns whether a core's channel is open on both sides.
    pub fn is_open(&self, key: &PublicKey) -> bool {
        self.cores.get(key).is_some_and(|core| core.is_open)
    }

    /// Sends a message about a core.
    ///
    /// # Errors
    /// If the core's channel is not open on both sides, or the message does not fit into a frame.
    pub fn send(&mut self, key: &PublicKey, message: &Message) -> Result<(), SendError> {
        match self.cores.get(key) {
            Some(Core { channel: Some(channel), is_open: true, .. }) => {
                self.mux.send(*channel, message.kind(), message.encode())
            }
            _ => Err(SendError::NotOpen),
        }
    }

    /// Takes a frame that the remote sent.
    ///
    /// # Errors
    /// If the remote breaks the protocol. Earlier events can still be polled.
    pub fn handle_frame(&mut self, frame: &[u8]) -> Result<(), SessionError> {
        let received = self.mux.handle_frame(frame);
        self.drain()?;
        Ok(received?)
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        let event = self.events.pop_front();
        self.message_bytes -= event.as_ref().map_or(0, SessionEvent::message_bytes);
        if event.is_none() {
            // A frame of many messages must not make the queue large for the rest of the stream's life.
            self.events.shrink_to(EVENTS_KEPT);
        }
        event
    }

    /// Returns about how many bytes of memory the events that wait to be polled take.
    pub fn event_bytes(&self) -> usize {
        self.events.len() * size_of::<SessionEvent>() + self.message_bytes
    }

    /// Returns the next frame to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.mux.poll_transmit()
    }

    /// Returns the number of bytes that wait to be sent. Answer no requests while there are many.
    pub fn transmit_bytes(&self) -> usize {
        self.mux.transmit_bytes()
    }

    /// Returns whether many bytes wait for the answer to a [`SessionEvent::Requested`]: read no more until it is
    /// answered.
    pub fn is_congested(&self) -> bool {
        self.mux.is_congested()
    }

    fn drain(&mut self) -> Result<(), SessionError> {
        while let Some(event) = self.mux.poll_event() {
            self.handle(event)?;
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), SessionError> {
        match event {
            Event::Requested { channel, name, handshake } => {
                self.handle_requested(channel, &name, &handshake)
            }
            Event::Paired { channel, handshake } => self.handle_paired(channel, &handshake),
            Event::Message { channel, kind, body } => self.handle_message(channel, kind, &body),
            Event::Rejected { channel } => {
                let ended = self.cores.end_channel(channel);
                self.events.extend(ended.map(|core| SessionEvent::Rejected { core: core.key }));
                Ok(())
            }
            Event::Closed { channel } => {
                self.cores.forget_request(channel);
                let ended = self.cores.end_channel(channel);
                self.events.extend(ended.map(|core| SessionEvent::Closed { core: core.key }));
                Ok(())
            }
        }
    }

    fn handle_requested(
        &mut self,
        channel: Channel,
        name: &Name,
        handshake: &[u8],
    ) -> Result<(), SessionError> {
        if name.protocol != PROTOCOL {
            self.mux.reject(channel);
            return Ok(());
        }
        let discovery_key: [u8; 32] =
            name.id.as_slice().try_into().map_err(|_| SessionError::WrongDiscoveryKey(name.id.len()))?;
        let open = CoreOpen::decode(handshake)?;
        match self.cores.find(&discovery_key) {
            Some((key, false)) => return self.answer(key, channel, &open),
            None if self.cores.add_request(discovery_key, channel, open) => {
                self.events.push_back(SessionEvent::Requested { discovery_key });
            }
            // One channel, or one question, is enough for a core.
            Some(_) | None => self.mux.reject(channel),
        }
        Ok(())
    }

    fn handle_paired(&mut self, channel: Channel, handshake: &[u8]) -> Result<(), SessionError> {
        let Some(key) = self.cores.by_channel(channel) else { return Ok(()) };
        self.check(&key, &CoreOpen::decode(handshake)?)?;
        self.opened(key);
        Ok(())
    }

    fn handle_message(&mut self, channel: Channel, kind: u64, body: &[u8]) -> Result<(), SessionError> {
        let Some(core) = self.cores.by_channel(channel) else { return Ok(()) };
        let Some(mut message) = Message::decode(kind, body)? else { return Ok(()) };
        if let Message::Extension(extension) = &mut message {
            self.name_extension(&core, extension);
        }
        self.message_bytes += message.memory_bytes();
        self.events.push_back(SessionEvent::Message { core, message: Box::new(message) });
        Ok(())
    }

    /// Names an extension: one without a name has that of the previous one.
    fn name_extension(&mut self, core: &PublicKey, extension: &mut Extension) {
        let Some(core) = self.cores.get_mut(core) else { return };
        if extension.name.is_empty() {
            extension.name.clone_from(&core.extension);
        } else {
            core.extension.clone_from(&extension.name);
        }
    }

    /// Opens the channel that the remote has opened, after the remote has proved that it knows the key.
    fn answer(&mut self, key: PublicKey, channel: Channel, open: &CoreOpen) -> Result<(), SessionError> {
        self.check(&key, open)?;
        // The channel is ours from here on, even though messages that arrived early follow as events.
        if self.mux.accept(channel, &self.own_open(&key)) {
            self.cores.set_channel(&key, channel);
            self.opened(key);
        }
        Ok(())
    }

    fn opened(&mut self, core: PublicKey) {
        if let Some(opened) = self.cores.get_mut(&core) {
            opened.is_open = true;
            self.events.push_back(SessionEvent::Opened { core });
        }
    }

    fn check(&self, key: &PublicKey, open: &CoreOpen) -> Result<(), SessionError> {
        match is_capability(self.role.other(), &self.hash, key, &open.capability) {
            true => Ok(()),
            false => Err(SessionError::WrongCapability(*key)),
        }
    }

    fn own_open(&self, key: &PublicKey) -> Vec<u8> {
        CoreOpen { seeks: true, capability: capability(self.role, &self.hash, key) }.encode()
    }
}

impl SessionEvent {
    fn message_bytes(&self) -> usize {
        match self {
            Self::Message { message, .. } => message.memory_bytes(),
            _ => 0,
        }
    }

    /// Returns the core of the event; `None` if its key is not known.
    pub fn core(&self) -> Option<&PublicKey> {
        match self {
            Self::Opened { core }
            | Self::Message { core, .. }
            | Self::Rejected { core }
            | Self::Closed { core } => Some(core),
            Self::Requested { .. } => None,
        }
    }
}

fn name(key: &PublicKey) -> Name {
    Name { protocol: PROTOCOL.to_owned(), id: key.discovery_key().to_vec() }
}
