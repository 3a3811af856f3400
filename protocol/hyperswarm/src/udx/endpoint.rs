//! All streams of one node, over one or several sockets: the [`Endpoint`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::packet::Packet;
use super::stream::Stream;
use super::time_wait::TimeWait;
use super::{Config, Event, Firewall, Path, Statistics, UdxError};
use libvms_hypercore::time::Instant;

/// The fate of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The datagram was for one of the streams, whether it was believed or not.
    Taken,
    /// No stream knows it: offer it to the DHT, or drop it. It must not be answered in the name of a stream.
    NotOurs,
}

/// Many streams, distinguished by random ids that we choose.
///
/// A [machine](libvms_hypercore#machines) with datagrams and events. Several writes before a poll go out in as few
/// packets as they fit into, and several datagrams received before a poll, or within half a millisecond, are
/// acknowledged with one.
///
/// Packets of a stranger change nothing and are not answered. Memory is bounded: per stream by [`Config`], with about
/// a megabyte beside it; the caller must bound the number of streams.
///
/// ```
/// use libvms_hypercore::time::Instant;
/// use libvms_hyperswarm::udx::{Endpoint, Event, Firewall, Path, Config};
///
/// let now = Instant::START;
/// let (here, there) = (Path::of("192.0.2.1:1".parse().unwrap()), Path::of("192.0.2.2:2".parse().unwrap()));
/// let (mut left, mut right) = (Endpoint::new(Config::default()), Endpoint::new(Config::default()));
/// left.open(now, 1, Firewall::Closed).unwrap();
/// left.connect(now, 1, there, 2).unwrap();
/// right.open(now, 2, Firewall::Closed).unwrap();
/// right.connect(now, 2, here, 1).unwrap();
///
/// left.write(1, b"hello").unwrap();
/// let mut datagram = vec![];
/// assert_eq!(left.poll_transmit(now, &mut datagram), Some(there));
/// right.handle_datagram(now, here, &datagram);
/// assert_eq!(right.poll_event(), Some((2, Event::Connected)));
/// assert_eq!(right.poll_event(), Some((2, Event::Readable)));
/// let mut bytes = [0; 10];
/// assert_eq!(right.read(2, &mut bytes), Ok(5));
/// ```
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
    streams: BTreeMap<u32, Slot>,
    lingering: TimeWait,
    /// Streams that may have something to send, and to report.
    ready: VecDeque<u32>,
    eventful: VecDeque<u32>,
    /// When to look at a stream. Never later than it needs; an earlier look costs little.
    timeouts: BTreeSet<(Instant, u32)>,
}

#[derive(Debug)]
struct Slot {
    stream: Stream,
    is_ready: bool,
    is_eventful: bool,
    timeout: Option<Instant>,
}

