//! One file of test262: its metadata, and its expected result.

use std::path::Path;

use libvms_engine::message::{Fault, Outcome};

/// Features that a script does not have in this engine, or not in one heap.
const ABSENT: [&str; 15] = [
    "Atomics",
    "Atomics.pause",
    "Atomics.waitAsync",
    "FinalizationRegistry",
    "FinalizationRegistry.prototype.cleanupSome",
    "IsHTMLDDA",
    "ShadowRealm",
    "SharedArrayBuffer",
    "Temporal",
    "WeakRef",
    "cross-realm",
    "dynamic-import",
    "host-gc-required",
    "import-defer",
    "source-phase-imports",
];

/// A parsed test.
pub(crate) struct Case {
    code: String,
    includes: Vec<String>,
    flags: Vec<String>,
    features: Vec<String>,
    /// The name of the error that it must end with.
    error: Option<String>,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Passed,
    Failed(String),
    OutOfFuel,
}

impl Case {
    /// Reads and parses a test.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn read(path: &Path) -> std::io::Result<Self> {
        let code = std::fs::read_to_string(path)?;
        let about = code.split_once("/*---").and_then(|(_, rest)| rest.split_once("---*/"));
        let about = about.map_or("", |(about, _)| about);
        let mut case = Self {
            code: String::new(),
            includes: list(about, "includes"),
            flags: list(about, "flags"),
            features: list(about, "features"),
            error: about.split_once("\nnegative:").and_then(|(_, rest)| {
                rest.lines().find_map(|line| line.trim().strip_prefix("type:")).map(|name| name.trim().into())
            }),
        };
        case.code = code;
        Ok(case)
    }

    /// Returns whether the test applies to this engine.
    pub(crate) fn is_meant(&self) -> bool {
        let is_absent = |feature: &String| ABSENT.contains(&feature.as_str());
        !self.is("module") && !self.is("CanBlockIsFalse") && !self.features.iter().any(is_absent)
    }

    fn is(&self, flag: &str) -> bool {
        self.flags.iter().any(|have| have == flag)
    }

    /// Returns the harness files that precede it, in order.
    pub(crate) fn harness(&self) -> Vec<&str> {
        if self.is("raw") {
            return vec![];
        }
        let ending = self.is("async").then_some("doneprintHandle.js");
        ["assert.js", "sta.js"]
            .into_iter()
            .chain(ending)
            .chain(self.includes.iter().map(String::as_str))
            .collect()
    }

    /// Returns its code, once for each mode in which it must run.
    pub(crate) fn codes(&self) -> Vec<String> {
        let strict = || format!("\"use strict\";\n{}", self.code);
        if self.is("raw") || self.is("noStrict") {
            vec![self.code.clone()]
        } else if self.is("onlyStrict") {
            vec![strict()]
        } else {
            vec![self.code.clone(), strict()]
        }
    }

    /// Returns how a test with this outcome ended.
    pub(crate) fn judge(&self, outcome: &Outcome) -> Ending {
        let failed = |text: String| Ending::Failed(text);
        match (outcome, &self.error) {
            (Outcome::Fault(Fault::Fuel), _) => Ending::OutOfFuel,
            (Outcome::Fault(Fault::Output), _) => failed("too much output".into()),
            // Errors that the tests throw themselves have no name.
            (Outcome::Threw(thrown), Some(name)) if thrown.name == *name || name == "Test262Error" => {
                Ending::Passed
            }
            (Outcome::Threw(thrown), _) => failed(format!("{}: {}", thrown.name, thrown.message)),
            (Outcome::Returned(_), Some(name)) => failed(format!("no {name}")),
            (Outcome::Returned(printed), None) => {
                let printed = printed.as_deref().unwrap_or("undefined");
                let is_good = !self.is("async") || printed == "\"Test262:AsyncTestComplete\\n\"";
                if is_good { Ending::Passed } else { failed(printed.into()) }
            }
        }
    }
}

/// Returns the words of a YAML list: in brackets behind the key, or one per line below it.
fn list(about: &str, key: &str) -> Vec<String> {
    let start = format!("{key}:");
    let mut lines = about.lines().skip_while(|line| !line.starts_with(&start));
    let Some(first) = lines.next() else { return vec![] };
    let within = first[start.len()..].trim();
    if !within.is_empty() {
        let words = within.trim_matches(['[', ']']).split(',').map(str::trim);
        return words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
    }
    lines.map_while(|line| line.trim().strip_prefix("- ")).map(|word| word.trim().to_owned()).collect()
}
