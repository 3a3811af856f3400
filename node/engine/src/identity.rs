//! The identity of the engine that runs scripts here, as the first entry of a log names it.
//!
//! A result may depend on everything below a script: the engine, how it was built, the mathematics it was linked with,
//! and our own prelude, meter and limits. All of it is one identity. A replay with another identity proves nothing, so it
//! stops before it compares anything.

use libvms_protocol::entry::Engine;

/// The engine's own name, and the version that `rquickjs` bundles.
const NAME: &str = "quickjs-ng";
const VERSION: &str = "0.16.2";

/// The features of the C build that a script can observe. Recursion ends by a count, not by the size of frames
/// (`node/engine/build.rs`). Without assertions structures are smaller, and memory runs out later. The crate provides sine and
/// power.
const BUILD: &str = "counted-depth disable-assertions libm-0.2.16";

/// The version of the prelude, the meter and the limits. Raised with every change after which a script can observe a
/// difference, or stops elsewhere: when the golden logs (`fixtures/logs`) do not replay any more. An old log then needs an old
/// program, and nobody is accused for it.
const API: u64 = 4;

/// Returns the identity of the engine that runs scripts here. Two machines whose engines differ in any part of it may get
/// different results for the same call.
pub fn identity() -> Engine {
    Engine { name: NAME.into(), version: VERSION.into(), build: BUILD.into(), api: API }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let libm = BUILD.rsplit_once("libm-").expect("it names libm").1;
        assert_eq!(line("libm"), format!(r#"libm = "={libm}""#));
        let mut words: Vec<&str> = BUILD.split(' ').collect();
        words.sort_unstable();
        assert_eq!(words.join(" "), BUILD);
    }
}
