//! The periodic tasks of a node: bootstrap, pings, refreshes and network checks, [`Life`].
//!
//! ```text
//! bootstrap     a query for its own id; the first node to answer is asked to send a datagram to the server socket
//! every 5 s     is one of these due?
//! every 40 s    ping the nodes that were not heard for longest
//! every 5 min   without a query: search for its own id, or for a random one
//! 20 min        an adaptive node that was running all the time checks whether it is reachable, and becomes persistent
//! a gap         of 15 s in the ticks: the machine slept; everything must be learned again
//! ```
//!
//! The network check: five nodes are asked through the client socket to answer to the server socket, where no
//! unsolicited datagram gets through a firewall. If enough answers arrive and agree on the address, there is no
//! firewall.

use std::time::Duration;

use crate::dht_rpc::incoming::Socket;
use crate::dht_rpc::node::client::{Owner, Purpose};
use crate::dht_rpc::node::{
    Action, Address, CLOSEST_MAX, Command, Mode, Node, NodeId, Observed, QuerySpec, RequestSpec, RetryPolicy,
    Sampler, Target,
};
use libvms_hypercore::time::Instant;

/// How often the node looks for due tasks.
const TICK_INTERVAL: Duration = Duration::from_secs(5);
/// A tick this much too late means that the machine slept.
const SLEEP_TIME: Duration = Duration::from_secs(15);
/// Ticks between two rounds of pings.
const PING_TICKS: u64 = 8;
/// Nodes pinged in a round.
const PING_COUNT: usize = 5;
/// Time without a query after which the node starts one.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Ticks between two refreshes of a node that knows few others.
const FEW_NODES_TICKS: u64 = 64;
/// Ticks between two attempts to find any node at all.
const NO_NODES_TICKS: u64 = 4;
/// Most hints about gone nodes that are sent between two ticks.
const HINTS_MAX: usize = 50;
/// Nodes that a network check asks.
const CHECK_NODES: usize = 5;
/// How many of them must answer; of fewer nodes one.
const CHECK_ANSWERS: usize = 3;
/// Time after which a persistent node that does not know its address asks again.
const ADDRESS_RETRY_DELAY: Duration = Duration::from_secs(60);
/// Factor by which the time until persistence grows after a sleep or a failed check.
const SETBACK: u32 = 3;

/// The state of a node's periodic tasks.
#[derive(Debug)]
pub(super) struct Life {
    next_tick: Instant,
    ticks: u64,
    bootstrap: Bootstrap,
    /// When the last query was started.
    queried_at: Instant,
    refreshes: u64,
    hints_left: usize,
    check: Option<Check>,
    /// When the next network check is due.
    check_at: Instant,
    is_check_wanted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bootstrap {
    NotStarted,
    /// Bootstrapping; whether a node was asked to answer to the server socket.
    Running {
        has_probed: bool,
    },
    Done,
}

/// A network check in progress.
#[derive(Debug)]
struct Check {
    asked: usize,
    waiting: usize,
    answered: usize,
    sampler: Sampler,
}

impl Life {
    pub(super) fn new(now: Instant, check_at: Instant) -> Self {
        Self {
            next_tick: now + TICK_INTERVAL,
            ticks: 0,
            bootstrap: Bootstrap::NotStarted,
            queried_at: now,
            refreshes: 0,
            hints_left: HINTS_MAX,
            check: None,
            check_at,
            is_check_wanted: false,
        }
    }

    pub(super) fn next_tick(&self) -> Instant {
        self.next_tick
    }

    pub(super) fn query_started(&mut self, now: Instant) {
        self.queried_at = now;
    }

    pub(super) fn is_bootstrapped(&self) -> bool {
        self.bootstrap == Bootstrap::Done
    }
}

impl Node {
    /// Bootstraps the node: finds the nodes closest to itself, and whether it can be reached. Ends with
    /// [`Action::Bootstrapped`].
    pub fn bootstrap(&mut self, now: Instant) {
        self.life.bootstrap = Bootstrap::Running { has_probed: false };
        self.begin_query(now, Owner::Bootstrap, QuerySpec::new(self.table.own(), Command::FIND_NODE));
        self.drive(now);
    }

