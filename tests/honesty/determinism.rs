//! What holds one promise: the same log gives the same outcomes, everywhere and for ever.
//!
//! ```text
//! recording      a service with fixed keys and a fixed clock, whose log is the same bytes whenever it is made
//! golden         the logs of the releases, which must replay for ever
//! generator      scripts and calls out of a seed
//! differential   the generated calls in other surroundings and builds: the same entries
//! surroundings   where: environments, processes, builds
//! depths         each recursion of the engine, which ends at one depth everywhere
//! starvation     each first use of a built-in that memory runs out for
//! ```

mod depths;
mod differential;
pub(crate) mod generator;
mod golden;
mod recording;
mod starvation;
mod surroundings;

/// A script of this folder.
fn script(name: &str) -> String {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/honesty/determinism").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
