//! Entries about the service itself: the deployment, a new epoch, an upgrade.

use serde::{Deserialize, Serialize};

use super::files::FilesHead;
use super::oracle::{self, check_names};
use super::time::check_time;
use super::{EntryError, Format, Limits, malformed, within};
use crate::limits;
use libvms_hypercore::identity::{PublicKey, Signature};

/// Block 0 of every log: the service and how it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// Version of this log's format.
    pub v: Format,
    /// The script.
    pub code: String,
    /// Whether the script is an ES module. Logs of format 1 never hold this field, others only where it is true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub module: bool,
    /// The name of the service for people.
    pub title: String,
    /// Key of the files archive's db core.
    pub files: PublicKey,
    /// Key of the files archive's blobs core.
    pub blobs: PublicKey,
    /// How callers are authenticated.
    pub auth: Auth,
    /// When the service was deployed, in milliseconds since 1970; the script sees this time while it loads.
    pub at: u64,
    /// The engine that executes the script.
    pub engine: Engine,
    /// The limits of each call.
    pub limits: Limits,
    /// Names of the oracles that the script may ask, ascending. Not in format 1.
    #[serde(default, deserialize_with = "oracle::names", skip_serializing_if = "Vec::is_empty")]
    pub oracles: Vec<String>,
    /// Names of the effects that the script may have, ascending. Not in format 1.
    #[serde(default, deserialize_with = "oracle::names", skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<String>,
}

/// How callers are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// Any name is accepted, as in LibVMS: the host can invent callers.
    Debug,
    /// Callers sign; their key is their name.
    Signed,
}

/// Identifies an engine exactly enough that two with equal fields give equal results. With another engine a log cannot
/// be judged: see [`Engine::differences`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// The engine's name, for example `quickjs-ng`.
    pub name: String,
    /// The engine's own version.
    pub version: String,
    /// How the engine was built, as far as a script can observe it: words in alphabetical order. Left out if there is
    /// nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build: String,
    /// Version of LibVMS's own part: raised when a change of the globals, of the fuel counting or of the limits changes
    /// what a script can observe or where it is stopped.
    pub api: u64,
}

/// The heap is discarded and the script loaded again. The archive stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// The archive that the new heap starts with.
    pub files: FilesHead,
}

/// Another script replaces the current one. Signed by the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// The new script.
    pub code: String,
    /// The engine that executes it.
    pub engine: Engine,
    /// The limits of each call from here on.
    pub limits: Limits,
    /// The owner's signature.
    pub sig: Signature,
}

impl Engine {
    /// Describes for people in which fields `other` differs from this engine. `None` if it is the same.
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

/// Quotes a text of the log: it may hold any characters, and a terminal must not obey them.
fn quoted(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}

impl Init {
    pub(super) fn check(&self) -> Result<(), EntryError> {
        within("title", self.title.len(), limits::TITLE_BYTES_MAX)?;
        check_time(self.at)?;
        self.limits.check_format(self.v)?;
        check_call_age(self.auth, self.limits.call_age)?;
        if self.module && self.v == Format::V1 {
            return Err(malformed("an ES module in a log of v 1"));
        }
        if self.auth == Auth::Signed && self.v == Format::V1 {
            return Err(malformed("signed calls in a log of v 1"));
        }
        if self.v == Format::V1 && !(self.oracles.is_empty() && self.effects.is_empty()) {
            return Err(malformed("oracles or effects in a log of v 1"));
        }
        check_names("oracles", &self.oracles)?;
        check_names("effects", &self.effects)?;
        check_script(&self.code, &self.engine)
    }
}

impl Upgrade {
    pub(super) fn check(&self) -> Result<(), EntryError> {
        if self.limits.call_age.is_some() {
            return Err(malformed("limits.callAge in an upgrade"));
        }
        check_script(&self.code, &self.engine)
    }
}

/// Checks the age that a signed call may have against the authentication of the log.
fn check_call_age(auth: Auth, call_age: Option<u64>) -> Result<(), EntryError> {
    match (auth, call_age) {
        (Auth::Debug, None) => Ok(()),
        (Auth::Signed, Some(age)) if (1..=limits::CALL_AGE_MAX).contains(&age) => Ok(()),
        (Auth::Signed, Some(age)) => Err(malformed(format_args!("limits.callAge {age} is out of range"))),
        (Auth::Signed, None) => Err(malformed("no limits.callAge in a log whose callers sign")),
        (Auth::Debug, Some(_)) => Err(malformed("limits.callAge in a log whose callers do not sign")),
    }
}

fn check_script(code: &str, engine: &Engine) -> Result<(), EntryError> {
    within("code", code.len(), limits::CODE_BYTES_MAX)?;
    engine.check()
}
