//! Entries about the service itself: what is hosted, and what takes its place.

use serde::{Deserialize, Serialize};

use super::{EntryError, FilesHead, Limits, malformed, within};
use crate::identity::{PublicKey, Signature};
use crate::limits;

/// What is hosted, and how it runs: block 0 of every log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// Version of the format: [`super::FORMAT_VERSION`].
    pub v: u64,
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

/// Names an engine exactly enough that two of the same name give the same results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// For example `quickjs-ng`.
    pub name: String,
    /// The engine's version and, where it matters, how it was built.
    pub version: String,
    /// Version of the globals that a script sees, which are ours.
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

impl Init {
    pub(super) fn check(&self) -> Result<(), EntryError> {
        within("title", self.title.len(), limits::TITLE_BYTES_MAX)?;
        check_time(self.at)?;
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
    within("engine.name", engine.name.len(), limits::ENGINE_TEXT_BYTES_MAX)?;
    within("engine.version", engine.version.len(), limits::ENGINE_TEXT_BYTES_MAX)
}

pub(super) fn check_time(at: u64) -> Result<(), EntryError> {
    if at <= limits::TIME_MAX { Ok(()) } else { Err(malformed(format_args!("time {at} is out of range"))) }
}
