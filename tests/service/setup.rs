//! `.ci/setup` looks before it installs: on machines of which only the commands are made up, what it finds missing.
//!
//! That it installs what is missing, and that this is enough, `.ci/newcomer` shows on real ones.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::{Process, text};

/// What the script itself needs.
const BASE: [&str; 8] = ["bash", "dirname", "head", "realpath", "sed", "sh", "sort", "uname"];
/// A machine with everything: each command, and what it says of its version.
const WHOLE: [(&str, &str); 10] = [
    // Root's.
    ("id", "0"),
    ("cc", "cc (Debian 12.2.0-14) 12.2.0"),
    ("cargo", "cargo 1.91.0 (ea2d97820 2025-10-10)"),
    ("rustc", "rustc 1.91.0 (f8297e351 2025-10-28)"),
    ("node", "v20.0.0"),
    ("npm", "10.0.0"),
    ("chromium", ""),
    ("python3", ""),
    ("ip", ""),
    ("nft", ""),
];

/// What setup says of a machine with these commands, and whether it is content.
fn look(commands: &[(&str, &str)], options: &[&str]) -> (bool, String) {
    let machine = tempfile::tempdir().expect("a temporary directory");
    for command in BASE {
        let path = ["/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(command));
        let path = path.into_iter().find(|path| path.exists()).expect("every Linux has it");
        symlink(path, machine.path().join(command)).expect("a new name");
    }
    for (command, version) in commands {
        let path = machine.path().join(command);
        std::fs::write(&path, format!("#!/bin/sh\necho '{version}'\n")).expect("a writable directory");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("ours");
    }
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/setup");
    let mut command = Command::new("/bin/bash");
    command.arg(setup).arg("--look").args(options);
    // The build folder of the made-up machine holds no Node.js, and its home no Rust.
    command.env("PATH", machine.path()).env("HOME", machine.path()).env("CARGO_TARGET_DIR", machine.path());
    let output = Process::output(&mut command).expect("bash is there");
    let said = text(&output.stderr).to_owned();
    assert!(output.stdout.is_empty() && !said.contains("installing"), "{said}");
    assert!(output.status.code().is_some_and(|code| code < 2), "{said}");
    (output.status.success(), said)
}

/// The whole machine with one command that says something else, or is not there.
fn with(command: &str, version: Option<&str>) -> Vec<(&'static str, String)> {
    let others = WHOLE.iter().filter(|(name, _)| *name != command);
    let mut commands: Vec<_> = others.map(|(name, said)| (*name, (*said).to_owned())).collect();
    let name = WHOLE.iter().find(|(name, _)| *name == command).expect("one of them").0;
    commands.extend(version.map(|version| (name, version.to_owned())));
    commands
}

#[test]
fn setup_is_content_with_a_machine_that_has_everything() {
    let (is_content, said) = look(&WHOLE, &["--tests"]);
    assert!(is_content, "{said}");
    // One line for each thing.
    assert_eq!(said.lines().count(), 7, "{said}");
}

#[test]
fn setup_says_what_is_missing_or_too_old() {
    for (command, version, words) in [
        ("cc", None, "C compiler: none"),
        ("cargo", None, "Rust: none (1.91 is needed)"),
        ("cargo", Some("cargo 0.66.0"), "Rust: 0.66.0 (1.91 is needed)"),
        ("cargo", Some("cargo 1.90.9"), "Rust: 1.90.9 (1.91 is needed)"),
        ("cargo", Some("cargo 1.9.0"), "Rust: 1.9.0 (1.91 is needed)"),
        ("rustc", Some("rustc 1.63.0"), "Rust: 1.91.0 (1.91 is needed)"),
        ("rustc", None, "Rust: 1.91.0 (1.91 is needed)"),
        ("node", None, "Node.js: none that is new enough"),
        ("node", Some("v18.20.4"), "Node.js: none that is new enough"),
        ("npm", None, "Node.js: none that is new enough"),
        // What Debian 12 and 13 have: it cannot read the overrides of the tests' packages.
        ("npm", Some("9.2.0"), "Node.js: none that is new enough"),
        ("chromium", None, "Chromium: none"),
        ("python3", None, "Python: none from 3.11 on"),
        ("ip", None, "ip: none"),
        ("nft", None, "nft: none"),
    ] {
        let commands = with(command, version);
        let commands: Vec<_> = commands.iter().map(|(name, said)| (*name, said.as_str())).collect();
        let (is_content, said) = look(&commands, &["--tests"]);
        assert!(!is_content && said.contains(words), "{command} {version:?}: {said}");
    }
}

#[test]
fn setup_takes_newer_versions_than_it_needs() {
    for (command, version) in [
        ("cargo", "cargo 1.100.0-nightly"),
        ("rustc", "rustc 2.0.0"),
        ("node", "v100.1.0"),
        ("npm", "11.19.1"),
    ] {
        let commands = with(command, Some(version));
        let commands: Vec<_> = commands.iter().map(|(name, said)| (*name, said.as_str())).collect();
        let (is_content, said) = look(&commands, &["--tests"]);
        assert!(is_content, "{command} {version}: {said}");
    }
}

#[test]
fn setup_asks_for_no_javascript_to_run_a_host() {
    let (is_content, said) = look(&WHOLE[..4], &[]);
    assert!(is_content && !said.contains("Node") && !said.contains("nft"), "{said}");
    let (is_content, said) = look(&WHOLE[..4], &["--tests"]);
    assert!(!is_content && said.contains("Node"), "{said}");
}

#[test]
fn setup_refuses_options_that_it_does_not_have() {
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/setup");
    let output = Process::output(Command::new("bash").arg(setup).arg("--test")).expect("bash is there");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("unknown option --test"), "{}", text(&output.stderr));
}
