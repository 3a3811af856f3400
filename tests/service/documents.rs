//! `node/OPERATING.md` says what the program does: its options, variables, events, files and exit codes are those of the page,
//! and the page has no others. The links of all documents lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::honesty::watch::{Watching, directory};
use crate::support::{TestService, program, run, text, vms};

/// An event that the sources can word, and that no command prints: a log that a target names is told as `following` or
/// `copying`.
const UNPRINTED: &str = "log";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn operating() -> String {
    read(&root().join("node/OPERATING.md"))
}

/// The part of the page below a heading of the second level.
fn section(name: &str) -> String {
    let page = operating();
    let found = page.split("\n## ").find(|section| section.starts_with(&format!("{name}\n")));
    found.unwrap_or_else(|| panic!("OPERATING.md has no section {name}")).to_owned()
}

/// The cells of the rows of all tables in a text.
fn rows(text: &str) -> Vec<Vec<String>> {
    let is_row = |line: &&str| line.starts_with("| ") || line.starts_with("|-");
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    text.lines().filter(is_row).map(cells).collect()
}

/// What stands between backticks.
fn code(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words of a text that begin like this, as far as a name goes.
fn names(text: &str, begin: &str, is_name: impl Fn(char) -> bool) -> BTreeSet<String> {
    let found = text.match_indices(begin).filter_map(|(at, _)| {
        let before = text[..at].chars().next_back();
        let rest: String = text[at + begin.len()..].chars().take_while(|letter| is_name(*letter)).collect();
        let is_word = !before.is_some_and(|letter| letter == '-' || letter.is_alphanumeric());
        (is_word && rest.starts_with(char::is_alphabetic)).then(|| format!("{begin}{rest}"))
    });
    found.collect()
}

/// Every command that does something, with its help.
fn commands() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![String::new()];
    while let Some(command) = open.pop() {
        let words = command.split_whitespace().chain(["--help"]).collect::<Vec<_>>();
        let help = text(&vms(words).stdout).to_owned();
        match help.split_once("\nCommands:\n") {
            Some((_, rest)) => {
                let listed = rest.lines().take_while(|line| !line.is_empty());
                let below = listed.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
                open.extend(below.filter(|name| *name != "help").map(|name| format!("{command} {name}")));
            }
            None => {
                found.insert(command.trim().to_owned(), help);
            }
        }
    }
    assert!(found.contains_key("files ls") && found.contains_key("host"), "{found:?}");
    found
}

/// The long options in a help, each with the default that it shows.
fn options(help: &str) -> BTreeMap<String, Option<String>> {
    let mut found: Vec<(String, String)> = vec![];
    for line in help.lines() {
        let bare = line.trim_start();
        if (2..=6).contains(&(line.len() - bare.len())) {
            let option =
                bare.split_whitespace().find(|word| word.starts_with("--")).filter(|_| bare.starts_with('-'));
            found.push((option.unwrap_or_default().trim_end_matches('.').to_owned(), String::new()));
        }
        if let Some((_, text)) = found.last_mut() {
            text.push_str(bare);
            text.push(' ');
        }
    }
    let default = |text: &str| Some(text.split_once("[default: ")?.1.split_once(']')?.0.to_owned());
    // Arguments stand there, too, and commands in examples.
    found.retain(|(option, _)| !option.is_empty());
    found.into_iter().map(|(option, text)| (option, default(&text))).collect()
}

/// An option as the page has it: its name, its commands, its default.
fn told() -> Vec<(String, Vec<String>, String)> {
    let rows = rows(&section("Options")).into_iter().filter(|row| row[0].starts_with("`--"));
    rows.map(|row| {
        let option = code(&row[0])[0].split(' ').next().expect("a name").to_owned();
        (option, row[1].split(", ").map(str::to_owned).collect(), row[2].clone())
    })
    .collect()
}

