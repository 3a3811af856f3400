//! Two endpoints and the links between them: loss, delay, reordering, duplicates, rate and queue from one seed, in
//! virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use libvms_hypercore::random::Dice;
use libvms_hypercore::time::Instant;
use libvms_hyperswarm::udx::{Config, Endpoint, Event, Firewall, Path, Received};

/// The effects of a link on datagrams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) delay_us: u64,
    pub(crate) loss_permille: u64,
    pub(crate) duplicate_permille: u64,
    /// How many of a thousand are delayed by `late_us`.
    pub(crate) late_permille: u64,
    pub(crate) late_us: u64,
    /// Bytes a second, and bytes that may wait.
    pub(crate) rate: u64,
    pub(crate) queue_bytes: u64,
    /// Longer datagrams are lost.
    pub(crate) datagram_bytes_max: usize,
}

impl Link {
    pub(crate) fn good(delay_ms: u64) -> Self {
        Self {
            delay_us: delay_ms * 1000,
            loss_permille: 0,
            duplicate_permille: 0,
            late_permille: 0,
            late_us: 0,
            rate: 12_500_000,
            queue_bytes: 1_000_000,
            datagram_bytes_max: 2048,
        }
    }
}

pub(crate) const IDS: [u32; 2] = [0x1111_1111, 0x2222_2222];

/// One side: its endpoint with one stream, the bytes yet to write, and those that it has read.
pub(crate) struct Side {
    pub(crate) endpoint: Endpoint,
    pub(crate) to_write: VecDeque<u8>,
    pub(crate) ends: bool,
    pub(crate) reads: bool,
    pub(crate) read: Vec<u8>,
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) events: Vec<(Instant, Event)>,
    pub(crate) sent_datagrams: u64,
    pub(crate) sent_bytes: u64,
    link: Link,
    /// When the link has sent all waiting datagrams.
    free_at: Instant,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) sides: [Side; 2],
    pub(crate) dice: Dice,
    /// Datagrams in flight: time of arrival, a number for the order, and the receiver.
    under_way: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    count: u64,
}

/// Returns the path to a side.
pub(crate) fn path(side: usize) -> Path {
    Path::of(([192, 0, 2, 1 + side as u8], 4000).into())
}

impl World {
    /// Creates two sides that know each other, with the same link both ways.
    pub(crate) fn new(seed: u64, link: Link) -> Self {
        Self::with_config(seed, link, Config::default())
    }

    pub(crate) fn with_config(seed: u64, link: Link, config: Config) -> Self {
        let side = |at: usize| {
            let mut endpoint = Endpoint::new(config);
            endpoint.open(Instant::START, IDS[at], Firewall::Closed).expect("a free id");
            endpoint.connect(Instant::START, IDS[at], path(1 - at), IDS[1 - at]).expect("not connected");
            Side::new(endpoint, link)
        };
        let sides = [side(0), side(1)];
        Self { now: Instant::START, sides, dice: Dice::new(seed), under_way: BTreeMap::new(), count: 0 }
    }

    pub(crate) fn time(&self) -> Instant {
        self.now
    }

    pub(crate) fn set_link(&mut self, from: usize, link: Link) {
        self.sides[from].link = link;
    }

    /// Runs until nothing will ever happen again, or until then. Returns whether it became quiet.
    pub(crate) fn run_until(&mut self, until: Duration) -> bool {
        self.run_while(until, |_| true)
    }

    /// Runs as long as a condition holds, until then at most. Returns whether it became quiet.
    pub(crate) fn run_while(&mut self, until: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let until = Instant::after(until);
        self.work(0);
        self.work(1);
        while condition(self) {
            let arrival = self.under_way.first_key_value().map(|(&(at, _), _)| at);
            let timeouts = self.sides.iter().filter_map(|side| side.endpoint.poll_timeout());
            let timeout = timeouts.min();
            let Some(next) = arrival.into_iter().chain(timeout).min() else { return true };
            if next > until {
                self.now = until;
                return false;
            }
            self.now = self.now.max(next);
            if arrival.is_some_and(|at| at <= self.now) {
                let (_, (to, datagram)) = self.under_way.pop_first().expect("one arrives");
                self.deliver(to, &datagram);
                self.work(to);
            } else {
                self.work(0);
                self.work(1);
            }
        }
        false
    }

