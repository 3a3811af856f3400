//! Peers behind routers that translate addresses: hosts, watchers and stock Hyperswarm find each other and get through.
//!
//! Each test has a [`Laboratory`] of network namespaces: four nodes of the DHT in a public network, and peers in it or
//! behind routers of Linux' own NAT. Nothing leaves them. They take root: for others the tests do nothing and say
//! so, but fail where the variable `CI` is set. And they take the commands `ip` and `nft`: without them the tests fail.

mod laboratory;
mod program;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use laboratory::{Laboratory, TestService};
use program::Program;

use crate::service::interop::packages;
use crate::support::{VMS, example};

/// A connection is made in seconds, unless some hundred ports have to be guessed: that takes half a minute at most, and
/// all of it again where the first attempt had bad luck.
const PATIENCE: Duration = Duration::from_secs(120);

/// A host in one place is watched from another. How the watcher reached it, as it says itself.
fn watched(host: TestService, watcher: TestService) -> Option<String> {
    let laboratory = Laboratory::new()?;
    let (_host, key) = serve(&laboratory, host);
    let mut watcher = laboratory.start(watcher, Command::new(VMS).args(["watch", &key, "--dir", "watched"]));
    watcher.line(PATIENCE, &["\"event\":\"agrees\",\"length\":1"]);
    Some(watcher.line(PATIENCE, &["a peer of the swarm has proved itself"]))
}

/// Starts a host, which is there when this returns. Its key.
fn serve(laboratory: &Laboratory, place: TestService) -> (Program, String) {
    serve_script(laboratory, place, &example("counter.js"))
}

