//! `fixtures/swarm/behaviour.json`: the answers of a JavaScript node to normal and to odd datagrams. A node of ours, at
//! the same address and knowing the same nodes, must answer with the same bytes; only tokens are each node's own.

use std::time::Duration;

use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::{
    Action, Address, Command, Config, Message, Mode, Node, NodeId, Reply, Request, Response, Socket,
};

use super::vectors::address;
use crate::vector::{hex, items, read};

/// One node, and the test that sends it datagrams.
pub(crate) struct Lone {
    pub(crate) node: Node,
    pub(crate) now: Instant,
    pub(crate) own: Address,
    pub(crate) events: Vec<Action>,
}

impl Lone {
    pub(crate) fn new(change: impl Fn(&mut Config)) -> Self {
        let own = address(&"127.0.0.1:49739".into());
        let mut config = Config::new(Vec::new(), own.port());
        config.mode = Mode::Persistent { address: Some(own) };
        change(&mut config);
        let now = Instant::from_millis(1_000_000);
        Self { node: Node::new(config, [3; 32], now), now, own, events: Vec::new() }
    }

    /// Sends the node a datagram. Returns the datagrams that it sends in turn.
    pub(crate) fn send(&mut self, from: Address, bytes: &[u8]) -> Vec<(Address, Vec<u8>)> {
        _ = self.node.handle_datagram(self.now, Socket::Server, from, bytes);
        self.sent()
    }

    pub(crate) fn request(&mut self, from: Address, request: &Request) -> Vec<(Address, Vec<u8>)> {
        self.send(from, &request.encode())
    }

    /// Lets time pass, step by step. Returns the datagrams that the node sends meanwhile.
    pub(crate) fn pass(&mut self, duration_ms: u64) -> Vec<(Address, Vec<u8>)> {
        let (end, mut sent) = (self.now + Duration::from_millis(duration_ms), Vec::new());
        while let Some(at) = self.node.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.node.handle_timeout(self.now);
            sent.extend(self.sent());
        }
        self.now = end;
        sent
    }

    pub(crate) fn sent(&mut self) -> Vec<(Address, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Send { to, bytes, .. } => sent.push((to, bytes)),
                Action::Request(incoming) => {
                    self.node.reply(self.now, incoming.handle, Reply::found(None));
                }
                event => self.events.push(event),
            }
        }
        sent
    }

    /// Brings a node into the table: it sends a request, is pinged in turn, and answers.
    pub(crate) fn introduce(&mut self, node: Address) {
        let request = ask(Command::PING, Some(NodeId::of(&node)));
        for (to, bytes) in self.request(node, &request) {
            self.answer(to, &bytes, Some(NodeId::of(&node)), Vec::new());
        }
    }

    /// Answers a request that the node sent; does nothing for other datagrams.
    pub(crate) fn answer(
        &mut self,
        from: Address,
        request: &[u8],
        id: Option<NodeId>,
        closer: Vec<Address>,
    ) -> Vec<(Address, Vec<u8>)> {
        let Ok(Message::Request(request)) = Message::decode(request) else { return Vec::new() };
        self.send(from, &response(&request, self.own, id, closer).encode())
    }

    pub(crate) fn knows(&self, node: Address) -> bool {
        self.node.closest_known(&NodeId::of(&node).into()).contains(&node)
    }
}

pub(crate) fn ask(command: Command, id: Option<NodeId>) -> Request {
    let to = address(&"127.0.0.1:49739".into());
    Request { tid: 7, to, id, token: None, command, target: None, value: None }
}

pub(crate) fn response(request: &Request, to: Address, id: Option<NodeId>, closer: Vec<Address>) -> Response {
    Response { tid: request.tid, to, id, token: None, closer, error: None, value: None }
}

/// Returns the bytes of a datagram without its token.
fn without_token(bytes: &[u8]) -> Vec<u8> {
    match Message::decode(bytes).expect("a message") {
        Message::Response(response) => {
            let token = response.token.map(|_| libvms_hyperswarm::dht_rpc::Token([0; 32]));
            Response { token, ..response }.encode()
        }
        Message::Request(request) => request.encode(),
    }
}

