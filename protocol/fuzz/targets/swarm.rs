//! A whole node of Hyperswarm, which serves and looks up peers, and receives datagrams of every kind from strangers:
//! requests, answers to its own requests, valid and altered handshakes, and packets of the streams that these open.
#![no_main]

use std::collections::VecDeque;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::secret_stream::noise_ik::Initiator;
use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::{self, Address, Command, Message, Request, Socket};
use libvms_hyperswarm::hyperdht::envelope::{HandshakeEnvelope, Mode};
use libvms_hyperswarm::hyperdht::handshake_payload::HandshakePayload;
use libvms_hyperswarm::hyperdht::record::peer_target;
use libvms_hyperswarm::swarm::node::{Config, Event};
use libvms_hyperswarm::swarm::{self, Roles, SwarmNode};
use libvms_hyperswarm::udx;
use libvms_protocol_fuzz::pieces;

const SENT_MAX: usize = 2_048;
const HEADER: [u8; 59] = [9; 59];

struct Bench {
    node: SwarmNode,
    now: Instant,
    asked: VecDeque<(Socket, Request)>,
    /// Decrypt the answers to our handshakes.
    initiators: VecDeque<Initiator>,
    /// The node's streams that we know.
    streams: Vec<u32>,
    handshakes: u8,
}

fn own() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn address(number: u8) -> Address {
    Address::new([20, 0, 0, number].into(), 49_737)
}

impl Bench {
    fn new(is_guest: bool) -> Self {
        let mode = match is_guest {
            true => dht_rpc::Mode::Ephemeral,
            false => dht_rpc::Mode::Persistent { address: Some(address(0)) },
        };
        let config = Config {
            dht: dht_rpc::Config { mode, ..dht_rpc::Config::new(vec![address(1), address(2)], 49_737) },
            swarm: swarm::Config::default(),
            streams: udx::Config { receive_bytes_max: 65_536, unsent_bytes_max: 65_536, keepalive: None },
            local_addresses: vec![],
        };
        let mut node =
            SwarmNode::new(own(), config, [7; 32], Instant::START, Duration::from_secs(1_700_000_000));
        node.join(Instant::START, [5; 32], Roles::BOTH);
        let mut bench = Self {
            node,
            now: Instant::START,
            asked: VecDeque::new(),
            initiators: VecDeque::new(),
            streams: vec![],
            handshakes: 0,
        };
        bench.settle();
        bench
    }

    fn settle(&mut self) {
        let (mut datagram, mut sent) = (vec![], 0);
        loop {
            let mut is_idle = true;
            while let Some(event) = self.node.poll_event(self.now) {
                self.handle_event(event);
                is_idle = false;
            }
            while let Some(transmit) = self.node.poll_transmit(self.now, &mut datagram) {
                self.record_sent(transmit.socket, &datagram);
                sent += 1;
                is_idle = false;
            }
            assert!(sent <= SENT_MAX, "{sent} datagrams at once");
            if is_idle {
                break;
            }
        }
        self.asked.drain(..self.asked.len().saturating_sub(64));
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Begun { connection, .. } => {
                // Before the remote has proved itself, only the header is accepted.
                assert!(self.node.write(connection, &HEADER) <= HEADER.len());
            }
            Event::Opened { connection, .. } => _ = self.node.write(connection, &[3; 5_000]),
            Event::Readable(connection) => {
                let mut buffer = [0; 4_096];
                while self.node.read(connection, &mut buffer) > 0 {}
            }
            Event::RemoteEnded(connection) => self.node.end_writing(connection),
            Event::Closed { connection, .. } => self.node.destroy(self.now, connection),
            _ => {}
        }
    }

    fn record_sent(&mut self, socket: Socket, datagram: &[u8]) {
        let value = match Message::decode(datagram) {
            Ok(Message::Request(request)) => {
                let value = request.value.clone();
                self.asked.push_back((socket, request));
                value
            }
            Ok(Message::Response(response)) => response.value,
            Err(_) => None,
        };
        let Some(envelope) = value.and_then(|value| HandshakeEnvelope::decode(&value).ok()) else { return };
        for initiator in &self.initiators {
            if let Ok((payload, _)) = initiator.finish(&envelope.noise) {
                let payload = HandshakePayload::decode(&payload).expect("ours");
                self.streams.extend(payload.udx.map(|stream| stream.id));
            }
        }
    }

    fn receive(&mut self, socket: Socket, from: u8, bytes: &[u8]) {
        self.node.handle_datagram(self.now, socket, address(from).into(), bytes);
    }

    /// Answers the node's oldest request with this message, under the request's number.
    fn answer(&mut self, bytes: &[u8]) {
        let Some((socket, request)) = self.asked.pop_front() else { return };
        if let Ok(Message::Response(mut response)) = Message::decode(bytes) {
            response.tid = request.tid;
            self.node.handle_datagram(self.now, socket, request.to.into(), &response.encode());
        }
    }

    /// Sends a handshake with an arbitrary payload, or arbitrary bytes instead of one.
    fn shake_hands(&mut self, choice: u8, bytes: &[u8]) {
        self.handshakes = self.handshakes.wrapping_add(1);
        let client = SecretKey::from_seed(&[100 + choice % 4; 32]);
        let key = own().public_key();
        let begun = Initiator::begin(&client, key, &[self.handshakes; 32], bytes).expect("a key");
        let noise = match choice % 8 {
            0 => bytes.to_vec(),
            _ => begun.1,
        };
        self.initiators.push_back(begun.0);
        self.initiators.drain(..self.initiators.len().saturating_sub(4));
        let (mode, peer) = match choice % 3 {
            0 => (Mode::FromClient, None),
            1 => (Mode::FromRelay, Some(address(bytes.len() as u8))),
            _ => (Mode::FromSecondRelay, Some(address(9))),
        };
        let envelope = HandshakeEnvelope { mode, noise, peer, relay: peer };
        let request = Request {
            tid: 1,
            to: address(0),
            id: None,
            token: None,
            command: Command::PEER_HANDSHAKE,
            target: Some(peer_target(&key)),
            value: Some(envelope.encode()),
        };
        self.receive(Socket::Server, choice, &request.encode());
    }

    /// Sends a packet to a stream of the node.
    fn inject(&mut self, choice: u8, bytes: &[u8]) {
        let mut datagram = bytes.to_vec();
        if let Some(stream) = self.streams.get(usize::from(choice) % self.streams.len().max(1))
            && datagram.len() >= 8
        {
            datagram[..2].copy_from_slice(&[0xff, 1]);
            datagram[4..8].copy_from_slice(&stream.to_le_bytes());
        }
        self.receive(Socket::Server, choice % 4, &datagram);
    }

    fn wait(&mut self) {
        self.now = self.now.max(self.node.poll_timeout().expect("it never rests")) + Duration::from_micros(1);
        self.node.handle_timeout(self.now);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut bench = Bench::new(bytes.len() % 2 == 0);
    for (choice, piece) in pieces(bytes) {
        match choice {
            0..60 => bench.receive(Socket::Server, choice % 8, piece),
            60..80 => bench.receive(Socket::Client, choice % 8, piece),
            80..140 => bench.answer(piece),
            140..170 => bench.shake_hands(choice, piece),
            170..220 => bench.inject(choice, piece),
            220..223 => bench.node.leave(bench.now, &[5; 32]),
            223..226 => bench.node.join(bench.now, [5; 32], Roles::BOTH),
            226..228 => bench.node.handle_network_changed(bench.now, vec![]),
            228 => bench.node.shut_down(bench.now),
            _ => bench.wait(),
        }
        bench.settle();
    }
});
