//! Modules that stand side by side form no circle: who reads one of two need not read the other.
//!
//! A module and the modules inside it use each other as they please, which Rust's privacy wants.

mod circles;
mod modules;
mod table;
mod tokens;

use std::path::{Path, PathBuf};

use circles::{circle, edges};
use modules::{Crate, Uses};
use table::{Row, dependencies, rows, sections};

/// The workspace.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The crates, as `node/ARCHITECTURE.md` has them.
fn crates() -> Vec<Row> {
    let page = std::fs::read_to_string(top().join("node/ARCHITECTURE.md")).expect("the page is there");
    rows(&page)
}

fn read() -> Uses {
    let directory = top();
    let read = |path: &Path| std::fs::read_to_string(directory.join(path)).ok();
    let rows = crates();
    let names: Vec<String> = rows.iter().map(|row| row.name.replace('-', "_")).collect();
    let roots: Vec<Crate<'_>> =
        std::iter::zip(&rows, &names).map(|(row, name)| Crate { name, root: root(row) }).collect();
    Uses::read(&roots, &read)
}

/// The first file of a crate.
fn root(row: &Row) -> PathBuf {
    let file = if row.name == "vms" { "src/main.rs" } else { "src/lib.rs" };
    Path::new(&row.folder).join(file)
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

#[test]
fn crates_depend_on_each_other_as_the_page_says() {
    let crates = crates();
    assert_eq!(crates.len(), 8, "{crates:?}");
    for row in &crates {
        let manifest =
            std::fs::read_to_string(top().join(&row.folder).join("Cargo.toml")).expect("a manifest");
        assert!(manifest.contains(&format!("\nname = \"{}\"\n", row.name)), "{row:?}");
        assert_eq!(dependencies(&manifest), row.dependencies, "{}: see node/ARCHITECTURE.md", row.name);
    }
}

#[test]
fn only_tests_and_benchmarks_ask_for_the_support_of_tests() {
    let workspace = std::fs::read_to_string(top().join("Cargo.toml")).expect("a manifest");
    let manifests = crates()
        .into_iter()
        .map(|row| std::fs::read_to_string(top().join(row.folder).join("Cargo.toml")).expect("a manifest"));
    let (mut declared, mut asked) = (0, 0);
    for manifest in manifests.chain([workspace]) {
        let section =
            |name: &str| sections(&manifest).filter(|(title, _)| title.contains(name)).collect::<Vec<_>>();
        let supports = |(_, text): &(&str, &str)| text.contains("test-support");
        declared += section("features").iter().filter(|part| supports(part)).count();
        let (tests, others): (Vec<_>, Vec<_>) =
            section("dependencies").into_iter().partition(|(title, _)| title.contains("dev-"));
        asked += tests.iter().filter(|part| supports(part)).count();
        assert!(!others.iter().any(supports), "the program itself would have it: {manifest}");
    }
    assert_eq!(
        (declared, asked),
        (3, 5),
        "the engine, Hypercore and callers' requests have it; tests ask for it"
    );
}

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
