//! Watching hosts over the network. Those that cheat while they are watched are in violations.rs.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use libvms::net::{Network, NetworkOptions, SharedCore};
use libvms::storage::{Core, Durability};
use serde_json::{Value as Json, json};

use crate::honesty::tamper::{honest, rewrite};
use crate::support::{Host, PORT_WAIT_MAX, Process, TestService, program, run, text, vms};

pub(crate) const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// A running `vms watch`. Dropping it kills it.
pub(crate) struct Watching {
    process: Process,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Watching {
    pub(crate) fn start(target: &str, peer: Option<SocketAddr>, directory: &Path) -> Self {
        Self::start_all(&[target], peer.as_slice(), directory)
    }

    pub(crate) fn start_all(targets: &[&str], peers: &[SocketAddr], directory: &Path) -> Self {
        let mut command = program();
        command.arg("watch").args(targets).args(["--json", "--dir"]).arg(directory);
        command.args(peers.iter().map(|peer| format!("--peer={peer}")));
        Self::run(&mut command)
    }

    /// Runs a `vms` that tells on stdout what happens.
    pub(crate) fn run(command: &mut Command) -> Self {
        let mut process =
            Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped())).expect("vms starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines }
    }

    /// The next event that is wanted. The test's own time limit ends a wait for what never comes.
    pub(crate) fn until(&mut self, mut is_wanted: impl FnMut(&Json) -> bool) -> Json {
        for line in self.lines.by_ref() {
            let event: Json = serde_json::from_str(&line.expect("UTF-8")).expect("a JSON line");
            assert_ne!(event["event"], "failed", "{event}");
            if is_wanted(&event) {
                return event;
            }
        }
        panic!("the watcher has ended");
    }

    /// As [`Watching::until`], where something may fail.
    pub(crate) fn until_quietly(&mut self, is_wanted: impl Fn(&Json) -> bool) -> Json {
        let lines = self.lines.by_ref().map_while(Result::ok);
        let mut events = lines.map(|line| serde_json::from_str(&line).expect("a JSON line"));
        events.find(is_wanted).expect("the watcher goes on")
    }

    pub(crate) fn until_agrees(&mut self, length: u64) {
        self.until(|event| {
            assert!(
                !["ended", "finding", "suspicion"].iter().any(|bad| event["event"] == *bad),
                "an honest host is accused: {event}"
            );
            event["event"] == "agrees" && event["length"].as_u64() >= Some(length)
        });
    }

    pub(crate) fn until_ended(&mut self) -> Json {
        self.until(|event| event["event"] == "ended" || event["event"] == "finding")
    }

    pub(crate) fn terminate(self) {
        assert_eq!(self.stop(), Some(0));
    }

    /// SIGTERM, and waits for the end: the exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.process.end_by("TERM").code()
    }

    /// The next line of text that is wanted.
    pub(crate) fn line(&mut self, is_wanted: impl Fn(&str) -> bool) -> String {
        let mut lines = self.lines.by_ref().map_while(Result::ok);
        lines.find(|line| is_wanted(line)).expect("it says so")
    }

    /// SIGTERM; the first line that it says from now on.
    pub(crate) fn line_after_stop(mut self) -> String {
        self.process.end_by("TERM");
        self.line(|_| true)
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Cores of a data directory, served as their owner would.
pub(crate) struct Served {
    pub(crate) network: Network,
    pub(crate) address: SocketAddr,
    pub(crate) log: Core,
    pub(crate) archive: [Core; 2],
}

impl Served {
    pub(crate) async fn of(data: &Path) -> Self {
        Self::at(data, LOCAL.into()).await
    }

    pub(crate) async fn at(data: &Path, address: SocketAddr) -> Self {
        let open = |name: &str| Core::open(&data.join(name), Durability::Relaxed).expect("a core");
        let (log, archive) = (open("log"), [open("files"), open("blobs")]);
        let network = Network::new(NetworkOptions::default());
        network.add_core(SharedCore::Writer(log.follow()), None);
        archive.iter().for_each(|core| network.add_core(SharedCore::Writer(core.follow()), None));
        let address = listen(&network, address).await;
        Self { network, address, log, archive }
    }

    pub(crate) fn key(&self) -> String {
        self.log.key().url()
    }
}

/// Listens where somebody may just have stopped: a process that another test has forked holds a copy of the socket until it
/// begins its own program.
async fn listen(network: &Network, address: SocketAddr) -> SocketAddr {
    let begin = Instant::now();
    loop {
        match network.listen(address).await {
            Ok(address) => return address,
            Err(error) if error.is_in_use() && begin.elapsed() < PORT_WAIT_MAX => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => panic!("no port: {error:?}"),
        }
    }
}

pub(crate) fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("watched");
    (directory, path)
}

