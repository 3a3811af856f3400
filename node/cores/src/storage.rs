//! Durable cores: signed, append-only lists of blocks on disk, in Hypercore's format.
//!
//! Start from [`Core`]; a process first locks its [`DataDirectory`]. The crate `hypercore` builds the tree, signs and
//! encodes. Its writes go through our own synchronous write-ahead `journal`, which brings them to disk in an order that
//! survives a crash at any moment; blocks are read without the crate. A [`TempCore`] is a core for one run, in a file without
//! a name.

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
    /// An append returns once it would survive a loss of power.
    #[default]
    Sync,
    /// An append returns once the operating system has it: every process on this machine sees it.
    /// [`Core::bring_to_disk`] makes it durable later. After a loss of power the core may be shorter, and
    /// [`Core::open_derived`] finds out where it ends: for data that can be derived again.
    Later,
    /// An append returns once the operating system has it: it survives the end of the process. A loss of power may
    /// lose it or, as the disk keeps no order, leave a core that cannot be opened any more.
    Relaxed,
}
