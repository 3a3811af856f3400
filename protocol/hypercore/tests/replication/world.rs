//! Machines connected in memory: every delay, order and failure is drawn from one seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use libvms_hypercore::random::Dice;
use libvms_hypercore::replication::{Action, Config, Evidence, PeerFault, PeerId, Replicator};
use libvms_hypercore::time::Instant;
use libvms_hypercore::wire::Message;

use super::core::{Core, key};

/// Changes a machine's messages on the way out, if it is to lie: returns the messages sent instead.
pub(crate) type Liar = fn(Message, &mut Dice) -> Vec<Message>;

pub(crate) struct Machine {
    pub(crate) replicator: Replicator,
    pub(crate) core: Core,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) faults: Vec<PeerFault>,
    pub(crate) liar: Option<Liar>,
    pub(crate) sent: u64,
}

/// One direction of a link: in order, but with a delay.
#[derive(Default)]
struct Wire {
    messages: VecDeque<(Instant, Message)>,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) machines: Vec<Machine>,
    pub(crate) truth: Core,
    wires: BTreeMap<(usize, usize), Wire>,
    /// Directions on which nothing arrives any more, though the link seems open.
    pub(crate) dead: BTreeSet<(usize, usize)>,
    pub(crate) delay_ms_max: u64,
    pub(crate) dice: Dice,
}

impl World {
    pub(crate) fn new(seed: u64, truth: Core) -> Self {
        Self {
            now: Instant::from_millis(1),
            machines: vec![],
            truth,
            wires: BTreeMap::new(),
            dead: BTreeSet::new(),
            delay_ms_max: 20,
            dice: Dice::new(seed),
        }
    }

    pub(crate) fn add(&mut self, core: Core, config: Config) -> usize {
        let replicator = Replicator::new(key(), config);
        let (evidence, faults) = (vec![], vec![]);
        self.machines.push(Machine { replicator, core, evidence, faults, liar: None, sent: 0 });
        self.machines.len() - 1
    }

    pub(crate) fn link(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            self.wires.insert((from, to), Wire::default());
            let Machine { replicator, core, .. } = &mut self.machines[from];
            replicator.handle_peer_opened(self.now, PeerId(to as u64), core);
        }
        self.settle(a);
        self.settle(b);
    }

    pub(crate) fn unlink(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            if self.wires.remove(&(from, to)).is_some() {
                let Machine { replicator, core, .. } = &mut self.machines[from];
                replicator.handle_peer_closed(self.now, PeerId(to as u64), core);
            }
        }
        self.settle(a);
        self.settle(b);
    }

    pub(crate) fn is_linked(&self, a: usize, b: usize) -> bool {
        self.wires.contains_key(&(a, b))
    }

    /// Appends at a writer; the truth is the writer's log.
    pub(crate) fn append(&mut self, machine: usize, blocks: &[Vec<u8>]) {
        let Machine { replicator, core, .. } = &mut self.machines[machine];
        core.append(blocks);
        replicator.handle_store_changed(self.now, core);
        self.truth = core.clone();
        self.settle(machine);
    }

    /// Performs the actions of a machine until there are none.
    pub(crate) fn settle(&mut self, at: usize) {
        loop {
            let machine = &mut self.machines[at];
            let Some(action) = machine.replicator.poll_action() else { break };
            match action {
                Action::Send { peer, message } => self.put(at, peer.0 as usize, message),
                Action::Store(verified) => {
                    machine.core.store(verified, &self.truth);
                    machine.replicator.handle_store_changed(self.now, &machine.core);
                }
                Action::Evidence(evidence) => machine.evidence.push(evidence),
                Action::Fault { peer, why } => {
                    machine.faults.push(why);
                    self.unlink(at, peer.0 as usize);
                }
            }
        }
    }

    fn put(&mut self, from: usize, to: usize, message: Message) {
        let machine = &mut self.machines[from];
        machine.sent += 1;
        let messages = match machine.liar {
            Some(liar) => liar(message, &mut self.dice),
            None => vec![message],
        };
        for message in messages {
            let arrival = self.now + Duration::from_millis(1 + self.dice.below(self.delay_ms_max));
            let Some(wire) = self.wires.get_mut(&(from, to)) else { return };
            let arrival = wire.messages.back().map_or(arrival, |(last, _)| arrival.max(*last));
            if !self.dead.contains(&(from, to)) {
                wire.messages.push_back((arrival, message));
            }
        }
    }

    /// Advances to the next event. Returns `false` if nothing will ever happen again.
    pub(crate) fn step(&mut self) -> bool {
        let arrivals = self.wires.iter().filter_map(|(&ends, wire)| Some((wire.messages.front()?.0, ends)));
        let arrival = arrivals.min();
        let deadlines = self.machines.iter().enumerate();
        let deadline =
            deadlines.filter_map(|(at, machine)| Some((machine.replicator.poll_timeout()?, at))).min();
        match (arrival, deadline) {
            (Some((time, ends)), deadline) if deadline.is_none_or(|(deadline, _)| time <= deadline) => {
                self.now = self.now.max(time);
                self.deliver(ends);
            }
            (_, Some((deadline, at))) => {
                self.now = self.now.max(deadline);
                let Machine { replicator, core, .. } = &mut self.machines[at];
                replicator.handle_timeout(self.now, core);
                self.settle(at);
            }
            _ => return false,
        }
        true
    }

    fn deliver(&mut self, (from, to): (usize, usize)) {
        let wire = self.wires.get_mut(&(from, to)).expect("it has a message");
        let (_, message) = wire.messages.pop_front().expect("it has a message");
        let is_drained = wire.messages.is_empty();
        self.give(from, to, message);
        if is_drained && self.is_linked(from, to) {
            let Machine { replicator, core, .. } = &mut self.machines[from];
            replicator.handle_flushed(self.now, PeerId(to as u64), core);
            self.settle(from);
        }
    }

    /// Delivers a message at once.
    pub(crate) fn give(&mut self, from: usize, to: usize, message: Message) {
        let Machine { replicator, core, faults, .. } = &mut self.machines[to];
        let result = replicator.handle_message(self.now, PeerId(from as u64), message, core);
        if let Err(why) = result {
            faults.push(why);
            self.unlink(from, to);
        }
        self.settle(to);
    }

    /// Runs until nothing happens any more, or for so many events.
    pub(crate) fn run(&mut self, events_max: u64) -> u64 {
        (0..events_max).take_while(|_| self.step()).count() as u64
    }
}
