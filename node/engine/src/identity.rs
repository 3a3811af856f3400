//! Which engine runs scripts here, as the first entry of a log names it.
//!
//! A result may depend on everything below a script: the engine, how it was built, the mathematics it was linked with,
//! and our own prelude, meter and limits. All of it is one identity. A replay with another one proves nothing, so it
//! stops before it compares anything.

use libvms_protocol::entry::Engine;

/// What the engine calls itself, and the version that `rquickjs` bundles.
const NAME: &str = "quickjs-ng";
const VERSION: &str = "0.16.2";

/// What a script can tell of the C build: its recursion ends by a count, not by the size of frames (`node/engine/build.rs`); without
/// assertions its structures are smaller, and memory runs out later; and the crate whose sine and power it is linked with.
const BUILD: &str = "counted-depth disable-assertions libm-0.2.16";

/// Raised with every change of the prelude, the meter or the limits after which a script can see something else, or is
/// stopped elsewhere: where the golden logs (`fixtures/logs`) do not replay any more. An old log then needs an old
/// program, and nobody is accused for it.
const API: u64 = 4;

/// The engine that runs scripts here. Two machines whose engines differ in any of this may get different results for
/// the same call.
pub fn identity() -> Engine {
    Engine { name: NAME.into(), version: VERSION.into(), build: BUILD.into(), api: API }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "the engine tells its version through its C interface only")]
    fn the_version_is_what_the_linked_engine_says() {
        // SAFETY: the function gives a constant text of the library.
        let version = unsafe { std::ffi::CStr::from_ptr(rquickjs::qjs::JS_GetVersion()) };
        assert_eq!(version.to_str(), Ok(VERSION));
    }

    #[test]
    fn the_build_is_what_the_workspace_builds() {
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
