//! Two multiplexers that talk to each other, with frames in flight for any time: neither ever refuses a frame of the
//! other, messages arrive once and in order, and in the end both have the same channels.

use std::collections::{BTreeMap, VecDeque};

use libvms_hypercore::wire::mux::{Channel, Event, Mux, Name};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Open { side: usize, id: u8 },
    Close { side: usize, which: prop::sample::Index },
    Answer { side: usize, accept: bool },
    Send { side: usize, which: prop::sample::Index },
    Flush { side: usize },
    Deliver { side: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let side = 0..2_usize;
    let which = any::<prop::sample::Index>();
    let step = prop_oneof![
        3 => (side.clone(), 0..3_u8).prop_map(|(side, id)| Step::Open { side, id }),
        2 => (side.clone(), which.clone()).prop_map(|(side, which)| Step::Close { side, which }),
        3 => (side.clone(), any::<bool>()).prop_map(|(side, accept)| Step::Answer { side, accept }),
        4 => (side.clone(), which).prop_map(|(side, which)| Step::Send { side, which }),
        3 => side.clone().prop_map(|side| Step::Flush { side }),
        5 => side.prop_map(|side| Step::Deliver { side }),
    ];
    vec(step, 0..120)
}

#[derive(Default)]
struct Side {
    mux: Mux,
    inbox: VecDeque<Vec<u8>>,
    /// Channels that the application takes for open, with their handshakes: its own, and the remote's when it is known.
    channels: BTreeMap<Channel, (u32, Option<u32>)>,
    requests: VecDeque<(Channel, u32)>,
    /// For each channel the number of the last message that arrived: they must grow.
    last: BTreeMap<Channel, u32>,
}

#[derive(Default)]
struct Pair {
    sides: [Side; 2],
    clock: u32,
}

impl Pair {
    fn play(&mut self, step: Step) {
        self.clock += 1;
        let clock = self.clock;
        match step {
            Step::Open { side, id } => {
                let name = Name { protocol: "p".into(), id: vec![id] };
                let side = &mut self.sides[side];
                let channel = side.mux.open(name, &clock.to_le_bytes());
                side.requests.retain(|(requested, _)| *requested != channel);
                side.channels.insert(channel, (clock, None));
                side.poll();
            }
            Step::Close { side, which } => self.sides[side].close(which),
            Step::Answer { side, accept } => self.sides[side].answer(accept, clock),
            Step::Send { side, which } => self.sides[side].send(which, clock),
            Step::Flush { side } => self.flush(side),
            Step::Deliver { side } => {
                let side = &mut self.sides[side];
                if let Some(frame) = side.inbox.pop_front() {
                    side.mux.handle_frame(&frame).expect("the other side keeps the rules");
                    side.poll();
                }
            }
        }
    }

    fn flush(&mut self, side: usize) {
        while let Some(frame) = self.sides[side].mux.poll_transmit() {
            self.sides[1 - side].inbox.push_back(frame);
        }
    }

    /// Answers everything and delivers everything, until nothing is in flight.
    fn settle(&mut self) {
        for _ in 0..1000 {
            for side in 0..2 {
                self.flush(side);
                while !self.sides[side].inbox.is_empty() {
                    self.play(Step::Deliver { side });
                }
                while !self.sides[side].requests.is_empty() {
                    self.play(Step::Answer { side, accept: true });
                }
            }
            if self.sides.iter().all(|side| side.inbox.is_empty() && side.mux.transmit_bytes() == 0) {
                return;
            }
        }
        panic!("they never come to rest");
    }
}

impl Side {
    fn close(&mut self, which: prop::sample::Index) {
        if let Some(channel) = self.pick(which) {
            self.mux.close(channel);
            self.channels.remove(&channel);
        }
    }

    fn send(&mut self, which: prop::sample::Index, clock: u32) {
        if let Some(channel) = self.pick(which) {
            let own = self.channels[&channel].0;
            let body = [own.to_le_bytes(), clock.to_le_bytes()].concat();
            self.mux.send(channel, 0, body).expect("the channel is alive");
        }
    }

    fn pick(&self, which: prop::sample::Index) -> Option<Channel> {
        let channels: Vec<Channel> = self.channels.keys().copied().collect();
        (!channels.is_empty()).then(|| channels[which.index(channels.len())])
    }

    fn answer(&mut self, accept: bool, clock: u32) {
        let Some((channel, theirs)) = self.requests.pop_front() else { return };
        if !accept {
            return self.mux.reject(channel);
        }
        assert!(self.mux.accept(channel, &clock.to_le_bytes()), "its end would have been reported");
        self.channels.insert(channel, (clock, Some(theirs)));
        self.poll();
    }

    fn poll(&mut self) {
        while let Some(event) = self.mux.poll_event() {
            match event {
                Event::Requested { channel, handshake, .. } => {
                    self.requests.push_back((channel, stamp(&handshake)));
                }
                Event::Paired { channel, handshake } => {
                    let paired = self.channels.get_mut(&channel).expect("it is ours");
                    assert_eq!(paired.1.replace(stamp(&handshake)), None, "paired once");
                }
                Event::Message { channel, body, .. } => self.receive(channel, &body),
                Event::Rejected { channel } => {
                    assert!(self.channels.remove(&channel).is_some_and(|(_, theirs)| theirs.is_none()));
                }
                Event::Closed { channel } => {
                    let is_open = self.channels.remove(&channel).is_some();
                    let is_requested = self.requests.iter().any(|(requested, _)| *requested == channel);
                    self.requests.retain(|(requested, _)| *requested != channel);
                    assert!(is_open != is_requested);
                }
            }
        }
    }

    /// Takes a message. It names the Open of its sender, which must be the one that this channel is paired with.
    fn receive(&mut self, channel: Channel, body: &[u8]) {
        assert_eq!(self.channels[&channel].1, Some(stamp(body)));
        let number = stamp(&body[4..]);
        assert!(self.last.insert(channel, number).is_none_or(|last| last < number), "in order");
    }

    /// Returns the two Opens of each open channel, ours first.
    fn pairs(&self) -> Vec<(u32, u32)> {
        self.channels.values().filter_map(|(own, theirs)| Some((*own, (*theirs)?))).collect()
    }
}

fn stamp(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(*bytes.first_chunk().expect("four bytes"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever crosses on the way.
    #[test]
    fn two_sides_agree_on_their_channels(steps in steps()) {
        let mut pair = Pair::default();
        for step in steps {
            pair.play(step);
        }
        pair.settle();
        let mut ours = pair.sides[0].pairs();
        let mut theirs: Vec<(u32, u32)> = pair.sides[1].pairs().into_iter().map(|(a, b)| (b, a)).collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        prop_assert_eq!(ours, theirs);
        for side in &pair.sides {
            prop_assert!(side.channels.values().all(|(_, theirs)| theirs.is_some()), "somebody still waits");
        }
    }
}
