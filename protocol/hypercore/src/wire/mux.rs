//! A multiplexer of many channels over one stream (npm protomux): [`Mux`].
//!
//! One message of the encrypted stream is one frame: a message for a channel, a control message (channel 0), or a batch
//! of both.
//!
//! ```text
//! message  channel, type, body         the channel's number is the one that its sender assigned in its Open
//! batch    0, 0, channel, items        item: length, { type, body }; length 0: another channel follows
//! open     0, 1, number, protocol, id, handshake
//! reject   0, 2, number                the number in the rejected Open
//! close    0, 3, number                the sender's number
//! ```
//!
//! A channel is open when both sides have sent an Open with the same name (protocol and id); which came first does not
//! matter, and the only answer is an Open or a Reject. Several Opens of one name match in the order of sending.
//!
//! ```text
//!                 open            their Open
//!   (nothing) ----------> Opening ----------> Open
//!       |                    | close            ^
//!       | their Open         v                  | accept, or open
//!       |                Abandoned              |
//!       +------------------------------> Requested
//! ```
//!
//! An Abandoned channel waits for the late answer, which it discards; only then is its number free.
//! `table` keeps numbers and states, `parse` reads frames, `frame_writer` writes them.

mod frame_writer;
mod parse;
mod table;

use std::collections::VecDeque;

use thiserror::Error;

use self::frame_writer::FrameWriter;
use self::parse::{Item, for_each_item};
use self::table::{Answer, State, Table};
use crate::encoding::DecodeError;
use crate::secret_stream::frame::PLAINTEXT_BYTES_MAX;

/// Capacity for events that is kept while there are none.
const EVENTS_KEPT: usize = 64;

/// A channel, from its Open to its end. Unlike its numbers on the wire, this id is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(u64);

/// The purpose of a channel. Both sides match each other's Open by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Name of the protocol of the channel.
    pub protocol: String,
    /// The subject, for example a core; may be empty.
    pub id: Vec<u8>,
}

/// An event caused by the remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The remote opened a channel that we did not: answer with [`Mux::accept`] or [`Mux::reject`].
    Requested {
        /// The channel.
        channel: Channel,
        /// Its purpose.
        name: Name,
        /// The remote's handshake.
        handshake: Vec<u8>,
    },
    /// The remote opened a channel that we had opened.
    Paired {
        /// The channel.
        channel: Channel,
        /// The remote's handshake.
        handshake: Vec<u8>,
    },
    /// The remote sent a message over an open channel.
    Message {
        /// The channel.
        channel: Channel,
        /// Number of the message in the protocol.
        kind: u64,
        /// Its bytes.
        body: Vec<u8>,
    },
    /// The remote rejected a channel that we had opened. It may open one of that name itself later.
    Rejected {
        /// The channel, which has ended.
        channel: Channel,
    },
    /// The remote closed a channel.
    Closed {
        /// The channel, which has ended.
        channel: Channel,
    },
}

/// The remote broke the protocol: close the stream.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MuxError {
    /// A frame is not in the format.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// An Open whose number is in use, 0, or not the next one.
    #[error("the remote opened a channel with the number {0}, which is not free")]
    InvalidOpen(u64),
    /// A Reject of a channel that we did not open.
    #[error("the remote rejected channel {0}, which does not wait for an answer")]
    InvalidReject(u64),
    /// The remote opened more channels than allowed.
    #[error("the remote has opened more than {0} channels")]
    TooManyChannels(usize),
    /// Messages for channels that we have not accepted yet exceed the bound.
    #[error("the remote sent more than {0} bytes of messages for channels that are not open")]
    TooManyEarlyMessages(usize),
    /// Batches are nested too deeply.
    #[error("a frame nests batches more than {0} deep")]
    BatchTooDeep(usize),
    /// A frame has more messages than allowed.
    #[error("a frame has more than {0} messages")]
    TooManyItems(usize),
    /// More control messages wait to be sent than allowed.
    #[error("more than {0} control messages wait to be sent to the remote")]
    TooManyAnswers(usize),
}