impl Endpoint {
    /// Creates an endpoint without streams, whose streams will have this configuration.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            streams: BTreeMap::new(),
            lingering: TimeWait::default(),
            ready: VecDeque::new(),
            eventful: VecDeque::new(),
            timeouts: BTreeSet::new(),
        }
    }

    /// Creates a stream with the id by which the remote will address it. The id must be random: an attacker that can
    /// guess it and can forge the remote's address can send in its name.
    ///
    /// # Errors
    /// [`UdxError::IdTaken`]: draw another.
    pub fn open(&mut self, now: Instant, id: u32, firewall: Firewall) -> Result<(), UdxError> {
        if self.streams.contains_key(&id) || self.lingering.contains(id) {
            return Err(UdxError::IdTaken(id));
        }
        let stream = Stream::new(now, id, self.config, firewall);
        self.streams.insert(id, Slot { stream, is_ready: false, is_eventful: false, timeout: None });
        Ok(())
    }

    /// Sets the remote of a stream. Nothing is sent for this alone; bytes that were written before are sent now.
    ///
    /// # Errors
    /// If there is no such stream, or it already has a remote.
    pub fn connect(&mut self, now: Instant, id: u32, path: Path, remote_id: u32) -> Result<(), UdxError> {
        self.with(id, |stream| stream.connect(now, path, remote_id))?
    }

    /// Moves a stream to another path, on which `remote_id` addresses the remote. Packets on the old one are taken
    /// until the first arrives on the new one.
    ///
    /// # Errors
    /// If there is no such stream, or it has no remote yet.
    pub fn redirect(&mut self, now: Instant, id: u32, path: Path, remote_id: u32) -> Result<(), UdxError> {
        self.with(id, |stream| stream.redirect(now, path, remote_id))?
    }

    /// Refuses the path of [`Event::IncomingPath`], and waits for another.
    ///
    /// # Errors
    /// If there is no such stream.
    pub fn refuse(&mut self, id: u32) -> Result<(), UdxError> {
        self.with(id, Stream::refuse)
    }

    /// Writes as many bytes to a stream as it takes. Returns their number. If that is not all, [`Event::Writable`]
    /// follows.
    ///
    /// # Errors
    /// If there is no such stream, or it was ended or closed.
    pub fn write(&mut self, id: u32, bytes: &[u8]) -> Result<usize, UdxError> {
        self.with(id, |stream| stream.write(bytes))?
    }

    /// Ends our half of a stream. The remote learns it after all that was written.
    ///
    /// # Errors
    /// If there is no such stream.
    pub fn end(&mut self, id: u32) -> Result<(), UdxError> {
        self.with(id, Stream::end)
    }

    /// Reads bytes that have arrived, in order, into a buffer. Returns their number.
    ///
    /// # Errors
    /// If there is no such stream.
    pub fn read(&mut self, id: u32, into: &mut [u8]) -> Result<usize, UdxError> {
        self.with(id, |stream| stream.read(into))
    }

    /// Returns the number of bytes that can be read; 0 if there is no such stream.
    pub fn readable_bytes(&self, id: u32) -> usize {
        self.streams.get(&id).map_or(0, |slot| slot.stream.readable_bytes())
    }

    /// Sends a message beside the stream, which may get lost. Returns `false` if too many wait, and it was dropped.
    ///
    /// # Errors
    /// If there is no such stream, it is closed, or the message does not fit into a packet.
    pub fn send_message(&mut self, id: u32, message: &[u8]) -> Result<bool, UdxError> {
        self.with(id, |stream| stream.send_message(message))?
    }

    /// Returns the next message that has arrived beside the stream.
    ///
    /// # Errors
    /// If there is no such stream.
    pub fn receive_message(&mut self, id: u32) -> Result<Option<Vec<u8>>, UdxError> {
        self.with(id, Stream::receive_message)
    }

    /// Forgets a stream. If it was not closed yet, the remote is sent a reset. After that, packets of the remote are
    /// still answered for 15 seconds, and the id is not free.
    pub fn destroy(&mut self, now: Instant, id: u32) {
        let Some(slot) = self.streams.remove(&id) else { return };
        if let Some(timeout) = slot.timeout {
            self.timeouts.remove(&(timeout, id));
        }
        let Some((path, _)) = slot.stream.remote() else { return };
        let Some(final_ack) = slot.stream.final_ack() else { return };
        self.lingering.insert(now, id, path, final_ack);
        if !slot.stream.is_finished() {
            self.lingering.answer(id);
        }
    }

    /// Takes a datagram that arrived on `path`.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Received {
        if !Packet::is_packet(datagram) || path.remote.port() == 0 {
            return Received::NotOurs;
        }
        let id = u32::from_le_bytes([datagram[4], datagram[5], datagram[6], datagram[7]]);
        let packet = Packet::decode(datagram);
        if let Some(slot) = self.streams.get_mut(&id) {
            if packet.is_ok_and(|packet| slot.stream.receive(now, path, &packet)) {
                self.touched(id);
            }
            return Received::Taken;
        }
        if !self.lingering.contains(id) {
            return Received::NotOurs;
        }
        if let Ok(packet) = packet {
            self.lingering.receive(now, path, &packet);
        }
        Received::Taken
    }

    /// Writes the next datagram to send into `datagram`, which is cleared first. Returns its path.
    pub fn poll_transmit(&mut self, now: Instant, datagram: &mut Vec<u8>) -> Option<Path> {
        datagram.clear();
        self.append_transmit(now, datagram)
    }

    /// Appends the next datagram to send to `datagram`. Returns its path.
    pub fn append_transmit(&mut self, now: Instant, datagram: &mut Vec<u8>) -> Option<Path> {
        if let Some((path, header)) = self.lingering.poll() {
            header.write(datagram);
            return Some(path);
        }
        self.wake(now);
        while let Some(&id) = self.ready.front() {
            // A stream that was destroyed stays in the queue until its turn.
            let Some(slot) = self.streams.get_mut(&id) else {
                self.ready.pop_front();
                continue;
            };
            let path = slot.stream.poll(now, datagram);
            if !slot.is_eventful && slot.stream.has_event() {
                slot.is_eventful = true;
                self.eventful.push_back(id);
            }
            if path.is_some() {
                // Each in turn, a packet at a time: a large transfer must not hold up the others.
                self.ready.rotate_left(1);
                return path;
            }
            slot.is_ready = false;
            self.ready.pop_front();
            self.set_timeout(id);
        }
        None
    }

    /// Returns the next event, and the id of its stream.
    pub fn poll_event(&mut self) -> Option<(u32, Event)> {
        while let Some(&id) = self.eventful.front() {
            let event = self.streams.get_mut(&id).and_then(|slot| slot.stream.next_event());
            if let Some(event) = event {
                return Some((id, event));
            }
            if let Some(slot) = self.streams.get_mut(&id) {
                slot.is_eventful = false;
            }
            self.eventful.pop_front();
        }
        None
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout), if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timeouts.first().map(|&(timeout, _)| timeout)
    }

    /// Acts on deadlines that have passed. Polling for datagrams does the same.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.wake(now);
    }

    /// Returns the measurements of a stream.
    pub fn statistics(&self, id: u32) -> Option<Statistics> {
        self.streams.get(&id).map(|slot| slot.stream.statistics())
    }

    fn with<T>(&mut self, id: u32, act: impl FnOnce(&mut Stream) -> T) -> Result<T, UdxError> {
        let slot = self.streams.get_mut(&id).ok_or(UdxError::Unknown(id))?;
        let result = act(&mut slot.stream);
        self.touched(id);
        Ok(result)
    }

    /// Adds a stream to the lists of those to look at.
    fn touched(&mut self, id: u32) {
        let Some(slot) = self.streams.get_mut(&id) else { return };
        if !slot.is_ready {
            slot.is_ready = true;
            self.ready.push_back(id);
        }
        if !slot.is_eventful && slot.stream.has_event() {
            slot.is_eventful = true;
            self.eventful.push_back(id);
        }
    }

    fn wake(&mut self, now: Instant) {
        while let Some(&(timeout, id)) = self.timeouts.first().filter(|(timeout, _)| *timeout <= now) {
            self.timeouts.remove(&(timeout, id));
            if let Some(slot) = self.streams.get_mut(&id) {
                slot.timeout = None;
            }
            self.touched(id);
        }
    }

    fn set_timeout(&mut self, id: u32) {
        let Some(slot) = self.streams.get_mut(&id) else { return };
        let Some(wanted) = slot.stream.next_timeout() else { return };
        // Acknowledgements push timeouts back all the time. Only an earlier one is worth the work; an old one that
        // comes too early finds nothing to do and sets the right one.
        if slot.timeout.is_some_and(|timeout| timeout <= wanted) {
            return;
        }
        if let Some(timeout) = slot.timeout.replace(wanted) {
            self.timeouts.remove(&(timeout, id));
        }
        self.timeouts.insert((wanted, id));
    }
}
