//! Serving requests of other nodes: storing and finding records, relaying, and handshakes with our servers.

use crate::dht_rpc::address::NodeId;
use crate::dht_rpc::incoming::{Incoming, ReplyHandle};
use crate::dht_rpc::message::Command;
use crate::hyperdht::node::punch::leaving_from;
use crate::hyperdht::node::{Action, HyperDht, Server};
use crate::hyperdht::record_store::{Asked, Now};
use crate::hyperdht::router::{Arrival, Content, Passing, Verdict, Whereabouts};
use libvms_hypercore::time::Instant;

impl HyperDht {
    /// Serves one request of another node.
    pub(super) fn serve(&mut self, now: Instant, incoming: Incoming) {
        match incoming.command {
            Command::PEER_HANDSHAKE | Command::PEER_HOLEPUNCH => self.carry(now, incoming),
            _ => {
                let time = Now { steady: now, unix_ms: now.as_millis().saturating_add(self.unix_offset_ms) };
                let own: Option<NodeId> = self.node.id_for(&incoming.handle);
                let reply = self.storage.answer(time, own.as_ref(), &Asked::from(&incoming));
                if let Some(reply) = reply {
                    self.node.reply(now, incoming.handle, reply);
                }
            }
        }
    }

    fn carry(&mut self, now: Instant, incoming: Incoming) {
        let whereabouts = self.whereabouts(now, &incoming);
        match self.router.route(now, &Passing::from(&incoming), whereabouts) {
            Verdict::Arrived(arrival) => match arrival.content {
                Content::Handshake(_) => self.arrive(now, incoming.handle, &arrival),
                Content::Holepunch { .. } => self.hear_punch(now, incoming.handle, arrival),
            },
            verdict => self.send(now, incoming.handle, verdict),
        }
    }

    fn whereabouts(&mut self, now: Instant, incoming: &Incoming) -> Whereabouts {
        let Some(target) = &incoming.target else { return Whereabouts::Unknown };
        if self.servers.contains_key(target) {
            return Whereabouts::Here;
        }
        self.storage.route(now, target).map_or(Whereabouts::Unknown, Whereabouts::At)
    }

    /// Takes a first message for one of our servers.
    fn arrive(&mut self, now: Instant, handle: ReplyHandle, arrival: &Arrival) {
        let Some(server) = self.servers.get(&arrival.target) else { return };
        let reach = self.reach(server.announcer.relays());
        let Some(Server { listener, welcome, .. }) = self.servers.get_mut(&arrival.target) else { return };
        let own = listener.key().public_key();
        let heard = listener.hear(now, arrival, &reach, &mut |key| *key != own && welcome.includes(key));
        // On any fault the sender gets no answer, and does not even learn that there is a server.
        let Ok(heard) = heard else { return };
        let socket = handle.socket();
        let needs_hole = heard.accepted.as_ref().filter(|_| reach.public.is_none());
        if let Some(accepted) = needs_hole {
            self.expect_punch(now, arrival, accepted);
        }
        // Copies of the message that come through other relays are answered from the same socket.
        let puncher = heard.handshake.and_then(|handshake| self.punch_socket(&arrival.target, handshake));
        self.send(now, handle, leaving_from(puncher, arrival.answer(&heard.answer)));
        if let Some(accepted) = heard.accepted {
            self.actions.push_back(Action::Accepted { server: own, socket, accepted });
        }
    }

    pub(super) fn send(&mut self, now: Instant, handle: ReplyHandle, verdict: Verdict) {
        // A datagram that the node refuses to send is lost like any other.
        let _ = match verdict {
            Verdict::Request(forward) => self.node.forward_request(now, &handle, forward),
            Verdict::Response { to, value } => self.node.forward_response(now, &handle, to, Some(value)),
            Verdict::Reply(reply) => {
                self.node.reply(now, handle, reply);
                Ok(())
            }
            Verdict::Arrived(_) | Verdict::Drop => Ok(()),
        };
    }
}
