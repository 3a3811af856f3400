//! The JavaScript package as npm packs it, in a workshop where the scripts of the tests find it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::service::interop::packages::{node_with, npm};
use crate::support::{Process, text};

const PACKAGES: &str = include_str!("package.json");

/// A folder of the repository.
pub(super) fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Node.js in the workshop: `node_modules` has the package, `tests` the scripts beside this file.
pub(super) fn node() -> Command {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static PACKED: OnceLock<()> = OnceLock::new();
    let mut node = node_with("javascript", PACKAGES, &INSTALLED);
    PACKED.get_or_init(unpack);
    node.current_dir(workshop());
    node
}

/// The folder of the workshop.
pub(super) fn workshop() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("javascript")
}

/// Packs the package into `into`, and returns the names of the files in it.
pub(super) fn pack(into: &Path) -> (PathBuf, Vec<String>) {
    let mut npm = npm();
    npm.args(["pack", "--json", "--pack-destination"]).arg(into).current_dir(folder("node/javascript"));
    let output = Process::output(npm.stdin(Stdio::null())).expect("npm starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let packed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    // A list, or from npm 12 on an object by the package's name.
    let packed = packed.get(0).or_else(|| packed.get("libvms-client")).expect("one package");
    let files = packed["files"].as_array().expect("a list").iter();
    let files = files.map(|file| file["path"].as_str().expect("a path").to_owned()).collect();
    (into.join(packed["filename"].as_str().expect("a name")), files)
}

/// Puts the package and the scripts into the workshop, whoever else is at it.
fn unpack() {
    let workshop = workshop();
    let lock = File::create(workshop.join("unpacking")).expect("a writable directory");
    lock.lock().expect("a lock");
    let package = workshop.join("node_modules/libvms-client");
    let _may_be_new = fs::remove_dir_all(&package);
    fs::create_dir_all(&package).expect("a writable directory");
    let (tarball, _) = pack(&workshop);
    let unpacked = Command::new("tar")
        .args(["-xzf"])
        .arg(&tarball)
        .args(["--strip-components=1", "-C"])
        .arg(&package)
        .status();
    assert!(unpacked.expect("tar").success());
    fs::remove_file(tarball).expect("a file");
    let tests = workshop.join("tests");
    let _may_be_new = fs::remove_dir_all(&tests);
    fs::create_dir_all(&tests).expect("a writable directory");
    fs::write(tests.join("package.json"), r#"{ "type": "module" }"#).expect("writable");
    for entry in fs::read_dir(folder("tests/service/javascript")).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "js" || end == "ts") {
            fs::copy(&path, tests.join(path.file_name().expect("a name"))).expect("writable");
        }
    }
}
