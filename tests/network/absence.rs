//! Hosts that go and come back where nobody but their URL tells where they are, and those who follow them meanwhile.

use std::io::Seek;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::honesty::watch::{Watching, directory};
use crate::support::{Host, TestService, free_port, program, run, text, vms};

/// A port of this machine on which nobody listens.
fn url(port: u16) -> String {
    format!("ws://127.0.0.1:{port}/")
}

fn replicate(target: &str, directory: &Path) -> Watching {
    let mut command = program();
    Watching::run(command.args(["replicate", target, "--json", "--dir"]).arg(directory))
}

async fn call(host: &Host) {
    host.client().await.call("increment", json!([])).await;
}

/// Waits until somebody at `peer` gives so many entries of a log.
fn until_copied(key: &str, peer: SocketAddr, length: u64) {
    let peer = format!("--peer={peer}");
    loop {
        let output = vms(["verify", key, &peer, "--json"]);
        let report: Json = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if report["length"].as_u64() >= Some(length) {
            assert_eq!(report["verdict"], "agrees", "{report}");
            return;
        }
    }
}

fn address_in(event: &Json) -> SocketAddr {
    crate::network::replication::tcp(&event["address"])
}

fn key_of(host: &Host) -> String {
    host.announced[0]["callLogUrl"].as_str().expect("a key").replace("hyper://", "")
}

#[test]
fn a_watcher_finds_a_host_again_that_has_ended_or_was_killed() {
    let place = TestService::of_example("counter.js");
    let (_kept, watched) = directory();
    run(async {
        let host = place.host();
        let (port, peers) = (host.port(), host.peer_address());
        let mut watching = Watching::start(host.url(), None, &watched);
        call(&host).await;
        watching.until_agrees(2);
        host.kill();
        watching.until(|event| event["event"] == "waiting" && event["target"] == json!(url(port)));
        let host = place.host_at(port, &[]);
        watching.until(|event| event["event"] == "back");
        assert_eq!(host.peer_address(), peers, "the port for peers is the same after each start");
        call(&host).await;
        watching.until_agrees(3);
        assert!(host.terminate().success());
        let host = place.host_at(port, &[]);
        assert_eq!(host.peer_address(), peers);
        call(&host).await;
        watching.until_agrees(4);
        watching.terminate();
    });
}

#[test]
fn a_host_whose_port_for_peers_is_taken_says_so_and_is_found() {
    let place = TestService::of_example("counter.js");
    let (_kept, watched) = directory();
    run(async {
        let host = place.host();
        let (port, peers) = (host.port(), host.peer_address());
        let mut watching = Watching::start(host.url(), None, &watched);
        call(&host).await;
        watching.until_agrees(2);
        assert!(host.terminate().success());
        let other = TcpListener::bind(peers).expect("the port is free");
        let host = place.host_at(port, &[]);
        assert_ne!(host.peer_address(), peers);
        call(&host).await;
        watching.until_agrees(3);
        watching.terminate();
        let now = host.peer_address();
        host.signal("TERM");
        let (_, stderr) = host.wait_with_stderr();
        assert!(stderr.contains(&format!("another program has port {}", peers.port())), "{stderr}");
        drop(other);
        assert_eq!(place.host_at(port, &[]).peer_address(), now, "peers know this one by now");
    });
}

#[test]
fn a_port_for_peers_that_was_chosen_is_used_and_0_takes_a_free_one() {
    let place = TestService::of_example("counter.js");
    let kept = place.host().peer_address();
    let free = format!("127.0.0.1:{}", free_port());
    assert_eq!(place.host_with(&["--peer-listen", &free]).peer_address().to_string(), free);
    let hosts = [0, 1].map(|_| place.host_with(&["--peer-listen", "127.0.0.1:0"]).peer_address());
    assert_ne!(hosts[0], hosts[1]);
    assert_eq!(place.host().peer_address(), kept);
}

#[test]
fn a_replicator_finds_a_host_again() {
    let place = TestService::of_example("counter.js");
    let (_kept, copies) = directory();
    run(async {
        let host = place.host();
        let (port, key) = (host.port(), key_of(&host));
        let mut replicating = replicate(host.url(), &copies);
        let address = address_in(&replicating.until(|event| event["event"] == "copying"));
        call(&host).await;
        until_copied(&key, address, 2);
        host.kill();
        let host = place.host_at(port, &["--peer-listen", "127.0.0.1:0"]);
        call(&host).await;
        until_copied(&key, address, 3);
        replicating.terminate();
        // The replicator is where it was, too.
        let mut replicating = replicate(host.url(), &copies);
        assert_eq!(address_in(&replicating.until(|event| event["event"] == "copying")), address);
    });
}

#[test]
fn a_host_that_is_away_at_the_start_is_waited_for() {
    let place = TestService::of_example("counter.js");
    let ((_kept, watched), (_kept_too, copies)) = (directory(), directory());
    let port = free_port();
    run(async {
        let mut watching = Watching::start(&url(port), None, &watched);
        let mut replicating = replicate(&url(port), &copies);
        for waiting in [&mut watching, &mut replicating] {
            let said = waiting.until(|event| event["event"] == "waiting");
            assert_eq!((&said["target"], &said["log"]), (&json!(url(port)), &Json::Null), "{said}");
            assert!(said["why"].as_str().is_some_and(|why| why.contains("cannot connect")), "{said}");
        }
        let host = place.host_at(port, &[]);
        watching.until(|event| event["event"] == "back");
        watching.until_agrees(1);
        let address = address_in(&replicating.until(|event| event["event"] == "copying"));
        until_copied(&key_of(&host), address, 1);
        watching.terminate();
        replicating.terminate();
    });
}