fn serve_script(laboratory: &Laboratory, place: TestService, script: &Path) -> (Program, String) {
    let mut host = laboratory
        .start(place, Command::new(VMS).arg("host").arg(script).args(["--dir", "d", "--port", "0"]));
    let said = host.line(PATIENCE, &["\"event\":\"serving\""]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("a JSON line");
    let key = said["callLogUrl"].as_str().expect("a URL").to_owned();
    let log = key.trim_start_matches("hyper://").to_owned();
    // Three topics: the log and the two cores of the archive.
    host.lines(PATIENCE, &["a topic was looked up", "announced="], 3);
    (host, log)
}

/// A program of stock Hyperswarm.
fn swarm_js(mode: &str, arguments: &[&str]) -> Command {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/network/nat/swarm.js");
    let mut node = packages::node();
    node.arg(script).arg(mode).args(laboratory::BOOTSTRAP).args(arguments);
    node
}

/// Stock Hyperswarm fetches the log of a host. How the host says it was reached.
fn fetched_by_js(host: TestService, reader: TestService) -> Option<String> {
    let laboratory = Laboratory::new()?;
    let (mut host, key) = serve(&laboratory, host);
    let mut reader = laboratory.start(reader, &mut swarm_js("fetch", &[&key]));
    reader.line(PATIENCE, &["\"event\":\"fetched\""]);
    Some(host.line(PATIENCE, &["a peer of the swarm has proved itself"]))
}

/// A replicator of ours copies a core that stock Hyperswarm serves. How it says it reached it.
fn served_by_js(server: TestService, replicator: TestService) -> Option<String> {
    let laboratory = Laboratory::new()?;
    let mut server = laboratory.start(server, &mut swarm_js("serve", &[]));
    let said = server.line(PATIENCE, &["\"event\":\"serving\""]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("a JSON line");
    let key = said["key"].as_str().expect("a key");
    let mut replicate = Command::new(VMS);
    let mut replicator = laboratory.start(replicator, replicate.args(["replicate", key, "--dir", "copies"]));
    server.line(PATIENCE, &["\"event\":\"uploaded\""]);
    Some(replicator.line(PATIENCE, &["a peer of the swarm has proved itself"]))
}

/// Asserts what a connection was like, where there was a laboratory.
fn assert_was(said: Option<String>, words: &[&str]) {
    if let Some(said) = said {
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
}

const PUNCHED: &[&str] = &["kind=Punched"];
/// Reached at an address of the public segment. In its first moments, or for longer, a peer there does not know yet that
/// nothing is in front of it: then a hole is punched all the same, and the kind depends on who was quicker.
const PUBLIC: &[&str] = &["address=20.7.0."];
/// The addresses of private networks are those of `TestService::home`.
const LOCAL: &[&str] = &["kind=Direct", "address=192.168.1."];

#[test]
fn routers_that_keep_ports_open_to_each_other() {
    assert_was(watched(TestService::steady(1), TestService::steady(2)), PUNCHED);
}

#[test]
fn a_host_behind_a_router_with_a_port_for_each_remote_is_reached() {
    assert_was(watched(TestService::random(1), TestService::steady(2)), PUNCHED);
}

#[test]
fn a_watcher_behind_a_router_with_a_port_for_each_remote_gets_through() {
    assert_was(watched(TestService::steady(1), TestService::random(2)), PUNCHED);
}

#[test]
fn peers_behind_the_same_router_meet_at_their_local_addresses() {
    assert_was(watched(TestService::random(1), TestService::random(1)), LOCAL);
}

#[test]
fn peers_without_routers_are_reached_and_reach_others() {
    assert_was(watched(TestService::Public, TestService::random(1)), PUBLIC);
    assert_was(watched(TestService::random(1), TestService::Public), PUBLIC);
}

/// Were the probes of a stream sent in fragments, or were they all that it sends, nothing would arrive.
#[test]
fn a_stream_finds_the_size_that_its_path_carries() {
    let Some(laboratory) = Laboratory::new() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let script = directory.path().join("long.js");
    // All of it is in the log's first entry, which needs hundreds of datagrams.
    let code = format!("exports.f = () => 1 // {}", "x".repeat(500_000));
    std::fs::write(&script, code).expect("room on the disk");
    let (_host, key) = serve_script(&laboratory, TestService::Narrow, &script);
    let mut watch = Command::new(VMS);
    let mut watcher = laboratory.start(TestService::Public, watch.args(["watch", &key, "--dir", "watched"]));
    watcher.line(PATIENCE, &["\"event\":\"agrees\",\"length\":1"]);
}

#[test]
fn a_watcher_says_why_a_host_that_was_found_cannot_be_reached() {
    let Some(laboratory) = Laboratory::new() else { return };
    let (_host, key) = serve(&laboratory, TestService::random(1));
    let mut watcher =
        laboratory.start(TestService::random(2), Command::new(VMS).args(["watch", &key, "--dir", "watched"]));
    let said = watcher.line(PATIENCE, &["WARN", "found a peer that cannot be reached"]);
    assert!(said.contains("no probe can get through our Random and the peer's Random firewall"), "{said}");
    let said = watcher.line(PATIENCE, &["\"event\":\"unreachable\""]);
    assert!(said.contains("no probe can get through our Random and the peer's Random firewall"), "{said}");
}

#[test]
fn stock_hyperswarm_reaches_a_host_through_routers() {
    assert_was(fetched_by_js(TestService::steady(1), TestService::steady(2)), PUNCHED);
    assert_was(fetched_by_js(TestService::steady(1), TestService::random(2)), PUNCHED);
    assert_was(fetched_by_js(TestService::random(1), TestService::steady(2)), PUNCHED);
}

#[test]
fn stock_hyperswarm_is_reached_through_routers() {
    assert_was(served_by_js(TestService::steady(1), TestService::steady(2)), PUNCHED);
    assert_was(served_by_js(TestService::steady(1), TestService::random(2)), PUNCHED);
    assert_was(served_by_js(TestService::random(1), TestService::steady(2)), PUNCHED);
}

#[test]
fn stock_hyperswarm_and_a_host_meet_without_holes_where_they_can() {
    assert_was(fetched_by_js(TestService::steady(1), TestService::steady(1)), LOCAL);
    assert_was(served_by_js(TestService::steady(1), TestService::steady(1)), LOCAL);
    assert_was(fetched_by_js(TestService::Public, TestService::steady(1)), PUBLIC);
    assert_was(served_by_js(TestService::Public, TestService::steady(1)), PUBLIC);
}
