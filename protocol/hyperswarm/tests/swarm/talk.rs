//! The application above a node: it writes on every connection bytes that only the other end of the same handshake can
//! expect, and checks the bytes that it reads.

use std::collections::BTreeMap;

use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::secret_stream::StreamKeys;
use libvms_hypercore::time::Instant;
use libvms_hyperswarm::swarm::node::{Closed, DialFailure, Event};
use libvms_hyperswarm::swarm::{ConnectionId, SwarmNode, TopicKey};

/// Bytes written first: as many as the header of the encrypted stream has.
const HEADER_BYTES: usize = 59;

/// One connection.
pub(crate) struct Talk {
    pub(crate) keys: StreamKeys,
    pub(crate) is_open: bool,
    pub(crate) written: usize,
    pub(crate) read: usize,
}

/// The connections of a host, and the fate of its former ones.
#[derive(Default)]
pub(crate) struct Talks {
    /// Bytes to write on each connection.
    pub(crate) bytes: usize,
    pub(crate) talks: BTreeMap<ConnectionId, Talk>,
    pub(crate) begun: usize,
    pub(crate) opened: Vec<(Instant, PublicKey)>,
    pub(crate) closed: Vec<(Instant, PublicKey, Closed)>,
    pub(crate) failed: Vec<(PublicKey, DialFailure)>,
    pub(crate) refreshed: Vec<(TopicKey, Option<usize>)>,
    pub(crate) is_shut_down: bool,
}

/// Returns byte `at` of the bytes that the holder of a key writes.
fn byte(key: &[u8; 32], at: usize) -> u8 {
    key[at % 32].wrapping_add((at / 32) as u8)
}

impl Talks {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, ..Self::default() }
    }

    pub(crate) fn take(&mut self, now: Instant, node: &mut SwarmNode, event: Event) {
        match event {
            Event::Begun { connection, keys } => {
                let talk = Talk { keys, is_open: false, written: 0, read: 0 };
                assert!(self.talks.insert(connection, talk).is_none(), "a connection begins once");
                self.begun += 1;
                self.write(node, connection);
            }
            Event::Opened { connection, .. } => {
                let talk = self.talks.get_mut(&connection).expect("it has begun");
                assert!(!std::mem::replace(&mut talk.is_open, true), "a connection opens once");
                self.opened.push((now, talk.keys.remote));
                self.write(node, connection);
                self.read(node, connection);
            }
            Event::Readable(connection) => self.read(node, connection),
            Event::Writable(connection) => self.write(node, connection),
            Event::RemoteEnded(connection) => node.end_writing(connection),
            Event::Closed { connection, why } => {
                self.read(node, connection);
                node.destroy(now, connection);
                if let Some(talk) = self.talks.remove(&connection) {
                    self.closed.push((now, talk.keys.remote, why));
                }
            }
            Event::DialFailed { peer, why } => self.failed.push((peer, why)),
            Event::Refreshed { topic, announced } => self.refreshed.push((topic, announced)),
            Event::ShutDown => self.is_shut_down = true,
            // The world opens and closes sockets.
            Event::OpenSocket(_) | Event::CloseSocket(_) => {}
            Event::Bootstrapped { .. } | Event::StatusChanged(_) => {}
        }
    }

    fn write(&mut self, node: &mut SwarmNode, connection: ConnectionId) {
        let Some(talk) = self.talks.get_mut(&connection) else { return };
        let end = HEADER_BYTES + self.bytes;
        let rest: Vec<u8> = (talk.written..end).map(|at| byte(&talk.keys.transmit, at)).collect();
        talk.written += node.write(connection, &rest);
    }

    fn read(&mut self, node: &mut SwarmNode, connection: ConnectionId) {
        let Some(talk) = self.talks.get_mut(&connection) else { return };
        // A read before a connection is reported must do no harm.
        let mut buffer = [0; 1_500];
        loop {
            let count = node.read(connection, &mut buffer);
            for (at, read) in buffer[..count].iter().enumerate() {
                assert_eq!(
                    *read,
                    byte(&talk.keys.receive, talk.read + at),
                    "byte {} is wrong",
                    talk.read + at
                );
            }
            talk.read += count;
            if count == 0 {
                return;
            }
        }
    }

    /// Returns the connected peers, each as often as it is connected.
    pub(crate) fn peers(&self) -> Vec<PublicKey> {
        let open = self.talks.values().filter(|talk| talk.is_open);
        let mut peers: Vec<PublicKey> = open.map(|talk| talk.keys.remote).collect();
        peers.sort();
        peers
    }

    /// Returns whether all bytes of the others have arrived.
    pub(crate) fn is_complete(&self, bytes: usize) -> bool {
        let mut open = self.talks.values().filter(|talk| talk.is_open);
        open.all(|talk| talk.read == HEADER_BYTES + bytes && talk.written == HEADER_BYTES + self.bytes)
    }
}
