//! The way from a handshake to a connection, on either side, and its end.

use super::connections::Connection;
use super::{Closed, Dial, DialFailure, Event, INCOMING_MAX, SwarmNode, number, socket};
use crate::dht_rpc::{Address, Socket};
use crate::hyperdht::client::{DialError, Dialed, Way};
use crate::hyperdht::holepunch::puncher::{PunchError, Punched};
use crate::hyperdht::node::{DialId, PunchId};
use crate::hyperdht::server::{Accepted, Approach, FIRST_PACKET_TIMEOUT};
use crate::swarm::{Admission, ConnectionId};
use crate::udx::{Firewall, Path};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::time::Instant;

impl SwarmNode {
    pub(super) fn dial(&mut self, now: Instant, peer: PublicKey, relays: &[Address]) {
        match self.dht.dial(now, &self.key, peer, relays) {
            Ok((dial, stream)) if self.streams.open(now, stream, Firewall::Open).is_ok() => {
                self.dials.insert(dial, Dial { peer, stream, knocked: None });
            }
            // Two random stream ids are equal: once in some billions of attempts.
            Ok((dial, _)) => {
                self.dht.cancel_dial(dial);
                self.swarm.handle_dial_failed(now, &peer);
            }
            Err(error) => self.dial_failed(now, peer, DialFailure::Handshake(error)),
        }
    }

    pub(super) fn accepted(&mut self, now: Instant, socket: Socket, accepted: Accepted) {
        let Accepted { handshake, keys, local_stream, remote_stream, approach, deadline, .. } = accepted;
        let is_full = self.connections.incoming() >= INCOMING_MAX || self.is_shutting_down();
        if is_full || self.streams.open(now, local_stream, Firewall::Open).is_err() {
            return;
        }
        let mut connection = Connection::new(keys, local_stream, remote_stream, deadline);
        connection.handshake = (approach == Approach::Await).then_some(handshake);
        let id = self.connections.insert(connection);
        if let Approach::Dial(client) = approach {
            self.begin(now, id, Path { socket: number(socket), remote: client.into() });
        }
    }

    pub(super) fn dialed(&mut self, now: Instant, dial: DialId, result: Result<Dialed, DialError>) {
        let Some(Dial { peer, stream, knocked }) = self.dials.remove(&dial) else { return };
        let dialed = match result {
            Ok(dialed) => dialed,
            Err(error) => {
                self.streams.destroy(now, stream);
                return self.dial_failed(now, peer, DialFailure::Handshake(error));
            }
        };
        let deadline = now + FIRST_PACKET_TIMEOUT;
        let id = self.connections.insert(Connection::from_dialed(&dialed, deadline));
        match (&dialed.way, knocked) {
            // A packet with our random id arrived: the server is there, whatever its answer said.
            (_, Some(path)) => self.begin(now, id, path),
            (Way::Connect(socket, to), None) => {
                self.begin(now, id, Path { socket: number(*socket), remote: (*to).into() });
            }
            (Way::Await, None) => {}
            (Way::Punch { .. }, None) => self.punch(now, id, &dialed),
        }
    }

    pub(super) fn punch(&mut self, now: Instant, id: ConnectionId, dialed: &Dialed) {
        match self.dht.punch(now, dialed) {
            Some(punch) => {
                self.punches.insert(punch, id);
                // Punching ends by itself, and takes longer than a first packet.
                self.connections
                    .get_mut(id)
                    .into_iter()
                    .for_each(|connection| connection.wait_until(Instant::MAX));
            }
            None => self.fail(now, id, DialFailure::Busy),
        }
    }

    pub(super) fn punched(&mut self, now: Instant, punch: PunchId, result: Result<Punched, PunchError>) {
        let connection = self.punches.remove(&punch).and_then(|id| Some((id, self.connections.get_mut(id)?)));
        match (connection, result) {
            (Some((id, connection)), Ok(Punched { socket, remote })) => {
                connection.wait_until(now + FIRST_PACKET_TIMEOUT);
                connection.puncher = Some(socket);
                self.begin(now, id, Path { socket: number(Socket::Puncher(socket)), remote: remote.into() });
            }
            (Some((id, _)), Err(error)) => self.fail(now, id, DialFailure::Punch(error)),
            (None, Ok(Punched { socket, .. })) => self.events.push_back(Event::CloseSocket(socket)),
            (None, Err(_)) => {}
        }
    }

