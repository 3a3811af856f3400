//! Hosts with an old copy of their data, and hosts that have signed two histories.

use std::fs;
use std::path::Path;
use std::process::Command;

use libvms_protocol::proof::{Proof, Verdict};
use serde_json::{Value, json};

use super::{Home, SCRIPT, fails, signed_host};
use crate::support::{TestService, text, vms};

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().expect("cp").success());
}

/// Puts an old copy back in the place of a service's data.
fn put_back(place: &TestService, old: &Path) {
    fs::remove_dir_all(place.data()).expect("a directory");
    copy(old, &place.data());
}

/// The files of proofs that a home keeps.
fn proofs(home: &Home) -> usize {
    let names = fs::read_dir(home.file("vms")).expect("a directory");
    names
        .filter(|entry| {
            entry.as_ref().expect("an entry").path().extension().is_some_and(|end| end == "proof")
        })
        .count()
}

#[test]
fn an_old_copy_of_a_log_is_stale_and_convicts_nobody() {
    let (home, place) = (Home::new(), TestService::new(SCRIPT));
    let host = signed_host(&place);
    let (url, port) = (host.url().to_owned(), host.port());
    assert_eq!(home.result(&url, "increment"), json!(1));
    assert!(host.terminate().success());
    let (old, newest) = (place.data().with_extension("old"), place.data().with_extension("newest"));
    copy(&place.data(), &old);
    let host = place.host_at(port, &[]);
    assert_eq!(home.result(&url, "increment"), json!(2));
    assert!(host.terminate().success());
    copy(&place.data(), &newest);
    put_back(&place, &old);
    let host = place.host_at(port, &[]);
    fails(&home.call(&url, "increment", &[]), 3, &["is stale", "at length 2", "length 3", "hint: "]);
    assert_eq!(proofs(&home), 0);
    assert!(host.terminate().success());
    assert_eq!(place.log().len(), 2, "nothing was executed");
    place.assert_agrees();
    put_back(&place, &newest);
    let host = place.host_at(port, &[]);
    assert_eq!(home.result(&url, "increment"), json!(3));
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn two_histories_are_a_fork_that_is_proved_to_anybody() {
    let (home, place) = (Home::new(), TestService::new(SCRIPT));
    let host = signed_host(&place);
    let (url, port) = (host.url().to_owned(), host.port());
    assert_eq!(home.result(&url, "increment"), json!(1));
    assert!(host.terminate().success());
    let (old, first) = (place.data().with_extension("old"), place.data().with_extension("first"));
    copy(&place.data(), &old);
    let host = place.host_at(port, &[]);
    assert_eq!(home.result(&url, "increment"), json!(2));
    assert!(host.terminate().success());
    copy(&place.data(), &first);
    // The same length, and a longer one.
    for others in [1, 3] {
        put_back(&place, &old);
        let host = place.host_at(port, &[]);
        for _ in 0..others {
            assert!(vms(["call", &url, "get"]).status.success());
        }
        let before = place.log().len();
        let output = home.call(&url, "increment", &[]);
        fails(&output, 1, &["the log has forked", ".proof"]);
        let said = text(&output.stderr);
        let path = said.lines().find_map(|line| line.strip_prefix("hint: show ")?.split(' ').next());
        let path = Path::new(path.expect("the name of the file"));
        let proof = Proof::decode(&fs::read(path).expect("a file")).expect("a proof file");
        assert_eq!((proof.check(), proof.kind()), (Verdict::Holds, "equivocation"), "{}", proof.claim());
        let event = home.call(&url, "increment", &["--json"]);
        let event: Value = serde_json::from_slice(&event.stderr).expect("an object");
        assert_eq!(event["proof"], json!(path.display().to_string()));
        assert_eq!((place.log().len(), proofs(&home)), (before, 1), "nothing was signed for it");
        assert!(host.terminate().success());
        place.assert_agrees();
        // The first history alone does not make good for it.
        put_back(&place, &first);
        let host = place.host_at(port, &[]);
        fails(&home.call(&url, "increment", &[]), 1, &["the log has forked"]);
        fs::remove_file(path).expect("a file");
        assert!(home.call(&url, "get", &[]).status.success());
        assert!(host.terminate().success());
        place.assert_agrees();
        fs::remove_dir_all(&first).expect("a directory");
        copy(&place.data(), &first);
    }
}
