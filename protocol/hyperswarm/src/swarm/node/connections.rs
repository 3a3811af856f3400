//! The connections of a node, proved or not: [`Connections`].

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::super::ConnectionId;
use crate::hyperdht::client::Dialed;
use libvms_hypercore::secret_stream;
use libvms_hypercore::secret_stream::StreamKeys;
use libvms_hypercore::secret_stream::frame::FRAME_PREFIX_BYTES;
use libvms_hypercore::time::Instant;
use libvms_hypercore::wire::Role;

/// Bytes of the header of an encrypted stream, with its length in front.
const HEADER_BYTES: usize = FRAME_PREFIX_BYTES + secret_stream::HEADER_BYTES;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) keys: StreamKeys,
    /// Our id of its stream, and the remote's.
    pub(super) stream: u32,
    pub(super) remote_stream: u32,
    pub(super) remote: Option<SocketAddr>,
    /// The socket that a hole was punched with; it belongs to this connection alone.
    pub(super) puncher: Option<u32>,
    /// The number of the handshake, as long as its client may punch.
    pub(super) handshake: Option<u64>,
    state: State,
    bytes_read: usize,
    bytes_written: usize,
}

#[derive(Debug)]
enum State {
    /// The remote has until the deadline to send a first packet.
    Unproved {
        deadline: Instant,
        was_refused: bool,
    },
    Proved,
    /// Both sides have read a message that the other one encrypted.
    InUse,
}

impl Connection {
    pub(super) fn new(keys: StreamKeys, stream: u32, remote_stream: u32, deadline: Instant) -> Self {
        let state = State::Unproved { deadline, was_refused: false };
        Self {
            keys,
            stream,
            remote_stream,
            remote: None,
            puncher: None,
            handshake: None,
            state,
            bytes_read: 0,
            bytes_written: 0,
        }
    }

    pub(super) fn from_dialed(dialed: &Dialed, deadline: Instant) -> Self {
        Self::new(dialed.keys.clone(), dialed.local_stream, dialed.remote_stream, deadline)
    }

    /// Sets another deadline for a remote that has not proved itself.
    pub(super) fn wait_until(&mut self, at: Instant) {
        if let State::Unproved { deadline, .. } = &mut self.state {
            *deadline = at;
        }
    }

    pub(super) fn is_outgoing(&self) -> bool {
        self.keys.role == Role::Initiator
    }

    pub(super) fn is_proved(&self) -> bool {
        !matches!(self.state, State::Unproved { .. })
    }

    /// Returns the number of bytes that may be written now.
    pub(super) fn allows(&self) -> usize {
        if self.is_proved() { usize::MAX } else { HEADER_BYTES.saturating_sub(self.bytes_written) }
    }

    /// Notes that `written` of `wanted` bytes were written.
    pub(super) fn written(&mut self, written: usize, wanted: usize) {
        self.bytes_written = self.bytes_written.saturating_add(written);
        if let State::Unproved { was_refused, .. } = &mut self.state {
            *was_refused |= written < wanted;
        }
    }

    /// Notes that `read` bytes were read. Returns whether this shows that the connection works both ways.
    pub(super) fn read(&mut self, read: usize) -> bool {
        self.bytes_read = self.bytes_read.saturating_add(read);
        let works = self.bytes_read > HEADER_BYTES && self.bytes_written > HEADER_BYTES;
        let is_news = works && matches!(self.state, State::Proved);
        if is_news {
            self.state = State::InUse;
        }
        is_news
    }

    /// Notes that the remote has proved itself. Returns whether a write was refused before.
    pub(super) fn prove(&mut self) -> bool {
        let before = std::mem::replace(&mut self.state, State::Proved);
        matches!(before, State::Unproved { was_refused: true, .. })
    }
}

/// The table of connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    connections: BTreeMap<ConnectionId, Connection>,
    by_stream: BTreeMap<u32, ConnectionId>,
    next: u64,
}

impl Connections {
    pub(super) fn insert(&mut self, connection: Connection) -> ConnectionId {
        let id = ConnectionId(self.next);
        self.next += 1;
        self.by_stream.insert(connection.stream, id);
        self.connections.insert(id, connection);
        id
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        self.by_stream.remove(&connection.stream);
        Some(connection)
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(&id)
    }

    pub(super) fn of_stream(&self, stream: u32) -> Option<ConnectionId> {
        self.by_stream.get(&stream).copied()
    }

    /// Returns the number of incoming connections.
    pub(super) fn incoming(&self) -> usize {
        self.connections.values().filter(|connection| !connection.is_outgoing()).count()
    }

    /// Returns the earliest deadline by which a connection must prove itself.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines().map(|(_, deadline)| deadline).min()
    }

    /// Returns the connections that have not proved themselves in time.
    pub(super) fn expired(&self, now: Instant) -> Vec<ConnectionId> {
        self.deadlines().filter(|(_, deadline)| *deadline <= now).map(|(id, _)| id).collect()
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.connections.keys().copied().collect()
    }

    fn deadlines(&self) -> impl Iterator<Item = (ConnectionId, Instant)> + '_ {
        self.connections.iter().filter_map(|(id, connection)| match connection.state {
            State::Unproved { deadline, .. } => Some((*id, deadline)),
            State::Proved | State::InUse => None,
        })
    }
}
