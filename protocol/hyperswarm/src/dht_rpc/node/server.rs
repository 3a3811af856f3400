//! Answers to the requests of other nodes.
//!
//! A request may come from a forged address: it changes only what its token proves, and the answer to it is within the
//! [`AmplificationLimiter`](crate::dht_rpc::node::AmplificationLimiter) of the host that receives it. A node that sends
//! a request and claims an id is pinged before it enters the table, unlike in the reference, where forged requests fill
//! it.

use std::time::Duration;

use crate::dht_rpc::incoming::{Incoming, Reply, ReplyHandle, Socket};
use crate::dht_rpc::message::{ErrorCode, Request, Response};
use crate::dht_rpc::node::client::Purpose;
use crate::dht_rpc::node::{Action, Address, CLOSEST_MAX, Command, Node, NodeId};
use crate::dht_rpc::table::Place;
use libvms_hypercore::encoding::Reader;
use libvms_hypercore::time::Instant;

/// Nodes whose claimed id is verified by a ping at the same time.
const VERIFYING_MAX: usize = 64;
/// Nodes that are pinged at the same time because another node reported them as gone.
const SUSPECTED_MAX: usize = 10;
/// How long an answer may be delayed.
const DELAY_MS_MAX: u32 = 10_000;
/// Answers that are delayed at the same time.
const DELAYED_MAX: usize = 1_024;
/// How long a pinged node is not pinged again because another node reports it as gone.
const DOUBT_PAUSE: Duration = Duration::from_secs(5);

impl Node {
    /// Answers a request that came as [`Action::Request`]. Sends nothing if the allowance of the asking host is used
    /// up.
    pub fn reply(&mut self, now: Instant, handle: ReplyHandle, reply: Reply) {
        let Reply { error, value, with_token, with_closer } = reply;
        let target = handle.target.filter(|_| with_closer);
        let response = Response {
            tid: handle.tid,
            to: handle.from,
            id: self.id_for(&handle).filter(|_| handle.socket == Socket::Server),
            token: with_token.then(|| self.tokens.issue(now, handle.from.ip())),
            closer: target.map(|target| self.table.closest(&target, CLOSEST_MAX)).unwrap_or_default(),
            error,
            value,
        };
        let bytes = response.encode();
        let (host, verified) = (handle.from.ip(), handle.is_verified);
        if self.allowance.take(now, host, handle.bytes, bytes.len(), verified) {
            let (socket, to) = (handle.socket, handle.from);
            self.actions.push_back(Action::Send { socket, to, bytes, ttl: None });
        }
    }

    pub(super) fn serve(
        &mut self,
        now: Instant,
        socket: Socket,
        from: Address,
        request: Request,
        bytes: usize,
    ) {
        let Request { tid, to, id, token, command, target, value } = request;
        let id = id.filter(|id| *id == NodeId::of(&from));
        id.into_iter().for_each(|id| self.verify(now, id, from));
        let is_verified = token.is_some_and(|token| self.tokens.accepts(now, from.ip(), token));
        let handle = ReplyHandle { socket, from, to, tid, target, bytes, is_verified };
        if token.is_some() && !is_verified {
            let reply = Reply { with_token: true, ..Reply::failed(ErrorCode::INVALID_TOKEN) };
            return self.reply(now, handle, reply);
        }
        match command {
            Command::External(number) if self.config.served.contains(&number) => {
                let incoming = Incoming { handle, command, target, value, id, token };
                self.actions.push_back(Action::Request(incoming));
            }
            Command::External(_) => self.reply(now, handle, Reply::unknown_command()),
            Command::Internal(_) => self.serve_internal(now, handle, command, value.as_deref()),
        }
    }

    fn serve_internal(&mut self, now: Instant, handle: ReplyHandle, command: Command, value: Option<&[u8]>) {
        let mut value = Reader::new(value.unwrap_or_default());
        match command {
            Command::PING => self.reply(now, handle, Reply::acknowledged()),
            Command::PING_NAT => {
                let port = value.array().map(u16::from_le_bytes).unwrap_or(0);
                if port != 0 {
                    let handle = ReplyHandle { from: handle.from.with_port(port), ..handle };
                    self.reply(now, handle, Reply::acknowledged());
                }
            }
            Command::FIND_NODE if handle.target.is_none() => {}
            Command::FIND_NODE => {
                self.reply(now, handle, Reply { with_closer: true, ..Reply::acknowledged() });
            }
            Command::DOWN_HINT => {
                if let Ok(address) = Address::decode(&mut value) {
                    self.doubt(now, address);
                    self.reply(now, handle, Reply::acknowledged());
                }
            }
            Command::DELAYED_PING => match value.array().map(u32::from_le_bytes) {
                Ok(delay @ ..=DELAY_MS_MAX) if self.delayed.len() < DELAYED_MAX => {
                    let number = self.number();
                    self.delayed.insert((now + Duration::from_millis(delay.into()), number), handle);
                }
                _ => {}
            },
            _ => self.reply(now, handle, Reply::unknown_command()),
        }
    }

    /// Sends the delayed answers that are due.
    pub(super) fn send_delayed(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry()
            && entry.key().0 <= now
        {
            let handle = entry.remove();
            self.reply(now, handle, Reply::acknowledged());
        }
    }

    /// Pings a node that claims the id of its address; its answer brings it into the table.
    fn verify(&mut self, now: Instant, id: NodeId, address: Address) {
        let has_place = self.table.place_for(&id, &address, now) != Place::None;
        if has_place
            && !self.table.contains(&id)
            && self.verifying.len() < VERIFYING_MAX
            && !self.verifying.contains(&address)
            && self.ping(Purpose::Verify, address)
        {
            self.verifying.insert(address);
        }
    }

    /// Pings a node in the table, because another node reports it as gone.
    fn doubt(&mut self, now: Instant, address: Address) {
        let Some(entry) = self.table.get_mut(&NodeId::of(&address)) else { return };
        if entry.challenged_at + DOUBT_PAUSE > now || self.suspected.len() >= SUSPECTED_MAX {
            return;
        }
        entry.challenged_at = now;
        if self.ping(Purpose::Alive, address) {
            self.suspected.insert(address);
        }
    }
}
