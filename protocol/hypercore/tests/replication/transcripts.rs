//! `fixtures/wire/transcripts`: sessions between two reference peers, with the machine in place of either.
//!
//! Most of their cores have a manifest, which ours do not: the same blocks are signed anew with a key of ours.

use std::collections::VecDeque;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::encoding::Reader;
use libvms_hypercore::identity::Signature;
use libvms_hypercore::replication::{
    Action, CheckError, Config, Download, Evidence, PeerFault, PeerId, Replicator, Store, answer,
};
use libvms_hypercore::signed_head::signable;
use libvms_hypercore::time::Instant;
use libvms_hypercore::wire::Message;
use libvms_hypercore::wire::message::{Data, DataUpgrade, NoData, Request};
use serde_json::Value;

use super::core::{Core, key, writer};
use crate::vector::{hex, items, read};

/// The sessions over one core, and the size of its block 0 with the increment of each further block.
const SESSIONS: [(&str, u64, u64); 17] = [
    ("both-have-core", 5, 0),
    ("cancel", 10, 0),
    ("compat-core", 5, 1),
    ("empty-core", 10, 0),
    ("extension", 5, 0),
    ("full-download-10", 20, 1),
    ("get-one-block", 20, 1),
    ("idle-close-reopen", 5, 0),
    ("invalid-request-nodata", 10, 0),
    ("keepalive", 10, 0),
    ("large-block-1mb", 1 << 20, 0),
    ("live-append", 10, 0),
    ("live-append-no-download", 10, 0),
    ("reject-unknown-core", 9, 0),
    ("seek", 10, 1),
    ("sparse-bitfield-want", 4, 0),
    ("sparse-live-have", 10, 0),
];

const PEER: PeerId = PeerId(1);

/// The messages that each side of a session sent, in order. The uploader is the one that sends data.
struct Session {
    messages: Vec<(bool, Message)>,
    size: fn(u64, u64, u64) -> usize,
    first: u64,
    more: u64,
}

fn size(block: u64, first: u64, more: u64) -> usize {
    (first + more * block) as usize
}

/// Returns the messages in one frame of the multiplexer. Control frames have none.
fn messages(frame: &[u8]) -> Vec<Message> {
    let reader = &mut Reader::new(frame);
    let mut found = vec![];
    if frame.is_empty() {
        // Sent only to keep the connection alive.
        return found;
    }
    let mut take = |channel: u64, body: &[u8]| {
        let reader = &mut Reader::new(body);
        let kind = reader.uint().expect("a kind");
        if channel != 0 {
            found.extend(Message::decode(kind, reader.rest()).expect("the reference's own message"));
        }
    };
    if frame.starts_with(&[0, 0]) {
        let _ = (reader.uint(), reader.uint());
        let mut channel = reader.uint().expect("a channel");
        while !reader.is_empty() {
            match reader.bytes().expect("an item") {
                [] => channel = reader.uint().expect("a channel"),
                item => take(channel, item),
            }
        }
    } else {
        let channel = reader.uint().expect("a channel");
        take(channel, reader.rest());
    }
    found
}

fn session(name: &str, first: u64, more: u64) -> Session {
    let transcript = read(&format!("wire/transcripts/{name}.json"));
    let frames = items(&transcript["frames"]).iter().filter(|frame| frame["hex"].is_string());
    let sent: Vec<(Value, Message)> = frames
        .flat_map(|frame| {
            messages(&hex(&frame["hex"])).into_iter().map(|message| (frame["dir"].clone(), message))
        })
        .collect();
    let uploader = sent.iter().find(|(_, message)| matches!(message, Message::Data(_)));
    let uploader = uploader.map_or(Value::from("a>b"), |(dir, _)| dir.clone());
    let messages = sent.into_iter().map(|(dir, message)| (dir == uploader, message)).collect();
    Session { messages, size, first, more }
}

impl Session {
    fn block(&self, block: u64) -> Vec<u8> {
        let size = (self.size)(block, self.first, self.more);
        (0..size as u64).map(|byte| (block * 31 + byte * 7 + (byte >> 8)) as u8).collect()
    }

