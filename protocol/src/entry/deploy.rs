//! Entries about the service itself: what is hosted, and what takes its place.

use serde::{Deserialize, Serialize};

use super::files::FilesHead;
use super::time::check_time;
use super::{EntryError, Format, Limits, within};
use crate::limits;
use libvms_hypercore::identity::{PublicKey, Signature};

/// What is hosted, and how it runs: block 0 of every log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// Version of the format of this log.
    pub v: Format,
    /// The script.
    pub code: String,
    /// What people call the service.
    pub title: String,
    /// Key of the files archive's db core.
    pub files: PublicKey,
    /// Key of the files archive's blobs core.
    pub blobs: PublicKey,
    /// How callers say who they are.
    pub auth: Auth,
    /// When the service was deployed, in milliseconds since 1970; the time that the script sees while it loads.
    pub at: u64,
    /// What executes the script.
    pub engine: Engine,
    /// What each call may use.
    pub limits: Limits,
}

/// How callers say who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// Any name is taken as given, as LibVMS does: the host can invent callers.
    Debug,
    /// Callers sign; their name is their key.
    Signed,
}

/// Names an engine exactly enough that two of the same name give the same results. Whoever has another one can say
/// nothing about a log: see [`Engine::differences`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// For example `quickjs-ng`.
    pub name: String,
    /// The engine's own version.
    pub version: String,
    /// How it was built, as far as a script can tell: words in alphabetical order. Left out where there is nothing
    /// to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build: String,
    /// Version of what is ours: raised when the globals, the way fuel is counted or the way limits are kept change
    /// what a script can see or where it is stopped.
    pub api: u64,
}

/// The heap is thrown away and the script loaded again. What the archive holds stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// The archive as the new heap finds it.
    pub files: FilesHead,
}

/// Another script takes over. Signed by the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// The new script.
    pub code: String,
    /// What executes it.
    pub engine: Engine,
    /// What each call may use from here on.
    pub limits: Limits,
    /// The owner's signature.
    pub sig: Signature,
}

impl Engine {
    /// In which parts `other` is another engine than this one, for people. `None` where it is the same.
    pub fn differences(&self, other: &Self) -> Option<String> {
        let parts = [
            ("name", quoted(&self.name), quoted(&other.name)),
            ("version", quoted(&self.version), quoted(&other.version)),
            ("build", quoted(&self.build), quoted(&other.build)),
            ("api", self.api.to_string(), other.api.to_string()),
        ];
        let different: Vec<String> = parts
            .into_iter()
            .filter(|(_, one, other)| one != other)
            .map(|(part, one, other)| format!("{part} {one} instead of {other}"))
            .collect();
        (!different.is_empty()).then(|| different.join(", "))
    }

    fn check(&self) -> Result<(), EntryError> {
        within("engine.name", self.name.len(), limits::ENGINE_TEXT_BYTES_MAX)?;
        within("engine.version", self.version.len(), limits::ENGINE_TEXT_BYTES_MAX)?;
        within("engine.build", self.build.len(), limits::ENGINE_TEXT_BYTES_MAX)
    }
}

/// A log may name its engine in any letters; a terminal must not obey them.
fn quoted(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}

impl Init {
    pub(super) fn check(&self) -> Result<(), EntryError> {
        within("title", self.title.len(), limits::TITLE_BYTES_MAX)?;
        check_time(self.at)?;
        self.limits.check_format(self.v)?;
        check_script(&self.code, &self.engine)
    }
}

impl Upgrade {
    pub(super) fn check(&self) -> Result<(), EntryError> {
        check_script(&self.code, &self.engine)
    }
}

fn check_script(code: &str, engine: &Engine) -> Result<(), EntryError> {
    within("code", code.len(), limits::CODE_BYTES_MAX)?;
    engine.check()
}
