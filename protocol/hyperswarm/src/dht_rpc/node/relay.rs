//! Relaying for the layer above: a handshake goes from one node over others to a third, always under the number that
//! the first one gave it.
//!
//! A relay that sends anything to any address that a sender names could be abused for attacks. So forwarded datagrams
//! count against the allowance of the host that receives them, and some addresses are refused.

use thiserror::Error;

use crate::dht_rpc::incoming::{ReplyHandle, Socket};
use crate::dht_rpc::message::{Request, Response};
use crate::dht_rpc::node::{Action, Address, Command, Node, Target};
use libvms_hypercore::time::Instant;

/// A request to forward to another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The destination.
    pub to: Address,
    /// The socket to send from, if not the one at which the request arrived.
    pub socket: Option<Socket>,
    /// The command.
    pub command: Command,
    /// The target of the command.
    pub target: Option<Target>,
    /// The further input of the command.
    pub value: Option<Vec<u8>>,
}

/// The reason why a datagram is not forwarded.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ForwardError {
    /// The address does not exist, or is our own.
    #[error("nothing can be forwarded to {0}: it is our own address or none")]
    Unreachable(Address),
    /// A sender on the public network names an address of a private one.
    #[error("{from} asks to forward to {to}, which is not on its network")]
    Private {
        /// The sender.
        from: Address,
        /// The destination.
        to: Address,
    },
    /// The allowance of the destination's host is used up.
    #[error("too much has been sent to {0}: nothing more is forwarded for now")]
    TooMuch(Address),
}

impl Node {
    /// Forwards a request under its number, once and without waiting for an answer.
    ///
    /// # Errors
    /// If the address is refused or the allowance of its host is used up.
    pub fn forward_request(
        &mut self,
        now: Instant,
        handle: &ReplyHandle,
        forward: Forward,
    ) -> Result<(), ForwardError> {
        let Forward { to, socket, command, target, value } = forward;
        let socket = socket.unwrap_or(handle.socket);
        let id = self.id_through(socket);
        let request = Request { tid: handle.tid, to, id, token: None, command, target, value };
        self.pass_on(now, handle, socket, to, request.encode())
    }

    /// Forwards to a third node the answer to its own request, which came back through us.
    ///
    /// # Errors
    /// If the address is refused or the allowance of its host is used up.
    pub fn forward_response(
        &mut self,
        now: Instant,
        handle: &ReplyHandle,
        to: Address,
        value: Option<Vec<u8>>,
    ) -> Result<(), ForwardError> {
        let id = self.id_through(handle.socket);
        let response =
            Response { tid: handle.tid, to, id, token: None, closer: Vec::new(), error: None, value };
        self.pass_on(now, handle, handle.socket, to, response.encode())
    }

    fn pass_on(
        &mut self,
        now: Instant,
        handle: &ReplyHandle,
        socket: Socket,
        to: Address,
        bytes: Vec<u8>,
    ) -> Result<(), ForwardError> {
        if to.port() == 0 || Some(to) == self.own {
            return Err(ForwardError::Unreachable(to));
        }
        if to.is_bogon() && !handle.from.is_bogon() {
            return Err(ForwardError::Private { from: handle.from, to });
        }
        if !self.allowance.take(now, to.ip(), handle.bytes, bytes.len(), false) {
            return Err(ForwardError::TooMuch(to));
        }
        self.actions.push_back(Action::Send { socket, to, bytes, ttl: None });
        Ok(())
    }
}