    /// Grows the core to `length`.
    fn grow(&self, core: &mut Core, length: u64) {
        if length > core.length().0 {
            core.append(&(core.length().0..length).map(|block| self.block(block)).collect::<Vec<_>>());
        }
    }
}

/// Returns the length of the sender's core that a message states.
fn length(message: &Message) -> u64 {
    match message {
        Message::Sync(sync) if sync.fork == 0 => sync.length.0,
        _ => 0,
    }
}

/// Removes the differences between a core with a manifest and one without.
fn stripped(mut data: Data) -> Data {
    data.manifest = None;
    if let Some(upgrade) = &mut data.upgrade {
        upgrade.signature = vec![];
    }
    data
}

fn sent(machine: &mut Replicator) -> Vec<Message> {
    let mut messages = vec![];
    while let Some(action) = machine.poll_action() {
        match action {
            Action::Send { message, .. } => messages.push(message),
            other => panic!("{other:?}"),
        }
    }
    messages
}

/// Plays the downloader's part of a session to a machine that serves. Returns the machine's messages.
fn serve(session: &Session, gaps: &[u64]) -> Vec<Message> {
    let config = Config { download: Download::Nothing, ..Config::default() };
    let (mut machine, mut core) = (Replicator::new(key(), config), Core::default());
    let mut ours = vec![];
    let first = session.messages.iter().find(|(is_uploader, _)| *is_uploader);
    session.grow(&mut core, first.map_or(0, |(_, message)| length(message)));
    gaps.iter().for_each(|&gap| core.clear(gap));
    machine.handle_store_changed(Instant::from_millis(1), &core);
    machine.handle_peer_opened(Instant::from_millis(1), PEER, &core);
    for (is_uploader, message) in &session.messages {
        if *is_uploader {
            session.grow(&mut core, length(message));
            machine.handle_store_changed(Instant::from_millis(2), &core);
        } else {
            machine
                .handle_message(Instant::from_millis(2), PEER, message.clone(), &core)
                .expect("a good peer");
            machine.handle_flushed(Instant::from_millis(2), PEER, &core);
        }
        ours.extend(sent(&mut machine));
    }
    ours
}

#[test]
fn requests_of_a_reference_peer_get_the_recorded_answers() {
    for (name, first, more) in SESSIONS {
        let session = session(name, first, more);
        let gaps: Vec<u64> = match name {
            "sparse-bitfield-want" => (0..390).filter(|block| !(100..150).contains(block)).collect(),
            "sparse-live-have" => vec![0],
            _ => vec![],
        };
        let ours: Vec<Message> = serve(&session, &gaps)
            .into_iter()
            .map(|message| match message {
                Message::Data(data) => Message::Data(stripped(data)),
                other => other,
            })
            .collect();
        for (_, theirs) in session.messages.iter().filter(|(is_uploader, _)| *is_uploader) {
            match theirs {
                // A core without a manifest is not asked for it alone.
                Message::Data(data)
                    if data.block.is_none() && data.upgrade.is_none() && data.hash.is_none() => {}
                Message::Data(data) => {
                    let data = Message::Data(stripped(data.clone()));
                    assert!(ours.contains(&data), "{name}: {data:?} not in {ours:?}");
                }
                Message::NoData(NoData { request, .. }) => {
                    let is_refused = |ours: &Message| match ours {
                        Message::NoData(no_data) => no_data.request == *request,
                        _ => false,
                    };
                    assert!(ours.iter().any(is_refused), "{name}: request {request}");
                }
                Message::Range(range) if !range.drop => assert!(ours.contains(theirs), "{name}: {theirs:?}"),
                Message::Bitfield(_) => assert!(ours.contains(theirs), "{name}: {theirs:?} not in {ours:?}"),
                _ => {}
            }
        }
    }
}

#[test]
fn the_state_told_to_a_reference_peer_acknowledges_its_length() {
    let ours = serve(&session("live-append", 10, 0), &[]);
    let told: Vec<(u64, u64, bool)> = ours
        .iter()
        .filter_map(|message| match message {
            Message::Sync(sync) => Some((sync.length.0, sync.remote_length.0, sync.can_upgrade)),
            _ => None,
        })
        .collect();
    // Each new length comes with the length that the peer has reported: else it would not ask.
    assert_eq!(told, [(2, 0, true), (3, 2, true), (6, 3, true)]);
}