/// The cases that need no records of the layer above, and how long the answer may take.
const CASES: [(&str, u64); 17] = [
    ("ping", 0),
    ("ping with 1000-byte value", 0),
    ("find_node", 0),
    ("find_node without target", 0),
    ("ping_nat to another port of ours", 0),
    ("ping_nat port 0", 0),
    ("ping_nat without value", 0),
    ("down_hint of an unknown node", 0),
    ("down_hint too short", 0),
    ("delayed_ping 100 ms", 100),
    ("delayed_ping 10001 ms", 11_000),
    ("unknown internal command 9", 0),
    ("unknown external command 77", 0),
    ("unknown external command 77 with target", 0),
    ("lookup, nothing stored", 0),
    ("announce with wrong token", 0),
    ("handshake FROM_CLIENT for an unknown target", 0),
];

#[test]
fn datagrams_are_answered_as_the_reference_answers_them() {
    let (first, second) = (address(&"127.0.0.1:44584".into()), address(&"127.0.0.1:44643".into()));
    let mut lone = Lone::new(|config| config.served = 0..11);
    lone.introduce(address(&"127.0.0.1:49738".into()));
    let vector = read("swarm/behaviour.json");
    let case = |name: &str| items(&vector["cases"]).iter().find(|case| case["name"] == name).expect("a case");
    for (name, delay) in CASES {
        let case = case(name);
        let mut sent = lone.send(first, &hex(&case["request"]));
        if delay > 0 {
            assert!(sent.is_empty(), "{name}");
            lone.now += Duration::from_millis(delay);
            lone.node.handle_timeout(lone.now);
            sent = lone.sent().into_iter().filter(|(to, _)| *to == first).collect();
        }
        // Our handshakes go to the layer above, which gives no token here in the reference.
        let is_handshake = name.starts_with("handshake");
        assert_eq!(sent.len(), items(&case["answers"]).len(), "{name}");
        for ((to, bytes), answer) in sent.iter().zip(items(&case["answers"])) {
            assert_eq!(*to, address(&answer["decoded"]["to"]), "{name}");
            if !is_handshake {
                assert_eq!(without_token(bytes), without_token(&hex(&answer["hex"])), "{name}");
            }
        }
    }
    // A node with the right id enters the table, though ours pings it first.
    let case_of_ping = case("ping with our right id: enters the table");
    let sent = lone.send(first, &hex(&case_of_ping["request"]));
    assert_eq!(sent.len(), 2, "a ping and the answer");
    for (to, bytes) in sent {
        if bytes[0] == 0x13 {
            assert_eq!(bytes, hex(&case_of_ping["answers"][0]["hex"]));
        }
        lone.answer(to, &bytes, Some(NodeId::of(&first)), Vec::new());
    }
    let case_of_find = case("find_node near our id: we are in the closer nodes");
    let sent = lone.send(second, &hex(&case_of_find["request"]));
    assert_eq!(sent, vec![(second, hex(&case_of_find["answers"][0]["hex"]))]);
}

#[test]
fn unserved_commands_are_unknown_and_nothing_is_relayed() {
    let mut lone = Lone::new(|_| {});
    let from = address(&"127.0.0.1:44584".into());
    for case in items(&read("swarm/behaviour.json")["cases"]) {
        let bytes = hex(&case["request"]);
        let Ok(Message::Request(request)) = Message::decode(&bytes) else { panic!("{case}") };
        if matches!(request.command, Command::External(_)) {
            let sent = lone.send(from, &bytes);
            let [(to, answer)] = &sent[..] else { panic!("{case}: {sent:?}") };
            let Ok(Message::Response(answer)) = Message::decode(answer) else { panic!("{case}") };
            assert_eq!(*to, from);
            // Tokens of the reference's node are none of ours.
            let expected = if request.token.is_some() { 2 } else { 1 };
            assert_eq!(answer.error.map(|error| error.0), Some(expected));
        }
    }
}
