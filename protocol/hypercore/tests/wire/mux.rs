//! `mux.json`: scripted runs of the reference. Our multiplexer gets the same calls and frames, and must report and send
//! the same.

use libvms_hypercore::encoding::Reader;
use libvms_hypercore::wire::mux::{Channel, Event, Limits, Mux, Name};
use serde_json::Value;

use super::frames::{Item, items_of};
use crate::vector::{hex, items, number, read};

#[test]
fn every_scripted_run_goes_as_with_the_reference() {
    for run in items(&read("wire/mux.json")["runs"]) {
        match run["name"].as_str().expect("a name") {
            "large-ids" => {}
            name => Run::new(name).play(items(&run["steps"])),
        }
    }
}

#[test]
fn numbers_of_channels_grow_beyond_one_byte() {
    let mut mux = Mux::default();
    let open = |mux: &mut Mux, i: u8| mux.open(Name { protocol: "proto".into(), id: vec![1, i] }, &[1]);
    let channels: Vec<Channel> = (0..254).map(|i| open(&mut mux, i)).collect();
    mux.send(channels[253], 0, b"x").expect("open");
    let mut sent = vec![];
    while let Some(frame) = mux.poll_transmit() {
        sent.extend(items_of(&frame));
    }
    let vector = read("wire/mux.json");
    let run = items(&vector["runs"]).iter().find(|run| run["name"] == "large-ids").expect("the run");
    for step in items(&run["steps"]).iter().filter(|step| step.get("out").is_some()) {
        assert!(sent.contains(&items_of(&hex(&step["out"]))[0]), "{step}");
    }
}

#[test]
fn a_batch_is_the_reference_s_to_the_byte() {
    let mut mux = Mux::default();
    let [aa, bb] =
        [0xaa, 0xbb].map(|id| mux.open(Name { protocol: "proto".into(), id: vec![id] }, &[id / 17 - 9]));
    mux.send(aa, 0, b"one").expect("open");
    mux.send(aa, 1, b"two").expect("open");
    mux.send(bb, 0, b"three").expect("open");
    mux.close(aa);
    let vector = read("wire/mux.json");
    let run = items(&vector["runs"]).iter().find(|run| run["name"] == "batch-out").expect("the run");
    let expected = items(&run["steps"]).iter().find_map(|step| step.get("out")).expect("a batch");
    assert_eq!(mux.poll_transmit(), Some(hex(expected)));
    assert_eq!(mux.poll_transmit(), None);
    assert_eq!(mux.transmit_bytes(), 0);
}

struct Run<'n> {
    name: &'n str,
    mux: Mux,
    /// The handshake with which requests are accepted; `None` for rejecting them.
    accepts: Option<u8>,
    opened: Vec<Channel>,
    waiting: Option<Channel>,
    happened: Vec<String>,
    sent: Vec<Item>,
    is_broken: bool,
}

impl<'n> Run<'n> {
    fn new(name: &'n str) -> Self {
        let mut mux = Mux::new(Limits::default());
        mux.add_alias("old", "proto");
        let accepts = match name {
            "open-remote-first-paired" => Some(3),
            "rejected" | "reject-crosses-open" => Some(2),
            _ => None,
        };
        Self {
            name,
            mux,
            accepts,
            opened: vec![],
            waiting: None,
            happened: vec![],
            sent: vec![],
            is_broken: false,
        }
    }

    fn play(mut self, steps: &[Value]) {
        let (mut happened, mut sent) = (vec![], vec![]);
        for step in steps {
            if let Some(api) = step.get("api") {
                self.call(api.as_str().expect("a text"));
            } else if let Some(frame) = step.get("in") {
                self.receive(&hex(frame));
            } else if step.get("inRule").is_some() {
                self.receive(&[&[1, 0], &[b'x'; 8000][..]].concat());
            } else if let Some(frame) = step.get("out") {
                sent.extend(items_of(&hex(frame)));
            } else {
                happened.extend(self.expected(step));
            }
        }
        assert_eq!(self.happened, happened, "{}", self.name);
        assert_eq!(self.sent, sent, "{}", self.name);
    }

    fn receive(&mut self, frame: &[u8]) {
        let was_congested = self.mux.is_congested();
        let received = self.mux.handle_frame(frame);
        self.poll();
        if received.is_err() && !self.is_broken {
            self.destroy();
        }
        if !was_congested && self.mux.is_congested() {
            self.happened.push("stream paused".into());
        }
    }

