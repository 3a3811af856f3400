//! Announcing topics, and looking them up.

use super::{Event, Server, SwarmNode};
use crate::dht_rpc::node::QueryOutcome;
use crate::dht_rpc::{Address, Target};
use crate::hyperdht::node::AcceptPolicy;
use crate::swarm::{Roles, TopicKey};
use libvms_hypercore::time::Instant;

impl SwarmNode {
    pub(super) fn refresh(&mut self, now: Instant, topic: TopicKey, roles: Roles) {
        if !roles.server {
            return self.look_up(now, topic, roles, &[]);
        }
        match &mut self.server {
            Server::Off => {
                self.glance(now, topic, roles);
                self.server = Server::Starting { waiting: vec![(topic, roles)] };
                let banned = self.swarm.banned_peers().copied().collect();
                self.dht.listen(now, &self.key, AcceptPolicy::AllBut(banned));
            }
            Server::Starting { waiting } => {
                waiting.push((topic, roles));
                self.glance(now, topic, roles);
            }
            Server::On { relays } => {
                let relays = relays.clone();
                self.look_up(now, topic, roles, &relays);
            }
            Server::Stopping { .. } | Server::Stopped => {}
        }
    }

    /// Looks a topic up before it is announced. Announcing a server waits for nodes that do not answer; finding others
    /// need not.
    pub(super) fn glance(&mut self, now: Instant, topic: TopicKey, roles: Roles) {
        if roles.client {
            let query = self.dht.lookup(now, Target(topic));
            self.prelookups.insert(query, topic);
        }
    }

    /// Cancels the announcement of a topic: if it were announced after it was withdrawn, it would be found for half an
    /// hour.
    pub(super) fn cancel_refresh(&mut self, now: Instant, topic: &TopicKey) {
        if let Server::Starting { waiting } = &mut self.server {
            waiting.retain(|(other, _)| other != topic);
        }
        let lookups = self.lookups.iter().filter(|(_, (other, _))| other == topic);
        for query in lookups.map(|(query, _)| *query).collect::<Vec<_>>() {
            self.dht.cancel_query(query);
            self.lookups.remove(&query);
        }
        let prelookups = self.prelookups.iter().filter(|(_, other)| *other == topic);
        for query in prelookups.map(|(query, _)| *query).collect::<Vec<_>>() {
            self.dht.cancel_query(query);
            self.prelookups.remove(&query);
        }
        self.swarm.handle_refreshed(now, topic);
    }

    pub(super) fn look_up(&mut self, now: Instant, topic: TopicKey, roles: Roles, relays: &[Address]) {
        let query = match roles.server {
            true => self.dht.announce(now, Target(topic), relays.to_vec(), &self.key),
            false => self.dht.lookup(now, Target(topic)),
        };
        self.lookups.insert(query, (topic, roles));
    }

    pub(super) fn refreshed(
        &mut self,
        now: Instant,
        topic: TopicKey,
        roles: Roles,
        outcome: Option<QueryOutcome>,
    ) {
        match &outcome {
            Some(outcome) if !outcome.closest.is_empty() => self.swarm.handle_refreshed(now, &topic),
            _ => self.swarm.handle_refresh_failed(now, &topic),
        }
        let announced = outcome.filter(|_| roles.server).map(|outcome| outcome.stored);
        self.events.push_back(Event::Refreshed { topic, announced });
    }

    pub(super) fn announced(&mut self, now: Instant, relays: Vec<Address>) {
        let before = match &mut self.server {
            Server::Stopping { .. } | Server::Stopped | Server::Off => return,
            // The network is gone for now, and the relays may come back with it.
            Server::On { .. } if relays.is_empty() => return,
            server => std::mem::replace(server, Server::On { relays: relays.clone() }),
        };
        match before {
            Server::Starting { waiting } => {
                for (topic, roles) in waiting {
                    self.look_up(now, topic, roles, &relays);
                }
            }
            // Others would look for this node at relays that no longer know it.
            Server::On { relays: former } if former != relays => self.swarm.handle_network_changed(now),
            _ => {}
        }
    }
}
