//! A peer that shakes hands and connects as it should, and that lets its test see and misuse what goes over the wire.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::secret_stream::{NONCE_BYTES, SecretStream};
use libvms_hypercore::time;
use libvms_hyperswarm::dht_rpc::{self, Address, Socket};
use libvms_hyperswarm::swarm::node::{Config, Event, Transmit};
use libvms_hyperswarm::swarm::{ConnectionId, Roles, SwarmNode};
use libvms_hyperswarm::udx;

use super::PATIENCE;

/// One swarm node whose datagrams are all kept.
pub(super) struct Insider {
    node: SwarmNode,
    sockets: BTreeMap<Socket, UdpSocket>,
    start: Instant,
    streams: BTreeMap<ConnectionId, SecretStream>,
    /// Connections that were open at some time, and are over.
    pub(super) closed: usize,
    /// Bytes that have come over connections.
    pub(super) heard: usize,
    /// All that it has sent.
    pub(super) sent: Vec<(Socket, SocketAddr, Vec<u8>)>,
}

impl Insider {
    /// Looks for others who have a core.
    pub(super) fn new(bootstrap: &[SocketAddr], core: &PublicKey) -> Self {
        let bind = || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            socket.set_nonblocking(true).expect("a socket");
            socket
        };
        let sockets = BTreeMap::from([(Socket::Server, bind()), (Socket::Client, bind())]);
        let local = sockets[&Socket::Server].local_addr().expect("an address");
        let nodes = bootstrap.iter().map(|node| Address::try_from(*node).expect("IPv4")).collect();
        let config = Config {
            dht: dht_rpc::Config::new(nodes, local.port()),
            swarm: libvms_hyperswarm::swarm::Config::default(),
            streams: udx::Config::default(),
            local_addresses: vec![],
        };
        let key = SecretKey::from_seed(&[77; 32]);
        let mut node = SwarmNode::new(key, config, [78; 32], time::Instant::START, Duration::ZERO);
        node.join(time::Instant::START, core.discovery_key(), Roles { server: false, client: true });
        Self {
            node,
            sockets,
            start: Instant::now(),
            streams: BTreeMap::new(),
            closed: 0,
            heard: 0,
            sent: vec![],
        }
    }

    /// Lives until something is so, as long as that may take.
    pub(super) fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "it has not happened");
            self.live();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Lives for a while.
    pub(super) fn rest(&mut self, time: Duration) {
        let end = Instant::now() + time;
        self.until(|_| Instant::now() >= end);
    }

    /// From where packets go to the host's end of the connection, where to, and the number that they carry.
    pub(super) fn stream(&self) -> (&UdpSocket, SocketAddr, u32) {
        let packet = self.sent.iter().rev().find(|(_, _, bytes)| bytes.starts_with(&[0xff, 1]));
        let (socket, to, bytes) = packet.expect("it is connected");
        let number = bytes[4..8].try_into().expect("four bytes");
        (&self.sockets[socket], *to, u32::from_le_bytes(number))
    }

    fn live(&mut self) {
        let now = time::Instant::after(self.start.elapsed());
        let mut buffer = [0; 2048];
        for (name, socket) in &self.sockets {
            loop {
                match socket.recv_from(&mut buffer) {
                    Ok((length, from)) => self.node.handle_datagram(now, *name, from, &buffer[..length]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        if self.node.poll_timeout().is_some_and(|at| at <= now) {
            self.node.handle_timeout(now);
        }
        while let Some(event) = self.node.poll_event(now) {
            self.handle(event);
        }
        let mut datagram = vec![];
        while let Some(Transmit { socket, to, .. }) = self.node.poll_transmit(now, &mut datagram) {
            self.sockets[&socket].send_to(&datagram, to).expect("a socket");
            self.sent.push((socket, to, datagram.clone()));
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Begun { connection, keys } => {
                let mut stream = SecretStream::from_keys(keys, [7; NONCE_BYTES]);
                let mut header = vec![];
                stream.transmit(&mut header);
                assert_eq!(self.node.write(connection, &header), header.len());
                self.streams.insert(connection, stream);
            }
            Event::Readable(connection) => {
                let mut buffer = vec![0; 65_536];
                let read = self.node.read(connection, &mut buffer);
                let stream = self.streams.get_mut(&connection).expect("it has begun");
                stream.receive(&buffer[..read]).expect("authentic bytes");
                while stream.poll_message().expect("authentic bytes").is_some() {}
                // As a sign of life for each of the host's.
                stream.send(vec![]);
                let mut bytes = vec![];
                stream.transmit(&mut bytes);
                self.node.write(connection, &bytes);
                self.heard += read;
            }
            Event::Closed { .. } => self.closed += 1,
            _ => {}
        }
    }
}
