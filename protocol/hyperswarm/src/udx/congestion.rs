//! Congestion control after BBR, version 1 (Cardwell and others, 2016): the window and the pacing rate.
//!
//! The controller models the path by its highest recent delivery rate and shortest recent round trip, and allows as
//! many bytes in flight as the path holds. Loss is no signal to it: a path that loses one packet in twenty at random
//! keeps its speed, which CUBIC or NewReno would divide by a hundred. The reference does the same. We add BBR's later
//! allowance for aggregated acknowledgements, an end of the startup when a fifth of a round is lost (that much is not
//! chance, but a queue that overflows), and a window of four packets after a timeout. We leave out the packet
//! conservation in the first round of a recovery; the bound is the window.
//!
//! States: `Startup` doubles the rate each round until it stops growing, `Drain` empties the queue that this made,
//! `Cruise` (BBR's ProbeBW) cycles through eight phases, one to probe for more and one to give back, and `Shrink`
//! (BBR's ProbeRTT) empties the path for 200 ms when the shortest round trip was not seen for ten seconds.

mod max_filter;

use std::time::Duration;

use super::pacer::scale;
use super::rate::RateSample;
use libvms_hypercore::time::Instant;
use max_filter::WindowedMax;

/// Bytes of a full packet, for windows that are counted in packets.
const PACKET_BYTES: u64 = 1200;
const WINDOW_START: u64 = 10 * PACKET_BYTES;
const WINDOW_MIN: u64 = 4 * PACKET_BYTES;

/// Rounds for which the highest rate is remembered.
const RATE_ROUNDS: u64 = 10;
const SHORTEST_KEPT_TIME: Duration = Duration::from_secs(10);
const SHRINK_TIME: Duration = Duration::from_millis(200);
/// Rounds in a row without a quarter more rate after which the path counts as full.
const ROUNDS_WITHOUT_GROWTH: u8 = 3;

/// A round with more loss than this, as a share and in bytes, shows that the path is full. A few packets prove nothing:
/// with one in ten lost by chance, two of the first eight often are, and a startup that ends so early takes minutes to
/// make up for.
const START_LOSS_PERCENT: u64 = 20;
const START_LOSS_BYTES: u64 = 32 * PACKET_BYTES;

/// Gain in percent. 289 is 2 / ln 2: the smallest that doubles the rate each round.
const STARTUP_GAIN: u64 = 289;
const DRAIN_GAIN: u64 = 35;
const WINDOW_GAIN: u64 = 200;
const CRUISE_GAINS: [u64; 8] = [125, 75, 100, 100, 100, 100, 100, 100];
/// Just below the rate of the path, so that a standing queue drains.
const PACING_PERCENT: u64 = 99;

/// Aggregated acknowledgements are allowed for up to the bytes that the path carries in this time.
const HEAP_US_MAX: u64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Startup,
    Drain,
    Cruise { phase: usize, since: Instant },
    Shrink { until: Option<Instant> },
}

/// The input of the controller from one acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) now: Instant,
    /// Bytes that arrived with it, and in all.
    pub(super) bytes: u64,
    pub(super) delivered: u64,
    /// Bytes that are still in flight.
    pub(super) in_flight: u64,
    pub(super) sample: RateSample,
    /// The round trip of a packet that was sent once, if there is one.
    pub(super) round_trip_us: Option<u64>,
    /// Bytes that were found lost since the last one.
    pub(super) lost_bytes: u64,
}

/// The controller of one path.
#[derive(Clone, Debug)]
pub(super) struct Congestion {
    state: State,
    window: u64,
    rate: WindowedMax,
    heap: WindowedMax,
    shortest_us: u64,
    shortest_at: Instant,
    /// Rounds so far, and the count of delivered bytes that ends the current one.
    round: u64,
    round_ends: u64,
    /// Bytes delivered when the current round began, and found lost since.
    round_began: u64,
    round_lost: u64,
    /// The rate at which growth was last seen, and the rounds since.
    grown_to: u64,
    rounds_without_growth: u8,
    is_full: bool,
    /// The start of the current aggregate of acknowledgements, and the bytes that it covers.
    heap_at: Instant,
    heap_bytes: u64,
}