/// The message was not sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SendError {
    /// The channel has ended, or was not accepted.
    #[error("the channel is not open")]
    NotOpen,
    /// The message does not fit into a frame.
    #[error("a message of {0} bytes does not fit into a frame")]
    TooLong(usize),
}

/// Bounds on the cost of one remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Channels that the remote has open or asks for. A remote that opens more breaks the protocol.
    pub channels_max: usize,
    /// Channels that wait for [`Mux::accept`]. Further ones are rejected, as JavaScript does with unknown protocols.
    pub requested_max: usize,
    /// Early bytes above which [`Mux::is_congested`]. Each message before acceptance counts 512 bytes and its length.
    pub early_bytes_pause: usize,
    /// Early bytes above which the remote breaks the protocol: it should have waited.
    pub early_bytes_max: usize,
    /// Messages in one frame, so that a frame of tiny ones does not become a queue of large ones. JavaScript peers
    /// batch the answers to at most 512 requests, or three messages for each core.
    pub items_max: usize,
    /// Control messages that wait to be sent: a remote that causes endless rejects must read them.
    pub answers_max: usize,
}

impl Default for Limits {
    /// Returns limits that suffice for any JavaScript program with a few hundred cores.
    fn default() -> Self {
        Self {
            channels_max: 1024,
            requested_max: 256,
            early_bytes_pause: 32 * 1024,
            early_bytes_max: 1024 * 1024,
            items_max: 8192,
            answers_max: 4096,
        }
    }
}

/// All channels of one stream, on one side of it.
///
/// A [machine](crate#machines) without a clock: pass it decrypted frames by [`Mux::handle_frame`], and send the frames
/// from [`Mux::poll_transmit`] one after another. After an error, close the stream.
///
/// ```
/// use libvms_hypercore::wire::mux::{Event, Mux, Name};
///
/// let (mut here, mut there) = (Mux::default(), Mux::default());
/// let channel = here.open(Name { protocol: "chat".into(), id: vec![] }, b"hello");
/// there.handle_frame(&here.poll_transmit().expect("an Open")).expect("a good frame");
/// let Some(Event::Requested { channel: theirs, .. }) = there.poll_event() else { panic!("no request") };
/// there.accept(theirs, b"good day");
/// here.handle_frame(&there.poll_transmit().expect("an Open")).expect("a good frame");
/// assert_eq!(here.poll_event(), Some(Event::Paired { channel, handshake: b"good day".to_vec() }));
/// ```
#[derive(Debug, Default)]
pub struct Mux {
    limits: Limits,
    aliases: Vec<(String, String)>,
    table: Table,
    writer: FrameWriter,
    events: VecDeque<Event>,
}

impl Mux {
    /// Creates a stream without channels.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Treats channels that the remote opens under the protocol `alias` as `protocol`, from now on.
    pub fn add_alias(&mut self, alias: &str, protocol: &str) {
        self.aliases.push((alias.to_owned(), protocol.to_owned()));
    }

    /// Opens a channel. Messages may be sent over it at once; [`Event::Paired`] or [`Event::Rejected`] says whether the
    /// remote takes it. If the remote has asked for a channel of that name, that one is accepted.
    pub fn open(&mut self, name: Name, handshake: &[u8]) -> Channel {
        let Some(channel) = self.table.first_requested(&name) else {
            let (channel, number) = self.table.insert_opening(name.clone());
            self.writer.open(number, &name, handshake);
            return channel;
        };
        self.take_back_request(channel);
        let theirs = self.accept_requested(channel, handshake);
        self.events.push_back(Event::Paired { channel, handshake: theirs.handshake });
        self.deliver(channel, theirs.early);
        channel
    }

