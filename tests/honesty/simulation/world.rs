//! Nodes and links under one seed: what happens next, and when.
//!
//! Time is virtual and goes from one event to the next: a frame arrives, a replicator's deadline has come, a copy is
//! brought to disk, a watcher looks. Nothing here depends on the machine's clock or on threads: a seed is a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use libvms::watch::Event;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::random::Dice;
use libvms_hypercore::replication::{Action, PeerId};
use libvms_hypercore::time::Instant;
use libvms_hypercore::wire::Message;
use libvms_hypercore::wire::session::SessionEvent;
use libvms_protocol::entry::Auth;
use tempfile::TempDir;

use super::host::Host;
use super::link::Link;
use super::node::{Node, tear_copies};

/// The node that hosts; the one after it replicates; all others watch.
pub(super) const HOST: usize = 0;
const REPLICATOR: usize = 1;
/// How long a connection on which nothing arrives stays open, in milliseconds.
const IDLE_TIMEOUT_MS: u64 = 30_000;

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) now: u64,
    pub(super) host: Host,
    /// `None` while a node is down.
    pub(super) nodes: Vec<Option<Node>>,
    /// What each watcher has told.
    pub(super) told: Vec<Vec<Event>>,
    /// How often something happened that a run should not be without.
    pub(super) seen: Seen,
    links: BTreeMap<u64, Link>,
    links_made: u64,
    log: PublicKey,
    place: TempDir,
}

/// What happened how often.
pub(super) type Seen = BTreeMap<&'static str, u64>;

/// A directory in memory, if there is room for such: what is synced there costs nothing, and what a crash would leave is
/// the simulation's matter.
fn place() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Frame { link: u64, side: usize },
    Tick { node: usize, core: usize },
    Sync { node: usize, core: usize },
    Look { node: usize },
}

impl World {
    pub(super) fn new(seed: u64, nodes: usize) -> Self {
        let place = place();
        // In every second world callers sign.
        let auth = if seed.is_multiple_of(2) { Auth::Signed } else { Auth::Debug };
        let host = Host::deploy(place.path().join("host"), auth);
        let log = host.views()[0].key();
        let mut world = Self {
            dice: Dice::new(seed),
            now: 1,
            host,
            nodes: (0..nodes).map(|_| None).collect(),
            told: vec![vec![]; nodes],
            seen: Seen::new(),
            links: BTreeMap::new(),
            links_made: 0,
            log,
            place,
        };
        (0..nodes).for_each(|node| world.start(node));
        world
    }

    pub(super) fn watchers(&self) -> std::ops::Range<usize> {
        REPLICATOR + 1..self.nodes.len()
    }

    pub(super) fn is_up(&self, node: usize) -> bool {
        self.nodes[node].is_some()
    }

    fn directory(&self, node: usize) -> PathBuf {
        self.place.path().join(node.to_string())
    }

    /// Starts a node that is down.
    pub(super) fn start(&mut self, node: usize) {
        if self.is_up(node) {
            return;
        }
        let started = if node == HOST {
            if !self.host.is_up() {
                self.host.restart();
            }
            Node::of_host(self.host.views(), self.host.directory())
        } else {
            let directory = self.directory(node);
            std::fs::create_dir_all(&directory).expect("a temporary directory");
            Node::of_copies(&directory, self.log, node != REPLICATOR)
        };
        self.nodes[node] = Some(started);
    }

    /// Starts the host after its cores were rewritten.
    pub(super) fn start_cheating(&mut self) {
        self.host.cheat();
        self.start(HOST);
    }

    /// Ends a node at any moment of what it does.
    pub(super) fn crash(&mut self, node: usize) {
        if !self.is_up(node) {
            return;
        }
        self.stop(node);
        if node == HOST {
            let how = self.host.crash(&mut self.dice);
            self.note(how);
        } else {
            let torn = tear_copies(&self.directory(node), &mut self.dice);
            torn.into_iter().for_each(|how| self.note(how));
        }
    }

    pub(super) fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Ends a node without a word to anybody.
    pub(super) fn stop(&mut self, node: usize) {
        self.part(node);
        self.nodes[node] = None;
    }

    /// Parts a node from all others.
    pub(super) fn part(&mut self, node: usize) {
        let links: Vec<u64> = self.links_of(node).collect();
        links.into_iter().for_each(|link| self.cut(link));
    }

    /// Shows peers what the host has appended. Its cores are told of in any order.
    pub(super) fn publish(&mut self) {
        let first = self.dice.index(3);
        for core in [first, (first + 1) % 3, (first + 2) % 3] {
            let now = self.now;
            if let Some(host) = &mut self.nodes[HOST] {
                host.cores[core].refresh(now);
            }
            self.settle(HOST);
        }
    }