#[test]
fn the_page_has_every_option_of_every_command() {
    for (command, help) in commands() {
        let is_of = |commands: &[String]| commands.iter().any(|name| *name == command || name == "all");
        let told: BTreeMap<String, String> = told()
            .into_iter()
            .filter(|(_, of, _)| is_of(of))
            .map(|(option, _, default)| (option, default))
            .collect();
        let there = options(&help);
        let (names, expected) = (told.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
        assert_eq!(names, expected, "vms {command}");
        for (option, default) in there {
            let Some(default) = default else { continue };
            assert_eq!(told[&option], default, "vms {command} {option}");
        }
    }
}

#[test]
fn the_page_names_no_option_that_there_is_not() {
    let there: BTreeSet<String> = commands().values().flat_map(|help| options(help).into_keys()).collect();
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '-';
    let unknown: Vec<String> =
        names(&operating(), "--", is_name).into_iter().filter(|option| !there.contains(option)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_page_has_every_command() {
    // Words in capitals are arguments, which may stand before a command's last word.
    let is_word = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    let rows = rows(&section("Commands"));
    let told: Vec<String> = rows
        .iter()
        .flat_map(|row| code(&row[0]))
        .map(|line| line.split(' ').filter(is_word).collect::<Vec<_>>().join(" "))
        .collect();
    for command in commands().into_keys() {
        assert!(told.contains(&format!("vms {command}")), "vms {command}: {told:?}");
    }
}

/// The sources of the node, without those of tests.
fn sources() -> Vec<String> {
    let (mut files, mut open) = (vec![], vec![root().join("node")]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let is_source = path.components().any(|part| part.as_os_str() == "src");
            match path.is_dir() {
                true => open.push(path),
                false if is_source && path.extension().is_some_and(|extension| extension == "rs") => {
                    files.push(path)
                }
                false => {}
            }
        }
    }
    let texts: BTreeMap<PathBuf, String> =
        files.into_iter().map(|path| (path.clone(), read(&path))).collect();
    let tests: BTreeSet<PathBuf> = texts.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let is_test = |path: &Path| path.ancestors().any(|above| tests.contains(&above.with_extension("")));
    let ours = texts.into_iter().filter(|(path, _)| !is_test(path));
    ours.map(|(_, text)| text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned())
        .collect()
}

/// The files and folders, without extension, of modules that only tests have.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let is_root = path.file_name().is_some_and(|name| name == "lib.rs" || name == "main.rs");
    let folder = if is_root { path.with_file_name("") } else { path.with_extension("") };
    let names =
        text.split("#[cfg(test)]\n").skip(1).filter_map(|rest| rest.split_once(';')?.0.split_once("mod "));
    names.map(|(_, name)| folder.join(name)).collect()
}

#[test]
fn the_page_has_every_variable() {
    let is_name = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    let there: BTreeSet<String> = sources().iter().flat_map(|text| names(text, "VMS_", is_name)).collect();
    assert!(there.contains("VMS_LOG") && there.contains("VMS_NO_SWARM"), "{there:?}");
    assert_eq!(names(&section("Environment"), "VMS_", is_name), there);
    for help in commands().values() {
        for (_, rest) in help.match_indices("[env: ").map(|(at, begin)| help.split_at(at + begin.len())) {
            let variable = rest.split(']').next().expect("it ends");
            assert!(there.contains(variable), "{variable}");
        }
    }
}

/// The names of events in a source: those of objects, and those of an enum that is told as one.
fn events(source: &str) -> BTreeSet<String> {
    let literal = |text: &str| Some(text.split_once('"')?.1.split_once('"')?.0.to_owned());
    let mut found = BTreeSet::new();
    for line in source.lines() {
        for key in ["\"event\": ", "[\"event\"] = json!("] {
            let Some((_, rest)) = line.split_once(key) else { continue };
            match (rest.starts_with('"'), rest.starts_with("if ")) {
                (true, _) => found.extend(literal(rest)),
                // One of two.
                (_, true) => found.extend(rest.split('"').skip(1).step_by(2).map(str::to_owned)),
                // A name that is computed is one of those that watchers tell.
                _ => {}
            }
        }
    }
    if let Some((_, rest)) = source.split_once("#[serde(tag = \"event\"") {
        let body = rest.split_once("{\n").and_then(|(_, body)| body.split_once("\n}\n")).expect("an enum").0;
        let variants = body.lines().filter_map(|line| line.strip_prefix("    "));
        let variants = variants.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
        found.extend(variants.map(|line| {
            let name: String = line.chars().take_while(char::is_ascii_alphanumeric).collect();
            name[..1].to_lowercase() + &name[1..]
        }));
    }
    found
}

#[test]
fn the_page_has_every_event_and_no_other() {
    let mut there: BTreeSet<String> = sources().iter().flat_map(|source| events(source)).collect();
    for event in ["serving", "finding", "suspicion", "connected", "dht", "left-out"] {
        assert!(there.contains(event), "{event}: {there:?}");
    }
    assert!(there.remove(UNPRINTED), "no event `{UNPRINTED}` is left");
    let of_events = |table: &str| table.starts_with("event |");
    let section = section("Events");
    let tables = section.split("\n\n| ").filter(|table| of_events(table));
    let told: BTreeSet<String> = tables.flat_map(rows).flat_map(|row| code(&row[0])).collect();
    assert_eq!(told, there);
}

/// The names of all files and folders below a directory; a key is `KEY`.
fn found(directory: &Path) -> BTreeSet<String> {
    let (mut names, mut open) = (BTreeSet::new(), vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let is_key = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            names.insert(if is_key { "KEY".into() } else { name });
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    names
}

#[test]
fn the_page_has_every_file_of_hosts_watchers_and_replicators() {
    let place = TestService::of_example("files.js");
    let (_kept, watched) = directory();
    let replicated = watched.with_file_name("replicated");
    run(async {
        let host = place.host();
        host.client().await.call("write", json!(["/a", "b"])).await;
        let mut watching = Watching::start(host.url(), None, &watched);
        let mut command = program();
        let mut replicating =
            Watching::run(command.args(["replicate", host.url(), "--json", "--dir"]).arg(&replicated));
        watching.until_agrees(2);
        replicating.until(|event| event["event"] == "complete");
        for ended in [watching.stop(), replicating.stop()] {
            assert_eq!(ended, Some(0));
        }
        assert!(host.terminate().success());
    });
    let page = section("Files");
    for (heading, directory) in [
        ("A host's data directory", place.data()),
        ("A watcher's directory", watched),
        ("A replicator's directory", replicated),
    ] {
        let part = page.split("\n### ").find(|part| part.starts_with(heading)).expect("a part of its own");
        let told: BTreeSet<String> =
            code(part).iter().flat_map(|name| name.split('/')).map(str::to_owned).collect();
        let there = found(&directory);
        assert!(there.is_subset(&told), "{heading}: {:?}", there.difference(&told));
        assert!(there.contains("lock") && there.contains("data"), "{heading}: {there:?}");
    }
}

#[test]
fn the_page_has_every_exit_code() {
    let help = text(&vms(["--help"]).stdout).to_owned();
    let (_, codes) = help.split_once("Exit codes:\n").expect("they are in the help");
    let is_number = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
    let expected: Vec<String> = codes.split_whitespace().filter(is_number).map(str::to_owned).collect();
    let told = rows(&section("Exit codes")).into_iter().map(|row| row[0].clone());
    assert_eq!(told.filter(|code| is_number(&code.as_str())).collect::<Vec<_>>(), expected);
}

#[test]
fn every_script_of_the_gate_has_a_paragraph() {
    let page = read(&root().join(".ci/README.md"));
    let told: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let entries = std::fs::read_dir(root().join(".ci")).expect("a directory");
    let there: BTreeSet<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.contains('.') && name != "newcomer-session")
        .collect();
    assert_eq!(told, there.iter().map(String::as_str).collect());
}

/// The folders of all crates that can be published.
fn crates() -> Vec<PathBuf> {
    let workspace = read(&root().join("Cargo.toml"));
    let members =
        workspace.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).expect("a list").0;
    let folders = members.split('"').skip(1).step_by(2).map(|member| root().join(member));
    folders.filter(|folder| !read(&folder.join("Cargo.toml")).contains("publish = false")).collect()
}

