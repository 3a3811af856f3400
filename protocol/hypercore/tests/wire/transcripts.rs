//! `transcripts/`: decrypted sessions between JavaScript peers, repeated by two sessions of ours.

use std::collections::BTreeMap;

use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::secret_stream::{HandshakeHash, Role};
use libvms_hypercore::wire::message::Message;
use libvms_hypercore::wire::mux::Limits;
use libvms_hypercore::wire::session::{Session, SessionError, SessionEvent};
use serde_json::Value;

use super::frames::{Item, items_of};
use super::json::{KINDS, message};
use crate::golden::read_all;
use crate::vector::{array, hex, items, number, read};

/// Transcripts that were cut, or have a frame too long to be kept.
const INCOMPLETE: [&str; 2] = ["large-block-1mb.json", "large-download-600.json"];

#[test]
fn messages_of_the_transcripts_round_trip_as_the_reference_s() {
    let mut frames: Vec<Value> = vec![];
    for (_, transcript) in read_all("wire/transcripts") {
        frames.extend(items(&transcript["frames"]).iter().cloned());
    }
    for probe in items(&read("wire/probes.json")["probes"]) {
        frames.extend(items(&probe["frames"]).iter().cloned());
    }
    let mut count = 0;
    for frame in frames.iter().filter(|frame| frame["hex"].is_string()) {
        for item in items_of(&hex(&frame["hex"])) {
            let Item::Message { kind, body, .. } = item else { continue };
            let decoded = Message::decode(kind, &body).expect("a message").expect("a known kind");
            assert_eq!(decoded.encode(), body, "{frame}");
            count += 1;
        }
        check_decoded(&frame["decoded"]["body"], &frame["decoded"], frame);
    }
    assert!(count > 900, "only {count} messages");
}

/// Compares an unbatched message with the one that the reference has decoded, unless it is too long for the file.
fn check_decoded(body: &Value, decoded: &Value, frame: &Value) {
    if body.is_null() || body.to_string().contains("sha256") || body.to_string().contains("setBits") {
        return;
    }
    let Item::Message { kind, body: bytes, .. } = &items_of(&hex(&frame["hex"]))[0] else {
        panic!("{frame}")
    };
    assert_eq!(decoded["name"], KINDS[*kind as usize]);
    let found = Message::decode(*kind, bytes).expect("a message").expect("a known kind");
    let manifest = match &found {
        Message::Data(data) => data.manifest.clone(),
        _ => None,
    };
    assert_eq!(found, message(KINDS[*kind as usize], body, manifest));
}

#[test]
fn recorded_sessions_send_and_receive_the_same_messages() {
    for (name, transcript) in read_all("wire/transcripts") {
        if !INCOMPLETE.contains(&name.as_str()) && name != "invalid-capability.json" {
            Replay::new(&transcript).run(&name, items(&transcript["frames"]));
        }
    }
}

#[test]
fn a_wrong_capability_ends_the_stream_as_with_the_reference() {
    let transcript = read("wire/transcripts/invalid-capability.json");
    let mut replay = Replay::new(&transcript);
    let frame = items(&transcript["frames"]).iter().find(|frame| frame["dir"] == "a>b").expect("an open");
    let key = *replay.keys.values().next().expect("a core");
    replay.sides[1].session.open(key).expect("nobody has asked for it");
    let received = replay.sides[1].session.handle_frame(&hex(&frame["hex"]));
    assert_eq!(received, Err(SessionError::WrongCapability(key)));
    assert_eq!(replay.sides[1].session.poll_event(), None);
}

struct Side {
    session: Session,
    /// Frames for this side, in the order of sending, and how many it has received.
    inbox: Vec<Vec<u8>>,
    received: usize,
    /// Cores by the number that this side gave them.
    numbers: BTreeMap<u64, PublicKey>,
    /// Messages that this side has received, and below those that it should have.
    messages: Vec<(PublicKey, Message)>,
    /// With the index of its frame in `inbox`.
    expected: Vec<(usize, PublicKey, Message)>,
}

