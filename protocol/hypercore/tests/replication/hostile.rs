//! Hostile peers: whatever one sends, nothing panics, nothing false is stored, and the state kept for it is bounded.

use std::time::Duration;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::replication::{Action, Config, Download, PeerId, Replicator, Store, answer};
use libvms_hypercore::time::Instant;
use libvms_hypercore::tree::{Hash, Node};
use libvms_hypercore::wire::Message;
use libvms_hypercore::wire::message::{
    Bitfield, Cancel, Data, Extension, NoData, Range, Reason, Region, Request, RequestBlock, RequestNode,
    RequestSeek, RequestUpgrade, Sync,
};
use proptest::prelude::*;

use super::core::{Core, key};

const LENGTH: u64 = 40;
const LIAR: PeerId = PeerId(1);
const HONEST: PeerId = PeerId(2);

/// Generates numbers near the core, near powers of two, and anywhere.
fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0..LENGTH + 3,
        2 => (0..64_u32, -2..3_i64).prop_map(|(bit, off)| (1_u64 << bit).wrapping_add_signed(off)),
        1 => any::<u64>(),
    ]
}

fn syncs() -> impl Strategy<Value = Message> {
    (0..4_u64, numbers(), numbers(), any::<[bool; 3]>()).prop_map(|(fork, length, remote_length, flags)| {
        let [can_upgrade, uploading, downloading] = flags;
        let fork = fork.saturating_sub(2);
        Message::Sync(Sync {
            fork,
            length: Length(length),
            remote_length: Length(remote_length),
            can_upgrade,
            uploading,
            downloading,
            ..Sync::default()
        })
    })
}

fn requests() -> impl Strategy<Value = Request> {
    let pair = || prop::option::of((numbers(), numbers()));
    (0..20_u64, 0..2_u64, pair(), pair(), pair(), pair()).prop_map(
        |(id, fork, block, hash, seek, upgrade)| Request {
            id,
            fork,
            block: block.map(|(index, nodes)| RequestBlock { index: BlockIndex(index), nodes }),
            hash: hash.map(|(index, nodes)| RequestNode { index, nodes }),
            seek: seek.map(|(bytes, padding)| RequestSeek { bytes, padding }),
            upgrade: upgrade.map(|(start, length)| RequestUpgrade { start: Length(start), length }),
            ..Request::default()
        },
    )
}

/// The next act of the liar.
#[derive(Clone, Debug)]
enum Deed {
    Say(Box<Message>),
    /// Answers one of the machine's requests from the true log, with one field changed, or none.
    Answer {
        which: usize,
        spoil: usize,
        number: u64,
    },
    /// Does nothing for as long as the machine waits.
    Stall,
}

fn deeds() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => messages().prop_map(say),
        4 => (0..40_usize, 0..30_usize, numbers())
            .prop_map(|(which, spoil, number)| Deed::Answer { which, spoil, number }),
        1 => Just(Deed::Stall),
        // What makes the machine ask.
        1 => (0..=LENGTH).prop_map(|remote_length| say(Message::Sync(Sync { remote_length: Length(remote_length), ..truthful() }))),
        1 => Just(say(Message::Sync(truthful()))),
        1 => Just(say(Message::Range(Range { drop: false, start: BlockIndex(0), length: LENGTH }))),
    ]
}

fn say(message: Message) -> Deed {
    Deed::Say(Box::new(message))
}

/// Returns the sync of the log's writer.
fn truthful() -> Sync {
    Sync { length: Length(LENGTH), can_upgrade: true, uploading: true, ..Sync::default() }
}