    /// Delivers a datagram of the other side at once.
    pub(crate) fn deliver(&mut self, to: usize, datagram: &[u8]) -> Received {
        let now = self.time();
        self.sides[to].endpoint.handle_datagram(now, path(1 - to), datagram)
    }

    /// Performs the work of one side's program and its socket.
    pub(crate) fn work(&mut self, at: usize) {
        let now = self.time();
        let mut datagram = vec![];
        loop {
            let side = &mut self.sides[at];
            side.work(now, IDS[at]);
            let Some(to) = side.endpoint.poll_transmit(now, &mut datagram) else { break };
            assert_eq!(to, path(1 - at));
            self.send(at, &datagram);
        }
        self.sides[at].work(now, IDS[at]);
    }

    fn send(&mut self, from: usize, datagram: &[u8]) {
        let (now, side) = (self.now, &mut self.sides[from]);
        let (link, bytes) = (side.link, datagram.len() as u64 + 28);
        side.sent_datagrams += 1;
        side.sent_bytes += datagram.len() as u64;
        let waiting = side.free_at.micros_since(now) * link.rate / 1_000_000;
        let mut chance = |permille: u64| self.dice.below(1000) < permille;
        let is_lost = chance(link.loss_permille)
            || waiting + bytes > link.queue_bytes
            || datagram.len() > link.datagram_bytes_max;
        if is_lost {
            return;
        }
        side.free_at = side.free_at.max(now) + Duration::from_micros(bytes * 1_000_000 / link.rate);
        let late = if chance(link.late_permille) { link.late_us } else { 0 };
        let arrival = side.free_at + Duration::from_micros(link.delay_us + late);
        for _ in 0..=u32::from(chance(link.duplicate_permille)) {
            self.count += 1;
            self.under_way.insert((arrival, self.count), (1 - from, datagram.to_vec()));
        }
    }
}

impl Side {
    fn new(endpoint: Endpoint, link: Link) -> Self {
        Self {
            endpoint,
            to_write: VecDeque::new(),
            ends: false,
            reads: true,
            read: vec![],
            messages: vec![],
            events: vec![],
            sent_datagrams: 0,
            sent_bytes: 0,
            link,
            free_at: Instant::START,
        }
    }

    fn work(&mut self, now: Instant, id: u32) {
        let Self { endpoint, to_write, .. } = self;
        let accepted = endpoint.write(id, to_write.as_slices().0).unwrap_or(0);
        to_write.drain(..accepted);
        if self.ends && to_write.is_empty() {
            endpoint.end(id).expect("a stream");
        }
        while let Some((stream, event)) = endpoint.poll_event() {
            assert_eq!(stream, id);
            self.events.push((now, event));
        }
        while let Some(message) = endpoint.receive_message(id).expect("a stream") {
            self.messages.push(message);
        }
        while self.reads && endpoint.readable_bytes(id) > 0 {
            let start = self.read.len();
            self.read.resize(start + endpoint.readable_bytes(id), 0);
            let count = endpoint.read(id, &mut self.read[start..]).expect("a stream");
            self.read.truncate(start + count);
        }
    }

    pub(crate) fn has_seen(&self, event: Event) -> bool {
        self.events.iter().any(|(_, seen)| *seen == event)
    }
}

/// Returns bytes that show their position.
pub(crate) fn pattern(seed: u64, bytes: usize) -> Vec<u8> {
    Dice::new(seed).bytes(bytes)
}