#[test]
fn every_crate_says_what_it_is_and_under_which_license() {
    let license = read(&root().join("LICENSE"));
    for folder in crates() {
        let manifest = read(&folder.join("Cargo.toml"));
        let name = manifest.split('"').nth(1).expect("a name");
        assert!(read(&folder.join("README.md")).starts_with(&format!("# {name}\n")), "{}", folder.display());
        assert_eq!(read(&folder.join("LICENSE")), license, "{}", folder.display());
        for key in ["description", "readme", "keywords", "categories"] {
            assert!(manifest.contains(&format!("\n{key} = ")), "{name} has no {key}");
        }
    }
}

#[test]
fn the_code_in_the_readme_of_the_library_is_that_of_an_example() {
    let page = read(&root().join("node/README.md"));
    let shown = page.split_once("```rust\n").and_then(|(_, rest)| rest.split_once("```")).expect("code").0;
    let lines = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let example = lines(&read(&root().join("examples/embed.rs")));
    assert!(example.contains(lines(shown).trim()), "it is not part of examples/embed.rs");
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    for document in [
        ".ci/README.md",
        "README.md",
        "node/ARCHITECTURE.md",
        "node/CHANGELOG.md",
        "node/OPERATING.md",
        "protocol/CHANGELOG.md",
        "protocol/FORMAT.md",
        "fixtures/README.md",
    ] {
        let path = root().join(document);
        let page = read(&path);
        let anchor = |heading: &str| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
            kept.collect::<String>().replace(' ', "-")
        };
        let anchors: BTreeSet<String> =
            page.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
        for (_, rest) in page.match_indices("](").map(|(at, begin)| page.split_at(at + begin.len())) {
            let link = rest.split(')').next().unwrap_or_default();
            match link.strip_prefix('#') {
                Some(name) => assert!(anchors.contains(name), "{document}: {link}"),
                None if link.contains("://") => {}
                None => {
                    let file = link.split('#').next().unwrap_or_default();
                    assert!(path.with_file_name("").join(file).exists(), "{document}: {link}");
                }
            }
        }
    }
}
