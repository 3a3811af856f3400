//! Peers that find each other by key alone: real `vms` processes and stock JavaScript ones, over a DHT on this machine.
//!
//! Start from [`Dht`], a network of either kind of nodes or of both, and from [`Running`], a `vms` that is in it. `found.rs`
//! has every kind of peer find every other one, `announced.rs` looks at what nodes keep about a host and when they let go
//! of it, `values.rs` has a stock client keep values there, `restarts.rs` has peers go and come back elsewhere,
//! `datagrams.rs` sends a host what broke others, and `figures.rs` measures how long it all takes. Nothing here talks to
//! the public network.

mod announced;
#[cfg(target_os = "linux")]
mod datagrams;
mod figures;
mod found;
#[cfg(target_os = "linux")]
mod insider;
mod restarts;
mod values;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Seek};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::network::replication::JsPeer;
use crate::support::{Client, Process, TestService, program, signal};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn local(port: u64) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port.try_into().expect("a port")).into()
}

fn ports(addresses: &[SocketAddr]) -> Value {
    addresses.iter().map(|address| json!(address.port())).collect()
}

/// Nodes that know who is where.
struct Dht {
    /// Where to begin.
    bootstrap: Vec<SocketAddr>,
    /// All nodes.
    nodes: Vec<SocketAddr>,
    javascript: Option<JsPeer>,
    _rust: Vec<Running>,
}

impl Dht {
    /// Stock nodes.
    fn javascript(size: usize) -> Self {
        Self::begun(vec![]).joined_by_javascript(size)
    }

    /// Nodes of our own.
    fn rust(size: usize) -> Self {
        let mut rust: Vec<Running> = vec![];
        let mut nodes = vec![];
        for _ in 0..size {
            let mut node = Running::start(&nodes, &["bootstrap", "--listen", "127.0.0.1:0"]);
            let said = node.until("listening")["bootstrap"].clone();
            nodes.push(said.as_str().and_then(|text| text.parse().ok()).expect("an address"));
            rust.push(node);
        }
        Self { bootstrap: nodes.clone(), nodes, javascript: None, _rust: rust }
    }

    /// Stock nodes in a network that two of ours began.
    fn mixed(size: usize) -> Self {
        Self::rust(2).joined_by_javascript(size)
    }

    fn begun(bootstrap: Vec<SocketAddr>) -> Self {
        Self { nodes: bootstrap.clone(), bootstrap, javascript: None, _rust: vec![] }
    }

    fn joined_by_javascript(mut self, size: usize) -> Self {
        let mut javascript = JsPeer::run("dht.js", "");
        let joined = javascript.tell("testnet", json!({ "size": size, "bootstrap": ports(&self.bootstrap) }));
        let joined = joined.as_array().expect("ports").iter();
        self.nodes.extend(joined.map(|port| local(port.as_u64().expect("a port"))));
        if self.bootstrap.is_empty() {
            self.bootstrap.push(self.nodes[0]);
        }
        self.javascript = Some(javascript);
        self
    }

    /// A `vms` that begins with the nodes of this network.
    fn vms(&self, arguments: &[&str]) -> Running {
        Running::start(&self.bootstrap, arguments)
    }

    fn host(&self, place: &TestService) -> Hosting {
        let (script, data) = (place.script(), place.data());
        let paths = [&script, &data].map(|path| path.to_str().expect("UTF-8"));
        let mut running = self.vms(&["host", paths[0], "--dir", paths[1], "--port", "0"]);
        let serving = running.until("serving");
        Hosting { running, serving }
    }

    fn watch(&self, log: &str, directory: &Path) -> Running {
        self.vms(&["watch", log, "--dir", directory.to_str().expect("UTF-8")])
    }

    fn replicate(&self, log: &str, directory: &Path) -> Running {
        self.vms(&["replicate", log, "--dir", directory.to_str().expect("UTF-8")])
    }

    /// A stock store that meets others in this network.
    fn corestore(&self) -> JsPeer {
        let mut peer = JsPeer::corestore();
        peer.tell("swarm", json!({ "bootstrap": ports(&self.bootstrap) }));
        peer
    }