    fn links_of(&self, node: usize) -> impl Iterator<Item = u64> + '_ {
        self.links.iter().filter(move |(_, link)| link.side_of(node).is_some()).map(|(number, _)| *number)
    }

    /// The connections that are open, or seem so.
    pub(super) fn link_numbers(&self) -> Vec<u64> {
        self.links.keys().copied().collect()
    }

    pub(super) fn is_linked(&self, a: usize, b: usize) -> bool {
        self.links.values().any(|link| link.side_of(a).is_some() && link.side_of(b).is_some())
    }

    pub(super) fn link(&mut self, a: usize, b: usize) {
        if !self.is_up(a) || !self.is_up(b) || self.is_linked(a, b) {
            return;
        }
        self.links_made += 1;
        let number = self.links_made;
        let delay_ms_max = self.dice.pick(&[5, 50, 500]);
        self.links.insert(number, Link::new([a, b], number, delay_ms_max));
        [a, b].into_iter().for_each(|node| self.open_cores(node));
    }

    /// Loses a connection with all that is under way on it.
    pub(super) fn cut(&mut self, number: u64) {
        let Some(link) = self.links.remove(&number) else { return };
        self.note(if link.is_busy() { "connection lost with frames under way" } else { "connection lost" });
        for (node, open) in link.ends.into_iter().zip(link.open) {
            self.close_cores(node, number, open);
        }
    }

    fn close_cores(&mut self, node: usize, link: u64, open: BTreeSet<PublicKey>) {
        let now = self.now;
        for core in self.nodes[node].iter_mut().flat_map(|node| &mut node.cores) {
            if open.contains(&core.key) {
                core.replicator.handle_peer_closed(Instant::from_millis(now), PeerId(link), &core.held);
            }
        }
        self.settle(node);
    }

    /// Lets nothing arrive on a connection any more. Both ends find out later.
    pub(super) fn mute(&mut self, number: u64) {
        if let Some(link) = self.links.get_mut(&number) {
            link.is_mute = true;
        }
    }

    /// Gives up connections on which nothing arrives.
    pub(super) fn cut_muted(&mut self) {
        let is_muted = |(number, link): (&u64, &Link)| link.is_mute.then_some(*number);
        let muted: Vec<u64> = self.links.iter().filter_map(is_muted).collect();
        if !muted.is_empty() {
            self.now += IDLE_TIMEOUT_MS;
            muted.into_iter().for_each(|link| self.cut(link));
        }
    }

    /// Opens the channels of all cores of a node on all its connections.
    fn open_cores(&mut self, node: usize) {
        let keys: Vec<PublicKey> =
            self.nodes[node].iter().flat_map(|node| &node.cores).map(|core| core.key).collect();
        for number in self.links_of(node).collect::<Vec<_>>() {
            let Some(link) = self.links.get_mut(&number) else { continue };
            let side = link.side_of(node).expect("a link of this node");
            for key in &keys {
                link.sessions[side].open(*key).expect("an honest peer");
            }
            self.take_in(number, side);
        }
    }

    /// Hands on what a session has understood.
    fn take_in(&mut self, number: u64, side: usize) {
        while let Some(link) = self.links.get_mut(&number)
            && let Some(event) = link.sessions[side].poll_event()
        {
            let node = link.ends[side];
            self.handle(number, side, node, event);
        }
        if let Some(link) = self.links.get_mut(&number) {
            link.pump(self.now, &mut self.dice);
        }
    }

    fn handle(&mut self, number: u64, side: usize, node: usize, event: SessionEvent) {
        let (now, peer) = (Instant::from_millis(self.now), PeerId(number));
        let (Some(link), Some(at)) = (self.links.get_mut(&number), &mut self.nodes[node]) else { return };
        match event {
            SessionEvent::Opened { core } => {
                link.open[side].insert(core);
                let position = at.position(|known| known.key == core).expect("cores stay");
                let core = &mut at.cores[position];
                core.replicator.handle_peer_opened(now, peer, &core.held);
            }
            SessionEvent::Message { core, message } => {
                let position = at.position(|known| known.key == core).expect("cores stay");
                let core = &mut at.cores[position];
                // Peers that saw a contradiction part; honest ones never do.
                if core.replicator.handle_message(now, peer, *message, &core.held).is_err() {
                    self.cut(number);
                }
            }
            SessionEvent::Closed { core } => {
                link.open[side].remove(&core);
                self.close_cores(node, number, [core].into());
            }
            SessionEvent::Rejected { .. } => {}
            SessionEvent::Requested { discovery_key } => {
                match at.position(|known| known.key.discovery_key() == discovery_key) {
                    Some(core) => link.sessions[side].serve(at.cores[core].key).expect("an honest peer"),
                    None => link.sessions[side].refuse(&discovery_key),
                }
            }
        }
        self.settle(node);
    }

    /// Does what the replicators of a node want done.
    fn settle(&mut self, node: usize) {
        let mut touched = BTreeSet::new();
        while let Some((core, action)) = self.next_action(node) {
            match action {
                Action::Send { peer: PeerId(link), message } => {
                    self.send(node, core, link, &message);
                    touched.insert(link);
                }
                Action::Store(verified) => {
                    let at = self.nodes[node].as_mut().expect("it acts");
                    at.store(core, verified, self.now, &mut self.dice);
                }
                Action::Evidence(evidence) => {
                    let at = self.nodes[node].as_mut().expect("it acts");
                    let judged = at.cores[core].judge.judge(&evidence).expect("a disk");
                    self.told[node].extend(judged);
                }
                Action::Fault { peer: PeerId(link), .. } => self.cut(link),
            }
        }
        for number in touched {
            if let Some(link) = self.links.get_mut(&number) {
                link.pump(self.now, &mut self.dice);
            }
        }
    }

    fn next_action(&mut self, node: usize) -> Option<(usize, Action)> {
        let cores = &mut self.nodes[node].as_mut()?.cores;
        cores.iter_mut().enumerate().find_map(|(at, core)| Some((at, core.replicator.poll_action()?)))
    }

    fn send(&mut self, node: usize, core: usize, link: u64, message: &Message) {
        let key = self.nodes[node].as_ref().expect("it acts").cores[core].key;
        if let Some(link) = self.links.get_mut(&link) {
            let side = link.side_of(node).expect("a link of this node");
            link.send(side, &key, message);
        }
    }

    /// Goes to the next event before `end`; `false` where there is none.
    pub(super) fn step(&mut self, end: u64) -> bool {
        let Some((time, next)) = self.next().filter(|(time, _)| *time <= end) else {
            return false;
        };
        self.now = self.now.max(time);
        match next {
            Next::Frame { link, side } => self.deliver(link, side),
            Next::Tick { node, core } => {
                let at = &mut self.nodes[node].as_mut().expect("it has a deadline").cores[core];
                at.replicator.handle_timeout(Instant::from_millis(self.now), &at.held);
                self.settle(node);
            }
            Next::Sync { node, core } => self.nodes[node].as_mut().expect("it has a deadline").sync(core),
            Next::Look { node } => {
                let at = self.nodes[node].as_mut().expect("it has a deadline");
                let before = at.cores.len();
                let told = at.look(self.now);
                let (is_longer, is_ahead) = (at.cores.len() > before, at.is_archive_ahead());
                self.told[node].extend(told);
                if is_ahead {
                    self.note("archive seen ahead of the log");
                }
                if is_longer {
                    self.open_cores(node);
                }
            }
        }
        true
    }

    fn next(&self) -> Option<(u64, Next)> {
        let frames = self.links.iter().flat_map(|(&number, link)| {
            (0..2).filter_map(move |side| Some((link.arrival(side)?, Next::Frame { link: number, side })))
        });
        let up = self.nodes.iter().enumerate().filter_map(|(node, at)| Some((node, at.as_ref()?)));
        let looks = up.clone().filter_map(|(node, at)| Some((at.look_at?, Next::Look { node })));
        let cores =
            up.flat_map(|(node, at)| at.cores.iter().enumerate().map(move |(core, at)| (node, core, at)));
        let deadlines = cores.flat_map(|(node, core, at)| {
            let tick = at.replicator.poll_timeout().map(|time| (time.as_millis(), Next::Tick { node, core }));
            let sync = at.sync_at.map(|time| (time, Next::Sync { node, core }));
            tick.into_iter().chain(sync)
        });
        frames.chain(looks).chain(deadlines).min()
    }

    fn deliver(&mut self, number: u64, side: usize) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let Some((frame, written)) = link.take(side) else { return };
        let (from, to) = (link.ends[side], 1 - side);
        link.sessions[to].handle_frame(&frame).expect("an honest peer");
        self.take_in(number, to);
        let now = self.now;
        for core in self.nodes[from].iter_mut().flat_map(|node| &mut node.cores) {
            if written.contains(&core.key) {
                core.replicator.handle_flushed(Instant::from_millis(now), PeerId(number), &core.held);
            }
        }
        self.settle(from);
    }
}