impl Side {
    /// Names an extension: one without a name has that of the previous one.
    fn expect(&mut self, key: PublicKey, mut message: Message) {
        if let Message::Extension(extension) = &mut message
            && extension.name.is_empty()
        {
            let names = self.expected.iter().rev().filter_map(|(_, _, message)| match message {
                Message::Extension(before) => Some(before.name.clone()),
                _ => None,
            });
            extension.name = names.into_iter().next().unwrap_or_default();
        }
        self.expected.push((self.inbox.len(), key, message));
    }

    /// Closes a core. Messages in flight to its channel will not arrive.
    fn close(&mut self, key: PublicKey) {
        self.session.close(&key);
        let received = self.received;
        self.expected.retain(|(frame, core, _)| *frame < received || *core != key);
    }
}

struct Replay {
    sides: [Side; 2],
    keys: BTreeMap<Vec<u8>, PublicKey>,
}

impl Replay {
    fn new(transcript: &Value) -> Self {
        let hash = HandshakeHash(array(&transcript["stream"]["handshakeHash"]));
        let mut cores = vec![&transcript["core"]];
        cores.extend(transcript["cores"].as_array().into_iter().flatten());
        cores.extend(transcript["cores"].as_object().into_iter().flat_map(|named| named.values()));
        let keys = cores.into_iter().filter(|core| core.is_object());
        let keys = keys.map(|core| (hex(&core["discoveryKey"]), PublicKey(array(&core["key"])))).collect();
        let sides = [Role::Initiator, Role::Responder].map(|role| Side {
            session: Session::new(role, hash, Limits::default()),
            inbox: vec![],
            received: 0,
            numbers: BTreeMap::new(),
            messages: vec![],
            expected: vec![],
        });
        Self { sides, keys }
    }

    fn run(mut self, name: &str, frames: &[Value]) {
        for frame in frames.iter().filter(|frame| frame.get("hex").is_some()) {
            let [sender, receiver] = if frame["dir"] == "a>b" { [0, 1] } else { [1, 0] };
            self.deliver(sender, number(&frame["senderHadReceived"]) as usize);
            let bytes = hex(&frame["hex"]);
            let expected = items_of(&bytes);
            for item in &expected {
                self.act(sender, receiver, item);
            }
            let mut sent = vec![];
            while let Some(frame) = self.sides[sender].session.poll_transmit() {
                sent.extend(items_of(&frame));
            }
            assert_eq!(sent, expected, "{name} {frame}");
            self.sides[receiver].inbox.push(bytes);
        }
        for side in 0..2 {
            self.deliver(side, usize::MAX);
            let Side { messages, expected, .. } = &self.sides[side];
            let expected = expected.iter().map(|(_, core, message)| (core, message));
            let messages = messages.iter().map(|(core, message)| (core, message));
            assert_eq!(messages.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{name}");
        }
    }

    fn deliver(&mut self, to: usize, count: usize) {
        let side = &mut self.sides[to];
        while side.received < count.min(side.inbox.len()) {
            side.session.handle_frame(&side.inbox[side.received]).expect("a good frame");
            side.received += 1;
            while let Some(event) = side.session.poll_event() {
                if let SessionEvent::Message { core, message } = event {
                    side.messages.push((core, *message));
                }
            }
        }
    }

    fn act(&mut self, sender: usize, receiver: usize, item: &Item) {
        if self.is_ahead(sender, item) {
            // Messages sent while a frame is handled were recorded with the count before that frame.
            self.deliver(sender, self.sides[sender].received + 1);
        }
        let side = &mut self.sides[sender];
        match item {
            Item::Open { number, id, .. } => {
                let key = self.keys[id];
                side.numbers.insert(*number, key);
                side.session.open(key).expect("a right capability");
            }
            Item::Reject(number) => {
                let key = self.sides[receiver].numbers[number];
                self.sides[sender].session.refuse(&key.discovery_key());
            }
            Item::Close(number) => side.close(side.numbers[number]),
            Item::Message { number, kind, body } => {
                let key = side.numbers[number];
                let message = Message::decode(*kind, body).expect("a message").expect("a known kind");
                side.session.send(&key, &message).expect("open on both sides");
                self.sides[receiver].expect(key, message);
            }
        }
    }

    /// Returns whether the side must have received more than was recorded.
    fn is_ahead(&self, sender: usize, item: &Item) -> bool {
        let side = &self.sides[sender];
        match item {
            Item::Message { number, .. } => !side.session.is_open(&side.numbers[number]),
            _ => false,
        }
    }
}