/// A machine that downloads from a reference peer's side of a session.
struct Downloader<'a> {
    session: &'a Session,
    machine: Replicator,
    core: Core,
    truth: Core,
    asked: VecDeque<Request>,
    told: Vec<Message>,
    evidence: Vec<Evidence>,
}

impl<'a> Downloader<'a> {
    fn new(session: &'a Session, download: Download) -> Self {
        let config = Config { download, ..Config::default() };
        let (machine, core, truth) = (Replicator::new(key(), config), Core::default(), Core::default());
        let mut downloader =
            Self { session, machine, core, truth, asked: VecDeque::new(), told: vec![], evidence: vec![] };
        downloader.machine.handle_peer_opened(Instant::from_millis(1), PEER, &downloader.core);
        downloader.settle();
        downloader
    }

    fn settle(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Send { message: Message::Request(request), .. } => self.asked.push_back(request),
                Action::Send { message, .. } => self.told.push(message),
                Action::Store(verified) => {
                    self.core.store(verified, &self.truth);
                    self.machine.handle_store_changed(Instant::from_millis(2), &self.core);
                }
                Action::Evidence(evidence) => self.evidence.push(evidence),
                Action::Fault { why, .. } => panic!("{why}"),
            }
        }
    }

    fn receive(&mut self, message: &Message) -> Result<(), PeerFault> {
        self.session.grow(&mut self.truth, length(message));
        let message = match message {
            // A reference peer asks for a new block and the longer head at once; we ask twice.
            Message::Data(Data { block: Some(block), upgrade: Some(_), .. }) => {
                self.receive_own(|request| request.upgrade.is_some());
                self.receive_own(|request| request.block.is_some_and(|asked| asked.index == block.index));
                return Ok(());
            }
            Message::Data(data) => match self.readdressed(data) {
                Some(data) => Message::Data(data),
                None => return Ok(()),
            },
            other => other.clone(),
        };
        let result = self.machine.handle_message(Instant::from_millis(2), PEER, message, &self.core);
        self.settle();
        result
    }

    /// Answers a request as the uploader would.
    fn receive_own(&mut self, is_it: impl Fn(&Request) -> bool) {
        let position = self.asked.iter().position(is_it).expect("asked for");
        let request = self.asked.remove(position).expect("it is there");
        let data = answer(&self.truth, &request).expect("it is there");
        self.machine
            .handle_message(Instant::from_millis(2), PEER, Message::Data(data), &self.core)
            .expect("a good peer");
        self.settle();
    }

    /// Returns the same answer for our own request for the same; `None` if we have not sent one.
    fn readdressed(&mut self, data: &Data) -> Option<Data> {
        let block = data.block.as_ref().map(|block| block.index);
        let upgrade = data.upgrade.as_ref().map(|upgrade| (upgrade.start, upgrade.length));
        let is_same = |request: &Request| {
            let asked = request.upgrade.map(|upgrade| (upgrade.start, upgrade.length));
            (request.fork, request.block.map(|block| block.index), asked) == (data.fork, block, upgrade)
        };
        let position =
            self.asked.iter().position(is_same).filter(|_| block.is_some() || upgrade.is_some())?;
        let request = self.asked.remove(position).expect("it is there");
        let mut data = Data { request: request.id, manifest: None, ..data.clone() };
        if let Some(upgrade) = &mut data.upgrade {
            upgrade.signature = self.sign(upgrade, data.fork).0.to_vec();
        }
        Some(data)
    }

    /// Returns our signature of the head that an upgrade leads to.
    fn sign(&self, upgrade: &DataUpgrade, fork: u64) -> Signature {
        if fork == 0 {
            return self.truth.signature().expect("a longer log");
        }
        // Of another fork only the roots in the answer are known.
        let roots = libvms_hypercore::tree::Roots::from_nodes(Length(upgrade.length), upgrade.nodes.clone());
        writer().sign(&signable(Length(upgrade.length), fork, &roots.expect("whole roots").tree_hash()))
    }
}