    /// Starts the stream: the path to the remote is known.
    pub(super) fn begin(&mut self, now: Instant, id: ConnectionId, path: Path) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if self.streams.connect(now, connection.stream, path, connection.remote_stream).is_ok() {
            connection.remote = Some(path.remote);
            if let Some(handshake) = connection.handshake.take() {
                // The client came through: the connection keeps the socket where it did, others are not needed.
                let puncher =
                    if let Socket::Puncher(number) = socket(path.socket) { Some(number) } else { None };
                connection.puncher = puncher;
                self.dht.settle_accepted(now, &self.key.public_key(), handshake, puncher);
            }
            let Some(connection) = self.connections.get(id) else { return };
            self.events.push_back(Event::Begun { connection: id, keys: connection.keys.clone() });
        }
    }

    pub(super) fn prove(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let (keys, remote) = (connection.keys.clone(), connection.remote);
        let was_refused = connection.prove();
        match (self.swarm.handle_connected(now, id, keys.remote, keys.role), remote) {
            (Admission::Kept, Some(remote)) => {
                self.events.push_back(Event::Opened { connection: id, remote });
                if was_refused {
                    self.events.push_back(Event::Writable(id));
                }
            }
            _ => self.end(now, id, Closed::Refused),
        }
    }

    /// Ends an attempt to connect.
    pub(super) fn fail(&mut self, now: Instant, id: ConnectionId, why: DialFailure) {
        if let Some(connection) = self.connections.remove(id) {
            self.release(now, id, &connection);
            self.dial_failed(now, connection.keys.remote, why);
        }
    }

    pub(super) fn dial_failed(&mut self, now: Instant, peer: PublicKey, why: DialFailure) {
        match why.is_for_now() {
            true => self.swarm.handle_dial_postponed(now, &peer),
            false => self.swarm.handle_dial_failed(now, &peer),
        }
        self.events.push_back(Event::DialFailed { peer, why });
    }

    /// Ends the connection of a client that has not come through in time. While both sides are punching a hole, that
    /// may take longer than a first packet otherwise does: half a minute through a firewall that maps each remote to
    /// another port.
    pub(super) fn end_unless_punching(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let server = self.key.public_key();
        let until = connection.handshake.and_then(|handshake| self.dht.punches_until(&server, handshake));
        match until.filter(|until| *until > now) {
            Some(until) => connection.wait_until(until),
            None => self.end(now, id, Closed::Unproved),
        }
    }

    /// Ends a connection, whether it was reported to the caller or not.
    pub(super) fn end(&mut self, now: Instant, id: ConnectionId, why: Closed) {
        // If the beginning of a connection was not reported, its end need not be either.
        if self.forget(now, id).is_some_and(|connection| connection.remote.is_some()) {
            self.events.push_back(Event::Closed { connection: id, why });
        }
    }

    /// Removes a connection, if there was one, releases its resources, and its place if it was an attempt.
    pub(super) fn forget(&mut self, now: Instant, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(id)?;
        self.release(now, id, &connection);
        if connection.is_outgoing() && !connection.is_proved() {
            self.dial_failed(now, connection.keys.remote, DialFailure::Silent);
        }
        Some(connection)
    }

    /// Releases the resources of a connection.
    pub(super) fn release(&mut self, now: Instant, id: ConnectionId, connection: &Connection) {
        self.streams.destroy(now, connection.stream);
        if let Some(handshake) = connection.handshake {
            self.dht.settle_accepted(now, &self.key.public_key(), handshake, None);
        }
        if let Some(socket) = connection.puncher {
            self.events.push_back(Event::CloseSocket(socket));
        }
        self.swarm.handle_closed(now, id);
    }
}
