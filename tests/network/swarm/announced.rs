//! What nodes keep about a host, and until when.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Dht, Running, local, ports};
use crate::support::{TestService, program};

/// How many peers each of the nodes knows under a topic, the closest first; `None` where it serves no topics.
fn records(dht: &mut Dht, topic: &str) -> Vec<Option<u64>> {
    let all = ports(&dht.nodes);
    let closest = dht.ask("closest", json!({ "topic": topic, "ports": all }));
    let records = dht.ask("records", json!({ "topic": topic, "ports": all }));
    let ports = closest.as_array().expect("ports").iter();
    ports.map(|port| records[port.to_string()].as_u64()).collect()
}

fn topic(announced: &Value) -> &str {
    announced["topic"].as_str().expect("text")
}

#[test]
fn a_host_is_announced_at_the_twenty_closest_nodes_and_withdrawn_at_its_end() {
    let mut dht = Dht::javascript(26);
    let place = TestService::of_example("counter.js");
    let mut host = dht.host(&place);
    let announced = host.running.until_announced(3);
    for announced in &announced {
        let mut counts = records(&mut dht, topic(announced));
        // The first node of a network does not know its own address: nobody can store anything there.
        counts.retain(Option::is_some);
        assert_eq!(counts.len(), 25);
        let wanted: Vec<Option<u64>> = (0..25).map(|at| Some(u64::from(at < 20))).collect();
        assert_eq!(counts, wanted, "{announced}");
        assert_eq!(announced["nodes"], json!(20));
        assert_eq!(dht.lookup(topic(announced)).len(), 1);
    }

    let said = host.running.terminate();
    assert_eq!(said["swarm"]["topics"].as_array().map(Vec::len), Some(3), "{said}");
    for announced in &announced {
        let counts = records(&mut dht, topic(announced));
        assert!(counts.iter().all(|count| count.is_none_or(|count| count == 0)), "{counts:?}");
        assert_eq!(dht.lookup(topic(announced)), Vec::<String>::new());
    }
}

#[test]
fn nodes_that_are_gone_cost_a_watcher_less_than_two_seconds() {
    let mut dht = Dht::javascript(12);
    let place = TestService::of_example("counter.js");
    let mut host = dht.host(&place);
    host.running.until_announced(3);
    // One that was never there, and some that others still have in their tables.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    dht.bootstrap.insert(0, silent.local_addr().expect("an address"));
    for node in dht.nodes.clone().into_iter().skip(1).step_by(4) {
        dht.ask("silence", json!({ "port": node.port() }));
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let started = Instant::now();
    let mut watching = dht.watch(&host.log(), directory.path());
    watching.until_agrees(1);
    // Generous: the machine may be busy. `figures.rs` measures.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[test]
fn a_program_is_told_whether_there_is_a_network() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let key = "5".repeat(64);
    let arguments = ["replicate", &key, "--dir", directory.path().to_str().expect("UTF-8")];
    let mut alone = Running::start(&[silent.local_addr().expect("an address")], &arguments);
    assert_eq!(alone.until("dht")["nodes"], json!(0));
    assert_eq!(alone.said("no node of the DHT answers"), 1, "people are told as well");
    alone.terminate();

    // The first node of a network is alone, and that is as it should be.
    let mut first = Running::start(&[], &["bootstrap", "--listen", "127.0.0.1:0"]);
    assert_eq!(first.until("dht")["nodes"], json!(0));
    assert_eq!(first.stderr(), "");
    assert_eq!(first.terminate()["swarm"]["nodes"], json!(0));

    let dht = Dht::rust(2);
    let mut met = dht.vms(&arguments);
    assert_eq!(met.until("dht")["nodes"], json!(2));
    assert_eq!(met.until_announced(1)[0]["nodes"], json!(2));
    met.terminate();
}

#[test]
fn a_program_is_told_who_comes_and_goes() {
    let dht = Dht::rust(2);
    let place = TestService::of_example("counter.js");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut host = dht.host(&place);
    let mut watching = dht.watch(&host.log(), directory.path());
    let came = host.running.until("connected");
    assert_eq!(came["kind"], json!("direct"), "{came}");
    let address: std::net::SocketAddr = came["address"].as_str().expect("text").parse().expect("an address");
    assert_eq!(address, local(address.port().into()));
    assert_eq!(watching.until("connected")["kind"], json!("direct"));
    watching.terminate();
    let gone = host.running.until("disconnected");
    assert_eq!((&gone["key"], &gone["address"]), (&came["key"], &came["address"]));
}

#[test]
fn whoever_looks_for_somebody_is_told_that_nobody_is_there() {
    let dht = Dht::rust(2);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut watching = dht.watch(&"5".repeat(64), directory.path());
    assert_eq!(watching.until("announced")["nodes"], json!(2));
    watching.until("alone");
    assert_eq!(watching.said("the search continues"), 1, "people are told as well");
    watching.terminate();
}

#[test]
fn others_reach_a_host_at_the_port_that_was_asked_for() {
    let dht = Dht::rust(2);
    let place = TestService::of_example("counter.js");
    let taken = UdpSocket::bind("0.0.0.0:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let (script, data) = (place.script(), place.data());
    let paths = [&script, &data].map(|path| path.to_str().expect("UTF-8"));
    let arguments = ["host", paths[0], "--dir", paths[1], "--port", "0", "--swarm-port", &port];

    let mut command = program();
    command.env_remove("VMS_NO_SWARM").args(arguments).arg(format!("--bootstrap={}", dht.bootstrap[0]));
    let refused = command.output().expect("vms starts");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains(&format!("cannot listen on UDP port {port}")), "{said}");
    assert!(said.contains("in use") && said.contains("another port with --swarm-port"), "{said}");

    drop(taken);
    let mut host = dht.vms(&arguments);
    let log = host.until("serving")["callLogUrl"].as_str().expect("a URL").replace("hyper://", "");
    let address = host.until("dht")["address"].as_str().expect("text").to_owned();
    assert!(address.ends_with(&format!(":{port}")), "{address}");
    let directory = tempfile::tempdir().expect("a temporary directory");
    dht.watch(&log, directory.path()).until_agrees(1);
}
