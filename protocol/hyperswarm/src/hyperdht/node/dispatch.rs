//! Passing the output of one part to the next, until none has anything left to do.

use crate::dht_rpc::node::{Action as NodeAction, QueryError, QueryId, QueryOutcome, RequestId};
use crate::dht_rpc::query::Answer;
use crate::hyperdht::announcer::{AnnounceAction, announce_at, unannounce_at};
use crate::hyperdht::client::{DialAction, DialError, Dialed};
use crate::hyperdht::node::{Action, Asker, DialId, HyperDht, Owner};
use crate::hyperdht::record::LookupReply;
use libvms_hypercore::time::Instant;

impl HyperDht {
    /// Advances all parts until none has anything left to do.
    pub(super) fn drive(&mut self, now: Instant) {
        loop {
            if let Some(action) = self.node.poll_action() {
                self.take(now, action);
            } else if !self.drive_dials(now) && !self.drive_servers(now) && !self.drive_punches(now) {
                return;
            }
        }
    }

    pub(super) fn drive_dials(&mut self, now: Instant) -> bool {
        let next = self.dials.iter_mut().find_map(|(dial, dialer)| Some((*dial, dialer.poll_action()?)));
        let Some((dial, action)) = next else { return false };
        match action {
            DialAction::Request(number, spec) => self.start_request(now, Owner::Dial(dial), number, spec),
            DialAction::Search(spec) => {
                let query = self.node.start_query(now, spec);
                self.queries.insert(query, Asker::Dial(dial));
            }
            DialAction::Done(result) => {
                self.note_relays(now, dial, &result);
                self.cancel_dial(dial);
                self.actions.push_back(Action::Dialed { dial, result });
            }
        }
        true
    }

    /// Remembers the relays that reached a peer, and forgets them if they were of no use.
    fn note_relays(&mut self, now: Instant, dial: DialId, result: &Result<Dialed, DialError>) {
        match result {
            Ok(Dialed { keys, through, relays, .. }) => {
                self.known_relays.note(now, keys.remote, *through, relays);
            }
            Err(DialError::NotFound | DialError::NoAnswer) => {
                self.dials.get(&dial).inspect(|dialer| self.known_relays.drop(&dialer.remote()));
            }
            // The peer has answered, and can be reached as before.
            Err(_) => {}
        }
    }

    pub(super) fn drive_servers(&mut self, now: Instant) -> bool {
        let next = self
            .servers
            .iter_mut()
            .find_map(|(target, server)| Some((*target, server.announcer.poll_action()?)));
        let Some((target, action)) = next else { return false };
        match action {
            AnnounceAction::Request(number, spec) => {
                self.start_request(now, Owner::Server(target), number, spec);
            }
            AnnounceAction::Search(spec) => {
                let query = self.node.start_query(now, spec);
                self.queries.insert(query, Asker::Server(target));
            }
            AnnounceAction::RelaysChanged => {
                let server = self.servers.get(&target).expect("it has just spoken");
                let key = server.listener.key().public_key();
                let relays = self.relay_addresses(&key);
                self.actions.push_back(Action::Announced { server: key, relays });
            }
            AnnounceAction::Stopped => {
                let server = self.servers.remove(&target).expect("it has just spoken");
                let server = server.listener.key().public_key();
                self.actions.push_back(Action::Stopped { server });
            }
        }
        true
    }

    pub(super) fn take(&mut self, now: Instant, action: NodeAction) {
        match action {
            NodeAction::Send { socket, to, bytes, ttl } => {
                self.actions.push_back(Action::Send { socket, to, bytes, ttl });
            }
            NodeAction::Request(incoming) => self.serve(now, incoming),
            NodeAction::RequestLate(request) => {
                if let Some((Owner::Dial(dial), number)) = self.requests.get(&request)
                    && let Some(dialer) = self.dials.get_mut(dial)
                {
                    dialer.handle_late(*number);
                }
            }
            NodeAction::RequestDone { request, result } => {
                self.request_done(now, request, result.as_ref().ok())
            }
            NodeAction::QueryProgress { query, answer } => self.progress(query, answer),
            NodeAction::QueryCommit { query, closest } => {
                let commits = match self.queries.get(&query) {
                    Some(Asker::Announce { topic, relays, key }) => announce_at(topic, relays, &closest, key),
                    Some(Asker::Unannounce { topic, key }) => unannounce_at(topic, &closest, key),
                    _ => vec![],
                };
                self.node.commit(now, query, commits);
            }
            NodeAction::QueryDone { query, result } => self.query_done(now, query, result),
            NodeAction::Bootstrapped { nodes } => self.actions.push_back(Action::Bootstrapped { nodes }),
            NodeAction::StatusChanged(standing) => {
                for server in self.servers.values_mut() {
                    server.announcer.refresh();
                }
                self.actions.push_back(Action::StatusChanged(standing));
            }
        }
    }

    pub(super) fn request_done(&mut self, now: Instant, request: RequestId, answer: Option<&Answer>) {
        match self.requests.remove(&request) {
            Some((Owner::Dial(dial), number)) => {
                if let Some(dialer) = self.dials.get_mut(&dial) {
                    dialer.handle_answer(number, answer);
                }
            }
            Some((Owner::Server(target), number)) => {
                if let Some(server) = self.servers.get_mut(&target) {
                    server.announcer.handle_answer(now, number, answer);
                }
            }
            Some((Owner::Punch(punch), number)) => self.punches.answered(now, punch, number, answer),
            None => {}
        }
    }

    pub(super) fn progress(&mut self, query: QueryId, answer: Answer) {
        match self.queries.get(&query) {
            Some(Asker::Dial(dial)) => {
                if let Some(dialer) = self.dials.get_mut(dial) {
                    dialer.handle_peer_found(&answer);
                }
            }
            Some(Asker::Lookup | Asker::Announce { .. }) => {
                let reply = answer.value.as_ref().and_then(|value| LookupReply::decode(value).ok());
                let from = answer.from;
                if let Some(reply) = reply {
                    self.actions.push_back(Action::Found { query, from, reply });
                }
            }
            Some(Asker::Server(_) | Asker::Unannounce { .. }) | None => {}
        }
    }

    pub(super) fn query_done(
        &mut self,
        now: Instant,
        query: QueryId,
        result: Result<QueryOutcome, QueryError>,
    ) {
        match self.queries.remove(&query) {
            Some(Asker::Dial(dial)) => {
                if let Some(dialer) = self.dials.get_mut(&dial) {
                    dialer.handle_searched();
                }
            }
            Some(Asker::Server(target)) => {
                let closest = result.map_or(vec![], |outcome| outcome.closest);
                if let Some(server) = self.servers.get_mut(&target) {
                    server.announcer.handle_searched(now, &closest);
                }
            }
            Some(_) => self.actions.push_back(Action::QueryDone { query, result }),
            None => {}
        }
    }
}