    /// Answers [`Event::Requested`] with an Open; messages that the remote has already sent follow as events. Does
    /// nothing and returns false if the channel no longer waits for an answer.
    pub fn accept(&mut self, channel: Channel, handshake: &[u8]) -> bool {
        if self.table.state(channel) != Some(State::Requested) {
            return false;
        }
        let theirs = self.accept_requested(channel, handshake);
        self.deliver(channel, theirs.early);
        true
    }

    /// Answers [`Event::Requested`] with a Reject. Does nothing if the channel no longer waits for an answer.
    pub fn reject(&mut self, channel: Channel) {
        if self.table.state(channel) == Some(State::Requested) {
            let number = self.table.remove_requested(channel);
            self.writer.reject(number);
        }
    }

    /// Closes a channel. It causes no more events, and no [`Event::Closed`] either.
    pub fn close(&mut self, channel: Channel) {
        match self.table.state(channel) {
            Some(State::Requested) => self.reject(channel),
            Some(State::Opening | State::Open) => {
                let number = self.table.close(channel);
                self.writer.close(number);
            }
            Some(State::Abandoned) | None => {}
        }
        self.forget_events(channel);
    }

    /// Sends a message over a channel that we have opened or accepted.
    ///
    /// # Errors
    /// If the channel has ended or is not accepted, or the message does not fit into a frame.
    pub fn send(&mut self, channel: Channel, kind: u64, body: impl Into<Vec<u8>>) -> Result<(), SendError> {
        let body = body.into();
        if !matches!(self.table.state(channel), Some(State::Opening | State::Open)) {
            return Err(SendError::NotOpen);
        }
        let number = self.table.local_number(channel).ok_or(SendError::NotOpen)?;
        if body.len() > PLAINTEXT_BYTES_MAX - frame_writer::PREFIX_BYTES_MAX {
            return Err(SendError::TooLong(body.len()));
        }
        self.writer.message(number, kind, body);
        Ok(())
    }

    /// Takes a frame that the remote sent. An empty one is a keep-alive and does nothing.
    ///
    /// # Errors
    /// If the remote breaks the protocol. Earlier events can still be polled.
    pub fn handle_frame(&mut self, frame: &[u8]) -> Result<(), MuxError> {
        let items_max = self.limits.items_max;
        for_each_item(frame, items_max, &mut |item| self.receive_item(item))
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if event.is_none() {
            // A frame of many messages must not make the queue large for the rest of the stream's life.
            self.events.shrink_to(EVENTS_KEPT);
        }
        event
    }