impl Congestion {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: State::Startup,
            window: WINDOW_START,
            rate: WindowedMax::default(),
            heap: WindowedMax::default(),
            shortest_us: u64::MAX,
            shortest_at: now,
            round: 0,
            round_ends: 0,
            round_began: 0,
            round_lost: 0,
            grown_to: 0,
            rounds_without_growth: 0,
            is_full: false,
            heap_at: now,
            heap_bytes: 0,
        }
    }

    /// Returns the number of bytes that may be in flight, headers included.
    pub(super) fn window(&self) -> u64 {
        match self.state {
            State::Shrink { .. } => self.window.min(WINDOW_MIN.max(self.path_bytes(50))),
            _ => self.window,
        }
    }

    /// Returns the rate at which to send, in bytes a second, once the path has been measured.
    pub(super) fn pacing_rate(&self) -> Option<u64> {
        if self.shortest_us == u64::MAX {
            return None;
        }
        let gain = match self.state {
            State::Startup => STARTUP_GAIN,
            State::Drain => DRAIN_GAIN,
            State::Cruise { phase, .. } => CRUISE_GAINS[phase],
            State::Shrink { .. } => 100,
        };
        // The first samples are of single small packets: they must not throttle the sending that the first window
        // allows anyway.
        let start_rate =
            if self.is_full { 0 } else { WINDOW_START * 1_000_000 / self.shortest_us.max(1_000) };
        Some(percent(self.rate.max().max(start_rate), gain * PACING_PERCENT / 100).max(PACKET_BYTES))
    }

    /// Returns the highest recent rate, in bytes a second.
    pub(super) fn rate(&self) -> u64 {
        self.rate.max()
    }

    /// Takes an acknowledgement of packets.
    pub(super) fn arrived(&mut self, arrival: &Arrival) {
        let is_new_round = self.count_round(arrival);
        self.take_rate(arrival);
        self.take_heap(arrival);
        if is_new_round {
            self.look_for_growth(arrival);
        }
        let is_shortest_stale = self.take_round_trip(arrival);
        self.change_state(arrival, is_shortest_stale);
        self.set_window(arrival);
    }

    /// Takes a retransmission timeout: everything in flight counts as lost.
    pub(super) fn timed_out(&mut self) {
        self.window = WINDOW_MIN;
    }

    fn count_round(&mut self, arrival: &Arrival) -> bool {
        self.round_lost += arrival.lost_bytes;
        let is_new = arrival.sample.delivered_before >= self.round_ends;
        if is_new {
            self.round += 1;
            self.round_ends = arrival.delivered;
        }
        is_new
    }

    fn take_rate(&mut self, arrival: &Arrival) {
        // A sender with little to send says nothing about the path, unless it was faster than all before.
        let sample = arrival.sample.rate.filter(|&rate| !arrival.sample.is_idle || rate >= self.rate.max());
        if let Some(rate) = sample {
            self.rate.insert(self.round, rate, RATE_ROUNDS);
        }
    }

    fn take_heap(&mut self, arrival: &Arrival) {
        let expected = scale(self.rate.max(), arrival.now.micros_since(self.heap_at));
        if self.heap_bytes <= expected {
            (self.heap_at, self.heap_bytes) = (arrival.now, arrival.bytes);
            return;
        }
        self.heap_bytes += arrival.bytes;
        let excess = self.heap_bytes.saturating_sub(expected).min(self.window);
        self.heap.insert(self.round, excess, RATE_ROUNDS);
    }

    fn look_for_growth(&mut self, arrival: &Arrival) {
        let lost = std::mem::take(&mut self.round_lost);
        let delivered = arrival.delivered - std::mem::replace(&mut self.round_began, arrival.delivered);
        let is_overflow = lost > START_LOSS_BYTES.max(percent(delivered + lost, START_LOSS_PERCENT));
        if self.is_full || is_overflow {
            self.is_full = true;
            return;
        }
        if arrival.sample.is_idle {
            return;
        }
        if self.rate.max() >= percent(self.grown_to, 125) {
            (self.grown_to, self.rounds_without_growth) = (self.rate.max(), 0);
            return;
        }
        self.rounds_without_growth += 1;
        self.is_full = self.rounds_without_growth >= ROUNDS_WITHOUT_GROWTH;
    }

    /// Takes a round trip. Returns whether the shortest one known before has become too old to be believed.
    fn take_round_trip(&mut self, arrival: &Arrival) -> bool {
        let is_stale = arrival.now > self.shortest_at + SHORTEST_KEPT_TIME;
        if let Some(rtt) = arrival.round_trip_us.filter(|&us| us <= self.shortest_us || is_stale) {
            (self.shortest_us, self.shortest_at) = (rtt, arrival.now);
        }
        is_stale
    }

    fn change_state(&mut self, arrival: &Arrival, is_shortest_stale: bool) {
        let now = arrival.now;
        if self.state == State::Startup && self.is_full {
            self.state = State::Drain;
        }
        if self.state == State::Drain && arrival.in_flight <= self.path_bytes(100) {
            self.state = State::Cruise { phase: 2, since: now };
        }
        if let State::Cruise { phase, since } = self.state
            && self.is_phase_over(phase, since, arrival)
        {
            self.state = State::Cruise { phase: (phase + 1) % CRUISE_GAINS.len(), since: now };
        }
        // With little in flight the new measurement is clean as it is.
        if is_shortest_stale && arrival.in_flight > WINDOW_MIN {
            self.state = State::Shrink { until: None };
        }
        if let State::Shrink { until } = self.state {
            self.shrink(arrival, until);
        }
    }

    fn is_phase_over(&self, phase: usize, since: Instant, arrival: &Arrival) -> bool {
        let has_passed = arrival.now.micros_since(since) > self.shortest_us;
        match CRUISE_GAINS[phase] {
            // Until the larger load is really on the path, or the path has answered with loss.
            gain if gain > 100 => {
                has_passed && (arrival.lost_bytes > 0 || arrival.in_flight >= self.path_bytes(gain))
            }
            gain if gain < 100 => has_passed || arrival.in_flight <= self.path_bytes(100),
            _ => has_passed,
        }
    }

    fn shrink(&mut self, arrival: &Arrival, until: Option<Instant>) {
        let now = arrival.now;
        match until {
            None if arrival.in_flight <= self.window() => {
                self.state = State::Shrink { until: Some(now + SHRINK_TIME) };
            }
            Some(until) if now >= until => {
                self.shortest_at = now;
                self.state =
                    if self.is_full { State::Cruise { phase: 2, since: now } } else { State::Startup };
            }
            _ => {}
        }
    }

    fn set_window(&mut self, arrival: &Arrival) {
        let gain = if self.is_full { WINDOW_GAIN } else { STARTUP_GAIN };
        let heap = self.heap.max().min(scale(self.rate.max(), HEAP_US_MAX));
        let target = self.path_bytes(gain) + heap + 3 * PACKET_BYTES;
        if self.is_full {
            self.window = target.min(self.window + arrival.bytes);
        } else if self.window < target || arrival.delivered < WINDOW_START {
            self.window += arrival.bytes;
        }
        self.window = self.window.max(WINDOW_MIN);
    }

    /// Returns the number of bytes that the path holds at the highest rate and the shortest round trip, times a gain.
    fn path_bytes(&self, gain_percent: u64) -> u64 {
        if self.shortest_us == u64::MAX {
            return WINDOW_START;
        }
        percent(scale(self.rate.max(), self.shortest_us), gain_percent)
    }
}

fn percent(value: u64, percent: u64) -> u64 {
    value.saturating_mul(percent) / 100
}
