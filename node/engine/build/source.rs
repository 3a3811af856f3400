//! Where cargo keeps the source of the engine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// As the workspace pins it.
const PACKAGE: &str = "rquickjs-sys";
const VERSION: &str = "0.14.0";

/// The directory of the engine's source, for builds in which cargo cannot be asked.
const OVERRIDE: &str = "VMS_QUICKJS_SOURCE";

/// The directory that holds `quickjs.c`.
pub(crate) fn directory(out: &Path) -> PathBuf {
    println!("cargo::rerun-if-env-changed={OVERRIDE}");
    if let Some(directory) = env::var_os(OVERRIDE) {
        return directory.into();
    }
    let metadata = metadata(&out.join("source"));
    let directory = manifest(&metadata).and_then(|manifest| Some(manifest.parent()?.join("quickjs")));
    directory.unwrap_or_else(|| {
        panic!("cargo does not say where {PACKAGE} {VERSION} is; {OVERRIDE} can name its directory `quickjs`")
    })
}

/// What cargo says of a package that needs nothing but the engine. Of our own manifest it would want to know more: each
/// dependency of our tests, which whoever uses us as a library does not have. Beneath the directory for our output, it
/// finds the configuration that holds for this build, with the places where packages come from.
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
        // The package is there, for it is a dependency of ours.
        .args(["metadata", "--offline", "--format-version", "1"])
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("cannot run cargo: {error}"));
    let refused = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo does not find {PACKAGE} {VERSION}: {refused}");
    String::from_utf8(output.stdout).expect("JSON is UTF-8")
}

/// The manifest of the engine's package.
fn manifest(metadata: &str) -> Option<PathBuf> {
    const KEY: &str = "\"manifest_path\":\"";
    let paths = metadata.split(KEY).skip(1).filter_map(|rest| rest.split('"').next());
    paths.map(|path| PathBuf::from(path.replace("\\\\", "\\"))).find(|path| is_of_engine(path))
}

/// Whether it is: each directory of vendored packages has names of its own, so the manifest tells.
fn is_of_engine(manifest: &Path) -> bool {
    let text = fs::read_to_string(manifest).unwrap_or_default();
    let has = |line: &str| text.lines().any(|other| other == line);
    has(&format!("name = \"{PACKAGE}\"")) && has(&format!("version = \"{VERSION}\""))
}
