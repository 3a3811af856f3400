//! Streams that are gone and still answer for a while: the last acknowledgement or the DESTROY may have been lost, and
//! without another the remote would wait for 13 seconds and report a failure.

use std::collections::{BTreeMap, VecDeque};

use super::Path;
use super::packet::{Header, Packet};

/// How long, in microseconds: a little longer than a remote goes on asking.
const LINGER_US: u64 = 15_000_000;

/// Streams that are remembered, and answers that wait for the socket. Beyond that the oldest are forgotten: it costs
/// their remotes a wait.
const LINGERING_MAX: usize = 4096;
const ANSWERS_MAX: usize = 1024;

/// The streams that are gone.
#[derive(Debug, Default)]
pub(super) struct TimeWait {
    streams: BTreeMap<u32, (Path, Header)>,
    /// In the order in which they end, as all stay equally long.
    ends: VecDeque<(u64, u32)>,
    answers: VecDeque<(Path, Header)>,
}

impl TimeWait {
    /// From now on answers what comes for `stream` from `path`.
    pub(super) fn insert(&mut self, now: u64, stream: u32, path: Path, answer: Header) {
        self.forget(now);
        if self.ends.len() >= LINGERING_MAX {
            self.forget_first();
        }
        self.streams.insert(stream, (path, answer));
        self.ends.push_back((now + LINGER_US, stream));
    }

    /// Sends the answer without being asked.
    pub(super) fn answer(&mut self, stream: u32) {
        if let Some(&answer) = self.streams.get(&stream)
            && self.answers.len() < ANSWERS_MAX
        {
            self.answers.push_back(answer);
        }
    }

    /// Whether the id still belongs to a stream that is gone.
    pub(super) fn contains(&self, stream: u32) -> bool {
        self.streams.contains_key(&stream)
    }

    /// Takes a packet for a stream that is gone. Only what wants to be acknowledged is answered, each with twenty
    /// bytes to where the remote was.
    pub(super) fn receive(&mut self, now: u64, path: Path, packet: &Packet<'_>) {
        self.forget(now);
        let stream = packet.header.stream;
        let is_remote = self.streams.get(&stream).is_some_and(|(known, _)| *known == path);
        if is_remote && packet.header.kind.is_numbered() {
            self.answer(stream);
        }
    }

    pub(super) fn poll(&mut self) -> Option<(Path, Header)> {
        self.answers.pop_front()
    }

    fn forget(&mut self, now: u64) {
        while self.ends.front().is_some_and(|&(end, _)| end <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, stream)) = self.ends.pop_front() {
            self.streams.remove(&stream);
        }
    }
}
