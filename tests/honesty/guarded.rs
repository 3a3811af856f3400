//! Hosts whose directory was restored from an old backup, or is used twice: they sign nothing while peers know more.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use libvms::net::{Network, NetworkOptions, SharedCore};
use libvms::storage::{Core, Durability};
use serde_json::json;
use tokio::sync::watch;

use crate::honesty::cheater::{self, Shown};
use crate::honesty::tamper::rewrite;
use crate::honesty::violations::{copy, cut};
use crate::honesty::watch::{LOCAL, Watching, directory};
use crate::support::{Host, TestService, program, run};

async fn increment(host: &Host, times: u64) {
    let client = host.client().await;
    for _ in 0..times {
        client.call("increment", json!([])).await;
    }
}

fn command(place: &TestService, more: &[&str]) -> Command {
    let mut command = program();
    command.arg("host").arg(place.script()).arg("--dir").arg(place.data()).args(more);
    command
}

/// Starts a host that must refuse to; gives what it says.
fn refuses(place: &TestService, port: u16, more: &[&str]) -> String {
    let start = Instant::now();
    let refused = Host::try_start_at(&mut command(place, more), port).err().expect("it refuses");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(refused.contains("its key has signed") && refused.contains("second history"), "{refused}");
    refused
}

fn length(place: &TestService) -> u64 {
    Core::open_read_only(&place.data().join("log")).expect("a log").length().0
}

/// A host that has served some calls, and a backup of its directory from before the last ones.
fn backed_up() -> (TestService, tempfile::TempDir, PathBuf) {
    let place = TestService::of_example("counter.js");
    let backup = tempfile::tempdir().expect("a temporary directory");
    let path = backup.path().join("backup");
    run(async {
        let host = place.host();
        increment(&host, 5).await;
        assert!(host.terminate().success());
        copy(&place.data(), &path);
        let host = place.host();
        increment(&host, 5).await;
        assert!(host.terminate().success());
    });
    (place, backup, path)
}

fn restore(place: &TestService, backup: &Path) {
    std::fs::remove_dir_all(place.data()).expect("ours");
    copy(backup, &place.data());
}

/// Somebody who has copied the cores of a directory, and only serves them.
async fn peer_of(data: &Path) -> (Network, String) {
    let network = Network::new(NetworkOptions::default());
    for name in ["log", "files", "blobs"] {
        let core = Core::open_read_only(&data.join(name)).expect("a core");
        network.add_core(SharedCore::Writer(core.follow()), None);
    }
    let address = network.listen(LOCAL.into()).await.expect("a port");
    (network, address.to_string())
}

#[test]
fn a_restored_backup_is_not_continued_while_a_peer_has_more() {
    let (place, _kept, backup) = backed_up();
    let ours = tempfile::tempdir().expect("a temporary directory");
    copy(&place.data(), ours.path());
    run(async {
        let (network, peer) = peer_of(ours.path()).await;
        restore(&place, &backup);
        let said = refuses(&place, 0, &["--peer", &peer]);
        assert!(said.contains("only 6 of them are here") && said.contains("shows 11 blocks"), "{said}");
        assert_eq!(length(&place), 6, "nothing was signed");
        // Nor by a host that finds the peer again by itself, or another one that ends at once.
        refuses(&place, 0, &["--peer", &peer]);
        // The newest copy goes on.
        std::fs::remove_dir_all(place.data()).expect("ours");
        copy(ours.path(), &place.data());
        let host = place.host_with(&["--peer", &peer]);
        increment(&host, 1).await;
        assert!(host.terminate().success());
        network.shutdown().await;
    });
}

#[test]
fn a_restored_backup_is_not_continued_while_a_watcher_has_more() {
    let place = TestService::of_example("counter.js");
    let ((_kept, watched), (kept, _)) = (directory(), directory());
    let backup = kept.path().join("backup");
    run(async {
        let host = place.host();
        let port = host.port();
        let mut watching = Watching::start(host.url(), None, &watched);
        increment(&host, 5).await;
        watching.until_agrees(6);
        assert!(host.terminate().success());
        copy(&place.data(), &backup);
        let host = place.host_at(port, &[]);
        increment(&host, 5).await;
        watching.until_agrees(11);
        assert!(host.terminate().success());
        restore(&place, &backup);
        refuses(&place, port, &[]);
        assert_eq!(length(&place), 6);
        watching.terminate();
    });
}