/// Plays the uploader's part of a session to a machine that downloads the same blocks as the reference.
fn download(session: &Session) -> Downloader<'_> {
    let given = session.messages.iter().filter_map(|(_, message)| match message {
        Message::Data(data) => data.block.as_ref().map(|block| block.index..block.index + 1),
        _ => None,
    });
    let mut downloader = Downloader::new(session, Download::Ranges(given.collect()));
    for (_, message) in session.messages.iter().filter(|(is_uploader, _)| *is_uploader) {
        let result = downloader.receive(message);
        assert_eq!(result, Ok(()));
    }
    downloader
}

#[test]
fn recorded_downloads_are_repeated_from_the_same_messages() {
    // Where one side sent requests by hand, the answers are not those to a reader's requests.
    for (name, first, more) in SESSIONS.into_iter().filter(|(name, ..)| *name != "invalid-request-nodata") {
        let session = session(name, first, more);
        let downloader = download(&session);
        let blocks = session.messages.iter().filter_map(|(_, message)| match message {
            Message::Data(data) => data.block.as_ref(),
            _ => None,
        });
        for block in blocks {
            assert_eq!(
                downloader.core.block(block.index).as_ref(),
                Some(&block.value),
                "{name}: {}",
                block.index
            );
        }
        let has_upgrade = session
            .messages
            .iter()
            .any(|(_, message)| matches!(message, Message::Data(data) if data.upgrade.is_some()));
        let length = if has_upgrade { downloader.truth.length() } else { Length(0) };
        assert_eq!(downloader.core.length(), length, "{name}");
        let acknowledges = |message: &Message| match message {
            Message::Sync(sync) => (sync.length, sync.remote_length) == (length, length),
            _ => false,
        };
        assert!(!has_upgrade || downloader.told.iter().any(acknowledges), "{name}: {:?}", downloader.told);
        assert_eq!(downloader.evidence, [], "{name}");
    }
}

#[test]
fn a_tampered_block_ends_the_peer() {
    let session = session("tampered-block", 10, 0);
    let mut downloader = Downloader::new(&session, Download::Ranges(vec![BlockIndex(2).alone()]));
    let mut messages = session.messages.iter().filter(|(is_uploader, _)| *is_uploader);
    let fault = messages.find_map(|(_, message)| downloader.receive(message).err());
    assert_eq!(fault, Some(PeerFault::Invalid(CheckError::WrongHash { block: BlockIndex(2), node: 3 })));
    assert!(downloader.core.blocks.is_empty());
}

#[test]
fn a_truncation_is_reported_and_its_signed_head_kept() {
    let session = session("truncate-fork", 10, 0);
    let mut downloader = Downloader::new(&session, Download::All);
    for (_, message) in session.messages.iter().filter(|(is_uploader, _)| *is_uploader) {
        downloader.receive(message).expect("it is the writer that is at fault");
    }
    assert_eq!(downloader.core.length(), Length(6), "what was signed once stays");
    let claims: Vec<(u64, u64)> = downloader
        .evidence
        .iter()
        .filter_map(|evidence| match evidence {
            Evidence::ForkClaimed { fork, length, .. } => Some((*fork, length.0)),
            _ => None,
        })
        .collect();
    assert_eq!(claims, [(1, 3), (1, 4)]);
    let signed: Vec<(u64, u64)> = downloader
        .evidence
        .iter()
        .filter_map(|evidence| match evidence {
            Evidence::ForkSigned { theirs, .. } => Some((theirs.fork(), theirs.length().0)),
            _ => None,
        })
        .collect();
    assert_eq!(signed, [(1, 3)]);
}

#[test]
fn a_block_that_is_refused_is_not_asked_for_again() {
    let session = session("missing-block-nodata", 10, 0);
    let mut downloader = Downloader::new(&session, Download::Ranges(vec![BlockIndex(2).alone()]));
    for (is_uploader, message) in &session.messages {
        match message {
            Message::NoData(_) => {}
            message if *is_uploader => downloader.receive(message).expect("a good peer"),
            _ => {}
        }
    }
    let request = downloader.asked.pop_front().expect("block 2");
    let refusal =
        NoData { request: request.id, reason: libvms_hypercore::wire::message::Reason::NOT_AVAILABLE };
    downloader.receive(&Message::NoData(refusal)).expect("once is no fault");
    assert!(downloader.asked.is_empty());
}
