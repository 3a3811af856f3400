//! Copies of watchers and replicators: they are read as a host's own data is, and damage to them is mended.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::honesty::watch::{Watching, directory};
use crate::support::{Host, TestService, program, run, text, variable, verify, vms};

fn key(host: &Host, member: &str) -> String {
    host.announced[0][member].as_str().expect("a URL").replace("hyper://", "")
}

/// A host whose calls have left files of several blocks.
fn hosting() -> (TestService, Host) {
    let place = TestService::of_example("files.js");
    let host = place.host();
    run(async {
        let client = host.client().await;
        for file in 0..6 {
            client.call("write", json!([format!("/{file}"), "x".repeat(file * 30_000)])).await;
        }
    });
    (place, host)
}

/// What a command prints, which must succeed.
fn said(arguments: &[&str]) -> String {
    let output = vms(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

/// All that is to be seen in a directory.
fn look(directory: &Path) -> Vec<String> {
    let path = directory.to_str().expect("UTF-8");
    let looks: [&[&str]; 4] = [
        &["log", path, "--json"],
        &["files", "ls", path, "--recursive", "--json"],
        &["files", "cat", path, "/5"],
        &["files", "ls", path, "--at", "3"],
    ];
    looks.into_iter().map(said).collect()
}

/// Waits until a copy has all blocks.
fn until_complete(replicating: &mut Watching, cores: usize) {
    (0..cores).for_each(|_| drop(replicating.until(|event| event["event"] == "complete")));
}

fn replicate(target: &str, directory: &Path) -> Watching {
    let mut command = program();
    Watching::run(command.args(["replicate", target, "--json", "--dir"]).arg(directory))
}

#[test]
fn copies_are_read_as_a_host_s_own_data_is() {
    let ((_kept, watched), (_kept_too, copies)) = (directory(), directory());
    let (place, host) = hosting();
    let (log, files) = (key(&host, "callLogUrl"), key(&host, "filesArchiveUrl"));
    let mut watching = Watching::start(host.url(), None, &watched);
    watching.until_agrees(7);
    let mut replicating = replicate(host.url(), &copies);
    until_complete(&mut replicating, 3);
    watching.terminate();
    replicating.terminate();
    assert!(host.terminate().success());
    let seen = look(&place.data());
    let places = [watched.join(&log), copies.join(&log)];
    for place in &places {
        assert_eq!(look(place), seen, "{}", place.display());
        let (code, report) = verify(place);
        let expected = (0, json!("agrees"), json!(7), json!(7));
        let found = (code, report["verdict"].clone(), report["length"].clone(), report["entries"].clone());
        assert_eq!(found, expected, "{report}");
        assert_eq!(report["publishedFiles"], report["filesVersion"], "{report}");
        assert_eq!(report["publishedBlobs"], report["filesBlobs"], "{report}");
    }
    // An archive by its own key, as a replicator keeps it.
    let archive = copies.join(files);
    let archive = archive.to_str().expect("UTF-8");
    assert_eq!(said(&["files", "cat", archive, "/5"]), seen[2]);
    let none = vms(["log", archive]);
    assert_eq!(none.status.code(), Some(2), "an archive is no log: {}", text(&none.stderr));
}

#[test]
fn copies_in_use_are_read_while_they_grow() {
    let ((_kept, watched), (_kept_too, copies)) = (directory(), directory());
    let (_place, host) = hosting();
    let log = key(&host, "callLogUrl");
    let mut watching = Watching::start(host.url(), None, &watched);
    let _replicating = replicate(host.url(), &copies);
    run(async {
        let client = host.client().await;
        for call in 0..20 {
            client.call("write", json!(["/more", format!("{call}")])).await;
            watching.until_agrees(8 + call);
            // A copy is on disk once a second: what is read is what was there then.
            for place in [watched.join(&log), copies.join(&log)] {
                let output = vms(["verify".as_ref(), place.as_os_str(), "--json".as_ref()]);
                let report: Json = serde_json::from_slice(&output.stdout).expect("a JSON line");
                let is_early = report["why"]
                    .as_str()
                    .is_some_and(|why| why.contains("no core") || why.contains("empty"));
                assert!(report["verdict"] == "agrees" || is_early, "{report}");
            }
        }
    });
}

#[test]
fn a_damaged_copy_is_said_to_be_damaged_and_accuses_nobody() {
    let (_kept, watched) = directory();
    let (_place, host) = hosting();
    let copy = watched.join(key(&host, "callLogUrl"));
    let mut watching = Watching::start(host.url(), None, &watched);
    watching.until_agrees(7);
    watching.terminate();
    for file in ["data", "ends", "tree", "head"] {
        for damage in DAMAGES {
            let sound = fs::read(copy.join("log").join(file)).expect("a file");
            damage.befall(&copy.join("log").join(file));
            let output = vms(["verify".as_ref(), copy.as_os_str(), "--json".as_ref()]);
            let report: Json = serde_json::from_slice(&output.stdout).expect("a JSON line");
            // One of two heads may be whole, and the data may end behind the last block.
            let is_told = report["verdict"] == "cannot-verify" && output.status.code() == Some(3);
            assert!(is_told || report["verdict"] == "agrees", "{file} {damage:?}: {report}");
            fs::write(copy.join("log").join(file), sound).expect("writable");
        }
    }
}

/// What can happen to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A bit is flipped in so many hundredths of the file.
    Flipped(usize),
    /// The file ends there.
    Cut(usize),
    Deleted,
    Zeroed,
}

const DAMAGES: [Damage; 3] = [Damage::Flipped(50), Damage::Cut(60), Damage::Deleted];
const MORE_DAMAGES: [Damage; 7] = [
    Damage::Flipped(0),
    Damage::Flipped(3),
    Damage::Flipped(30),
    Damage::Flipped(97),
    Damage::Cut(0),
    Damage::Cut(95),
    Damage::Zeroed,
];

impl Damage {
    fn befall(self, file: &Path) {
        let mut bytes = fs::read(file).expect("a file");
        match self {
            Self::Flipped(part) => {
                let at = bytes.len() * part / 100;
                bytes[at] ^= 16;
            }
            Self::Cut(part) => bytes.truncate(bytes.len() * part / 100),
            Self::Deleted => return fs::remove_file(file).expect("it was there"),
            Self::Zeroed => bytes.fill(0),
        }
        fs::write(file, bytes).expect("writable");
    }
}

/// The files of a watcher's copy of one host.
fn files_of(copy: &Path) -> Vec<std::path::PathBuf> {
    let cores = ["log", "files", "blobs"]
        .into_iter()
        .flat_map(|core| ["head", "data", "ends", "tree"].map(|file| copy.join(core).join(file)));
    cores.chain([copy.join("state.json")]).collect()
}

/// Waits until the copies on disk are as long as the host's own cores.
fn until_whole(copy: &Path, sound: &Path) {
    let bytes = |copy: &Path, file: &str| fs::metadata(copy.join(file)).map_or(0, |data| data.len());
    for file in ["log/data", "files/data", "blobs/data"] {
        while bytes(copy, file) < bytes(sound, file) {}
    }
}

/// Waits until an audit of the copies on disk, of which some may still be fetched, finds all that was written.
fn until_complete_on_disk(copy: &Path) {
    let is_complete = || {
        let (_, report) = verify(copy);
        report["publishedBlobs"] == report["filesBlobs"] && report["publishedFiles"] == report["filesVersion"]
    };
    while !is_complete() {}
}

/// All kinds of damage with `VMS_WORN=1`, some of them otherwise.
fn damages() -> Vec<Damage> {
    let more = if variable("VMS_WORN", 0) > 0 { &MORE_DAMAGES[..] } else { &[] };
    DAMAGES.iter().chain(more).copied().collect()
}

#[test]
fn a_watcher_mends_each_damaged_file_and_blames_nobody_else() {
    let (kept, watched) = directory();
    let (place, host) = hosting();
    let log = key(&host, "callLogUrl");
    let mut watching = Watching::start(host.url(), None, &watched);
    watching.until_agrees(7);
    until_whole(&watched.join(&log), &place.data());
    watching.terminate();
    let sound = kept.path().join("sound");
    crate::honesty::violations::copy(&watched, &sound);
    let damaged: Vec<_> = files_of(&watched.join(&log))
        .into_iter()
        .flat_map(|file| damages().into_iter().map(move |damage| (file.clone(), damage)))
        .collect();
    for (file, damage) in damaged {
        fs::remove_dir_all(&watched).expect("ours");
        crate::honesty::violations::copy(&sound, &watched);
        damage.befall(&file);
        let mut watching = Watching::start(host.url(), None, &watched);
        let mut seen = vec![];
        watching.until(|event| {
            let is_bad = ["finding", "suspicion", "ended", "failed"].iter().any(|bad| event["event"] == *bad);
            let is_cut = event["event"] == "disconnected" && event["reason"] != "ended";
            assert!(!is_bad && !is_cut, "{} {damage:?}: {event} after {seen:?}", file.display());
            seen.push(event.clone());
            event["event"] == "agrees" && event["length"] == 7
        });
        // A block that is lost is found to be while the archive is compared.
        let is_stalled = |seen: &[Json]| {
            let last = seen.iter().rfind(|event| event["event"] == "stalled" || event["event"] == "resumed");
            last.is_some_and(|event| event["event"] == "stalled")
        };
        if is_stalled(&seen) {
            watching.until(|event| event["event"] == "resumed");
        }
        until_complete_on_disk(&watched.join(&log));
        watching.terminate();
        let (code, report) = verify(&watched.join(&log));
        let found = (code, &report["verdict"], &report["entries"]);
        assert_eq!(found, (0, &json!("agrees"), &json!(7)), "{} {damage:?}: {report}", file.display());
    }
}

#[test]
fn what_nobody_gives_again_is_waited_for_and_told_at_the_end() {
    let (_kept, watched) = directory();
    let (place, host) = hosting();
    let log = key(&host, "callLogUrl");
    let mut watching = Watching::start(host.url(), None, &watched);
    watching.until_agrees(7);
    watching.terminate();
    let peers = host.peer_address();
    assert!(host.terminate().success());
    Damage::Cut(50).befall(&watched.join(&log).join("log/data"));
    let mut watching = Watching::start(&log, None, &watched);
    watching.until(|event| event["event"] == "damaged");
    watching.until(|event| event["event"] == "stalled");
    assert_eq!(watching.stop(), Some(3), "something could not be audited");
    // With somebody who has it, all is well.
    let host = place.host();
    assert_eq!(host.peer_address(), peers);
    let mut watching = Watching::start(&log, Some(peers), &watched);
    watching.until_agrees(7);
    watching.terminate();
}

#[test]
fn copies_that_were_mixed_up_are_refused_and_the_others_are_watched() {
    let (_kept, watched) = directory();
    let (_place, host) = hosting();
    let (_other_place, other) = hosting();
    let log = key(&host, "callLogUrl");
    let mut watching = Watching::start(host.url(), None, &watched);
    watching.until_agrees(7);
    watching.terminate();
    let copy = watched.join(&log);
    fs::rename(copy.join("log"), copy.join("mixed")).expect("renamed");
    fs::rename(copy.join("files"), copy.join("log")).expect("renamed");
    fs::rename(copy.join("mixed"), copy.join("files")).expect("renamed");
    let mut command = program();
    command.args(["watch", &log, "--json", "--dir"]).arg(&watched);
    let output = command.output().expect("vms starts");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("copy of another core"), "{}", text(&output.stdout));
    let mut command = program();
    command.args(["watch", &log, other.url(), "--json", "--dir"]).arg(&watched);
    let mut watching = Watching::run(&mut command);
    let other_log = key(&other, "callLogUrl");
    watching.until_quietly(|event| event["log"] == json!(other_log) && event["length"] == 7);
    assert_eq!(watching.stop(), Some(3), "one of two could not be audited");
}

