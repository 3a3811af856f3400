//! The identity of the engine that runs scripts here, as the first entry of a log names it.
//!
//! A result may depend on everything below a script: the engine, how it was built, the mathematics it was linked with,
//! and our own prelude, meter and limits. All of it is one identity. A replay with another identity proves nothing, so it
//! stops before it compares anything.

use libvms_protocol::entry::Engine;
use serde::{Deserialize, Serialize};

/// The engine's own name, and the version that `rquickjs` bundles.
const NAME: &str = "quickjs-ng";
const VERSION: &str = "0.16.2";

/// The features of the C build that a script can observe. Recursion ends by a count, not by the size of frames
/// (`node/engine/build.rs`). Without assertions structures are smaller, and memory runs out later. The crate provides sine and
/// power.
const BUILD: &str = "counted-depth disable-assertions libm-0.2.16";

/// The same since version 5: what a URL is depends on the crates that read it, and on their tables of letters.
const BUILD_WITH_URLS: &str = "counted-depth disable-assertions icu-2.4.0 libm-0.2.16 url-2.5.8";

/// A version of the prelude, the meter and the limits: the number `api` in a log.
///
/// A new one is added for every change after which a script can observe a difference, or stops elsewhere. The versions
/// before it stay as they are to the last byte of memory, so that this program executes their logs for ever: the golden logs
/// (`fixtures/logs`) hold one of each. A log of any other version needs another program, and nobody is accused for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Api {
    /// Exports are data properties of `module.exports`.
    V4,
    /// Scripts as bundlers make them, ES modules, and the globals of the web that are deterministic.
    V5,
}

impl Api {
    /// All versions that this program executes, the oldest first.
    pub const ALL: [Self; 2] = [Self::V4, Self::V5];
    /// The version of new logs.
    pub const LATEST: Self = Self::V5;

    /// Returns the version in which a log with this engine is executed here; `None` if this program has another engine.
    pub fn of(engine: &Engine) -> Option<Self> {
        Self::ALL.into_iter().find(|api| *engine == api.identity())
    }

    /// Returns the identity of this program's engine with this version. Two machines whose engines differ in any part of it
    /// may get different results for the same call.
    pub fn identity(self) -> Engine {
        let build = match self {
            Self::V4 => BUILD,
            Self::V5 => BUILD_WITH_URLS,
        };
        Engine { name: NAME.into(), version: VERSION.into(), build: build.into(), api: self.number() }
    }

    /// Returns the number in a log.
    pub fn number(self) -> u64 {
        match self {
            Self::V4 => 4,
            Self::V5 => 5,
        }
    }
}

/// Returns the identity of the engine that runs new services here.
pub fn identity() -> Engine {
    Api::LATEST.identity()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_each_version_is_executed_and_no_other() {
        for api in Api::ALL {
            assert_eq!(Api::of(&api.identity()), Some(api));
            assert_eq!(Api::of(&Engine { build: "other".into(), ..api.identity() }), None);
        }
        assert!(Api::ALL.is_sorted());
        let numbers = Api::ALL.map(Api::number);
        for api in [numbers[0] - 1, Api::LATEST.number() + 1] {
            assert_eq!(Api::of(&Engine { api, ..identity() }), None);
        }
    }

    #[test]
    #[expect(unsafe_code, reason = "the engine tells its version through its C interface only")]
    fn the_version_is_that_of_the_linked_engine() {
        // SAFETY: the function returns a constant text of the library.
        let version = unsafe { std::ffi::CStr::from_ptr(rquickjs::qjs::JS_GetVersion()) };
        assert_eq!(version.to_str(), Ok(VERSION));
    }

    #[test]
    fn the_build_is_that_of_the_workspace() {
        let manifest = include_str!("../../../Cargo.toml");
        let line = |name: &str| {
            let lines = manifest.lines().find(|line| line.starts_with(&format!("{name} = ")));
            lines.unwrap_or_else(|| panic!("{name} is pinned"))
        };
        // "std" is glue between the engine and us, and nothing that a script meets.
        assert!(line("rquickjs").contains(r#"features = ["disable-assertions", "std"]"#));
        for build in [BUILD, BUILD_WITH_URLS] {
            let version =
                |of: &str| build.split(' ').find_map(|word| word.strip_prefix(of)).expect("it is named");
            assert_eq!(line("libm"), format!(r#"libm = "={}""#, version("libm-")));
            let mut words: Vec<&str> = build.split(' ').collect();
            words.sort_unstable();
            assert_eq!(words.join(" "), build);
        }
        let crates = [
            ("url", "url-2.5.8"),
            ("icu_normalizer_data", "icu-2.4.0"),
            ("icu_properties_data", "icu-2.4.0"),
        ];
        for (name, word) in crates {
            assert!(BUILD_WITH_URLS.contains(word), "{name}");
            let version = word.rsplit_once('-').expect("a version").1;
            assert!(line(name).contains(&format!("version = \"={version}\"")), "{name}");
        }
    }
}
