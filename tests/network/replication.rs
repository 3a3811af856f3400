//! Replication with stock JavaScript peers, in both directions: real `vms` processes and real Node.js processes over TCP.
//!
//! Start from [`JsPeer`], which does what a test tells it. `logs.rs`, `drives.rs` and `blocks.rs` have JavaScript copy
//! what we serve and the reverse, `forks.rs` has it cut its own core off before a watcher's eyes, `relays.rs` puts it between a host and a watcher, and `traps.rs` brings it into the
//! states in which it is known to stall, to pause its peer, or to break the connection.

mod blocks;
mod drives;
mod forks;
mod logs;
mod relays;
mod traps;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};

use data_encoding::HEXLOWER;
use libvms::net::{Network, NetworkOptions, SharedCore};
use libvms::storage::{Core, Durability};
use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::tree::Node;
use serde_json::{Value, json};

use crate::service::interop::packages;
use crate::support::{Host, Process, program};

/// A stock peer in a process of its own; see `interop/peer.js`.
pub(crate) struct JsPeer {
    process: Process,
    /// The end of its input is its end.
    stdin: Option<ChildStdin>,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    /// Ours, because a peer that is killed does not clean up.
    _directory: tempfile::TempDir,
}

impl JsPeer {
    /// One Hypercore, in a storage of its own.
    fn hypercore() -> Self {
        Self::start("hypercore")
    }

    /// Any number of cores, over one connection.
    pub(crate) fn corestore() -> Self {
        Self::start("corestore")
    }

    fn start(kind: &str) -> Self {
        Self::run("peer.js", kind)
    }

    /// Any script of `interop/` that does what it is told.
    pub(crate) fn run(script: &str, kind: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/service/interop").join(script);
        let mut node = packages::node();
        let directory = tempfile::tempdir().expect("a temporary directory");
        node.arg(script).arg(kind).arg(directory.path());
        let mut process =
            Process::start(node.stdin(Stdio::piped()).stdout(Stdio::piped())).expect("node starts");
        let stdin = process.stdin.take();
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, stdin, lines, _directory: directory }
    }

    /// Tells it what to do, and goes on meanwhile.
    pub(crate) fn begin(&mut self, command: &str, mut argument: Value) {
        argument["do"] = json!(command);
        let stdin = self.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{argument}").expect("it reads");
    }

    /// What came of what it was told first. Its own time limit ends a wait for what never comes.
    pub(crate) fn end(&mut self) -> Value {
        let line = self.lines.next().expect("it answers; see what it says on stderr").expect("UTF-8");
        serde_json::from_str(&line).expect("JSON")
    }

    pub(crate) fn tell(&mut self, command: &str, argument: Value) -> Value {
        self.begin(command, argument);
        self.end()
    }

    pub(crate) fn connect(&mut self, address: SocketAddr) {
        self.tell("connect", json!({ "port": address.port() }));
    }

    fn listen(&mut self) -> SocketAddr {
        let port = self.tell("listen", json!({})).as_u64().and_then(|port| u16::try_from(port).ok());
        SocketAddr::from(([127, 0, 0, 1], port.expect("a port")))
    }

    /// Where it will listen with [`JsPeer::listen_on`]; until then nobody gets in.
    fn reserve(&mut self) -> SocketAddr {
        let address = self.listen();
        self.tell("leave", json!({}));
        address
    }

    fn listen_on(&mut self, address: SocketAddr) {
        self.tell("listen", json!({ "port": address.port() }));
    }

    /// Opens a core to read it.
    pub(crate) fn read(&mut self, key: &str) {
        self.tell("read", json!({ "key": key }));
    }

    /// Makes a core of its own with blocks of these sizes; gives its key.
    fn write(&mut self, seed: u8, sizes: &[usize]) -> String {
        let key = self.tell("write", json!({ "seed": seed })).as_str().expect("a key").to_owned();
        self.append(&key, sizes);
        key
    }

    fn append(&mut self, key: &str, sizes: &[usize]) {
        self.tell("append", json!({ "key": key, "sizes": sizes }));
    }

    /// The hashes of the first blocks, once it has them.
    pub(crate) fn blocks(&mut self, key: &str, end: u64) -> Value {
        self.tell("blocks", json!({ "key": key, "end": end }))
    }

    /// Waits until it knows of so many blocks.
    fn long(&mut self, key: &str, length: u64) {
        self.tell("long", json!({ "key": key, "length": length }));
    }

    fn state(&mut self, key: &str) -> Value {
        self.tell("state", json!({ "key": key }))
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

impl Drop for JsPeer {
    fn drop(&mut self) {
        // What a test that has failed leaves it busy with would go on for long.
        drop(self.stdin.take());
        if std::thread::panicking() {
            let _may_have_ended = self.process.kill();
        }
        let _may_have_ended = self.process.wait();
    }
}

/// A running `vms replicate`. Dropping it kills it.
struct Replicating {
    process: Process,
    address: SocketAddr,
}

impl Replicating {
    fn start(key: &str, peers: &[SocketAddr], directory: &Path) -> Self {
        let mut command = program();
        command.args(["replicate", key, "--json", "--dir"]).arg(directory);
        command.args(peers.iter().map(|peer| format!("--peer={peer}")));
        let mut process =
            Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped())).expect("vms starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("UTF-8");
        let said: Value = serde_json::from_str(&line).expect("a JSON line");
        Self { process, address: tcp(&said["address"]) }
    }

    /// Waits until others can have so many blocks from here.
    fn until(self, key: &str, length: u64) -> Self {
        let mut reader = JsPeer::hypercore();
        reader.read(key);
        reader.connect(self.address);
        reader.blocks(key, length);
        self
    }

    /// SIGTERM: everything is on disk at the end.
    fn terminate(mut self) {
        assert!(self.process.end_by("TERM").success());
    }
}