#[test]
fn a_block_that_rots_while_a_watcher_runs_is_fetched_again_and_served() {
    let ((_kept, watched), (_kept_too, second)) = (directory(), directory());
    let (_place, host) = hosting();
    let log = key(&host, "callLogUrl");
    let mut watching = Watching::start(host.url(), None, &watched);
    let address: SocketAddr =
        crate::network::replication::tcp(&watching.until(|event| event["event"] == "following")["address"]);
    watching.until_agrees(7);
    let path = watched.join(&log).join("blobs/data");
    // On disk, so that what is written here is not overwritten.
    while fs::metadata(&path).expect("a file").len() < 450_000 {}
    let mut bytes = fs::read(&path).expect("a file");
    bytes[200_000] ^= 1;
    let file = fs::File::options().write(true).open(&path).expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes[200_000..200_001], 200_000).expect("written");
    let mut last = Watching::start(&log, Some(address), &second);
    last.until_agrees(7);
    run(async { host.client().await.call("write", json!(["/7", "last"])).await });
    last.until_agrees(8);
    last.terminate();
    let whole = second.join(&log);
    let seen = said(&["files", "cat", whole.to_str().expect("UTF-8"), "/4"]);
    assert_eq!(seen.len(), 120_000);
    // It may have met the block itself, and wait for it: that is over once it agrees with the new call.
    watching.until_agrees(8);
    watching.terminate();
}