    pub(super) fn live(&mut self, now: Instant) {
        if now < self.life.next_tick {
            return;
        }
        if now >= self.life.next_tick + SLEEP_TIME {
            self.wake_up(now);
        }
        self.life.next_tick = now + TICK_INTERVAL;
        self.life.ticks += 1;
        self.life.hints_left = HINTS_MAX;
        if self.life.ticks.is_multiple_of(PING_TICKS) {
            self.ping_unheard(now);
        }
        self.look_around(now);
        self.consider_check(now);
    }

    /// Handles the end of a query that the node began for itself.
    pub(super) fn own_query_ended(&mut self, now: Instant, owner: Owner) {
        if owner == Owner::Bootstrap {
            self.life.bootstrap = Bootstrap::Done;
            let nodes = self.table.len();
            self.actions.push_back(Action::Bootstrapped { nodes });
            let needs_address = matches!(self.config.mode, Mode::Persistent { .. }) && self.own.is_none();
            if std::mem::take(&mut self.life.is_check_wanted) || needs_address {
                self.start_check(now);
            }
        }
    }

    /// Asks the first node that answers to send a datagram to the server socket.
    pub(super) fn probe(&mut self, node: Address) {
        if self.life.bootstrap == (Bootstrap::Running { has_probed: false }) && self.is_firewalled {
            self.life.bootstrap = Bootstrap::Running { has_probed: true };
            self.ask(Purpose::Probe, self.nat_test(node));
        }
    }

    /// Notes that it arrived: asks more nodes, as soon as more are known.
    pub(super) fn probe_answered(&mut self, now: Instant) {
        if self.life.is_bootstrapped() {
            self.start_check(now);
        } else {
            self.life.is_check_wanted = true;
        }
    }

    /// Tells a node that another one, which it named, is gone.
    pub(super) fn hint(&mut self, named_by: Address, gone: Address) {
        if self.life.hints_left > 0 {
            self.life.hints_left -= 1;
            let mut value = libvms_hypercore::encoding::Writer::default();
            gone.encode(&mut value);
            let spec = RequestSpec::new(named_by, Command::DOWN_HINT);
            let (value, patience) = (Some(value.finish()), RetryPolicy::ONCE);
            self.ask(Purpose::Hint, RequestSpec { value, patience, ..spec });
        }
    }

    fn ping_unheard(&mut self, now: Instant) {
        for address in self.table.longest_unheard(PING_COUNT, now) {
            self.ping(Purpose::Alive, address);
        }
    }

    /// Starts a query if there was none for long.
    fn look_around(&mut self, now: Instant) {
        let Life { ticks, bootstrap, queried_at, .. } = self.life;
        if bootstrap != Bootstrap::Done {
            return;
        }
        if self.table.len() == 0 && ticks.is_multiple_of(NO_NODES_TICKS) {
            return self.bootstrap(now);
        }
        // Soon at first, then ever more rarely: nodes that started together find each other without waiting for long.
        let is_time = ticks.is_multiple_of(FEW_NODES_TICKS) || ticks.is_power_of_two();
        let has_few = self.table.len() < CLOSEST_MAX;
        if queried_at + REFRESH_INTERVAL <= now || has_few && is_time {
            self.refresh(now);
        }
    }

    /// Searches for its own id, so that it and its neighbours know each other, or for a random one, to know the rest.
    /// Each in turn.
    fn refresh(&mut self, now: Instant) {
        self.life.refreshes += 1;
        let is_own = self.life.refreshes % 2 == 1;
        let target = if is_own { self.table.own() } else { Target(self.random.bytes()) };
        self.begin_query(now, Owner::Refresh, QuerySpec::new(target, Command::FIND_NODE));
    }

    fn wake_up(&mut self, now: Instant) {
        self.table.forget_times();
        if self.config.mode == Mode::Adaptive {
            self.leave_persistence();
            self.life.check_at = now + SETBACK * self.config.persistent_after;
        }
        self.bootstrap(now);
    }

