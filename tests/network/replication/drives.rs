//! JavaScript reads a host's files archive as the Hyperdrive that it is, while calls go on.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{JsPeer, address, key};
use crate::support::{Client, Host, TestService, program, run, text};

/// Files by their path.
type Files = BTreeMap<String, String>;

/// An archive as it must be: its files in each version, from the first, which has none.
struct Expected {
    versions: Vec<Files>,
}

impl Expected {
    fn new() -> Self {
        Self { versions: vec![Files::new()] }
    }

    fn version(&self) -> u64 {
        self.versions.len() as u64
    }

    fn latest(&self) -> &Files {
        self.versions.last().expect("the first")
    }

    fn at(&self, version: u64) -> Value {
        json!(self.versions[version as usize - 1])
    }

    async fn write(&mut self, client: &Client, path: &str, content: &str) {
        client.call("write", json!([path, content])).await;
        let mut files = self.latest().clone();
        files.insert(path.to_owned(), content.to_owned());
        self.versions.push(files);
    }

    async fn remove(&mut self, client: &Client, path: &str) {
        client.call("remove", json!([path])).await;
        let mut files = self.latest().clone();
        files.remove(path);
        self.versions.push(files);
    }
}

/// Opens the archive of a host.
fn open(peer: &mut JsPeer, host: &Host) {
    peer.tell("drive", json!({ "key": key(host, "filesArchiveUrl") }));
    peer.connect(address(host));
}

#[test]
fn a_hyperdrive_lists_reads_and_checks_out_every_version_while_calls_go_on() {
    let place = TestService::of_example("files.js");
    run(async {
        let host = place.host();
        let client = host.client().await;
        let mut expected = Expected::new();
        expected.write(&client, "/one.txt", "first").await;
        expected.write(&client, "/folder/large", &"y".repeat(300_000)).await;
        expected.write(&client, "/folder/empty", "").await;
        let mut peer = JsPeer::corestore();
        open(&mut peer, &host);
        assert_eq!(peer.tell("checkout", json!({ "version": 4 })), expected.at(4));
        for round in 0..10_u64 {
            // A new version, and an old one, over the connection that there is.
            if round % 3 == 2 {
                expected.remove(&client, &format!("/folder/live-{}", round - 1)).await;
            } else {
                expected.write(&client, &format!("/folder/live-{round}"), &format!("ünï {round}")).await;
            }
            for version in [expected.version(), 2 + round] {
                let found = peer.tell("checkout", json!({ "version": version }));
                assert_eq!(found, expected.at(version), "version {version}");
            }
        }
        let names = peer.tell("folder", json!({ "path": "/folder", "version": expected.version() }));
        let prefix = "/folder/";
        let ours = expected.latest().keys().filter_map(|path| path.strip_prefix(prefix));
        assert_eq!(names, json!(ours.collect::<Vec<_>>()));
        assert!(host.terminate().success());
        // What was read once is there without the host.
        assert_eq!(peer.tell("checkout", json!({ "version": 4 })), expected.at(4));
    });
}

#[test]
fn an_ordinary_hyperdrive_is_refused_with_the_reason() {
    let copies = tempfile::tempdir().expect("a temporary directory");
    let mut peer = JsPeer::corestore();
    let key = peer.tell("author", json!({ "files": { "/a": "one", "/b": "two" } }));
    let key = key.as_str().expect("a key").to_owned();
    let peer_argument = format!("--peer={}", peer.listen());
    for command in ["replicate", "watch"] {
        let mut vms = program();
        vms.args([command, &key, &peer_argument, "--json", "--dir"]).arg(copies.path().join(command));
        let output = vms.output().expect("vms starts");
        assert_eq!(output.status.code(), Some(3), "{command}: {}", text(&output.stderr));
        let said = text(&output.stdout);
        assert!(said.contains("\"failed\"") && said.contains("the core has a manifest"), "{command}: {said}");
    }
}

#[test]
fn a_hyperdrive_is_mirrored_while_calls_go_on() {
    let place = TestService::of_example("files.js");
    run(async {
        let host = place.host();
        let client = host.client().await;
        let mut expected = Expected::new();
        for file in 0..10 {
            expected.write(&client, &format!("/{file}"), &"a".repeat(file * 1000)).await;
        }
        let mut peer = JsPeer::corestore();
        open(&mut peer, &host);
        for round in 0..4 {
            // The mirror is under way while these calls are made.
            peer.begin("mirror", json!({ "version": expected.version() }));
            for file in 0..10 {
                expected.write(&client, &format!("/{file}"), &format!("{round}").repeat(file * 1000)).await;
            }
            expected.remove(&client, &format!("/{round}")).await;
            let mirrored = peer.end()["files"].clone();
            for (path, content) in mirrored.as_object().expect("files") {
                let is_true = |files: &Files| files.get(path).is_some_and(|file| json!(file) == *content);
                assert!(expected.versions.iter().any(is_true), "{path} never had this content");
            }
        }
        let mirrored = peer.tell("mirror", json!({ "version": expected.version() }));
        assert_eq!(mirrored["files"], json!(expected.latest()));
    });
}