    /// Returns the next frame to send: one message, or a batch of all waiting ones.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.writer.next_frame()
    }

    /// Returns the number of bytes that wait to be sent. Answer no requests while there are many.
    pub fn transmit_bytes(&self) -> usize {
        self.writer.bytes()
    }

    /// Returns whether many bytes have arrived for channels that wait for [`Mux::accept`]: read no more until they are
    /// answered.
    pub fn is_congested(&self) -> bool {
        self.table.early_bytes() > self.limits.early_bytes_pause
    }

    fn receive_item(&mut self, item: Item<'_>) -> Result<(), MuxError> {
        match item {
            Item::Open { number, protocol, id, handshake } => {
                let name = Name { protocol: self.resolve_alias(protocol), id: id.to_vec() };
                self.receive_open(number, name, handshake)
            }
            Item::Reject { number } => self.receive_reject(number),
            Item::Close { number } => self.receive_close(number),
            Item::Message { number, kind, body } => self.receive_message(number, kind, body),
        }
    }

    fn receive_open(&mut self, number: u64, name: Name, handshake: &[u8]) -> Result<(), MuxError> {
        if !self.table.is_next_remote(number) {
            return Err(MuxError::InvalidOpen(number));
        }
        match self.table.answer(&name, number) {
            Answer::Paired(channel) => {
                self.check_channels()?;
                self.events.push_back(Event::Paired { channel, handshake: handshake.to_vec() });
                Ok(())
            }
            Answer::Swallowed => Ok(()),
            Answer::Nobody if self.table.requested_count() >= self.limits.requested_max => {
                self.writer.reject(number);
                self.check_answers()
            }
            Answer::Nobody => {
                let handshake = handshake.to_vec();
                let channel = self.table.insert_requested(name.clone(), number, handshake.clone());
                self.check_channels()?;
                self.events.push_back(Event::Requested { channel, name, handshake });
                Ok(())
            }
        }
    }

    fn receive_reject(&mut self, number: u64) -> Result<(), MuxError> {
        let (channel, state) = self.table.reject(number).ok_or(MuxError::InvalidReject(number))?;
        // If we had closed it already, nobody waits for the event.
        if state == State::Opening {
            self.events.push_back(Event::Rejected { channel });
        }
        Ok(())
    }

    fn receive_close(&mut self, number: u64) -> Result<(), MuxError> {
        // A Close of a channel that we have closed, too, may be in flight.
        let Some(channel) = self.table.remote_channel(number) else { return Ok(()) };
        if self.table.state(channel) == Some(State::Requested) {
            // The remote keeps its number until its Open is answered, even though it has closed the channel.
            self.table.remove_requested(channel);
            self.writer.reject(number);
            self.check_answers()?;
            if self.take_back_request(channel) {
                return Ok(());
            }
        } else {
            self.table.close(channel);
        }
        self.events.push_back(Event::Closed { channel });
        Ok(())
    }

    fn receive_message(&mut self, number: u64, kind: u64, body: &[u8]) -> Result<(), MuxError> {
        let Some(channel) = self.table.remote_channel(number) else { return Ok(()) };
        if self.table.state(channel) != Some(State::Requested) {
            self.events.push_back(Event::Message { channel, kind, body: body.to_vec() });
            return Ok(());
        }
        self.table.keep_early(channel, kind, body);
        let maximum = self.limits.early_bytes_max;
        if self.table.early_bytes() > maximum { Err(MuxError::TooManyEarlyMessages(maximum)) } else { Ok(()) }
    }

    fn accept_requested(&mut self, channel: Channel, handshake: &[u8]) -> table::Request {
        let (number, name, theirs) = self.table.accept(channel);
        self.writer.open(number, &name, handshake);
        theirs
    }

    fn deliver(&mut self, channel: Channel, early: Vec<(u64, Vec<u8>)>) {
        self.events.extend(early.into_iter().map(|(kind, body)| Event::Message { channel, kind, body }));
    }

    /// Removes the request from the events. Returns whether it had not been polled yet.
    fn take_back_request(&mut self, channel: Channel) -> bool {
        let before = self.events.len();
        self.events.retain(
            |event| !matches!(event, Event::Requested { channel: requested, .. } if *requested == channel),
        );
        self.events.len() < before
    }

    fn forget_events(&mut self, closed: Channel) {
        self.events.retain(|event| event.channel() != closed);
    }

    fn resolve_alias(&self, protocol: String) -> String {
        let found = self.aliases.iter().find(|(alias, _)| *alias == protocol);
        found.map_or(protocol, |(_, name)| name.clone())
    }

    fn check_channels(&self) -> Result<(), MuxError> {
        let maximum = self.limits.channels_max;
        if self.table.remote_count() > maximum { Err(MuxError::TooManyChannels(maximum)) } else { Ok(()) }
    }

    fn check_answers(&self) -> Result<(), MuxError> {
        let maximum = self.limits.answers_max;
        if self.writer.control_count() > maximum { Err(MuxError::TooManyAnswers(maximum)) } else { Ok(()) }
    }
}

impl Event {
    /// Returns the channel of the event.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Requested { channel, .. }
            | Self::Paired { channel, .. }
            | Self::Message { channel, .. }
            | Self::Rejected { channel }
            | Self::Closed { channel } => *channel,
        }
    }
}
