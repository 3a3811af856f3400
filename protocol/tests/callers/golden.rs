//! Vectors that are made here and read by others: one case a line.

use std::path::Path;

use serde_json::{Map, Value as Json, json};

/// A file of vectors.
pub(super) struct Vectors {
    name: &'static str,
    members: Vec<(&'static str, Json)>,
    lists: Vec<(&'static str, Vec<Json>)>,
}

impl Vectors {
    pub(super) fn new(name: &'static str, about: &str) -> Self {
        Self { name, members: vec![("about", json!(about))], lists: vec![] }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Json>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    pub(super) fn with_list(mut self, name: &'static str, cases: impl IntoIterator<Item = Json>) -> Self {
        self.lists.push((name, cases.into_iter().collect()));
        self
    }

    fn text(&self) -> String {
        let members = self.members.iter().map(|(name, value)| format!("{}:{value}", json!(name)));
        let list = |(name, cases): &(&str, Vec<Json>)| {
            let lines: Vec<String> = cases.iter().map(Json::to_string).collect();
            format!("{}:[\n{}\n]", json!(name), lines.join(",\n"))
        };
        let parts: Vec<String> = members.chain(self.lists.iter().map(list)).collect();
        format!("{{{}}}\n", parts.join(",\n"))
    }

    /// Compares with the file, which it writes first where the variable `VMS_REGENERATE` is set.
    pub(super) fn compare(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/callers");
        let path = folder.join(self.name);
        let made = self.text();
        if std::env::var_os("VMS_REGENERATE").is_some() {
            std::fs::write(&path, &made).expect("a writable file");
        }
        let stored = std::fs::read_to_string(&path).expect("a fixture");
        let differing = stored.lines().zip(made.lines()).find(|(stored, made)| stored != made);
        assert_eq!(differing, None, "{}", self.name);
        assert_eq!(stored.len(), made.len(), "{}", self.name);
    }
}

/// An object without the members that are `null`.
pub(super) fn object(value: Json) -> Json {
    let Json::Object(members) = value else { panic!("an object") };
    Json::Object(members.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}
