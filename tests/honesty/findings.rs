//! What a watcher has found is one event, one line, one place in its state, and its exit code.

use std::fs;
use std::path::Path;

use libvms::storage::{Core, Durability};
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use crate::honesty::cheater::{self, Shown};
use crate::honesty::tamper::{honest, rewrite};
use crate::honesty::violations::copy;
use crate::honesty::watch::{Served, Watching, directory};
use crate::support::{assert_proof_holds, program, run, text, vms};

/// The program in the help's example that picks findings.
fn is_picked(event: &Json) -> bool {
    let help = vms(["watch", "--help"]);
    let help = text(&help.stdout);
    let (_, after) = help.split_once("select(.event == \"").expect("an example with jq");
    let (name, _) = after.split_once('"').expect("a name");
    event["event"] == name
}

fn state(watched: &Path, key: &str) -> Json {
    let text = fs::read(watched.join(key).join("state.json")).expect("a state");
    serde_json::from_slice(&text).expect("JSON")
}

/// Asserts that all that is to be seen of a host says that it is convicted of `class`.
fn assert_convicted(mut watching: Watching, key: &str, watched: &Path, core: &str, class: &str) {
    let found = watching.until(is_picked);
    assert_eq!((&found["core"], &found["class"]), (&json!(core), &json!(class)), "{found}");
    let report = found["report"].as_str().expect("a file").to_owned();
    assert!(Path::new(&report).is_file(), "{found}");
    // Signatures that contradict each other convict the host for anybody; what only executing shows has no kind of proof.
    let proof = found["proof"].as_str().map(str::to_owned);
    assert_eq!(proof.is_some(), class != "wrong-result", "{found}");
    if let Some(proof) = &proof {
        assert_proof_holds(Path::new(proof), key, "equivocation");
    }
    assert_eq!(watching.stop(), Some(1), "{class}");
    let state = state(watched, key);
    assert_eq!(
        (&state["verdict"], &state["findings"][0]["class"]),
        (&json!("diverges"), &json!(class)),
        "{state}"
    );
    // A host stays convicted, whether anybody is there or not, and whether its report is or not.
    for is_kept in [true, false] {
        if !is_kept {
            fs::remove_file(&report).expect("it was there");
        }
        let mut watching = Watching::start(key, None, watched);
        let again = watching.until(is_picked);
        assert_eq!((&again["class"], &again["proof"]), (&json!(class), &json!(proof)), "{again}");
        assert_eq!(watching.stop(), Some(1), "{class}");
    }
    // People are told the same, with the file that says more.
    let mut command = program();
    command.args(["watch", key, "--dir"]).arg(watched);
    let said = Watching::run(&mut command).line(|line| line.contains("diverges"));
    assert!(said.contains(class), "{said}");
}

#[test]
fn an_entry_that_the_script_does_not_give_is_a_finding() {
    let place = honest();
    rewrite(&place.data().join("log"), |blocks| blocks.swap(1, 2));
    let (_kept, watched) = directory();
    run(async {
        let served = Served::of(&place.data()).await;
        let key = served.log.key().to_string();
        let watching = Watching::start(&key, Some(served.address), &watched);
        assert_convicted(watching, &key, &watched, "log", "wrong-result");
        served.network.shutdown().await;
    });
}

#[test]
fn two_heads_of_one_length_are_a_finding_and_the_peer_is_not_cut_off() {
    let place = honest();
    let (_kept, watched) = directory();
    let other = tempfile::tempdir().expect("a temporary directory");
    copy(&place.data(), other.path());
    // Longer than what the watcher has, and another history: what it asks first is how it grows.
    rewrite(&other.path().join("log"), |blocks| {
        blocks[2] = blocks[1].clone();
        blocks.push(blocks[1].clone());
        blocks.push(blocks[1].clone());
    });
    run(async {
        let served = Served::of(&place.data()).await;
        let key = served.log.key().to_string();
        let mut watching = Watching::start(&key, Some(served.address), &watched);
        watching.until_agrees(9);
        let address = served.address;
        served.network.shutdown().await;
        watching.terminate();
        let served = Served::at(other.path(), address).await;
        let mut watching = Watching::start(&key, Some(address), &watched);
        let mut cuts = 0;
        watching.until(|event| {
            cuts += u32::from(event["event"] == "disconnected");
            is_picked(event)
        });
        let until = std::time::Instant::now() + std::time::Duration::from_secs(3);
        while std::time::Instant::now() < until {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(
            (cuts, served.network.metrics().accepted),
            (0, 1),
            "it is not connected to again and again"
        );
        assert_eq!(watching.stop(), Some(1));
        let watching = Watching::start(&key, Some(address), &watched);
        assert_convicted(watching, &key, &watched, "log", "equivocation");
        served.network.shutdown().await;
    });
}

#[test]
fn a_signed_fork_is_a_finding() {
    let place = honest();
    let (_kept, watched) = directory();
    let log = Core::open(&place.data().join("log"), Durability::Relaxed).expect("a core");
    let secret = log.secret_key().expect("the host's own");
    run(async {
        let (sender, shown) = watch::channel(Shown::of(&log, 0));
        let address = cheater::serve(secret, shown).await;
        let key = log.key().to_string();
        let mut watching = Watching::start(&key, Some(address), &watched);
        watching.until_agrees(9);
        sender.send_replace(Shown::of(&log, 2));
        assert_convicted(watching, &key, &watched, "log", "fork");
    });
}

#[test]
fn a_watcher_that_found_nothing_ends_with_0() {
    let place = honest();
    let (_kept, watched) = directory();
    run(async {
        let served = Served::of(&place.data()).await;
        let key = served.log.key().to_string();
        let mut watching = Watching::start(&key, Some(served.address), &watched);
        watching.until_agrees(9);
        assert_eq!(watching.stop(), Some(0));
        let state = state(&watched, &key);
        assert_eq!((&state["verdict"], &state["findings"]), (&json!("agrees"), &json!([])), "{state}");
        served.network.shutdown().await;
    });
}

#[test]
fn people_hear_of_changes_at_once_and_of_batches_only_if_they_want_to() {
    let place = crate::support::TestService::of_example("counter.js");
    let ((_kept, quiet), (_kept_too, verbose)) = (directory(), directory());
    run(async {
        let host = place.host();
        let start = |directory: &Path, more: &[&str]| {
            let mut command = program();
            Watching::run(command.args(["watch", host.url(), "--dir"]).arg(directory).args(more))
        };
        let (mut quiet, mut verbose) = (start(&quiet, &[]), start(&verbose, &["-v"]));
        for watching in [&mut quiet, &mut verbose] {
            let said = watching.line(|line| line.contains("agrees: 1 entry"));
            let (time, _) = said.split_once(' ').expect("a time first");
            assert!(time.len() == 20 && time.ends_with('Z'), "{said}");
        }
        let client = host.client().await;
        for call in 2..12 {
            client.call("increment", json!([])).await;
            verbose.line(|line| line.contains(&format!("agrees: {call} entries")));
        }
        assert_eq!(verbose.stop(), Some(0));
        // The summary of a minute comes at the end, too; nothing did in between.
        let said = quiet.line_after_stop();
        assert!(said.contains(" agrees: ") && said.ends_with(" of them new"), "{said}");
    });
}
