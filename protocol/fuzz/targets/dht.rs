//! Messages of the DHT, and a node that receives them: as requests and answers of strangers, and as answers to its own
//! requests.
#![no_main]

use std::collections::VecDeque;

use libfuzzer_sys::fuzz_target;
use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::{
    Action, Address, Command, Config, Message, Mode, Node, QuerySpec, Reply, Request, RequestSpec, Socket,
    Target,
};
use libvms_protocol_fuzz::pieces;

/// The most datagrams that a node may send in reaction to one.
const SENT_MAX: usize = 512;

struct Bench {
    node: Node,
    now: Instant,
    asked: VecDeque<Request>,
}

fn address(number: u8) -> Address {
    Address::new([20, 0, number / 4, number].into(), 49_737)
}

impl Bench {
    fn new(mode: Mode) -> Self {
        let config = Config { mode, served: 0..5, ..Config::new(vec![address(1), address(2)], 49_737) };
        let mut node = Node::new(config, [7; 32], Instant::START);
        node.bootstrap(Instant::START);
        let mut bench = Self { node, now: Instant::START, asked: VecDeque::new() };
        bench.settle();
        bench
    }

    fn settle(&mut self) {
        let mut sent = 0;
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Send { bytes, .. } => {
                    sent += 1;
                    if let Message::Request(request) = Message::decode(&bytes).expect("ours") {
                        self.asked.push_back(request);
                    }
                }
                Action::Request(incoming) => {
                    self.node.reply(self.now, incoming.handle, Reply::found(incoming.value));
                }
                Action::QueryCommit { query, .. } => self.node.commit(self.now, query, vec![]),
                _ => {}
            }
        }
        assert!(sent <= SENT_MAX, "{sent} datagrams at once");
        self.asked.drain(..self.asked.len().saturating_sub(64));
        assert!(self.node.table_len() <= 256 * 20);
    }

    fn receive(&mut self, from: Address, bytes: &[u8]) {
        let socket = if bytes.len() % 2 == 0 { Socket::Server } else { Socket::Client };
        // A malformed message has no effect.
        let _broken = self.node.handle_datagram(self.now, socket, from, bytes);
    }

    /// Answers the node's oldest request with this message, under the request's number.
    fn answer(&mut self, bytes: &[u8]) {
        let Some(request) = self.asked.pop_front() else { return };
        if let Ok(Message::Response(mut response)) = Message::decode(bytes) {
            response.tid = request.tid;
            let bytes = response.encode();
            for socket in [Socket::Client, Socket::Server] {
                let _late = self.node.handle_datagram(self.now, socket, request.to, &bytes);
            }
        }
    }

    fn wait(&mut self) {
        self.now = self.now.max(self.node.poll_timeout().expect("it never rests"));
        self.node.handle_timeout(self.now);
        assert!(self.node.poll_timeout() > Some(self.now), "it would spin");
    }
}

fn check_decoder(bytes: &[u8]) {
    if let Ok(message) = Message::decode(bytes) {
        let written = message.encode();
        assert!(written.len() <= bytes.len() + 1);
        assert_eq!(Message::decode(&written), Ok(message));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mode = match bytes.first() {
        Some(0..100) => Mode::Persistent { address: Some(address(0)) },
        Some(100..110) => Mode::Persistent { address: None },
        _ => Mode::Adaptive,
    };
    let mut bench = Bench::new(mode);
    for (choice, piece) in pieces(bytes) {
        check_decoder(piece);
        match choice {
            0..120 => bench.receive(address(choice), piece),
            120..200 => bench.answer(piece),
            200..210 => {
                let target = Target([choice; 32]);
                let spec = QuerySpec { commits: choice % 2 == 0, ..QuerySpec::new(target, Command::LOOKUP) };
                bench.node.start_query(bench.now, spec);
            }
            210..215 => {
                _ = bench.node.start_request(bench.now, RequestSpec::new(address(choice), Command::PING))
            }
            _ => bench.wait(),
        }
        bench.settle();
    }
});
