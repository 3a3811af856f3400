//! Disks that are full for a while: who copies and who audits goes on when there is room again.
//!
//! A small file system of its own, in memory, is the disk. It takes a mount namespace, which not every system allows: the
//! tests then do nothing and say so, past the test runner, which keeps to itself what tests print that pass.
//! `VMS_REQUIRE_MOUNTS=1` makes that a failure.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use libvms::rpc::{ClientOptions, RpcClient};
use libvms_hypercore::identity::SecretKey;
use serde_json::json;

use crate::honesty::watch::{Served, Watching, directory};
use crate::support::{
    Host, Process, TestService, VMS, assert_proof_holds, free_port, program, run, text, variable, verify,
};

/// Mounts a small disk at `$0` for the program that follows, and for nobody else.
const SCRIPT: &str = "mount -t tmpfs -o size=3m,mode=700 none \"$0\" && exec \"$@\"";

/// A command whose data directory is on a small disk; `None` where the system allows none.
fn on_small_disk(disk: &Path) -> Option<Command> {
    fs::create_dir_all(disk).expect("a temporary directory");
    let unshare = |more: &[&str]| {
        let mut command = Command::new("unshare");
        command.arg("--mount").args(more).args(["sh", "-c", SCRIPT]).arg(disk);
        command
    };
    let ways: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
    let mut refusals = vec![];
    for way in ways {
        let tried = unshare(way).arg("true").output().expect("unshare is there");
        if tried.status.success() {
            let settings = program();
            let mut command = unshare(way);
            command.envs(settings.get_envs().filter_map(|(name, value)| Some((name, value?)))).arg(VMS);
            return Some(command);
        }
        refusals.push(text(&tried.stderr).trim().to_owned());
    }
    assert_eq!(variable("VMS_REQUIRE_MOUNTS", 0), 0, "no mount namespace: {refusals:?}");
    skip(&refusals);
    None
}

fn skip(refusals: &[String]) {
    let said =
        format!("SKIPPED: no mount namespace is allowed here, so that no disk can be filled: {refusals:?}\n");
    std::io::stderr().write_all(said.as_bytes()).expect("stderr is open");
}

/// A small disk that stays while programs that use it come and go.
struct SmallDisk {
    holder: Process,
    path: PathBuf,
    is_user: bool,
}

impl SmallDisk {
    /// Makes one, to be seen at `path`; `None` where the system allows none.
    fn at(path: &Path) -> Option<Self> {
        // The same way in which the command is allowed; instead of the program there is one that waits.
        let mut command = on_small_disk(path)?;
        let (program, is_user) =
            (command.get_program().to_owned(), command.get_args().any(|one| one == "--user"));
        let arguments: Vec<_> = command.get_args().filter(|one| *one != VMS).map(ToOwned::to_owned).collect();
        command = Command::new(program);
        command.args(arguments).args(["sh", "-c", "echo mounted; exec sleep 1000"]).stdout(Stdio::piped());
        let mut holder = Process::start(&mut command).expect("unshare is there");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().expect("a pipe")).read_line(&mut said).expect("UTF-8");
        assert_eq!(said, "mounted\n");
        Some(Self { holder, path: path.to_owned(), is_user })
    }

    /// The program under test, which sees the disk.
    fn program(&self) -> Command {
        let mut command = Command::new("nsenter");
        // With the root directory of that process: it is another than the namespace's where the tests run in a `chroot`.
        command.args(["--mount", "--root", "--target", &self.holder.id().to_string()]);
        if self.is_user {
            command.args(["--user", "--preserve-credentials"]);
        }
        let settings = program();
        command.envs(settings.get_envs().filter_map(|(name, value)| Some((name, value?)))).arg(VMS);
        command
    }

    /// The disk as this process sees it.
    fn seen(&self) -> PathBuf {
        seen_by(self.holder.id(), &self.path)
    }
}

/// The disk as its process sees it.
fn seen_by(process: u32, disk: &Path) -> PathBuf {
    Path::new("/proc").join(process.to_string()).join("root").join(disk.strip_prefix("/").expect("absolute"))
}

/// Takes all room that is left.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("filler");
    let mut file = File::create(&path).expect("room for a name");
    for size in [65_536, 4_096, 64, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
    path
}

fn through_a_full_disk(command: &str, fill_first: bool) {
    let place = TestService::of_example("files.js");
    let (_kept, disk) = directory();
    let Some(mut program) = on_small_disk(&disk) else { return };
    run(async {
        let host = place.host();
        let client = host.client().await;
        client.call("write", json!(["/first", "x".repeat(1000)])).await;
        let data = disk.join("data");
        program.args([command, host.url(), "--json", "--dir"]).arg(&data).env("TMPDIR", &disk);
        let mut running = Watching::run(&mut program);
        let agreed = if command == "watch" { "agrees" } else { "complete" };
        running.until(|event| event["event"] == agreed && event["length"].as_u64() >= Some(2));
        let disk = seen_by(running.id(), &disk);
        if fill_first {
            let filler = fill(&disk);
            client.call("write", json!(["/full", "y".repeat(100_000)])).await;
            running.until(|event| event["event"] == "stalled");
            fs::remove_file(filler).expect("ours");
        } else {
            // The copies themselves fill it.
            let filler = disk.join("filler");
            fs::write(&filler, vec![7; 2_000_000]).expect("room");
            for file in 0..12 {
                client.call("write", json!([format!("/{file}"), "z".repeat(90_000)])).await;
            }
            running.until(|event| event["event"] == "stalled");
            fs::remove_file(filler).expect("ours");
        }
        running.until(|event| event["event"] == "resumed");
        client.call("write", json!(["/last", "there is room again"])).await;
        let entries = host.client().await.handshake().await["callLogLength"].as_u64().expect("a number");
        if command == "watch" {
            running.until(|event| event["event"] == "agrees" && event["length"] == json!(entries));
            running.terminate();
            return;
        }
        let key = host.announced[0]["callLogUrl"].as_str().expect("a URL").replace("hyper://", "");
        let copy = disk.join("data").join(&key);
        loop {
            let output = Command::new(VMS).args(["log", "--json"]).arg(&copy).output().expect("vms starts");
            if text(&output.stdout).lines().count() as u64 == entries {
                break;
            }
        }
        running.terminate();
    });
}