#[test]
fn an_honest_host_is_followed_live_through_restarts_of_either_side() {
    let place = TestService::of_example("persisted-counter.js");
    let (_kept, watched) = directory();
    run(async {
        let host = place.host();
        let mut watching = Watching::start(host.url(), None, &watched);
        watching.until(|event| event["event"] == "found" && event["title"] == "script");
        let client = host.client().await;
        for call in 0..20 {
            client.call("increment", json!([])).await;
            watching.until_agrees(3 + call);
        }
        watching.terminate();
        for _ in 0..5 {
            client.call("increment", json!([])).await;
        }
        let mut watching = Watching::start(host.url(), None, &watched);
        watching.until_agrees(27);
        let address = host.announced[0]["addresses"][0].as_str().expect("an address").replace("tcp://", "");
        assert!(host.terminate().success());
        // The same address again, as a host with a fixed one has it.
        let host = place.host_with(&["--peer-listen", &address]);
        host.client().await.call("increment", json!([])).await;
        watching.until_agrees(28);
        watching.terminate();
    });
}

#[test]
fn a_watcher_serves_its_copies_to_others() {
    let place = TestService::of_example("files.js");
    let ((_kept, first), (_kept_too, second)) = (directory(), directory());
    run(async {
        let host = place.host();
        let client = host.client().await;
        client.call("write", json!(["/a", "x".repeat(200_000)])).await;
        let mut middle = Watching::start(host.url(), None, &first);
        let address = middle.until(|event| event["event"] == "following")["address"].clone();
        let address =
            address.as_str().expect("an address").trim_start_matches("tcp://").parse().expect("an address");
        let key = host.announced[0]["callLogUrl"].as_str().expect("a key").to_owned();
        let mut last = Watching::start(&key, Some(address), &second);
        last.until_agrees(2);
        client.call("write", json!(["/b", "live"])).await;
        last.until_agrees(3);
        assert!(host.terminate().success());
    });
}

#[test]
fn one_watcher_follows_many_hosts_and_goes_on_after_a_finding() {
    let (cheating, fair) = (honest(), TestService::of_example("counter.js"));
    rewrite(&cheating.data().join("log"), |blocks| blocks.swap(1, 2));
    let (_kept, watched) = directory();
    run(async {
        let served = Served::of(&cheating.data()).await;
        let host: Host = fair.host();
        let mut watching = Watching::start_all(&[&served.key(), host.url()], &[served.address], &watched);
        watching.until_ended();
        let client = host.client().await;
        for call in 1..5 {
            client.call("increment", json!([])).await;
            watching.until(|event| event["event"] == "agrees" && event["length"].as_u64() > Some(call));
        }
        served.network.shutdown().await;
    });
}

#[test]
fn a_host_that_nobody_reaches_is_waited_for() {
    let (_kept, watched) = directory();
    let key = "ab".repeat(32);
    let mut watching = Watching::start(&key, None, &watched);
    watching.until(|event| event["event"] == "following");
    watching.terminate();
    let output = vms(["watch", "nonsense"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn a_service_is_verified_by_its_url_and_by_its_key_at_a_replicator() {
    let place = TestService::of_example("files.js");
    let copies = tempfile::tempdir().expect("a temporary directory");
    run(async {
        let host = place.host();
        let client = host.client().await;
        for version in 0..30 {
            client.call("write", json!([format!("/{version}"), "x".repeat(5000 * version)])).await;
        }
        let audit = |arguments: &[&str]| {
            let output = vms(["verify", "--json"].iter().chain(arguments));
            let report: Json = serde_json::from_slice(&output.stdout).expect("a JSON line");
            (output.status.code(), report)
        };
        let (code, report) = audit(&[host.url()]);
        assert_eq!(
            (code, &report["verdict"], &report["calls"]),
            (Some(0), &json!("agrees"), &json!(30)),
            "{report}"
        );
        assert_eq!(report["publishedBlobs"], report["filesBlobs"], "the whole archive was compared");
        let mut command = program();
        command.args(["replicate", host.url(), "--json", "--dir"]).arg(copies.path());
        let mut replicator = Watching::run(&mut command);
        let address = replicator.until(|event| event["event"] == "copying")["address"].clone();
        let peer = address.as_str().expect("an address").replace("tcp://", "--peer=");
        let key = host.announced[0]["callLogUrl"].as_str().expect("a key").to_owned();
        let (code, report) = audit(&[&key, &peer]);
        assert_eq!((code, &report["length"]), (Some(0), &json!(31)), "{report}");
        assert!(host.terminate().success());
        let (code, report) = audit(&[&key, &peer]);
        assert_eq!((code, &report["verdict"]), (Some(0), &json!("agrees")), "the host is gone: {report}");
        replicator.terminate();
    });
}