/// Changes one field of an answer to a number.
fn spoil_one(data: &mut Data, spoil: usize, number: u64) {
    let node = Node { index: number, size: number, hash: Hash([number as u8; 32]) };
    let block = data.block.as_mut();
    let upgrade = data.upgrade.as_mut();
    match (spoil, block, upgrade) {
        (0, Some(block), _) => block.index = BlockIndex(number),
        (1, Some(block), _) => block.value.push(number as u8),
        (2, Some(block), _) => block.nodes.push(node),
        (3, Some(block), _) => block.nodes.iter_mut().for_each(|node| node.size = number),
        (4, _, Some(upgrade)) => upgrade.start = Length(number),
        (5, _, Some(upgrade)) => upgrade.length = number,
        (6, _, Some(upgrade)) => upgrade.nodes.push(node),
        (7, _, Some(upgrade)) => upgrade.additional_nodes.push(node),
        (8, _, Some(upgrade)) => upgrade.nodes.iter_mut().for_each(|node| node.size = number),
        (9, _, Some(upgrade)) => upgrade.signature.truncate(number as usize % 64),
        (10, _, _) => data.fork = number,
        _ => {}
    }
}

fn messages() -> impl Strategy<Value = Message> {
    prop_oneof![
        3 => syncs(),
        4 => requests().prop_map(Message::Request),
        1 => (0..20_u64).prop_map(|request| Message::Cancel(Cancel { request })),
        2 => (0..20_u64, 0..4_u64)
            .prop_map(|(request, reason)| Message::NoData(NoData { request, reason: Reason(reason) })),
        1 => (numbers(), numbers(), any::<bool>())
            .prop_map(|(start, length, any)| Message::Want(Region { start: BlockIndex(start), length, any })),
        1 => (numbers(), numbers(), any::<bool>())
            .prop_map(|(start, length, any)| Message::Unwant(Region { start: BlockIndex(start), length, any })),
        2 => (numbers(), prop::collection::vec(any::<u32>(), 0..40))
            .prop_map(|(start, words)| Message::Bitfield(Bitfield { start: BlockIndex(start), words })),
        4 => (any::<bool>(), numbers(), numbers())
            .prop_map(|(drop, start, length)| Message::Range(Range { drop, start: BlockIndex(start), length })),
        1 => Just(Message::Extension(Extension { name: "hyperbee".into(), message: vec![1] })),
    ]
}

/// One machine with a liar, and later an honest peer that answers at once.
struct Bench {
    now: Instant,
    machine: Replicator,
    core: Core,
    truth: Core,
    /// The requests to the liar.
    asked: Vec<Request>,
    stored_from_liar: usize,
}

impl Bench {
    fn new(download: Download, core: Core) -> Self {
        let config = Config { download, ..Config::default() };
        let mut machine = Replicator::new(key(), config);
        machine.handle_peer_opened(Instant::from_millis(1), LIAR, &core);
        Self {
            now: Instant::from_millis(1),
            machine,
            core,
            truth: Core::written(LENGTH),
            asked: vec![],
            stored_from_liar: 0,
        }
    }

    /// Performs the machine's actions. Returns their number.
    fn settle(&mut self) -> usize {
        let mut count = 0;
        while let Some(action) = self.machine.poll_action() {
            count += 1;
            match action {
                Action::Store(verified) => {
                    self.core.store(verified, &self.truth);
                    self.stored_from_liar += 1;
                    self.machine.handle_store_changed(self.now, &self.core);
                }
                Action::Send { peer: LIAR, message: Message::Request(request) } => self.asked.push(request),
                Action::Send { peer: HONEST, message: Message::Request(request) } => {
                    let data = answer(&self.truth, &request).expect("the machine asks for what is there");
                    let result =
                        self.machine.handle_message(self.now, HONEST, Message::Data(data), &self.core);
                    assert_eq!(result, Ok(()));
                }
                _ => {}
            }
        }
        count
    }

    fn receive(&mut self, from: PeerId, message: Message) -> bool {
        self.now += Duration::from_millis(7);
        let is_good = self.machine.handle_message(self.now, from, message, &self.core).is_ok();
        assert!(self.settle() < 5000, "one message does not set off thousands");
        is_good
    }
}

impl Bench {
    fn act(&mut self, deed: Deed) {
        let message = match deed {
            Deed::Say(message) => *message,
            Deed::Answer { which, spoil, number } => match self.answer(which, spoil, number) {
                Some(data) => Message::Data(data),
                None => return,
            },
            Deed::Stall => return self.wait(),
        };
        if !self.receive(LIAR, message) {
            self.asked.clear();
            self.machine.handle_peer_opened(self.now, LIAR, &self.core);
            self.settle();
        }
    }

