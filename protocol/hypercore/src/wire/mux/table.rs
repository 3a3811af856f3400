//! The channel numbers in use on either side, and the channels that wait for an answer.

use std::collections::{BTreeMap, VecDeque};

use super::{Channel, Name};

/// Bytes that an early message counts beside its length.
const EARLY_BYTES_EACH: usize = 512;

/// The state of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// We have sent an Open.
    Opening,
    /// We have sent an Open and a Close, and the remote has not answered the Open yet.
    Abandoned,
    /// The remote has sent an Open.
    Requested,
    /// Both sides have sent an Open.
    Open,
}

/// The Open of the remote that we have not answered, and the messages after it.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) handshake: Vec<u8>,
    /// Types and bodies.
    pub(super) early: Vec<(u64, Vec<u8>)>,
    early_bytes: usize,
}

/// The channel that waited for an Open of the remote.
#[derive(Debug)]
pub(super) enum Answer {
    Paired(Channel),
    /// A channel that we have closed. The remote's number stays free.
    Swallowed,
    Nobody,
}

#[derive(Debug)]
struct Record {
    name: Name,
    state: State,
    /// Our number; 0 until we have sent an Open.
    local: u64,
    /// The remote's number; 0 until it has sent an Open.
    remote: u64,
    request: Request,
}

/// All channels of one stream.
#[derive(Debug, Default)]
pub(super) struct Table {
    channels: BTreeMap<Channel, Record>,
    channels_ever: u64,
    locals: BTreeMap<u64, Channel>,
    locals_free: Vec<u64>,
    local_highest: u64,
    remotes: BTreeMap<u64, Channel>,
    remote_highest: u64,
    /// Channels that wait for the remote's answer, in the order of our Opens.
    outgoing: BTreeMap<Name, VecDeque<Channel>>,
    /// Channels that wait for our answer, in the order of the remote's Opens.
    incoming: BTreeMap<Name, VecDeque<Channel>>,
    requested_count: usize,
    early_bytes: usize,
}

impl Table {
    pub(super) fn state(&self, channel: Channel) -> Option<State> {
        self.channels.get(&channel).map(|record| record.state)
    }

    pub(super) fn local_number(&self, channel: Channel) -> Option<u64> {
        self.channels.get(&channel).map(|record| record.local)
    }

    /// Returns the channel with the remote's number `number`.
    pub(super) fn remote_channel(&self, number: u64) -> Option<Channel> {
        self.remotes.get(&number).copied()
    }

    /// Returns the oldest channel of a name that waits for our answer.
    pub(super) fn first_requested(&self, name: &Name) -> Option<Channel> {
        self.incoming.get(name)?.front().copied()
    }

    /// Returns whether the remote may assign this number to a channel: one that was used and is free, or the next.
    pub(super) fn is_next_remote(&self, number: u64) -> bool {
        number != 0 && number <= self.remote_highest + 1 && !self.remotes.contains_key(&number)
    }

    pub(super) fn remote_count(&self) -> usize {
        self.remotes.len()
    }

    pub(super) fn requested_count(&self) -> usize {
        self.requested_count
    }

    pub(super) fn early_bytes(&self) -> usize {
        self.early_bytes
    }

    /// Adds a channel that we open. Returns it with its number.
    pub(super) fn insert_opening(&mut self, name: Name) -> (Channel, u64) {
        let local = self.take_local();
        let channel = self.insert(name.clone(), State::Opening, local, 0);
        self.locals.insert(local, channel);
        self.outgoing.entry(name).or_default().push_back(channel);
        (channel, local)
    }

    /// Adds a channel that the remote opens.
    pub(super) fn insert_requested(&mut self, name: Name, number: u64, handshake: Vec<u8>) -> Channel {
        let channel = self.insert(name.clone(), State::Requested, 0, number);
        self.record(channel).request.handshake = handshake;
        self.remotes.insert(number, channel);
        self.incoming.entry(name).or_default().push_back(channel);
        self.requested_count += 1;
        channel
    }