#[test]
fn what_is_held_of_a_host_that_is_away_is_audited_and_served() {
    let place = TestService::of_example("counter.js");
    let ((_kept, watched), (_kept_too, copies)) = (directory(), directory());
    run(async {
        let host = place.host();
        let (url, key) = (host.url().to_owned(), key_of(&host));
        let mut watching = Watching::start(&url, None, &watched);
        let mut replicating = replicate(&url, &copies);
        call(&host).await;
        watching.until_agrees(2);
        let address = address_in(&replicating.until(|event| event["event"] == "copying"));
        until_copied(&key, address, 2);
        watching.terminate();
        replicating.terminate();
        host.kill();
        let mut watching = Watching::start(&url, None, &watched);
        let address = address_in(&watching.until(|event| event["event"] == "following"));
        watching.until(|event| event["event"] == "waiting" && event["log"] == json!(key));
        until_copied(&key, address, 2);
        watching.terminate();
        let mut replicating = replicate(&url, &copies);
        let address = address_in(&replicating.until(|event| event["event"] == "copying"));
        until_copied(&key, address, 2);
        replicating.terminate();
    });
}

#[test]
fn a_host_that_is_away_keeps_nobody_from_the_others() {
    let (place, other) = (TestService::of_example("counter.js"), TestService::of_example("counter.js"));
    let (_kept, watched) = directory();
    run(async {
        let (host, other) = (place.host(), other.host());
        let (nobody, key) = (url(free_port()), "ab".repeat(32));
        let targets = [nobody.as_str(), host.url(), &key, other.url()];
        let mut watching = Watching::start_all(&targets, &[], &watched);
        for host in [&host, &other] {
            call(host).await;
            let key = key_of(host);
            watching.until(|event| {
                event["event"] == "agrees" && event["log"] == json!(key) && event["length"] == 2
            });
        }
        watching.terminate();
    });
}

#[test]
fn a_service_that_is_deployed_anew_is_followed_beside_the_old_one() {
    let (place, anew) = (TestService::of_example("counter.js"), TestService::of_example("counter.js"));
    let (_kept, watched) = directory();
    run(async {
        let host = place.host();
        let (port, before) = (host.port(), key_of(&host));
        let mut watching = Watching::start(host.url(), None, &watched);
        call(&host).await;
        watching.until_agrees(2);
        assert!(host.terminate().success());
        let host = anew.host_at(port, &[]);
        let replaced = watching.until(|event| event["event"] == "replaced");
        let expected = (json!(before), json!(key_of(&host)), json!(true));
        let found = (replaced["before"].clone(), replaced["log"].clone(), replaced["followed"].clone());
        assert_eq!(found, expected);
        call(&host).await;
        watching.until(|event| event["log"] == json!(key_of(&host)) && event["length"] == 2);
        watching.terminate();
    });
}

#[test]
fn whoever_answers_as_no_service_is_waited_for() {
    let place = TestService::of_example("counter.js");
    let (_kept, watched) = directory();
    run(async {
        // A service at another path, and a program that hangs up on everybody.
        let host = place.host();
        let rude = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = rude.local_addr().expect("bound");
        std::thread::spawn(move || rude.incoming().for_each(drop));
        let targets = [format!("{}nowhere", host.url()), format!("ws://{address}/")];
        let targets = targets.each_ref().map(String::as_str);
        let mut watching = Watching::start_all(&targets, &[], &watched);
        let mut waited_for: Vec<_> =
            (0..2).map(|_| watching.until(|event| event["event"] == "waiting")["target"].clone()).collect();
        waited_for.sort_by_key(|target| target.as_str().map(|target| target.ends_with('/')));
        assert_eq!(waited_for, targets.map(|target| json!(target)));
        watching.terminate();
    });
}

#[test]
fn what_can_be_no_target_is_refused_before_anything_is_made() {
    let (_kept, path) = directory();
    for command in ["watch", "replicate"] {
        for target in
            ["nonsense", "ws://", "ws:///x", "http://127.0.0.1:1/", "ws://127.0.0.1:port/", "hyper://12"]
        {
            let output = program().args([command, target, "--dir"]).arg(&path).output().expect("vms starts");
            assert_eq!(output.status.code(), Some(2), "{command} {target}: {}", text(&output.stderr));
            assert!(text(&output.stderr).contains(target), "{}", text(&output.stderr));
            assert!(!path.exists(), "{command} {target}");
        }
    }
}

#[test]
fn a_peer_whose_name_is_unknown_keeps_nobody_from_the_others() {
    let place = TestService::of_example("counter.js");
    let (_kept, watched) = directory();
    run(async {
        let host = place.host();
        let mut command = program();
        // A name that nobody can ever have: RFC 6761, section 6.4.
        command.args(["watch", &key_of(&host), "--json", "--peer", "nobody.invalid:1"]);
        command.args(["--peer", &host.peer_address().to_string(), "--dir"]).arg(&watched);
        let mut stderr = tempfile::tempfile().expect("a temporary file");
        command.stderr(stderr.try_clone().expect("a copy"));
        let mut watching = Watching::run(&mut command);
        call(&host).await;
        watching.until_agrees(2);
        watching.terminate();
        stderr.rewind().expect("a file");
        let said = std::io::read_to_string(&stderr).expect("UTF-8");
        assert_eq!(said.matches("cannot find the address of a peer").count(), 1, "{said}");
        assert!(said.contains("nobody.invalid:1"), "{said}");
    });
}