#[test]
fn another_history_of_the_same_key_is_not_continued() {
    // As long, longer and shorter than what the peer has, and different from the third entry on.
    for entries in [11, 13, 7] {
        let (place, _kept, backup) = backed_up();
        let theirs = tempfile::tempdir().expect("a temporary directory");
        copy(&place.data(), theirs.path());
        restore(&place, &backup);
        run(async {
            // Continued alone, as nobody is known.
            let host = place.host();
            let client = host.client().await;
            for _ in 0..entries - 6 {
                client.call("increment", json!([7])).await;
            }
            assert!(host.terminate().success());
            let (network, peer) = peer_of(theirs.path()).await;
            let said = refuses(&place, 0, &["--peer", &peer]);
            assert!(said.contains("are others"), "{entries}: {said}");
            assert_eq!(length(&place), entries);
            network.shutdown().await;
        });
    }
}

#[test]
fn a_peer_that_comes_later_ends_a_host_before_it_signs_more() {
    let (place, _kept, backup) = backed_up();
    let theirs = tempfile::tempdir().expect("a temporary directory");
    copy(&place.data(), theirs.path());
    restore(&place, &backup);
    run(async {
        let host = place.host();
        let (network, _) = peer_of(theirs.path()).await;
        network.connect(host.peer_address());
        let (code, said) = host.wait_with_stderr();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("second history"), "{said}");
        assert_eq!(length(&place), 6);
        network.shutdown().await;
    });
}

#[test]
fn an_archive_that_is_longer_elsewhere_is_enough() {
    let place = TestService::of_example("files.js");
    let theirs = tempfile::tempdir().expect("a temporary directory");
    run(async {
        let host = place.host();
        let client = host.client().await;
        client.call("write", json!(["/a", "a"])).await;
        client.call("write", json!(["/b", "b"])).await;
        assert!(host.terminate().success());
        copy(&place.data(), theirs.path());
        for (core, length) in [("log", 2), ("files", 2), ("blobs", 1)] {
            cut(&place.data().join(core), length);
        }
        // The log is the same: only the archive gives away that there is more.
        cut(&theirs.path().join("log"), 2);
        let (network, peer) = peer_of(theirs.path()).await;
        let said = refuses(&place, 0, &["--peer", &peer]);
        assert!(
            said.contains("blocks of the files core") || said.contains("blocks of the blobs core"),
            "{said}"
        );
        network.shutdown().await;
    });
}

#[test]
fn peers_that_have_as_much_less_or_only_words_keep_no_host_from_starting() {
    let (place, _kept, backup) = backed_up();
    let same = tempfile::tempdir().expect("a temporary directory");
    copy(&place.data(), same.path());
    run(async {
        let (equal, first) = peer_of(same.path()).await;
        let (behind, second) = peer_of(&backup).await;
        // Another key's log under our key, signed by that key: more entries, and a fork.
        let foreign = tempfile::tempdir().expect("a temporary directory");
        let key = libvms_hypercore::identity::SecretKey::from_seed(&[9; 32]);
        let mut forged =
            Core::create(&foreign.path().join("log"), key, Durability::Relaxed).expect("a place");
        forged.append(&vec![b"forged".to_vec(); 50]).expect("a disk");
        let ours = Core::open_read_only(&same.path().join("log")).expect("a log");
        let (_sender, shown) = watch::channel(Shown::of(&forged, 0));
        let liar = cheater::serve_as(ours.key(), forged.secret_key().expect("ours"), shown).await.to_string();
        let (_other, shown) = watch::channel(Shown::of(&forged, 3));
        let forker =
            cheater::serve_as(ours.key(), forged.secret_key().expect("ours"), shown).await.to_string();
        let peers = [&first, &second, &liar, &forker].map(|peer| format!("--peer={peer}"));
        let host = place.host_with(&peers.each_ref().map(String::as_str));
        increment(&host, 3).await;
        assert!(host.terminate().success());
        assert_eq!(length(&place), 14);
        equal.shutdown().await;
        behind.shutdown().await;
    });
    place.assert_agrees();
}

#[test]
fn a_log_that_was_rewritten_is_not_continued_even_at_its_own_length() {
    let (place, _kept, _) = backed_up();
    let theirs = tempfile::tempdir().expect("a temporary directory");
    copy(&place.data(), theirs.path());
    rewrite(&theirs.path().join("log"), |blocks| blocks.swap(3, 4));
    run(async {
        let (network, peer) = peer_of(theirs.path()).await;
        let said = refuses(&place, 0, &["--peer", &peer]);
        assert!(said.contains("are others"), "{said}");
        network.shutdown().await;
    });
}
