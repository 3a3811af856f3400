//! `vms files export` gives all that a disk can hold, and says what it cannot; `ls` and `cat` say what is not there.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use libvms_hypercore::bee::{Batch, Cache, Header};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::drive::{BlobId, FileEntry};
use serde_json::{Value, json};

use crate::honesty::tamper::rewrite;
use crate::support::{TestService, VMS, run, text, vms};

const SCRIPT: &str = "exports.write = (path, content) => System.files.writeFile(path, content)";

/// A host's directory with these files.
fn written(names: &[&str]) -> TestService {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let client = host.client().await;
        for name in names {
            client.call("write", json!([name, format!("content of {name}")])).await;
        }
        assert!(host.terminate().success());
    });
    place
}

fn export(place: &TestService, more: &[&str]) -> (Output, std::path::PathBuf) {
    let to = place.data().with_file_name("exported");
    let (data, to_text) = (place.data().display().to_string(), to.display().to_string());
    (vms([&["files", "export", &data, &to_text], more].concat()), to)
}

/// What was left out, as programs are told: paths with reasons; and the summary.
fn told(output: &Output) -> (Vec<(Value, String)>, Value) {
    let lines = text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("a JSON line"));
    let mut lines: Vec<Value> = lines.collect();
    let summary = lines.pop().expect("a summary");
    let why = |line: &Value| line["why"].as_str().expect("a reason").to_owned();
    (lines.iter().map(|line| (line["path"].clone(), why(line))).collect(), summary)
}

