//! The names of the cores in the data directory of a service.

/// The log of its calls.
pub const LOG: &str = "log";
/// The names of its archive.
pub const FILES: &str = "files";
/// The contents of its archive.
pub const BLOBS: &str = "blobs";