    /// Performs a call of the script's application.
    fn call(&mut self, api: &str) {
        match (self.name, api) {
            ("open-local-first", "close()") => self.mux.close(self.opened[0]),
            ("open-local-first", "open again: local id 1 is reused") => self.open(&[], &[8]),
            ("open-local-first", _) => {
                self.open(&[], &[7]);
                self.mux.send(self.opened[0], 0, b"early").expect("open");
            }
            ("crossed-open" | "batch-in", _) => {
                self.open(&[0xaa], &[1]);
                self.open(&[0xbb], &[2]);
            }
            ("close-before-remote-open", "open, close") => {
                self.open(&[], &[1]);
                self.mux.close(self.opened[0]);
            }
            ("close-before-remote-open", _) => self.open(&[], &[2]),
            ("buffer-limit", _) => {
                let channel = self.waiting.take().expect("the remote has opened it");
                self.happened.push("9 opened".into());
                assert!(self.mux.accept(channel, &[1]));
            }
            ("batch-out", "cork, one message, uncork") => self.open(&[0xcc], &[1]),
            ("batch-out", "cork, uncork: nothing is written") => {}
            ("batch-out", _) => {
                self.open(&[0xaa], &[1]);
                self.open(&[0xbb], &[2]);
                let [aa, bb] = [self.opened[0], self.opened[1]];
                for (channel, kind, text) in [(aa, 0, "one"), (aa, 1, "two"), (bb, 0, "three")] {
                    self.mux.send(channel, kind, text.as_bytes()).expect("open");
                }
                self.mux.close(aa);
            }
            ("no-handshake", _) => self.open(&[], &[]),
            (_, "open" | "open proto with alias \"old\"") => self.open(&[], &[1]),
            unknown => panic!("{unknown:?}"),
        }
        self.poll();
        if self.name == "buffer-limit" && !self.mux.is_congested() {
            self.happened.push("stream resumed".into());
        }
    }

    fn open(&mut self, id: &[u8], handshake: &[u8]) {
        let name = Name { protocol: "proto".into(), id: id.to_vec() };
        self.opened.push(self.mux.open(name, handshake));
    }

    fn poll(&mut self) {
        while let Some(event) = self.mux.poll_event() {
            self.handle(event);
        }
        while let Some(frame) = self.mux.poll_transmit() {
            self.sent.extend(items_of(&frame));
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Requested { channel, handshake, .. } => match self.accepts {
                Some(own) => {
                    self.paired(&handshake);
                    assert!(self.mux.accept(channel, &[own]));
                }
                None if self.name == "buffer-limit" => self.waiting = Some(channel),
                None => self.mux.reject(channel),
            },
            Event::Paired { handshake, .. } => self.paired(&handshake),
            Event::Message { channel, kind, body } => self.message(channel, kind, &body),
            Event::Rejected { .. } | Event::Closed { .. } => self.happened.push("closed".into()),
        }
    }

    fn paired(&mut self, handshake: &[u8]) {
        match Reader::new(handshake).uint() {
            Ok(number) => self.happened.push(format!("{number} opened")),
            Err(_) if self.name == "no-handshake" => self.happened.push("null opened".into()),
            Err(_) => self.destroy(),
        }
    }

    fn message(&mut self, channel: Channel, kind: u64, body: &[u8]) {
        match (self.name, kind) {
            ("fatal-message", _) => return self.destroy(),
            ("buffer-limit", _) => self.happened.push(format!("message of {}", body.len())),
            (_, 0 | 1) => self.happened.push(format!("message {kind}: {body:?}")),
            // The protocol of the script has two messages.
            _ => {}
        }
        if self.name == "batch-in" && kind == 0 {
            self.mux.send(channel, 1, b"reply").expect("open");
        }
    }

    fn destroy(&mut self) {
        self.is_broken = true;
        self.happened.push("stream destroyed".into());
    }

    fn expected(&self, step: &Value) -> Option<String> {
        let event = step["event"].as_str().expect("an event");
        match event {
            "pair callback" => None,
            "stream destroyed" => Some(event.to_owned()),
            "stream resumed" => Some(event.to_owned()),
            "stream paused (reading stops)" => Some("stream paused".into()),
            _ if event.ends_with(" opened") => Some(format!("{} opened", step["handshake"])),
            _ if event.ends_with(" message") => Some(format!("message of {}", number(&step["length"]))),
            _ if event.ends_with(" closed") => (step["isRemote"] == true).then(|| "closed".into()),
            _ => {
                let kind = event.rsplit(' ').next().expect("a kind");
                Some(format!("message {kind}: {:?}", hex(&step["data"])))
            }
        }
    }
}
