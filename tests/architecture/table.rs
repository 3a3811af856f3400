//! The table of crates in `node/ARCHITECTURE.md`, and what a manifest says of the same.

/// What the table says of a crate.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) folder: String,
    /// In the order of the alphabet.
    pub(super) dependencies: Vec<String>,
}

/// The rows that begin with a crate's name and its folder, and end with what it depends on.
pub(super) fn rows(page: &str) -> Vec<Row> {
    let start = page.find("## Crates").expect("the section on crates");
    let section = page[start..].split("\n## ").next().unwrap_or_default();
    section.lines().filter(|line| line.starts_with("| `")).map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
    let [name, folder, .., dependencies] = &cells[..] else { panic!("a row of three cells or more: {line}") };
    let only = |cell: &str| names(cell).pop().unwrap_or_else(|| panic!("a name in `: {line}"));
    Row { name: only(name), folder: only(folder), dependencies: names(dependencies) }
}

/// The sections of a manifest: their titles, and the lines below.
pub(super) fn sections(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    manifest.split("\n[").skip(1).filter_map(|section| section.split_once("]\n"))
}

/// What stands between backticks.
fn names(cell: &str) -> Vec<String> {
    let mut names: Vec<String> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    names.sort_unstable();
    names
}

/// The crates of this workspace that a manifest's `[dependencies]` name, in the order of the alphabet.
pub(super) fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let named = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
    let mut names: Vec<String> = named.filter(|name| name.starts_with("libvms")).map(str::to_owned).collect();
    names.sort_unstable();
    names
}