#[test]
fn a_watcher_goes_on_after_a_disk_was_full() {
    through_a_full_disk("watch", true);
}

#[test]
fn a_watcher_goes_on_after_its_own_copies_filled_the_disk() {
    through_a_full_disk("watch", false);
}

#[test]
fn a_replicator_goes_on_after_a_disk_was_full() {
    through_a_full_disk("replicate", true);
}

#[test]
fn a_replicator_goes_on_after_its_own_copies_filled_the_disk() {
    through_a_full_disk("replicate", false);
}

#[test]
fn signed_calls_to_a_host_whose_disk_is_full_are_each_executed_once() {
    const CALLS: u64 = 40;
    let place = TestService::of_example("counter.js");
    let (_kept, path) = directory();
    let Some(disk) = SmallDisk::at(&path) else { return };
    let (data, port) = (path.join("data"), free_port());
    let start = || {
        let mut command = disk.program();
        command.arg("host").arg(place.script()).arg("--dir").arg(&data).args(["--auth", "signed"]);
        Host::try_start_at(command.env("TMPDIR", &path), port).expect("it starts")
    };
    let host = start();
    run(async {
        let options = ClientOptions {
            key: Some(SecretKey::from_seed(&[5; 32])),
            retry_timeout: Duration::from_secs(120),
            ..ClientOptions::default()
        };
        let client = RpcClient::connect(host.url(), options).await.expect("it listens");
        let increment = async || -> u64 {
            let answer = client.call("increment", &[(); 0]).await.expect("an answer").expect("a value");
            answer.get().parse().expect("a number")
        };
        assert_eq!(increment().await, 1);
        let filler = fill(&disk.seen());
        let calls = futures::future::join_all((0..CALLS).map(|_| increment()));
        let trouble = async {
            // Off the runtime, which has to go on meanwhile.
            tokio::task::block_in_place(|| {
                let (code, stderr) = host.wait_with_stderr();
                assert!(code != Some(0) && stderr.contains("No space left"), "{code:?}: {stderr}");
                fs::remove_file(filler).expect("ours");
                start()
            })
        };
        let (results, host) = futures::future::join(calls, trouble).await;
        assert!(results.into_iter().eq(2..=CALLS + 1), "each once, in order");
        client.close().await;
        assert!(host.terminate().success());
    });
    let (code, report) = verify(&disk.seen().join("data"));
    assert_eq!((code, &report["verdict"]), (0, &json!("agrees")), "{report}");
    assert_eq!(report["entries"], json!(CALLS + 2), "{report}");
}

#[test]
fn a_finding_waits_for_room_and_is_then_kept_with_its_proof() {
    let place = crate::honesty::signed::service();
    let (_kept, disk) = directory();
    let Some(mut program) = on_small_disk(&disk) else { return };
    run(async {
        let mut served = Served::of(&place.data()).await;
        let key = served.log.key().to_string();
        program.args(["watch", &key, "--json", "--dir"]).arg(disk.join("data")).env("TMPDIR", &disk);
        let mut watching = Watching::run(program.arg(format!("--peer={}", served.address)));
        watching.until_agrees(crate::honesty::signed::LENGTH);
        let disk = seen_by(watching.id(), &disk);
        let filler = fill(&disk);
        served.log.append(&[b"no entry".to_vec()]).expect("a disk");
        let stalled = watching.until(|event| {
            assert_ne!(event["event"], "finding", "nothing of it can be kept: {event}");
            event["event"] == "stalled"
        });
        let why = stalled["why"].as_str().expect("a reason");
        assert!(why.contains("No space left"), "{why}");
        fs::remove_file(filler).expect("ours");
        let found = watching.until(|event| event["event"] == "finding");
        let name = format!("report-{}.proof", crate::honesty::signed::LENGTH);
        assert!(found["proof"].as_str().is_some_and(|path| path.ends_with(&name)), "{found}");
        let kept = disk.join("data").join(&key);
        assert_proof_holds(&kept.join(&name), &key, "violation");
        let unfinished = |entry: std::io::Result<fs::DirEntry>| {
            entry.expect("an entry").file_name().to_string_lossy().ends_with(".new")
        };
        assert!(!fs::read_dir(&kept).expect("a directory").any(unfinished));
        assert_eq!(watching.stop(), Some(1));
        served.network.shutdown().await;
    });
}