    /// Matches the remote's Open of `name` under `number` with the channel that waited for it.
    pub(super) fn answer(&mut self, name: &Name, number: u64) -> Answer {
        self.remote_highest = self.remote_highest.max(number);
        let Some(channel) = self.outgoing.get(name).and_then(VecDeque::front).copied() else {
            return Answer::Nobody;
        };
        unqueue(&mut self.outgoing, name, channel);
        if self.state(channel) == Some(State::Abandoned) {
            self.remove(channel);
            return Answer::Swallowed;
        }
        let record = self.record(channel);
        record.state = State::Open;
        record.remote = number;
        self.remotes.insert(number, channel);
        Answer::Paired(channel)
    }

    /// Accepts the remote's channel. Returns our number, the name, and what the remote has sent.
    pub(super) fn accept(&mut self, channel: Channel) -> (u64, Name, Request) {
        let local = self.take_local();
        self.locals.insert(local, channel);
        let record = self.record(channel);
        record.state = State::Open;
        record.local = local;
        let name = record.name.clone();
        let request = std::mem::take(&mut record.request);
        self.end_request(&name, channel, request.early_bytes);
        (local, name, request)
    }

    /// Removes the remote's channel that we do not open. Returns the remote's number, which is free again.
    pub(super) fn remove_requested(&mut self, channel: Channel) -> u64 {
        let record = self.remove(channel);
        self.end_request(&record.name, channel, record.request.early_bytes);
        record.remote
    }

    /// Handles a Reject of our number. Returns the channel and its former state; `None` if it waits for no answer.
    pub(super) fn reject(&mut self, number: u64) -> Option<(Channel, State)> {
        let channel = *self.locals.get(&number)?;
        let state = self.state(channel)?;
        if !matches!(state, State::Opening | State::Abandoned) {
            return None;
        }
        let record = self.remove(channel);
        unqueue(&mut self.outgoing, &record.name, channel);
        Some((channel, state))
    }

    /// Closes a channel that we have opened. Returns our number.
    pub(super) fn close(&mut self, channel: Channel) -> u64 {
        let record = self.record(channel);
        let local = record.local;
        match record.state {
            State::Opening => record.state = State::Abandoned,
            _ => drop(self.remove(channel)),
        }
        local
    }

    /// Keeps a message until we accept the channel.
    pub(super) fn keep_early(&mut self, channel: Channel, kind: u64, body: &[u8]) {
        let bytes = EARLY_BYTES_EACH + body.len();
        let request = &mut self.record(channel).request;
        request.early.push((kind, body.to_vec()));
        request.early_bytes += bytes;
        self.early_bytes += bytes;
    }

    fn insert(&mut self, name: Name, state: State, local: u64, remote: u64) -> Channel {
        self.channels_ever += 1;
        let channel = Channel(self.channels_ever);
        let record = Record { name, state, local, remote, request: Request::default() };
        self.channels.insert(channel, record);
        channel
    }

    /// Removes a channel; its numbers are free.
    fn remove(&mut self, channel: Channel) -> Record {
        let record = self.channels.remove(&channel).expect("callers have looked at the channel's state");
        if self.locals.remove(&record.local).is_some() {
            self.locals_free.push(record.local);
        }
        self.remotes.remove(&record.remote);
        record
    }

    fn end_request(&mut self, name: &Name, channel: Channel, early_bytes: usize) {
        unqueue(&mut self.incoming, name, channel);
        self.requested_count -= 1;
        self.early_bytes -= early_bytes;
    }

    /// Takes the number for a new channel: as in JavaScript, the one that was freed last, else the next one.
    fn take_local(&mut self) -> u64 {
        self.locals_free.pop().unwrap_or_else(|| {
            self.local_highest += 1;
            self.local_highest
        })
    }

    fn record(&mut self, channel: Channel) -> &mut Record {
        self.channels.get_mut(&channel).expect("callers have looked at the channel's state")
    }
}

fn unqueue(queues: &mut BTreeMap<Name, VecDeque<Channel>>, name: &Name, channel: Channel) {
    if let Some(queue) = queues.get_mut(name) {
        queue.retain(|waiting| *waiting != channel);
        if queue.is_empty() {
            queues.remove(name);
        }
    }
}
