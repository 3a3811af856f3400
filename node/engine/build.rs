//! Compiles the engine with changes: it counts its recursion depth ([`depth`]), survives the end of its memory ([`lazy`],
//! [`memory`]), stores each number as the same bytes on every processor ([`numbers`]), and makes our globals at their first
//! use ([`globals`]).
//!
//! The engine's source is the package `rquickjs-sys` that the workspace depends on; cargo has a copy wherever
//! it builds. This repository keeps nothing of it: [`source`] finds the copy, [`depth`], [`globals`], [`lazy`], [`memory`] and
//! [`numbers`] change it, and the result is linked instead of the package's own build. A link that used both would fail, because each
//! function would be defined twice; a link without ours fails, because `src/depth.rs` needs functions that only ours
//! has.

#[path = "build/depth.rs"]
mod depth;
#[path = "build/globals.rs"]
mod globals;
#[path = "build/lazy.rs"]
mod lazy;
#[path = "build/memory.rs"]
mod memory;
#[path = "build/numbers.rs"]
mod numbers;
#[path = "build/source.rs"]
mod source;
#[path = "build/text.rs"]
mod text;

use std::path::{Path, PathBuf};
use std::{env, fs};

use text::Text;

/// A file of the engine and the function that changes it.
type File = (&'static str, fn(&mut Text));

const FILES: [File; 2] = [("quickjs.c", quickjs), ("libregexp.c", depth::count_patterns)];

/// The header that both of them include, and find beside themselves.
const HEADER: File = ("cutils.h", memory::end_buffers);

/// The files without changes.
const AS_DELIVERED: [&str; 2] = ["dtoa.c", "libunicode.c"];

fn main() {
    for file in [
        "build.rs",
        "build/depth.rs",
        "build/globals.rs",
        "build/lazy.rs",
        "build/memory.rs",
        "build/numbers.rs",
        "build/source.rs",
        "build/text.rs",
    ] {
        println!("cargo::rerun-if-changed={file}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let source = source::directory(&out);
    let mut compiler = cc::Build::new();
    for (name, change) in FILES {
        compiler.file(changed(&source, &out, name, change));
    }
    changed(&source, &out, HEADER.0, HEADER.1);
    for name in AS_DELIVERED {
        compiler.file(source.join(name));
    }
    compiler
        .include(&source)
        // As `rquickjs-sys` is compiled with its feature `disable-assertions`.
        .define("_GNU_SOURCE", None)
        .define("NDEBUG", None)
        .warnings(false)
        .debug(false)
        // No frame is laid over the end of the stack without touching it.
        .flag_if_supported("-fstack-clash-protection");
    // An unoptimised engine is too slow for any use, tests included.
    if !matches!(env::var("OPT_LEVEL").as_deref(), Ok("2" | "3")) {
        compiler.opt_level(2);
    }
    compiler.compile("vms_engine");
}

fn quickjs(text: &mut Text) {
    depth::count(text);
    globals::make(text);
    lazy::keep(text);
    memory::end(text);
    numbers::make_alike(text);
}

/// Writes the changed copy of one file.
fn changed(source: &Path, out: &Path, name: &'static str, change: fn(&mut Text)) -> PathBuf {
    let path = source.join(name);
    let original =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let mut text = Text::new(name, original);
    change(&mut text);
    let copy = out.join(name);
    fs::write(&copy, text.into_string())
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", copy.display()));
    copy
}