    fn consider_check(&mut self, now: Instant) {
        // A check that could only fail, because no node has reported our address yet, would set the node back.
        let knows_host = self.sampler.observed().host().is_some();
        let is_due = self.own.is_none() && self.life.check_at <= now && knows_host;
        let is_wanted = match self.config.mode {
            Mode::Ephemeral => false,
            Mode::Adaptive => is_due || self.is_at_home_elsewhere(),
            Mode::Persistent { .. } => is_due,
        };
        if is_wanted {
            self.start_check(now);
        }
    }

    /// Returns whether others see a persistent node at another host than its known one.
    fn is_at_home_elsewhere(&self) -> bool {
        let host = self.sampler.observed().host();
        host.zip(self.own).is_some_and(|(host, own)| host != own.ip())
    }

    fn start_check(&mut self, now: Instant) {
        if self.life.check.is_some() {
            return;
        }
        if self.is_at_home_elsewhere() {
            self.leave_persistence();
        }
        let mut nodes = self.table.latest(CHECK_NODES);
        if nodes.len() < CHECK_NODES {
            nodes.extend(self.config.bootstrap.iter().take(CHECK_NODES - nodes.len()));
        }
        let asked = nodes.into_iter().filter(|node| self.ask(Purpose::Check, self.nat_test(*node))).count();
        if asked == 0 {
            return self.check_failed(now);
        }
        self.life.check = Some(Check { asked, waiting: asked, answered: 0, sampler: Sampler::default() });
    }

    /// Takes the result of one node in the network check: its answer arrived at the server socket, or did not.
    pub(super) fn check_answered(&mut self, now: Instant, address: Option<Address>) {
        let Some(check) = &mut self.life.check else { return };
        check.waiting -= 1;
        if let Some(address) = address {
            check.answered += 1;
            check.sampler.add(address);
        }
        if check.waiting > 0 {
            return;
        }
        let Some(check) = self.life.check.take() else { return };
        match self.judge(&check) {
            Some(address) => self.check_passed(now, address),
            None => self.check_failed(now),
        }
    }

    /// Returns the public address of the server socket, if the check shows that it has one.
    fn judge(&self, check: &Check) -> Option<Address> {
        let needed = if check.asked < CHECK_NODES { 1 } else { CHECK_ANSWERS };
        match check.sampler.observed() {
            Observed::Address(address)
                if check.answered >= needed
                    && address.port() == self.config.server_port
                    && self.sampler.observed().host() == Some(address.ip()) =>
            {
                Some(address)
            }
            _ => None,
        }
    }

    fn check_passed(&mut self, now: Instant, address: Address) {
        if self.is_firewalled {
            self.is_firewalled = false;
            // From now on another socket sends requests, and other nodes see another port.
            self.forget_samples();
        }
        let is_due = match self.config.mode {
            Mode::Ephemeral => false,
            Mode::Adaptive => self.life.check_at <= now,
            Mode::Persistent { .. } => true,
        };
        if is_due {
            self.own = Some(address);
            self.table.rebuild(NodeId::of(&address).into());
            self.refresh(now);
        }
        self.actions.push_back(Action::StatusChanged(self.standing()));
    }

    fn check_failed(&mut self, now: Instant) {
        self.life.check_at = match self.config.mode {
            Mode::Persistent { .. } => now + ADDRESS_RETRY_DELAY,
            Mode::Ephemeral | Mode::Adaptive => now + SETBACK * self.config.persistent_after,
        };
    }

    fn leave_persistence(&mut self) {
        let before = self.standing();
        self.own = None;
        self.is_firewalled = true;
        self.forget_samples();
        if before != self.standing() {
            self.actions.push_back(Action::StatusChanged(self.standing()));
        }
    }

    fn forget_samples(&mut self) {
        self.sampler = Sampler::default();
        self.anonymous_samples = 0;
        self.table.forget_samples();
    }

    /// Returns the request for an answer to the server socket. It leaves through the client socket: sent from the
    /// server socket, it would open the firewall that it must detect.
    fn nat_test(&self, to: Address) -> RequestSpec {
        let value = Some(self.config.server_port.to_le_bytes().to_vec());
        let spec = RequestSpec::new(to, Command::PING_NAT);
        RequestSpec { value, socket: Some(Socket::Client), patience: RetryPolicy::QUICK, ..spec }
    }
}