fn content(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn names_that_a_disk_cannot_hold_keep_back_no_others() {
    let long = "x".repeat(300);
    let deep = "/deep".repeat(819);
    let names = [
        "/a",
        &format!("/{long}"),
        "/b/n\0ul",
        &format!("/c/{long}/d"),
        &deep,
        "/c/e",
        "/é…日本",
        "/z/last",
        "/-rf",
        "/ ",
    ];
    let place = written(&names);
    let (output, to) = export(&place, &["--json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let (left_out, summary) = told(&output);
    assert_eq!(left_out.len(), 4, "{left_out:?}");
    for (name, why) in
        [(names[1], "too long"), (names[2], "NUL"), (names[3], "too long"), (names[4], "too long")]
    {
        assert!(
            left_out.iter().any(|(path, said)| path == name && said.contains(why)),
            "{name}: {left_out:?}"
        );
    }
    assert_eq!((&summary["files"], &summary["leftOut"]), (&json!(6), &json!(4)));
    for name in ["a", "c/e", "é…日本", "z/last", "-rf", " "] {
        assert_eq!(content(&to, name), format!("content of /{name}"));
    }
    assert!(!to.join("b").exists(), "no directory is left of a file that is left out");
    fs::remove_dir_all(&to).expect("ours");
    let (output, _) = export(&place, &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text(&output.stdout).starts_with("6 files, ") && text(&output.stdout).ends_with("; 4 left out\n")
    );
    assert!(
        text(&output.stderr).contains("left out /b/n\\u{0}ul: a file name cannot contain a NUL"),
        "{output:?}"
    );
}

/// Puts into an archive what no script can write.
fn smuggle(place: &TestService, entries: &[(&str, FileEntry)]) {
    // It stands in an empty core only.
    let header = Header::for_drive(&[0; 32]);
    rewrite(&place.data().join("files"), |blocks| {
        for (key, entry) in entries {
            let cache = Cache::default();
            let length = blocks.len() as u64;
            let mut batch = Batch::new(blocks, &cache, Length(length), &header).expect("an honest core");
            batch.put(format!("files\0{key}").as_bytes(), entry.encode()).expect("it fits");
            let new = batch.finish();
            blocks.extend(new);
        }
    });
}

#[test]
fn what_only_a_stranger_would_put_there_is_left_out() {
    let place = written(&["/a", "/folder/b", "/z"]);
    let outside = place.data().with_file_name("outside");
    let nothing = FileEntry::file(BlobId::default());
    let scattered =
        BlobId { block_offset: BlockIndex(0), block_length: 1, byte_length: 3, ..BlobId::default() };
    let beyond =
        BlobId { block_offset: BlockIndex(99), block_length: 1, byte_length: 3, ..BlobId::default() };
    let huge =
        BlobId { block_offset: BlockIndex(0), block_length: 1, byte_length: 1 << 40, ..BlobId::default() };
    smuggle(
        &place,
        &[
            ("/../outside", nothing.clone()),
            ("//absolute", nothing.clone()),
            ("relative", nothing.clone()),
            ("/folder//empty", nothing.clone()),
            ("/folder/", nothing.clone()),
            ("/./dot", nothing.clone()),
            ("/back\\slash", nothing.clone()),
            ("/folder", FileEntry::file(scattered)),
            ("/link", FileEntry::link("/etc/passwd")),
            ("/beyond", FileEntry::file(beyond)),
            ("/huge", FileEntry::file(huge)),
            ("/empty", nothing.clone()),
            ("/both", nothing.clone()),
            ("/both/below", nothing),
        ],
    );
    let (output, to) = export(&place, &["--json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let (left_out, summary) = told(&output);
    let why = |path: &str| {
        let found = left_out.iter().find(|(found, _)| found == path);
        found.unwrap_or_else(|| panic!("{path} is not in {left_out:?}")).1.clone()
    };
    assert!(why("/link").contains("link"));
    assert!(why("/beyond").contains("not here"), "{}", why("/beyond"));
    assert!(why("/huge").contains("bytes"), "{}", why("/huge"));
    assert!(left_out.iter().filter(|(path, _)| path.is_null()).count() >= 5, "{left_out:?}");
    for name in ["a", "folder/b", "z"] {
        assert_eq!(content(&to, name), format!("content of /{name}"));
    }
    assert_eq!(content(&to, "empty"), "");
    assert_eq!(summary["files"], 5);
    assert!(!outside.exists() && !to.join("link").exists());
    assert!(why("/both/below").contains("is not a directory") && to.join("both").is_file());
    assert!(why("/folder").contains("bytes"), "{}", why("/folder"));
}

#[test]
fn contents_that_a_copy_does_not_have_are_named() {
    let place = written(&["/a", "/b"]);
    let (blobs, kept) = (place.data().join("blobs"), place.data().with_file_name("kept"));
    let copy = |from: &Path, to: &Path| {
        fs::create_dir(to).expect("writable");
        for entry in fs::read_dir(from).expect("a core") {
            let path = entry.expect("an entry").path();
            fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
        }
    };
    copy(&blobs, &kept);
    run(async {
        let host = place.host();
        host.client().await.call("write", json!(["/c", "later"])).await;
        host.client().await.call("write", json!(["/a", "again"])).await;
        assert!(host.terminate().success());
    });
    fs::remove_dir_all(&blobs).expect("ours");
    copy(&kept, &blobs);
    let (output, to) = export(&place, &["--json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let (left_out, _) = told(&output);
    assert_eq!(left_out.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(), [json!("/a"), json!("/c")]);
    assert!(left_out.iter().all(|(_, why)| why.contains("is not here")), "{left_out:?}");
    assert_eq!(content(&to, "b"), "content of /b");
}

#[test]
fn a_full_disk_leaves_no_half_of_a_file() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let client = host.client().await;
        client.call("write", json!(["/a-small", "x".repeat(1_000)])).await;
        client.call("write", json!(["/b-large", "x".repeat(600_000)])).await;
        client.call("write", json!(["/c-small", "x".repeat(2_000)])).await;
        assert!(host.terminate().success());
    });
    let to = place.data().with_file_name("exported");
    // Files of this process may grow to 256 KiB; beyond that, writing fails as on a full disk.
    let limited = format!("trap '' XFSZ; ulimit -f 256; exec {VMS} \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &limited, "vms", "files", "export"]).arg(place.data()).arg(&to).arg("--json");
    let output = command.output().expect("bash is there");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let (left_out, summary) = told(&output);
    assert_eq!((left_out.len(), &left_out[0].0, &summary["files"]), (1, &json!("/b-large"), &json!(2)));
    assert_eq!((content(&to, "a-small").len(), content(&to, "c-small").len()), (1_000, 2_000));
    assert!(!to.join("b-large").exists());
}

#[test]
fn an_export_goes_into_a_directory_of_its_own() {
    let place = written(&["/a"]);
    let to = place.data().with_file_name("exported");
    for (prepare, why) in [
        (
            Box::new(|to: &Path| fs::write(to, "x")) as Box<dyn Fn(&Path) -> std::io::Result<()>>,
            "is not a directory",
        ),
        (
            Box::new(|to: &Path| fs::create_dir(to).and_then(|()| fs::write(to.join("a"), "mine"))),
            "is not empty",
        ),
        (
            Box::new(|to: &Path| {
                fs::create_dir(to).and_then(|()| std::os::unix::fs::symlink("/tmp", to.join("link")))
            }),
            "is not empty",
        ),
        (Box::new(|to: &Path| std::os::unix::fs::symlink("/nowhere/at/all", to)), "exported"),
    ] {
        prepare(&to).expect("writable");
        let (output, _) = export(&place, &[]);
        assert_eq!(output.status.code(), Some(2), "{why}: {output:?}");
        assert!(text(&output.stderr).contains(why), "{why}: {}", text(&output.stderr));
        let _is_a_file = fs::remove_file(&to);
        let _is_a_directory = fs::remove_dir_all(&to);
    }
    fs::create_dir(&to).expect("writable");
    let (output, _) = export(&place, &[]);
    assert!(output.status.success(), "an empty directory will do: {output:?}");
    assert_eq!(text(&output.stdout).lines().count(), 1);
}

#[test]
fn what_is_not_there_is_said() {
    let place = written(&["/notes/a"]);
    let data = place.data().display().to_string();
    for (arguments, why) in [
        (&["ls", &data, "/none"][..], "there is no folder /none at version 2"),
        (&["ls", &data, "/none", "--recursive"], "there is no folder /none"),
        (&["ls", &data, "/notes/b"], "there is no folder /notes/b"),
        (&["ls", &data, "/note"], "there is no folder /note "),
        (&["ls", &data, "/notes", "--at", "1"], "there is no folder /notes at version 1"),
        (&["ls", &data, "/notes/a"], "/notes/a is a file, not a folder"),
        (&["ls", &data, "/.."], "cannot list /.."),
        (&["cat", &data, "/none"], "there is no file /none"),
        (&["cat", &data, "/notes"], "/notes is a folder, not a file"),
        (&["cat", &data, "/"], "the root of a drive is not a file"),
    ] {
        let output = vms([&["files"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).contains(why), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    let empty = vms(["files", "ls", &data, "/", "--at", "1"]);
    assert!(empty.status.success() && empty.stdout.is_empty(), "the root is always there: {empty:?}");
}
