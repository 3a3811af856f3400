//! Networks of namespaces: [`Laboratory`].
//!
//! ```text
//! public     20.7.0.0/24        a bridge with four nodes of the DHT at .1 to .4, and peers without a router
//! router N   20.7.0.(100 + N)   masquerades 192.168.N.0/24, lets nothing in that was not asked for
//! peer       192.168.N.x        in a namespace of its own
//! ```
//!
//! The addresses are public ones because the DHT takes private ones for what they are; nothing leads out of here.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::program::Program;
use crate::support::VMS;

/// A node by which all others find the network.
pub(super) const BOOTSTRAP: [&str; 2] = ["--bootstrap", "20.7.0.1:49737"];
const NODES: u8 = 4;
/// Of an IP packet on a narrow link: the shortest datagrams of a stream and their headers fit, but few that are longer.
const NARROW_BYTES: u32 = 1260;
/// In front of the process id in the names of namespaces.
const PREFIX: &str = "vmsnat";

static LABORATORIES: AtomicU32 = AtomicU32::new(0);

/// Where a peer is.
#[derive(Clone, Copy, Debug)]
pub(super) enum TestService {
    /// In the public network.
    Public,
    /// In the public network, at the end of a link that carries no datagram of full size, and does not say so.
    Narrow,
    /// Behind a router.
    Home { router: u8, nat: Nat },
}

/// What a router does with ports.
#[derive(Clone, Copy, Debug)]
pub(super) enum Nat {
    /// A socket has the same port for all remotes.
    Steady,
    /// Each remote sees another, random one.
    Random,
}

impl TestService {
    pub(super) fn steady(router: u8) -> Self {
        Self::Home { router, nat: Nat::Steady }
    }

    pub(super) fn random(router: u8) -> Self {
        Self::Home { router, nat: Nat::Random }
    }
}

/// Networks that are gone when this is dropped, with all that runs in them.
pub(super) struct Laboratory {
    name: String,
    namespaces: RefCell<Vec<String>>,
    directories: RefCell<Vec<TempDir>>,
    nodes: RefCell<Vec<Program>>,
    peers: Cell<u8>,
}

impl Laboratory {
    /// The public network with its nodes, or nothing where the system does not allow it.
    pub(super) fn new() -> Option<Self> {
        sweep();
        let number = LABORATORIES.fetch_add(1, Ordering::Relaxed);
        let laboratory = Self {
            name: format!("{PREFIX}{}-{number}", std::process::id()),
            namespaces: RefCell::default(),
            directories: RefCell::default(),
            nodes: RefCell::default(),
            peers: Cell::new(0),
        };
        for (command, option) in [("ip", "-Version"), ("nft", "--version")] {
            let answer = run(&[command, option], "");
            assert!(
                answer.is_ok() || !is_root(),
                "this test needs the commands `ip` and `nft`: run `.ci/setup --tests` ({answer:?})"
            );
        }
        if let Err(why) = laboratory.prepare() {
            assert!(std::env::var_os("CI").is_none(), "no network namespaces, and CI skips no test: {why}");
            let skipped = format!("skipped, for want of network namespaces: {why}\n");
            // Nobody may be reading; the test is skipped all the same.
            let _closed = std::io::stderr().write_all(skipped.as_bytes());
            return None;
        }
        laboratory.start_nodes();
        Some(laboratory)
    }

    /// Starts a program in a place, with a directory of its own, that is to join the network.
    pub(super) fn start(&self, place: TestService, command: &mut Command) -> Program {
        let namespace = self.peer(place).unwrap_or_else(|why| panic!("no network for a peer: {why}"));
        let directory = tempfile::tempdir().expect("a temporary directory");
        if command.get_program() == VMS {
            command.arg("--json").args(BOOTSTRAP);
        }
        let program = Program::start(&namespace, command.current_dir(directory.path()));
        self.directories.borrow_mut().push(directory);
        program
    }

    /// What the tests cannot do without; its failure says what is missing.
    fn prepare(&self) -> Result<(), String> {
        let public = self.namespace("public")?;
        bridge(&public)?;
        for node in 1..=NODES {
            ip(&format!("-n {public} address add 20.7.0.{node}/24 dev bridge"))?;
        }
        // A try: whether the kernel has all that a router needs.
        let trial = self.namespace("trial")?;
        ip(&format!("-n {trial} link add wan type veth peer name end"))?;
        masquerade(&trial, Nat::Random)
    }

    fn start_nodes(&self) {
        let public = format!("{}-public", self.name);
        for node in 1..=NODES {
            let address = format!("20.7.0.{node}");
            let mut command = Command::new(VMS);
            command.args(["bootstrap", "--listen", &format!("{address}:49737"), "--public", &address]);
            let command = if node == 1 { &mut command } else { command.args(BOOTSTRAP) };
            let mut program = Program::start(&public, command.arg("--json"));
            program.line(super::PATIENCE, &["listening"]);
            self.nodes.borrow_mut().push(program);
        }
    }

