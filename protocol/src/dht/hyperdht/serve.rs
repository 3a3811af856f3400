//! What others ask of this node: to store and to find, to pass something on, or to connect to one of its servers.

use super::super::address::NodeId;
use super::super::incoming::{Incoming, ReplyHandle};
use super::super::message::Command;
use super::super::router::{Arrival, Passing, Verdict, Whereabouts};
use super::super::storage::{Asked, Now};
use super::{Event, HyperDht, Server};

impl HyperDht {
    /// Serves one request of another node.
    pub(super) fn serve(&mut self, now: u64, incoming: Incoming) {
        match incoming.command {
            Command::PEER_HANDSHAKE | Command::PEER_HOLEPUNCH => self.carry(now, incoming),
            _ => {
                let time = Now { steady: now, unix: now.saturating_add(self.unix_offset_ms) };
                let own: Option<NodeId> = self.node.id();
                let reply = self.storage.answer(time, own.as_ref(), &Asked::from(&incoming));
                if let Some(reply) = reply {
                    self.node.reply(now, incoming.handle, reply);
                }
            }
        }
    }

    fn carry(&mut self, now: u64, incoming: Incoming) {
        let whereabouts = self.whereabouts(now, &incoming);
        match self.router.route(now, &Passing::from(&incoming), whereabouts) {
            Verdict::Arrived(arrival) => self.arrive(now, incoming.handle, &arrival),
            verdict => self.send(now, incoming.handle, verdict),
        }
    }

    fn whereabouts(&mut self, now: u64, incoming: &Incoming) -> Whereabouts {
        let Some(target) = &incoming.target else { return Whereabouts::Unknown };
        if self.servers.contains_key(target) {
            return Whereabouts::Here;
        }
        self.storage.route(now, target).map_or(Whereabouts::Unknown, Whereabouts::At)
    }

    /// A first message for one of our servers.
    fn arrive(&mut self, now: u64, handle: ReplyHandle, arrival: &Arrival) {
        let Some(server) = self.servers.get(&arrival.target) else { return };
        let reach = self.reach(server.announcer.relays());
        let Some(Server { listener, welcome, .. }) = self.servers.get_mut(&arrival.target) else { return };
        let own = listener.key().public_key();
        let heard = listener.hear(now, arrival, &reach, &mut |key| *key != own && welcome.includes(key));
        // Whatever is wrong with it is the sender's matter: it learns nothing, not even that there is a server.
        let Ok(heard) = heard else { return };
        let socket = handle.socket();
        self.send(now, handle, arrival.answer(&heard.answer));
        if let Some(accepted) = heard.accepted {
            self.events.push_back(Event::Accepted { server: own, socket, accepted });
        }
    }

    fn send(&mut self, now: u64, handle: ReplyHandle, verdict: Verdict) {
        // What the node refuses to send is lost like any datagram.
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