    fn answer(&mut self, which: usize, spoil: usize, number: u64) -> Option<Data> {
        let request = self.asked.get(which.checked_rem(self.asked.len())?).copied()?;
        self.asked.retain(|other| other.id != request.id);
        let spare = Data { request: request.id, ..Data::default() };
        let mut data = answer(&self.truth, &request).unwrap_or(spare);
        spoil_one(&mut data, spoil, number);
        Some(data)
    }

    fn wait(&mut self) {
        if let Some(deadline) = self.machine.poll_timeout() {
            self.now = self.now.max(deadline);
            self.machine.handle_timeout(self.now, &self.core);
            self.settle();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_messages_does_harm(
        script in prop::collection::vec(deeds(), 0..200),
        stored in 0..LENGTH,
        fetches in any::<bool>(),
    ) {
        let download = if fetches { Download::All } else { Download::Nothing };
        let mut bench = Bench::new(download, if stored % 3 == 0 { Core::default() } else { Core::written(stored) });
        bench.settle();
        for deed in script {
            bench.act(deed);
            prop_assert!(bench.machine.requests_in_flight() <= 300);
        }
        // Whatever was sent before, an honest peer delivers the whole log.
        bench.machine.handle_peer_opened(bench.now, HONEST, &bench.core);
        bench.settle();
        for _ in 0..40 {
            let remote_length = bench.core.length();
            bench.receive(HONEST, Message::Sync(Sync { remote_length, ..truthful() }));
            bench.receive(HONEST, Message::Range(Range { drop: false, start: BlockIndex(0), length: LENGTH }));
            bench.wait();
        }
        prop_assert!(!fetches || bench.core.is_complete(&bench.truth), "{} blocks", bench.core.blocks.len());
    }
}

#[test]
fn unbounded_claims_cost_nothing() {
    let mut bench = Bench::new(Download::All, Core::default());
    bench.settle();
    for step in 0..20_000_u64 {
        bench.receive(LIAR, Message::Range(Range { drop: false, start: BlockIndex(3 * step), length: 1 }));
        bench.receive(LIAR, Message::Range(Range { drop: false, start: BlockIndex(step), length: u64::MAX }));
        bench.receive(LIAR, Message::Range(Range { drop: true, start: BlockIndex(step * 5 + 1), length: 1 }));
    }
    assert_eq!(bench.core.length(), Length(0));
}

#[test]
fn a_bitfield_of_alternating_bits_is_taken_quickly() {
    let truth = Core::written(LENGTH);
    let mut core = truth.clone();
    (0..LENGTH).for_each(|block| core.clear(block));
    let mut bench = Bench { truth, ..Bench::new(Download::All, core) };
    let sync =
        Sync { length: Length(LENGTH), remote_length: Length(LENGTH), uploading: true, ..Sync::default() };
    bench.receive(LIAR, Message::Sync(sync));
    for _ in 0..20 {
        bench.receive(
            LIAR,
            Message::Bitfield(Bitfield { start: BlockIndex(0), words: vec![0xaaaa_aaaa; 65_536] }),
        );
    }
    assert_eq!(bench.machine.requests_in_flight(), 16);
}

#[test]
fn deadlines_move_on() {
    let mut bench = Bench::new(Download::All, Core::default());
    bench.receive(
        LIAR,
        Message::Sync(Sync { length: Length(9), can_upgrade: true, uploading: true, ..Sync::default() }),
    );
    let mut before = Instant::START;
    for _ in 0..50 {
        let Some(deadline) = bench.machine.poll_timeout() else { break };
        assert!(deadline > before, "time can pass");
        before = deadline;
        bench.now = deadline;
        bench.machine.handle_timeout(deadline, &bench.core);
        bench.settle();
    }
    assert!(before > Instant::from_millis(100_000), "a silent peer is asked again from time to time");
    assert!(bench.core.has(BlockIndex(0)) == (bench.core.length() > Length(0)));
}