    /// What stock nodes, or a stock guest, say.
    fn ask(&mut self, command: &str, argument: Value) -> Value {
        self.javascript.as_mut().expect("a network with JavaScript").tell(command, argument)
    }

    /// The swarm keys of all who are announced under a topic.
    fn lookup(&mut self, topic: &str) -> Vec<String> {
        serde_json::from_value(self.ask("lookup", json!({ "topic": topic }))).expect("keys")
    }
}

/// A running `vms` that finds others by key. Dropping it kills it.
struct Running {
    process: Process,
    stderr: std::fs::File,
    lines: Receiver<Value>,
    /// What has come while something else was waited for.
    unheard: VecDeque<Value>,
}

impl Running {
    /// Starts a `vms` that knows these nodes of the DHT.
    fn start(bootstrap: &[SocketAddr], arguments: &[&str]) -> Self {
        let mut command = program();
        command.env_remove("VMS_NO_SWARM").args(arguments).arg("--json");
        // Without any it would talk to the public network, but for a node of the DHT.
        assert!(!bootstrap.is_empty() || arguments[0] == "bootstrap");
        command.args(bootstrap.iter().map(|address| format!("--bootstrap={address}")));
        let stderr = tempfile::tempfile().expect("a temporary file");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr.try_clone().expect("a file"));
        let mut process = Process::start(&mut command).expect("vms starts");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        // Read on in any case: nobody is to wait for a test that looks elsewhere.
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _closed = sender.send(serde_json::from_str(&line).expect("a JSON line"));
            }
        });
        Self { process, stderr, lines, unheard: VecDeque::new() }
    }

    /// The next event of that name. Others are kept.
    fn until(&mut self, event: &str) -> Value {
        self.until_that(event, |_| true)
    }

    fn until_that(&mut self, event: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let is_wanted = |said: &Value| said["event"] == event && is_wanted(said);
        if let Some(at) = self.unheard.iter().position(is_wanted) {
            return self.unheard.remove(at).expect("it was found");
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let said = self.lines.recv_timeout(left);
            let said = said.unwrap_or_else(|why| panic!("no {event} ({why}) among {:?}", self.unheard));
            assert!(
                !["ended", "finding", "suspicion", "failed"].iter().any(|bad| said["event"] == *bad),
                "{said}"
            );
            if is_wanted(&said) {
                return said;
            }
            self.unheard.push_back(said);
        }
    }

    /// Waits until a watcher has executed so many entries.
    fn until_agrees(&mut self, length: u64) {
        self.until_that("agrees", |said| said["length"].as_u64() >= Some(length));
    }

    /// Waits until it has announced itself under so many topics, each at one node at least.
    fn until_announced(&mut self, topics: usize) -> Vec<Value> {
        (0..topics).map(|_| self.until_that("announced", |said| said["nodes"] != 0)).collect()
    }

    /// SIGTERM; gives what it says at the end.
    fn terminate(mut self) -> Value {
        signal(self.process.id(), "TERM");
        let last = self.until("network");
        assert!(self.process.wait().expect("it ends").success());
        // A task that panics ends nothing but itself, and everything would seem well for a while.
        assert!(!self.stderr().contains("panicked"), "{}", self.stderr());
        last
    }

    /// How often it has said something to people, once it has: a thread of its own writes to stderr.
    fn said(&mut self, what: &str) -> usize {
        let begin = Instant::now();
        loop {
            let count = self.stderr().matches(what).count();
            if count > 0 || begin.elapsed() > Duration::from_secs(20) {
                return count;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.stderr.rewind().expect("a file");
        self.stderr.read_to_string(&mut text).expect("UTF-8");
        text
    }
}

/// A `vms host` that is found by key.
struct Hosting {
    running: Running,
    serving: Value,
}

impl Hosting {
    /// The key of the log.
    fn log(&self) -> String {
        self.key("callLogUrl")
    }

    /// The key of the archive.
    fn files(&self) -> String {
        self.key("filesArchiveUrl")
    }

    fn key(&self, member: &str) -> String {
        self.serving[member].as_str().expect("a URL").replace("hyper://", "")
    }

    async fn client(&self) -> Client {
        Client::connect(self.serving["url"].as_str().expect("a URL"), None).await
    }
}