    /// A namespace for a peer, and the router in front of it.
    fn peer(&self, place: TestService) -> Result<String, String> {
        let number = self.peers.get() + 1;
        self.peers.set(number);
        let peer = self.namespace(&format!("peer{number}"))?;
        let (network, address, gateway) = match place {
            TestService::Public | TestService::Narrow => {
                (format!("{}-public", self.name), format!("20.7.0.{}", 50 + number), None)
            }
            TestService::Home { router, nat } => {
                let gateway = Some(format!("192.168.{router}.1"));
                (self.router(router, nat)?, format!("192.168.{router}.{}", 1 + number), gateway)
            }
        };
        ip(&format!("link add end netns {peer} type veth peer name peer{number} netns {network}"))?;
        ip(&format!("-n {network} link set peer{number} master bridge up"))?;
        if matches!(place, TestService::Narrow) {
            // The bridge drops what is too long for one of its ports, without a word to the sender.
            ip(&format!("-n {network} link set peer{number} mtu {NARROW_BYTES}"))?;
            ip(&format!("-n {network} link set bridge mtu 1500"))?;
        }
        ip(&format!("-n {peer} address add {address}/24 dev end"))?;
        ip(&format!("-n {peer} link set end up"))?;
        gateway.map_or(Ok(()), |gateway| ip(&format!("-n {peer} route add default via {gateway}")))?;
        Ok(peer)
    }

    /// The namespace of a router, made where there is none yet.
    fn router(&self, number: u8, nat: Nat) -> Result<String, String> {
        let name = format!("{}-router{number}", self.name);
        if self.namespaces.borrow().contains(&name) {
            return Ok(name);
        }
        let (router, public) = (self.namespace(&format!("router{number}"))?, format!("{}-public", self.name));
        ip(&format!("link add wan netns {router} type veth peer name router{number} netns {public}"))?;
        ip(&format!("-n {public} link set router{number} master bridge up"))?;
        ip(&format!("-n {router} address add 20.7.0.{}/24 dev wan", 100 + number))?;
        ip(&format!("-n {router} link set wan up"))?;
        bridge(&router)?;
        ip(&format!("-n {router} address add 192.168.{number}.1/24 dev bridge"))?;
        run(&["ip", "netns", "exec", &router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"], "")?;
        masquerade(&router, nat)?;
        Ok(router)
    }

    fn namespace(&self, name: &str) -> Result<String, String> {
        let name = format!("{}-{name}", self.name);
        ip(&format!("netns add {name}"))?;
        self.namespaces.borrow_mut().push(name.clone());
        ip(&format!("-n {name} link set lo up"))?;
        Ok(name)
    }
}

impl Drop for Laboratory {
    fn drop(&mut self) {
        self.nodes.borrow_mut().clear();
        for namespace in self.namespaces.borrow().iter() {
            let _may_be_gone = ip(&format!("netns delete {namespace}"));
        }
    }
}

fn bridge(namespace: &str) -> Result<(), String> {
    ip(&format!("-n {namespace} link add bridge type bridge"))?;
    ip(&format!("-n {namespace} link set bridge up"))
}

/// What comes in unasked is dropped before the kernel remembers it: a router that answers, or remembers, would give the
/// peer behind it another port when that sends to where it came from.
fn masquerade(namespace: &str, nat: Nat) -> Result<(), String> {
    let ports = match nat {
        Nat::Steady => "",
        Nat::Random => "fully-random",
    };
    let rules = format!(
        "table ip router {{
            chain out {{
                type nat hook postrouting priority 100
                oifname \"wan\" masquerade {ports}
            }}
            chain in {{
                type filter hook input priority 0
                iifname \"wan\" drop
            }}
            chain through {{
                type filter hook forward priority 0
                iifname \"wan\" ct state established,related accept
                iifname \"wan\" drop
            }}
        }}
        "
    );
    run(&["ip", "netns", "exec", namespace, "nft", "-f", "-"], &rules)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Deletes what a test that was killed has left.
fn sweep() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _may_be_gone = ip(&format!("netns delete {name}"));
        }
    }
}

/// Runs `ip` with these arguments.
fn ip(arguments: &str) -> Result<(), String> {
    let words: Vec<&str> = ["ip"].into_iter().chain(arguments.split(' ')).collect();
    run(&words, "")
}

fn run(words: &[&str], input: &str) -> Result<(), String> {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", words[0]))?;
    // Whoever reads no input says so by how it ends.
    let _unread = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim())),
    }
}
