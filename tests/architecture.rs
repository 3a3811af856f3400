//! Modules that stand side by side form no circle: who reads one of two need not read the other.
//!
//! A module and the modules inside it use each other as they please, which Rust's privacy wants.

mod circles;
mod modules;
mod tokens;

use std::path::{Path, PathBuf};

use circles::{circle, edges};
use modules::{Crate, Uses};

/// Every crate whose modules are looked at: how others name it, and its first file.
const CRATES: [(&str, &str); 8] = [
    ("libvms_hypercore", "../protocol/hypercore/src/lib.rs"),
    ("libvms_hyperswarm", "../protocol/hyperswarm/src/lib.rs"),
    ("libvms_protocol", "../protocol/src/lib.rs"),
    ("libvms_cores", "../node/cores/src/lib.rs"),
    ("libvms_engine", "../node/engine/src/lib.rs"),
    ("libvms_rpc", "../node/rpc/src/lib.rs"),
    ("libvms", "../node/src/lib.rs"),
    ("vms", "../node/src/main.rs"),
];

fn read() -> Uses {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| std::fs::read_to_string(directory.join(path)).ok();
    let crates = CRATES.map(|(name, root)| Crate { name, root: PathBuf::from(root) });
    Uses::read(&crates, &read)
}

/// Lines that are shown of one module's use of another.
const LINES_MAX: usize = 4;

/// Returns each circle of modules side by side, with the lines that close it.
fn circles(uses: &Uses) -> Vec<String> {
    let levels = edges(uses);
    let circles = levels.iter().filter_map(|(level, edges)| {
        let mut text = format!("in `{level}`:");
        let circle = circle(edges)?;
        for edge @ (from, to) in &circle {
            let lines = &edges[edge];
            for line in lines.iter().take(LINES_MAX) {
                text += &format!("\n  {from} -> {to}  {line}");
            }
            if lines.len() > LINES_MAX {
                text += &format!("\n  {from} -> {to}  and {} more", lines.len() - LINES_MAX);
            }
        }
        Some(text)
    });
    circles.collect()
}

#[test]
fn no_modules_side_by_side_use_each_other() {
    let uses = read();
    assert!(uses.modules() > 250, "{} modules: not every file was found", uses.modules());
    assert!(uses.len() > 1_000, "{} uses: not every path was understood", uses.len());
    let circles = circles(&uses);
    assert!(circles.is_empty(), "modules use each other in a circle\n{}", circles.join("\n"));
}

// Here belongs the test that each edge between crates and between their uppermost modules (`edges(&uses)[""]`, and
// `edges(&uses)["libvms"]`) stands in the diagram of `node/ARCHITECTURE.md`, once there is one to read.

fn example(files: &[(&str, &str)]) -> Uses {
    let read = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| (*text).to_owned())
    };
    Uses::read(&[Crate { name: "example", root: PathBuf::from("lib.rs") }], &read)
}

#[test]
fn circles_are_found_through_names_that_others_pass_on() {
    let uses = example(&[
        ("lib.rs", "mod upper; mod lower; pub use upper::Name;"),
        ("upper.rs", "mod part;\n/* \" */ use super::lower::{self, Other as _};\npub struct Name;"),
        ("upper/part.rs", "fn part() { super::lower::call('{', \"}\") }"),
        ("lower.rs", "#[cfg(test)] mod tests;\n\n// use super::upper;\nuse crate::Name;"),
        ("lower/tests.rs", "use crate::upper::Name;"),
    ]);
    let expected = "in `example`:\n  lower -> upper  lower.rs:4: crate::Name\n  \
        upper -> lower  upper.rs:2: super::lower\n  upper -> lower  upper.rs:2: super::lower::Other\n  \
        upper -> lower  upper/part.rs:1: super::lower::call";
    assert_eq!(circles(&uses), [expected]);
}

#[test]
fn modules_and_their_parts_form_no_circle() {
    let uses = example(&[
        ("lib.rs", "mod upper; mod lower;"),
        ("upper.rs", "mod part; use part::Part; use crate::lower::Name; pub struct Whole;"),
        ("upper/part.rs", "use super::Whole; use crate::lower::Name; pub struct Part;"),
        ("lower.rs", "pub struct Name; #[cfg(test)] mod tests { use crate::upper::Whole; }"),
    ]);
    assert_eq!(circles(&uses), [] as [&str; 0]);
}
