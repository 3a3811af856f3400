//! Passing on what the layer above wants passed on: a handshake goes from one node over others to a third, always under
//! the number that the first one gave it.
//!
//! A relay that sends whatever it gets to whomever the sender names is a weapon. So what is passed on counts against the
//! allowance of the host that it goes to, and some addresses are refused.

use thiserror::Error;

use crate::dht_rpc::incoming::{ReplyHandle, Socket};
use crate::dht_rpc::message::{Request, Response};
use crate::dht_rpc::node::{Action, Address, Command, Node, Target};

/// A request that goes on to another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Where to.
    pub to: Address,
    /// Through which socket, if not the one that the request came in on.
    pub socket: Option<Socket>,
    /// What that node is asked.
    pub command: Command,
    /// What it is about.
    pub target: Option<Target>,
    /// What else the command needs.
    pub value: Option<Vec<u8>>,
}

/// Why something is not passed on.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ForwardError {
    /// Nobody has that address, or it is our own.
    #[error("nothing can be passed on to {0}")]
    Unreachable(Address),
    /// A sender on the public network names an address of a private one.
    #[error("{from} wants something passed on to {to}, which is not on its network")]
    Private {
        /// Who.
        from: Address,
        /// Where to.
        to: Address,
    },
    /// The host has been sent too much.
    #[error("too much is passed on to {0}")]
    TooMuch(Address),
}

impl Node {
    /// Passes a request on under its number, once and without waiting for an answer.
    ///
    /// # Errors
    /// Where the address is refused or its host had too much.
    pub fn forward_request(
        &mut self,
        now: u64,
        handle: &ReplyHandle,
        forward: Forward,
    ) -> Result<(), ForwardError> {
        let Forward { to, socket, command, target, value } = forward;
        let socket = socket.unwrap_or(handle.socket);
        let id = self.id_through(socket);
        let request = Request { tid: handle.tid, to, id, token: None, command, target, value };
        self.pass_on(now, handle, socket, to, request.encode())
    }

    /// Sends a third node the answer to a request of its own that came back over us.
    ///
    /// # Errors
    /// Where the address is refused or its host had too much.
    pub fn forward_response(
        &mut self,
        now: u64,
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
        now: u64,
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
