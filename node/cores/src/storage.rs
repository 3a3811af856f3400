//! Durable cores: signed, append-only lists of blocks on disk, in Hypercore's format.
//!
//! Start from [`Core`]; a process first takes its [`DataDirectory`]. The crate `hypercore` builds the tree, signs and
//! encodes; what it wants written goes through our own synchronous `journal`, which brings it to disk in an order that
//! survives a crash at any moment, and blocks are read without it. A [`TempCore`] is a core for one run, without files
//! that anybody sees.

mod core;
#[cfg(test)]
mod crash_tests;
mod create;
mod directory;
mod error;
mod file;
mod journal;
pub mod layout;
mod oplog;
mod read_core;
mod reader;
mod replica;
mod shared;
mod tail;
#[cfg(test)]
mod tail_tests;
mod temp_core;
#[cfg(test)]
mod tests;
mod tree_check;
mod view;

pub use self::core::{BATCH_BLOCKS_MAX, Core};
pub use directory::DataDirectory;
pub use error::StorageError;
pub use read_core::{BlockIterator, ReadCore};
pub use replica::{EARLY_BYTES_MAX, Flush, Replica};
pub use shared::SharedReplica;
pub use tail::{Tail, TailBlocks, TailCheck, TailError};
pub use temp_core::TempCore;
pub use tree_check::TreeCheck;
pub use view::CoreView;

/// Whether an append waits for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// An append returns when it would survive a loss of power.
    #[default]
    Sync,
    /// An append returns when the operating system has it, so that everybody on this machine sees it;
    /// [`Core::bring_to_disk`] makes it durable later. After a loss of power the core may end earlier, and
    /// [`Core::open_derived`] finds out where: for what can be made again.
    Later,
    /// An append returns when the operating system has it: it survives the end of the process, but a loss of power may
    /// lose it or, as the disk keeps no order, leave a core that no longer opens.
    Relaxed,
}
