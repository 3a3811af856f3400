//! Closed streams in TIME-WAIT (RFC 9293, section 3.6): they re-acknowledge for 15 s, because the last
//! acknowledgement or the DESTROY may be lost, and without another the remote would wait for 13 seconds and report a
//! failure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Path;
use super::packet::{Header, Packet};
use libvms_hypercore::time::Instant;

/// Duration of the state: a little longer than a remote goes on asking.
const LINGER_TIME: Duration = Duration::from_secs(15);

/// Closed streams that are remembered, and answers that wait for the socket. Beyond that the oldest are forgotten,
/// which makes their remotes wait.
const LINGERING_MAX: usize = 4096;
const ANSWERS_MAX: usize = 1024;

/// The closed streams of an endpoint.
#[derive(Debug, Default)]
pub(super) struct TimeWait {
    streams: BTreeMap<u32, (Path, Header)>,
    /// In the order in which they end, as all stay equally long.
    ends: VecDeque<(Instant, u32)>,
    answers: VecDeque<(Path, Header)>,
}

impl TimeWait {
    /// Answers packets for `stream` from `path` from now on.
    pub(super) fn insert(&mut self, now: Instant, stream: u32, path: Path, answer: Header) {
        self.forget(now);
        if self.ends.len() >= LINGERING_MAX {
            self.forget_first();
        }
        self.streams.insert(stream, (path, answer));
        self.ends.push_back((now + LINGER_TIME, stream));
    }

    /// Sends the answer without being asked.
    pub(super) fn answer(&mut self, stream: u32) {
        if let Some(&answer) = self.streams.get(&stream)
            && self.answers.len() < ANSWERS_MAX
        {
            self.answers.push_back(answer);
        }
    }

    /// Returns whether the id still belongs to a closed stream.
    pub(super) fn contains(&self, stream: u32) -> bool {
        self.streams.contains_key(&stream)
    }

    /// Takes a packet for a closed stream. Only packets that must be acknowledged are answered, each with twenty bytes
    /// to the remote's last path.
    pub(super) fn receive(&mut self, now: Instant, path: Path, packet: &Packet<'_>) {
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

    fn forget(&mut self, now: Instant) {
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
