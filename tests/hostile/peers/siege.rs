//! A host under attack, and what must hold whatever is done to it.

use std::io::{BufRead, BufReader, Read, Seek};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

use libvms::net::{Network, NetworkOptions};
use libvms::storage::SharedReplica;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::PublicKey;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::peer::PATIENCE;
use crate::support::{Client, Process, memory, processor_time, program, run, signal};

/// A running `vms` command whose stdout and stderr are looked at in the end. Dropping it kills it.
pub(super) struct Victim {
    process: Process,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    stderr: std::fs::File,
}

impl Victim {
    pub(super) fn start(arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Self {
        let stderr = tempfile::tempfile().expect("a temporary file");
        let mut command = program();
        command.args(arguments).arg("--json").stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(stderr.try_clone().expect("a file"));
        let mut process = Process::start(&mut command).expect("vms starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines, stderr }
    }

    /// The next event of that name.
    pub(super) fn event(&mut self, name: &str) -> Value {
        for line in self.lines.by_ref() {
            let event: Value = serde_json::from_str(&line.expect("UTF-8")).expect("a JSON line");
            assert!(
                event["event"] != "finding" && event["event"] != "suspicion",
                "nobody is accused: {event}"
            );
            if event["event"] == name {
                return event;
            }
        }
        panic!("it ended without the event {name}: {}", self.stderr());
    }

    /// Resident memory, in bytes: the field `name` of the process's status.
    pub(super) fn memory(&self, name: &str) -> u64 {
        memory(self.process.id(), name)
    }

    /// Processor time that it has taken.
    pub(super) fn processor_time(&self) -> Duration {
        processor_time(self.process.id())
    }

    /// Ends it in order; gives what its network says it has done.
    pub(super) fn terminate(mut self) -> Value {
        signal(self.process.id(), "TERM");
        let network = self.event("network");
        let code = self.process.wait().expect("it ends").code();
        let stderr = self.stderr();
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        network
    }

    pub(super) fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.stderr.rewind().expect("a file");
        self.stderr.read_to_string(&mut text).expect("UTF-8");
        text
    }
}

/// A `vms host` with some calls and files in it, its keys, and where its peers connect.
pub(super) struct Siege {
    pub(super) victim: Victim,
    url: String,
    pub(super) log: PublicKey,
    pub(super) files: PublicKey,
    pub(super) address: SocketAddr,
    pub(super) length: u64,
    _directory: TempDir,
}

const SCRIPT: &str = "let count = 0
exports.write = (path, content) => System.files.writeFile(path, content)
exports.count = () => ++count
exports.long = (bytes) => 'x'.repeat(bytes)";

impl Siege {
    pub(super) fn new() -> Self {
        Self::with(&[])
    }

    /// A host with more arguments.
    pub(super) fn with(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let script = directory.path().join("script.js");
        std::fs::write(&script, SCRIPT).expect("writable");
        let data = directory.path().join("data").display().to_string();
        let script = script.display().to_string();
        let arguments = ["host", &script, "--dir", &data, "--port", "0", "--peer-listen", "127.0.0.1:0"];
        let mut victim = Victim::start(arguments.iter().chain(more));
        let serving = victim.event("serving");
        let key = |member: &str| serving[member].as_str().expect("a URL").parse().expect("a key");
        let address = serving["addresses"][0].as_str().expect("an address").trim_start_matches("tcp://");
        let mut siege = Self {
            url: serving["url"].as_str().expect("a URL").to_owned(),
            log: key("callLogUrl"),
            files: key("filesArchiveUrl"),
            address: address.parse().expect("an address"),
            length: 1,
            victim,
            _directory: directory,
        };
        siege.call(&[
            ("write", json!(["/a", "x".repeat(100_000)])),
            ("count", json!([])),
            ("count", json!([])),
        ]);
        siege
    }

    /// Calls methods, each of which must succeed.
    pub(super) fn call(&mut self, calls: &[(&str, Value)]) {
        run(async {
            let client = Client::connect(&self.url, None).await;
            for (method, arguments) in calls {
                let called = tokio::time::timeout(PATIENCE, client.call(method, arguments)).await;
                called.expect("calls are answered");
            }
        });
        self.length += calls.len() as u64;
    }

    /// Callers are answered, and an honest peer gets everything, up to what was logged just now.
    pub(super) fn assert_unharmed(&mut self) {
        self.call(&[("count", json!([]))]);
        let copy = copy(self.log, &[self.address], self.length);
        assert_eq!(copy.length, self.length);
        assert!(copy.files > 0);
    }

    /// Asserts that it is unharmed and ends in order; gives what its network has done.
    pub(super) fn end(mut self) -> Value {
        self.assert_unharmed();
        self.victim.terminate()
    }
}

/// A copy of a log.
pub(super) struct Copy {
    pub(super) length: u64,
    /// Blocks of the archive's db core that came along.
    pub(super) files: u64,
}

/// Copies a log of that length, and the archive that it names, from peers over a network of its own.
pub(super) fn copy(log: PublicKey, peers: &[SocketAddr], length: u64) -> Copy {
    let directory = tempfile::tempdir().expect("a temporary directory");
    run(async {
        let network = Network::new(NetworkOptions::default());
        peers.iter().for_each(|peer| network.connect(*peer));
        let copy = hold(&network, directory.path(), log);
        reach(&copy, length).await;
        let block = copy.block(BlockIndex(0)).expect("stored");
        let init = libvms_protocol::entry::Entry::decode(&block).expect("an entry");
        let libvms_protocol::entry::Entry::Init(init) = init else { panic!("a log begins with init") };
        let files = hold(&network, &directory.path().join("files"), init.files);
        reach(&files, 1).await;
        network.shutdown().await;
        Copy { length: copy.length().0, files: files.length().0 }
    })
}

pub(super) fn hold(network: &Network, directory: &Path, key: PublicKey) -> SharedReplica {
    network.copy(directory, key).expect("an empty directory")
}

/// Waits until a copy has so many blocks.
pub(super) async fn reach(copy: &SharedReplica, length: u64) {
    let mut lengths = copy.lengths();
    let reached = tokio::time::timeout(PATIENCE, lengths.wait_for(|known| *known >= Length(length))).await;
    reached
        .unwrap_or_else(|_| panic!("{} of {length} blocks have come", copy.length()))
        .expect("the replica is there");
}
