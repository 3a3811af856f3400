//! What holds one promise: the same log gives the same outcomes, everywhere and for ever.
//!
//! ```text
//! recording      a service with fixed keys and a fixed clock, whose log is the same bytes whenever it is made
//! golden         the logs of the releases, which must replay for ever
//! generator      scripts and calls out of a seed
//! differential   the generated calls in other surroundings and builds: the same entries
//! ```

mod differential;
pub(crate) mod generator;
mod golden;
mod recording;
