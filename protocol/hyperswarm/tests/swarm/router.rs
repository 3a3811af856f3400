//! Routers with address translation (NAT), as in most homes: [`Router`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::{Address, Socket};

/// How long a router lets answers in.
const OPEN_MS: u64 = 30_000;
const FIRST_PORT: u16 = 20_000;

/// The ports that the world sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ports {
    /// One port for each socket.
    Kept,
    /// Another port for each remote.
    Random,
}

pub(crate) struct Router {
    pub(crate) ip: Ipv4Addr,
    ports: Ports,
    lines: BTreeMap<(usize, Socket, Option<Address>), u16>,
    behind: BTreeMap<u16, (usize, Socket)>,
    opened: BTreeMap<(u16, Address), Instant>,
}

impl Router {
    pub(crate) fn new(ip: Ipv4Addr, ports: Ports) -> Self {
        Self { ip, ports, lines: BTreeMap::new(), behind: BTreeMap::new(), opened: BTreeMap::new() }
    }

    /// Returns the address at which the world sees a socket of a host behind this router.
    pub(crate) fn lets_out(&mut self, now: Instant, host: usize, socket: Socket, to: Address) -> Address {
        let next = FIRST_PORT + self.lines.len() as u16;
        let remote = Some(to).filter(|_| self.ports == Ports::Random);
        let port = *self.lines.entry((host, socket, remote)).or_insert(next);
        self.behind.insert(port, (host, socket));
        self.opened.insert((port, to), now);
        Address::new(self.ip, port)
    }

    /// Returns where a datagram arrives: only senders that the same port has sent to are let in.
    pub(crate) fn lets_in(&self, now: Instant, port: u16, from: Address) -> Option<(usize, Socket)> {
        let opened = self.opened.get(&(port, from))?;
        let is_recent = *opened + Duration::from_millis(OPEN_MS) >= now;
        self.behind.get(&port).copied().filter(|_| is_recent)
    }
}
