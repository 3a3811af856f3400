//! A connection between two nodes: a wire session at either end, and frames on their way with delays of their own.

use std::collections::{BTreeSet, VecDeque};

use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::random::Dice;
use libvms_hypercore::wire::mux::Limits;
use libvms_hypercore::wire::session::Session;
use libvms_hypercore::wire::{HandshakeHash, Message, Role};

pub(super) struct Link {
    /// The nodes at both ends. The first one has begun.
    pub(super) ends: [usize; 2],
    pub(super) sessions: [Session; 2],
    /// Cores whose channel is open, at either end.
    pub(super) open: [BTreeSet<PublicKey>; 2],
    /// Frames that an end has sent, with the time when they arrive. In order, as a stream has it.
    wires: [VecDeque<(u64, Vec<u8>)>; 2],
    /// Cores for which an end has something on its way.
    unflushed: [BTreeSet<PublicKey>; 2],
    delay_ms_max: u64,
    /// Nothing arrives any more, though the connection seems open.
    pub(super) is_mute: bool,
}

impl Link {
    pub(super) fn new(ends: [usize; 2], number: u64, delay_ms_max: u64) -> Self {
        let hash = HandshakeHash([number as u8; 64]);
        let sessions =
            [Role::Initiator, Role::Responder].map(|role| Session::new(role, hash, Limits::default()));
        Self {
            ends,
            sessions,
            open: Default::default(),
            wires: Default::default(),
            unflushed: Default::default(),
            delay_ms_max,
            is_mute: false,
        }
    }

    /// The side of this link at which a node is.
    pub(super) fn side_of(&self, node: usize) -> Option<usize> {
        self.ends.iter().position(|end| *end == node)
    }

    /// Whether anything is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.wires.iter().any(|wire| !wire.is_empty())
    }

    pub(super) fn send(&mut self, side: usize, core: &PublicKey, message: &Message) {
        if self.sessions[side].send(core, message).is_ok() {
            self.unflushed[side].insert(*core);
        }
    }

    /// Puts what a session has to send on the wire.
    pub(super) fn pump(&mut self, now: u64, dice: &mut Dice) {
        for side in 0..2 {
            while let Some(frame) = self.sessions[side].poll_transmit() {
                let last = self.wires[side].back().map_or(0, |(arrival, _)| *arrival);
                let arrival = (now + 1 + dice.below(self.delay_ms_max)).max(last);
                self.wires[side].push_back((arrival, frame));
            }
        }
    }

    /// When the next frame of an end arrives.
    pub(super) fn arrival(&self, side: usize) -> Option<u64> {
        let (arrival, _) = self.wires[side].front().filter(|_| !self.is_mute)?;
        Some(*arrival)
    }

    /// The frame that arrives, and the cores for which all is written if it was the last.
    pub(super) fn take(&mut self, side: usize) -> Option<(Vec<u8>, BTreeSet<PublicKey>)> {
        let (_, frame) = self.wires[side].pop_front()?;
        let is_last = self.wires[side].is_empty();
        Some((frame, if is_last { std::mem::take(&mut self.unflushed[side]) } else { BTreeSet::new() }))
    }
}