/// A core that we have written, served as a host serves it.
struct Serving {
    network: Network,
    address: SocketAddr,
    core: Core,
    _directory: tempfile::TempDir,
}

impl Serving {
    async fn of(blocks: &[Vec<u8>]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let key = SecretKey::from_seed(&[5; 32]);
        let mut core = Core::create(directory.path(), key, Durability::Relaxed).expect("an empty directory");
        core.append(blocks).expect("a disk");
        let network = Network::new(NetworkOptions::default());
        network.add_core(SharedCore::Writer(core.follow()), None);
        let address = network.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        Self { network, address, core, _directory: directory }
    }

    fn key(&self) -> String {
        self.core.key().to_string()
    }
}

pub(crate) fn tcp(address: &Value) -> SocketAddr {
    let address = address.as_str().expect("an address");
    address.trim_start_matches("tcp://").parse().expect("an address")
}

/// Where a host serves its cores.
fn address(host: &Host) -> SocketAddr {
    tcp(&host.announced[0]["addresses"][0])
}

/// The key of a host's log (`callLogUrl`) or archive (`filesArchiveUrl`).
fn key(host: &Host, member: &str) -> String {
    host.announced[0][member].as_str().expect("a URL").replace("hyper://", "")
}

/// The hashes of blocks, as a tree over them has them in its leaves.
fn hashes(blocks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Value {
    let leaves =
        blocks.into_iter().zip(0..).map(|(block, index)| Node::leaf(BlockIndex(index), block.as_ref()));
    leaves.map(|leaf| HEXLOWER.encode(&leaf.hash.0)).collect()
}

/// The hashes of all blocks of a core on disk.
pub(crate) fn hashes_on_disk(core: &Path) -> Value {
    let core = Core::open_read_only(core).expect("a core");
    hashes(core.blocks(core.length().blocks()).map(|block| block.expect("a whole core")))
}

pub(crate) fn length_on_disk(core: &Path) -> u64 {
    Core::open_read_only(core).expect("a core").length().0
}
