//! The names of the cores in the data directory of a service.

/// The log of the service's calls.
pub const LOG: &str = "log";
/// The names of the archive.
pub const FILES: &str = "files";
/// The contents of the archive.
pub const BLOBS: &str = "blobs";
