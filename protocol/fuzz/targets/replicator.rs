//! A replicator that receives arbitrary messages, altered proofs in answer to its requests, and timeouts. It stores no
//! false block, and its requests stay bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::replication::{Action, Config, Download, PeerId, Replicator, answer};
use libvms_hypercore::time::Instant;
use libvms_hypercore::wire::message::{Message, Range, Request, Sync};
use libvms_protocol_fuzz::pieces;

use crate::core::{Core, key};

#[path = "../../hypercore/tests/replication/core.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod core;

const LENGTH: u64 = 40;
const PEER: PeerId = PeerId(1);

struct Bench {
    machine: Replicator,
    core: Core,
    truth: Core,
    asked: Vec<Request>,
    now: Instant,
}

impl Bench {
    fn receive(&mut self, message: Message) {
        if self.machine.handle_message(self.now, PEER, message, &self.core).is_err() {
            self.asked.clear();
            self.machine.handle_peer_opened(self.now, PEER, &self.core);
        }
    }

    /// Answers one of the machine's requests from the true log, with one byte altered as `change` says.
    fn answer(&mut self, change: &[u8]) {
        let Some(request) = self.asked.pop() else { return };
        let Some(data) = answer(&self.truth, &request).ok() else { return };
        let message = Message::Data(data);
        let mut bytes = message.encode();
        if let [low, high, byte, ..] = change {
            let at = usize::from(u16::from_le_bytes([*low, *high])) % bytes.len();
            bytes[at] = *byte;
        }
        if let Ok(Some(message)) = Message::decode(message.kind(), &bytes) {
            self.receive(message);
        }
    }

    fn settle(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Send { message: Message::Request(request), .. } => self.asked.push(request),
                Action::Store(verified) => {
                    self.core.store(verified, &self.truth);
                    self.machine.handle_store_changed(self.now, &self.core);
                }
                Action::Send { .. } | Action::Evidence(_) => {}
                Action::Fault { .. } => self.machine.handle_peer_opened(self.now, PEER, &self.core),
            }
        }
        self.machine.handle_flushed(self.now, PEER, &self.core);
        assert!(self.machine.requests_in_flight() <= 300);
    }

    fn wait(&mut self) {
        if let Some(deadline) = self.machine.poll_timeout() {
            self.now = self.now.max(deadline);
            self.machine.handle_timeout(self.now, &self.core);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let config = Config { download: Download::All, ..Config::default() };
    let mut bench = Bench {
        machine: Replicator::new(key(), config),
        core: Core::default(),
        truth: Core::written(LENGTH),
        asked: vec![],
        now: Instant::START,
    };
    bench.machine.handle_peer_opened(Instant::START, PEER, &bench.core);
    for (choice, piece) in pieces(bytes) {
        bench.settle();
        match choice {
            0..10 => {
                if let Ok(Some(message)) = Message::decode(u64::from(choice), piece) {
                    bench.receive(message);
                }
            }
            10..100 => bench.answer(piece),
            100..120 => {
                let length = Length(LENGTH);
                let remote_length = bench.core.head.map(|head| head.length()).unwrap_or_default();
                let sync =
                    Sync { length, remote_length, can_upgrade: true, uploading: true, ..Sync::default() };
                bench.receive(Message::Sync(sync));
                bench.receive(Message::Range(Range {
                    drop: false,
                    start: BlockIndex::FIRST,
                    length: LENGTH,
                }));
            }
            _ => bench.wait(),
        }
    }
    bench.settle();
});
