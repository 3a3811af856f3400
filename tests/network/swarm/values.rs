//! A network of `vms bootstrap` alone carries whatever a stock client of hyperdht keeps in it.

use serde_json::{Value, json};

use super::{Dht, Running, local, ports};
use crate::network::replication::JsPeer;

/// A stock client in a network of our nodes.
struct Client {
    stock: JsPeer,
    _network: Dht,
}

impl Client {
    fn of(network: Dht) -> Self {
        let mut stock = JsPeer::run("dht.js", "");
        stock.tell("client", json!({ "bootstrap": ports(&network.bootstrap) }));
        Self { stock, _network: network }
    }

    fn put(&mut self, value: &str) -> Value {
        self.stock.tell("immutablePut", json!({ "value": value }))
    }

    fn get(&mut self, hash: &Value) -> Value {
        self.stock.tell("immutableGet", json!({ "hash": hash }))
    }

    fn put_mutable(&mut self, seed: u8, seq: u64, value: &str) -> Value {
        self.stock.tell("mutablePut", json!({ "seed": seed, "seq": seq, "value": value }))
    }

    fn get_mutable(&mut self, key: &Value, seq: u64) -> Value {
        self.stock.tell("mutableGet", json!({ "key": key, "seq": seq }))
    }

    fn announced(&mut self, topic: &str) -> usize {
        self.stock.tell("lookup", json!({ "topic": topic })).as_array().expect("keys").len()
    }
}

fn immutable_values(network: Dht) {
    let mut client = Client::of(network);
    let long = "x".repeat(900);
    for value in ["hello", "", "ü\u{1b}", long.as_str()] {
        let hash = client.put(value);
        assert_eq!(client.get(&hash), json!(value));
        assert_eq!(client.put(value), hash, "what is there can be put again");
    }
    assert_eq!(client.get(&json!("ab".repeat(32))), Value::Null);
}

fn mutable_values(network: Dht) {
    let mut client = Client::of(network);
    let key = client.put_mutable(1, 0, "first");
    assert_eq!(client.get_mutable(&key, 0), json!({ "seq": 0, "value": "first" }));
    assert_eq!(client.put_mutable(1, 7, "second"), key);
    assert_eq!(client.get_mutable(&key, 7), json!({ "seq": 7, "value": "second" }));
    assert_eq!(client.get_mutable(&key, 8), Value::Null, "none is as new as that");
    assert_eq!(client.put_mutable(1, 7, "second"), key, "what is there can be put again");
    // The stock client hears that they are refused, and says nothing of it.
    client.put_mutable(1, 7, "another");
    client.put_mutable(1, 6, "older");
    assert_eq!(client.get_mutable(&key, 0), json!({ "seq": 7, "value": "second" }));
    let other = client.put_mutable(2, 1, "somebody else's");
    assert_eq!(client.get_mutable(&other, 0), json!({ "seq": 1, "value": "somebody else's" }));
}

fn topics(network: Dht) {
    let mut client = Client::of(network);
    let topic = "07".repeat(32);
    for (command, seed, announced) in [("announce", 1, 1), ("announce", 2, 2), ("unannounce", 1, 1)] {
        client.stock.tell(command, json!({ "topic": topic, "seed": seed }));
        assert_eq!(client.announced(&topic), announced, "{command} {seed}");
    }
}

/// One that listens at all addresses and was told none of its own.
fn nameless() -> Dht {
    let mut dht = Dht::begun(vec![]);
    let mut node = Running::start(&[], &["bootstrap", "--port", "0"]);
    let said = node.until("listening")["address"].clone();
    let port = said.as_str().and_then(|address| address.rsplit(':').next()?.parse().ok());
    dht.bootstrap.push(local(port.expect("a port")));
    dht._rust.push(node);
    dht
}

#[test]
fn a_node_that_was_told_no_address_keeps_all_of_it() {
    let network = nameless();
    let mut client = Client::of(network);
    let hash = client.put("hello");
    assert_eq!(client.get(&hash), json!("hello"));
    let key = client.put_mutable(1, 1, "mine");
    assert_eq!(client.get_mutable(&key, 1), json!({ "seq": 1, "value": "mine" }));
    client.stock.tell("announce", json!({ "topic": "07".repeat(32), "seed": 1 }));
    assert_eq!(client.announced(&"07".repeat(32)), 1);
}

#[test]
fn one_bootstrap_node_keeps_immutable_values() {
    immutable_values(Dht::rust(1));
}

#[test]
fn several_bootstrap_nodes_keep_immutable_values() {
    immutable_values(Dht::rust(4));
}

#[test]
fn one_bootstrap_node_keeps_mutable_values() {
    mutable_values(Dht::rust(1));
}

#[test]
fn several_bootstrap_nodes_keep_mutable_values() {
    mutable_values(Dht::rust(4));
}

#[test]
fn one_bootstrap_node_keeps_announcements() {
    topics(Dht::rust(1));
}

#[test]
fn several_bootstrap_nodes_keep_announcements() {
    topics(Dht::rust(4));
}
