//! The directory in which cargo keeps the engine's source.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The package, as the workspace pins it.
const PACKAGE: &str = "rquickjs-sys";
const VERSION: &str = "0.14.0";

/// Names the directory of the engine's source, for builds in which cargo cannot be run.
const OVERRIDE: &str = "VMS_QUICKJS_SOURCE";

/// Returns the directory that holds `quickjs.c`.
pub(crate) fn directory(out: &Path) -> PathBuf {
    println!("cargo::rerun-if-env-changed={OVERRIDE}");
    if let Some(directory) = env::var_os(OVERRIDE) {
        return directory.into();
    }
    let metadata = metadata(&out.join("source"));
    let directory = manifest(&metadata).and_then(|manifest| Some(manifest.parent()?.join("quickjs")));
    directory.unwrap_or_else(|| {
        panic!("cargo metadata does not name {PACKAGE} {VERSION}; set {OVERRIDE} to its directory `quickjs`")
    })
}

/// Returns cargo's metadata of a package that depends on nothing but the engine. For our own manifest cargo would need more:
/// each dependency of our tests, which users of this library do not have. Below the directory for our output, cargo
/// finds the configuration that holds for this build, including its registries.
fn metadata(directory: &Path) -> String {
    let manifest = format!(
        "[package]\nname = \"source\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n\
         [workspace]\n[dependencies]\n{PACKAGE} = {{ version = \"={VERSION}\", default-features = false }}\n"
    );
    let written = fs::create_dir_all(directory)
        .and_then(|()| fs::write(directory.join("lib.rs"), ""))
        .and_then(|()| fs::write(directory.join("Cargo.toml"), manifest));
    written.unwrap_or_else(|error| panic!("cannot write into {}: {error}", directory.display()));
    let cargo = env::var_os("CARGO").expect("cargo sets CARGO");
    let output = Command::new(cargo)
        // The package is there, because it is a dependency of ours.
        .args(["metadata", "--offline", "--format-version", "1"])
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("cannot run cargo: {error}"));
    let refused = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata cannot find {PACKAGE} {VERSION}: {refused}");
    String::from_utf8(output.stdout).expect("JSON is UTF-8")
}

/// Returns the manifest of the engine's package.
fn manifest(metadata: &str) -> Option<PathBuf> {
    const KEY: &str = "\"manifest_path\":\"";
    let paths = metadata.split(KEY).skip(1).filter_map(|rest| rest.split('"').next());
    paths.map(|path| PathBuf::from(path.replace("\\\\", "\\"))).find(|path| is_of_engine(path))
}

/// Returns whether a manifest is the engine's: vendored directories have names of their own, so the manifest tells.
fn is_of_engine(manifest: &Path) -> bool {
    let text = fs::read_to_string(manifest).unwrap_or_default();
    let has = |line: &str| text.lines().any(|other| other == line);
    has(&format!("name = \"{PACKAGE}\"")) && has(&format!("version = \"{VERSION}\""))
}
