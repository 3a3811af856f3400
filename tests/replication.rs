//! Replication with stock JavaScript peers: they copy what a host serves, follow it live, and serve it to a watcher.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use data_encoding::HEXLOWER;
use libvms::storage::Core;
use serde_json::{Value, json};

use crate::harness::{Host, Place, run, text, vms};
use crate::interop::packages;
use crate::watch::Watching;

/// A Corestore in a process of its own; see `interop/peer.js`.
struct JsPeer {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl JsPeer {
    /// Connects to the peer of a host.
    fn of(host: &Host) -> Self {
        let announced = &host.announced[0];
        let key = |member: &str| announced[member].as_str().expect("a URL").replace("hyper://", "");
        let address = announced["addresses"][0].as_str().expect("an address");
        let port = address.rsplit(':').next().expect("a port");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/peer.js");
        let mut node = Command::new("node");
        node.arg(script)
            .args([port, &key("callLogUrl"), &key("filesArchiveUrl")])
            .env("NODE_PATH", packages());
        let mut process = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node is there");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines }
    }

    /// What it has once it has so much.
    fn has(&mut self, length: u64, version: u64) -> Value {
        let stdin = self.process.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{}", json!({ "length": length, "version": version })).expect("it reads");
        let line = self.lines.next().expect("it answers").expect("UTF-8");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for JsPeer {
    fn drop(&mut self) {
        // The end of its input is its end; it removes its directory then.
        drop(self.process.stdin.take());
        let _ended = self.process.wait();
    }
}

fn hex_blocks(core: &Core) -> Vec<Value> {
    core.blocks(0..core.length()).map(|block| json!(HEXLOWER.encode(&block.expect("readable")))).collect()
}

#[test]
fn javascript_copies_follows_and_serves_a_host() {
    let place = Place::of_example("files.js");
    let watched = tempfile::tempdir().expect("a temporary directory");
    run(async {
        let host = place.host();
        let client = host.client().await;
        client.call("write", json!(["/one.txt", "first"])).await;
        client.call("write", json!(["/large", "y".repeat(300_000)])).await;
        let mut peer = JsPeer::of(&host);
        let early = peer.has(3, 3);
        assert_eq!(early["versions"]["2"], json!({ "/one.txt": HEXLOWER.encode(b"first") }));
        assert_eq!(early["versions"]["3"]["/large"], json!(HEXLOWER.encode(&vec![b'y'; 300_000])));
        // Live: each call arrives while the connection lasts.
        for call in 0..10 {
            client.call("write", json!(["/live", format!("{call}")])).await;
            let live = peer.has(4 + call, 4 + call);
            let expected = HEXLOWER.encode(call.to_string().as_bytes());
            assert_eq!(live["versions"][(4 + call).to_string()]["/live"], json!(expected));
        }
        let copied = peer.has(13, 13);
        let key = host.announced[0]["callLogUrl"].as_str().expect("a key").to_owned();
        assert!(host.terminate().success());
        let log = Core::open_read_only(&place.data().join("log")).expect("a core");
        assert_eq!(copied["blocks"], Value::Array(hex_blocks(&log)));
        let latest = vms(["files".as_ref(), "cat".as_ref(), place.data().as_os_str(), "/live".as_ref()]);
        assert_eq!(
            copied["versions"]["13"]["/live"],
            json!(HEXLOWER.encode(text(&latest.stdout).as_bytes()))
        );
        // The host is gone; what JavaScript holds is enough for a watcher.
        let port = u16::try_from(copied["port"].as_u64().expect("a port")).expect("a port");
        let served = SocketAddr::from(([127, 0, 0, 1], port));
        let mut watching = Watching::start(&key, Some(served), &watched.path().join("watched"));
        watching.until_agrees(13);
    });
}
